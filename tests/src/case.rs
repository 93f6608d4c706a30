//! One case folder, and an engine on it.

use crate::legs;
use crate::said::Watched;
use seqnic_compiler::definition::Definition;
use seqnic_engine::Engine;
use seqnic_image::names::InterfaceName;
use seqnic_replay::capture::Reader;
use seqnic_replay::error::CaptureError;
use seqnic_replay::{Input, Options, ReplayError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What an exception says of a packet; the rest of a line is about the replay, not the engine.
const EXCEPTION_KEYS: [&str; 7] = [
    "id",
    "time",
    "reason",
    "interface",
    "attachment",
    "service",
    "direction",
];

/// Why a case did not pass or could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("case file {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("case definition {path} has errors: {errors}")]
    Definition { path: PathBuf, errors: String },
    #[error("case file {path} is not JSON: {source}")]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Capture(Box<CaptureError>),
    #[error("case {case}: {source}")]
    Replay {
        case: String,
        source: Box<ReplayError>,
    },
    #[error("case {case}, {engine} engine, {file}: {what}")]
    Mismatch {
        case: String,
        engine: &'static str,
        /// The expectation that did not come true.
        file: String,
        what: String,
    },
}

impl From<CaptureError> for CaseError {
    fn from(error: CaptureError) -> CaseError {
        CaseError::Capture(Box::new(error))
    }
}

/// A case folder with its definition read.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    pub definition: Definition,
}

/// A packet of a capture: its time in words, its bytes.
type Packets = Vec<(String, Vec<u8>)>;

impl Case {
    /// The folder of all cases in this repository.
    pub fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
    }

    /// Every case under `root` that has packets, by name.
    pub fn all(root: &Path) -> Result<Vec<Case>, CaseError> {
        let failed = |source| CaseError::File {
            path: root.to_path_buf(),
            source,
        };
        let mut folders = Vec::new();
        for entry in fs::read_dir(root).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.join("in").is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
        folders.iter().map(|f| Case::load(f)).collect()
    }

    /// Reads the definition of the case in `folder`.
    pub fn load(folder: &Path) -> Result<Case, CaseError> {
        let path = folder.join("definition.yaml");
        let text = read(&path)?;
        let definition = seqnic_compiler::read(&text).map_err(|errors| CaseError::Definition {
            errors: errors
                .iter()
                .map(|e| e.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            path,
        })?;
        Ok(Case {
            name: folder
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default(),
            folder: folder.to_path_buf(),
            definition,
        })
    }

    fn interfaces(&self) -> Vec<InterfaceName> {
        let interfaces = self.definition.interfaces.iter();
        interfaces
            .map(|i| InterfaceName {
                name: i.name.clone(),
                port: i.port,
            })
            .collect()
    }

    /// Captures that go in, in the order of the interfaces.
    fn inputs(&self) -> Vec<Input> {
        let interfaces = self.definition.interfaces.iter();
        interfaces
            .map(|i| Input {
                interface: i.name.clone(),
                path: self.folder.join("in").join(format!("{}.pcap", i.name)),
            })
            .filter(|input| input.path.is_file())
            .collect()
    }

    /// Runs an engine that has the definition loaded and writes what comes out to `out`.
    pub fn replay(&self, engine: &mut dyn Engine, out: &Path) -> Result<(), CaseError> {
        let (interfaces, inputs) = (self.interfaces(), self.inputs());
        seqnic_replay::run(
            engine,
            &interfaces,
            &inputs,
            out,
            Options::default(),
            &mut |_| {},
        )
        .map_err(|source| CaseError::Replay {
            case: self.name.clone(),
            source: Box::new(source),
        })?;
        Ok(())
    }

    /// Runs an engine that has the definition loaded; everything the case says must hold, and
    /// nothing else may come out.
    pub fn check(&self, engine: &mut dyn Engine) -> Result<(), CaseError> {
        let made = tempfile::tempdir().map_err(|source| CaseError::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let name = engine.name();
        let mut watched = Watched::new(engine);
        self.replay(&mut watched, made.path())?;
        let mismatch = |file: &str, what: String| CaseError::Mismatch {
            case: self.name.clone(),
            engine: name,
            file: file.to_string(),
            what,
        };
        if self.folder.join("legs.json").is_file() {
            let said = watched.difference(&legs::read(&self.folder)?);
            let said = said.map_err(|e| mismatch("legs.json", e.to_string()))?;
            if let Some(what) = said {
                return Err(mismatch("legs.json", what));
            }
        }
        let mut captures: BTreeSet<String> = self
            .interfaces()
            .iter()
            .map(|i| format!("{}.pcap", i.name))
            .collect();
        captures.insert("host.pcap".to_string());
        for capture in captures {
            let expected = packets(&self.folder.join("out").join(&capture))?;
            let found = packets(&made.path().join(&capture))?;
            if let Some(what) = first_difference(&expected, &found) {
                return Err(mismatch(&format!("out/{capture}"), what));
            }
        }
        let expected = exceptions(&self.folder.join("exceptions.jsonl"))?;
        let found = exceptions(&made.path().join("exceptions.jsonl"))?;
        for at in 0..expected.len().max(found.len()) {
            if expected.get(at) != found.get(at) {
                let words = |v: Option<&Value>| v.map_or("nothing".to_string(), Value::to_string);
                let (wanted, got) = (words(expected.get(at)), words(found.get(at)));
                let what = format!("line {}: {wanted} expected, {got} found", at + 1);
                return Err(mismatch("exceptions.jsonl", what));
            }
        }
        let expected = json(&self.folder.join("counters.json"))?;
        let found = json(&made.path().join("counters.json"))?;
        match json_difference("", &expected, &found) {
            Some(what) => Err(mismatch("counters.json", what)),
            None => Ok(()),
        }
    }

    /// Writes `exceptions.jsonl` and `counters.json` from a run of `engine`, to be reviewed before
    /// they are committed. The captures in `out` are made from the flow tables only.
    pub fn bless(&self, engine: &mut dyn Engine) -> Result<(), CaseError> {
        let made = tempfile::tempdir().map_err(|source| CaseError::File {
            path: std::env::temp_dir(),
            source,
        })?;
        self.replay(engine, made.path())?;
        let mut lines = String::new();
        for line in exceptions(&made.path().join("exceptions.jsonl"))? {
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        let counters = read(&made.path().join("counters.json"))?;
        for (name, text) in [("exceptions.jsonl", lines), ("counters.json", counters)] {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|source| CaseError::File { path, source })?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, CaseError> {
    fs::read_to_string(path).map_err(|source| CaseError::File {
        path: path.to_path_buf(),
        source,
    })
}

fn parse(path: &Path, text: &str) -> Result<Value, CaseError> {
    serde_json::from_str(text).map_err(|source| CaseError::Json {
        path: path.to_path_buf(),
        source,
    })
}

fn json(path: &Path) -> Result<Value, CaseError> {
    parse(path, &read(path)?)
}

/// The lines of `exceptions.jsonl`, with what the engine said.
fn exceptions(path: &Path) -> Result<Vec<Value>, CaseError> {
    let mut lines = Vec::new();
    for line in read(path)?.lines() {
        let mut value = parse(path, line)?;
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| EXCEPTION_KEYS.contains(&key.as_str()));
        }
        lines.push(value);
    }
    Ok(lines)
}

/// Packets of a capture. One that is not there has none.
fn packets(path: &Path) -> Result<Packets, CaseError> {
    let mut packets = Vec::new();
    if !path.exists() {
        return Ok(packets);
    }
    let mut reader = Reader::open(path)?;
    while let Some(record) = reader.next_record()? {
        let time = record.time.map_or(String::new(), |t| t.to_string());
        packets.push((time, record.frame));
    }
    Ok(packets)
}

fn first_difference(expected: &Packets, found: &Packets) -> Option<String> {
    let words = |p: Option<&(String, Vec<u8>)>| match p {
        None => "nothing".to_string(),
        Some((time, frame)) => {
            let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
            format!("at {time} {hex}")
        }
    };
    (0..expected.len().max(found.len()))
        .find(|at| expected.get(*at) != found.get(*at))
        .map(|at| {
            let (wanted, got) = (words(expected.get(at)), words(found.get(at)));
            format!("packet {}:\n  expected {wanted}\n  found    {got}", at + 1)
        })
}

/// Path and values of the first difference.
fn json_difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let below = |m: &serde_json::Map<_, _>| m.get(key).cloned().unwrap_or(Value::Null);
                json_difference(&format!("{at}/{key}"), &below(a), &below(b))
            })
        }
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|i| {
            let below = |v: &Vec<Value>| v.get(i).cloned().unwrap_or(Value::Null);
            json_difference(&format!("{at}/{i}"), &below(a), &below(b))
        }),
        (a, b) if a == b => None,
        (a, b) => Some(format!("{at}: {a} expected, {b} found")),
    }
}
