//! Which service? The first question with an answer, and where packets of its class enter.

use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{Table, width};

use super::port::asks_source;
use crate::tables::{Config, direct, read_clocks};

/// Direction which an answer to each question of [`Table::PORTS`] means: 0 forward, 1 return.
pub const DIRECTIONS: [u32; 4] = [0, 1, 1, 0];

/// Chooses the class: module `header_class`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `exact_hit0`, `exact_class0`, ... `3` | 1, 20 | 0 | answers of the port tables |
/// | `range_hit0`, `range_class0`, ... `3` | 1, 20 | 0 | answers of the ranges |
/// | `found`, `number`, `direction` | 1, 20, 1 | 1 | class and direction; the choice lies behind the registers |
/// | `by_source` | 1 | 1 | the source address has found it |
/// | `set`, `permit`, `rule` | 12, 1, 16 | [`clocks`] - 1 | what first packets of the class are asked |
/// | `entry_action`, `entry_copies` | 22, 4 | [`clocks`] | the class's entry for the direction |
/// | `rank`, `meter` | 3, 16 | [`clocks`] | priority and meter of all its packets |
///
/// # Errors
/// Sizes out of range.
pub fn class(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Class;
    let m = Module::new("header_class");
    m.doc("Which service? The first question with an answer; exact answers before ranges.");
    let mut answers = vec![];
    for q in 0..Table::PORTS.len() {
        let exact = m.input_at(&format!("exact_hit{q}"), 1, 0);
        let exact_class = m.input_at(&format!("exact_class{q}"), width::CLASS, 0);
        let range = m.input_at(&format!("range_hit{q}"), 1, 0);
        let range_class = m.input_at(&format!("range_class{q}"), width::CLASS, 0);
        let hit = (exact | range).reg().named(&format!("hit{q}"));
        let class = mux(exact, exact_class, range_class)
            .reg()
            .named(&format!("class{q}"));
        answers.push((hit, class));
    }
    let config = Config::inputs(&m, g, g.row_bits(table));
    let hits: Vec<Sig> = answers.iter().map(|a| a.0).collect();
    let number = m.priority(&answers, m.lit(width::CLASS, 0)).named("chosen");
    let directions: Vec<(Sig, Sig)> = hits
        .iter()
        .zip(DIRECTIONS)
        .map(|(hit, direction)| (*hit, m.lit(1, direction.into())))
        .collect();
    let direction = m.priority(&directions, m.lit(1, 0));
    let sides: Vec<(Sig, Sig)> = (hits.iter().enumerate())
        .map(|(q, hit)| (*hit, m.lit(1, u128::from(asks_source(q).0))))
        .collect();
    let by_source = m.priority(&sides, m.lit(1, 0));

    let mut ports = vec![("index", number.trunc(direct::index_bits(g, table)).reg())];
    ports.extend(config.connect(g.row_bits(table)));
    let lookup = m.instance("lookup", &direct::direct_table(table, g)?, &ports);
    let row = lookup.get("row");
    m.output("found", m.or(&hits));
    m.output("number", number);
    m.output("direction", direction);
    m.output("by_source", by_source);
    for field in ["set", "permit", "rule"] {
        m.output(field, row.field(field));
    }
    for field in ["action", "copies"] {
        let [forward, back] = ["forward", "return"].map(|d| row.field(&format!("{d}_{field}")));
        m.output(
            &format!("entry_{field}"),
            mux(direction, back, forward).reg(),
        );
    }
    m.output("rank", row.field("priority").reg());
    m.output("meter", row.field("meter").reg());
    m.output("cfg_rdata", lookup.get("cfg_rdata"));
    m.finish()
}

/// Clocks from the answers to the entry.
pub fn clocks(g: &Geometry) -> u32 {
    read_clocks(g, Table::Class) + 3
}
