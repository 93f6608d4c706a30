//! `seqnic draw`

use super::write_file;
use crate::cli::Draw;
use crate::draw::draw;
use crate::failure::{Failure, Outcome};
use crate::load;
use crate::terminal::Terminal;
use seqnic_compiler::definition::{Definition, Service};

pub fn run(args: &Draw, terminal: Terminal) -> Outcome {
    let file = load::read_definition(&args.file).map_err(|e| e.print(terminal))?;
    let services = chosen(&file.definition, &args.service)?;
    if services.is_empty() {
        return Err(Failure::refused(format!(
            "{} has no service to draw",
            file.name
        )));
    }
    let picture = draw(&file.definition, &services);
    write_file(&args.out, picture.as_bytes())
}

fn chosen<'a>(definition: &'a Definition, names: &[String]) -> Result<Vec<&'a Service>, Failure> {
    if names.is_empty() {
        return Ok(definition.services.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            let found = definition.services.iter().find(|s| s.name == *name);
            found.ok_or_else(|| {
                let known: Vec<&str> = definition
                    .services
                    .iter()
                    .map(|s| s.name.as_str())
                    .collect();
                Failure::usage(format!(
                    "no service `{name}`; there are {}",
                    known.join(", ")
                ))
            })
        })
        .collect()
}
