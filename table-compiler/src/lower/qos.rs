//! Rates, priorities and queues: `docs/semantics.md` section 8.

use super::model::{HostLimitRow, MeterRow, Model, QueueRow};
use crate::definition::{Definition, HostLimit, Qos, Rate, Share, Take};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{OUTPUT_QUEUES, PRIORITIES, time};

/// Units of a second.
const SECOND: u128 = 1_000_000_000 << time::FRACTION_BITS;

/// Time of one of `rate` a second, rounded up: a service never gets more than its rate.
fn cost(units: u128, rate: u64) -> u64 {
    (units * SECOND).div_ceil(rate.into()) as u64
}

pub(super) fn meter(rate: Rate) -> MeterRow {
    let cost = cost(8, rate.bits);
    MeterRow {
        cost,
        tolerance: cost * rate.burst,
    }
}

fn host_limit(limit: &HostLimit) -> HostLimitRow {
    let row = HostLimitRow {
        priority: limit.priority,
        ..HostLimitRow::default()
    };
    match limit.take {
        Take::All => row,
        Take::None => HostLimitRow {
            closed: true,
            ..row
        },
        Take::Rate { packets, burst } => {
            let cost = cost(1, packets);
            HostLimitRow {
                limited: true,
                cost,
                // The first of a burst needs no tolerance.
                tolerance: cost * (burst - 1),
                ..row
            }
        }
    }
}

/// The rows of `queue`: every output's are the same. With one queue there is nothing to say.
fn queues(qos: &Qos, g: &Geometry) -> Vec<QueueRow> {
    if g.queues == 1 {
        return Vec::new();
    }
    let mut one = vec![QueueRow::default(); OUTPUT_QUEUES as usize];
    for (priority, share) in (0..PRIORITIES).zip(qos.queues) {
        let row = &mut one[g.queue(priority) as usize];
        match share {
            Share::Strict => row.strict = true,
            Share::Weight(weight) => row.weight = row.weight.max(weight),
        }
    }
    (0..=g.host_port())
        .flat_map(|_| one.iter().copied())
        .collect()
}

/// Tables that hold for the whole card.
pub(super) fn rows(definition: &Definition, model: &mut Model) {
    let qos = &definition.qos;
    model.dscp = qos.dscp.to_vec();
    model.host_limits = qos.host.iter().map(host_limit).collect();
    model.queues = queues(qos, definition.geometry);
}
