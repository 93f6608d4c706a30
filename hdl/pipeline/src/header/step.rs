//! What next, from this sender? Table `step`, or the class's entry.

use seqnic_gen::{Circuit, GenError, Module, Record, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{STEP_KEY, Table, width};

use crate::tables::{Config, hash};

/// Asks (class, direction, position): module `header_step`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `number`, `direction`, `position` | 20, 1, 20 | 0 | class, direction, who sent it |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `has_tag` | 1 | 0 | the packet carries a tag: it never enters |
/// | `entry_action`, `entry_copies` | 22, 4 | [`hash::clocks`] | for a sender without a row |
/// | `first` | 1 | [`hash::clocks`] | an entry, or where the return way starts |
/// | `action`, `copies` | 22, 4 | [`hash::clocks`] | the step; 0 copies: wrong sender; three levels of logic behind the registers |
///
/// # Errors
/// Sizes out of range.
pub fn step(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Step;
    let m = Module::new("header_step");
    m.doc("What next, from this sender? The step, or the entry of the class.");
    let key = [
        ("class", m.input_at("number", width::CLASS, 0)),
        ("direction", m.input_at("direction", 1, 0)),
        ("position", m.input_at("position", width::POSITION, 0)),
    ];
    let entry_action = m.input_at("entry_action", width::ACTION, hash::clocks(g, table));
    let entry_copies = m.input_at("entry_copies", width::COPIES, hash::clocks(g, table));
    let tagged = m.input_at("has_tag", 1, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let mut ports = vec![
        ("key", m.pack(&Record::from(&STEP_KEY), &key)),
        ("epoch", m.input_at("epoch", 1, 0)),
    ];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &hash::hash_table(table, g)?, &ports);
    let entry_copies = entry_copies.when(!tagged);
    let (hit, value) = (lookup.get("hit"), lookup.get("value"));
    for (field, entry) in [("action", entry_action), ("copies", entry_copies)] {
        m.output(field, mux(hit, value.field(field), entry));
    }
    m.output("first", value.field("first") | !hit);
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}
