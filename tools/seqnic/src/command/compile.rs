//! `seqnic compile`

use super::{plural, print, print_json, write_file};
use crate::cli::Compile;
use crate::failure::Outcome;
use crate::load;
use crate::terminal::Terminal;
use seqnic_compiler::Options;
use serde_json::json;

pub fn run(args: &Compile, terminal: Terminal) -> Outcome {
    let file = load::read_definition(&args.file).map_err(|e| e.print(terminal))?;
    let options = Options {
        seed: args.seed.unwrap_or(Options::default().seed),
    };
    let (image, definition) = load::compile(file, options).map_err(|f| f.print(terminal))?;
    let bytes = seqnic_image::write(&image);
    write_file(&args.out, &bytes)?;
    let rows: usize = image.tables.iter().map(|t| t.used().count()).sum();
    if args.json {
        return print_json(&json!({
            "image": args.out.display().to_string(),
            "bytes": bytes.len(),
            "geometry": image.geometry.name,
            "generation": image.generation,
            "services": definition.services.len(),
            "classes": image.names.classes.len().saturating_sub(1),
            "rows": rows,
        }));
    }
    print(&format!(
        "{}: {} for geometry {}, {} in use, {}\n",
        args.out.display(),
        plural(definition.services.len() as u64, "service"),
        image.geometry.name,
        plural(rows as u64, "row"),
        plural(bytes.len() as u64, "byte"),
    ))
}
