//! The verdict and the counters: `docs/semantics.md` sections 3 and 5.

mod attachments;
mod verdict;

use crate::edit::{self, Edits, Link};
use crate::encapsulate::Outgoing;
use crate::health::{self, Waiting};
use crate::looks::{Found, Looks};
use crate::parse::{self, Ethernet, Ip};
use crate::rate::Rates;
use crate::road::{Face, Mark};
use crate::tag::{self, Accepted};
use crate::walk::{self, Hop, Segment, Sender};
use seqnic_compiler::definition::{Definition, HostId, InterfaceId, Place, Role, Side};
use seqnic_engine::{
    CLIENT, CounterKey, Counters, Engine, EngineError, FrameIn, Host, Output, Sent,
};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use std::collections::HashMap;
use std::net::IpAddr;

/// An attachment: where it is, and what its counters are called.
#[derive(Debug, Clone)]
struct Attachment {
    name: String,
    place: Place,
    /// Where packets come back that are sent to it.
    back: Place,
    tag: Option<Outgoing>,
    /// Why nothing is sent there.
    absent: Option<Reason>,
}

/// The definition oracle. It presumes a definition the compiler takes.
#[derive(Debug)]
pub struct Oracle {
    definition: Definition,
    looks: Looks,
    segments: HashMap<Segment, InterfaceId>,
    /// Who has a MAC on a segment.
    senders: HashMap<(Segment, [u8; 6]), String>,
    neighbours: HashMap<IpAddr, Attachment>,
    accepted: Accepted,
    rates: Rates,
    counters: Counters,
    waiting: Waiting,
}

/// Where a packet arrived, and from whom.
#[derive(Debug, Clone)]
struct Arrival {
    interface: InterfaceId,
    /// VLAN ID of the tag that is no segment's.
    vlan_tag: Option<u16>,
    attachment: Option<String>,
    sender: Sender,
}

/// A packet that did not get past a check.
struct Refused {
    reason: Reason,
    /// The service that knows the packet but not its sender, or denies it.
    service: Option<(String, Direction)>,
    /// Rule set and rule that decided.
    rule: Option<(String, String)>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused {
            reason,
            service: None,
            rule: None,
        }
    }
}

/// A packet with a next hop.
struct Directed<'a> {
    /// The Ethernet header, with the packet behind what was taken off.
    ethernet: Ethernet,
    ip: Ip,
    found: Found<'a>,
    hop: Hop<'a>,
    /// Rule set and rule that decided.
    rule: Option<(String, String)>,
    /// The rule's next hop.
    route: Option<HostId>,
}

impl Oracle {
    /// Reads a definition that the compiler takes: no two answers to one question.
    pub fn new(definition: &Definition) -> Oracle {
        let mut oracle = Oracle {
            looks: Looks::of(definition),
            segments: HashMap::new(),
            senders: HashMap::new(),
            neighbours: HashMap::new(),
            accepted: Accepted::of(definition),
            rates: Rates::default(),
            counters: Counters::default(),
            waiting: Waiting::of(definition),
            definition: definition.clone(),
        };
        for (id, interface) in definition.interfaces.iter().enumerate() {
            let segment = walk::segment(interface.port, &interface.vlan.0);
            oracle.segments.insert(segment, id);
        }
        for host in &definition.hosts {
            oracle.attach(&host.name, &host.place, &host.place, &host.addresses, None);
        }
        let alone = definition.alone();
        for (id, device) in definition.devices.iter().enumerate() {
            oracle.attach_device(device, alone.contains(&id));
        }
        oracle
    }

    /// The host gets a packet, if it takes one more of its reason.
    fn give_host(
        &mut self,
        input: FrameIn,
        refused: Refused,
        arrival: Option<&Arrival>,
        out: &mut Vec<Output>,
    ) {
        let Refused {
            reason, service, ..
        } = refused;
        if !self.rates.host(&self.definition, reason, input.time) {
            let limited = CounterKey::Reason(Reason::HostLimited);
            self.counters.add(limited, 1, input.frame.len() as u64);
            return;
        }
        out.push(Output::Host(Host {
            id: input.id,
            reason,
            port: input.port,
            interface: arrival.map(|a| a.interface as u32),
            attachment: arrival.and_then(|a| a.attachment.clone()),
            service,
            priority: self.definition.qos.host[reason as usize].priority,
            frame: input.frame.to_vec(),
        }));
    }

    /// The packet first, then its copies, as they leave.
    fn send(&self, frame: &[u8], directed: &Directed) -> Vec<Departure> {
        let Directed {
            ethernet,
            ip,
            found,
            hop,
            ..
        } = directed;
        let service = &self.definition.services[found.look.service];
        let client = match found.direction {
            Direction::Forward => ip.source,
            Direction::Return => ip.destination,
        };
        // What the step takes off and restores holds for packet and copies alike; what it does
        // towards a device is for the packet alone.
        let common = Edits {
            destination: None,
            source: hop.restore.then_some(found.look.address),
            port_add: 0_u16.wrapping_sub(hop.shift),
            // Nothing of ours is left in the DSCP of what goes on.
            dscp: service.dscp.or(hop.dscp_is_ours.then_some(0)),
        };
        let dscp_to = |role: &Role, side: Side, mark: Mark| match walk::leaves_by_dscp(
            &self.definition,
            role,
            side,
            mark,
        ) {
            true => Some((mark.number << 2 | 3) as u8),
            false => mark.dscp.or(common.dscp),
        };
        let mut departures = Vec::new();
        let mut route = directed.route;
        let mut depart = |to: String, mut attachment: Attachment, mut edits: Edits| {
            // The packet itself comes first; its copies go as ever.
            if let Some(host) = route.take() {
                attachment = self.host(host);
                edits.destination = None;
            }
            let place = &attachment.place;
            let link = Link {
                destination: place.mac,
                source: self.definition.interfaces[place.interface].mac,
                vlan: &place.vlan,
                tag: attachment.tag,
                mtu: self.definition.interfaces[place.interface].mtu,
            };
            departures.push(Departure {
                to,
                frame: edit::copy(frame, ethernet, ip, found.direction, link, edits),
                attachment,
            });
        };
        match hop.to {
            Face::Device {
                role,
                side,
                shift,
                nat,
                mark,
                far,
                ..
            } => {
                let attachment = self.towards(role, side, mark, client);
                let own = walk::chosen(&self.definition, role, client);
                let own = own.address_like(ip.destination);
                let edits = Edits {
                    destination: own.filter(|_| nat),
                    port_add: common.port_add.wrapping_add(shift),
                    dscp: dscp_to(role, far, mark),
                    ..common
                };
                depart(self.role_name(role, side), attachment, edits);
            }
            Face::World(Some(host)) => {
                let gateway = self.host(host);
                depart(gateway.name.clone(), gateway, common);
            }
            Face::World(None) => {
                if let Some(gateway) = self.definition.default_gateway {
                    let gateway = self.host(gateway);
                    let neighbour = self.neighbours.get(&ip.destination);
                    let name = gateway.name.clone();
                    depart(name, neighbour.cloned().unwrap_or(gateway), common);
                }
            }
        }
        for copy in &hop.copies {
            let attachment = self.towards(copy.role, Side::Outside, copy.mark, client);
            let edits = Edits {
                dscp: dscp_to(copy.role, Side::Outside, copy.mark),
                ..common
            };
            depart(self.role_name(copy.role, Side::Outside), attachment, edits);
        }
        departures
    }

    fn interface_name(&self, interface: InterfaceId) -> String {
        self.definition.interfaces[interface].name.clone()
    }

    /// Counts a packet that arrived, once.
    fn count_in(&mut self, reason: Reason, arrival: Option<&Arrival>, bytes: u64, now: u64) {
        self.counters.add(CounterKey::Reason(reason), 1, bytes);
        let Some(arrival) = arrival else { return };
        let interface = CounterKey::InterfaceIn(self.interface_name(arrival.interface));
        self.counters.add(interface, 1, bytes);
        if let Some(name) = &arrival.attachment {
            let attachment = CounterKey::AttachmentIn(name.clone());
            self.counters.add(attachment, 1, bytes);
            let seen = CounterKey::AttachmentSeen(name.clone());
            self.counters.add(seen, now, 0);
        }
    }

    /// Counts what a directed packet says of the health of its sender.
    fn count_answer(&mut self, from: &str, health: Health, now: u64) {
        if health.answers {
            let answer = CounterKey::AttachmentAnswer(from.to_string());
            self.counters.add(answer, 1, 0);
        }
        if let Some(time) = self.waiting.came(from, health.flow, now) {
            let bucket = CounterKey::AttachmentTime(from.to_string(), health::bucket(time));
            self.counters.add(bucket, 1, time);
        }
    }

    /// Counts what a copy that was sent to an attachment has to do with its health.
    fn count_sent(&mut self, to: &Attachment, opens: bool, flow: u16, now: u64) {
        if opens {
            let syn = CounterKey::AttachmentSyn(to.name.clone());
            self.counters.add(syn, 1, 0);
        }
        let back = (walk::segment_of(&self.definition, &to.back), to.back.mac.0);
        if let Some(from) = self.senders.get(&back) {
            self.waiting.sent(from, flow, now);
        }
    }
}

/// What a packet says of health.
#[derive(Debug, Clone, Copy)]
struct Health {
    opens: bool,
    answers: bool,
    flow: u16,
}

/// A packet that is directed, with what becomes of it.
struct Taken {
    service: String,
    label: String,
    direction: Direction,
    from: String,
    priority: u8,
    departures: Vec<Departure>,
    health: Health,
    rule: Option<(String, String)>,
}

/// A copy as it leaves.
struct Departure {
    /// Label of the step's target.
    to: String,
    attachment: Attachment,
    /// With its flow; `None` if it is longer than the MTU there.
    frame: Option<(Vec<u8>, u16)>,
}

impl Engine for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn push(&mut self, input: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let FrameIn {
            time, port, frame, ..
        } = input;
        let bytes = frame.len() as u64;
        let ethernet = parse::ethernet(frame);
        let arrival = ethernet.as_ref().ok().and_then(|e| self.arrival(port, e));
        let mut rates = std::mem::take(&mut self.rates);
        let verdict = match (&ethernet, &arrival) {
            (Err(reason), _) => Err(Refused::from(*reason)),
            (Ok(_), None) => Err(Reason::NoInterface.into()),
            (Ok(ethernet), Some(arrival)) => {
                let off = tag::take_off(&self.accepted, port, frame, ethernet);
                let directed = self.direct(frame, ethernet, arrival, off);
                directed.and_then(|directed| {
                    let l3 = directed.ethernet.l3;
                    self.police(&mut rates, &directed, frame, time)?;
                    let departures = self.send(frame, &directed);
                    let Directed {
                        found, hop, rule, ..
                    } = &directed;
                    let service = &self.definition.services[found.look.service];
                    let trusted = self.definition.interfaces[arrival.interface].trust;
                    let dscp = edit::traffic_class(frame, l3) >> 2;
                    let priority = match trusted {
                        true => self.definition.qos.dscp[usize::from(dscp)],
                        false => service.priority,
                    };
                    let from = hop
                        .from
                        .as_ref()
                        .map_or(CLIENT.to_string(), |(role, side)| {
                            self.definition.devices[role.device].attachment_name(*side)
                        });
                    let (service, label) = (service.name.clone(), found.look.label());
                    let (opens, answers) = health::opens_answers(frame, &directed.ip);
                    let health = Health {
                        opens,
                        answers,
                        flow: edit::flow(frame, l3, &directed.ip),
                    };
                    let direction = found.direction;
                    Ok(Taken {
                        service,
                        label,
                        direction,
                        from,
                        priority,
                        departures,
                        health,
                        rule: rule.clone(),
                    })
                })
            }
        };
        self.rates = rates;
        let reason = verdict
            .as_ref()
            .err()
            .map_or(Reason::Directed, |r| r.reason);
        self.count_in(reason, arrival.as_ref(), bytes, time);
        let rule = match &verdict {
            Ok(taken) => taken.rule.as_ref(),
            Err(refused) => refused.rule.as_ref(),
        };
        if let Some((acl, rule)) = rule.cloned() {
            self.counters.add(CounterKey::Rule { acl, rule }, 1, bytes);
        }
        match verdict {
            Err(refused) => self.give_host(input, refused, arrival.as_ref(), out),
            Ok(Taken {
                service,
                label,
                direction,
                from,
                priority,
                departures,
                health,
                ..
            }) => {
                if let Some(from) = arrival.as_ref().and_then(|a| a.attachment.as_deref()) {
                    self.count_answer(from, health, time);
                }
                let class = CounterKey::Service {
                    service: service.clone(),
                    label: label.clone(),
                    direction,
                };
                self.counters.add(class, 1, bytes);
                for departure in departures {
                    let leaving = match (departure.attachment.absent, departure.frame) {
                        (Some(absent), _) => Err(absent),
                        (None, frame) => frame.ok_or(Reason::TooBig),
                    };
                    let (leaving, flow) = match leaving {
                        Ok(leaving) => leaving,
                        Err(reason) => {
                            self.counters.add(CounterKey::Reason(reason), 1, bytes);
                            self.give_host(input, reason.into(), arrival.as_ref(), out);
                            continue;
                        }
                    };
                    let sent = leaving.len() as u64;
                    let interface = departure.attachment.place.interface;
                    let step = CounterKey::Step {
                        service: service.clone(),
                        label: label.clone(),
                        direction,
                        from: from.clone(),
                        to: departure.to,
                    };
                    self.counters.add(step, 1, sent);
                    self.count_sent(&departure.attachment, health.opens, flow, time);
                    let attachment = CounterKey::AttachmentOut(departure.attachment.name);
                    self.counters.add(attachment, 1, sent);
                    let out_of = CounterKey::InterfaceOut(self.interface_name(interface));
                    self.counters.add(out_of, 1, sent);
                    out.push(Output::Sent(Sent {
                        id: input.id,
                        interface: interface as u32,
                        priority,
                        frame: leaving,
                    }));
                }
            }
        }
        Ok(())
    }

    fn drain(&mut self, _: &mut Vec<Output>) -> Result<(), EngineError> {
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        Ok(self.counters.clone())
    }
}
