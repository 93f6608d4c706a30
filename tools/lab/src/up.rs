//! Bringing a lab up.

use crate::engine::{self, Start};
use crate::nodes::{cable, families, furnish, namespace, write};
use crate::plan::{Plan, Work};
use crate::run::inside;
use crate::{LabError, down, missing};
use seqnic_compiler::definition::Definition;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Child;

/// A lab that is up; kept in its folder as `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    pub name: String,
    pub folder: PathBuf,
    /// Namespaces, without the lab's name in front.
    pub nodes: Vec<(String, String)>,
    /// Programs that were started, by process number.
    pub processes: Vec<u32>,
}

impl Lab {
    /// The namespace of a node.
    pub fn space(&self, node: &str) -> String {
        format!("{}.{node}", self.name)
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("seqnicd.sock")
    }

    /// Runs a program in a node to its end.
    ///
    /// # Errors
    /// It ends with another code than 0.
    pub fn exec(&self, node: &str, args: &[&str]) -> Result<String, LabError> {
        inside(&self.space(node), args)
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
    /// More for the daemon's configuration, YAML.
    pub config: &'a str,
}

/// Makes the namespaces, starts the programs and the daemon. The definition is not applied yet.
///
/// # Errors
/// Something is missing here, the definition cannot be shown, or a program fails; what was made is
/// taken down again.
pub fn up(definition: &Definition, options: &Options) -> Result<Lab, LabError> {
    let missing = missing();
    if !missing.is_empty() {
        return Err(LabError::Missing(missing));
    }
    let plan = Plan::of(definition)?;
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
        nodes: Vec::new(),
        processes: Vec::new(),
    };
    match build(&plan, options, &mut lab) {
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

fn build(plan: &Plan, options: &Options, lab: &mut Lab) -> Result<(), LabError> {
    let (engine, switch) = (lab.space("engine"), lab.space("wires"));
    let v6 = families(&plan.services).contains(&true);
    namespace(&engine, false, true)?;
    namespace(&switch, false, false)?;
    for port in &plan.ports {
        let bridge = format!("port{port}");
        inside(&switch, &["ip", "link", "add", &bridge, "type", "bridge"])?;
        inside(&switch, &["ip", "link", "set", &bridge, "up"])?;
        let device = format!("p{port}");
        cable(
            (&engine, &device, None),
            (&switch, Some(&bridge), &format!("engine{port}")),
        )?;
        // The daemon's frames only: the kernel says nothing there by itself.
        inside(
            &engine,
            &[
                "sh",
                "-c",
                &format!("echo 1 > /proc/sys/net/ipv6/conf/{device}/disable_ipv6"),
            ],
        )?;
    }
    let mut number = 0;
    for node in &plan.nodes {
        let space = lab.space(&node.name);
        let forwards = matches!(
            node.work,
            Work::Router { .. } | Work::Firewall | Work::Pass { .. }
        );
        namespace(&space, forwards, v6)?;
        for c in &node.cables {
            number += 1;
            let end = format!("n{number}");
            let bridge = format!("port{}", c.port);
            cable(
                (&space, &c.device, Some(&c.mac)),
                (&switch, Some(&bridge), &end),
            )?;
        }
        let children = furnish(&space, node, &plan.services, &lab.folder)?;
        remember(lab, children);
        lab.nodes
            .push((node.name.clone(), format!("{:?}", node.work)));
    }
    let children = engine::start(
        &Start {
            space: &engine,
            folder: &lab.folder,
            name: "seqnicd",
            geometry: &plan.geometry,
            ports: &plan.ports,
            card: options.card,
            config: options.config,
        },
        options.seqnicd,
    )?;
    remember(lab, children);
    Ok(())
}

fn remember(lab: &mut Lab, children: Vec<Child>) {
    // They live on when this command has ended; `down` ends them.
    lab.processes.extend(children.iter().map(Child::id));
}
