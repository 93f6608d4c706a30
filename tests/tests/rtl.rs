//! Every case on the generated hardware under Verilator, undisturbed and under pressure, in the text for simulators and in that
//! of `hdl/generated`.

use seqnic_spec::geometry::{ALVEO, EDGE, Geometry, LITE};
use seqnic_tests::Case;
use seqnic_verilated::library::Text;
use seqnic_verilated::{Pressure, Rtl};

/// What is said of a definition for which a card is too small.
const NO_ROOM: [&str; 3] = ["rules_do_not_fit", "too_many_rules", "does_not_fit"];

/// Runs every case that has ports enough on the RTL of a geometry; at least `most` must.
fn pass(geometry: &'static Geometry, text: Text, most: usize, pressure: Option<Pressure>) {
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
            // The small cards have four banks of few rows, and the smallest few rows of anything.
            Err(e) if geometry == &EDGE && e[0].code == "rules_do_not_fit" => continue,
            Err(e) if geometry == &LITE && NO_ROOM.contains(&e[0].code) => continue,
            Err(e) => panic!("case {}: {}", case.name, e[0].message),
        };
        ran += 1;
        let mut say = |line: &str| eprintln!("{line}");
        let loaded = match text {
            Text::Simulator => Rtl::load(&image, None, &mut say),
            Text::Hardware => Rtl::load_hardware(&image, &mut say),
        };
        let mut rtl = loaded.unwrap_or_else(|e| panic!("case {}: {e}", case.name));
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
    pass(&ALVEO, Text::Simulator, 68, None);
}

/// Inputs that pause and outputs that are not ready change when things happen, never what.
#[test]
fn rtl_under_pressure() {
    pass(
        &ALVEO,
        Text::Hardware,
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
        Text::Hardware,
        60,
        Some(Pressure {
            ordered: true,
            idle_in: 10,
            stall_out: 10,
            seed: 3,
        }),
    );
}

/// The same with the fewest rows: what a router got through.
#[test]
fn rtl_of_the_smallest_card() {
    pass(&LITE, Text::Simulator, 40, None);
}
