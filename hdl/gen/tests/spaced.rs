//! Pipelines for values some clocks apart give what those for a value a clock give.

mod common;

use common::random::Rng;
use seqnic_gen::{Bits, Circuit, Module, RamSpec, SPACED_VALID, Sig, Sim, mux};

/// A pipeline at random: inputs at several stages, logic, wiring, delays, a memory, children.
fn pipeline(name: &str, rng: &mut Rng, children: &[Circuit]) -> Circuit {
    let m = Module::new(name);
    let mut pool: Vec<Sig> = (0..4)
        .map(|i| m.input_at(&format!("in{i}"), 8, i % 3))
        .collect();
    let memory = m.ram("rows", RamSpec::new(256, 8));
    memory.write(m.input("write", 1), m.input("row", 8), m.input("wdata", 8));
    let index = pool[rng.below(4) as usize];
    pool.push(memory.read(index));
    m.output("read", pool[4]);
    for (n, child) in children.iter().enumerate() {
        let mut ports: Vec<(&str, Sig)> = ["in0", "in1", "in2", "in3"]
            .into_iter()
            .map(|port| (port, pool[rng.below(pool.len() as u64) as usize]))
            .collect();
        let idle = m.lit(1, 0);
        ports.extend([
            ("write", idle),
            ("row", m.lit(8, 0)),
            ("wdata", m.lit(8, 0)),
        ]);
        let inst = m.instance(&format!("child{n}"), child, &ports);
        pool.extend(child.outputs().iter().map(|p| inst.get(&p.name)));
    }
    for step in 0..30 {
        let mut any = || pool[rng.below(pool.len() as u64) as usize];
        let (a, b, c) = (any(), any(), any());
        let mut made = match rng.below(7) {
            0 => a + b,
            1 => a ^ b,
            2 => mux(c.bit(3), a, b),
            3 => a.slice(4, 4).cat(b.slice(0, 4)),
            4 => a.trunc(2).zext(8),
            _ => a,
        };
        // Some wait for as long as several values come.
        let longest = if rng.chance(20) { 40 } else { 6 };
        made = made.delay(rng.below(longest) as u32);
        if rng.chance(20) {
            made = made.named(&format!("step{step}"));
        }
        pool.push(made);
    }
    for (n, sig) in pool.iter().rev().take(6).enumerate() {
        m.output(&format!("out{n}"), *sig);
    }
    m.finish().expect("no mistakes")
}

#[test]
fn values_apart_come_out_as_at_full_rate() {
    let (mut before, mut behind) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let clocks = 2 + rng.below(8) as u32;
        let child = pipeline("child", &mut rng, &[]);
        let plain = pipeline("parent", &mut rng, &[child.clone(), child]);
        let spaced = plain.spaced(clocks).expect("can be spaced");
        before += plain.state_bits().0;
        behind += spaced.state_bits().0;
        let mut sims = [Sim::new(&plain), Sim::new(&spaced)];
        for row in 0..256 {
            let value = rng.bits(8);
            for sim in &mut sims {
                for memory in ["rows", "child0.rows", "child1.rows"] {
                    sim.poke(memory, row, &value);
                }
            }
        }
        sims.iter_mut().for_each(Sim::reset);
        let start = sims[0].cycle();
        let mut next = start;
        let mut begun: Vec<u64> = vec![];
        let mut compared = 0;
        while begun.len() < 40 || sims[0].cycle() < begun[39] + 400 {
            let now = sims[0].cycle();
            let begins = now == next && begun.len() < 40;
            if begins {
                begun.push(now);
                next = now + u64::from(clocks) + if rng.chance(50) { 0 } else { rng.below(5) };
            }
            sims[1].set(SPACED_VALID, begins.into());
            for i in 0..4 {
                let here = begun.contains(&(now - (i % 3).min(now)));
                let value = rng.bits(8);
                // Between values the inputs are anything, and not the same for both.
                for sim in &mut sims {
                    let value = if here { value.clone() } else { rng.bits(8) };
                    sim.set_bits(&format!("in{i}"), &value);
                }
            }
            for port in plain.outputs() {
                // Constants have no stage.
                let Some(stage) = port.stage.map(u64::from) else {
                    continue;
                };
                if now >= stage && begun.contains(&(now - stage)) {
                    let [a, b]: [Bits; 2] = [0, 1].map(|n: usize| sims[n].get_bits(&port.name));
                    assert_eq!(a, b, "seed {seed}, {} of {clocks}", port.name);
                    compared += 1;
                }
            }
            sims.iter_mut().for_each(Sim::step);
        }
        let staged = plain.outputs().iter().filter(|p| p.stage.is_some());
        assert_eq!(compared, 40 * staged.count());
    }
    assert!(behind * 2 < before, "{before} bits became {behind}");
}

#[test]
fn a_module_made_for_spaced_values_gets_their_valid_bit_by_itself() {
    let m = Module::new("keeper");
    let (data, valid) = (m.input_at("data", 8, 0), m.spaced_valid());
    let kept = m.reg_no_reset("kept", 8);
    kept.set_when(valid.unstaged(), data.unstaged());
    m.output("out", kept.q().at_stage(4));
    let keeper = m.finish().expect("no mistakes");
    let m = Module::new("around");
    let data = m.input_at("data", 8, 0).reg();
    let inst = m.instance("keeper", &keeper, &[("data", data)]);
    m.output("out", inst.get("out"));
    let around = m.finish().expect("no mistakes").spaced(4).expect("spaced");
    assert_eq!(around.latency(), Some(5));
    let mut sim = Sim::new(&around);
    sim.reset();
    for clock in 0..20u64 {
        sim.set(SPACED_VALID, (clock % 4 == 0).into());
        sim.set("data", clock);
        if clock % 4 == 1 && clock > 4 {
            assert_eq!(sim.get("out"), clock - 5);
        }
        sim.step();
    }
}
