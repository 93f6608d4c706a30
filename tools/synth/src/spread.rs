//! How densely a placer may lay the cells of a design that is to be routed.
//!
//! nextpnr's static placer fills seven tenths of the places around where wires are shortest and leaves the rest of the device empty,
//! whatever the size of the design. A router finds fewer wires where cells lie closer, so a design is to fill the whole device, evenly.
//! nextpnr 0.11.1 has no option for it; `tools/synth/nextpnr-target-util.patch` makes its constant a setting, which is read
//! from the netlist. One without the patch passes it by, and says so in its log.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// The setting's name.
pub const SETTING: &str = "static/target_util";
/// Above what the look-up tables of the design are: packing adds a few, and a legal place for each must be found.
const ROOM: f64 = 0.02;

/// What share of its `places` for look-up tables a design fills when it is spread over the whole device.
pub fn filled(modules: &Map<String, Value>, top: &str, places: u64) -> f64 {
    let used = tables(modules, top, &mut HashMap::new());
    ((used as f64 / places as f64 + ROOM) * 100.0).ceil() / 100.0
}

/// Look-up tables of `top` with all modules in it.
fn tables(modules: &Map<String, Value>, top: &str, known: &mut HashMap<String, u64>) -> u64 {
    if let Some(count) = known.get(top) {
        return *count;
    }
    let cells = (modules.get(top)).and_then(|module| module["cells"].as_object());
    let count = (cells.into_iter().flat_map(|cells| cells.values()))
        .map(|cell| match cell["type"].as_str().unwrap_or_default() {
            "LUT4" => 1,
            "CCU2C" => 2,
            // Two are the memory's way to write.
            "TRELLIS_DPR16X4" => 6,
            kind => tables(modules, kind, known),
        })
        .sum();
    known.insert(top.into(), count);
    count
}

/// Whether a placer's log says that it went by `filled`; `None` where it says nothing of it.
pub fn obeyed(log: &str, filled: f64) -> Option<bool> {
    let mut targets = log
        .lines()
        .filter_map(|line| line.split_once("(target ")?.1.split_once("%)"))
        .filter_map(|(percent, _)| percent.parse::<f64>().ok())
        .peekable();
    targets.peek()?;
    Some(targets.all(|percent| (percent - filled * 100.0).abs() < 0.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_design_fills_what_it_has_and_a_little_more() {
        let cell = |kind: &str| json!({ "type": kind });
        let modules = json!({
            "top": { "cells": { "a": cell("half"), "b": cell("half"), "c": cell("LUT4") } },
            "half": { "cells": { "t": cell("LUT4"), "s": cell("CCU2C"), "m": cell("TRELLIS_DPR16X4"), "r": cell("TRELLIS_FF") } },
        });
        let modules = modules.as_object().unwrap();
        assert_eq!(tables(modules, "top", &mut HashMap::new()), 19);
        assert_eq!(filled(modules, "top", 100), 0.21);
        assert_eq!(filled(modules, "top", 101), 0.21);
        assert_eq!(filled(modules, "none", 100), 0.02);
    }

    #[test]
    fn a_placer_that_passes_the_setting_by_is_found_out() {
        let log = |target: &str| {
            format!(
                "Info: group COMB pre-spacer utilisation 52.29% (target {target}%)\nInfo: group COMB inserted a total of 540 spacers\n"
            )
        };
        assert_eq!(obeyed(&log("55.00"), 0.55), Some(true));
        assert_eq!(obeyed(&log("70.00"), 0.55), Some(false));
        assert_eq!(obeyed("Info: Running Static placer...\n", 0.55), None);
    }
}
