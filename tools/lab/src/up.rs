//! Bringing a lab up.

use crate::engine::{self, Start};
use crate::file::{Check, LabFile};
use crate::net::{behind, cable, furnish, furnish_also, namespace};
use crate::plan::{Engine, LINK, Node, Plan, Role, link};
use crate::programs::{Program, Ready, Site, Started, kea, keepalived, tunnel, write};
use crate::run::inside;
use crate::{LabError, down, missing};
use seqnic_compiler::definition::Definition;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long programs may take until they are ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A lab that is up; kept in its folder as `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    pub name: String,
    pub folder: PathBuf,
    pub nodes: Vec<Node>,
    /// IP versions, `true` for 6.
    pub families: Vec<bool>,
    /// Programs that were started, by process number.
    pub processes: Vec<u32>,
    /// What has to be seen until all programs are ready.
    pub ready: Vec<Ready>,
    pub check: Vec<Check>,
    /// What each engine's files begin with.
    pub engines: Vec<String>,
}

impl Lab {
    /// The namespace of a node.
    pub fn space(&self, node: &str) -> String {
        format!("{}.{node}", self.name)
    }

    /// Where the daemon listens; of two, the first one's.
    pub fn socket(&self) -> PathBuf {
        self.sockets().next().unwrap_or_default()
    }

    /// Where the daemons listen.
    pub fn sockets(&self) -> impl Iterator<Item = PathBuf> {
        (self.engines.iter()).map(|files| self.folder.join(format!("{files}.sock")))
    }

    /// Runs a program in a node to its end.
    ///
    /// # Errors
    /// It ends with another code than 0.
    pub fn exec(&self, node: &str, args: &[&str]) -> Result<String, LabError> {
        inside(&self.space(node), args)
    }

    /// What each program of a node has in its own log of packets.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn logs(&self, node: &Node) -> Result<Vec<(Program, String)>, LabError> {
        let space = self.space(&node.name);
        let site = Site {
            space: &space,
            node,
            folder: &self.folder,
            families: &self.families,
            number: 0,
        };
        let logs = node.programs.keys().map(|p| Ok((*p, p.log(&site)?)));
        logs.collect()
    }

    /// Waits until all programs are ready: the definition has to be applied by now, since some are so only
    /// when their packets pass.
    ///
    /// # Errors
    /// One is not, in a minute.
    pub fn wait(&self) -> Result<(), LabError> {
        let until = Instant::now() + PATIENCE;
        for ready in &self.ready {
            while !is(ready) {
                if Instant::now() > until {
                    return Err(LabError::NotReady(match ready {
                        Ready::Port(space, port) => {
                            format!("port {port} of `{space}` is not listened on")
                        }
                        Ready::Text(file, text) => {
                            format!("{} does not say \"{text}\"", file.display())
                        }
                    }));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }
}

fn is(ready: &Ready) -> bool {
    match ready {
        Ready::Text(file, text) => {
            std::fs::read_to_string(file).is_ok_and(|all| all.contains(text.as_str()))
        }
        // Local address and state (0A: listening) of a line of /proc/net/tcp.
        Ready::Port(space, port) => {
            let sockets = inside(space, &["cat", "/proc/net/tcp", "/proc/net/tcp6"]);
            let port = format!(":{port:04X}");
            sockets.unwrap_or_default().lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.get(1).is_some_and(|w| w.ends_with(&port)) && words.get(3) == Some(&"0A")
            })
        }
    }
}

/// What a lab is made from.
#[derive(Debug)]
pub struct Options<'a> {
    /// At most 5 characters: names of network devices are short.
    pub name: &'a str,
    /// Where logs, captures and configurations go.
    pub folder: &'a Path,
    /// The daemon's program.
    pub seqnicd: &'a Path,
    /// The program of the simulated card; without it the software engine is the engine.
    pub card: Option<&'a Path>,
    pub file: &'a LabFile,
    /// The definition the lab file calls `another`.
    pub another: Option<&'a Definition>,
    /// More for the daemon's configuration, YAML.
    pub config: &'a str,
}

/// Makes the namespaces, starts the programs and the daemon. The definition is not applied yet.
///
/// # Errors
/// Something is missing here, the definition cannot be shown, or a program fails; what was made is
/// taken down again.
pub fn up(definition: &Definition, options: &Options) -> Result<Lab, LabError> {
    let plan = Plan::of(definition, options.another, options.file)?;
    let missing = missing(&plan);
    if !missing.is_empty() {
        return Err(LabError::Missing(missing));
    }
    if down::spaces(options.name).next().is_some() {
        return Err(LabError::Up(options.name.to_string()));
    }
    let failed = |source| LabError::File {
        path: options.folder.to_path_buf(),
        source,
    };
    std::fs::create_dir_all(options.folder).map_err(failed)?;
    let mut lab = Lab {
        name: options.name.to_string(),
        folder: options.folder.canonicalize().map_err(failed)?,
        nodes: plan.nodes.clone(),
        families: plan.families().to_vec(),
        processes: Vec::new(),
        ready: Vec::new(),
        check: plan.check.clone(),
        engines: plan.engines.iter().map(|e| e.files.clone()).collect(),
    };
    match build(definition, &plan, options, &mut lab) {
        Ok(()) => {
            let text = serde_json::to_string_pretty(&lab).unwrap_or_default();
            write(&lab.folder.join("lab.json"), &text)?;
            Ok(lab)
        }
        Err(e) => {
            down::down(&lab);
            Err(e)
        }
    }
}

fn build(
    definition: &Definition,
    plan: &Plan,
    options: &Options,
    lab: &mut Lab,
) -> Result<(), LabError> {
    let switch = lab.space("wires");
    let families = plan.families();
    let v6 = families.contains(&true);
    namespace(&switch, false, false)?;
    for port in &plan.ports {
        let bridge = format!("port{port}");
        inside(&switch, &["ip", "link", "add", &bridge, "type", "bridge"])?;
        inside(&switch, &["ip", "link", "set", &bridge, "up"])?;
    }
    for engine in &plan.engines {
        let space = lab.space(&engine.name);
        namespace(&space, false, true)?;
        for port in &plan.ports {
            let device = format!("p{port}");
            let bridge = format!("port{port}");
            cable(
                (&space, &device, None),
                (&switch, Some(&bridge), &format!("{}p{port}", engine.name)),
            )?;
            // The daemon's frames only: the kernel says nothing there by itself.
            let silent = format!(
                "echo 1 > /proc/sys/net/ipv6/conf/{device}/disable_ipv6; \
                 echo 8 > /proc/sys/net/ipv4/conf/{device}/arp_ignore"
            );
            inside(&space, &["sh", "-c", &silent])?;
        }
    }
    if let ([one, two], true) = (&plan.engines[..], plan.pair) {
        let spaces = [lab.space(&one.name), lab.space(&two.name)];
        cable((&spaces[0], LINK, None), (&spaces[1], None, LINK))?;
        for (number, space) in spaces.iter().enumerate() {
            let own = format!("{}/24", link(number));
            inside(space, &["ip", "addr", "add", &own, "dev", LINK])?;
        }
    }
    let mut number = 0;
    for node in &plan.nodes {
        let space = lab.space(&node.name);
        let forwards = matches!(node.role, Role::Host | Role::Pass(_));
        namespace(&space, forwards, v6)?;
        for c in &node.cables {
            number += 1;
            cable(
                (&space, &c.device, Some(&c.mac)),
                (
                    &switch,
                    Some(&format!("port{}", c.port)),
                    &format!("n{number}"),
                ),
            )?;
        }
        let services = match plan.others.contains(&node.name) {
            true => &plan.others_services,
            false => &plan.services,
        };
        furnish(&space, node, services, families)?;
        furnish_also(&space, node, families)?;
    }
    for node in &plan.nodes {
        if let Some((host, addresses)) = &node.behind {
            number += 1;
            let space = lab.space(&node.name);
            behind(&lab.space(host), &space, addresses, number, families)?;
        }
    }
    for (number, node) in plan.nodes.iter().enumerate() {
        let space = lab.space(&node.name);
        let site = Site {
            space: &space,
            node,
            folder: &lab.folder.clone(),
            families,
            number,
        };
        for (program, ports) in &node.programs {
            let started = program.start(&site, ports);
            remember(lab, started?);
        }
    }
    for engine in &plan.engines {
        start_engine(definition, plan, options, lab, engine)?;
    }
    for (number, node) in plan.nodes.iter().enumerate() {
        let space = lab.space(&node.name);
        let site = Site {
            space: &space,
            node,
            folder: &lab.folder.clone(),
            families,
            number,
        };
        for (number, name) in node.tunnels.iter().enumerate() {
            if let Some(vpn) = plan.nodes.iter().find(|n| n.name == *name) {
                let started = tunnel(&site, vpn, number);
                remember(lab, started?);
            }
        }
    }
    Ok(())
}

fn start_engine(
    definition: &Definition,
    plan: &Plan,
    options: &Options,
    lab: &mut Lab,
    engine: &Engine,
) -> Result<(), LabError> {
    let mut config = options.config.to_string();
    for (key, value) in &engine.config {
        // JSON is YAML.
        config.push_str(&format!("\n{key}: {value}"));
    }
    let space = lab.space(&engine.name);
    let children = engine::start(
        &Start {
            space: &space,
            folder: &lab.folder,
            name: &engine.files,
            geometry: &plan.geometry,
            ports: &plan.ports,
            card: options.card,
            config: &config,
        },
        options.seqnicd,
    )?;
    lab.processes
        .extend(children.iter().map(std::process::Child::id));
    if !options.file.kea.is_empty() && !engine.another {
        let started = kea::start(definition, &options.file.kea, &space, &lab.folder)?;
        remember(lab, started);
    }
    if plan.pair {
        let started = keepalived::start(definition, engine, &space, &lab.folder)?;
        remember(lab, started);
    }
    Ok(())
}

/// They live on when this command has ended; `down` ends them.
fn remember(lab: &mut Lab, started: Started) {
    lab.processes.extend(started.processes);
    lab.ready.extend(started.ready);
}
