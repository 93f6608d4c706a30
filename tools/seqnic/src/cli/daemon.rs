//! Commands that ask the daemon.

use clap::{Args, ValueHint};
use seqnic_daemon::client::EngineAddress;
use std::path::PathBuf;

/// The daemon that is asked: this host's by its socket, or another engine's over TLS.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Where seqnicd listens
    #[arg(long, value_name = "SOCKET", default_value = seqnic_daemon::config::SOCKET, value_hint = ValueHint::FilePath)]
    pub socket: PathBuf,
    /// An engine elsewhere instead (`provisioner` in its configuration): tls://host:port
    #[arg(long, value_name = "ADDRESS", env = "SEQNIC_ENGINE", hide_env_values = true, requires_all = ["cert", "key", "ca"], conflicts_with = "socket")]
    pub engine: Option<EngineAddress>,
    /// Certificate to log on with (PEM)
    #[arg(long, value_name = "FILE", env = "SEQNIC_CERT", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", env = "SEQNIC_KEY", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Who certifies engines (PEM)
    #[arg(long, value_name = "FILE", env = "SEQNIC_CA", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,
}

/// Make a definition hold on the card of this host
///
/// All or nothing, while packets pass: every packet meets the old definition or the new one.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic apply fig07.yaml"
    "seqnic apply --dry-run fig07.yaml"
    "seqnic apply --reload fig07.yaml"
))]
pub struct Apply {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Load all tables instead of changing those that are loaded; packets may meet a mixture meanwhile
    #[arg(long, conflicts_with = "dry_run")]
    pub reload: bool,
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Say how the card of this host is: definition, ports, devices, what was noticed
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic status "
    "seqnic status --engine tls://192.0.2.1:7367 --cert me.pem --key me.key --ca engines.pem"
    "seqnic status --json | jq '.devices[] | select(.state != \"up\")'"
))]
pub struct Status {
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Show the counters of the card of this host, all at one moment
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic counters "
    "seqnic counters --json | jq '.counters[] | select(.kind == \"service\")'"
))]
pub struct Counters {
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON: exact 64-bit numbers
    #[arg(long)]
    pub json: bool,
}

/// Show rates of services and devices as they change; q ends it
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic top "
    "seqnic top --every 500"
))]
pub struct Top {
    #[command(flatten)]
    pub daemon: Daemon,
    /// Time between two looks, ms
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..))]
    pub every: u64,
}

/// Take a device out of all services: its alternates stand in for it
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic failed firewall"))]
pub struct Failed {
    /// Device of the definition
    pub device: String,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Ask a server how it takes packets for a service address: loopback, alias or NAT mode
///
/// It is offered a connection to that address and one to its own, and asked who has the address.
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic detect web1 --address 203.0.113.13 --port 80"))]
pub struct Detect {
    /// Server of the definition
    pub device: String,
    /// Service address it is to serve; no service of the definition may have it yet
    #[arg(long)]
    pub address: std::net::IpAddr,
    /// Port
    #[arg(long)]
    pub port: u16,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Give a failed device its place back
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic restore firewall"))]
pub struct Restore {
    /// Device of the definition
    pub device: String,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Print keepalived's configuration for this engine of two: the definition's addresses are shared by VRRP
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic keepalived fig15.yaml > /etc/keepalived/keepalived.conf"
    "seqnic keepalived fig15.yaml --config ./seqnicd.yaml"
))]
pub struct Keepalived {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The daemon's configuration: `pair` in it says what is this engine's own
    #[arg(long, value_name = "FILE", default_value = seqnic_daemon::config::PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
}

/// Print Kea's configuration: DHCP for the devices and hosts of a definition
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic kea fig15.yaml > /etc/kea/kea-dhcp4.conf"
    "seqnic kea fig15.yaml --interface i1 --pool 10.1.0.100-10.1.0.199"
))]
pub struct Kea {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Serve this interface; may be given again [default: all that have an IPv4 address]
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Addresses for whoever is not in the definition; may be given again
    #[arg(long, value_name = "FROM-TO")]
    pub pool: Vec<String>,
    /// What names of the engine's network devices begin with
    #[arg(long, default_value = "sq-")]
    pub prefix: String,
}
