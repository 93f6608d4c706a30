//! The verdict and the counters: `docs/semantics.md` sections 3 and 5.

use crate::acl::{self, Asked};
use crate::edit::{self, Edits, Link};
use crate::encapsulate::Outgoing;
use crate::health::{self, Waiting};
use crate::looks::{Found, Looks};
use crate::parse::{self, Ethernet, Ip};
use crate::rate::Rates;
use crate::road::{Face, Mark};
use crate::tag::{self, Accepted, Header, Off, Received};
use crate::walk::{self, Hop, Segment, Sender};
use seqnic_compiler::definition::{
    Attachments, Definition, Device, HostId, InterfaceId, Mac, Place, Role, Side, State, Tag,
};
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

    fn attach_device(&mut self, device: &Device, alone: bool) {
        let name = |side| device.attachment_name(side);
        let absent = (device.state == State::Failed && alone).then_some(Reason::Unavailable);
        match &device.attachments {
            Attachments::One(place) => {
                self.attach(
                    &name(Side::Outside),
                    place,
                    place,
                    &device.addresses,
                    absent,
                );
            }
            Attachments::Two { outside, inside } => {
                self.attach(
                    &name(Side::Outside),
                    outside,
                    inside,
                    &device.addresses,
                    absent,
                );
                self.attach(&name(Side::Inside), inside, outside, &[], None);
            }
            // It has no segment or MAC of its own: its packets come from the host.
            Attachments::Via(_) => {}
        }
    }

    /// Two that share a MAC on a segment are told apart by nobody: the first has the name.
    fn attach(
        &mut self,
        name: &str,
        place: &Place,
        back: &Place,
        addresses: &[IpAddr],
        absent: Option<Reason>,
    ) {
        let segment = walk::segment_of(&self.definition, place);
        self.segments.entry(segment).or_insert(place.interface);
        self.senders
            .entry((segment, place.mac.0))
            .or_insert_with(|| name.to_string());
        for address in addresses {
            self.neighbours.entry(*address).or_insert(Attachment {
                name: name.to_string(),
                place: place.clone(),
                back: back.clone(),
                tag: None,
                absent: absent.or(unresolved(place)),
            });
        }
    }

    fn arrival(&self, port: u8, ethernet: &Ethernet) -> Option<Arrival> {
        let arrived = (port, ethernet.vids);
        // A segment of a definition's own comes before one that a VLAN tag makes.
        let plain = match self.segments.contains_key(&arrived) {
            true => None,
            false => self.accepted.tagged.get(&arrived),
        };
        let segment = plain.copied().unwrap_or(arrived);
        let interface = *self.segments.get(&segment)?;
        Some(Arrival {
            interface,
            vlan_tag: plain.map(|_| ethernet.vids.into_iter().rfind(|v| *v != 0).unwrap_or(0)),
            // What stands for a MAC that is not known is nobody's.
            attachment: (self.senders.get(&(segment, ethernet.source)))
                .filter(|_| Mac(ethernet.source).is_known())
                .cloned(),
            sender: Sender {
                tracking: self.definition.interfaces[interface].tracking,
                segment,
                mac: ethernet.source,
                tag: None,
            },
        })
    }

    /// The reasons in the order of their codes, after those of the Ethernet header.
    fn direct(
        &self,
        frame: &[u8],
        ethernet: &Ethernet,
        arrival: &Arrival,
        off: Result<Option<Off>, Reason>,
    ) -> Result<Directed<'_>, Refused> {
        let interface = &self.definition.interfaces[arrival.interface];
        let mine = ethernet.destination == interface.mac.0;
        if !ethernet.is_group() && !mine && !interface.promiscuous {
            return Err(Reason::NotMine.into());
        }
        if ethernet.ethertype == 0x0806 {
            return Err(Reason::Arp.into());
        }
        let off = off?;
        if off.is_some_and(|off| !self.accepted.at(arrival.interface, off.header)) {
            return Err(Reason::Encapsulation.into());
        }
        let ethernet = &off.map_or_else(|| ethernet.clone(), |off| off.behind(ethernet));
        let ip = match ethernet.ethertype {
            0x0800 => parse::ipv4(frame, ethernet.l3)?,
            0x86dd => parse::ipv6(frame, ethernet.l3)?,
            _ => return Err(Reason::NotIp.into()),
        };
        let found = self.looks.find(&ip);
        let scoped = self.looks.has(ip.destination) || self.looks.has(ip.source);
        let local = self.is_local(ip.destination);
        if is_neighbour_discovery(&ip) {
            return Err(Reason::NeighbourDiscovery.into());
        }
        if is_icmp_error(&ip) {
            return Err(Reason::IcmpError.into());
        }
        if is_dhcp(&ip) && (ethernet.is_group() || (found.is_none() && (local || !scoped))) {
            return Err(Reason::Dhcp.into());
        }
        if ethernet.is_group() {
            return Err(Reason::Multicast.into());
        }
        if ip.ttl == 0 {
            return Err(Reason::Ttl.into());
        }
        let Some(found) = found else {
            return Err(match (local, scoped, ip.later_fragment) {
                (true, _, _) => Reason::Local,
                (_, true, true) => Reason::Fragment,
                (_, true, false) => Reason::NoPort,
                _ => Reason::NoService,
            }
            .into());
        };
        let service = &self.definition.services[found.look.service];
        let dscp = u16::from(edit::traffic_class(frame, ethernet.l3) >> 2);
        let by_dscp = self.accepted.at(arrival.interface, Header::Dscp) && dscp & 3 == 3;
        let sender = Sender {
            tag: off
                .map(|off| off.tag)
                .or(arrival.vlan_tag.map(Received::Vlan))
                .or(by_dscp.then_some(Received::Dscp(dscp))),
            ..arrival.sender
        };
        let direction = found.direction;
        let refused = |reason, rule| Refused {
            reason,
            service: Some((service.name.clone(), direction)),
            rule,
        };
        let next = walk::next(&self.definition, service, found.look, direction, sender);
        let hop = next.ok_or_else(|| refused(Reason::WrongSender, None))?;
        let asked = Asked {
            frame,
            l3: ethernet.l3,
            ip: &ip,
            direction,
            interface: arrival.interface,
        };
        let decision = match hop.first {
            true => acl::decide(&self.definition, service, &asked),
            false => None,
        };
        let route = decision.as_ref().and_then(|d| d.route);
        let permit = decision.as_ref().is_none_or(|d| d.permit);
        let rule = decision.map(|d| d.counted);
        if !permit {
            return Err(refused(Reason::Denied, rule));
        }
        Ok(Directed {
            ethernet: ethernet.clone(),
            ip,
            found,
            hop,
            rule,
            route,
        })
    }

    /// What starts its way keeps the rate of its service.
    fn police(
        &self,
        rates: &mut Rates,
        directed: &Directed,
        frame: &[u8],
        time: u64,
    ) -> Result<(), Refused> {
        let number = directed.found.look.service;
        let service = &self.definition.services[number];
        let Some(rate) = service.rate.filter(|_| directed.hop.first) else {
            return Ok(());
        };
        let length = parse::ip_length(frame, directed.ethernet.l3);
        match rates.service(number, rate, length, time) {
            true => Ok(()),
            false => Err(Refused {
                reason: Reason::Policed,
                service: Some((service.name.clone(), directed.found.direction)),
                rule: directed.rule.clone(),
            }),
        }
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

    fn is_local(&self, address: IpAddr) -> bool {
        self.definition
            .interfaces
            .iter()
            .flat_map(|i| &i.addresses)
            .any(|(own, _)| *own == address)
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

    /// What steps to a role are called by: its primary.
    fn role_name(&self, role: &Role, side: Side) -> String {
        self.definition.devices[role.device].attachment_name(side)
    }

    /// Where packets of a client for a role go now, under the name of its primary, or the member's of a pool.
    fn towards(&self, role: &Role, side: Side, mark: Mark, client: IpAddr) -> Attachment {
        let active = walk::chosen(&self.definition, role, client);
        let named = match role.pool {
            Some(_) => active,
            None => &self.definition.devices[role.device],
        };
        Attachment {
            name: named.attachment_name(side),
            place: walk::place(&self.definition, active, side).clone(),
            back: walk::place(&self.definition, active, side.other()).clone(),
            tag: self.outgoing(active, side, mark),
            absent: match (walk::somebody(&self.definition, role), role.open) {
                (true, _) => unresolved(walk::place(&self.definition, active, side)),
                (false, false) => Some(Reason::Unavailable),
                (false, true) => Some(Reason::Skipped),
            },
        }
    }

    /// The tag a device gets, by the side it is sent to.
    fn outgoing(&self, device: &Device, side: Side, mark: Mark) -> Option<Outgoing> {
        let tag = tag::of(&self.definition, mark, device, side).filter(|t| *t != Tag::Dscp)?;
        let place = walk::place(&self.definition, device, side);
        let interface = &self.definition.interfaces[place.interface];
        let pairs = interface.tunnels.iter().filter_map(|own| {
            let theirs = match device.tunnel {
                Some(end) => Some(end).filter(|end| end.is_ipv4() == own.is_ipv4()),
                None => device.address_like(*own),
            };
            theirs.map(|theirs| (*own, theirs))
        });
        Some(Outgoing {
            tag,
            number: mark.number,
            bases: interface.tag_bases,
            ends: tag.is_tunnel().then(|| pairs.into_iter().next()).flatten(),
        })
    }

    fn host(&self, host: usize) -> Attachment {
        let host = &self.definition.hosts[host];
        Attachment {
            name: host.name.clone(),
            place: host.place.clone(),
            back: host.place.clone(),
            tag: None,
            absent: unresolved(&host.place),
        }
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

fn unresolved(place: &Place) -> Option<Reason> {
    (!place.mac.is_known()).then_some(Reason::Unresolved)
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

fn is_neighbour_discovery(ip: &Ip) -> bool {
    ip.destination.is_ipv6() && ip.protocol == 58 && matches!(ip.icmp_type, Some(133..=137))
}

fn is_icmp_error(ip: &Ip) -> bool {
    match (ip.destination, ip.protocol, ip.icmp_type) {
        (IpAddr::V4(_), 1, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (IpAddr::V6(_), 58, Some(kind)) => matches!(kind, 1..=4),
        _ => false,
    }
}

fn is_dhcp(ip: &Ip) -> bool {
    let ports = match ip.destination {
        IpAddr::V4(_) => [67, 68],
        IpAddr::V6(_) => [546, 547],
    };
    ip.protocol == 17
        && !ip.later_fragment
        && ports.contains(&ip.source_port)
        && ports.contains(&ip.destination_port)
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
