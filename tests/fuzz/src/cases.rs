//! The case folders, as what inputs are made of.

use seqnic_compiler::definition::Definition;
use seqnic_image::Image;
use seqnic_random::Frame;
use seqnic_replay::capture::Reader;
use seqnic_spec::geometry;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A case: its definition, the tables made of it, and what arrives.
pub struct Case {
    pub text: String,
    pub definition: Definition,
    pub image: Image,
    pub frames: Vec<Frame>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folders(of: &str) -> Vec<PathBuf> {
    let folder = root().join(of);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

/// All cases that fit geometry `edge`, by name: its tables are small, so many inputs a second can be run on them.
pub fn all() -> &'static [Case] {
    static ALL: OnceLock<Vec<Case>> = OnceLock::new();
    ALL.get_or_init(|| folders("cases").iter().filter_map(|f| load(f)).collect())
}

fn load(folder: &Path) -> Option<Case> {
    let text = std::fs::read_to_string(folder.join("definition.yaml")).ok()?;
    let text = on_edge(&text);
    let definition = seqnic_compiler::read(&text).ok()?;
    let image = seqnic_compiler::compile(&definition).ok()?;
    let mut frames = Vec::new();
    for interface in &definition.interfaces {
        let path = folder.join("in").join(format!("{}.pcap", interface.name));
        let Ok(mut capture) = Reader::open(&path) else {
            continue;
        };
        while let Ok(Some(record)) = capture.next_record() {
            frames.push(Frame {
                port: interface.port,
                bytes: record.frame,
            });
        }
    }
    Some(Case {
        text,
        definition,
        image,
        frames,
    })
}

/// The definition for geometry `edge`.
pub fn on_edge(text: &str) -> String {
    match text.contains("\ngeometry:") {
        true => text.replace("\ngeometry: alveo", "\ngeometry: edge"),
        false => text.replacen(
            "seqnic: 1\n",
            &format!("seqnic: 1\ngeometry: {}\n", geometry::EDGE.name),
            1,
        ),
    }
}

/// Definitions that are refused, and what else is no case but text.
pub fn texts() -> Vec<String> {
    let mut paths = folders("broken-definitions");
    paths.extend(folders("../examples"));
    let yaml = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml");
    let texts = paths.iter().filter(|p| yaml(p));
    texts
        .filter_map(|p| std::fs::read_to_string(p).ok())
        .collect()
}
