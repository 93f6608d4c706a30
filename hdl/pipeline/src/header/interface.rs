//! Where did it arrive? Table `interface`, and whether the frame is for the engine.

use seqnic_gen::{Circuit, GenError, Module, Record};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{INTERFACE_KEY, Table};

use crate::tables::{Config, hash};

/// Asks (port, outer VID, inner VID): module `header_interface`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `key` | record `interface_key` | 0 | |
/// | `dst_mac` | 48 | 0 | destination MAC of the frame |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `known` | 1 | [`hash::clocks`] | there is such an interface |
/// | `number`, `segment`, `tracking`, `accepts`, `trust` | 10, 12, 1, 7, 1 | [`hash::clocks`] | what the table says, else 0 |
/// | `not_mine` | 1 | one later | unicast to another MAC, and not promiscuous |
///
/// # Errors
/// Sizes out of range.
pub fn interface(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Interface;
    let m = Module::new("header_interface");
    m.doc("Where did it arrive? Interface, segment, and whether the frame is for the engine.");
    let key = m.input_record("key", &Record::from(&INTERFACE_KEY), Some(0));
    let dst_mac = m.input_at("dst_mac", 48, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let mut ports = vec![("key", key), ("epoch", m.input_at("epoch", 1, 0))];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &hash::hash_table(table, g)?, &ports);
    let value = lookup.get("value");
    m.output("known", lookup.get("hit"));
    m.output("number", value.field("interface"));
    m.output("segment", value.field("segment"));
    m.output("tracking", value.field("tracking"));
    m.output("accepts", value.field("accepts"));
    m.output("trust", value.field("trust"));
    let other = value.field("mac").reg().ne(dst_mac);
    let open = value.field("promiscuous").reg();
    m.output("not_mine", other & !open & !dst_mac.bit(40));
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}
