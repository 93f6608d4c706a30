//! Does the service keep its rate? Beside `prepare`: the packet's copies are on their way there when
//! it turns out that the packet is policed, so its first copy becomes the host's and the others are void.

use seqnic_gen::{Circuit, GenError, Module, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{Table, time, width};

use super::gcra::{self, Charge};
use crate::tables::{Config, direct, read_clocks};

/// Asks the meter with a packet's first copy: module `header_meter`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `starts` | 1 | 0 | a copy that is its packet's first |
/// | `asked` | 1 | 0 | with it: the packet is metered |
/// | `row`, `bytes`, `arrived` | 16, 17, 64 | 0 | row of `meter`, IP length, time of arrival (ns) |
/// | `policed` | 1 | [`latency`] | the packet of this copy is policed |
/// | `held` | 1 | [`latency`] | the packet of the copy before was |
///
/// and the configuration bus.
///
/// # Errors
/// Sizes out of range.
pub fn meter(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Meter;
    let m = Module::new("header_meter");
    m.doc("Does the service keep its rate? Asked with a packet's first copy, answered for all of them.");
    let starts = m.input_at("starts", 1, 0).as_valid();
    let asked = m.input_at("asked", 1, 0).as_valid();
    let row = m.input_at("row", width::METER, 0);
    let row = row.trunc(direct::index_bits(g, table));
    let length = m.input_at("bytes", 17, 0);
    let arrived = m.input_at("arrived", 64, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let mut ports = vec![("index", row)];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &direct::direct_table(table, g)?, &ports);
    let rate = lookup.get("row");

    let most = m.lit(time::BYTES_BITS, (1 << time::BYTES_BITS) - 1);
    let over = length.slice(time::BYTES_BITS, 17 - time::BYTES_BITS).any();
    let bytes = mux(over, most, length.trunc(time::BYTES_BITS));
    // The states have no stages of their own: a packet meets what the one before it left there.
    let known = read_clocks(g, table);
    let ports = [
        ("asked", asked),
        ("row", row),
        ("arrived", arrived),
        ("bytes", bytes),
        ("cost", rate.field("cost")),
        ("tolerance", rate.field("tolerance")),
    ];
    let ports = ports.map(|(name, sig)| (name, sig.to_stage(known).unstaged()));
    let states = gcra::build(g.meter_rows, Charge::Bytes, g.clocks_per_header)?;
    let states = m.instance("states", &states, &ports);
    let answered = latency(g);
    let conforms = states.get("conforms").at_stage(answered);
    let starts = starts.to_stage(answered);
    let held = m.reg("held", 1, 0);
    let over = asked.to_stage(answered) & !conforms;
    let policed = mux(starts, over, held.q().at_stage(answered)).named("decided");
    held.set_when(starts.unstaged(), policed.unstaged());
    m.output("policed", policed);
    m.output("held", held.q().at_stage(answered));
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}

/// Clocks from a copy to the answer.
pub fn latency(g: &Geometry) -> u32 {
    read_clocks(g, Table::Meter) + Charge::Bytes.latency()
}
