//! A definition file to an image file, by phases.

use crate::{BenchError, Times, cpu_ns};
use seqnic_compiler::{Options, compile};
use seqnic_spec::tables::Table;
use serde::Serialize;

/// What one compilation took, milliseconds of CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    pub services: u32,
    pub geometry: &'static str,
    pub definition_bytes: usize,
    pub image_bytes: usize,
    /// Keys of the table of steps.
    pub steps: usize,
    pub phases: Vec<Phase>,
    pub whole: Times,
}

#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    pub name: &'static str,
    pub time: Times,
}

const PHASES: [&str; 4] = [
    "read: YAML to checked definition",
    "resolve and lower: definition to rows",
    "place and pack: rows to tables",
    "write: tables to image file",
];

/// Compiles `yaml`, a definition of `services` services, `rounds` times.
///
/// # Errors
/// A definition that is refused.
pub fn run(
    services: u32,
    yaml: &str,
    rounds: u32,
    progress: &mut dyn FnMut(&str),
) -> Result<Image, BenchError> {
    let refused = |found: Vec<seqnic_compiler::diagnostic::Diagnostic>| BenchError::Definition {
        services,
        what: found.first().map_or(String::new(), |d| d.message.clone()),
    };
    let mut times: [Vec<f64>; 5] = Default::default();
    let mut made = None;
    for round in 1..=rounds {
        progress(&format!("{services} services to an image: round {round} of {rounds}"));
        let mut marks = [cpu_ns(); 5];
        let definition = seqnic_compiler::read(yaml).map_err(refused)?;
        marks[1] = cpu_ns();
        let model = seqnic_compiler::lower::lower(&definition).map_err(refused)?;
        marks[2] = cpu_ns();
        let image = compile::pack(&definition, model, Options::default()).map_err(refused)?;
        marks[3] = cpu_ns();
        let file = seqnic_image::write(&image);
        marks[4] = cpu_ns();
        let ms = |from: usize, to: usize| (marks[to] - marks[from]) as f64 / 1e6;
        for phase in 0..PHASES.len() {
            times[phase].push(ms(phase, phase + 1));
        }
        times[4].push(ms(0, 4));
        made = Some((image, file.len()));
    }
    let Some((image, image_bytes)) = made else {
        return Err(BenchError::Rounds);
    };
    let [read, lower, place, write, whole] = times.map(Times::of);
    let phases = PHASES.into_iter().zip([read, lower, place, write]);
    Ok(Image {
        services,
        geometry: image.geometry.name,
        definition_bytes: yaml.len(),
        image_bytes,
        steps: image.table(Table::Step).used().count(),
        phases: phases.map(|(name, time)| Phase { name, time }).collect(),
        whole,
    })
}
