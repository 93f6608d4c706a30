//! The tables: lookups at one packet a clock, rows changed over the configuration bus meanwhile.
//!
//! # Configuration bus
//!
//! Broadcast to every table, all inputs registered by the sender:
//!
//! | port | bits | meaning |
//! | --- | --- | --- |
//! | `cfg_write` | 1 | write `cfg_wdata` to the row, in this clock; every clock may write |
//! | `cfg_read` | 1 | read the row; where headers are some clocks apart [`CONFIG_READS_APART`](shared::CONFIG_READS_APART) clocks from each other at least |
//! | `cfg_table` | 5 | number of the table ([`Table`]) |
//! | `cfg_row` | 22 | row; in a hash table way * rows of a way + bucket |
//! | `cfg_wdata` | row bits of the table, 512 where tables are joined | the row; where headers are some clocks apart a clock behind `cfg_write` |
//! | `cfg_rdata` | the same, or [`answer_bits`] | the row, [`CONFIG_READ_CLOCKS`] clocks after `cfg_read`; zero in every other clock, and for rows and tables which are not here, so the answers of tables are joined by `or` |
//!
//! Where headers are some clocks apart, a row is answered in words of [`WORD_BITS`], the lowest first, one a clock, the first of them
//! when otherwise the row is answered. A row has up to 512 bits and comes from every corner of the device: on a small
//! FPGA as many wires, and registers on their way, are what others lack. For the same reason a row to be written goes from
//! one register to all memories there, and a row that is read stays in the memory's own until it is answered.
//!
//! A row becomes visible to lookups at once: a lookup gets the old row or the new one. Reads and
//! writes take effect in the order they were given.

pub mod direct;
pub mod epoch;
pub mod hash;
pub mod queue;
pub mod rule_turns;
pub mod rules;
pub mod shared;
pub mod turns;

use seqnic_gen::{Collision, Module, Ram, RamSpec, RamStyle, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{MAX_ROW_BITS, Table};

/// Bits of a table number on the configuration bus.
pub const TABLE_BITS: u32 = 7;
/// Bits of a row number on the configuration bus.
pub const ROW_BITS: u32 = 22;
/// Bits of a row that are answered in one clock where headers are some clocks apart.
pub const WORD_BITS: u32 = 64;
/// Clocks from `cfg_read` to `cfg_rdata`, the same for every table and for all joined together.
pub const CONFIG_READ_CLOCKS: u32 = 5;
/// Of these, one to reach the memory and two to read; the others are for the way back.
const READ_CLOCKS: u32 = 3;

/// Rows of one memory up to which it is built of LUTs: a block RAM of any width has more. On small
/// FPGAs blocks are what there is least of.
const LUT_ROWS: u32 = 32;
const LUT_ROWS_SMALL: u32 = 64;
/// Clocks the longest row is answered in.
pub fn answer_words(g: &Geometry) -> u32 {
    match g.clocks_per_header {
        1 => 1,
        _ => MAX_ROW_BITS / WORD_BITS,
    }
}

/// Clocks from one read of the bus to the next, at least.
pub fn config_reads_apart(g: &Geometry) -> u32 {
    match g.clocks_per_header {
        1 => 1,
        _ => shared::CONFIG_READS_APART,
    }
}

/// Whether a row to be written comes a clock behind `cfg_write` at a table: it goes from one register at the core's border to
/// all memories, and not over a register at each.
pub fn data_is_late(g: &Geometry) -> bool {
    g.clocks_per_header > 1
}

/// Bits of `cfg_rdata` of rows of `row_bits`.
pub fn answer_bits(g: &Geometry, row_bits: u32) -> u32 {
    match g.clocks_per_header {
        1 => row_bits,
        _ => row_bits.min(WORD_BITS),
    }
}

/// Rows of one memory from which it is built of UltraRAM (4,096 rows of 72 bits a block).
const ULTRA_ROWS: u32 = 4096;
/// Rows of one memory up to which two clocks suffice for a read. Deeper ones are cascades of more
/// than eight UltraRAM blocks and get one more register, which the tools move into the cascade.
const SHALLOW_ROWS: u32 = 32768;

/// Rows of one memory of a table: of one way, where it is a hash table whose ways have one each.
pub fn memory_rows(g: &Geometry, table: Table) -> u32 {
    match g.hash(table) {
        // Of one bank.
        None if table == Table::Rule && g.clocks_per_header == 1 => g.rule_rows,
        Some(size) if g.clocks_per_header == 1 => size.rows,
        _ => g.rows(table),
    }
}

/// Clocks from address to row in the memories of a table.
pub fn read_clocks(g: &Geometry, table: Table) -> u32 {
    memory_clocks(g, table) + u32::from(memory_rows(g, table) > SHALLOW_ROWS)
}

/// Of these, those in the memory itself. The few rows of `decap` are asked by the port alone and needed
/// at once, those of `host_limit` while the editor has the beat. Where headers are some clocks apart a memory keeps the row, and a
/// second register would be one more of what there are too many.
fn memory_clocks(g: &Geometry, table: Table) -> u32 {
    match table {
        Table::Decap | Table::HostLimit => 1,
        // Sums are behind a row of these.
        Table::Action | Table::Attachment | Table::Rewrite => 2,
        _ if g.clocks_per_header > 1 && g.hash(table).is_none() => 1,
        _ => 2,
    }
}

/// One memory of a table.
fn memory(g: &Geometry, table: Table) -> RamSpec {
    let rows = memory_rows(g, table);
    // Only the wide-bus cards have UltraRAM.
    let wide = g.bus_bytes == 64;
    let style = match rows {
        ..=LUT_ROWS => RamStyle::Distributed,
        // A few bits a row.
        _ if table == Table::Dscp => RamStyle::Distributed,
        // As many blocks as are left on small FPGAs.
        _ if table == Table::Rewrite && !wide => RamStyle::Block,
        ..=LUT_ROWS_SMALL if !wide => RamStyle::Distributed,
        ULTRA_ROWS.. if wide => RamStyle::Ultra,
        _ => RamStyle::Block,
    };
    // A lookup that meets a write may get the old row or the new, whichever costs less: read-first
    // memories have the old one, as have LUTs; block RAM of small FPGAs would need a second copy for it.
    let collision = match (style, g.bus_bytes) {
        (RamStyle::Distributed, _) | (_, 64) => Collision::Old,
        _ => Collision::New,
    };
    RamSpec::new(rows, g.row_bits(table))
        .latency(memory_clocks(g, table))
        .style(style)
        .collision(collision)
}

/// The configuration bus inside of a module.
#[derive(Clone, Copy)]
pub struct Config<'m> {
    pub write: Sig<'m>,
    pub read: Sig<'m>,
    pub table: Sig<'m>,
    pub row: Sig<'m>,
    pub wdata: Sig<'m>,
    /// Whether `wdata` comes a clock behind `write`.
    late: bool,
}

impl<'m> Config<'m> {
    /// Declares the inputs of the bus with rows of `row_bits`, at most [`MAX_ROW_BITS`].
    pub fn inputs(m: &'m Module, g: &Geometry, row_bits: u32) -> Config<'m> {
        Config {
            late: data_is_late(g),
            write: m.input("cfg_write", 1),
            read: m.input("cfg_read", 1),
            table: m.input("cfg_table", TABLE_BITS),
            row: m.input("cfg_row", ROW_BITS),
            wdata: m.input("cfg_wdata", row_bits),
        }
    }

    /// Connections of the bus to a child whose rows have `row_bits`.
    pub fn connect(&self, row_bits: u32) -> [(&'static str, Sig<'m>); 5] {
        [
            ("cfg_write", self.write),
            ("cfg_read", self.read),
            ("cfg_table", self.table),
            ("cfg_row", self.row),
            ("cfg_wdata", self.wdata.trunc(row_bits)),
        ]
    }

    /// Whether `wdata` is to be taken now into row `number` of `table`, which is a register.
    fn sets(&self, table: Table, number: u32) -> Sig<'m> {
        let write = self.write & self.row_is(table, number);
        if self.late {
            write.as_valid().reg()
        } else {
            write
        }
    }

    /// Whether the bus speaks to row `number` of `table`.
    fn row_is(&self, table: Table, number: u32) -> Sig<'m> {
        self.table.is(table as u128) & self.row.is(number.into())
    }

    /// The bus at one memory, which holds the rows from `index * rows` of `table`; one clock later.
    fn memory(&self, table: Table, index: u32, rows: u32) -> MemoryPort<'m> {
        let bits = rows.trailing_zeros();
        let mine =
            self.table.is(table as u128) & self.row.slice(bits, ROW_BITS - bits).is(index.into());
        self.memory_where(mine, self.row.trunc(bits), &index.to_string())
    }

    /// The bus at one memory, which holds `rows` rows of each of two tables, those of the second behind those of the first.
    fn memory_of_two(&self, tables: [Table; 2], rows: u32) -> MemoryPort<'m> {
        let bits = rows.trailing_zeros();
        let [first, second] = tables.map(|table| self.table.is(table as u128));
        let mine = (first | second) & !self.row.slice(bits, ROW_BITS - bits).any();
        self.memory_where(mine, second.cat(self.row.trunc(bits)), "")
    }

    /// The bus at a memory of the seeds of one or two tables, four each.
    fn seeds(&self, tables: &[Table]) -> MemoryPort<'m> {
        let of = |table: &Table| {
            let number = self.row.slice(2, ROW_BITS - 2);
            self.table.is(Table::Seed as u128) & number.is(*table as u128)
        };
        let (way, name) = (self.row.trunc(2), "_seed");
        match tables {
            [only] => self.memory_where(of(only), way, name),
            [first, second, ..] => {
                self.memory_where(of(first) | of(second), of(second).cat(way), name)
            }
            [] => self.memory_where(self.write.lit(0), way, name),
        }
    }

    fn memory_where(&self, mine: Sig<'m>, row: Sig<'m>, name: &str) -> MemoryPort<'m> {
        let m = self.row.module();
        let write = self.write & mine;
        let wdata = match self.late {
            true => self.wdata,
            // Only what is meant for this memory comes to its register: that of a memory nobody writes keeps still.
            false => {
                let here = m.reg_no_reset(&format!("wdata{name}_here"), self.wdata.width());
                here.set_when(write, self.wdata);
                here.q()
            }
        };
        MemoryPort {
            write: write.as_valid().reg(),
            read: (self.read & mine).as_valid().reg(),
            row: row.reg(),
            wdata,
        }
    }
}

/// The configuration bus at one memory.
struct MemoryPort<'m> {
    write: Sig<'m>,
    read: Sig<'m>,
    row: Sig<'m>,
    wdata: Sig<'m>,
}

impl<'m> MemoryPort<'m> {
    /// Row of the memory for the bus, the memory's own clocks behind the port.
    fn config(&self, ram: &Ram<'m>) -> Sig<'m> {
        ram.config_when(self.write, self.read, self.row, self.wdata)
    }

    /// As [`MemoryPort::config`], of a memory that holds the bits of a row from `bit` on.
    fn config_from(&self, ram: &Ram<'m>, bit: u32) -> Sig<'m> {
        let part = self.wdata.slice(bit, ram.spec().width);
        ram.config_when(self.write, self.read, self.row, part)
    }

    /// What the bus is answered of a memory that holds the bits from `bit` on, where headers are some clocks apart: its own
    /// register keeps them from the clock behind the read until the next.
    fn held_from(&self, ram: &Ram<'m>, bit: u32) -> Sig<'m> {
        let part = self.wdata.slice(bit, ram.spec().width);
        ram.config_held(self.write, self.read, self.row, part)
    }

    /// Whether the row of [`MemoryPort::answer`] is asked for now.
    fn asked(&self) -> Sig<'m> {
        self.read.delay(READ_CLOCKS - 1)
    }

    /// The row read, [`READ_CLOCKS`] behind the bus; zero unless it was asked.
    fn answer(&self, row: Sig<'m>) -> Sig<'m> {
        row.when(self.asked())
    }
}

/// Brings what all memories of a table answer together to [`CONFIG_READ_CLOCKS`]; `asked` says when it is not zero.
/// Its registers change with an answer and behind it.
fn answer<'m>(joined: Sig<'m>, asked: &[Sig<'m>]) -> Sig<'m> {
    let m = joined.module();
    let (mut row, mut asked) = (joined, m.or(asked).as_valid().named("answers"));
    for clock in READ_CLOCKS..CONFIG_READ_CLOCKS {
        let next = m.reg(&format!("answer_{clock}"), row.width(), 0);
        let before = asked.reg();
        next.set_when(asked | before, row);
        (row, asked) = (next.q(), before);
    }
    row
}

/// [`answer`] of one memory where headers are some clocks apart; `row` stays behind its read ([`MemoryPort::held_from`]), and
/// need not be zero where it was not asked.
fn answer_of_one<'m>(row: Sig<'m>, asked: Sig<'m>) -> Sig<'m> {
    const { assert!(READ_CLOCKS + 2 == CONFIG_READ_CLOCKS) };
    word_by_word(row, asked.as_valid().reg())
}

/// A row, its first word a clock after `asked` and the others one a clock behind it, else zero. The row stays until then.
fn word_by_word<'m>(row: Sig<'m>, asked: Sig<'m>) -> Sig<'m> {
    if row.width() <= WORD_BITS {
        // Registers that are cleared take no look-up tables, of which small FPGAs have few.
        return cleared("answer", asked, row);
    }
    let words: Vec<(Sig, Sig)> = (0..row.width().div_ceil(WORD_BITS))
        .map(|word| {
            let bits = (row.width() - word * WORD_BITS).min(WORD_BITS);
            let word_of_row = row.slice(word * WORD_BITS, bits).zext(WORD_BITS);
            (asked.as_valid().delay(word), word_of_row)
        })
        .collect();
    row.module().select_onehot(&words).reg().named("answer")
}

/// `row`, a clock later, where `when` is set, else zero.
fn cleared<'m>(name: &str, when: Sig<'m>, row: Sig<'m>) -> Sig<'m> {
    let cleared = row.module().reg_no_reset(name, row.width());
    cleared.set(when.mux(row, row.lit(0)));
    cleared.q()
}

/// Joins the `cfg_rdata` of several tables, each as wide as its rows, to one of `width` bits.
pub fn join_rdata<'m>(m: &'m Module, rows: &[Sig<'m>], width: u32) -> Sig<'m> {
    let wide: Vec<_> = rows.iter().map(|r| r.zext(width)).collect();
    m.or(&wide)
}

const _: () = assert!(MAX_ROW_BITS == 512, "the bus is documented with 512 bits");
