//! Engines by name, and the inputs they get.

use crate::cli::{EngineName, Inputs};
use crate::failure::Failure;
use crate::load::Tables;
use crate::terminal::Meter;
use seqnic_engine::Engine;
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_replay::Input;
use seqnic_verilated::{Rtl, RtlError};
use std::path::{Path, PathBuf};

/// Builds an engine and loads the tables.
pub fn build(
    name: EngineName,
    tables: &Tables,
    wave: Option<&Path>,
    meter: &mut Meter,
) -> Result<Box<dyn Engine>, Failure> {
    check(name, tables, wave)?;
    Ok(match name {
        EngineName::Image => Box::new(ImageEngine::load(&tables.image).map_err(Failure::refused)?),
        EngineName::Oracle => match &tables.definition {
            Some(definition) => Box::new(Oracle::new(definition)),
            None => return Err(no_definition()),
        },
        EngineName::Rtl => {
            let mut say = |message: &str| meter.say(message);
            Box::new(
                Rtl::load(&tables.image, wave, &mut say).map_err(|e| match e {
                    RtlError::Wave { .. } => Failure::usage(e),
                    e => Failure::failed(e),
                })?,
            )
        }
    })
}

fn no_definition() -> Failure {
    Failure::usage(
        "the oracle reads a definition, not an image; name the definition the image was compiled from",
    )
}

/// What can be said about a choice of engine before anything is built.
pub fn check(name: EngineName, tables: &Tables, wave: Option<&Path>) -> Result<(), Failure> {
    if wave.is_some() && name != EngineName::Rtl {
        return Err(Failure::usage(
            "--wave needs --engine rtl: only hardware has waves",
        ));
    }
    if name == EngineName::Oracle && tables.definition.is_none() {
        return Err(no_definition());
    }
    Ok(())
}

/// `INTERFACE=FILE` arguments.
pub fn inputs(args: &Inputs) -> Result<Vec<Input>, Failure> {
    args.inputs
        .iter()
        .map(|text| match text.split_once('=') {
            Some((interface, path)) if !interface.is_empty() && !path.is_empty() => Ok(Input {
                interface: interface.to_string(),
                path: PathBuf::from(path),
            }),
            _ => Err(Failure::usage(format!(
                "--in {text}: INTERFACE=FILE is wanted, like --in i0=clients.pcap"
            ))),
        })
        .collect()
}
