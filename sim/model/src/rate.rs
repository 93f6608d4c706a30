//! Meters and limits to the host (`docs/semantics.md` section 8): when the next packet of each is due.

use crate::edit;
use crate::memory;
use crate::parse::Headers;
use crate::tables::Tables;
use crate::verdict::Verdict;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::time;

/// Units of 2^-16 ns since the start: 80 bits.
type Time = u128;

/// The states of all meters and limits of a geometry.
#[derive(Debug, Clone)]
pub struct Rates {
    meters: Vec<Time>,
    host: [Time; Reason::ALL.len()],
}

impl Rates {
    pub fn new(geometry: &Geometry) -> Rates {
        Rates {
            meters: memory::table(0, geometry.meter_rows as usize),
            host: [0; Reason::ALL.len()],
        }
    }

    /// Whether a packet that came at `at` (ns) keeps the rate of meter `number`; 0 has none.
    #[inline(always)]
    pub fn keeps(&mut self, tables: &Tables, number: u16, h: &Headers, at: u64) -> bool {
        const MOST: u32 = (1 << time::BYTES_BITS) - 1;
        match self.meters.get_mut(usize::from(number)) {
            Some(due) if number != 0 => {
                let meter = tables.meter(number);
                let charge = Time::from(meter.cost) * Time::from(h.ip_length.min(MOST));
                conforms(due, at, charge, meter.tolerance)
            }
            _ => true,
        }
    }

    /// Whether the host takes a packet with this reason that came at `at` (ns).
    #[inline(always)]
    pub fn host_takes(&mut self, tables: &Tables, reason: Reason, at: u64) -> bool {
        let limit = tables.host_limit(reason);
        let due = self.host.get_mut(reason as usize);
        match due {
            _ if limit.closed => false,
            Some(due) if limit.limited => conforms(due, at, limit.cost.into(), limit.tolerance),
            _ => true,
        }
    }

    /// What the host would have been sent of a frame that was cut off counts with the others.
    pub fn oversize(&mut self, tables: &Tables, h: &Headers, verdict: &Verdict, at: u64) {
        if verdict.reason != Reason::Directed {
            self.host_takes(tables, verdict.reason, at);
            return;
        }
        let plans = (0..verdict.step.copies).map_while(|n| edit::plan(tables, h, verdict, n));
        for reason in plans.filter_map(|plan| plan.unsent(h)) {
            self.host_takes(tables, reason, at);
        }
    }
}

/// GCRA as virtual scheduling: on time if not earlier than due less the tolerance.
#[inline(always)]
fn conforms(due: &mut Time, at: u64, charge: Time, tolerance: u64) -> bool {
    let now = Time::from(at) << time::FRACTION_BITS;
    let on_time = *due <= now + Time::from(tolerance);
    if on_time {
        *due = now.max(*due) + charge;
    }
    on_time
}
