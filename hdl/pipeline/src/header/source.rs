//! Who sent it? Table `source`, and the position in its sequence.

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{SOURCE_KEY, Table, accepts, position, position_kind, width};

use super::tunnel::KINDS;
use crate::tables::{Config, hash};

/// Asks (segment, source MAC): module `header_source`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `segment`, `src_mac` | 12, 48 | 0 | |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `tracking`, `accepts` | 1, 7 | 0 | what arrives here without a tag is tracked by its segment; tags read here |
/// | `taken`, `number` | 5, 16 | 0 | header taken off ([`KINDS`]), and its number |
/// | `vid` | 12 | 0 | innermost VLAN ID, 0 for none |
/// | `dscp` | 6 | 0 | of the packet |
/// | `refused` | 1 | 1 | a header was taken off which the interface does not accept |
/// | `has_tag` | 1 | 1 | the packet carries a tag |
/// | `known`, `sender` | 1, 16 | [`hash::clocks`] | an attachment, else 0 |
/// | `position` | 20 | one later | who sent it, as table `step` asks |
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
    let accepts = m.input_at("accepts", accepts::BITS, 0);
    let taken = m.input_at("taken", KINDS.len() as u32, 0);
    let number = m.input_at("number", 16, 0);
    let vid = m.input_at("vid", width::VID, 0);
    let dscp = m.input_at("dscp", 6, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let key = m.pack(
        &Record::from(&SOURCE_KEY),
        &[("segment", segment), ("mac", mac)],
    );
    let mut ports = vec![("key", key), ("epoch", m.input_at("epoch", 1, 0))];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &hash::hash_table(table, g)?, &ports);
    let (known, sender) = (lookup.get("hit"), lookup.get("value").field("attachment"));
    let accepted = |bit: u32| accepts.bit(bit.trailing_zeros());
    let taken_bits = taken.bits();
    let refused: Vec<Sig> = taken_bits
        .iter()
        .zip(KINDS)
        .map(|(taken, kind)| *taken & !accepted(kind))
        .collect();
    let by_vlan = accepted(accepts::VLAN) & vid.any();
    let pool_2 = dscp.trunc(2).all();
    let by_dscp = accepted(accepts::DSCP) & pool_2;
    // A header that was taken off is the tag; then the VLAN ID, then the DSCP.
    let behind = !taken.any();
    let kinds = [
        (taken_bits[0], position_kind::MPLS),
        (taken_bits[1] | taken_bits[3], position_kind::NSH),
        (taken_bits[2], position_kind::VXLAN),
        (taken_bits[4], position_kind::GRE),
        (behind & by_vlan, position_kind::VLAN),
        (behind & by_dscp & !by_vlan, position_kind::DSCP),
    ];
    let kind_bits = width::POSITION - 16;
    let kind = kinds.map(|(is, kind)| (is, m.lit(kind_bits, kind.into())));
    let kind = m.select_onehot(&kind).reg().named("tag_kind");
    let value = mux(by_vlan, vid.zext(16), dscp.zext(16));
    let value = mux(taken.any(), number, value).reg();
    let tagged = (taken.any() | by_vlan | by_dscp).reg().named("carries_tag");
    let by_tag = kind.cat(value);
    let base = |kind: u32| m.lit(width::POSITION, position(kind, 0).into());
    let by_segment = segment.zext(width::POSITION) | base(position_kind::SEGMENT);
    let by_sender = sender.zext(width::POSITION) | base(position_kind::ATTACHMENT);
    let unknown = base(position_kind::UNKNOWN);
    let without = mux(tracking, by_segment, mux(known, by_sender, unknown));
    let position = mux(tagged, by_tag, without);
    m.output("refused", m.or(&refused).reg());
    m.output("has_tag", tagged);
    m.output("known", known);
    m.output("sender", sender);
    m.output("position", position.reg());
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}
