//! Other programs, in namespaces.

use crate::LabError;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs a program to its end; what it says if it fails is the error.
///
/// # Errors
/// It is not there, or ends with another code than 0.
pub fn run(args: &[&str]) -> Result<String, LabError> {
    let failed = |what: String| LabError::Command {
        command: args.join(" "),
        what,
    };
    let (program, rest) = args
        .split_first()
        .ok_or_else(|| failed(String::from("nothing to run")))?;
    let output = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_string(),
        )),
    }
}

/// Runs a program in a namespace to its end.
///
/// # Errors
/// As [`run`].
pub fn inside(namespace: &str, args: &[&str]) -> Result<String, LabError> {
    let mut all = vec!["ip", "netns", "exec", namespace];
    all.extend(args);
    run(&all)
}

/// Starts a program in a namespace; what it says goes to `log`.
///
/// # Errors
/// It cannot be started.
pub fn start(namespace: &str, args: &[&str], log: &Path) -> Result<Child, LabError> {
    let file = |e| LabError::File {
        path: log.to_path_buf(),
        source: e,
    };
    let out = File::create(log).map_err(file)?;
    let err = out.try_clone().map_err(file)?;
    Command::new("ip")
        .args(["netns", "exec", namespace])
        .args(args)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|e| LabError::Command {
            command: args.join(" "),
            what: e.to_string(),
        })
}
