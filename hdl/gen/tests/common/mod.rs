//! Running the tools which must accept what is printed, and small examples for several tests.
#![allow(dead_code)]

pub mod random;

use std::path::{Path, PathBuf};
use std::process::Command;

use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, Record, math, mux, wire};

/// A fresh directory below cargo's directory for tests.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("scratch directory");
    dir
}

/// Runs a tool in `dir`; gives stdout, panics with all of its output if it fails or is missing.
pub fn run(dir: &Path, tool: &str, args: &[&str]) -> String {
    let out = match Command::new(tool).args(args).current_dir(dir).output() {
        Ok(out) => out,
        Err(error) => panic!(
            "`{tool}` cannot be started ({error}): install verilator, yosys and iverilog for this test"
        ),
    };
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(
        out.status.success(),
        "{tool} {} in {}:\n{text}",
        args.join(" "),
        dir.display()
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Writes the design and wants Verilator without any warning and yosys and Icarus content.
pub fn lint(circuit: &Circuit) {
    lint_except(circuit, &[]);
}

/// As [`lint`], with more arguments for Verilator.
pub fn lint_except(circuit: &Circuit, more: &[&str]) {
    let dir = scratch(&format!("lint_{}", circuit.name()));
    circuit.write_to(&dir).expect("written");
    let files: Vec<String> = circuit.verilog().into_iter().map(|f| f.name).collect();
    let top = circuit.name();
    for define in ["-DNONE", "-DFORMAL", "-DSYNTHESIS"] {
        let mut args = vec![
            "--lint-only",
            "-Wall",
            "--assert",
            define,
            "--top-module",
            top,
        ];
        args.extend(files.iter().map(String::as_str).chain(more.iter().copied()));
        run(&dir, "verilator", &args);
    }
    // A file of its own: Icarus makes its output executable, and run by root it did so to `/dev/null`.
    let mut args = vec!["-g2005-sv", "-Wall", "-o", "linted.vvp", "-s", top];
    args.extend(files.iter().map(String::as_str));
    run(&dir, "iverilog", &args);
    for read in ["read_verilog -sv", "read_verilog -sv -formal"] {
        let script = format!(
            "{read} {}; hierarchy -check -top {top}; proc; check -assert",
            files.join(" ")
        );
        run(&dir, "yosys", &["-q", "-p", &script]);
    }
}

/// The table of the crate's documentation with two more stages and a child.
pub fn lookup() -> Result<Circuit, Vec<GenError>> {
    let row = Record::new("row", [("key", 16), ("value", 8), ("used", 1)]);
    let m = Module::new("lookup");
    m.doc("Direct-mapped table: the key's low bits choose the row.");
    let valid = m.input_valid("valid", 0);
    let key = m.input_at("key", 16, 0);
    let (cfg_write, cfg_addr) = (m.input("cfg_write", 1), m.input("cfg_addr", 6));
    let cfg_row = m.input("cfg_row", row.width());
    let table = m.ram("rows", RamSpec::of(64, &row).style(RamStyle::Block));
    let found = table.read(key.trunc(6));
    let cfg_read = table.config(cfg_write, cfg_addr, cfg_row);
    wire!(hit = valid & found.field("used") & found.field("key").eq(key));
    let hit = hit.reg();
    m.output("hit", hit);
    m.output_at("value", found.field("value").when(hit), 4);
    m.output_at("hit_valid", valid, 4);
    m.output("cfg_read", cfg_read);
    m.assert("row_used", found.field("used") | !found.field("used"));
    m.finish()
}

/// Two tables one behind the other; the second is asked for what the first answered.
pub fn chain() -> Result<Circuit, Vec<GenError>> {
    let table = lookup()?;
    let m = Module::new("chain");
    let valid = m.input_valid("valid", 0);
    let key = m.input_at("key", 16, 0);
    let tag = m.input_at("tag", 12, 1);
    let cfg = [
        m.input("cfg_write", 1),
        m.input("cfg_addr", 6),
        m.input("cfg_row", 25),
    ];
    let place = |name: &str, valid, key| {
        let inputs = [
            ("valid", valid),
            ("key", key),
            ("cfg_write", cfg[0]),
            ("cfg_addr", cfg[1]),
            ("cfg_row", cfg[2]),
        ];
        m.instance(name, &table, &inputs)
    };
    let first = place("first", valid, key);
    let second = place(
        "second",
        first.get("hit_valid"),
        first.get("value").cat(tag.trunc(8)),
    );
    m.output("value", second.get("value"));
    m.output("hit", second.get("hit_valid"));
    m.output_at("tag_out", tag, 8);
    m.finish()
}

/// Streams: a FIFO, a register slice, a queue, a counter.
pub fn packets() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("packets");
    let input = m.stream_in("rx", 32);
    let (queued, count) = input.fifo("queue", 11);
    let total = m.reg("total", 8, 0);
    total.set_when(queued.fire(), total.q() + total.lit(1));
    m.output("total", total.q());
    m.output("waiting", count);
    let sliced = queued.register_slice("out");
    let (shown, _) = sliced.queue("last", 3, |word| word.slice(0, 16).cat(word));
    m.stream_out("tx", shown);
    m.cover("full", count.is(11));
    m.finish()
}

/// The library functions and the choosing operations.
pub fn arithmetic() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("arithmetic");
    let (a, b) = (m.input_at("a", 32, 0), m.input_at("b", 32, 0));
    let at = m.input_at("at", 3, 0);
    m.output("product", math::clmul_top(a, b, 32));
    m.output("crc", math::crc32c(a.cat(b).cat(at.bit(0))));
    m.output("octet", m.index(&a.chunks(8), at.trunc(2)));
    m.output(
        "odd",
        m.index(
            &[
                a.trunc(5),
                b.trunc(5),
                a.slice(3, 5),
                b.slice(9, 5),
                a.slice(20, 5),
            ],
            at,
        ),
    );
    m.output("lowest", a.lowest_set());
    m.output("window", m.slice_by(a.cat(b), at.cat(m.lit(3, 0)), 16));
    m.output("clamped", mux(a.lt(b), a, b));
    m.output("hot", m.onehot(at));
    m.finish()
}

/// All examples.
pub fn examples() -> Vec<Circuit> {
    [lookup(), chain(), packets(), arithmetic()]
        .map(|c| c.expect("no mistakes"))
        .to_vec()
}
