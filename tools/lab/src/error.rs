//! Why there is no lab.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("a lab needs {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("the lab cannot show this definition: {0}")]
    NotShown(String),
    #[error("`{command}` failed: {what}")]
    Command { command: String, what: String },
    #[error("cannot write {}: {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {what}", path.display())]
    Wrong { path: PathBuf, what: String },
    #[error(
        "a program of the lab is not ready after a minute: {0}; `seqnic lab down` removes the lab"
    )]
    NotReady(String),
    #[error("the engine does not answer: {0}")]
    Engine(String),
    #[error("seqnicd did not start in time; see {}", .0.display())]
    Daemon(PathBuf),
    #[error("the simulated card did not start; see {}", .0.display())]
    Card(PathBuf),
    #[error("a lab `{0}` is up already: `seqnic lab down {0}`")]
    Up(String),
}
