//! Which priority? The class's, or on a trusted interface that of the packet's DSCP.

use seqnic_gen::{Circuit, GenError, Module, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{Table, width};

use crate::tables::{Config, direct, read_clocks};

/// Asks the packet's DSCP: module `header_priority`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dscp` | 6 | 0 | DSCP of the IP header the packet came with |
/// | `epoch` | 1 | 0 | version of the tables that holds for the packet |
/// | `trust` | 1 | `read_clocks` | the interface trusts it |
/// | `own` | 3 | `read_clocks` | priority of the class |
/// | `rank` | 3 | `read_clocks` | a level of logic behind the inputs |
///
/// and the configuration bus.
///
/// # Errors
/// Sizes out of range.
pub fn priority(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Dscp;
    let m = Module::new("header_priority");
    m.doc("Which priority? The class's, or that of the DSCP where it is trusted.");
    let dscp = m.input_at("dscp", 6, 0);
    let epoch = m.input_at("epoch", 1, 0);
    let known = read_clocks(g, table);
    let trust = m.input_at("trust", 1, known);
    let own = m.input_at("own", width::PRIORITY, known);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let mut ports = vec![("index", dscp.cat(epoch))];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &direct::direct_table(table, g)?, &ports);
    let marked = lookup.get("row").field("priority");
    m.output("rank", mux(trust, marked, own));
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}
