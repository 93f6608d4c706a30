//! How an engine is started.

use crate::LabError;
use crate::nodes::write;
use crate::run::start as start_in;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long the daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One engine: `seqnicd` in a namespace where port N of the engine is the network device `pN`.
#[derive(Debug)]
pub struct Start<'a> {
    pub space: &'a str,
    pub folder: &'a Path,
    /// Its socket, log, configuration and journal in the folder begin with this.
    pub name: &'a str,
    pub geometry: &'a str,
    pub ports: &'a BTreeSet<u8>,
    /// More for the daemon's configuration, YAML.
    pub config: &'a str,
}

/// Starts an engine and waits until it listens.
///
/// # Errors
/// It does not start; its log says why.
pub fn start(engine: &Start, seqnicd: &Path) -> Result<Child, LabError> {
    let ports: Vec<String> = (engine.ports.iter())
        .map(|p| format!("{p}: {{ interface: p{p} }}"))
        .collect();
    let at = engine.folder.join(engine.name);
    let at = at.display();
    let config = format!(
        "card: {{ software: {{ geometry: {}, ports: {{ {} }} }} }}\nstate: {at}.state\nsocket: {at}.sock\n{}\n",
        engine.geometry,
        ports.join(", "),
        engine.config
    );
    let file = engine.folder.join(format!("{}.yaml", engine.name));
    write(&file, &config)?;
    let log = engine.folder.join(format!("{}.log", engine.name));
    let socket = engine.folder.join(format!("{}.sock", engine.name));
    let program = seqnicd.display().to_string();
    let child = start_in(
        engine.space,
        &[&program, "--config", &file.display().to_string()],
        &log,
    )?;
    let until = Instant::now() + PATIENCE;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        if Instant::now() > until {
            return Err(LabError::Daemon(log));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}
