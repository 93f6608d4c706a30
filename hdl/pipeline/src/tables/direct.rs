//! A direct table: one memory, addressed by row number.

use seqnic_gen::{Circuit, GenError, Module, Ram, RamSpec, RamStyle, Record, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{Kind, Table};

use super::{Config, ROW_BITS, answer, answer_of_one, memory, memory_clocks, read_clocks, shared};

/// The read of a direct table: module `table_<name>`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `index` | as many as name every row | 0 | goes to the memory straight |
/// | `row` | the row, a record unless it has slots | [`read_clocks`] | comes from the memory's register |
///
/// and the configuration bus; [`shared`] memories also have `spaced_valid`.
///
/// # Errors
/// A table which is no direct table, a size out of range.
pub fn direct_table(table: Table, g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("table_{}", table.name()));
    let record = match table.kind() {
        Kind::Direct { row } => Some(Record::from(row)),
        Kind::Slots { .. } => None,
        Kind::Hash { .. } | Kind::Rules { .. } => {
            m.refuse(
                &format!("table `{}`", table.name()),
                table as u64,
                "must be a direct table",
            );
            return m.finish();
        }
    };
    let rows = g.rows(table);
    m.doc(&format!(
        "Direct table `{}`: {}\n{rows} rows.",
        table.name(),
        table.question()
    ));
    let index = m.input_at("index", index_bits(g, table), 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    if shared::is(g, table) {
        let reads = m.spaced_valid().unstaged();
        let read = shared::memory_of(&m, g, &config, table, rows, reads, index.unstaged());
        let row = read.row.at_stage(0).delay(read_clocks(g, table));
        m.output("row", recorded(row, record));
        m.output("cfg_rdata", read.cfg_rdata);
        return m.finish();
    }
    let (row, answer) = memories(&m, g, &config, table, index);
    m.output("row", recorded(row, record));
    m.output("cfg_rdata", answer);
    m.finish()
}

/// The row at `index`, and what the bus is answered.
fn memories<'m>(
    m: &'m Module,
    g: &Geometry,
    config: &Config<'m>,
    table: Table,
    index: Sig<'m>,
) -> (Sig<'m>, Sig<'m>) {
    let (rows, clocks) = (g.rows(table), memory_clocks(g, table));
    let count = match g.clocks_per_header {
        1 => rows.div_ceil(PART_ROWS),
        _ => 1,
    };
    let spec = RamSpec {
        rows: rows / count,
        ..memory(g, table)
    };
    let (mut read, mut answers, mut asked) = (vec![], vec![], vec![]);
    for n in 0..count {
        let rams = parts(spec.clone()).map(|(name, spec)| match count {
            1 => m.ram(name, spec),
            _ => m.ram(&format!("{name}_{n}"), spec),
        });
        let rams: Vec<Ram<'m>> = rams.collect();
        let here = match count {
            1 => m.lit(1, 1),
            _ => index.shr(PART_ROWS.trailing_zeros()).is(n.into()),
        };
        let place = index.trunc(spec.addr_width());
        let row = rams.iter().rev().map(|ram| match count {
            1 => ram.read(place),
            _ => ram.read_when(here, place),
        });
        let row: Vec<Sig> = row.collect();
        read.push((here.delay(clocks), m.concat(&row)));

        let port = config.memory(table, n, spec.rows);
        let mut bit = 0;
        let mut cfg_rows = vec![];
        for ram in &rams {
            cfg_rows.push(match g.clocks_per_header {
                1 => port.config_from(ram, bit).delay(2 - clocks),
                _ => port.held_from(ram, bit),
            });
            bit += ram.spec().width;
        }
        cfg_rows.reverse();
        let cfg_row = m.concat(&cfg_rows);
        answers.push(match g.clocks_per_header {
            1 => port.answer(cfg_row),
            _ => cfg_row,
        });
        asked.push(port.asked());
    }
    let row = match count {
        1 => read[0].1,
        _ => m.select_onehot(&read),
    };
    let answer = match g.clocks_per_header {
        1 => answer(m.or(&answers), &asked),
        _ => answer_of_one(answers[0], asked[0]),
    };
    (row.delay(read_clocks(g, table) - clocks), answer)
}

/// Rows of one memory at most. Those of a larger table are in several, each with an output register of its own: which of
/// them has the row is chosen in the clock a [deep](SHALLOW_ROWS) one has more.
const PART_ROWS: u32 = 65536;

/// Bits of a tile of UltraRAM (AMD UG573).
const ULTRA_BITS: u32 = 72;
/// Bits over whole tiles, at most, which block RAM takes in their place.
const FEW_BITS: u32 = 4;

/// The memories that hold the rows, lowest bits first: one, or two where a row of UltraRAM has a few bits more than its
/// tiles, which would be a tile more for each 4,096 rows, or half as many blocks of block RAM.
fn parts(whole: RamSpec) -> impl Iterator<Item = (&'static str, RamSpec)> {
    let over = whole.width % ULTRA_BITS;
    let cut = whole.style == RamStyle::Ultra
        && whole.width > ULTRA_BITS
        && (1..=FEW_BITS).contains(&over);
    let rest = RamSpec {
        width: over,
        style: RamStyle::Block,
        ..whole.clone()
    };
    let first = RamSpec {
        width: whole.width - if cut { over } else { 0 },
        ..whole
    };
    [("rows", first), ("rows_rest", rest)]
        .into_iter()
        .take(1 + usize::from(cut))
}

fn recorded(row: Sig<'_>, record: Option<Record>) -> Sig<'_> {
    match record {
        Some(record) => row.with_record(&record),
        None => row,
    }
}

/// A [`shared`] memory that is read several times for a header: `reads` says when, and `row` is there a clock
/// behind it, until that of the next read.
///
/// # Errors
/// Sizes out of range.
pub fn read_in_turns(table: Table, g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("table_{}", table.name()));
    let rows = g.rows(table);
    m.doc(&format!(
        "Direct table `{}`: {}\n{rows} rows.",
        table.name(),
        table.question()
    ));
    let (reads, index) = (m.input("reads", 1), m.input("index", index_bits(g, table)));
    let config = Config::inputs(&m, g, g.row_bits(table));
    let read = shared::memory_of(&m, g, &config, table, rows, reads, index);
    let row = m.reg_no_reset("row_q", read.row.width());
    row.set_when(reads, read.row);
    m.output("row", row.q());
    m.output("cfg_rdata", read.cfg_rdata);
    m.finish()
}

/// Bits of a row number of a direct table. Higher bits of a number in a record are not looked at:
/// the compiler writes no number past the last row.
pub fn index_bits(g: &Geometry, table: Table) -> u32 {
    g.rows(table).trailing_zeros().clamp(1, ROW_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use seqnic_gen::Sim;
    use seqnic_spec::geometry;

    /// Of three clocks a row: in the last it is chosen among the memories.
    #[test]
    fn the_rows_of_a_large_table_are_in_several_memories() {
        let large = Geometry {
            class_rows: 4 * PART_ROWS,
            ..SMALL
        };
        let table = Table::Class;
        assert_eq!(read_clocks(&large, table), 3);
        let mut random = Random::new(8);
        let mut sim = Sim::new(&direct_table(table, &large).unwrap());
        let numbers: Vec<u32> = (0..4)
            .flat_map(|part| [0, 1, PART_ROWS - 1].map(|row| part * PART_ROWS + row))
            .collect();
        let rows: Vec<_> = (numbers.iter())
            .map(|_| random.row(large.row_bits(table)))
            .collect();
        for (number, row) in numbers.iter().zip(&rows) {
            write_row(&mut sim, table, *number, row);
        }
        let asked: Vec<usize> = (0..200)
            .map(|_| random.below(numbers.len() as u64) as usize)
            .collect();
        for (clock, of) in asked.iter().enumerate() {
            sim.set("index", numbers[*of].into());
            if clock >= 3 {
                assert_eq!(row(&sim.get_bits("row")), rows[asked[clock - 3]]);
            }
            sim.step();
        }
        for (number, row) in numbers.iter().zip(&rows) {
            assert_eq!(read_row(&mut sim, &large, table, *number), *row);
        }
    }

    #[test]
    fn rows_are_found_and_read_back() {
        for table in [Table::Range, Table::Class, Table::Attachment] {
            let mut random = Random::new(table as u64);
            let mut sim = Sim::new(&direct_table(table, &SMALL).unwrap());
            let rows: Vec<_> = (0..SMALL.rows(table))
                .map(|_| random.row(SMALL.row_bits(table)))
                .collect();
            for (number, row) in rows.iter().enumerate() {
                write_row(&mut sim, table, number as u32, row);
            }
            for number in 0..40 {
                sim.set("index", number % u64::from(SMALL.rows(table)));
                if number >= 2 {
                    let expected = &rows[(number - 2) as usize % rows.len()];
                    assert_eq!(row(&sim.get_bits("row")), *expected);
                }
                sim.step();
            }
            for (number, row) in rows.iter().enumerate() {
                assert_eq!(read_row(&mut sim, &SMALL, table, number as u32), *row);
            }
            assert!(read_row(&mut sim, &SMALL, table, SMALL.rows(table)).is_zero());
        }
    }

    #[test]
    fn a_row_of_a_few_bits_over_stands_in_two_memories() {
        let g = &geometry::ALVEO;
        let names: Vec<_> = parts(memory(g, Table::Action))
            .map(|(name, spec)| (name, spec.width))
            .collect();
        assert_eq!(names, [("rows", 72), ("rows_rest", 4)]);
        assert_eq!(parts(memory(g, Table::Class)).count(), 1);
        let mut random = Random::new(76);
        let mut sim = Sim::new(&direct_table(Table::Action, g).unwrap());
        let rows = [0, 1, 4095, 4096, 200_000, g.rows(Table::Action) - 1];
        let written = rows.map(|number| {
            let row = random.row(g.row_bits(Table::Action));
            write_row(&mut sim, Table::Action, number, &row);
            row
        });
        for (number, expected) in rows.into_iter().zip(written) {
            sim.set("index", number.into());
            for _ in 0..read_clocks(g, Table::Action) {
                sim.step();
            }
            assert_eq!(row(&sim.get_bits("row")), expected);
            assert_eq!(read_row(&mut sim, g, Table::Action, number), expected);
        }
    }

    #[test]
    fn sizes_of_every_geometry_are_built() {
        for g in geometry::ALL {
            for table in [
                Table::Range,
                Table::Class,
                Table::Action,
                Table::Attachment,
                Table::Rewrite,
            ] {
                let circuit = direct_table(table, g).unwrap();
                assert_eq!(circuit.latency(), Some(read_clocks(g, table)));
            }
            assert!(direct_table(Table::Step, g).is_err());
        }
    }
}
