//! Stages, state, hierarchy, memories and properties, clock by clock.

mod common;

use common::{chain, lookup};
use seqnic_gen::{Bits, Module, PropKind, RamSpec, Sim, SimError, mux};

#[test]
fn joining_inserts_shared_delays() {
    let m = Module::new("meet");
    let (a, b) = (m.input_at("a", 8, 0), m.input_at("b", 8, 2));
    m.output("sum", a + b);
    m.output("diff", b - a);
    m.output_at("late", a ^ a.lit(1), 3);
    let circuit = m.finish().expect("no mistakes");
    assert_eq!(circuit.latency(), Some(3));
    let stages: Vec<_> = circuit.outputs().iter().map(|p| p.stage).collect();
    assert_eq!(stages, [Some(2), Some(2), Some(3)]);
    // a for two stages, once, although two outputs want it; a ^ 1 for three.
    assert_eq!(circuit.state_bits().0, 8 * 2 + 8 * 3);
    let mut sim = Sim::new(&circuit);
    for clock in 0..10u64 {
        sim.set("a", clock);
        sim.set("b", 100 + clock);
        if clock >= 2 {
            assert_eq!(sim.get("sum"), clock - 2 + 100 + clock);
            assert_eq!(sim.get("a_s2"), clock - 2);
        }
        sim.step();
    }
}

#[test]
fn constants_and_configuration_take_no_delay() {
    let m = Module::new("masked");
    let (a, mask) = (m.input_at("a", 8, 4), m.input("mask", 8));
    m.output("out", (a & mask) + a.lit(1));
    let circuit = m.finish().expect("no mistakes");
    assert_eq!(
        (
            circuit.latency(),
            circuit.state_bits().0,
            circuit.uses_clk()
        ),
        (Some(0), 0, false)
    );
}

#[test]
fn only_valid_bits_are_reset() {
    let m = Module::new("resets");
    let (valid, data) = (m.input_valid("valid", 0), m.input_at("data", 8, 0));
    m.output_at("valid_out", valid, 2);
    m.output_at("data_out", data, 2);
    let circuit = m.finish().expect("no mistakes");
    let mut sim = Sim::new(&circuit);
    sim.set("valid", 1);
    sim.set("data", 9);
    sim.step_n(2);
    assert_eq!((sim.get("valid_out"), sim.get("data_out")), (1, 9));
    sim.reset();
    assert_eq!((sim.get("valid_out"), sim.get("data_out")), (0, 9));
}

#[test]
fn children_add_their_latency() {
    let (table, circuit) = (lookup().expect("table"), chain().expect("chain"));
    assert_eq!((table.latency(), circuit.latency()), (Some(4), Some(8)));
    let names: Vec<_> = circuit.verilog().into_iter().map(|f| f.name).collect();
    assert_eq!(
        names,
        ["lookup.v", "chain.v"],
        "one file for both instances"
    );
    let mut sim = Sim::new(&circuit);
    let row = |key: u128, value: u128| Bits::new(25, 1 << 24 | value << 16 | key);
    sim.poke("first.rows", 5, &row(5, 0x77));
    sim.poke("second.rows", 0x2a, &row(0x772a, 0x99));
    for clock in 0..12u64 {
        sim.set("valid", u64::from(clock == 0));
        sim.set("key", if clock == 0 { 5 } else { 6 });
        sim.set("tag", if clock == 1 { 0x32a } else { 0 }); // the tag is an input of stage 1
        if clock == 8 {
            assert_eq!(
                (sim.get("value"), sim.get("tag_out"), sim.get("hit")),
                (0x99, 0x32a, 1)
            );
        } else {
            assert_eq!((sim.get("value"), sim.get("hit")), (0, 0), "clock {clock}");
        }
        sim.step();
    }
}

#[test]
fn a_read_which_meets_a_write_gives_the_old_row() {
    for latency in [1, 2] {
        let m = Module::new("ports");
        let (addr, en) = (m.input_at("addr", 4, 0), m.input_at("en", 1, 0));
        let (we, at, data) = (m.input("we", 1), m.input("at", 4), m.input("data", 8));
        let mem = m.ram("rows", RamSpec::new(10, 8).latency(latency));
        m.output("row", mem.read_when(en, addr));
        m.output("cfg", mem.config(we, at, data));
        let circuit = m.finish().expect("no mistakes");
        assert_eq!(circuit.latency(), Some(latency));
        let mut sim = Sim::new(&circuit);
        sim.poke("rows", 3, &Bits::new(8, 1));
        for (name, value) in [("addr", 3), ("en", 1), ("at", 3), ("data", 2)] {
            sim.set(name, value);
        }
        sim.step_n(latency);
        assert_eq!((sim.get("row"), sim.get("cfg")), (1, 1));
        sim.set("we", 1);
        sim.step();
        sim.set("we", 0);
        sim.set("en", 0);
        sim.step_n(latency - 1);
        assert_eq!(
            (sim.get("row"), sim.get("cfg")),
            (1, 1),
            "old row on port A, no change on port B"
        );
        assert_eq!(sim.peek("rows", 3).low_u64(), 2);
        sim.step_n(latency);
        assert_eq!(
            (sim.get("row"), sim.get("cfg")),
            (1, 2),
            "port A is not enabled"
        );
        assert!(matches!(
            sim.try_peek("rows", 10),
            Err(SimError::NoRow { .. })
        ));
    }
}

#[test]
fn state_has_no_stage_until_it_is_given_one() {
    let m = Module::new("meter");
    let (valid, bytes) = (m.input_valid("valid", 0), m.input_at("bytes", 8, 0));
    let total = m.reg("total", 16, 5);
    total.set_when(valid.reg(), total.q() + bytes.zext(16)); // stage 1: bytes is delayed
    assert_eq!((total.stage(), total.at_stage(1).stage()), (None, Some(1)));
    m.output("total", total.at_stage(1));
    let mut sim = Sim::new(&m.finish().expect("no mistakes"));
    sim.set("valid", 1);
    sim.set("bytes", 10);
    sim.step();
    sim.set("valid", 0);
    sim.set("bytes", 99);
    sim.step_n(5);
    assert_eq!(sim.get("total"), 15);
    sim.poke_reg("total", &Bits::new(16, 7))
        .expect("a register");
    assert_eq!(sim.get("total"), 7);
    sim.reset();
    assert_eq!(sim.get("total"), 5);
}

#[test]
fn properties_are_checked_and_covers_counted() {
    let m = Module::new("limits");
    let n = m.reg("n", 4, 0);
    n.set(n.q() + n.lit(1));
    m.output("n_out", n.q());
    m.assert("below_ten", n.lt(n.lit(10)));
    m.cover("odd", n.bit(0));
    let mut sim = Sim::new(&m.finish().expect("no mistakes"));
    sim.step_n(10);
    assert_eq!(sim.covered("odd"), Some(5));
    let failed = sim.try_step().expect_err("n is 10");
    assert_eq!(
        failed,
        SimError::Property {
            kind: PropKind::Assert,
            name: "below_ten".into(),
            cycle: 10
        }
    );
}

#[test]
fn dead_code_is_dropped_unless_kept() {
    let m = Module::new("dead");
    let (a, b) = (m.input("a", 8), m.input("b", 8));
    let _ = (a + b).named("unwanted");
    let _ = (a - b).named("wanted").keep();
    m.output("out", mux(a.bit(0), b, b.lit(0)));
    let circuit = m.finish().expect("no mistakes");
    assert!(!circuit.text().contains("unwanted"));
    let mut sim = Sim::new(&circuit);
    sim.set("a", 9);
    sim.set("b", 2);
    assert_eq!(sim.get("wanted"), 7);
    assert!(
        matches!(sim.try_get("unwanted"), Err(SimError::Unknown { near, .. }) if near.contains("wanted"))
    );
    common::lint(&circuit);
}

#[test]
fn name_clashes_get_a_number_and_values_wrong_for_an_input_are_refused() {
    let m = Module::new("names");
    let a = m.input("a", 4);
    let (x, y) = ((!a).named("x"), (a + a).named("x"));
    m.output("both", x ^ y);
    let circuit = m.finish().expect("no mistakes");
    assert!(
        circuit.text().contains("wire [3:0] x = ") && circuit.text().contains("wire [3:0] x_2 = ")
    );
    let mut sim = Sim::new(&circuit);
    assert!(matches!(
        sim.try_set("a", &Bits::new(64, 16)),
        Err(SimError::TooWide { .. })
    ));
    assert!(matches!(
        sim.try_set("x", &Bits::new(4, 1)),
        Err(SimError::NotInput(_))
    ));
}

/// What simulators need not work out: the evaluator makes it wrong, or finds that it was needed.
#[test]
fn the_evaluator_checks_what_is_said_of_registers_that_rest() {
    let module = |hint: bool, masked: bool| {
        let m = Module::new("needed");
        let (valid, x) = (m.input_valid("valid", 0), m.input_at("x", 8, 0));
        let q = (x + x.lit(1)).reg();
        if hint {
            q.needed_if(valid);
        }
        let seen = if masked { q.when(valid.reg()) } else { q };
        m.output("seen", seen);
        m.finish().expect("no mistakes")
    };
    let run = |hint, masked| -> Vec<u64> {
        let mut sim = Sim::new(&module(hint, masked));
        sim.reset();
        let clocks = [(1, 7), (0, 8), (1, 9), (0, 255)].into_iter();
        let seen = clocks.map(|(valid, x)| {
            sim.set("valid", valid);
            sim.set("x", x);
            sim.step();
            sim.get("seen")
        });
        seen.collect()
    };
    assert_eq!(run(false, true), [8, 0, 10, 0]);
    assert_eq!(run(true, true), [8, 0, 10, 0]);
    assert_eq!(run(false, false), [8, 9, 10, 0]);
    assert_eq!(run(true, false), [8, 0xff - 9, 10, 0xff]);
    // Hardware is the same with and without.
    assert_eq!(module(true, true).text(), module(false, true).text());

    // A register that is said to rest in a clock in which it counts.
    let m = Module::new("restless");
    let (up, down) = (m.input("up", 1), m.input("down", 1));
    let n = m.reg("n", 4, 3);
    n.set(n.q() + up.zext(4) - down.zext(4));
    n.rests_unless(up);
    m.output("out", n.q());
    let mut sim = Sim::new(&m.finish().expect("no mistakes"));
    sim.reset();
    sim.set("up", 1);
    sim.set("down", 0);
    assert_eq!(sim.try_step(), Ok(()));
    sim.set("up", 0);
    assert_eq!(sim.try_step(), Ok(()));
    sim.set("down", 1);
    let name = "n".to_string();
    assert_eq!(sim.try_step(), Err(SimError::Restless { name, cycle: 3 }));
}
