//! Every case on the generated hardware under Verilator, undisturbed and under pressure.

use seqnic_tests::Case;
use seqnic_verilated::{Pressure, Rtl};

fn pass(pressure: Option<Pressure>) {
    let cases = Case::all(&Case::root()).unwrap_or_else(|e| panic!("{e}"));
    assert!(cases.len() >= 34, "only {} cases were found", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let image = seqnic_compiler::compile(&case.definition)
            .unwrap_or_else(|e| panic!("case {}: {}", case.name, e[0].message));
        let mut rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"))
            .unwrap_or_else(|e| panic!("case {}: {e}", case.name));
        if let Some(pressure) = pressure {
            rtl.press(pressure);
        }
        if let Err(error) = case.check(&mut rtl) {
            failures.push(error.to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rtl() {
    pass(None);
}

/// Inputs that pause and outputs that are not ready change when things happen, never what.
#[test]
fn rtl_under_pressure() {
    pass(Some(Pressure {
        ordered: true,
        idle_in: 30,
        stall_out: 30,
        seed: 7,
    }));
}
