//! The command as people use it: output, messages, exit codes.

mod bench;
mod check;
mod compare;
mod diff;
mod engine;
mod explain;
mod help;
mod replay;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The command, without what the surroundings could change.
fn seqnic() -> Command {
    let mut command = Command::cargo_bin("seqnic").unwrap();
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    for asked in ["ENGINE", "CERT", "KEY", "CA"] {
        command.env_remove(format!("SEQNIC_{asked}"));
    }
    command
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cases")
        .join(name)
}

fn definition(name: &str) -> String {
    text(&case(name).join("definition.yaml"))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

/// `--in` arguments for every capture of a case.
fn inputs(name: &str) -> Vec<String> {
    let folder = case(name).join("in");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    names
        .into_iter()
        .flat_map(|path| {
            let interface = path.file_stem().unwrap().to_str().unwrap().to_string();
            ["--in".to_string(), format!("{interface}={}", text(&path))]
        })
        .collect()
}

/// Compiles a case's definition into a temporary folder.
fn image(dir: &TempDir, name: &str) -> String {
    let path = text(&dir.path().join("tables.img"));
    seqnic()
        .args(["compile", &definition(name), "-o", &path])
        .assert()
        .success();
    path
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn json(assert: &Assert) -> serde_json::Value {
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// Fails with this code and says this on standard error, and nothing on standard output.
#[track_caller]
fn refused(assert: Assert, code: i32, message: &str) {
    let assert = assert.code(code);
    assert_eq!(stdout(&assert), "");
    let errors = stderr(&assert);
    assert!(errors.contains(message), "{errors}");
}
