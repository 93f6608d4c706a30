//! Who may log on over the network, and how much of it changes may take.

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The API over TLS, for the provisioner.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionerConfig {
    pub listen: SocketAddr,
    /// This engine's certificate, with those between it and its CA (PEM).
    pub certificate: Spanned<PathBuf>,
    /// The key of it (PEM); nobody but its owner and group may read it.
    pub key: Spanned<PathBuf>,
    /// Who certifies provisioners (PEM).
    pub ca: Spanned<PathBuf>,
    /// Certificates that are no more (CRL, PEM).
    #[serde(default)]
    pub revoked: Option<Spanned<PathBuf>>,
    /// Who of those the CA certifies may log on.
    pub allow: Vec<Allowed>,
    /// Connections at a time that have logged on.
    #[serde(default = "connections")]
    pub connections: NonZeroU16,
    /// Longest request, bytes.
    #[serde(default = "longest")]
    pub request_bytes: NonZeroU64,
    /// How long it may take to log on, ms.
    #[serde(default = "logon")]
    pub logon_ms: NonZeroU64,
    /// How long a connection may be silent, ms.
    #[serde(default = "idle")]
    pub idle_ms: NonZeroU64,
}

impl ProvisionerConfig {
    pub fn logon(&self) -> Duration {
        Duration::from_millis(self.logon_ms.get())
    }

    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.get())
    }

    /// Its files, with the keys that name them.
    pub fn files(&self) -> Vec<(&'static str, &Spanned<PathBuf>)> {
        let revoked = self.revoked.as_ref().map(|path| ("revoked", path));
        [
            ("certificate", &self.certificate),
            ("key", &self.key),
            ("ca", &self.ca),
        ]
        .into_iter()
        .chain(revoked)
        .collect()
    }

    /// Folders of its files: a file that is replaced is another one in the same place. Both that of the name and that of what a
    /// link there leads to.
    pub fn folders(&self) -> Vec<PathBuf> {
        let parent = |path: &Path| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut folders = Vec::new();
        for (_, path) in self.files() {
            folders.push(parent(&path.value));
            folders.extend(path.value.canonicalize().ok().map(|real| parent(&real)));
        }
        folders.sort();
        folders.dedup();
        folders
    }

    pub(super) fn wrong(&self) -> Option<String> {
        if self.allow.is_empty() {
            return Some(String::from(
                "`provisioner.allow` is empty, so nobody may log on: names of certificates, or `sha256:` and a fingerprint; without `provisioner` nothing listens",
            ));
        }
        None
    }
}

/// One who may log on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A DNS name in the certificate, as it stands there; in small letters.
    Name(String),
    /// SHA-256 of the certificate: this one and no other.
    Fingerprint([u8; 32]),
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Allowed::Name(name) => f.write_str(name),
            Allowed::Fingerprint(bytes) => write!(f, "sha256:{}", hexadecimal(bytes)),
        }
    }
}

/// Bytes as `openssl x509 -fingerprint` writes them, in small letters without colons.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl std::str::FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Allowed, String> {
        let Some(fingerprint) = text.strip_prefix("sha256:") else {
            let part = |p: &str| {
                let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                !p.is_empty() && p.bytes().all(known)
            };
            return match text.split('.').all(part) {
                true => Ok(Allowed::Name(text.to_ascii_lowercase())),
                false => Err(format!(
                    "`{text}` is neither the DNS name of a certificate (as provisioner.example) nor `sha256:` and its fingerprint"
                )),
            };
        };
        let digits: String = fingerprint.chars().filter(|c| *c != ':').collect();
        let byte = |at: usize| {
            let pair = digits.get(at * 2..at * 2 + 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
        match bytes.and_then(|b| b.try_into().ok()) {
            Some(bytes) if digits.len() == 64 => Ok(Allowed::Fingerprint(bytes)),
            _ => Err(format!(
                "`{text}` is no fingerprint: `sha256:` and 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Allowed, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How much the provisioner's requests and their answers may take.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdatesConfig {
    /// Bytes a second on the provisioner's connections, both ways together; unlimited unless given.
    #[serde(default)]
    pub rate: Option<NonZeroU64>,
    /// Bytes at once after silence.
    #[serde(default = "burst")]
    pub burst: Burst,
}

/// At least what a record of TLS has at most, or a connection would hardly move.
#[derive(Debug, Clone, Copy)]
pub struct Burst(pub u64);

/// Least bytes at once.
pub const LEAST_BURST: u64 = 16 << 10;

impl Default for Burst {
    fn default() -> Burst {
        burst()
    }
}

impl<'de> Deserialize<'de> for Burst {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Burst, D::Error> {
        let bytes = u64::deserialize(deserializer)?;
        match bytes >= LEAST_BURST {
            true => Ok(Burst(bytes)),
            false => Err(serde::de::Error::custom(format!(
                "`updates.burst` is {bytes}: {LEAST_BURST} is the least, a record of TLS"
            ))),
        }
    }
}

fn burst() -> Burst {
    Burst(64 << 10)
}
fn connections() -> NonZeroU16 {
    const { NonZeroU16::new(8).unwrap() }
}
fn longest() -> NonZeroU64 {
    const { NonZeroU64::new(crate::server::LINE).unwrap() }
}
fn logon() -> NonZeroU64 {
    const { NonZeroU64::new(5_000).unwrap() }
}
fn idle() -> NonZeroU64 {
    const { NonZeroU64::new(600_000).unwrap() }
}

#[cfg(test)]
mod tests {
    use super::Allowed;
    use crate::config::parse;

    const REST: &str = "card: software\nprovisioner:\n  listen: 127.0.0.1:7367\n  certificate: c.pem\n  key: k.pem\n  ca: ca.pem\n";

    fn wrong(more: &str) -> String {
        parse(&format!("{REST}{more}")).unwrap_err()
    }

    #[test]
    fn who_may_log_on_is_a_name_or_a_fingerprint() {
        let digits = "AB:".repeat(31) + "CD";
        let text = format!("{REST}  allow: [Provisioner.Example, \"sha256:{digits}\"]\n");
        let config = parse(&text).unwrap().provisioner.unwrap();
        let [Allowed::Name(name), Allowed::Fingerprint(bytes)] = &config.allow[..] else {
            panic!("{config:?}");
        };
        assert_eq!(name, "provisioner.example");
        assert_eq!((bytes[0], bytes[31]), (0xab, 0xcd));
        assert_eq!(config.allow[1].to_string().len(), 7 + 64);
        assert_eq!(config.key.referenced.line(), 5);
    }

    #[test]
    fn errors_say_where() {
        for (more, line, what) in [
            ("  allow: [\"a b\"]\n", 7, "a b"),
            ("  allow: [x]\n  logon_ms: 0\n", 8, "zero"),
            ("  allow: [\"sha256:12\"]\n", 7, "64 hexadecimal digits"),
            ("  allow: [x]\n  idel_ms: 5\n", 8, "idel_ms"),
            ("  allow: [x]\nupdates:\n  rate: 0\n", 9, "zero"),
            ("  allow: [x]\nupdates:\n  burst: 100\n", 9, "16384"),
            ("  listen: here\n  allow: [x]\n", 7, "listen"),
        ] {
            let said = wrong(more);
            assert!(said.contains(what), "{said}");
            assert!(said.contains(&format!("{line}:")), "{line}: {said}");
        }
        assert!(wrong("  allow: []\n").contains("nobody may log on"));
    }
}
