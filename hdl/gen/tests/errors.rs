//! Mistakes are found, all of them, and named.

use seqnic_gen::{Circuit, ErrorKind, Module, RamSpec, RamStyle, Record};

/// The messages of a module built by `build`, without the Rust line.
fn messages(build: impl Fn(&Module)) -> Vec<String> {
    let m = Module::new("bad");
    build(&m);
    match m.finish() {
        Ok(_) => vec![],
        Err(errors) => errors.iter().map(|e| e.kind.to_string()).collect(),
    }
}

fn child() -> Circuit {
    let m = Module::new("child");
    let a = m.input_at("a", 8, 0);
    m.output_at("b", a, 2);
    m.finish().expect("no mistakes")
}

#[test]
fn widths() {
    let found = messages(|m| {
        let (vid, key) = (m.input("vid", 12), m.input("key", 16));
        m.output("hit", vid.eq(key) & m.input("valid", 1)); // the poison raises no second error
        m.output("sum", key + vid.zext(17).named("longer"));
        m.output("cut", vid.slice(10, 3));
        m.output("constant", m.lit(4, 16));
        m.output("is", vid.is(4096));
    });
    assert_eq!(
        found,
        [
            "eq: `vid` (12 bits) and `key` (16 bits) differ in width; extend or cut one of them explicitly",
            "add: `key` (16 bits) and `longer` (17 bits) differ in width; extend or cut one of them explicitly",
            "slice of 3 bits from bit 10 reaches outside of `vid` (12 bits)",
            "constant 0x10 does not fit in 4 bits",
            "constant 0x1000 does not fit in 12 bits",
        ]
    );
}

#[test]
fn errors_say_module_and_line() {
    let m = Module::new("bad");
    let (a, b) = (m.input("a", 1), m.input("b", 2));
    let line = line!() + 1;
    m.output("x", a & b);
    let text = m.finish().expect_err("widths differ")[0].to_string();
    assert!(
        text.starts_with("module `bad`: bitand: `a` (1 bits)"),
        "{text}"
    );
    assert!(
        text.ends_with(&format!("tests/errors.rs:{line})")),
        "{text}"
    );
}

#[test]
fn records() {
    let record = Record::new("tag", [("vid", 12), ("pcp", 3)]);
    let found = messages(|m| {
        let tag = m.input_record("tag", &record, None);
        m.output("a", tag.field("vlan"));
        m.output("b", m.input("raw", 3).field("x"));
        m.output(
            "c",
            m.pack(&record, &[("vid", m.lit(12, 0)), ("dei", m.lit(1, 0))]),
        );
        m.output("d", m.input("short", 3).with_record(&record));
    });
    assert_eq!(
        found,
        [
            "`tag` (15 bits) has no field `vlan`; it has: vid, pcp",
            "`raw` (3 bits) has no field `x`; it has: no record",
            "record `tag`: field `dei` is unknown",
            "record `tag`: field `pcp` is missing",
            "record `tag`: `short` (3 bits) must have 15 bits",
        ]
    );
}

#[test]
fn stages() {
    let found = messages(|m| {
        let a = m.input_at("a", 8, 3);
        m.output_at("early", a, 2);
        let w = m.wire("back", 8);
        w.drive(a);
        m.output("x", w.q());
    });
    assert_eq!(
        found,
        [
            "`a` (8 bits) exists at stage 3 and cannot be had at the earlier stage 2",
            "`a` (8 bits) has stage 3, wire `back` has none; say `.unstaged()` if that is meant",
        ]
    );
}

#[test]
fn assignments_and_loops() {
    let found = messages(|m| {
        m.output("r", m.reg("never", 4, 0).q());
        m.output("w", m.wire("floating", 4).q());
        let twice = m.reg("twice", 1, 0);
        twice.set(twice.q());
        twice.set(twice.q());
        m.output("t", twice.q());
    });
    assert_eq!(
        found,
        [
            "`twice` is assigned twice",
            "`never` is never assigned",
            "`floating` is never assigned"
        ]
    );
    let found = messages(|m| {
        let (x, y) = (m.wire("x", 1), m.wire("y", 1));
        x.drive(!y.q());
        y.drive((x.q() & m.input("en", 1)).named("gated"));
        m.output("out", x.q());
    });
    assert_eq!(found, ["combinational loop: gated -> y -> x -> gated"]);
}

#[test]
fn loops_through_children() {
    let m = Module::new("wire_through");
    m.output("o", !m.input("i", 1));
    let through = m.finish().expect("no mistakes");
    let found = messages(|m| {
        let back = m.wire("back", 1);
        let inst = m.instance("u", &through, &[("i", back.q())]);
        back.drive(inst.get("o"));
        m.output("o", inst.get("o"));
    });
    assert_eq!(found, ["combinational loop: u_o -> back -> u_o"]);
}

#[test]
fn names_and_ports() {
    let found = messages(|m| {
        let a = m.input("reg", 8);
        m.output("clk", a);
        m.output("dup", a);
        m.output("dup", a.named("2x"));
    });
    assert_eq!(
        found,
        [
            "`reg` cannot be a name: it is a reserved word of Verilog or SystemVerilog",
            "`2x` cannot be a name: it must begin with a letter or _",
            "`clk` cannot be a name: the generator makes the ports clk and rst itself",
            "port `dup` exists twice",
        ]
    );
    let child = child();
    let found = messages(|m| {
        let inst = m.instance("u", &child, &[("aa", m.input("x", 8))]);
        m.output("y", inst.get("c"));
        m.instance("v", &child, &[("a", m.input("z", 9))]);
    });
    assert_eq!(
        found,
        [
            "instance `u` of `child`: port `aa` does not exist as an input",
            "instance `u` of `child`: port `a` is not connected",
            "instance `u` of `child`: port `c` does not exist as an output",
            "port `a` of instance `v`: `z` (9 bits) must have 8 bits",
        ]
    );
}

#[test]
fn memories() {
    let found = messages(|m| {
        let mem = m.ram("rows", RamSpec::new(100, 8));
        m.output("x", mem.read(m.input("addr", 6)));
        m.ram("empty", RamSpec::new(0, 8));
        m.ram("slow", RamSpec::new(4, 8).latency(3));
    });
    assert_eq!(
        found,
        [
            "read address of memory `rows`: `addr` (6 bits) must have 7 bits",
            "rows of memory `empty` = 0 is out of range: 1 to 2^26",
            "latency of memory `slow` = 3 is out of range: 1 or 2 clocks",
            "`rows write port` is never assigned",
            "`empty write port` is never assigned",
            "`slow write port` is never assigned",
        ]
    );
}

#[test]
fn foreign_signals_and_doubled_modules() {
    let other = Module::new("other");
    let far = other.input("far", 1);
    let m = Module::new("bad");
    m.output("x", far.reg());
    let errors = m.finish().expect_err("foreign");
    assert_eq!(
        errors[0].kind.to_string(),
        "`far delayed by 1` (1 bits) belongs to module `other`; pass it through a port"
    );

    let variant = Module::new("child");
    let a = variant.input_at("a", 8, 0);
    variant.output_at("b", !a, 2);
    let variant = variant.finish().expect("no mistakes");
    let m = Module::new("two");
    let a = m.input_at("a", 8, 0);
    let (x, y) = (
        m.instance("u", &child(), &[("a", a)]),
        m.instance("v", &variant, &[("a", a)]),
    );
    m.output("x", x.get("b") & y.get("b"));
    assert_eq!(
        m.finish().expect_err("two of one name")[0].kind,
        ErrorKind::ModuleTwice("child".into())
    );
}

#[test]
fn what_rests_is_a_register_and_its_condition_is_there_a_clock_before() {
    let found = messages(|m| {
        let (x, late) = (m.input_at("x", 8, 0), m.input_at("late", 1, 1));
        m.output("sum", (x + x).named("doubled").needed_if(x.bit(0)));
        m.output("q", (x ^ x.lit(1)).reg().needed_if(late));
    });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("must be of a register"), "{found:?}");
    assert!(
        found[1].contains("must be before the register's"),
        "{found:?}"
    );
}

#[test]
fn only_look_up_tables_are_looked_at_and_in_one_clock() {
    let found = messages(|m| {
        let addr = m.input("addr", 4);
        let blocks = RamSpec::new(16, 8).latency(1).style(RamStyle::Block);
        let slow = RamSpec::new(16, 8).latency(2).style(RamStyle::Distributed);
        for (name, spec) in [("blocks", blocks), ("slow", slow)] {
            let memory = m.ram(name, spec);
            memory.write(m.lit(1, 0), addr, m.lit(8, 0));
            m.output(&format!("of_{name}"), memory.look(addr));
        }
    });
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, name) in found.iter().zip(["blocks", "slow"]) {
        assert!(
            found.contains(&format!("look at memory `{name}`")),
            "{found}"
        );
        assert!(
            found.contains("must be a memory of look-up tables, of latency 1"),
            "{found}"
        );
    }
}
