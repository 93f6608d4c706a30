//! Which service address? Table `address`, asked for destination and source at once.

use seqnic_gen::{Circuit, GenError, Module, Record};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{ADDRESS_KEY, Table};

use crate::tables::{Config, hash, turns};

/// Asks both addresses, in two copies of the table, or one after the other where headers are some
/// clocks apart: module `header_address`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dst_key`, `src_key` | record `address_key` | 0 | |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `dst`, `src` | record `address_value` | [`hash::clocks`], `src` in turns later | zero for an unknown address |
///
/// The bus writes both copies; it reads the destination's.
///
/// # Errors
/// Sizes out of range.
pub fn address(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Address;
    let m = Module::new("header_address");
    m.doc("Which service address? Destination and source, each in its own copy of the table.");
    let keys = ["dst_key", "src_key"]
        .map(|name| m.input_record(name, &Record::from(&ADDRESS_KEY), Some(0)));
    let epoch = m.input_at("epoch", 1, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    if g.clocks_per_header > 1 {
        let names = ["dst_", "src_"];
        let mut ports = vec![("dst_key", keys[0]), ("src_key", keys[1]), ("epoch", epoch)];
        ports.extend(config.connect(g.row_bits(table)));
        let lookup = m.instance("lookup", &turns::hash_table(table, g, &names)?, &ports);
        m.output("dst", lookup.get("dst_value"));
        m.output("src", lookup.get("src_value"));
        m.output("cfg_rdata", lookup.get("cfg_rdata"));
        return m.finish();
    }
    let child = hash::hash_table(table, g)?;
    for (name, key) in ["dst", "src"].into_iter().zip(keys) {
        let mut ports = vec![("key", key), ("epoch", epoch)];
        ports.extend(config.connect(g.row_bits(table)));
        let lookup = m.instance(&format!("{name}_lookup"), &child, &ports);
        m.output(name, lookup.get("value"));
        if name == "dst" {
            m.output("cfg_rdata", lookup.get("cfg_rdata"));
        }
    }
    m.finish()
}
