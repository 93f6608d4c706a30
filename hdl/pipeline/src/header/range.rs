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
/// Two copies of the table; the bus writes both and reads the destination's. Where headers are some
/// clocks apart it is [one, asked in turns](in_turns).
///
/// # Errors
/// Sizes out of range.
pub fn range(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    if g.clocks_per_header > 1 {
        return in_turns(g);
    }
    let table = Table::Range;
    let m = Module::new("header_range");
    m.doc("Does a port range of the scope hold it? The lowest slot that does answers.");
    let asked = ["dst_asked", "src_asked"].map(|name| m.input_at(name, 1, 0));
    let rows = ["dst_row", "src_row"].map(|name| m.input_at(name, width::RANGE, 0));
    let protocol = m.input_at("protocol", 8, 0);
    let [sport, dport] = ["sport", "dport"].map(|name| m.input_at(name, 16, 0));
    let later = m.input_at("later", 1, 0);
    let config = Config::inputs(&m, g, g.row_bits(table));
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
                .map(|slot| {
                    let role = slot.field("role").is(q as u128);
                    holds(*slot, role, protocol, port, later).reg()
                })
                .collect();
            let choices: Vec<(Sig, Sig)> =
                holds.iter().copied().zip(classes.iter().copied()).collect();
            let hit = m.or(&holds) & asked[side];
            m.output(&format!("hit{q}"), hit.reg());
            let class = m.priority(&choices, m.lit(width::CLASS, 0)).reg();
            m.output(&format!("class{q}"), class);
            let answer = holds.into_iter().chain([class]);
            answer.for_each(|register| _ = register.needed_if(asked[side]));
        }
        if name == "dst" {
            m.output("cfg_rdata", lookup.get("cfg_rdata"));
        }
    }
    m.finish()
}

/// The same with one table and one row of comparators, one question a clock: those of the destination,
/// then those of the source. Has the input `spaced_valid`, too.
fn in_turns(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Range;
    let m = Module::new("header_range");
    m.doc(
        "Does a port range of the scope hold it? The lowest slot that does answers. One table and one\n\
         row of comparators, the four questions one after the other.",
    );
    let valid = m.spaced_valid();
    // Set while the header is at this stage. Nothing here belongs to one, as every question is
    // asked at another.
    let at = |stage: u32| valid.delay(stage).unstaged();
    let kept = |name: &str, width: u32| {
        let kept = m.reg_no_reset(&format!("{name}_kept"), width);
        kept.set_when(at(0), m.input_at(name, width, 0).unstaged());
        kept.q()
    };
    let asked = ["dst_asked", "src_asked"].map(|name| kept(name, 1));
    let rows = ["dst_row", "src_row"].map(|name| kept(name, width::RANGE));
    let protocol = kept("protocol", 8);
    let [sport, dport] = ["sport", "dport"].map(|name| kept(name, 16));
    let later = kept("later", 1);
    let config = Config::inputs(&m, g, g.row_bits(table));

    // In the order of their turns.
    let turns = [0, 2, 1, 3];
    let bits = direct::index_bits(g, table);
    let reads = [at(1), at(3)];
    let index = mux(reads[1], rows[1].trunc(bits), rows[0].trunc(bits));
    let mut ports = vec![("reads", m.or(&reads)), ("index", index)];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &direct::read_in_turns(table, g)?, &ports);
    let row_at = 1 + read_clocks(g, table);

    let mut choices = (vec![], vec![]);
    for (turn, q) in (0u32..).zip(turns) {
        let (_, by_sport) = asks_source(q);
        let here = at(row_at - 1 + turn);
        choices.0.push((here, m.lit(2, q as u128)));
        choices.1.push((here, if by_sport { sport } else { dport }));
    }
    let role = m.select_onehot(&choices.0).reg().named("role");
    let port = m.select_onehot(&choices.1).reg().named("port");
    let slot_record = Record::from(&RANGE_SLOT);
    let slots: Vec<(Sig, Sig)> = lookup
        .get("row")
        .chunks(slot_record.width())
        .into_iter()
        .map(|slot| slot.with_record(&slot_record))
        .enumerate()
        .map(|(i, slot)| {
            let class = slot.field("class").named(&format!("class_of_{i}"));
            let role = slot.field("role").eq(role);
            (holds(slot, role, protocol, port, later).reg(), class.reg())
        })
        .collect();
    let holding: Vec<Sig> = slots.iter().map(|s| s.0).collect();
    let found = m.or(&holding).reg().named("found");
    let class = m
        .priority(&slots, m.lit(width::CLASS, 0))
        .reg()
        .named("first_class");
    for (turn, q) in (0u32..).zip(turns) {
        let (source, _) = asks_source(q);
        let stage = row_at + 2 + turn;
        let hit = m.reg_no_reset(&format!("hit{q}_q"), 1);
        hit.set_when(at(stage), found & asked[usize::from(source)]);
        let answer = m.reg_no_reset(&format!("class{q}_q"), width::CLASS);
        answer.set_when(at(stage), class);
        m.output(&format!("hit{q}"), hit.q().at_stage(stage + 1));
        m.output(&format!("class{q}"), answer.q().at_stage(stage + 1));
    }
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}

/// Whether a slot answers a question; `role`: it is one for this question.
fn holds<'m>(
    slot: Sig<'m>,
    role: Sig<'m>,
    protocol: Sig<'m>,
    port: Sig<'m>,
    later: Sig<'m>,
) -> Sig<'m> {
    let (first, last) = (slot.field("first"), slot.field("last"));
    let every_port = !first.any() & last.all();
    let inside = first.le(port) & port.le(last);
    let protocol_fits = slot.field("any_protocol") | slot.field("protocol").eq(protocol);
    let port_fits = mux(later, every_port, inside);
    slot.field("valid") & role & protocol_fits & port_fits
}

/// Clocks from question to the last answer: row number, memory, compare, choice; in turns.
pub fn clocks(g: &Geometry) -> u32 {
    let turns = if g.clocks_per_header > 1 { 4 } else { 0 };
    read_clocks(g, Table::Range) + 3 + turns
}
