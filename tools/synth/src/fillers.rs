//! Cells without wires, so that those with wires lie further from each other.
//!
//! nextpnr's static placer fills seven tenths of the places it takes and leaves the rest of the device empty, whatever the size of the
//! design, and no option says otherwise. A router finds fewer wires where cells lie closer: so the places that would be left empty
//! are taken by look-up tables and registers that nothing is connected to, as chips are filled up.

use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What the placer fills of the places it takes; a little less, as it must come out with whole tiles.
const FILLED: f64 = 0.69;

/// How many were added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fillers {
    pub tables: u64,
    pub registers: u64,
}

impl Fillers {
    /// Those among the cells of a resource.
    pub fn of(&self, resource: &str) -> u64 {
        match resource {
            "TRELLIS_COMB" => self.tables,
            "TRELLIS_FF" => self.registers,
            _ => 0,
        }
    }
}

/// Look-up tables and registers of `top` with all modules in it.
fn cells(
    modules: &Map<String, Value>,
    top: &str,
    known: &mut HashMap<String, [u64; 2]>,
) -> [u64; 2] {
    if let Some(count) = known.get(top) {
        return *count;
    }
    let mut count = [0; 2];
    let all = modules
        .get(top)
        .and_then(|module| module["cells"].as_object());
    for cell in all.into_iter().flat_map(|cells| cells.values()) {
        let kind = cell["type"].as_str().unwrap_or_default();
        let [tables, registers] = match kind {
            "LUT4" => [1, 0],
            "CCU2C" => [2, 0],
            // Two tables more are the memory's way to write.
            "TRELLIS_DPR16X4" => [6, 0],
            "TRELLIS_FF" => [0, 1],
            _ => cells(modules, kind, known),
        };
        count = [count[0] + tables, count[1] + registers];
    }
    known.insert(top.into(), count);
    count
}

/// Adds fillers to module `top` for a device with so many `places` for look-up tables, and as many for registers.
pub fn add(modules: &mut Map<String, Value>, top: &str, places: u64) -> Fillers {
    let used = cells(modules, top, &mut HashMap::new());
    let [tables, registers] =
        used.map(|used| ((places as f64 * FILLED) as u64).saturating_sub(used));
    let Some(inside) = modules
        .get_mut(top)
        .and_then(|module| module["cells"].as_object_mut())
    else {
        return Fillers::default();
    };
    let cell = |kind: &str, parameters: Value| {
        json!({
            "hide_name": 0, "type": kind, "parameters": parameters, "attributes": {},
            "port_directions": {}, "connections": {},
        })
    };
    let table = cell("LUT4", json!({ "INIT": "0000000000000000" }));
    let register = cell(
        "TRELLIS_FF",
        json!({
            "GSR": "DISABLED", "CEMUX": "CE", "CLKMUX": "CLK", "LSRMUX": "LSR",
            "REGSET": "RESET", "SRMODE": "LSR_OVER_CE",
        }),
    );
    for n in 0..tables {
        inside.insert(format!("filler_table_{n}"), table.clone());
    }
    for n in 0..registers {
        inside.insert(format!("filler_register_{n}"), register.clone());
    }
    Fillers { tables, registers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_to_seven_tenths_is_added() {
        let cell = |kind: &str| json!({ "type": kind });
        let modules = json!({
            "top": { "cells": { "a": cell("half"), "b": cell("half"), "c": cell("LUT4") } },
            "half": { "cells": { "t": cell("LUT4"), "s": cell("CCU2C"), "m": cell("TRELLIS_DPR16X4"), "r": cell("TRELLIS_FF") } },
        });
        let mut modules = modules.as_object().unwrap().clone();
        let added = add(&mut modules, "top", 100);
        // 69 of each, less 19 tables and two registers.
        assert_eq!(
            added,
            Fillers {
                tables: 50,
                registers: 67
            }
        );
        assert_eq!(cells(&modules, "top", &mut HashMap::new()), [69, 69]);
        assert_eq!(added.of("TRELLIS_COMB"), 50);
        assert_eq!(added.of("DP16KD"), 0);
        assert_eq!(add(&mut modules, "top", 50), Fillers::default());
    }
}
