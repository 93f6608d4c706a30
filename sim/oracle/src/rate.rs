//! Rates: `docs/semantics.md` section 8, from the definition's own words.

use seqnic_compiler::definition::{Definition, Rate, Take};
use seqnic_spec::reason::Reason;
use std::collections::HashMap;

/// Units of time in a second: 2^-16 ns.
const SECOND: u128 = 1_000_000_000 << 16;

/// When the next packet of each is due, in 2^-16 ns.
#[derive(Debug, Default)]
pub struct Rates {
    /// By place of the service in the definition.
    services: HashMap<usize, u128>,
    reasons: HashMap<Reason, u128>,
}

/// A bucket: whether a packet in time, which is charged then.
fn in_time(due: &mut u128, time: u64, tolerance: u128, charge: u128) -> bool {
    let now = u128::from(time) * (1 << 16);
    if *due > now + tolerance {
        return false;
    }
    *due = (*due).max(now) + charge;
    true
}

impl Rates {
    /// Whether a service with this rate may have a packet of `length` bytes of IP at `time` (ns).
    pub fn service(&mut self, service: usize, rate: Rate, length: usize, time: u64) -> bool {
        let a_byte = (8 * SECOND).div_ceil(rate.bits.into());
        let due = self.services.entry(service).or_default();
        let length = length.min(16383) as u128;
        in_time(due, time, a_byte * u128::from(rate.burst), a_byte * length)
    }

    /// Whether the host takes one more packet with this reason at `time` (ns).
    pub fn host(&mut self, definition: &Definition, reason: Reason, time: u64) -> bool {
        match definition.qos.host[reason as usize].take {
            Take::All => true,
            Take::None => false,
            Take::Rate { packets, burst } => {
                let one = SECOND.div_ceil(packets.into());
                let due = self.reasons.entry(reason).or_default();
                in_time(due, time, one * u128::from(burst - 1), one)
            }
        }
    }
}
