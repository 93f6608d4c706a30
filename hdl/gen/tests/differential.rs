//! Random modules, printed and simulated by Icarus and by Verilator, against the evaluator, clock by clock.
//!
//! A generator which silently disagrees with its own meaning is the trap this looks for: widths taken
//! from the context, operator precedence, order of assignment, forgotten resets.

mod common;

use std::fmt::Write;
use std::path::Path;

use common::random::{Rng, module};
use common::{run, scratch};
use seqnic_gen::{Bits, Circuit, Module, RamSpec, Sig, Sim, math, mux};

const CLOCKS: usize = 120;

/// A design with its stimulus: for each clock reset and the inputs, lowest input lowest.
struct Case {
    circuit: Circuit,
    stimulus: Vec<Bits>,
    expected: Vec<Bits>,
}

fn total(ports: &[seqnic_gen::Port]) -> u32 {
    ports.iter().map(|p| p.width).sum()
}

impl Case {
    fn new(circuit: Circuit, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xabcdef);
        let width = total(circuit.inputs()) + 1;
        let mut sim = Sim::new(&circuit);
        let (mut stimulus, mut expected) = (vec![], vec![]);
        for clock in 0..CLOCKS {
            let mut word = Bits::zero(width);
            let reset = clock < 2 || rng.chance(3);
            word.set_bit(0, reset);
            sim.set_reset(reset);
            let mut lo = 1;
            for port in circuit.inputs() {
                let value = rng.bits(port.width);
                sim.set_bits(&port.name, &value);
                word.set_slice(lo, &value);
                lo += port.width;
            }
            let mut out = Bits::zero(total(circuit.outputs()));
            let mut lo = 0;
            for port in circuit.outputs() {
                out.set_slice(lo, &sim.get_bits(&port.name));
                lo += port.width;
            }
            sim.step();
            stimulus.push(word);
            expected.push(out);
        }
        Case {
            circuit,
            stimulus,
            expected,
        }
    }

    /// Declarations and the instance for the test bench; prints `<index> <outputs>` before each edge.
    fn bench(&self, index: usize, dir: &Path) -> String {
        let (c, w) = (&self.circuit, self.stimulus[0].width());
        let hex: Vec<String> = self.stimulus.iter().map(Bits::hex).collect();
        std::fs::write(dir.join(format!("{index}.hex")), hex.join("\n") + "\n").expect("stimulus");
        let mut text = String::new();
        let _ = writeln!(text, "  reg [{}:0] stim{index} [0:{}];", w - 1, CLOCKS - 1);
        let _ = writeln!(
            text,
            "  reg [{}:0] now{index} = 0;\n  wire [{}:0] out{index};",
            w - 1,
            self.expected[0].width() - 1
        );
        let mut ports = vec![];
        if c.uses_clk() {
            ports.push(".clk(clk)".to_string());
        }
        if c.uses_rst() {
            ports.push(format!(".rst(now{index}[0])"));
        }
        let mut connect = |list: &[seqnic_gen::Port], bus: &str, mut lo: u32| {
            for p in list {
                ports.push(format!(
                    ".{}({bus}{index}[{}:{lo}])",
                    p.name,
                    lo + p.width - 1
                ));
                lo += p.width;
            }
        };
        connect(c.inputs(), "now", 1);
        connect(c.outputs(), "out", 0);
        let _ = writeln!(text, "  {} dut{index} ({});", c.name(), ports.join(", "));
        let _ = writeln!(text, "  initial $readmemh(\"{index}.hex\", stim{index});");
        text
    }

    fn check(&self, tool: &str, seen: &[Bits]) {
        assert_eq!(
            seen.len(),
            CLOCKS,
            "{tool}: {} clocks of {}",
            seen.len(),
            self.circuit.name()
        );
        for (clock, (seen, expected)) in seen.iter().zip(&self.expected).enumerate() {
            let mut lo = 0;
            for p in self.circuit.outputs() {
                let (got, want) = (seen.slice(lo, p.width), expected.slice(lo, p.width));
                assert_eq!(
                    got,
                    want,
                    "{tool} (left) disagrees with the evaluator (right) at {} of clock {clock}:\n{}",
                    p.name,
                    self.circuit.text()
                );
                lo += p.width;
            }
        }
    }
}

fn cases(seeds: std::ops::Range<u64>) -> Vec<Case> {
    seeds
        .map(|seed| {
            let children = [
                module(&format!("child_{seed}_a"), seed + 7000, 12, &[]),
                module(&format!("child_{seed}_b"), seed + 8000, 8, &[]),
            ];
            let circuit = module(&format!("random_{seed}"), seed, 40, &children);
            Case::new(circuit, seed)
        })
        .collect()
}

/// Which of the two texts.
#[derive(Clone, Copy, PartialEq)]
enum Text {
    Hardware,
    Simulation,
}

/// One test bench for all cases, so that a simulator is built once.
fn write_bench(cases: &[Case], dir: &Path, text_of: Text) -> Vec<String> {
    let mut files = vec!["bench.v".to_string()];
    let mut text =
        String::from("`timescale 1ns/1ns\nmodule bench;\n  reg clk = 0;\n  integer i;\n");
    for (index, case) in cases.iter().enumerate() {
        let modules = match text_of {
            Text::Hardware => case.circuit.verilog(),
            Text::Simulation => case.circuit.simulation(),
        };
        for module in modules {
            std::fs::write(dir.join(&module.name), module.text).expect("written");
            files.push(module.name);
        }
        text += &case.bench(index, dir);
    }
    let _ = writeln!(
        text,
        "  initial begin\n    #1;\n    for (i = 0; i < {CLOCKS}; i = i + 1) begin"
    );
    (0..cases.len()).for_each(|n| {
        let _ = writeln!(text, "      now{n} = stim{n}[i];");
    });
    text += "      #1;\n";
    (0..cases.len()).for_each(|n| {
        let _ = writeln!(text, "      $display(\"out {n} %h\", out{n});");
    });
    text += "      #1 clk = 1;\n      #1 clk = 0;\n    end\n    $finish;\n  end\nendmodule\n";
    std::fs::write(dir.join("bench.v"), text).expect("bench");
    files.sort();
    files.dedup();
    files
}

fn parse(output: &str, cases: &[Case]) -> Vec<Vec<Bits>> {
    let mut seen: Vec<Vec<Bits>> = vec![vec![]; cases.len()];
    for line in output.lines().filter_map(|l| l.strip_prefix("out ")) {
        let (index, hex) = line.split_once(' ').expect("index and value");
        let index: usize = index.parse().expect("index");
        let mut value = Bits::zero(cases[index].expected[0].width());
        for (i, digit) in hex.trim().chars().rev().enumerate() {
            let digit = digit.to_digit(16).unwrap_or_else(|| {
                panic!(
                    "undefined bits from {}: {hex}\n{}",
                    cases[index].circuit.name(),
                    cases[index].circuit.text()
                )
            });
            (0..4).for_each(|b| value.set_bit(i as u32 * 4 + b, digit >> b & 1 == 1));
        }
        seen[index].push(value);
    }
    seen
}

fn icarus(name: &str, cases: &[Case], text: Text) {
    let dir = scratch(name);
    let files = write_bench(cases, &dir, text);
    let mut args = vec!["-g2005-sv", "-o", "bench.vvp", "-s", "bench"];
    args.extend(files.iter().map(String::as_str));
    run(&dir, "iverilog", &args);
    let output = run(&dir, "vvp", &["-n", "bench.vvp"]);
    for (case, seen) in cases.iter().zip(parse(&output, cases)) {
        case.check("Icarus", &seen);
    }
}

fn verilator(name: &str, cases: &[Case], text: Text) {
    let dir = scratch(name);
    let files = write_bench(cases, &dir, text);
    let mut args = vec![
        "--binary",
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
        "-O1",
        "-j",
        "2",
        "--top-module",
        "bench",
    ];
    args.extend(files.iter().map(String::as_str));
    run(&dir, "verilator", &args);
    let output = run(&dir, "./obj_dir/Vbench", &[]);
    for (case, seen) in cases.iter().zip(parse(&output, cases)) {
        case.check("Verilator", &seen);
    }
}

#[test]
fn icarus_agrees() {
    icarus("differential_icarus", &cases(0..60), Text::Hardware);
}

#[test]
fn verilator_agrees() {
    verilator("differential_verilator", &cases(100..120), Text::Hardware);
}

/// What only the text for simulators has: registers that rest, sums that are looked up, decoders that are shifts.
fn resting() -> Circuit {
    let m = Module::new("resting");
    let (x, y) = (m.input("x", 37), m.input("y", 6));
    let (valid, write) = (m.input("valid", 1), m.input("write", 1));
    // Nobody looks at what is worked out of what is not valid.
    let mixed = (x ^ x.shl_by(y)).reg().needed_if(valid);
    let sum = (mixed + mixed.shr(3)).reg();
    let sum = sum.needed_if(valid.delay(1));
    m.output("sum", sum.when(valid.delay(2)));
    let rows: Vec<Bits> = (0..32).map(|n| Rng::new(n + 1).bits(37)).collect();
    m.output("wide", math::matrix(x, &rows));
    let narrow: Vec<Bits> = (0..32).map(|n| Rng::new(n + 99).bits(6)).collect();
    m.output("narrow", math::matrix(y, &narrow).named("looked_up"));
    let compared: Vec<Sig> = (0..40).rev().map(|n| valid & y.is(n)).collect();
    m.output("decoded", m.concat(&compared));
    let bits: Vec<Sig> = (0..9).rev().map(|n| y.is(n)).collect();
    m.output("decoded_always", m.concat(&bits));
    // Counts down and stays at zero.
    let count = m.reg("count", 6, 0);
    let some = count.any();
    count.set(mux(write, y, count.q() - some.zext(6)));
    count.rests_unless(write | some);
    m.output("count_out", count.q());
    let rows = m.ram("rows", RamSpec::new(64, 37));
    rows.write(write, y, x ^ (x.shl(5)));
    m.output("row", rows.read(count.q()));
    m.finish().expect("no mistakes")
}

#[test]
fn the_text_for_simulators_says_the_same() {
    let mut all = cases(300..340);
    let circuit = resting();
    let text = &circuit.simulation()[0].text;
    for has in [
        "if (valid) begin : _rests_",
        "if (write) begin : _rests_",
        "_sums_",
        "'d0, valid} << y",
        "'d0, 1'd1} << y",
    ] {
        assert!(text.contains(has), "{has}:\n{text}");
        assert!(!circuit.text().contains(has), "{has} in hardware");
    }
    all.push(Case::new(circuit, 7));
    icarus("differential_simulation_icarus", &all, Text::Simulation);
    verilator("differential_simulation", &all[25..], Text::Simulation);
}

#[test]
fn random_modules_are_clean() {
    for case in cases(200..212) {
        // Random logic compares constants in disguise; these two warnings are about what it says, and
        // nobody would write it.
        common::lint_except(&case.circuit, &["-Wno-UNSIGNED", "-Wno-CMPCONST"]);
    }
}
