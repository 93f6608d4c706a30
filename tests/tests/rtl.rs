//! Every case on the generated hardware under Verilator, undisturbed and under pressure.

use seqnic_spec::geometry::{ALVEO, EDGE, Geometry};
use seqnic_tests::Case;
use seqnic_verilated::{Pressure, Rtl};

/// Runs every case that has ports enough on the RTL of a geometry; at least `most` must.
fn pass(geometry: &'static Geometry, most: usize, pressure: Option<Pressure>) {
    let cases = Case::all(&Case::root()).unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    let mut ran = 0;
    for mut case in cases {
        let mut ports = case.definition.interfaces.iter().map(|i| i.port);
        if !ports.all(|p| u32::from(p) < geometry.ports) {
            continue;
        }
        case.definition.geometry = geometry;
        let image = match seqnic_compiler::compile(&case.definition) {
            Ok(image) => image,
            // The small card has four banks of few rows.
            Err(e) if geometry == &EDGE && e[0].code == "rules_do_not_fit" => continue,
            Err(e) => panic!("case {}: {}", case.name, e[0].message),
        };
        ran += 1;
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
    assert!(ran >= most, "only {ran} cases fit {}", geometry.name);
}

#[test]
fn rtl() {
    pass(&ALVEO, 68, None);
}

/// Inputs that pause and outputs that are not ready change when things happen, never what.
#[test]
fn rtl_under_pressure() {
    pass(
        &ALVEO,
        68,
        Some(Pressure {
            ordered: true,
            idle_in: 30,
            stall_out: 30,
            seed: 7,
        }),
    );
}

/// Sizes are data: the narrow bus of the small card, where headers and tags straddle beats.
#[test]
fn rtl_of_the_small_card() {
    pass(
        &EDGE,
        60,
        Some(Pressure {
            ordered: true,
            idle_in: 10,
            stall_out: 10,
            seed: 3,
        }),
    );
}
