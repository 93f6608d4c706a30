//! The daemon's configuration: one YAML file.

pub mod provisioner;

use crate::pair::{Own, OwnInterface};
use crate::provisioner::keys::Keys;
use provisioner::{ProvisionerConfig, UpdatesConfig};
use seqnic_compiler::definition::Mac;
use seqnic_transport::Address;
use seqnic_transport::address::NoAddress;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the file stands unless the command line says otherwise.
pub const PATH: &str = "/etc/seqnic/seqnicd.yaml";
/// Where the daemon listens unless the file says otherwise.
pub const SOCKET: &str = "/run/seqnic/seqnicd.sock";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub card: CardConfig,
    /// Folder of the journal.
    #[serde(default = "state")]
    pub state: PathBuf,
    /// The local API.
    #[serde(default = "socket")]
    pub socket: PathBuf,
    /// Users besides root and the daemon's own who may use the API, by number.
    #[serde(default)]
    pub users: Vec<u32>,
    /// Where Prometheus may ask; nowhere unless given.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Whether the process gives up what it does not need.
    #[serde(default)]
    pub confine: Confine,
    #[serde(default)]
    pub linux: LinuxConfig,
    #[serde(default)]
    pub health: HealthConfig,
    /// One of two engines with one definition.
    #[serde(default)]
    pub pair: PairConfig,
    /// The API over TLS; nobody may log on unless given.
    #[serde(default)]
    pub provisioner: Option<ProvisionerConfig>,
    /// What the provisioner's requests may take.
    #[serde(default)]
    pub updates: UpdatesConfig,
}

/// What is this engine's own beside a definition that another engine has too.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    /// By interface of the definition.
    #[serde(default)]
    pub interfaces: BTreeMap<String, OwnConfig>,
    /// Where the other engine tells what it has.
    #[serde(default)]
    pub peer: Option<SocketAddr>,
    /// Where this one tells the other: on the cable between the two. Whoever connects is told.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Network device of the cable between the two: VRRP speaks over it.
    #[serde(default)]
    pub link: Option<String>,
    /// VRRP: number of the group, 1 to 255.
    #[serde(default = "group")]
    pub group: u8,
    /// VRRP: who is higher has the shared addresses, 1 to 254.
    #[serde(default = "priority")]
    pub priority: u8,
    /// VRRP: how often the one that has them says so, ms, in tens.
    #[serde(default = "advert")]
    pub advert_ms: u16,
}

/// An engine's own of an interface.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnConfig {
    #[serde(default)]
    pub mac: Option<String>,
    /// With prefix lengths: `192.0.2.2/24`.
    #[serde(default)]
    pub address: Vec<String>,
    /// Instead of the pair's: engines may share their load, one for clients, one for devices.
    #[serde(default)]
    pub priority: Option<u8>,
}

impl Default for PairConfig {
    fn default() -> PairConfig {
        PairConfig {
            interfaces: BTreeMap::new(),
            peer: None,
            listen: None,
            link: None,
            group: group(),
            priority: priority(),
            advert_ms: advert(),
        }
    }
}

impl PairConfig {
    /// What is laid over definitions. Called after [`parse`], which has refused what cannot be read.
    pub fn own(&self) -> Own {
        let interfaces = self.interfaces.iter().map(|(name, own)| {
            let own = OwnInterface {
                mac: own.mac.as_deref().and_then(mac),
                addresses: own.address.iter().filter_map(|a| address(a)).collect(),
            };
            (name.clone(), own)
        });
        Own(interfaces.collect())
    }

    fn wrong(&self) -> Option<String> {
        for (name, own) in &self.interfaces {
            if let Some(text) = own.mac.as_ref().filter(|m| mac(m).is_none()) {
                return Some(format!(
                    "`pair.interfaces.{name}.mac` is `{text}`: six bytes as 02:01:00:00:00:11, not of a group"
                ));
            }
            if let Some(text) = own.address.iter().find(|a| address(a).is_none()) {
                return Some(format!(
                    "`pair.interfaces.{name}.address` has `{text}`: an address and its prefix length, as 192.0.2.2/24"
                ));
            }
        }
        let priorities = self.interfaces.values().filter_map(|own| own.priority);
        if (priorities.chain([self.priority])).any(|p| p == 0 || p == 255) {
            return Some(String::from(
                "a `priority` of `pair` is 0 or 255, which mean something else in VRRP: 1 to 254",
            ));
        }
        if self.group == 0 {
            return Some(String::from("`pair.group` is 0: 1 to 255"));
        }
        if self.advert_ms < 10 || !self.advert_ms.is_multiple_of(10) {
            return Some(format!(
                "`pair.advert_ms` is {}: tens from 10 (VRRP counts in hundredths of a second)",
                self.advert_ms
            ));
        }
        None
    }
}

fn mac(text: &str) -> Option<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|p| p.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    (parts.next().is_none() && bytes[0] & 1 == 0).then_some(Mac(bytes))
}

fn address(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

fn group() -> u8 {
    51
}
fn priority() -> u8 {
    100
}
fn advert() -> u16 {
    100
}

/// What the process gives up once it has read its configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confine {
    /// Nothing.
    Off,
    /// What this kernel can take away; the rest is told.
    #[default]
    Best,
    /// All of it, or the daemon does not start.
    Must,
}

/// Which card. Written as `software`, as an address, or as a mapping with one of the two.
#[derive(Debug)]
pub enum CardConfig {
    /// The software engine, for hosts without a card.
    Software(SoftwareConfig),
    /// A card with ports of its own.
    At(AtConfig),
}

#[derive(Debug)]
pub struct AtConfig {
    pub address: Address,
    /// How long the card may do nothing before it counts as hanging.
    pub timeout: Duration,
    /// Rows of the tables that are looked at in a second, and mended if they are not what was written; 0: none.
    pub scrub: u32,
}

/// Rows a second: some 1.5 million, all of a large card, in two minutes.
const SCRUB: u32 = 12_000;

impl AtConfig {
    fn at(address: Address) -> AtConfig {
        AtConfig {
            address,
            timeout: seqnic_transport::TIMEOUT,
            scrub: SCRUB,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardKeys {
    software: Option<SoftwareConfig>,
    address: Option<String>,
    timeout_ms: Option<u64>,
    scrub: Option<u32>,
    /// Only to say why not.
    ports: Option<serde::de::IgnoredAny>,
}

impl TryFrom<CardKeys> for CardConfig {
    type Error = String;

    fn try_from(keys: CardKeys) -> Result<CardConfig, String> {
        if keys.ports.is_some() {
            return Err(String::from(
                "`card.ports` is no key: a card at an address has ports of its own, the software engine's are `card.software.ports`",
            ));
        }
        if keys.address.is_none() && (keys.timeout_ms.is_some() || keys.scrub.is_some()) {
            return Err(String::from(
                "`card.timeout_ms` and `card.scrub` are for a card at an `address`",
            ));
        }
        match (keys.software, keys.address) {
            (Some(software), None) => Ok(CardConfig::Software(software)),
            (None, Some(address)) => {
                let address = address.parse().map_err(|e: NoAddress| e.to_string())?;
                let mut at = AtConfig::at(address);
                at.scrub = keys.scrub.unwrap_or(at.scrub);
                match keys.timeout_ms {
                    Some(0) => return Err(String::from("`card.timeout_ms` is 0: 1 is the least")),
                    Some(ms) => at.timeout = Duration::from_millis(ms),
                    None => {}
                }
                Ok(CardConfig::At(at))
            }
            (Some(software), Some(address)) if !software.ports.is_empty() => Err(format!(
                "`card` names the card at {address} and network interfaces (`software.ports`): the ports of a card are its own, so leave `software` away; or leave `address` away for the software engine on those interfaces"
            )),
            _ => Err(String::from(
                "`card` needs one of `address` (`0000:03:00.0`, `unix:/run/seqnic/card.sock`) and `software`",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for CardConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CardConfig, D::Error> {
        struct Card;
        impl<'de> Visitor<'de> for Card {
            type Value = CardConfig;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("`software`, an address of a card, or a mapping with one of the two")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CardConfig, E> {
                if text == "software" {
                    return Ok(CardConfig::Software(SoftwareConfig::default()));
                }
                let address = text.parse().map_err(E::custom)?;
                Ok(CardConfig::At(AtConfig::at(address)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CardConfig, A::Error> {
                let keys = CardKeys::deserialize(MapAccessDeserializer::new(map))?;
                keys.try_into().map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_any(Card)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftwareConfig {
    #[serde(default = "geometry")]
    pub geometry: String,
    /// What each port is connected to; nothing, unless named.
    #[serde(default)]
    pub ports: BTreeMap<u8, PortConfig>,
}

impl Default for SoftwareConfig {
    fn default() -> SoftwareConfig {
        SoftwareConfig {
            geometry: geometry(),
            ports: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortConfig {
    /// A network interface, taken whole.
    pub interface: Option<String>,
    /// A TAP device; made if there is none.
    pub tap: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxConfig {
    /// Makes a TAP device of each interface of the engine.
    #[serde(default = "yes")]
    pub taps: bool,
    /// What their names begin with; the interface's name follows, cut to 15 characters in all.
    #[serde(default = "prefix")]
    pub prefix: String,
}

impl Default for LinuxConfig {
    fn default() -> LinuxConfig {
        LinuxConfig {
            taps: true,
            prefix: prefix(),
        }
    }
}

/// How devices are watched.
#[derive(Debug, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How often counters are read, ms.
    #[serde(default = "interval")]
    pub interval_ms: u64,
    /// Intervals in which packets were sent and none came back, until a device is suspected.
    #[serde(default = "silent")]
    pub silent_intervals: u32,
    /// How long a probe waits for its answer, ms.
    #[serde(default = "timeout")]
    pub probe_timeout_ms: u64,
    /// Probes without an answer, one after the other, until a device has failed.
    #[serde(default = "probes")]
    pub probes: u32,
    /// A mean time until packets come back above this is reported, ms.
    #[serde(default)]
    pub slow_ms: Option<u64>,
    /// What devices send comes to this engine too. `false` where two engines share the load and this one has the clients' packets.
    #[serde(default = "yes")]
    pub sees_returns: bool,
    /// The threads that send probes and take their answers get real-time priority, where the host allows it.
    #[serde(default = "yes")]
    pub realtime: bool,
    /// What to probe, by device. A device without an entry is suspected and reported only.
    #[serde(default)]
    pub devices: BTreeMap<String, ProbeConfig>,
}

impl Default for HealthConfig {
    fn default() -> HealthConfig {
        HealthConfig {
            enabled: true,
            interval_ms: interval(),
            silent_intervals: silent(),
            probe_timeout_ms: timeout(),
            probes: probes(),
            slow_ms: None,
            sees_returns: true,
            realtime: true,
            devices: BTreeMap::new(),
        }
    }
}

/// What is sent to see whether a device lives.
#[derive(Debug, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct ProbeConfig {
    /// A TCP handshake with this port of the device's own address.
    #[serde(default)]
    pub tcp: Option<u16>,
    /// A frame through the device, from side to side.
    #[serde(default)]
    pub heartbeat: Option<Heartbeat>,
    /// Probes go on all the time, not only on suspicion; every so many ms.
    #[serde(default)]
    pub every_ms: Option<u64>,
}

/// A UDP packet that the device must let through from outside to inside.
#[derive(Debug, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    pub from: IpAddr,
    pub to: IpAddr,
    pub port: u16,
    /// A port it must not let through: a firewall that lets everything through has failed too.
    #[serde(default)]
    pub blocked_port: Option<u16>,
    /// The device forwards by IP and takes frames to its own MAC; otherwise it is transparent.
    #[serde(default)]
    pub routed: bool,
}

fn state() -> PathBuf {
    PathBuf::from("/var/lib/seqnic")
}
fn socket() -> PathBuf {
    PathBuf::from(SOCKET)
}
fn geometry() -> String {
    String::from("alveo")
}
fn prefix() -> String {
    String::from("sq-")
}
fn yes() -> bool {
    true
}
fn interval() -> u64 {
    100
}
fn silent() -> u32 {
    3
}
fn timeout() -> u64 {
    500
}
fn probes() -> u32 {
    2
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// With line and column, and the line itself.
    #[error("{}: {what}", path.display())]
    Wrong { path: PathBuf, what: String },
}

/// Reads a configuration file.
///
/// # Errors
/// It cannot be read; or what is wrong in it, with line and column.
pub fn read(path: &Path) -> Result<Config, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    parse(&text).map_err(|what| ConfigError::Wrong {
        path: path.to_path_buf(),
        what,
    })
}

/// Reads a configuration; what is wrong, with line and column.
///
/// # Errors
/// As said.
pub fn parse(text: &str) -> Result<Config, String> {
    let config: Config = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    if let CardConfig::Software(software) = &config.card {
        check(software)?;
    }
    if let Some(wrong) = config.pair.wrong() {
        return Err(wrong);
    }
    if let Some(wrong) = config.provisioner.as_ref().and_then(|p| p.wrong()) {
        return Err(wrong);
    }
    if config.health.interval_ms == 0 {
        return Err(String::from("`health.interval_ms` is 0: 1 is the least"));
    }
    Ok(config)
}

/// Looks at the files a configuration names, as far as they must be there before anything is started.
///
/// # Errors
/// Keys that are of no use, with the line that names them.
pub fn check_files(path: &Path, config: &Config) -> Result<(), ConfigError> {
    let Some(provisioner) = &config.provisioner else {
        return Ok(());
    };
    let Err(e) = Keys::read(provisioner) else {
        return Ok(());
    };
    let what = match e.of(provisioner) {
        Some((key, line)) => format!("line {line}: `provisioner.{key}`: {e}"),
        None => e.to_string(),
    };
    Err(ConfigError::Wrong {
        path: path.to_path_buf(),
        what,
    })
}

fn check(software: &SoftwareConfig) -> Result<(), String> {
    let Some(geometry) = seqnic_spec::geometry::by_name(&software.geometry) else {
        return Err(format!(
            "`card.software.geometry` is `{}`, which there is not: `alveo` or `edge`",
            software.geometry
        ));
    };
    for (number, port) in &software.ports {
        if u32::from(*number) >= geometry.ports {
            return Err(format!(
                "`card.software.ports` has port {number}, geometry `{}` has {} from 0",
                geometry.name, geometry.ports
            ));
        }
        if port.interface.is_some() == port.tap.is_some() {
            return Err(format!(
                "port {number} of `card.software.ports` needs one of `interface` and `tap`"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CardConfig, SoftwareConfig, parse};

    fn software(text: &str) -> SoftwareConfig {
        match parse(text).unwrap().card {
            CardConfig::Software(software) => software,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_smallest_and_the_shipped_one_are_read() {
        let config = parse("card: { software: {} }\n").unwrap();
        assert_eq!(software("card: software\n").geometry, "alveo");
        assert!(config.linux.taps && config.health.enabled);
        assert_eq!(
            software(include_str!("../dist/seqnicd.yaml")).ports.len(),
            2
        );
    }

    #[test]
    fn a_card_is_named_by_its_address() {
        for (text, want) in [
            ("card: 0000:03:00.0\n", "0000:03:00.0"),
            ("card: 0000:81:00.0\n", "0000:81:00.0"),
            (
                "card: unix:/run/seqnic/card.sock\n",
                "unix:/run/seqnic/card.sock",
            ),
            ("card: { address: 10000:e1:00.1 }\n", "10000:e1:00.1"),
            ("card:\n  address: 0000:03:00.0\n", "0000:03:00.0"),
        ] {
            match parse(text).unwrap().card {
                CardConfig::At(at) => assert_eq!(at.address.to_string(), want),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_card_and_interfaces_are_one_too_many() {
        let both =
            "card:\n  address: 0000:03:00.0\n  software: { ports: { 0: { interface: eth1 } } }\n";
        let wrong = parse(both).unwrap_err();
        assert!(
            wrong.contains("0000:03:00.0") && wrong.contains("its own"),
            "{wrong}"
        );
        let wrong = parse("card: { address: \"0000:03:00.0\", ports: {} }\n").unwrap_err();
        assert!(wrong.contains("`card.software.ports`"), "{wrong}");
        for none in ["card: {}\n", "card: eth0\n"] {
            let wrong = parse(none).unwrap_err();
            assert!(wrong.contains("0000:03:00.0"), "{wrong}");
        }
    }

    #[test]
    fn errors_say_where() {
        let wrong = parse("card:\n  software:\n    geometri: alveo\n").unwrap_err();
        assert!(
            wrong.contains("geometri") && wrong.contains("3:5"),
            "{wrong}"
        );
        let wrong = parse("card: { software: { ports: { 9: { tap: a } } } }").unwrap_err();
        assert!(wrong.contains("port 9"), "{wrong}");
        let wrong = parse("card: { software: { ports: { 1: {} } } }").unwrap_err();
        assert!(wrong.contains("port 1"), "{wrong}");
    }
}
