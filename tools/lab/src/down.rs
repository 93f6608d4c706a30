//! Taking a lab down.

use crate::up::Lab;
use crate::{LabError, run::run};
use std::path::Path;

/// Namespaces of a lab that are there.
pub fn spaces(name: &str) -> impl Iterator<Item = String> + use<> {
    let prefix = format!("{name}.");
    let all = run(&["ip", "netns", "list"]).unwrap_or_default();
    let names: Vec<String> = (all.lines())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|space| space.starts_with(&prefix))
        .map(str::to_string)
        .collect();
    names.into_iter()
}

/// Ends the programs of a lab and removes its namespaces. What is gone already is no trouble.
pub fn down(lab: &Lab) {
    for space in spaces(&lab.name) {
        // Only what runs in a namespace of this lab.
        for process in run(&["ip", "netns", "pids", &space])
            .unwrap_or_default()
            .lines()
        {
            if let Ok(number) = process.trim().parse::<i32>() {
                // SAFETY: a number of a process; signals hurt nobody else.
                unsafe { libc::kill(number, libc::SIGKILL) };
            }
        }
    }
    for process in &lab.processes {
        // Children of this very command are waited for, others are init's.
        // SAFETY: no pointers but null.
        unsafe { libc::waitpid(*process as i32, std::ptr::null_mut(), libc::WNOHANG) };
    }
    for space in spaces(&lab.name) {
        let _gone = run(&["ip", "netns", "del", &space]);
    }
}

/// Reads what [`crate::up::up`] left in a lab's folder.
///
/// # Errors
/// There is no lab.
pub fn read(folder: &Path) -> Result<Lab, LabError> {
    let path = folder.join("lab.json");
    let text = std::fs::read_to_string(&path).map_err(|source| LabError::File {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|e| LabError::File {
        path,
        source: std::io::Error::other(e),
    })
}
