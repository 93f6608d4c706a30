//! Everything that is generated for a geometry, as files.
//!
//! `hdl/generated/<geometry>` holds what [`files`] gives, committed, so that a change of the hardware
//! is seen in review; `tests/generated.rs` compares.

use crate::host::card::card;
use crate::top::{Latency, Parts, PipelineError, core};
use seqnic_spec::SPEC_VERSION;
use seqnic_spec::geometry::Geometry;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Names of the Verilog files, children before parents, one a line: for `verilator -f` and the like.
pub const FILE_LIST: &str = "filelist.f";

/// The sizes the Verilog was made with.
#[derive(Debug, serde::Serialize)]
struct GeometryFile<'a> {
    spec_version: u32,
    #[serde(flatten)]
    geometry: &'a Geometry,
}

/// Name and text of every file: the modules, [`FILE_LIST`], `geometry.json`, `latency.json` (clocks).
///
/// # Errors
/// Sizes that cannot be built.
pub fn files(g: &Geometry) -> Result<BTreeMap<String, String>, PipelineError> {
    let parts = Parts::of(g)?;
    let circuit = card(g, &core(g, &parts)?)?;
    let modules = circuit.verilog();
    let list: String = modules.iter().map(|f| format!("{}\n", f.name)).collect();
    let mut files: BTreeMap<_, _> = modules.into_iter().map(|f| (f.name, f.text)).collect();
    files.insert(FILE_LIST.into(), list);
    let sizes = GeometryFile {
        spec_version: SPEC_VERSION,
        geometry: g,
    };
    files.insert("geometry.json".into(), json(&sizes)?);
    files.insert("latency.json".into(), json(&Latency::of(g, &parts))?);
    Ok(files)
}

fn json(value: &impl serde::Serialize) -> Result<String, PipelineError> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A file or folder that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writes files into `dir`, which is made if it is not there. Verilog that is there but not among
/// the files is from an older version and removed; files with the right text are left alone.
///
/// # Errors
/// What the file system says, with the path.
pub fn write(files: &BTreeMap<String, String>, dir: &Path) -> Result<(), WriteError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WriteError { path, source }
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if name.ends_with(".v") && !files.contains_key(name) {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    for (name, text) in files {
        let path = dir.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            fs::write(&path, text).map_err(at(&path))?;
        }
    }
    Ok(())
}
