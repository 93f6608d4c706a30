//! How many exceptions does the host take? Beside the editor: what is over its reason's limit is
//! dropped whole where it would go to the host's queue.

use super::{buffer, editor};
use crate::header::gcra::{self, Charge};
use crate::tables::{Config, direct, read_clocks};
use seqnic_gen::{Circuit, GenError, Module};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::REASON_BITS;
use seqnic_spec::tables::{Table, width};

/// Clocks from a copy's first slot to its first beat at `dispatch`, and to the answer here.
pub const LATENCY: u32 = editor::LATENCY;
/// Clocks to `rank`, by which the queue is chosen.
const RANK: u32 = LATENCY - super::dispatch::DECIDED_BEFORE;

/// Takes `starts` (the slot is a copy's first) and of the copy's edit, with every slot, `reason`, `tag` and `own_rank` (its priority). Gives,
/// [`LATENCY`] clocks later and beside every beat of the copy, `limited` (drop it) and a clock before that `rank`: the priority of
/// the reason, or the copy's own if it does not go to the host. And the configuration bus.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::HostLimit;
    let m = Module::new("host_limit");
    m.doc("Limits to the host by reason, and the priority of what goes there.");
    let starts = m.input("starts", 1).as_valid();
    let reason = m.input("reason", REASON_BITS);
    let tag = m.input("tag", 64);
    let priority = m.input("own_rank", width::PRIORITY);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let index = reason.trunc(direct::index_bits(g, table));
    let mut ports = vec![("index", index)];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &direct::direct_table(table, g)?, &ports);

    let known = read_clocks(g, table);
    let left = LATENCY - known;
    let row = lookup
        .get("row")
        .with_record(&super::record(&seqnic_spec::tables::HOST_LIMIT_ROW));
    let exception = reason.any().delay(known).named("exception");
    let starts = starts.delay(known).named("starts_here");
    let (by_rate, closed) = (row.field("limited"), row.field("closed"));
    let ports = [
        ("asked", starts & exception & by_rate & !closed),
        ("row", index.delay(known)),
        ("arrived", tag.delay(known)),
        ("cost", row.field("cost")),
        ("tolerance", row.field("tolerance")),
    ];
    let states = m.instance(
        "states",
        &gcra::build(g.rows(table), Charge::Packets, buffer::copies_apart(g))?,
        &ports,
    );
    let [by_rate, closed] = [by_rate, closed].map(|row| (exception & row).as_valid().delay(left));
    let over = (by_rate & !states.get("conforms")) | closed;
    let held = m.reg("held", 1, 0);
    let starts = starts.delay(left);
    let limited = starts.mux(over, held.q()).named("decided");
    held.set(limited);
    let own = priority.delay(known);
    m.output("limited", limited);
    m.output(
        "rank",
        exception
            .mux(row.field("priority"), own)
            .delay(RANK - known),
    );
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}

const _: () = assert!(
    1 + Charge::Packets.latency() == LATENCY,
    "the rows are read in one clock"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::built;
    use crate::testing::{Random, SMALL, read_row, write_row};
    use seqnic_gen::Sim;
    use seqnic_spec::layout::Row;
    use seqnic_spec::tables::HOST_LIMIT_ROW;
    use std::collections::VecDeque;

    /// Of each reason: limited, closed, priority, cost, tolerance.
    fn rows() -> Vec<(u64, u64, u64, u64, u64)> {
        let row = |n: u64| (n & 1, u64::from(n % 8 == 6), n % 7, 1_000_000 + n, n << 19);
        (0..32).map(row).collect()
    }

    #[test]
    fn copies_are_limited_by_their_reason() {
        let mut sim = Sim::new(&built(build(&SMALL)));
        let mut random = Random::new(1);
        sim.reset();
        let rows = rows();
        for (number, (limited, closed, priority, cost, tolerance)) in rows.iter().enumerate() {
            let mut row = Row::zero(HOST_LIMIT_ROW.width());
            for (name, value) in [
                ("limited", limited),
                ("closed", closed),
                ("priority", priority),
                ("cost", cost),
                ("tolerance", tolerance),
            ] {
                row.set_field(&HOST_LIMIT_ROW, 0, name, (*value).into());
            }
            write_row(&mut sim, Table::HostLimit, number as u32, &row);
            let back = read_row(&mut sim, &SMALL, Table::HostLimit, number as u32);
            assert_eq!(back, row);
        }
        let mut due = [0u128; 32];
        let mut waiting = VecDeque::from(vec![None; LATENCY as usize + 1]);
        let (mut now, mut seen) = (0u64, [0; 3]);
        for _ in 0..4000 {
            // A copy: its slots are beside each other or not, and each has its edit.
            now += random.below(40);
            let reason = random.pick(&[0, 0, 5, 6, 7, 14, 21]);
            let (limited, closed, priority, cost, tolerance) = rows[reason as usize];
            let own = random.below(8);
            let t = u128::from(now) << 16;
            let state = &mut due[reason as usize];
            let over = limited == 1 && *state > t + u128::from(tolerance);
            let drop = reason != 0 && (closed == 1 || over);
            if reason != 0 && limited == 1 && closed == 0 && !over {
                *state = t.max(*state) + u128::from(cost);
            }
            seen[if reason == 0 { 2 } else { usize::from(drop) }] += 1;
            let expected = (drop, if reason == 0 { own } else { priority });
            for slot in 0..1 + random.below(3) {
                while random.one_in(4) {
                    sim.set("starts", 0);
                    waiting.push_back(None);
                    look(&mut sim, &mut waiting);
                }
                sim.set("starts", u64::from(slot == 0));
                sim.set("reason", reason);
                sim.set("tag", now);
                sim.set("own_rank", own);
                waiting.push_back(Some(expected));
                look(&mut sim, &mut waiting);
            }
        }
        assert!(seen.iter().all(|n| *n > 300), "{seen:?}");
    }

    fn look(sim: &mut Sim, waiting: &mut VecDeque<Option<(bool, u64)>>) {
        waiting.pop_front();
        if let Some((limited, _)) = waiting[0] {
            assert_eq!(
                sim.get("limited"),
                u64::from(limited),
                "clock {}",
                sim.cycle()
            );
        }
        if let Some((_, rank)) = waiting[(LATENCY - RANK) as usize] {
            assert_eq!(sim.get("rank"), rank);
        }
        sim.step();
    }
}
