//! Exact-match lookup on cards whose headers are some clocks apart: one memory, asked in turns.
//!
//! All ways lie behind each other in one memory with one slot a row, and are read one a clock. So
//! a table takes one memory a slot wide, one digest and one compare, and several questions ask the
//! same memory one after the other, where [`super::hash`] needs a memory a way and as wide as all its
//! slots. Block RAM is deep and narrow on small FPGAs, so this fits them.

use seqnic_gen::math::{clmul_top, crc32c};
use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{EPOCHS, Table};

use super::{Config, answer_of_one, memory, read_clocks};

/// Clocks a question has the memory: one a way.
pub const TURN: u32 = 4;

/// Clocks from `key` to `hit` and `value` of question `number`: its turn comes, key, digest, bucket,
/// memory of the first way to the last, compare, answer.
pub fn clocks(g: &Geometry, table: Table, number: u32) -> u32 {
    TURN * number + 3 + read_clocks(g, table) + (TURN - 1) + 2
}

/// The lookup of a hash table in turns: module `table_<name>`.
///
/// Ports as of [`super::hash::hash_table`], with `key`, `hit` and `value` for each of `questions` (at
/// most two), which is put in front of their names; and `spaced_valid`. Keys are all at stage 0, the
/// answer of question i comes [`clocks`] later.
///
/// # Errors
/// A table which is no hash table, a size out of range.
pub fn hash_table(
    table: Table,
    g: &Geometry,
    questions: &[&str],
) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("table_{}", table.name()));
    lookup(m, table, None, g, questions)
}

/// Two tables of one size in one memory, each asked one question: module `name`, otherwise as [`hash_table`]. The second
/// table's question is asked behind the first's.
///
/// # Errors
/// As of [`hash_table`]; tables that differ.
pub fn two_tables(
    name: &str,
    tables: [Table; 2],
    g: &Geometry,
    questions: [&str; 2],
) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(name);
    let [first, second] = tables;
    let same_rows = g.hash(first) == g.hash(second);
    let layouts = |table: Table| Some(table.hash()?.0.name);
    if !same_rows || layouts(first) != layouts(second) {
        m.refuse(
            &format!("rows of table `{}`", second.name()),
            g.rows(second).into(),
            "must be as many as those of the table in the same memory, of the same key",
        );
        return m.finish();
    }
    lookup(m, first, Some(second), g, &questions)
}

/// With a `second` table the second of the `questions` is its.
fn lookup(
    m: Module,
    table: Table,
    second: Option<Table>,
    g: &Geometry,
    questions: &[&str],
) -> Result<Circuit, Vec<GenError>> {
    let tables: Vec<Table> = [table].into_iter().chain(second).collect();
    let (Some(size), Some((key_layout, value_layout))) = (g.hash(table), table.hash()) else {
        m.refuse(
            &format!("table `{}`", table.name()),
            table as u64,
            "must be a hash table",
        );
        return m.finish();
    };
    if (size.ways, size.slots) != (TURN, 1) {
        m.refuse(
            &format!("ways of table `{}`", table.name()),
            size.ways.into(),
            "must be 4, with one slot, where headers are some clocks apart",
        );
        return m.finish();
    }
    if questions.len() as u32 * TURN > g.clocks_per_header {
        m.refuse(
            &format!("questions to table `{}`", table.name()),
            questions.len() as u64,
            "must all have a turn before the next header",
        );
        return m.finish();
    }
    let docs: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "Hash table `{}`: {}\n{} ways of {} rows of (epochs, key, value) in one memory, asked one after the other.",
                table.name(),
                table.question(),
                size.ways,
                size.rows,
            )
        })
        .collect();
    m.doc(&docs.join("\n"));
    let (key_record, value_record) = (Record::from(key_layout), Record::from(value_layout));
    let (key_bits, value_bits) = (key_record.width(), value_record.width());
    let row_bits = g.row_bits(table);
    let keys: Vec<Sig> = questions
        .iter()
        .map(|q| m.input_record(&format!("{q}key"), &key_record, Some(0)))
        .collect();
    let epoch = m.input_at("epoch", 1, 0);
    let valid = m.spaced_valid();
    let config = Config::inputs(&m, g, row_bits);
    // Set while the header is at this stage; nothing here is said to belong to a stage, as each way
    // is asked at another.
    let at = |stage: u32| valid.delay(stage).unstaged();
    let turn = |from: u32| -> Vec<Sig> { (from..from + TURN).map(at).collect() };

    // The question that has its turn: key with epoch above it.
    let mut asked = vec![];
    for (number, (name, key)) in (0u32..).zip(questions.iter().zip(&keys)) {
        let question = epoch.cat(*key).unstaged();
        let question = match number {
            0 => question,
            _ => {
                let waiting = m.reg_no_reset(&format!("{name}waiting"), key_bits + 1);
                waiting.set_when(at(0), question);
                waiting.q()
            }
        };
        asked.push((at(TURN * number), question));
    }
    let begins: Vec<Sig> = asked.iter().map(|a| a.0).collect();
    let now = m.reg_no_reset("question", key_bits + 1);
    let question = match asked[..] {
        // What is taken in no other clock needs no gate.
        [(_, only)] => only,
        _ => m.select_onehot(&asked),
    };
    now.set_when(m.or(&begins), question);
    let starts = |behind: u32| {
        let starts: Vec<_> = (0..questions.len() as u32)
            .map(|number| at(TURN * number + behind))
            .collect();
        m.or(&starts)
    };
    let digest = m.reg_no_reset("digest", 32);
    digest.set_when(starts(1), crc32c(now.trunc(key_bits)));
    let compared = m.reg_no_reset("compared", key_bits + 1);
    compared.set_when(starts(read_clocks(g, table) + 2), now.q());

    // One way a clock; a way's seed a clock before.
    let numbered = |from: u32| -> Vec<(Sig, Sig)> {
        (0..TURN)
            .map(|way| (starts(from + way), m.lit(2, way.into())))
            .collect()
    };
    let of_second = |from: u32| m.or(&turn(TURN + from));
    let next_way = m.select_onehot(&numbered(1)).named("next_way");
    let next_way = match second {
        None => next_way,
        Some(_) => of_second(1).named("next_of_second").cat(next_way),
    };
    let spec = RamSpec::new(TURN * tables.len() as u32, 32)
        .latency(1)
        .style(RamStyle::Distributed);
    let seeds = m.ram("seeds", spec);
    let port = config.seeds(&tables);
    let seed_answer = answer_of_one(port.held_from(&seeds, 0), port.asked());
    let seed = seeds.look(next_way).reg().named("seed");
    // In the order in which the product wants them.
    let seed = m.concat(&seed.bits()).named("mirrored_seed");
    let way = m.select_onehot(&numbered(2)).named("way");
    let way = match second {
        None => way,
        Some(_) => of_second(2).named("of_second").cat(way),
    };
    let bucket = clmul_top(digest.q(), seed, size.rows.trailing_zeros()).named("bucket");
    let mut spec = memory(g, table);
    spec.rows *= tables.len() as u32;
    let ram = m.ram("ways", spec);
    let row = ram
        .read(way.cat(bucket).reg())
        .delay(read_clocks(g, table) - 2);
    let same = row.slice(EPOCHS, key_bits).eq(compared.trunc(key_bits));
    let holds = mux(compared.msb(), row.bit(1), row.bit(0));
    let hit = (holds & same).reg().named("way_hit");
    let value = row
        .slice(EPOCHS + key_bits, value_bits)
        .named("way_value")
        .reg();

    for (number, name) in (0u32..).zip(questions) {
        let answered = clocks(g, table, number);
        let window = turn(answered - TURN);
        let hit = (hit & m.or(&window)).named(&format!("{name}taken"));
        let found = m.reg(&format!("{name}found"), 1, 0);
        let forgotten = at(TURN * number + 4);
        found.set((found.q() & !forgotten) | hit);
        let answer = m.reg_no_reset(&format!("{name}answer"), value_bits);
        answer.set_when(hit, value);
        m.output(&format!("{name}hit"), found.q().at_stage(answered));
        let value = answer.q().when(found.q()).with_record(&value_record);
        m.output(&format!("{name}value"), value.at_stage(answered));
    }
    let rows = size.rows * TURN;
    let port = match second {
        None => config.memory(table, 0, rows),
        Some(second) => config.memory_of_two([table, second], rows),
    };
    // Seeds are answered in the lowest bits.
    let row = answer_of_one(port.held_from(&ram, 0), port.asked());
    m.output("cfg_rdata", row | seed_answer.zext(row.width()));
    m.finish()
}
