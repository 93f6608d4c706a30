//! Programs of a lab: what each needs, how it is started, what its own log says. One file a program.

mod forward;
mod haproxy;
mod iperf3;
pub mod kea;
pub mod keepalived;
mod nftables;
mod nginx;
mod openvpn;
mod postgresql;
mod squid;
mod suricata;
mod tcpdump;
mod udhcpc;

use crate::LabError;
use crate::plan::Node;
use crate::run::{inside, start};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// A firewall: connections from where packets enter, counted. Translates clients' addresses if its `then` says so.
    Nftables,
    /// Changes a port as a VPN would, without a tunnel.
    Translate,
    /// Passes everything, counts it.
    Forward,
    Openvpn,
    Suricata,
    Tcpdump,
    Nginx,
    Iperf3,
    Squid,
    Postgresql,
    /// A load balancer: over the machines behind its node, or over the services' addresses.
    Haproxy,
    /// A DHCP client: the device has no address until it is given one.
    Udhcpc,
}

/// When a program is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// TCP port `1` of namespace `0` is listened on.
    Port(String, u16),
    /// A file has this text in it.
    Text(PathBuf, String),
}

/// What was started.
#[derive(Debug, Default)]
pub struct Started {
    pub processes: Vec<u32>,
    pub ready: Vec<Ready>,
}

/// Where a program is to run.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub space: &'a str,
    pub node: &'a Node,
    /// The lab's; each program has files of its own in there that begin with the node's name.
    pub folder: &'a Path,
    /// IP versions, `true` for 6.
    pub families: &'a [bool],
    /// Number of the node in the lab.
    pub number: usize,
}

impl Site<'_> {
    /// A file or folder of a program.
    pub fn own(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", self.node.name))
    }

    fn start(&self, args: &[&str], log: &Path) -> Result<u32, LabError> {
        start(self.space, args, log).map(|child| child.id())
    }

    /// Loads rules of nftables.
    fn rules(&self, text: &str) -> Result<(), LabError> {
        let file = self.own("nft");
        write(&file, text)?;
        inside(self.space, &["nft", "-f", &file.display().to_string()])?;
        Ok(())
    }

    /// What nftables counted, by counter.
    fn counted(&self) -> Result<String, LabError> {
        let text = inside(
            self.space,
            &["nft", "list", "counters", "table", "inet", "seqnic"],
        )?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut out = Vec::new();
        for w in words.windows(7) {
            if let ["counter", name, "{", "packets", packets, "bytes", bytes] = w {
                out.push(format!("{name} {packets} packets {bytes} bytes"));
            }
        }
        Ok(out.join(", "))
    }
}

/// Makes a folder; a user that a program becomes may own it.
fn folder(path: &Path, user: Option<&str>) -> Result<(), LabError> {
    let failed = |source| LabError::File {
        path: path.to_path_buf(),
        source,
    };
    std::fs::create_dir_all(path).map_err(failed)?;
    if let Some(user) = user {
        crate::run::run(&["chown", user, &path.display().to_string()])?;
    }
    Ok(())
}

pub fn write(file: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(file, text).map_err(|source| LabError::File {
        path: file.to_path_buf(),
        source,
    })
}

/// The last line of a log that has a text in it.
fn last_line(file: &Path, with: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().rev().find(|l| l.contains(with));
    line.unwrap_or_default().trim().to_string()
}

/// A key and a certificate that signs itself, made by openssl; then its SHA-256 fingerprint.
fn certificate(name: &str, key: &Path, certificate: &Path) -> Result<String, LabError> {
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    crate::run::run(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
        "-subj",
        &format!("/CN={name}"),
        "-keyout",
        &key,
        "-out",
        &certificate,
    ])?;
    let said = crate::run::run(&[
        "openssl",
        "x509",
        "-in",
        &certificate,
        "-noout",
        "-fingerprint",
        "-sha256",
    ])?;
    Ok(said
        .trim()
        .rsplit('=')
        .next()
        .unwrap_or_default()
        .to_string())
}

impl Program {
    /// Programs it is made of, and the Debian package of each.
    pub fn needs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Program::Nftables | Program::Translate | Program::Forward => &[("nft", "nftables")],
            Program::Openvpn => &[("openvpn", "openvpn"), ("openssl", "openssl")],
            Program::Suricata => &[("suricata", "suricata")],
            Program::Tcpdump => &[("tcpdump", "tcpdump")],
            Program::Nginx => &[("nginx", "nginx-light"), ("openssl", "openssl")],
            Program::Iperf3 => &[("iperf3", "iperf3")],
            Program::Udhcpc => &[("udhcpc", "udhcpc")],
            Program::Squid => &[("squid", "squid")],
            Program::Haproxy => &[("haproxy", "haproxy")],
            Program::Postgresql => &[("psql", "postgresql"), ("setpriv", "util-linux")],
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// A file cannot be written, or a program fails at once.
    pub fn start(self, site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
        match self {
            Program::Nftables => nftables::start(site),
            Program::Translate => forward::start(site, true),
            Program::Forward => forward::start(site, false),
            Program::Openvpn => openvpn::server(site),
            Program::Suricata => suricata::start(site),
            Program::Tcpdump => tcpdump::start(site),
            Program::Nginx => nginx::start(site, ports),
            Program::Iperf3 => iperf3::start(site, ports),
            Program::Squid => squid::start(site, ports),
            Program::Haproxy => haproxy::start(site, ports),
            Program::Postgresql => postgresql::start(site, ports),
            Program::Udhcpc => udhcpc::start(site),
        }
    }

    /// What the device's own log says of packets; empty if it has none yet.
    ///
    /// # Errors
    /// Its counters cannot be read.
    pub fn log(self, site: &Site) -> Result<String, LabError> {
        Ok(match self {
            Program::Nftables | Program::Translate | Program::Forward => site.counted()?,
            Program::Openvpn => last_line(
                &site.own("openvpn.log"),
                "Initialization Sequence Completed",
            ),
            Program::Suricata => last_line(&site.own("suricata").join("fast.log"), "seqnic"),
            Program::Tcpdump => tcpdump::log(site)?,
            Program::Nginx => last_line(&site.own("nginx").join("access.log"), "HTTP"),
            Program::Iperf3 => last_line(&site.own("iperf3.log"), "bits/sec"),
            Program::Squid => last_line(&site.own("squid").join("access.log"), "TCP_"),
            Program::Haproxy => last_line(&site.own("haproxy.log"), "HTTP"),
            Program::Udhcpc => last_line(&site.own("udhcpc.log"), "obtained"),
            Program::Postgresql => last_line(&site.own("postgresql.log"), "statement:"),
        })
    }

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// The client's end of a tunnel to a VPN node.
///
/// # Errors
/// As [`Program::start`].
pub fn tunnel(site: &Site, vpn: &Node, number: usize) -> Result<Started, LabError> {
    openvpn::client(site, vpn, number)
}
