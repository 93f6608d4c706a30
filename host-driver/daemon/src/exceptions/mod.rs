//! What becomes of packets the card gives to the host.
//!
//! | reason | what is done |
//! | --- | --- |
//! | `arp`, `nd`, `dhcp`, `multicast`, `local` | to the kernel, by the TAP of the interface |
//! | `icmp_error` | to the kernel if it is for the engine; else after the packet it is about ([`errors`]) |
//! | `fragment` | after its first part, where that is certain ([`fragments`]) |
//! | `too_big` | an ICMP error to the sender ([`answers`]) |
//! | `ttl` | an ICMP error to the sender ([`answers`]) |
//! | all others | nothing; the card has counted them |
//!
//! Nothing here keeps anything of a packet when it is done with it.

pub mod answers;
pub mod errors;
pub mod fragments;
pub mod words;

use seqnic_card::{FromHost, ToHost, Way};
use seqnic_compiler::definition::Definition;
use seqnic_model::parse::{Headers, parse};
use seqnic_model::verdict::Verdict;
use seqnic_model::{Tables, edit};
use seqnic_spec::reason::Reason;
use std::time::{Duration, Instant};

/// What was done with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// For the kernel, by the TAP of this interface.
    Kernel(u16),
    /// Sent on, or answered: frames that leave.
    Sent(Vec<FromHost>),
    Dropped(&'static str),
}

impl Deed {
    pub fn name(&self) -> &'static str {
        match self {
            Deed::Kernel(_) => "to_kernel",
            Deed::Sent(_) => "sent",
            Deed::Dropped(why) => why,
        }
    }
}

/// What is asked about a packet: the tables the card has, and the definition behind them.
pub struct Known<'a> {
    pub tables: &'a Tables,
    pub definition: &'a Definition,
}

impl Known<'_> {
    /// What to do with a packet. Frames of [`Deed::Sent`] are not counted by the card as its own.
    pub fn deed(&self, packet: &ToHost) -> Deed {
        let Some(interface) = packet.interface else {
            return Deed::Dropped("no_interface");
        };
        let h = parse(&packet.frame, self.tables.decap(packet.port));
        match packet.reason {
            Reason::Arp
            | Reason::NeighbourDiscovery
            | Reason::Dhcp
            | Reason::Multicast
            | Reason::Local => Deed::Kernel(interface),
            Reason::IcmpError if self.is_own(h.destination().value, h.v6) => {
                Deed::Kernel(interface)
            }
            Reason::IcmpError => errors::direct(self, packet, &h),
            Reason::Fragment => fragments::direct(self, packet, &h),
            Reason::TooBig => answers::too_big(self, packet, &h, interface),
            Reason::Ttl => answers::expired(self, packet, &h, interface),
            _ => Deed::Dropped("no_use"),
        }
    }

    /// Whether an address is the engine's own.
    fn is_own(&self, value: u128, v6: bool) -> bool {
        let known = self.definition.interfaces.iter().flat_map(|i| &i.addresses);
        known.into_iter().any(|(a, _)| number(*a) == (v6, value))
    }

    /// The copies of a packet that has headers `h` on the wire and is directed as `verdict` says.
    fn copies(&self, frame: &[u8], h: &Headers, verdict: &Verdict) -> Vec<FromHost> {
        edit::plans(self.tables, h, verdict)
            .filter(|plan| plan.unsent(h).is_none())
            .filter_map(|plan| {
                let mut out = vec![0; plan.length(h)];
                plan.write(h, frame, &mut out).ok()?;
                Some(FromHost {
                    way: Way::Out,
                    port: plan.to.port,
                    frame: out,
                })
            })
            .collect()
    }
}

/// An address as the tables have it: whether it is IPv6, and its bits.
pub fn number(address: std::net::IpAddr) -> (bool, u128) {
    match address {
        std::net::IpAddr::V4(a) => (false, u32::from(a).into()),
        std::net::IpAddr::V6(a) => (true, a.into()),
    }
}

/// So many in a second, and no burst beyond that.
#[derive(Debug)]
pub struct Limit {
    every: Duration,
    burst: Duration,
    /// When the next one conforms (generic cell rate algorithm).
    due: Instant,
}

impl Limit {
    pub fn new(a_second: u32, now: Instant) -> Limit {
        Limit {
            every: Duration::from_secs(1) / a_second.max(1),
            burst: Duration::from_millis(100),
            due: now,
        }
    }

    pub fn allows(&mut self, now: Instant) -> bool {
        if self.due > now + self.burst {
            return false;
        }
        self.due = self.due.max(now) + self.every;
        true
    }
}
