//! Namespaces, cables, addresses, routes.

use crate::LabError;
use crate::plan::{Cable, Node, Role};
use crate::programs::Program;
use crate::run::{inside, run};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where the engine is, to the kernel of a node: a next hop that is there on every cable. So is a host, to who is behind it.
pub const NEXT_HOP: &str = "169.254.77.1";
pub const NEXT_HOP_V6: &str = "fe80::77";
/// Where another engine is, and the table of routes to it.
const OTHER_HOP: [&str; 2] = ["169.254.77.2", "fe80::78"];
const OTHER_TABLE: &str = "77";

/// Makes a namespace with loopback up, forwarding and IPv6 as said, and nothing in the way of asymmetric
/// routes.
pub fn namespace(name: &str, forwards: bool, v6: bool) -> Result<(), LabError> {
    run(&["ip", "netns", "add", name])?;
    inside(name, &["ip", "link", "set", "lo", "up"])?;
    let forward = if forwards { "1" } else { "0" };
    // Without IPv6 services its chatter (ND, MLD) would only be in the way of who counts.
    let silent = if v6 { "0" } else { "1" };
    let mut script = String::new();
    for (key, value) in [
        ("net/ipv4/ip_forward", forward),
        ("net/ipv6/conf/all/disable_ipv6", silent),
        ("net/ipv6/conf/default/disable_ipv6", silent),
        ("net/ipv6/conf/all/forwarding", forward),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
        // What a VPN reveals to the service address comes back from it.
        ("net/ipv4/conf/all/accept_local", "1"),
    ] {
        script.push_str(&format!("echo {value} > /proc/sys/{key}; "));
    }
    inside(name, &["sh", "-ec", &script])?;
    Ok(())
}

/// A cable from a namespace's device to a bridge port in another.
pub fn cable(
    (node, device, mac): (&str, &str, Option<&str>),
    (switch, bridge, port): (&str, Option<&str>, &str),
) -> Result<(), LabError> {
    run(&[
        "ip", "link", "add", "name", port, "netns", switch, "type", "veth", "peer", "name", device,
        "netns", node,
    ])?;
    if let Some(mac) = mac {
        inside(node, &["ip", "link", "set", device, "address", mac])?;
    }
    for (namespace, device) in [(node, device), (switch, port)] {
        // A checksum or segment left to hardware would be left to nobody.
        inside(
            namespace,
            &[
                "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off",
            ],
        )?;
        inside(namespace, &["ip", "link", "set", device, "up"])?;
    }
    if let Some(bridge) = bridge {
        inside(switch, &["ip", "link", "set", port, "master", bridge])?;
    }
    Ok(())
}

/// Everything that leaves by `device` to the next hop goes to `mac`.
fn next_hop(node: &str, device: &str, mac: &str, families: &[bool]) -> Result<(), LabError> {
    for v6 in families {
        let hop = if *v6 { NEXT_HOP_V6 } else { NEXT_HOP };
        neighbour(node, device, hop, mac)?;
    }
    Ok(())
}

fn neighbour(node: &str, device: &str, address: &str, mac: &str) -> Result<(), LabError> {
    inside(
        node,
        &[
            "ip",
            "neigh",
            "replace",
            address,
            "lladdr",
            mac,
            "dev",
            device,
            "nud",
            "permanent",
        ],
    )?;
    Ok(())
}

/// A route by a next hop behind `device`, into a table (`main`).
pub fn route(node: &str, to: &str, hop: &str, device: &str, table: &str) -> Result<(), LabError> {
    let family = if hop.contains(':') { "-6" } else { "-4" };
    inside(
        node,
        &[
            "ip", family, "route", "replace", to, "via", hop, "dev", device, "onlink", "table",
            table,
        ],
    )?;
    Ok(())
}

pub fn own(node: &str, address: IpAddr, device: &str) -> Result<(), LabError> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let address = format!("{address}/{bits}");
    let mut args = vec!["ip", "addr", "add", &address, "dev", device];
    if bits == 128 {
        args.push("nodad");
    }
    inside(node, &args)?;
    Ok(())
}

/// Counts what a cable's device is sent, as the device sees it: frames to its own MAC, before anything of its
/// kernel looks at them.
fn counting(node: &str, cables: &[Cable]) -> Result<(), LabError> {
    let mut text = String::from("table netdev lab {\n");
    for c in cables {
        text.push_str(&format!(
            "  counter in_{0} {{}}\n  chain in_{0} {{ type filter hook ingress device \"{0}\" priority -500; ether daddr {1} counter name in_{0}; }}\n",
            c.device, c.mac
        ));
    }
    text.push_str("}\n");
    inside(node, &["sh", "-ec", &format!("nft -f - <<'E'\n{text}E\n")])?;
    Ok(())
}

/// Addresses and routes of a node that is attached to the engine.
pub fn furnish(
    space: &str,
    node: &Node,
    services: &BTreeSet<IpAddr>,
    families: &[bool],
) -> Result<(), LabError> {
    let (Some(first), Some(_)) = (node.cables.first(), node.cables.last()) else {
        return Ok(());
    };
    for cable in &node.cables {
        if cable.gateway.is_empty() {
            next_hop(space, &cable.device, &cable.engine, families)?;
        }
        let asks = node.programs.contains_key(&Program::Udhcpc);
        for address in cable.addresses.iter().filter(|_| !asks) {
            own(space, *address, &cable.device)?;
        }
    }
    counting(space, &node.cables)?;
    let cable = |device: &str| {
        let named = node.cables.iter().find(|c| c.device == device);
        named.unwrap_or(first)
    };
    let to = |address: &IpAddr, device: &str| {
        let hop = cable(device).hop(address.is_ipv6());
        route(space, &address.to_string(), &hop, device, "main")
    };
    let default =
        |v6: bool, device: &str| route(space, "default", &cable(device).hop(v6), device, "main");
    match &node.role {
        Role::Host => {
            for service in services {
                to(service, &first.device)?;
            }
        }
        Role::Pass(pass) => {
            // Clients are everywhere, services lie where packets go on; of services keyed by client it is the other way round.
            let everywhere = match pass.servers.is_empty() && !pass.clients.is_empty() {
                true => &pass.leave,
                false => &pass.enter,
            };
            for v6 in families {
                default(*v6, everywhere)?;
            }
            for server in &pass.servers {
                to(server, &pass.leave)?;
            }
            for client in &pass.clients {
                to(client, &pass.enter)?;
            }
        }
        Role::Copies => {}
        Role::End {
            on_loopback,
            on_device,
        } => {
            for address in on_loopback {
                own(space, *address, "lo")?;
            }
            for address in on_device {
                own(space, *address, &first.device)?;
            }
            for v6 in families {
                default(*v6, &first.device)?;
            }
        }
    }
    Ok(())
}

/// Routes of a node that is attached to another engine besides: by where packets come from.
pub fn furnish_also(space: &str, node: &Node, families: &[bool]) -> Result<(), LabError> {
    let Some(also) = &node.also else {
        return Ok(());
    };
    let device = &also.device;
    for v6 in families {
        let hop = OTHER_HOP[usize::from(*v6)];
        neighbour(space, device, hop, &also.engine)?;
        match &node.role {
            Role::Host => {
                for service in also.services.iter().filter(|s| s.is_ipv6() == *v6) {
                    route(space, &service.to_string(), hop, device, OTHER_TABLE)?;
                }
            }
            _ => route(space, "default", hop, device, OTHER_TABLE)?,
        }
        let family = if *v6 { "-6" } else { "-4" };
        let rule = |words: &[&str]| {
            let mut args = vec!["ip", family, "rule", "add"];
            args.extend(words);
            args.extend(["lookup", OTHER_TABLE]);
            inside(space, &args)
        };
        for source in also.sources.iter().filter(|s| s.is_ipv6() == *v6) {
            rule(&["from", &source.to_string()])?;
        }
        // What only the other engine has needs no source: behind the routes by the first.
        rule(&["pref", "40000"])?;
    }
    Ok(())
}

/// Joins a machine with the host it is behind, by a cable of their own; `number` makes names unique.
pub fn behind(
    host: &str,
    space: &str,
    addresses: &[IpAddr],
    number: usize,
    families: &[bool],
) -> Result<(), LabError> {
    let port = format!("behind{number}");
    let (own_mac, its_mac) = (
        format!("02:77:00:00:00:{number:02x}"),
        format!("02:78:00:00:00:{number:02x}"),
    );
    cable((space, "eth0", Some(&own_mac)), (host, None, &port))?;
    inside(host, &["ip", "link", "set", &port, "address", &its_mac])?;
    next_hop(space, "eth0", &its_mac, families)?;
    for address in addresses {
        if address.is_ipv6() && !families.contains(&true) {
            continue;
        }
        own(space, *address, "eth0")?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let to = format!("{address}/{bits}");
        inside(host, &["ip", "route", "replace", &to, "dev", &port])?;
        neighbour(host, &port, &address.to_string(), &own_mac)?;
    }
    for v6 in families {
        route(
            space,
            "default",
            if *v6 { NEXT_HOP_V6 } else { NEXT_HOP },
            "eth0",
            "main",
        )?;
    }
    // The host's side counts as the engine's cables do.
    inside(
        space,
        &[
            "sh",
            "-ec",
            &format!(
                "nft 'add table netdev lab; add counter netdev lab in_eth0; add chain netdev lab in_eth0 {{ type filter hook ingress device \"eth0\" priority -500; }}; add rule netdev lab in_eth0 ether daddr {own_mac} counter name in_eth0'"
            ),
        ],
    )?;
    Ok(())
}
