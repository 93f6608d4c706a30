//! What comes up from the card, and what is learned from it.

use super::{A_SECOND, Daemon, Judge, LOOK};
use crate::core::Holding;
use crate::exceptions::{Deed, Known, Limit};
use crate::health::Input;
use crate::linux::netlink::Netlink;
use crate::{lock, neighbours, watch};
use seqnic_card::ToHost;
use seqnic_compiler::definition::Mac;
use seqnic_model::parse::{Headers, parse};
use seqnic_spec::reason::Reason;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

impl Daemon {
    /// Notes who sent a packet, if nobody has it in a definition.
    pub(super) fn stranger(&self, judge: &Judge, packet: &ToHost, h: &Headers) {
        let (Some(interface), None) = (packet.interface, packet.sender) else {
            return;
        };
        let Some(mac) = packet.frame.get(6..12).and_then(|m| m.try_into().ok()) else {
            return;
        };
        let definition = &judge.holding.definition;
        let own = definition.interfaces.iter().any(|i| i.mac.0 == mac);
        if own || !Mac(mac).is_known() {
            return;
        }
        let address = neighbours::sender_address(&packet.frame, h, definition, interface);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let new = lock(&self.strangers).saw(interface, mac, address, since.as_secs());
        if new {
            let name = definition.interfaces.get(usize::from(interface));
            let name = name.map_or("?", |i| &i.name);
            let address = address.map(|a| format!(", {a}")).unwrap_or_default();
            self.note(format!("discovered on {name}: {}{address}", Mac(mac)));
        }
    }

    pub(super) fn exceptions(&self) {
        self.hurry();
        let now = Instant::now();
        let mut limits: BTreeMap<Reason, Limit> = BTreeMap::new();
        let mut packets = Vec::new();
        while !self.stopping() {
            packets.clear();
            if let Err(e) = self.core.card().receive(&mut packets, LOOK) {
                self.note(format!("no packets from the card: {e}"));
                std::thread::sleep(LOOK);
                continue;
            }
            let judge = lock(&self.judge).clone();
            for packet in &packets {
                let name = match &judge {
                    None => "no_definition",
                    Some(judge) => {
                        let limit = limits
                            .entry(packet.reason)
                            .or_insert_with(|| Limit::new(A_SECOND, now));
                        self.packet(judge, packet, limit)
                    }
                };
                let key = (packet.reason.name().to_string(), name.to_string());
                *lock(&self.deeds).entry(key).or_default() += 1;
            }
        }
    }

    /// Does what is to be done with a packet; returns what it was.
    pub(super) fn packet(&self, judge: &Judge, packet: &ToHost, limit: &mut Limit) -> &'static str {
        let known = Known {
            tables: &judge.tables,
            definition: &judge.holding.definition,
        };
        let h = parse(&packet.frame, judge.tables.decap(packet.port));
        self.stranger(judge, packet, &h);
        let detected = lock(&self.detecting)
            .as_mut()
            .is_some_and(|d| d.take(&packet.frame, &h));
        if detected {
            // The kernel knows of no connection and ends it.
            if let Some(interface) = packet.interface {
                self.taps.deliver(interface, &packet.frame);
            }
            return "detect";
        }
        if let Some(seen) = watch::seen(&packet.frame, &h)
            && self.probe_seen(seen)
        {
            // The kernel knows of no connection and ends the handshake with an RST.
            if let (watch::Seen::Handshake { .. }, Some(interface)) = (seen, packet.interface) {
                self.taps.deliver(interface, &packet.frame);
            }
            return "probe";
        }
        let deed = known.deed(packet);
        match &deed {
            Deed::Kernel(interface) => {
                if !self.config.linux.taps || !self.taps.deliver(*interface, &packet.frame) {
                    return "no_device";
                }
            }
            Deed::Sent(frames) => {
                if !limit.allows(Instant::now()) {
                    return "limited";
                }
                if !matches!(self.core.card().send(frames), Ok(n) if n == frames.len()) {
                    return "no_room";
                }
            }
            Deed::Dropped(_) => {}
        }
        deed.name()
    }

    /// Learns the MACs that the definition leaves out, and follows them.
    pub(super) fn learn(&self) {
        let mut netlink = None;
        while !self.stopping() {
            std::thread::sleep(LOOK);
            let Some(holding) = self.core.holding() else {
                continue;
            };
            let wanted = neighbours::wanted(&holding.definition);
            if wanted.is_empty() {
                lock(&self.neighbours).clear();
                continue;
            }
            if netlink.is_none() {
                netlink = Netlink::open().ok();
            }
            let table = netlink.as_ref().map(Netlink::neighbours);
            let (Some(socket), Some(Ok(table))) = (&netlink, table) else {
                netlink = None;
                continue;
            };
            let found = neighbours::states(&wanted, &table, |index| self.taps.interface(index));
            // Who is sure is left alone; all others the kernel looks for, or after.
            for (wanted, found) in wanted.iter().zip(&found) {
                let sure = ["reachable", "delay", "probe", "permanent", "incomplete"];
                let index = self.taps.index(wanted.interface);
                if let (false, Some(index)) = (sure.contains(&&*found.state), index) {
                    for address in &wanted.addresses {
                        // It may have no way to an address of a family it has none of.
                        let _unreachable = socket.resolve(index, *address);
                    }
                }
            }
            let macs = found.iter().filter(|n| n.state != "failed");
            let macs: BTreeMap<String, String> = macs
                .filter_map(|n| Some((n.attachment.clone(), n.mac.clone()?)))
                .collect();
            self.learned(&holding, &macs);
            *lock(&self.neighbours) = found;
        }
    }

    pub(super) fn learned(&self, holding: &Holding, macs: &BTreeMap<String, String>) {
        let known = &holding.record.macs;
        let new = macs
            .iter()
            .filter(|(attachment, mac)| known.get(*attachment) != Some(mac));
        let new: Vec<String> = new
            .map(|(attachment, mac)| format!("{attachment} has {mac}"))
            .collect();
        if new.is_empty() {
            return;
        }
        match self.core.learn(macs) {
            Ok(Some(outcome)) => {
                self.changed(&format!("learned: {}", new.join(", ")), outcome);
            }
            Ok(None) => {}
            Err(e) => {
                self.note(format!(
                    "{} was learned and is refused: {e}",
                    new.join(", ")
                ));
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }

    /// Takes the answer of a probe. `false`: it is of none that waits.
    pub(super) fn probe_seen(&self, seen: watch::Seen) -> bool {
        let probes = lock(&self.probes).clone();
        for (device, number) in probes {
            let Some(config) = self.config.health.devices.get(&device) else {
                continue;
            };
            let input = match seen {
                watch::Seen::Handshake { port } => {
                    if config.tcp.is_none() || watch::PROBE_PORTS | number as u16 & 0x1FFF != port {
                        continue;
                    }
                    Input::Answer {
                        device,
                        probe: number,
                    }
                }
                watch::Seen::Heartbeat { dport, number: of } => {
                    let Some(heartbeat) = &config.heartbeat else {
                        continue;
                    };
                    if of != number {
                        continue;
                    }
                    match heartbeat.blocked_port == Some(dport) {
                        true => Input::Leak { device, probe: of },
                        false => Input::Answer { device, probe: of },
                    }
                }
            };
            self.judge_health(input);
            return true;
        }
        false
    }
}
