//! Verilator without warnings, yosys, Icarus: all take what is printed.

mod common;

use common::{examples, lint};

#[test]
fn examples_are_clean() {
    for circuit in examples() {
        lint(&circuit);
    }
}
