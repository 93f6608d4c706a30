//! How an engine is started.

use crate::LabError;
use crate::programs::write;
use crate::run::start as start_in;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long the daemon may take to listen, and how long with a simulated card, which answers when its clocks have passed.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_WITH_CARD: Duration = Duration::from_secs(180);
/// How long a simulated card may take to start: the first time it builds the simulator.
const BUILDING: Duration = Duration::from_secs(1200);
/// How long the daemon waits for a simulated card that shares the machine with much else, ms.
const TIMEOUT_MS: u32 = 30_000;
/// Rows a second it looks at there: each takes some of the few clocks a simulation has.
const SCRUB: u32 = 200;

/// One engine: `seqnicd` in a namespace where port N of the engine is the network device `pN`.
#[derive(Debug)]
pub struct Start<'a> {
    pub space: &'a str,
    pub folder: &'a Path,
    /// Its socket, log, configuration and journal in the folder begin with this.
    pub name: &'a str,
    pub geometry: &'a str,
    pub ports: &'a BTreeSet<u8>,
    /// The program of the simulated card; without it the daemon is the software engine.
    pub card: Option<&'a Path>,
    /// More for the daemon's configuration, YAML.
    pub config: &'a str,
}

/// Starts an engine and waits until it listens. Its programs.
///
/// # Errors
/// It does not start; its log says why.
pub fn start(engine: &Start, seqnicd: &Path) -> Result<Vec<Child>, LabError> {
    let mut children = Vec::new();
    let at = engine.folder.join(engine.name);
    let at = at.display();
    let card = match engine.card {
        None => {
            let ports: Vec<String> = (engine.ports.iter())
                .map(|p| format!("{p}: {{ interface: p{p} }}"))
                .collect();
            let ports = ports.join(", ");
            format!(
                "{{ software: {{ geometry: {}, ports: {{ {ports} }} }} }}",
                engine.geometry
            )
        }
        Some(program) => {
            let socket = engine.folder.join(format!("{}.card", engine.name));
            children.push(simulated(engine, program, &socket)?);
            format!(
                "{{ address: \"unix:{}\", timeout_ms: {TIMEOUT_MS}, scrub: {SCRUB} }}",
                socket.display()
            )
        }
    };
    let config = format!(
        "card: {card}\nstate: {at}.state\nsocket: {at}.sock\n{}\n",
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
    let patience = match engine.card {
        Some(_) => PATIENCE_WITH_CARD,
        None => PATIENCE,
    };
    let until = Instant::now() + patience;
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        if Instant::now() > until {
            return Err(LabError::Daemon(log));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    children.push(child);
    Ok(children)
}

/// Starts the simulated card and waits until it is there.
fn simulated(engine: &Start, program: &Path, socket: &Path) -> Result<Child, LabError> {
    // One that was killed leaves its socket, which is not to be taken for this one's.
    let _there_may_be_none = std::fs::remove_file(socket);
    let log = engine.folder.join(format!("{}.card.log", engine.name));
    let mut args = vec![
        program.display().to_string(),
        String::from("--socket"),
        socket.display().to_string(),
        String::from("--geometry"),
        engine.geometry.to_string(),
    ];
    for port in engine.ports {
        args.extend([String::from("--port"), format!("p{port}=veth:p{port}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = start_in(engine.space, &args, &log)?;
    let until = Instant::now() + BUILDING;
    // The socket is made when all is ready; who connects is a client that leaves at once, which a card bears.
    while !socket.exists() {
        let ended = child.try_wait().is_ok_and(|ended| ended.is_some());
        if ended || Instant::now() > until {
            let _gone = child.kill();
            return Err(LabError::Card(log));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(child)
}
