//! The card between registers: the module that Verilator compiles.
//!
//! On a board the card's neighbours drive its streams from registers. So does the harness, which also
//! makes the simulation fast: what follows from an input is worked out once a clock, with the clock
//! edge, and not once more each time inputs have been set.

use seqnic_gen::{Circuit, Port};
use std::fmt::Write;

/// Name of the module.
pub const TOP: &str = "harness";

/// Verilog of the harness around `core`: the same ports, inputs behind registers but for the configuration port's. A
/// stream's word is taken over with its `tvalid` and then stays.
pub fn verilog(core: &Circuit) -> String {
    let mut v = format!("module {TOP} (\n    input wire clk,\n    input wire rst");
    for (kind, ports) in [("input", core.inputs()), ("output", core.outputs())] {
        for port in ports {
            // Writing to a String cannot fail.
            let _ = write!(v, ",\n    {kind} wire {}{}", range(port.width), port.name);
        }
    }
    v.push_str("\n);\n");
    let streamed = |p: &&Port| !p.name.starts_with("cfg_") && p.name != "source_sha";
    for Port { name, width, .. } in core.inputs().iter().filter(streamed) {
        let valid = match name.rsplit_once('_') {
            Some((stream, "tdata" | "tkeep" | "tlast" | "tuser")) => {
                format!("if ({stream}_tvalid) ")
            }
            _ => String::new(),
        };
        let _ = writeln!(
            v,
            "    reg {}{name}_q = 0;\n    always @(posedge clk) {valid}{name}_q <= {name};",
            range(*width)
        );
    }
    let _ = write!(
        v,
        "    {} card (\n        .clk(clk),\n        .rst(rst)",
        core.name()
    );
    for port in core.inputs().iter().chain(core.outputs()) {
        let register = core.inputs().iter().any(|p| p.name == port.name) && streamed(&port);
        let q = if register { "_q" } else { "" };
        let _ = write!(v, ",\n        .{0}({0}{q})", port.name);
    }
    v.push_str("\n    );\nendmodule\n");
    v
}

fn range(width: u32) -> String {
    match width {
        1 => String::new(),
        _ => format!("[{}:0] ", width - 1),
    }
}
