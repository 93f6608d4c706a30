//! Two other readers of the generated Verilog find nothing to complain about.

use seqnic_spec::geometry;
use std::path::PathBuf;
use std::process::Command;

fn generated(geometry: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../generated")
        .join(geometry)
}

#[track_caller]
fn quiet(program: &str, dir: &PathBuf, arguments: &[&str]) {
    let result = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output();
    let result = result.unwrap_or_else(|e| panic!("{program}: {e}; `make setup` installs it"));
    let said = String::from_utf8_lossy(&result.stdout).into_owned()
        + &String::from_utf8_lossy(&result.stderr);
    assert!(
        result.status.success(),
        "{program} in {}:\n{said}",
        dir.display()
    );
}

#[test]
fn verilator_has_no_warning() {
    for g in geometry::ALL {
        let arguments = [
            "--lint-only",
            "-Wall",
            "--top-module",
            "seqnic_card",
            "-f",
            "filelist.f",
        ];
        quiet("verilator", &generated(g.name), &arguments);
    }
}

/// The small card only, whose memories yosys gets through in a minute. On the large one the modules are the same but
/// for its hash tables, which are one memory a way instead of one that is asked in turns.
#[test]
fn yosys_finds_one_driver_for_everything_and_no_loop() {
    let dir = generated(geometry::EDGE.name);
    let list = std::fs::read_to_string(dir.join("filelist.f"))
        .unwrap()
        .replace('\n', " ");
    let script =
        format!("read_verilog -sv {list}; hierarchy -check -top seqnic_card; proc; check -assert");
    quiet("yosys", &dir, &["-q", "-p", &script]);
}
