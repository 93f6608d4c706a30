//! Namespaces of hosts and devices, and what runs in them.

use crate::LabError;
use crate::plan::{Cable, Node, Work};
use crate::run::{inside, run, start};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Child;

/// IP versions of services, `true` for 6; 4 is always there.
pub fn families(services: &BTreeSet<IpAddr>) -> &'static [bool] {
    match services.iter().any(IpAddr::is_ipv6) {
        true => &[false, true],
        false => &[false],
    }
}

/// Where the engine is, to the kernel of a node: a next hop that is there on every cable.
const NEXT_HOP: &str = "169.254.77.1";
const NEXT_HOP_V6: &str = "fe80::77";
/// Between a gateway and the clients behind it.
pub const CLIENT: &str = "198.51.100.11";
const CLIENT_ROUTER: &str = "198.51.100.1";

/// Makes a namespace with loopback up, forwarding and IPv6 as said, and nothing in the way of asymmetric
/// routes.
pub fn namespace(name: &str, forwards: bool, v6: bool) -> Result<(), LabError> {
    run(&["ip", "netns", "add", name])?;
    inside(name, &["ip", "link", "set", "lo", "up"])?;
    let forward = if forwards { "1" } else { "0" };
    // Without IPv6 services its chatter (ND, MLD) would only be in the way of who counts.
    let silent = if v6 { "0" } else { "1" };
    for (key, value) in [
        ("net/ipv4/ip_forward", forward),
        ("net/ipv6/conf/all/disable_ipv6", silent),
        ("net/ipv6/conf/default/disable_ipv6", silent),
        ("net/ipv6/conf/all/forwarding", forward),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv4/conf/default/send_redirects", "0"),
    ] {
        let write = format!("echo {value} > /proc/sys/{key}");
        inside(name, &["sh", "-c", &write])?;
    }
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

/// Where everything goes that leaves by a cable: to the engine's MAC.
fn next_hop(node: &str, cable: &Cable, families: &[bool]) -> Result<(), LabError> {
    for v6 in families {
        let hop = if *v6 { NEXT_HOP_V6 } else { NEXT_HOP };
        inside(
            node,
            &[
                "ip",
                "neigh",
                "replace",
                hop,
                "lladdr",
                &cable.engine,
                "dev",
                &cable.device,
                "nud",
                "permanent",
            ],
        )?;
    }
    Ok(())
}

fn route(node: &str, to: &str, v6: bool, cable: &Cable) -> Result<(), LabError> {
    let (family, hop) = if v6 {
        ("-6", NEXT_HOP_V6)
    } else {
        ("-4", NEXT_HOP)
    };
    inside(
        node,
        &[
            "ip",
            family,
            "route",
            "replace",
            to,
            "via",
            hop,
            "dev",
            &cable.device,
            "onlink",
        ],
    )?;
    Ok(())
}

fn own(node: &str, address: IpAddr, device: &str) -> Result<(), LabError> {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let mut args = vec![
        String::from("ip"),
        String::from("addr"),
        String::from("add"),
        format!("{address}/{bits}"),
    ];
    args.extend([String::from("dev"), device.to_string()]);
    if address.is_ipv6() {
        args.push(String::from("nodad"));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    inside(node, &args)?;
    Ok(())
}

/// Loads rules of nftables.
fn rules(node: &str, folder: &Path, text: &str) -> Result<(), LabError> {
    let file = folder.join(format!("{node}.nft"));
    write(&file, text)?;
    inside(node, &["nft", "-f", &file.display().to_string()])?;
    Ok(())
}

pub fn write(file: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(file, text).map_err(|source| LabError::File {
        path: file.to_path_buf(),
        source,
    })
}

/// What a node needs besides its cables: addresses, routes, programs.
pub fn furnish(
    space: &str,
    node: &Node,
    services: &BTreeSet<IpAddr>,
    folder: &Path,
) -> Result<Vec<Child>, LabError> {
    let Some(first) = node.cables.first() else {
        return Ok(Vec::new());
    };
    let last = node.cables.last().unwrap_or(first);
    let families = families(services);
    for cable in &node.cables {
        next_hop(space, cable, families)?;
        for address in &cable.addresses {
            own(space, *address, &cable.device)?;
        }
    }
    match &node.work {
        Work::Router { clients } => {
            for service in services {
                route(space, &service.to_string(), service.is_ipv6(), first)?;
            }
            if *clients {
                client(space, families)?;
            }
            Ok(Vec::new())
        }
        Work::Firewall => {
            // Requests leave inside, answers outside.
            for service in services {
                route(space, &service.to_string(), service.is_ipv6(), last)?;
            }
            for v6 in families {
                route(space, "default", *v6, first)?;
            }
            rules(
                space,
                folder,
                "table inet seqnic {
  counter requests {}
  counter answers {}
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related iifname \"inside\" counter name answers accept
    ct state established iifname \"outside\" counter name requests accept
    iifname \"outside\" ct state new tcp flags & (syn | ack) == syn counter name requests accept
    iifname \"outside\" ct state new meta l4proto != tcp counter name requests accept
  }
}
",
            )?;
            Ok(Vec::new())
        }
        Work::Pass { translate } => {
            for v6 in families {
                route(space, "default", *v6, first)?;
            }
            let change = match translate {
                None => String::new(),
                Some((from, to)) => format!(
                    "  chain in {{
    type nat hook prerouting priority -100;
    tcp dport {from} dnat to :{to}
  }}
"
                ),
            };
            rules(
                space,
                folder,
                &format!(
                    "table inet seqnic {{
  counter passed {{}}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    counter name passed
  }}
{change}}}
"
                ),
            )?;
            Ok(Vec::new())
        }
        Work::Copies => {
            let file = folder
                .join(format!("{}.pcap", node.name))
                .display()
                .to_string();
            let log = folder.join(format!("{}.log", node.name));
            let args = [
                "tcpdump",
                "-i",
                &first.device,
                "-n",
                "-U",
                "--immediate-mode",
                "-Z",
                "root",
                "-w",
                &file,
            ];
            Ok(vec![start(space, &args, &log)?])
        }
        Work::Server {
            on_loopback,
            on_device,
            ports,
        } => {
            for address in on_loopback {
                own(space, *address, "lo")?;
            }
            for address in on_device {
                own(space, *address, &first.device)?;
            }
            for v6 in families {
                route(space, "default", *v6, first)?;
            }
            nginx(space, node, ports, folder)
        }
    }
}

/// A client behind a gateway: a namespace of its own.
fn client(router: &str, families: &[bool]) -> Result<(), LabError> {
    let space = router
        .rsplit_once('.')
        .map_or(String::from("client"), |(lab, _)| format!("{lab}.client"));
    let v6 = families.contains(&true);
    namespace(&space, false, v6)?;
    cable((&space, "eth0", None), (router, None, "clients"))?;
    inside(
        &space,
        &["ip", "addr", "add", &format!("{CLIENT}/24"), "dev", "eth0"],
    )?;
    if v6 {
        inside(
            &space,
            &[
                "ip",
                "addr",
                "add",
                "2001:db8:51::11/64",
                "dev",
                "eth0",
                "nodad",
            ],
        )?;
    }
    inside(
        router,
        &[
            "ip",
            "addr",
            "add",
            &format!("{CLIENT_ROUTER}/24"),
            "dev",
            "clients",
        ],
    )?;
    if v6 {
        inside(
            router,
            &[
                "ip",
                "addr",
                "add",
                "2001:db8:51::1/64",
                "dev",
                "clients",
                "nodad",
            ],
        )?;
    }
    inside(
        &space,
        &["ip", "route", "add", "default", "via", CLIENT_ROUTER],
    )?;
    if v6 {
        inside(
            &space,
            &[
                "ip",
                "-6",
                "route",
                "add",
                "default",
                "via",
                "2001:db8:51::1",
            ],
        )?;
    }
    Ok(())
}

/// A web server that says who it is, with a file to download.
fn nginx(
    space: &str,
    node: &Node,
    ports: &BTreeSet<u16>,
    folder: &Path,
) -> Result<Vec<Child>, LabError> {
    let own = folder.join(format!("{}.nginx", node.name));
    let failed = |source| LabError::File {
        path: own.clone(),
        source,
    };
    std::fs::create_dir_all(own.join("www")).map_err(failed)?;
    write(
        &own.join("www/index.html"),
        &format!("this is {}\n", node.name),
    )?;
    let block: Vec<u8> = (0..1u32 << 20).flat_map(|n| n.to_be_bytes()).collect();
    std::fs::write(own.join("www/big"), block.repeat(4)).map_err(failed)?;
    let listen: String = ports
        .iter()
        .map(|p| format!("    listen {p};\n    listen [::]:{p};\n"))
        .collect();
    let at = own.display();
    let config = format!(
        "user root;
daemon off;
worker_processes 1;
pid {at}/pid;
error_log {at}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {at}/access.log;
  client_body_temp_path {at}/body;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  sendfile on;
  server {{
{listen}    root {at}/www;
  }}
}}
"
    );
    let file = own.join("nginx.conf");
    write(&file, &config)?;
    let args = [
        "nginx",
        "-c",
        &file.display().to_string(),
        "-e",
        &own.join("error.log").display().to_string(),
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(vec![start(
        space,
        &args,
        &folder.join(format!("{}.log", node.name)),
    )?])
}
