//! Does a port range of the scope hold it? Table `range`, asked for destination and source at once.

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{RANGE_SLOT, Table, width};

use super::port::asks_source;
use crate::tables::{Config, direct, read_clocks};

/// Asks the four port questions of the ranges of both scopes: module `header_range`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dst_asked`, `src_asked` | 1 | 0 | the address has a scope with a row of ranges |
/// | `dst_row`, `src_row` | 16 | 0 | that row |
/// | `protocol`, `sport`, `dport` | 8, 16, 16 | 0 | |
/// | `later` | 1 | 0 | a later fragment: only ranges of all ports hold |
/// | `hit0` to `hit3`, `class0` to `class3` | 1, 20 | [`clocks`] | answers, as of `header_port` |
///
/// Two copies of the table; the bus writes both and reads the destination's.
///
/// # Errors
/// Sizes out of range.
pub fn range(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Range;
    let m = Module::new("header_range");
    m.doc("Does a port range of the scope hold it? The lowest slot that does answers.");
    let asked = ["dst_asked", "src_asked"].map(|name| m.input_at(name, 1, 0));
    let rows = ["dst_row", "src_row"].map(|name| m.input_at(name, width::RANGE, 0));
    let protocol = m.input_at("protocol", 8, 0);
    let [sport, dport] = ["sport", "dport"].map(|name| m.input_at(name, 16, 0));
    let later = m.input_at("later", 1, 0);
    let config = Config::inputs(&m, g.row_bits(table));
    let child = direct::direct_table(table, g)?;
    let slot_record = Record::from(&RANGE_SLOT);
    for (side, name) in ["dst", "src"].into_iter().enumerate() {
        let index = rows[side].trunc(direct::index_bits(g, table)).reg();
        let mut ports = vec![("index", index)];
        ports.extend(config.connect(g.row_bits(table)));
        let lookup = m.instance(&format!("{name}_lookup"), &child, &ports);
        let slots: Vec<Sig> = lookup
            .get("row")
            .chunks(slot_record.width())
            .into_iter()
            .map(|slot| slot.with_record(&slot_record))
            .collect();
        // Named before they are delayed: an unnamed slice is delayed as the whole it is part of.
        let mut classes: Vec<Sig> = vec![];
        for (i, slot) in slots.iter().enumerate() {
            let class = slot.field("class").named(&format!("{name}_class{i}"));
            classes.push(class.reg());
        }
        for q in 0..Table::PORTS.len() {
            let (source, by_sport) = asks_source(q);
            if usize::from(source) != side {
                continue;
            }
            let port = if by_sport { sport } else { dport };
            let holds: Vec<Sig> = slots
                .iter()
                .map(|slot| holds(*slot, q, protocol, port, later).reg())
                .collect();
            let choices: Vec<(Sig, Sig)> =
                holds.iter().copied().zip(classes.iter().copied()).collect();
            let hit = m.or(&holds) & asked[side];
            m.output(&format!("hit{q}"), hit.reg());
            let class = m.priority(&choices, m.lit(width::CLASS, 0));
            m.output(&format!("class{q}"), class.reg());
        }
        if name == "dst" {
            m.output("cfg_rdata", lookup.get("cfg_rdata"));
        }
    }
    m.finish()
}

/// Whether a slot answers question `q`.
fn holds<'m>(slot: Sig<'m>, q: usize, protocol: Sig<'m>, port: Sig<'m>, later: Sig<'m>) -> Sig<'m> {
    let (first, last) = (slot.field("first"), slot.field("last"));
    let every_port = !first.any() & last.all();
    let inside = first.le(port) & port.le(last);
    let protocol_fits = slot.field("any_protocol") | slot.field("protocol").eq(protocol);
    let port_fits = mux(later, every_port, inside);
    slot.field("valid") & slot.field("role").is(q as u128) & protocol_fits & port_fits
}

/// Clocks from question to answer: row number, memory, compare, choice.
pub fn clocks(g: &Geometry) -> u32 {
    read_clocks(g, Table::Range) + 3
}
