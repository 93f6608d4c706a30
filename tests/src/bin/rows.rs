//! `rows GEOMETRY CASE...` prints the table rows of cases for a bench that writes them itself (tests/cocotb), as JSON:
//! for each case its interfaces with their ports, and `[table number, row, words of 64 bits]` in the order of writing.
//! `rows GEOMETRY all`: of every case that fits.

use seqnic_spec::geometry;
use seqnic_tests::Case;
use serde_json::{Value, json};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let geometry = arguments.next().unwrap_or_default();
    match rows(&geometry, &arguments.collect::<Vec<_>>()) {
        Ok(cases) => {
            println!("{cases}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rows: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rows(geometry: &str, names: &[String]) -> Result<Value, String> {
    let geometry = geometry::by_name(geometry)
        .ok_or_else(|| format!("no geometry `{geometry}`; usage: rows GEOMETRY CASE..."))?;
    let every = names == ["all"];
    let cases = match every {
        true => Case::all(&Case::root()),
        false => (names.iter())
            .map(|name| Case::load(&Case::root().join(name)))
            .collect(),
    };
    let mut all = Vec::new();
    for mut case in cases.map_err(|e| e.to_string())? {
        let name = case.name.clone();
        let ports = case.definition.interfaces.iter().map(|i| u32::from(i.port));
        let ports_fit = ports.max().is_none_or(|most| most < geometry.ports);
        case.definition.geometry = geometry;
        let image = match seqnic_compiler::compile(&case.definition) {
            Ok(image) if ports_fit => image,
            Ok(_) if every => continue,
            Err(_) if every => continue,
            Ok(_) => return Err(format!("case {name}: the geometry has not all its ports")),
            Err(e) => return Err(format!("case {name}: {}", e[0].message)),
        };
        let tables = image.tables.iter();
        let rows: Vec<Value> = tables
            .flat_map(|t| {
                t.used()
                    .map(|(row, words)| json!([t.table as u32, row, words]))
            })
            .collect();
        let interfaces = case.definition.interfaces.iter();
        let interfaces: Vec<Value> = interfaces
            .map(|i| json!({ "name": i.name, "port": i.port }))
            .collect();
        all.push(json!({ "name": name, "interfaces": interfaces, "rows": rows }));
    }
    Ok(Value::Array(all))
}
