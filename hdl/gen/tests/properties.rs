//! A failing assertion fails under Verilator too, at the same clock as in the evaluator.

mod common;

use std::process::Command;

use seqnic_gen::{Module, Sim};

#[test]
fn verilator_finds_what_the_evaluator_finds() {
    let m = Module::new("counts");
    let n = m.reg("n", 4, 0);
    n.set(n.q() + n.lit(1));
    m.output("n_out", n.q());
    m.assert("below_ten", n.lt(n.lit(10)));
    let circuit = m.finish().expect("no mistakes");
    let mut sim = Sim::new(&circuit);
    assert!((0..10).all(|_| sim.try_step().is_ok()) && sim.try_step().is_err());

    let dir = common::scratch("properties");
    circuit.write_to(&dir).expect("written");
    let bench = "`timescale 1ns/1ns\nmodule bench;\n reg clk = 0;\n wire [3:0] n;\n counts dut (.clk(clk), .rst(1'b0), .n_out(n));\n \
        initial begin repeat (12) begin #1 clk = 1; #1 clk = 0; end $finish; end\nendmodule\n";
    std::fs::write(dir.join("bench.v"), bench).expect("bench");
    let args = [
        "--binary",
        "--assert",
        "-DFORMAL",
        "--top-module",
        "bench",
        "bench.v",
        "counts.v",
    ];
    common::run(&dir, "verilator", &args);
    let out = Command::new(dir.join("obj_dir/Vbench"))
        .current_dir(&dir)
        .output()
        .expect("the simulation starts");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        !out.status.success()
            && text.contains("[21] %Error: counts.v")
            && text.contains("below_ten"),
        "{text}"
    );
}
