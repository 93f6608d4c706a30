//! OpenVPN: a tunnel from a machine behind a host to a VPN device. What arrives at the device's port in the service
//! goes on from there decrypted, to the port its `then` says; the service's address stays.

use super::{Ready, Site, Started, certificate, folder, write};
use crate::LabError;
use crate::net::{own, route};
use crate::plan::{Node, Pass, Role};
use crate::run::inside;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Table of routes for what the tunnel carries.
const TABLE: &str = "77";

struct Tunnel<'a> {
    pass: &'a Pass,
    outer: u16,
    inner: u16,
    address: IpAddr,
}

impl Tunnel<'_> {
    fn of(vpn: &Node) -> Result<Tunnel<'_>, LabError> {
        let wrong = || {
            LabError::NotShown(format!(
                "`{}` is no VPN: no service keyed by destination says `then: {{ port }}` of it",
                vpn.name
            ))
        };
        let Role::Pass(pass) = &vpn.role else {
            return Err(wrong());
        };
        let (Some((outer, inner)), Some(address)) = (pass.port, pass.servers.first()) else {
            return Err(wrong());
        };
        Ok(Tunnel {
            pass,
            outer,
            inner,
            address: *address,
        })
    }

    fn protocol(&self, end: &str) -> String {
        let six = if self.address.is_ipv6() { "6" } else { "" };
        match self.pass.udp {
            true => format!("udp{six}"),
            false => format!("tcp{six}-{end}"),
        }
    }
}

/// Keys and certificates of both ends, made by the server's.
fn keys(folder: &Path, vpn: &str) -> [PathBuf; 3] {
    ["server", "client", "fingerprints"]
        .map(|what| folder.join(format!("{vpn}.openvpn")).join(what))
}

/// A TUN device, up, with an address at each end.
fn device(space: &str, name: &str, [own, peer]: [&str; 2]) -> Result<(), LabError> {
    inside(space, &["ip", "tuntap", "add", "dev", name, "mode", "tun"])?;
    inside(
        space,
        &["ip", "addr", "add", own, "peer", peer, "dev", name],
    )?;
    inside(space, &["ip", "link", "set", name, "up"])?;
    Ok(())
}

/// Inner addresses of the two ends.
fn inner(v6: bool, end: u8) -> String {
    match v6 {
        true => format!("fd77::{end}"),
        false => format!("10.77.0.{end}"),
    }
}

const COMMON: &str = "dev-type tun
mode p2p
dh none
ping 10
ping-restart 60
persist-tun
verb 3
connect-retry 1 2
server-poll-timeout 4
auth-nocache
allow-compression no
";

/// The VPN device's end.
pub fn server(site: &Site) -> Result<Started, LabError> {
    let tunnel = Tunnel::of(site.node)?;
    let Some(cable) = site.node.cables.first() else {
        return Ok(Started::default());
    };
    let [own_key, its_key, fingerprints] = keys(site.folder, &site.node.name);
    folder(&site.own("openvpn"), None)?;
    let mut prints = Vec::new();
    for key in [&own_key, &its_key] {
        let name = format!("{}", key.display());
        let certificate_file = PathBuf::from(format!("{name}.crt"));
        prints.push(certificate(
            &site.node.name,
            &PathBuf::from(format!("{name}.key")),
            &certificate_file,
        )?);
    }
    write(&fingerprints, &prints.join("\n"))?;
    let v6 = tunnel.address.is_ipv6();
    device(site.space, "tun0", [&inner(v6, 1), &inner(v6, 2)])?;
    for address in &tunnel.pass.servers {
        own(site.space, *address, "lo")?;
    }
    // The service's address is the device's own, and yet what comes out of the tunnel goes on.
    let family = if v6 { "-6" } else { "-4" };
    route(site.space, "default", &cable.hop(v6), &cable.device, TABLE)?;
    for rule in [
        &["add", "pref", "10", "lookup", "local"][..],
        &["del", "pref", "0"],
        &["add", "pref", "5", "iif", "tun0", "lookup", TABLE],
    ] {
        let mut args = vec!["ip", family, "rule"];
        args.extend(rule);
        inside(site.space, &args)?;
    }
    site.rules(
        "table inet seqnic {
  counter encrypted {}
  counter revealed {}
  counter answers {}
  chain input { type filter hook input priority 0; iifname != \"lo\" counter name encrypted; }
  chain forward {
    type filter hook forward priority 0;
    iifname \"tun0\" counter name revealed
    oifname \"tun0\" counter name answers
  }
}
",
    )?;
    let at = own_key.display();
    let config = format!(
        "{COMMON}dev tun0
proto {}
local {}
lport {}
tls-server
key {at}.key
cert {at}.crt
peer-fingerprint {}
",
        tunnel.protocol("server"),
        tunnel.address,
        tunnel.outer,
        prints[1]
    );
    run(site, "openvpn", &config, false)
}

/// A machine's end of its tunnel to a VPN node.
pub fn client(site: &Site, vpn: &Node, number: usize) -> Result<Started, LabError> {
    let tunnel = Tunnel::of(vpn)?;
    let [_, own_key, fingerprints] = keys(site.folder, &vpn.name);
    let prints = std::fs::read_to_string(&fingerprints).map_err(|source| LabError::File {
        path: fingerprints.clone(),
        source,
    })?;
    let v6 = tunnel.address.is_ipv6();
    let name = format!("tun{number}");
    device(site.space, &name, [&inner(v6, 2), &inner(v6, 1)])?;
    // Outside the tunnel the service has one port, inside another.
    let family = if v6 { "-6" } else { "-4" };
    inside(
        site.space,
        &[
            "ip", family, "route", "add", "default", "dev", &name, "table", TABLE,
        ],
    )?;
    let (to, port) = (tunnel.address.to_string(), tunnel.inner.to_string());
    let rule = [
        "ip", family, "rule", "add", "pref", "5", "to", &to, "dport", &port, "ipproto", "tcp",
        "lookup", TABLE,
    ];
    inside(site.space, &rule)?;
    let at = own_key.display();
    // What goes to the tunnel's own end has another port inside than outside: nothing goes round in circles.
    let config = format!(
        "{COMMON}dev {name}
proto {}
remote {} {}
nobind
allow-recursive-routing
tls-client
key {at}.key
cert {at}.crt
peer-fingerprint {}
",
        tunnel.protocol("client"),
        tunnel.address,
        tunnel.outer,
        prints.lines().next().unwrap_or_default()
    );
    run(site, &format!("openvpn-{}", vpn.name), &config, true)
}

fn run(site: &Site, name: &str, config: &str, wait: bool) -> Result<Started, LabError> {
    let file = site.own(&format!("{name}.conf"));
    write(&file, config)?;
    let log = site.own(&format!("{name}.log"));
    let process = site.start(&["openvpn", "--config", &file.display().to_string()], &log)?;
    let ready = Ready::Text(log, String::from("Initialization Sequence Completed"));
    Ok(Started {
        processes: vec![process],
        // A server has completed nothing until its client has.
        ready: if wait { vec![ready] } else { Vec::new() },
    })
}
