//! One of two engines: what is this engine's own in a definition both have, and whether the other really has it.
//!
//! Both engines are given the same text. What differs between them (MACs, the addresses beside the
//! shared ones) stands in each one's configuration and is laid over the text. So two texts are compared, and a
//! difference is an error of whoever applies definitions. The engines have no connections to tell each other
//! about: that is all they exchange.

use crate::config::PairConfig;
use crate::core::Holding;
use seqnic_compiler::definition::{Definition, Mac};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long the other engine may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest answer that is read.
const LONGEST: u64 = 64 << 10;

/// What is an engine's own of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnInterface {
    pub mac: Option<Mac>,
    /// Its kernel has these; the definition's are shared, and whoever manages them (keepalived) puts them there. Empty:
    /// nothing is shared.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// What is an engine's own, by interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own(pub BTreeMap<String, OwnInterface>);

impl Own {
    /// Lays it over a definition: its own addresses are in front of the shared ones, so that probes come from
    /// there and their answers find this engine.
    pub fn lay_over(&self, definition: &mut Definition) {
        for interface in &mut definition.interfaces {
            let Some(own) = self.0.get(&interface.name) else {
                continue;
            };
            if let Some(mac) = own.mac {
                interface.mac = mac;
            }
            let shared = std::mem::take(&mut interface.addresses);
            interface.addresses = own.addresses.clone();
            interface
                .addresses
                .extend(shared.into_iter().filter(|a| !own.addresses.contains(a)));
        }
    }

    /// Addresses of an interface that this host's kernel gets.
    pub fn addresses<'a>(&'a self, interface: &str, all: &'a [(IpAddr, u8)]) -> &'a [(IpAddr, u8)] {
        match self.0.get(interface) {
            Some(own) if !own.addresses.is_empty() => &own.addresses,
            _ => all,
        }
    }

    /// Interfaces it names that a definition does not have.
    pub fn unknown(&self, definition: &Definition) -> Vec<String> {
        let has = |name: &&String| definition.interfaces.iter().any(|i| i.name == **name);
        self.0.keys().filter(|name| !has(name)).cloned().collect()
    }
}

/// What an engine tells the other, in a line of JSON to whoever connects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub version: String,
    /// Of the definition's text; `None`: none is applied.
    pub digest: Option<String>,
    pub name: String,
    /// Devices that have failed as this engine sees it. Each judges by the packets it has itself.
    pub failed: Vec<String>,
}

/// Digest of a definition's text (FNV-1a, twice, 128 bits in all): for two texts that someone meant to be equal, not
/// against an enemy.
pub fn digest(text: &str) -> String {
    let fnv = |start: u64| {
        text.bytes().fold(start, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let second = text.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    format!("{:016x}{:016x}", fnv(0xcbf2_9ce4_8422_2325), fnv(second))
}

/// What this engine tells.
pub fn told(holding: Option<&Holding>) -> Told {
    let version = String::from(env!("CARGO_PKG_VERSION"));
    match holding {
        None => Told {
            version,
            ..Told::default()
        },
        Some(h) => Told {
            version,
            digest: Some(digest(&h.record.text)),
            name: h.definition.name.clone(),
            failed: h.record.failed.iter().cloned().collect(),
        },
    }
}

/// How the other engine compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    pub address: String,
    /// `equal`, `differs`, `silent`.
    pub state: String,
    /// What differs, or why nothing is known, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// What it told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// Compares what the other told with what holds here.
pub fn compare(address: SocketAddr, own: &Told, other: Result<Told, io::Error>) -> PeerStatus {
    let (state, what, told) = match other {
        Err(e) => ("silent", e.to_string(), None),
        Ok(other) if other.digest == own.digest => ("equal", String::new(), Some(other)),
        Ok(other) => {
            let words = |t: &Told| match &t.digest {
                Some(digest) => format!("\"{}\" ({digest})", t.name),
                None => String::from("no definition"),
            };
            let what = format!("here {}, there {}", words(own), words(&other));
            ("differs", what, Some(other))
        }
    };
    PeerStatus {
        address: address.to_string(),
        state: state.to_string(),
        what,
        told,
    }
}

/// Asks the other engine.
///
/// # Errors
/// It does not answer in time, or something else.
pub fn ask(address: SocketAddr) -> io::Result<Told> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    io::Read::take(BufReader::new(stream), LONGEST).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// Tells whoever connects, until `stop` says so.
///
/// # Errors
/// The address cannot be listened at.
pub fn listen(config: &PairConfig) -> io::Result<Option<TcpListener>> {
    let Some(at) = config.listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// Answers those who wait.
pub fn serve(listener: &TcpListener, told: &Told) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut line = serde_json::to_string(told).unwrap_or_default();
        line.push('\n');
        // Who does not take it asks again.
        let _lost = stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| stream.write_all(line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn own_addresses_stand_before_shared_ones_and_the_kernel_gets_no_others() {
        let text = "card: software\npair: { interfaces: { i0: { mac: 02:01:00:00:00:11, address: [192.0.2.2/24] } } }";
        let own = parse(text).unwrap().pair.own();
        let mut d = seqnic_compiler::read(
            "seqnic: 1\ninterfaces:\n  i0: { port: 0, mac: 02:01:00:00:00:01, address: 192.0.2.1/24 }\n  i1: { port: 1, mac: 02:01:00:00:00:02, address: 10.0.0.1/24 }\nservices: {}\n",
        )
        .unwrap();
        own.lay_over(&mut d);
        let shown: Vec<String> = d.interfaces[0]
            .addresses
            .iter()
            .map(|(a, _)| a.to_string())
            .collect();
        assert_eq!(shown, ["192.0.2.2", "192.0.2.1"]);
        assert_eq!(d.interfaces[0].mac.to_string(), "02:01:00:00:00:11");
        let kernel = |n: usize| {
            own.addresses(&d.interfaces[n].name, &d.interfaces[n].addresses)
                .len()
        };
        assert_eq!((kernel(0), kernel(1)), (1, 1));
        assert_eq!(own.unknown(&d), Vec::<String>::new());
    }

    #[test]
    fn the_other_is_equal_differs_or_is_silent() {
        let listener = listen(&PairConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            ..PairConfig::default()
        });
        let listener = listener.unwrap().unwrap();
        let at = listener.local_addr().unwrap();
        let told = |text: &str| Told {
            digest: Some(digest(text)),
            name: text.to_string(),
            ..Told::default()
        };
        let (own, other) = (told("a"), told("b"));
        let ask_it = || {
            let asking = std::thread::spawn(move || ask(at));
            while !asking.is_finished() {
                serve(&listener, &other);
                std::thread::sleep(Duration::from_millis(5));
            }
            asking.join().unwrap()
        };
        let answer = ask_it().unwrap();
        assert_eq!(answer, other);
        assert_eq!(compare(at, &other, Ok(answer.clone())).state, "equal");
        let differs = compare(at, &own, Ok(answer));
        assert_eq!(differs.state, "differs");
        assert!(
            differs.what.contains("\"a\"") && differs.what.contains("\"b\""),
            "{differs:?}"
        );
        // One byte, and neither part of the digest stays.
        let (a, b) = (digest("definition"), digest("definitiom"));
        assert!(a[..16] != b[..16] && a[16..] != b[16..]);
    }
}
