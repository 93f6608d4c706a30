//! The lab file: what runs where, beside a definition (`fig07.yaml` and `fig07.lab.yaml`).

use crate::LabError;
use crate::programs::Program;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Programs of a node and the ports each serves; none named: all that packets reach the node on.
pub type Programs = BTreeMap<Program, Vec<u16>>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabFile {
    /// By device. A device that is not named gets what its `function` and place say.
    #[serde(default)]
    pub programs: BTreeMap<String, Programs>,
    /// Machines behind hosts: clients, and servers of the Internet. Without any there is a `client` behind each gateway.
    #[serde(default)]
    pub behind: BTreeMap<String, Behind>,
    /// More of the daemon's configuration.
    #[serde(default)]
    pub daemon: BTreeMap<String, serde_json::Value>,
    /// Interfaces of the definition on which Kea gives devices their addresses.
    #[serde(default)]
    pub kea: Vec<String>,
    /// What `seqnic lab check` asks.
    #[serde(default)]
    pub check: Vec<Check>,
    /// Two engines that share the definition's addresses; without, there is one.
    #[serde(default)]
    pub engines: Vec<EngineFile>,
    /// Definition of another engine beside the first, with addresses and MACs of its own: a path from the lab file. Devices
    /// that both name are the same ones, and its nth service address stands in for the first engine's nth.
    pub another: Option<PathBuf>,
}

/// One of two engines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineFile {
    /// VRRP: who is higher has the shared addresses.
    pub priority: u8,
    /// Of single interfaces.
    #[serde(default)]
    pub priorities: BTreeMap<String, u8>,
    /// More of its daemon's configuration.
    #[serde(default)]
    pub daemon: BTreeMap<String, serde_json::Value>,
}

impl EngineFile {
    pub fn priority_of(&self, interface: &str) -> u8 {
        *self.priorities.get(interface).unwrap_or(&self.priority)
    }
}

/// A machine behind a host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    pub host: String,
    pub address: Vec<IpAddr>,
    /// More addresses of it: what comes from them its host gives to the other engine (`another`).
    #[serde(default)]
    pub by_another: Vec<IpAddr>,
    #[serde(default)]
    pub programs: Programs,
    /// VPN devices it has a tunnel to.
    #[serde(default)]
    pub tunnels: Vec<String>,
}

/// A command in a node and what it must say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    #[serde(rename = "in")]
    pub node: String,
    /// For `sh -c`.
    pub run: String,
    /// Stands in what it says.
    pub says: String,
}

/// Where the lab file of a definition is: `x.lab.yaml` beside `x.yaml`.
pub fn beside(definition: &Path) -> PathBuf {
    definition.with_extension("lab.yaml")
}

/// Where the definition of the other engine is, if the lab file of `definition` names one.
pub fn another(lab: &LabFile, beside: &Path) -> Option<PathBuf> {
    let folder = beside.parent().unwrap_or(Path::new(""));
    lab.another.as_ref().map(|path| folder.join(path))
}

/// Reads a lab file; `file` is for messages.
///
/// # Errors
/// What is wrong in it, with line and column.
pub fn parse(text: &str, file: &Path) -> Result<LabFile, LabError> {
    serde_saphyr::from_str(text).map_err(|e| LabError::Wrong {
        path: file.to_path_buf(),
        what: e.to_string(),
    })
}

/// The lab file beside a definition; the default if there is none.
///
/// # Errors
/// It cannot be read, or is wrong.
pub fn read_beside(definition: &Path) -> Result<LabFile, LabError> {
    let path = beside(definition);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(LabFile::default()),
        Err(source) => Err(LabError::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::{LabFile, parse};
    use crate::programs::Program;
    use std::path::Path;

    #[test]
    fn a_file_is_read_and_errors_say_where() {
        let file = parse(
            "programs:\n  server: { nginx: [80], iperf3: [5201] }\nbehind:\n  u1: { host: router, address: [198.51.100.11] }\ndaemon: { health: { interval_ms: 20 } }\ncheck:\n  - { in: u1, run: curl x, says: y }\n",
            Path::new("x.lab.yaml"),
        )
        .unwrap();
        assert_eq!(file.programs["server"][&Program::Nginx], [80]);
        assert_eq!(file.daemon["health"]["interval_ms"], 20);
        assert_eq!(file.check.len(), 1);
        let wrong = parse(
            "programs:\n  a: { apache: [80] }\n",
            Path::new("x.lab.yaml"),
        );
        let text = wrong.unwrap_err().to_string();
        assert!(text.contains("apache") && text.contains("2:"), "{text}");
        assert_eq!(LabFile::default().check, []);
    }
}
