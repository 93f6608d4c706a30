//! Requests over the Unix socket: a line of JSON each way. The connection stays for more.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the daemon is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make a definition hold.
    Apply {
        /// For messages.
        name: String,
        definition: String,
        /// Only say what would change.
        #[serde(default)]
        dry_run: bool,
        /// Load all tables instead of changing those that are loaded; packets meet a mixture meanwhile.
        #[serde(default)]
        reload: bool,
    },
    Status,
    Counters,
    /// The definition that holds, as it was given.
    Definition,
    /// A device has failed.
    Fail {
        device: String,
    },
    /// How does a server take packets for a service address?
    Detect {
        device: String,
        address: IpAddr,
        port: u16,
    },
    /// A failed device takes its place again.
    Restore {
        device: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    Ok(Answer),
    Error(Box<Refusal>),
}

/// Why not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// `refused`: the input is at fault. `failed`: the card or the daemon.
    pub code: String,
    pub message: String,
    /// Of a definition that is refused, rendered for people, each finding at its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Changed(Changed),
    Status(Box<Status>),
    Counters(Counters),
    Definition { name: String, text: String },
    Detected(Detected),
}

/// What a server answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Detected {
    /// `loopback`, `alias` or `nat`; none if it did not answer at all.
    pub mode: Option<String>,
    /// To a connection to the service address.
    pub to_service: Option<String>,
    /// To a connection to its own address.
    pub to_own: Option<String>,
    /// To the question who has the service address.
    pub who_has: Option<String>,
}

/// What a change did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    /// Words that were written while packets passed; `None`: all tables were loaded.
    pub words: Option<usize>,
    pub microseconds: u64,
    pub dry_run: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub card: String,
    #[serde(default)]
    pub card_state: CardState,
    pub geometry: String,
    /// Seconds since the daemon started.
    pub uptime: u64,
    /// `None`: no definition is applied.
    pub definition: Option<DefinitionStatus>,
    pub ports: Vec<PortStatus>,
    pub devices: Vec<DeviceStatus>,
    /// Service and device for each role in which every device failed.
    pub unavailable: Vec<(String, String)>,
    /// Service and device for each role in which every device failed and that is done without.
    #[serde(default)]
    pub bypassed: Vec<(String, String)>,
    /// Attachments whose MAC is learned.
    #[serde(default)]
    pub neighbours: Vec<NeighbourStatus>,
    /// Who sends on the engine's interfaces and is in no definition.
    #[serde(default)]
    pub discovered: Vec<Discovered>,
    /// TAP devices, by interface.
    pub taps: BTreeMap<String, String>,
    /// Rows of the card's tables that were not what was written to them, and were mended.
    #[serde(default)]
    pub repairs: u64,
    /// The newest fail-overs, oldest first, and how long they took.
    #[serde(default)]
    pub fail_overs: Vec<FailOver>,
    /// What became of packets the card gave to the host, by reason and deed.
    pub exceptions: BTreeMap<String, u64>,
    /// What the daemon noticed, oldest first.
    pub log: Vec<LogLine>,
    /// The other engine of a pair, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<crate::pair::PeerStatus>,
}

/// Whether the card can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardState {
    pub here: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long it has been away, how often it was tried to open it, in how many ms it is tried again.
    pub away_ms: u64,
    pub tries: u32,
    pub next_ms: u64,
    /// Whether it was there since the daemon started; if not, its geometry is not known.
    pub met: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DefinitionStatus {
    pub name: String,
    pub file: String,
    pub generation: u64,
    /// Of the tables.
    pub digest: String,
    /// Of the text: equal on both engines of a pair.
    #[serde(default)]
    pub text_digest: String,
    pub services: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortStatus {
    pub port: u8,
    pub link: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceStatus {
    pub name: String,
    pub function: String,
    /// Mean time until its packets came back, ns, in the newest interval that had any.
    #[serde(default)]
    pub response_ns: Option<u64>,
    /// `up`, `suspected`, `failed`.
    pub state: String,
}

/// How long a fail-over took, from the last sign of life until the alternates stood in, us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailOver {
    /// Seconds since 1970.
    pub time: u64,
    pub device: String,
    pub why: String,
    /// All of it, and how much of that until it counted as failed; `None`: nothing was ever seen of the device.
    pub whole_us: Option<u64>,
    pub detect_us: Option<u64>,
    /// Working out what to write (0: it was ready), writing that down on disk, writing the card.
    pub delta_us: u64,
    pub journal_us: u64,
    pub words_us: u64,
    pub words: Option<usize>,
}

/// An attachment whose MAC is learned, and what the kernel knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourStatus {
    pub attachment: String,
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// As `ip neighbour` has it; `none`: the kernel does not know the address.
    pub state: String,
}

/// Somebody no definition has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    pub interface: String,
    pub mac: String,
    /// Those it says it has, of the interface's networks.
    pub addresses: Vec<IpAddr>,
    pub packets: u64,
    /// Seconds since 1970.
    pub first: u64,
    pub last: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    /// Seconds since 1970.
    pub time: u64,
    pub text: String,
}

/// Exact counters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counters {
    /// The card's time of the cut, ns.
    pub time: u64,
    pub counters: Vec<Counter>,
}

/// One counter; fields that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// `reason`, `interface_in`, `interface_out`, `attachment_in`, `attachment_out`, `service`, `step`; other
    /// sets by their names.
    pub kind: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub packets: u64,
    pub bytes: u64,
}
