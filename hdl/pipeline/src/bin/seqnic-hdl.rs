//! Writes the pipeline as Verilog.

use clap::{Parser, Subcommand};
use seqnic_pipeline::generate;
use seqnic_spec::geometry::{self, Geometry};
use std::path::PathBuf;
use std::process::ExitCode;

/// SeqNIC's pipeline as Verilog, made from its description in Rust.
#[derive(Parser)]
#[command(name = "seqnic-hdl", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write one Verilog file per module, filelist.f, geometry.json and latency.json.
    Generate {
        /// Size of the card: alveo or edge.
        #[arg(long, value_parser = by_name)]
        geometry: &'static Geometry,
        /// Folder to write to; Verilog files in it that are not of this version are removed.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print where the clocks of a frame go: docs/latency.md.
    Latency,
    /// List the geometries.
    Geometries,
}

/// Those that are cards.
fn hardware() -> impl Iterator<Item = &'static Geometry> {
    geometry::ALL.into_iter().chain([&geometry::LITE])
}

fn by_name(name: &str) -> Result<&'static Geometry, String> {
    hardware().find(|g| g.name == name).ok_or_else(|| {
        let known: Vec<_> = hardware().map(|g| g.name).collect();
        format!("there is no such geometry; known are {}", known.join(", "))
    })
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seqnic-hdl: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Generate { geometry, out } => {
            let files = generate::files(geometry)?;
            generate::write(&files, &out)?;
            println!(
                "{} files for `{}` in {}",
                files.len(),
                geometry.name,
                out.display()
            );
        }
        Command::Latency => print!("{}", generate::latency()?),
        Command::Geometries => {
            for g in hardware() {
                println!("{:8} {}", g.name, g.doc);
            }
        }
    }
    Ok(())
}
