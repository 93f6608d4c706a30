//! Which of two versions of the tables holds: the one word that changes everything at once.
//!
//! A packet takes the epoch as its header enters the tables and keeps it to its last copy. So
//! whatever is written for the other epoch is met by no packet before the flip, and what held
//! before it by none that enters after. Rows may be used again once no packet of the other
//! epoch is inside; the module counts them, as no number of clocks bounds how long a frame whose
//! sender pauses stays.

use seqnic_gen::{Circuit, GenError, Module, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{EPOCH_ROW, Table};

use super::{CONFIG_READ_CLOCKS, Config, data_is_late};
use crate::header::{PARTS, comes_in_parts, part_stage};

/// Clocks from an order for the last copy to the last row that is read for it, with some to spare
/// (`prepare` is a test's business: `rows_are_read_before_the_packet_counts_as_gone`).
pub const TAIL: u32 = 16;

/// Clocks from a header's first part to that in which it is counted. Where it comes in parts, whether it is a header at all is
/// known so late in the clock of the last one that it is counted in the next.
fn counted(g: &Geometry) -> u32 {
    part_stage(g, PARTS - 1) + u32::from(comes_in_parts(g))
}

/// The epoch: module `table_epoch`.
///
/// | port | bits | |
/// | --- | --- | --- |
/// | `enter` | 1 | a header has entered the tables; its epoch is that of [`part_stage`] of the last part clocks ago |
/// | `leave`, `leave_epoch` | 1, 1 | the last copy of a packet has been ordered, and its epoch |
/// | `epoch` | 1 | the epoch that holds |
///
/// and the configuration bus: row 0 is the epoch, row 1 (only read) says whether a packet of the
/// other epoch is inside.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("table_epoch");
    m.doc(
        "Which of two versions of the tables holds, and whether a packet of the other is inside.",
    );
    let enter = m.input("enter", 1);
    let leave = m.input("leave", 1);
    let leave_epoch = m.input("leave_epoch", 1);
    let config = Config::inputs(&m, g, EPOCH_ROW.width());

    let epoch = m.reg("now", 1, 0);
    epoch.set_when(config.sets(Table::Epoch, 0), config.wdata);

    let gone = leave.as_valid().delay(TAIL);
    let gone_epoch = leave_epoch.delay(TAIL);
    let most = g.header_slots + TAIL + 2;
    let behind = counted(g);
    let enter = match comes_in_parts(g) {
        true => enter.as_valid().reg(),
        false => enter,
    };
    let entered = epoch.q().delay(behind);
    let of = [!entered, entered];
    let gone_of = [!gone_epoch, gone_epoch];
    let inside = [0, 1].map(|e| {
        let count = m.reg(&format!("inside{e}"), clog2(most + 1), 0);
        let (more, fewer) = (enter & of[e], gone & gone_of[e]);
        let width = count.width();
        count.set(count.q() + more.zext(width) - fewer.zext(width));
        m.assert(
            &format!("inside{e}_in_range"),
            count.q().le(m.lit(width, most.into())),
        );
        count.q().any()
    });
    // What has just entered is not counted yet: so long after a flip it may be of the epoch before.
    let changed: Vec<_> = (1..=behind)
        .map(|n| epoch.q() ^ epoch.q().delay(n))
        .collect();
    let other = epoch.q().mux(inside[0], inside[1]);
    let draining = match changed.is_empty() {
        true => other,
        false => other | m.or(&changed),
    };
    let draining = draining.named("draining");

    // A read behind a write is answered what was written.
    let late = u32::from(data_is_late(g));
    let asked = |row| {
        let asked = config.read & config.row_is(Table::Epoch, row);
        asked.as_valid().delay(late)
    };
    let answer = epoch.q().when(asked(0)) | draining.when(asked(1));
    m.output("epoch", epoch.q());
    m.output(
        "cfg_rdata",
        answer.as_valid().delay(CONFIG_READ_CLOCKS - late),
    );
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use seqnic_gen::Sim;
    use seqnic_spec::layout::Row;
    use std::collections::VecDeque;

    #[test]
    fn packets_of_the_other_epoch_are_known_until_they_are_gone() {
        for g in [&SMALL, &DEEP] {
            known_until_gone(g);
        }
    }

    fn known_until_gone(g: &Geometry) {
        let behind = part_stage(g, PARTS - 1) as usize;
        let mut sim = Sim::new(&build(g).unwrap());
        sim.reset();
        let mut random = Random::new(1);
        // Epoch of each packet inside, and those that have left with the clock they are gone.
        let (mut inside, mut leaving) = (VecDeque::new(), Vec::new());
        let mut epoch = 0u64;
        // That of each clock so far.
        let mut epochs = vec![0; behind];
        let mut seen = [0; 2];
        for _ in 0..300 {
            // A round in which more enter than leave fills the queue, so that the other epoch stays for
            // long; one in which fewer do empties it.
            let pause = random.pick(&[2, 5]);
            for _ in 0..random.below(60) {
                let room = inside.len() < g.header_slots as usize;
                let enter = room && random.below(6) >= pause;
                let leave = !inside.is_empty() && random.one_in(2);
                sim.set("enter", enter.into());
                sim.set("leave", leave.into());
                sim.set("leave_epoch", *inside.front().unwrap_or(&0));
                assert_eq!(sim.get("epoch"), epoch);
                if leave {
                    let of = inside.pop_front().unwrap();
                    leaving.push((of, sim.cycle() + u64::from(TAIL) + 1));
                }
                epochs.resize(behind + sim.cycle() as usize + 1, epoch);
                if enter {
                    inside.push_back(epochs[sim.cycle() as usize]);
                }
                sim.step();
            }
            sim.set("enter", 0);
            sim.set("leave", 0);
            leaving.retain(|(_, gone)| *gone > sim.cycle());
            let other = |e: &u64| *e != epoch;
            // So soon behind a flip one that is not counted yet may be of the other.
            epochs.resize(behind + sim.cycle() as usize + 1, epoch);
            let soon = epochs.iter().rev().take(counted(g) as usize + 1).any(other);
            let expected =
                soon || inside.iter().any(other) || leaving.iter().any(|(e, _)| other(e));
            let found = read_row(&mut sim, g, Table::Epoch, 1).get(0, 1) == 1;
            assert_eq!(found, expected);
            seen[usize::from(found)] += 1;
            let now = read_row(&mut sim, g, Table::Epoch, 0);
            assert_eq!(now.get(0, 1), epoch.into());
            if !found || random.one_in(4) {
                epochs.resize(behind + sim.cycle() as usize + 1, epoch);
                epoch = 1 - epoch;
                write_row(
                    &mut sim,
                    Table::Epoch,
                    0,
                    &Row::from_words(EPOCH_ROW.width(), &[epoch]),
                );
            }
        }
        assert!(seen[0] > 50 && seen[1] > 50, "{seen:?}");
    }

    /// A header that has begun its way and is not counted yet holds the old epoch.
    #[test]
    fn a_header_in_parts_has_the_epoch_of_its_first() {
        let behind = u64::from(part_stage(&DEEP, PARTS - 1));
        for first in 0..=behind {
            let mut sim = Sim::new(&build(&DEEP).unwrap());
            sim.reset();
            let row = Row::from_words(EPOCH_ROW.width(), &[1]);
            // The first part comes so many clocks before the flip is written: it takes the old epoch.
            for clock in 0..=behind + 40 {
                sim.set("enter", u64::from(clock == behind));
                match clock {
                    _ if clock == first => config_write(&mut sim, Table::Epoch, 0, &row),
                    _ => {
                        config_idle(&mut sim);
                        sim.set("cfg_read", u64::from(clock > first));
                        sim.set("cfg_table", Table::Epoch as u64);
                        sim.set("cfg_row", 1);
                    }
                }
                if clock > first + u64::from(CONFIG_READ_CLOCKS) {
                    assert_eq!(sim.get("cfg_rdata"), 1, "clock {clock}, {first}");
                }
                sim.step();
            }
            assert_eq!(sim.get("inside0"), 1);
        }
    }

    #[test]
    fn rows_are_read_before_the_packet_counts_as_gone() {
        for g in seqnic_spec::geometry::ALL {
            let prepare = crate::prepare::prepare(g).unwrap();
            assert!(prepare.latency().unwrap() + 2 <= TAIL, "{}", g.name);
        }
    }
}
