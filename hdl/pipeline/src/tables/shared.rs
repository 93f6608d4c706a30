//! Memories with one read port for the pipeline and the configuration bus, where headers are some clocks apart.
//!
//! A memory of look-up tables has one read port; a second is the memory once more, and on small FPGAs wide tables of few
//! rows are most of what is in look-up tables. The pipeline reads in few clocks of those between two headers, and never in two
//! behind each other; the bus reads in one of the others, a clock later at most. Its row is kept until all words of it are answered,
//! so its reads are [`CONFIG_READS_APART`] or more.

use seqnic_gen::{Module, RamStyle, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{MAX_ROW_BITS, Table};

use super::{CONFIG_READ_CLOCKS, Config, WORD_BITS, memory, word_by_word};

/// Clocks between two reads of the configuration bus where headers are some clocks apart.
pub const CONFIG_READS_APART: u32 = CONFIG_READ_CLOCKS + MAX_ROW_BITS / WORD_BITS;

/// Whether the table's memory has one read port for both. The limits to the host are read with every beat.
pub fn is(g: &Geometry, table: Table) -> bool {
    g.clocks_per_header > 1
        && memory(g, table).style == RamStyle::Distributed
        && !matches!(table, Table::HostLimit | Table::Dscp)
}

/// What a shared memory gives.
pub struct Shared<'m> {
    /// The row, in the clock of the read and in no other.
    pub row: Sig<'m>,
    /// What the bus has asked for, its first word [`CONFIG_READ_CLOCKS`] behind it; else zero.
    pub cfg_rdata: Sig<'m>,
}

/// A memory of `rows` rows, all of `table`, which the pipeline reads at `index` in the clocks with `reads`.
pub fn memory_of<'m>(
    m: &'m Module,
    g: &Geometry,
    config: &Config<'m>,
    table: Table,
    rows: u32,
    reads: Sig<'m>,
    index: Sig<'m>,
) -> Shared<'m> {
    let name = table.name();
    m.assert(
        &format!("{name}_leaves_a_clock"),
        !(reads & reads.as_valid().reg()),
    );
    let port = config.memory(table, 0, rows);
    let waits = m.reg("cfg_waits", 1, 0);
    let wanted = port.read | waits.q();
    let goes = (wanted & !reads).named("cfg_goes");
    waits.set(wanted & reads);
    let before: Vec<Sig> = (1..CONFIG_READS_APART)
        .map(|n| port.read.delay(n))
        .collect();
    m.assert(&format!("{name}_asked_apart"), !(port.read & m.or(&before)));
    // A write may follow in the clock in which a read waits.
    let asked = m.reg_no_reset("cfg_asked", port.row.width());
    asked.set_when(port.read, port.row);
    let cfg_row = mux(port.read, port.row, asked.q());

    let ram = m.ram("rows", memory(g, table).latency(1));
    ram.write(port.write, port.row, port.wdata);
    let row = ram.look(mux(reads, index, cfg_row));
    let answer = m.reg_no_reset("cfg_answer", row.width());
    answer.set_when(goes, row);
    let answered = port.read.delay(CONFIG_READ_CLOCKS - 2);
    Shared {
        row,
        cfg_rdata: word_by_word(answer.q(), answered),
    }
}

/// Clocks from a read of the bus to its row: the port's register, a clock in which it waits, two registers.
const SLOWEST: u32 = 4;
const _: () = assert!(SLOWEST <= CONFIG_READ_CLOCKS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Random, TURNS};
    use seqnic_gen::{Bits, Sim};
    use std::collections::BTreeMap;

    /// Reads of both kinds as close together as they may be, and writes in any clock, against an array.
    #[test]
    fn pipeline_and_bus_read_what_was_written() {
        let (g, table) = (&TURNS, Table::Encap);
        let rows = g.rows(table);
        let m = Module::new("shared");
        let bits = rows.trailing_zeros();
        let (reads, index) = (m.input("reads", 1), m.input("index", bits));
        let config = Config::inputs(&m, g, g.row_bits(table));
        let read = memory_of(&m, g, &config, table, rows, reads, index);
        m.output("row", read.row);
        m.output("cfg_rdata", read.cfg_rdata);
        let mut sim = Sim::new(&m.finish().unwrap());
        sim.reset();

        let mut random = Random::new(6);
        let zero = Bits::zero(g.row_bits(table));
        let mut memory = vec![zero.clone(); rows as usize];
        // By the clock in which it is seen, comes or is answered.
        let (mut written, mut rows_due) = (BTreeMap::new(), BTreeMap::new());
        let mut answers = BTreeMap::new();
        let (mut asked, mut waited) = (None, 0);
        // The row of a write comes a clock behind it.
        let mut wdata = zero.clone();
        let (mut read_before, mut since) = (false, 0);
        for clock in 0..80_000u64 {
            if let Some((row, value)) = written.remove(&clock) {
                memory[row as usize] = value;
            }
            let (read, index) = (!read_before && random.one_in(2), random.below(rows.into()));
            read_before = read;
            sim.set("reads", read.into());
            sim.set("index", index);
            if read {
                rows_due.insert(clock, memory[index as usize].clone());
            }
            if let Some((row, at)) = asked {
                match read {
                    true => waited += 1,
                    false => {
                        let due = at + u64::from(CONFIG_READ_CLOCKS);
                        let limbs = memory[row as usize].limbs();
                        for (word, clock) in limbs.iter().zip(due..) {
                            answers.insert(clock, Bits::new(WORD_BITS, (*word).into()));
                        }
                        asked = None;
                    }
                }
            }
            since += 1;
            let ask = since >= CONFIG_READS_APART && random.one_in(2);
            if ask {
                since = 0;
            }
            let (row, write) = (random.below(rows.into()), !ask && random.one_in(2));
            if ask {
                asked = Some((row, clock));
            }
            let value = testing::bits(&random.row(g.row_bits(table)));
            if write {
                written.insert(clock + 2, (row, value.clone()));
            }
            sim.set("cfg_read", ask.into());
            sim.set("cfg_write", write.into());
            sim.set("cfg_table", table as u64);
            sim.set("cfg_row", row);
            sim.set_bits("cfg_wdata", &std::mem::replace(&mut wdata, value));
            if let Some(row) = rows_due.remove(&clock) {
                assert_eq!(sim.get_bits("row"), row, "clock {clock}");
            }
            let answer = answers.remove(&clock).unwrap_or(Bits::zero(WORD_BITS));
            assert_eq!(sim.get_bits("cfg_rdata"), answer, "clock {clock}");
            sim.step();
        }
        assert!(waited > 1000, "{waited}");
    }
}
