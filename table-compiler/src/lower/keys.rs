//! Which address and port finds which class: the port tables and the range rows.
//!
//! Every look *claims* ports of an address for a question. Claims of one address and question that
//! overlap are told apart by rank (named ports, every port of a protocol, every protocol), and
//! only if the answers are, too.

use super::Lowering;
use super::attached::role_devices;
use super::model::{PortRow, RangeSlot};
use super::service::{Current, Group, Look};
use crate::definition::{DeviceId, KeyedBy, Ports};
use crate::diagnostic::Diagnostic;
use seqnic_spec::tables::{RANGE_SLOTS, Table};
use std::collections::HashSet;
use std::net::IpAddr;

/// Widest range that is spelled out as exact rows when an address has more ranges than slots.
const MAX_SPELLED_OUT: u32 = 4096;

/// Places of the questions in `Table::PORTS`.
mod role {
    pub const DST_SERVER: u8 = 0;
    pub const SRC_SERVER: u8 = 1;
    pub const DST_CLIENT: u8 = 2;
    pub const SRC_CLIENT: u8 = 3;
}

/// How a claim ranks against others that hold the same packet; the lowest wins.
mod rank {
    pub const NAMED_PORTS: u8 = 0;
    pub const EVERY_PORT: u8 = 1;
    pub const EVERY_PROTOCOL: u8 = 2;
}

/// Ports of an address, claimed for a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    scope: u32,
    role: u8,
    rank: u8,
    /// 0 with every protocol.
    protocol: u8,
    first: u16,
    last: u16,
    class: u32,
    service: u32,
    /// What an answer becomes: scope of the address, and the shift of the ports. Two claims that
    /// agree here are told apart going out as they are coming back.
    answer: (u32, u16),
    /// The NAT mode end that answers from this address.
    server: Option<DeviceId>,
}

impl Claim {
    fn ports(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether the port or address is the engine's making, not the definition's.
    fn translated(&self) -> bool {
        self.server.is_some() || self.answer.1 != 0
    }

    fn meets(&self, other: &Claim) -> bool {
        let every = |c: &Claim| c.rank == rank::EVERY_PROTOCOL;
        let protocols = self.protocol == other.protocol || every(self) || every(other);
        protocols && self.first <= other.last && other.first <= self.last
    }

    fn slot(&self) -> RangeSlot {
        RangeSlot {
            role: self.role,
            protocol: (self.rank != rank::EVERY_PROTOCOL).then_some(self.protocol),
            first: self.first,
            last: self.last,
            class: self.class,
        }
    }

    fn is_exact(&self) -> bool {
        self.rank == rank::NAMED_PORTS && self.first == self.last
    }
}

impl<'d> Lowering<'d> {
    /// Claims of the classes of a group.
    pub(super) fn keys(&mut self, current: &Current<'d>, group: &Group, looks: &[Look]) {
        let roles = match current.service.keyed_by {
            KeyedBy::Destination => [role::DST_SERVER, role::SRC_SERVER],
            KeyedBy::Client => [role::SRC_CLIENT, role::DST_CLIENT],
        };
        for look in looks {
            let mut seen: Vec<IpAddr> = Vec::new();
            for member in &group.members {
                let address = current.stages[look.stage].addresses[*member];
                if !seen.contains(&address) {
                    seen.push(address);
                    let scope = self.scope(address);
                    for role in roles {
                        self.claim(current, look, address, (scope, scope), role, None);
                    }
                }
            }
        }
        let end = current.ways.end.as_ref().filter(|_| current.ways.nat);
        let Some(end) = end else { return };
        let of_end = |l: &&Look| (l.stage, l.shift) == (end.stage, end.shift);
        let Some(look) = looks.iter().find(of_end) else {
            return;
        };
        let restored = self.scope(group.address);
        for id in role_devices(end.role) {
            let device = &self.definition.devices[id];
            if let Some(own) = device.address_like(group.address) {
                let scope = self.scope(own);
                let server = Some(id);
                self.claim(
                    current,
                    look,
                    own,
                    (scope, restored),
                    role::SRC_SERVER,
                    server,
                );
            }
        }
    }

    fn scope(&mut self, address: IpAddr) -> u32 {
        self.scopes.insert_full(address).0 as u32 + 1
    }

    fn claim(
        &mut self,
        current: &Current,
        look: &Look,
        address: IpAddr,
        (scope, answer): (u32, u32),
        role: u8,
        server: Option<DeviceId>,
    ) {
        let protocol = current.service.protocol.number(address);
        let mut push = |rank, first, last| {
            self.claims.push(Claim {
                scope,
                role,
                rank,
                protocol: protocol.unwrap_or(0),
                first,
                last,
                class: look.class,
                service: current.number,
                answer: (answer, look.shift),
                server,
            });
        };
        let rank = |otherwise| match protocol {
            None => rank::EVERY_PROTOCOL,
            Some(_) => otherwise,
        };
        match &look.ports {
            Ports::Any => push(rank(rank::EVERY_PORT), 0, u16::MAX),
            Ports::Ranges(ranges) => {
                for (first, last) in ranges {
                    let rank = rank(rank::NAMED_PORTS);
                    if (*first, *last) == (0, u16::MAX) {
                        // A slot from 0 to 65535 would hold later fragments, which have no port.
                        push(rank, 0, u16::MAX - 1);
                        push(rank, u16::MAX, u16::MAX);
                    } else {
                        push(rank, *first, *last);
                    }
                }
            }
        }
    }

    /// Turns all claims into rows, address by address.
    pub(super) fn place_keys(&mut self) {
        let mut claims = std::mem::take(&mut self.claims);
        claims.sort_unstable();
        // One class may claim the same twice: two primaries' alternates, two addresses become one.
        claims.dedup_by_key(|c| {
            (
                c.scope, c.role, c.rank, c.protocol, c.first, c.last, c.class,
            )
        });
        let mut reported = HashSet::new();
        let mut range_of = vec![None; self.scopes.len()];
        for of_scope in claims.chunk_by(|a, b| a.scope == b.scope) {
            for of_role in of_scope.chunk_by(|a, b| a.role == b.role) {
                self.conflicts(of_role, &mut reported);
            }
            let row = self.scope_rows(of_scope);
            range_of[of_scope[0].scope as usize - 1] = row;
        }
        let classes = &self.model.classes;
        let asked = claims
            .iter()
            .map(|c| (c.scope, classes[c.class as usize].set.set));
        let asked: Vec<(u32, u32)> = asked.filter(|(_, set)| *set > 0).collect();
        let rules_of = self.rules(&asked);
        self.address_rows(&range_of, &rules_of);
    }

    /// Reports claims of one address and question that hold the same packet without saying whose
    /// it is.
    fn conflicts(&mut self, claims: &[Claim], reported: &mut HashSet<(&'static str, u32, u32)>) {
        let mut found: Vec<(&Claim, &Claim)> = Vec::new();
        let same = |a: &Claim, b: &Claim| (a.rank, a.protocol) == (b.rank, b.protocol);
        for equals in claims.chunk_by(same) {
            // Sorted by first port: only the one reaching furthest can meet the next.
            let mut furthest = &equals[0];
            for claim in &equals[1..] {
                if furthest.meets(claim) && furthest.class != claim.class {
                    found.push((furthest, claim));
                }
                if claim.last > furthest.last {
                    furthest = claim;
                }
            }
        }
        // Of different ranks the stronger wins, and gets the answers only if they show it.
        let named = claims.partition_point(|c| c.rank == rank::NAMED_PORTS);
        for (at, wide) in claims.iter().enumerate().skip(named) {
            for claim in &claims[..at] {
                let ranked = claim.rank < wide.rank && claim.class != wide.class;
                // Looks that nothing is translated for mirror each other as they are.
                let mirrored =
                    claim.answer == wide.answer && claim.server.is_some() == wide.server.is_some();
                if ranked && !mirrored && claim.meets(wide) {
                    found.push((claim, wide));
                }
            }
        }
        for (a, b) in found {
            let code = match a.translated() || b.translated() {
                true => "ambiguous_answer",
                false => "ambiguous_look",
            };
            let pair = (a.service.min(b.service), a.service.max(b.service));
            if reported.insert((code, pair.0, pair.1)) {
                let finding = self.conflict(code, a, b);
                self.findings.push(finding);
            }
        }
    }

    fn conflict(&self, code: &'static str, a: &Claim, b: &Claim) -> Diagnostic {
        let services = &self.definition.services;
        let (one, two) = match a.service <= b.service {
            true => (&services[a.service as usize], &services[b.service as usize]),
            false => (&services[b.service as usize], &services[a.service as usize]),
        };
        let address = self.scopes[a.scope as usize - 1];
        let narrow = if a.ports() <= b.ports() { a } else { b };
        let ports = match (narrow.first, narrow.last) {
            (0, u16::MAX) => String::from("any port"),
            (first, last) if first == last => format!("port {first}"),
            (first, last) => format!("ports {first} to {last}"),
        };
        let whose = match one.name == two.name {
            true => format!("two parts of the way of service `{}`", one.name),
            false => format!("service `{}` or service `{}`", one.name, two.name),
        };
        let server = a.server.or(b.server);
        let (message, help) = match server.map(|id| &self.definition.devices[id].name) {
            Some(server) => (
                format!(
                    "answers of NAT mode server `{server}` from {address}, {ports}, could belong to {whose}"
                ),
                format!(
                    "put `{server}` into alias or loopback mode, or give one of the services another address or port (`port`) on the server"
                ),
            ),
            None if code == "ambiguous_answer" => (
                format!(
                    "packets with {address}, {ports}, could be those of a device with a `port` of its own, and belong to {whose}"
                ),
                String::from("choose a `port` that no other service of this address has"),
            ),
            None => (
                format!("packets with {address}, {ports}, could belong to {whose}"),
                String::from(
                    "give each of them an address or ports of its own, also behind devices that change them (`then`)",
                ),
            ),
        };
        Diagnostic::new(code, message, one.span, help).also(two.span, "the other one")
    }

    /// Exact rows of an address, and its range row if it needs one.
    fn scope_rows(&mut self, claims: &[Claim]) -> Option<u32> {
        let (exact, mut ranges): (Vec<&Claim>, Vec<&Claim>) =
            claims.iter().partition(|c| c.is_exact());
        for claim in exact {
            self.port_row(claim, claim.first);
        }
        // The order of the slots is the rank; within it the narrowest first.
        ranges.sort_by_key(|c| (c.rank, c.ports(), **c));
        let over = ranges.len().saturating_sub(RANGE_SLOTS as usize);
        let (spelled_out, slots) = ranges.split_at(over);
        let possible = |c: &&&Claim| c.rank == rank::NAMED_PORTS && c.ports() <= MAX_SPELLED_OUT;
        if !spelled_out.iter().all(|c| possible(&c)) {
            let finding = self.too_many_ranges(&ranges);
            self.findings.push(finding);
            return None;
        }
        for claim in spelled_out {
            for port in claim.first..=claim.last {
                self.port_row(claim, port);
            }
        }
        if slots.is_empty() {
            return None;
        }
        self.model
            .ranges
            .push(slots.iter().map(|c| c.slot()).collect());
        Some(self.model.ranges.len() as u32 - 1)
    }

    fn port_row(&mut self, claim: &Claim, port: u16) {
        self.model.ports[claim.role as usize].push(PortRow {
            scope: claim.scope,
            protocol: claim.protocol,
            port,
            class: claim.class,
        });
    }

    fn too_many_ranges(&self, ranges: &[&Claim]) -> Diagnostic {
        let address = self.scopes[ranges[0].scope as usize - 1];
        let wide = |c: &&&Claim| c.rank != rank::NAMED_PORTS || c.ports() > MAX_SPELLED_OUT;
        let wide: Vec<_> = ranges.iter().filter(wide).collect();
        let mut services: Vec<u32> = wide.iter().map(|c| c.service).collect();
        services.sort_unstable();
        services.dedup();
        let service = |n: &u32| &self.definition.services[*n as usize];
        let finding = Diagnostic::new(
            "too_many_ranges",
            format!(
                "address {address} asks for {} port ranges too wide to spell out (\"any\", or more than {MAX_SPELLED_OUT} ports), a service's for each direction; the `{}` table has {RANGE_SLOTS}",
                wide.len(),
                Table::Range.name()
            ),
            service(&services[0]).span,
            format!(
                "join or narrow ranges to {MAX_SPELLED_OUT} ports or fewer, or move some of the services to another address"
            ),
        );
        services[1..].iter().fold(finding, |f, n| {
            f.also(
                service(n).span,
                format!("`{}` asks for one too", service(n).name),
            )
        })
    }
}
