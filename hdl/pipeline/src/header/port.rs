//! Is the port one of the service's? The four port tables, asked at once.

use seqnic_gen::{Circuit, GenError, Module, Record, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{PORT_KEY, Table, width};

use crate::tables::{Config, answer_bits, hash, join_rdata, turns};

/// What question `q` of [`Table::PORTS`] asks of a packet: whether the source's scope (else the
/// destination's), and whether the source port (else the destination port).
pub const fn asks_source(q: usize) -> (bool, bool) {
    (q == 1 || q == 3, q == 1 || q == 2)
}

/// Module and instance of two tables in one memory, and the first of their questions.
const IN_TURNS: [(&str, usize); 2] = [("table_port_server", 0), ("table_port_client", 2)];

/// Asks the four questions exactly: module `header_port`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dst_scope`, `src_scope` | 20 | 0 | 0: no question |
/// | `protocol`, `sport`, `dport` | 8, 16, 16 | 0 | |
/// | `epoch` | 1 | 0 | version of the tables |
/// | `later` | 1 | 0 | a later fragment: no question |
/// | `hit0` to `hit3`, `class0` to `class3` | 1, 20 | [`clocks`] | answers, strongest first |
///
/// Where headers are some clocks apart, the questions for servers are asked of one memory, one after the other, and those
/// for clients of another.
///
/// # Errors
/// Sizes out of range.
pub fn port(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_port");
    m.doc("Is the port one of the service's? Four questions at once, answered exactly.");
    let scopes = ["dst_scope", "src_scope"].map(|name| m.input_at(name, width::SCOPE, 0));
    let protocol = m.input_at("protocol", 8, 0);
    let [sport, dport] = ["sport", "dport"].map(|name| m.input_at(name, 16, 0));
    let later = m.input_at("later", 1, 0);
    let epoch = m.input_at("epoch", 1, 0);
    let config = Config::inputs(&m, g, row_bits(g));
    let asked = scopes.map(|scope| (scope.any() & !later).reg());
    let mut rdata = vec![];
    let key = |q: usize| {
        let (source, by_sport) = asks_source(q);
        let key = [
            ("scope", scopes[usize::from(source)]),
            ("protocol", protocol),
            ("port", if by_sport { sport } else { dport }),
        ];
        m.pack(&Record::from(&PORT_KEY), &key)
    };
    let answer = |q: usize, hit: Sig<'_>, value: Sig<'_>| {
        let asked = asked[usize::from(asks_source(q).0)];
        m.output(&format!("hit{q}"), hit & asked);
        m.output(&format!("class{q}"), value.field("class"));
    };
    if g.clocks_per_header > 1 {
        for (name, first) in IN_TURNS {
            let tables = [first, first + 1].map(|q| Table::PORTS[q]);
            let mut ports = vec![
                ("first_key", key(first)),
                ("second_key", key(first + 1)),
                ("epoch", epoch),
            ];
            ports.extend(config.connect(g.row_bits(tables[0])));
            let both = turns::two_tables(name, tables, g, ["first_", "second_"])?;
            let lookup = m.instance(name, &both, &ports);
            answer(first, lookup.get("first_hit"), lookup.get("first_value"));
            answer(
                first + 1,
                lookup.get("second_hit"),
                lookup.get("second_value"),
            );
            rdata.push(lookup.get("cfg_rdata"));
        }
    } else {
        for (q, table) in Table::PORTS.into_iter().enumerate() {
            let mut ports = vec![("key", key(q)), ("epoch", epoch)];
            ports.extend(config.connect(g.row_bits(table)));
            let lookup = m.instance(table.name(), &hash::hash_table(table, g)?, &ports);
            answer(q, lookup.get("hit"), lookup.get("value"));
            rdata.push(lookup.get("cfg_rdata"));
        }
    }
    m.output(
        "cfg_rdata",
        join_rdata(&m, &rdata, answer_bits(g, row_bits(g))),
    );
    m.finish()
}

/// Bits of the widest row of the four tables.
pub fn row_bits(g: &Geometry) -> u32 {
    Table::PORTS
        .map(|t| g.row_bits(t))
        .into_iter()
        .max()
        .unwrap_or(1)
}

/// Clocks from question to the last answer.
pub fn clocks(g: &Geometry) -> u32 {
    let last = Table::PORTS
        .map(|t| hash::clocks(g, t))
        .into_iter()
        .max()
        .unwrap_or(0);
    match g.clocks_per_header {
        1 => last,
        // The second of two questions.
        _ => last + turns::TURN,
    }
}
