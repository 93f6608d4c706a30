//! When the last packet came from each attachment. Only written by events, so its read port is free for those who ask.

use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, clog2};
use seqnic_spec::counters::COUNTER_ROW;

use super::{counter_set, record};

/// Rows from which the memory is asked to be UltraRAM.
const ULTRA_ROWS: u32 = 4096;

/// Takes `hit`, `row`, `arrival`: a packet came. `ask` and `ask_row` give `answer` ([`COUNTER_ROW`]: the time as
/// `packets`) [`counter_set::LATENCY`] clocks later.
///
/// # Errors
/// A number of rows that no memory has.
pub fn build(rows: u32) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("seen");
    m.doc("When the last packet came from each attachment, ns.");
    let bits = clog2(rows).max(1);
    let hit = m.input("hit", 1).as_valid();
    let row = m.input("row", bits);
    let time = m.input("arrival", 64);
    let ask_row = m.input("ask_row", bits);
    let style = match rows >= ULTRA_ROWS {
        true => RamStyle::Ultra,
        false => RamStyle::Auto,
    };
    let memory = m.ram("times", RamSpec::new(rows, 64).style(style));
    memory.write(hit, row, time);
    let time = memory.read(ask_row).delay(counter_set::LATENCY - 2);
    let fields = [("packets", time), ("bytes", m.lit(64, 0))];
    m.output("answer", m.pack(&record(&COUNTER_ROW), &fields));
    m.finish()
}
