//! Who sent it? Table `source`, and the position in its sequence.

use seqnic_gen::{Circuit, GenError, Module, Record, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{SOURCE_KEY, Table, position, position_kind, width};

use crate::tables::{Config, hash};

/// Asks (segment, source MAC): module `header_source`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `segment`, `src_mac` | 12, 48 | 0 | |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `tracking` | 1 | 0 | what arrives here is tracked by its segment |
/// | `known`, `sender` | 1, 16 | [`hash::clocks`] | an attachment, else 0 |
/// | `position` | 18 | one later | who sent it, as table `step` asks |
///
/// # Errors
/// Sizes out of range.
pub fn source(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Source;
    let m = Module::new("header_source");
    m.doc("Who sent it? Sender, and position in a sequence.");
    let segment = m.input_at("segment", width::SEGMENT, 0);
    let mac = m.input_at("src_mac", 48, 0);
    let tracking = m.input_at("tracking", 1, 0);
    let config = Config::inputs(&m, g.row_bits(table));
    let key = m.pack(
        &Record::from(&SOURCE_KEY),
        &[("segment", segment), ("mac", mac)],
    );
    let mut ports = vec![("key", key), ("epoch", m.input_at("epoch", 1, 0))];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &hash::hash_table(table, g)?, &ports);
    let (known, sender) = (lookup.get("hit"), lookup.get("value").field("attachment"));
    let base = |kind: u32| m.lit(width::POSITION, position(kind, 0).into());
    let by_segment = segment.zext(width::POSITION) | base(position_kind::SEGMENT);
    let by_sender = sender.zext(width::POSITION) | base(position_kind::ATTACHMENT);
    let unknown = base(position_kind::UNKNOWN);
    let position = mux(tracking, by_segment, mux(known, by_sender, unknown));
    m.output("known", known);
    m.output("sender", sender);
    m.output("position", position.reg());
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}
