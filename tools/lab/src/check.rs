//! Whether a lab does what its definition says: asks what the lab file asks, and compares what every node
//! counted itself with what the engine counted, hop by hop.

use crate::plan::Node;
use crate::programs::Program;
use crate::up::Lab;
use crate::{LabError, run};
use seqnic_daemon::api::{Answer, Counters, Request};
use seqnic_daemon::client::Client;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long counters may take to stand still.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long they do.
const STILL: Duration = Duration::from_millis(300);

/// A command of the lab file.
#[derive(Debug, Clone)]
pub struct Asked {
    pub node: String,
    pub run: String,
    /// What it said, or why it failed.
    pub said: Result<String, String>,
    pub as_wanted: bool,
}

/// One attachment: what its device counted and what the engine did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    pub attachment: String,
    /// Packets the engine sent there, and the device's own count of what it was sent.
    pub to: (u64, u64),
    /// Packets the device counted as sent, and the engine as come from there.
    pub from: (u64, u64),
}

impl Hop {
    pub fn adds_up(&self) -> bool {
        self.to.0 == self.to.1 && self.from.0 == self.from.1
    }
}

#[derive(Debug, Clone)]
pub struct Report {
    pub asked: Vec<Asked>,
    /// Attachments at which anything passed.
    pub hops: Vec<Hop>,
    /// What machines behind a host sent and got, and what the host gave to the engine and got.
    pub behind: Vec<Hop>,
    /// Each node's own logs.
    pub logs: Vec<(String, Program, String)>,
}

impl Report {
    pub fn passes(&self) -> bool {
        self.asked.iter().all(|a| a.as_wanted)
            && self.hops.iter().chain(&self.behind).all(Hop::adds_up)
    }
}

/// What everybody counted at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cut {
    /// By attachment: sent there, came from there.
    engine: BTreeMap<String, (u64, u64)>,
    /// By attachment, or name of a machine behind a host: was sent, sent.
    nodes: BTreeMap<String, (u64, u64)>,
}

/// The engine's counters.
///
/// # Errors
/// It does not answer.
pub fn counters(lab: &Lab) -> Result<Counters, LabError> {
    let failed = |e: &dyn std::fmt::Display| LabError::Engine(e.to_string());
    let mut client = Client::connect(&lab.socket()).map_err(|e| failed(&e))?;
    match client.ask(&Request::Counters).map_err(|e| failed(&e))? {
        Answer::Counters(counters) => Ok(counters),
        other => Err(failed(&format!("{other:?}"))),
    }
}

/// Sum of a kind of counter with a label.
pub fn packets(counters: &Counters, kind: &str, name: &str) -> u64 {
    let of = counters.counters.iter().filter(|c| c.kind == kind);
    of.filter(|c| c.labels.values().any(|v| v == name))
        .map(|c| c.packets)
        .sum()
}

/// What a network device of a node was sent and sent, by its own kernel.
fn device(space: &str, device: &str) -> Result<(u64, u64), LabError> {
    let script = format!(
        "nft list counter netdev lab in_{device}; cat /sys/class/net/{device}/statistics/tx_packets"
    );
    let said = run::inside(space, &["sh", "-ec", &script])?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let got = (words.iter().position(|w| *w == "packets"))
        .and_then(|at| words.get(at + 1))
        .and_then(|n| n.parse().ok());
    let sent = words.last().and_then(|n| n.parse().ok());
    match (got, sent) {
        (Some(got), Some(sent)) => Ok((got, sent)),
        _ => Err(LabError::Command {
            command: script,
            what: format!("said {said:?}"),
        }),
    }
}

fn cut(lab: &Lab) -> Result<Cut, LabError> {
    let mut cut = Cut::default();
    for node in &lab.nodes {
        let space = lab.space(&node.name);
        for c in &node.cables {
            cut.nodes
                .insert(c.attachment.clone(), device(&space, &c.device)?);
        }
        if node.behind.is_some() {
            cut.nodes.insert(node.name.clone(), device(&space, "eth0")?);
        }
    }
    let counters = counters(lab)?;
    for attachment in lab.nodes.iter().flat_map(|n| &n.cables) {
        let name = &attachment.attachment;
        cut.engine.insert(
            name.clone(),
            (
                packets(&counters, "attachment_out", name),
                packets(&counters, "attachment_in", name),
            ),
        );
    }
    Ok(cut)
}

/// A cut at which nothing is under way.
fn still(lab: &Lab) -> Result<Cut, LabError> {
    let until = Instant::now() + PATIENCE;
    let mut was = cut(lab)?;
    loop {
        std::thread::sleep(STILL);
        let now = cut(lab)?;
        if now == was || Instant::now() > until {
            return Ok(now);
        }
        was = now;
    }
}

fn ask(lab: &Lab) -> Vec<Asked> {
    let asked = |check: &crate::file::Check| {
        let said = run::inside(&lab.space(&check.node), &["sh", "-c", &check.run]);
        let said = said.map_err(|e| e.to_string());
        Asked {
            node: check.node.clone(),
            run: check.run.clone(),
            as_wanted: said.as_ref().is_ok_and(|s| s.contains(&check.says)),
            said,
        }
    };
    lab.check.iter().map(asked).collect()
}

/// Asks, and compares.
///
/// # Errors
/// A counter or log cannot be read.
pub fn check(lab: &Lab) -> Result<Report, LabError> {
    let before = still(lab)?;
    let asked = ask(lab);
    let after = still(lab)?;
    let difference =
        |of: &BTreeMap<String, (u64, u64)>, was: &BTreeMap<String, (u64, u64)>, name: &str| {
            let at = |m: &BTreeMap<String, (u64, u64)>| m.get(name).copied().unwrap_or_default();
            let (now, was) = (at(of), at(was));
            (now.0.wrapping_sub(was.0), now.1.wrapping_sub(was.1))
        };
    let node = |name: &str| difference(&after.nodes, &before.nodes, name);
    let mut hops = Vec::new();
    // Of two engines each counts its own, and ARP to both; a load balancer in front asks its servers all the time.
    let one = lab.engines.len() == 1 && !lab.nodes.iter().any(Node::asks_all_the_time);
    for cable in lab.nodes.iter().flat_map(|n| &n.cables).filter(|_| one) {
        let engine = difference(&after.engine, &before.engine, &cable.attachment);
        let own = node(&cable.attachment);
        let hop = Hop {
            attachment: cable.attachment.clone(),
            to: (engine.0, own.0),
            from: (own.1, engine.1),
        };
        if hop.to != (0, 0) || hop.from != (0, 0) {
            hops.push(hop);
        }
    }
    let mut behind = Vec::new();
    for host in lab.nodes.iter().filter(|n| one && n.behind.is_none()) {
        let is_behind = |n: &&Node| n.behind.as_ref().is_some_and(|(h, _)| *h == host.name);
        let machines: Vec<&Node> = lab.nodes.iter().filter(is_behind).collect();
        // What it sends to its servers is no packet of the engine's.
        if host.programs.contains_key(&Program::Haproxy) {
            continue;
        }
        let Some(cable) = host.cables.first().filter(|_| !machines.is_empty()) else {
            continue;
        };
        let sum = machines.iter().fold((0, 0), |sum, m| {
            let of = node(&m.name);
            (sum.0 + of.0, sum.1 + of.1)
        });
        let own = node(&cable.attachment);
        let names: Vec<&str> = machines.iter().map(|m| m.name.as_str()).collect();
        behind.push(Hop {
            attachment: names.join(" + "),
            to: (own.0, sum.0),
            from: (sum.1, own.1),
        });
    }
    let mut logs = Vec::new();
    for node in &lab.nodes {
        let of = lab.logs(node)?;
        logs.extend(of.into_iter().map(|(p, log)| (node.name.clone(), p, log)));
    }
    Ok(Report {
        asked,
        hops,
        behind,
        logs,
    })
}
