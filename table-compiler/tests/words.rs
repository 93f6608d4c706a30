//! Whatever a definition says, a change of it is said in words: every key of `docs/definition.md` is changed
//! once, and the words must name what was changed.

use seqnic_compiler::definition::Definition;
use seqnic_compiler::delta::delta;
use seqnic_compiler::delta::words::changes;
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::{compile, read};
use seqnic_spec::geometry::ALVEO;
use std::collections::BTreeSet;

const BASE: &str = r#"seqnic: 1
name: base
generation: 1
default_gateway: router
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, address: 192.0.2.1/24, gateway: router }
  i1: { port: 1, mac: 02:02:00:00:00:02, tunnel: 10.9.0.1, tags: { vlan: 3800, mpls: 1000, spi: 1, vni: 1000, gre: 1000 } }
  i2: { port: 2, mac: 02:03:00:00:00:03, gateway: other }
  i3: { port: 3, mac: 02:04:00:00:00:04 }
  i4: { port: 4, mac: 02:04:00:00:00:05, address: 10.4.0.1, netmask: 255.255.0.0 }
hosts:
  router: { interface: i0, mac: 02:05:00:00:00:05, address: 192.0.2.254 }
  other: { interface: i2, mac: 02:05:00:00:00:06, vlan: 7 }
devices:
  fw:
    function: firewall
    attachments:
      outside: { interface: i1, mac: 02:06:00:00:00:06 }
      inside: { interface: i2, mac: 02:07:00:00:00:07 }
  fw2:
    function: firewall
    attachments:
      outside: { interface: i1, mac: 02:06:00:00:00:16 }
      inside: { interface: i2, mac: 02:07:00:00:00:17 }
  vpn: { function: vpn, tunnel: 10.9.0.2, attachment: { interface: i1, mac: 02:08:00:00:00:08 } }
  ids: { function: ids, attachment: { interface: i3, mac: 02:09:00:00:00:09 } }
  spare: { function: ids, attachment: { interface: i3, mac: 02:09:00:00:00:19 }, promiscuous: true }
  server: { function: server, mode: nat, address: 10.0.0.12, attachment: { interface: i3, mac: 02:0a:00:00:00:0a } }
  server2: { function: server, mode: nat, address: 10.0.0.13, attachment: { interface: i3, mac: 02:0a:00:00:00:1a } }
  web: { function: server, mode: loopback, attachment: { interface: i3, mac: 02:0b:00:00:00:0b } }
  far: { function: server, mode: nat, address: 198.51.100.80, via: router }
acls:
  A:
    - { name: one, client: 198.51.100.0/24, action: deny }
    - { name: two, client: 10.0.0.0/8, server: 203.0.113.13, protocol: tcp, client_port: 1024-65535, port: 1194, flags: syn, size: 40-1280, direction: forward, action: permit }
    - { name: three, client: 192.0.2.0/24, route: other }
  B:
    - { protocol: udp, action: deny }
qos:
  dscp: { 46: 7 }
  queues: { 5: 16 }
  host:
    no_port: { rate: 1000, burst: 10, priority: 3 }
services:
  W1:
    address: 203.0.113.13
    protocol: tcp
    port: 1194
    dynamic_ports: 2000-2010
    from: [router]
    sequence:
      - { device: fw, alternate: fw2, enter: outside }
      - { copy: ids, alternate: spare, alerts: next, directions: both }
      - { device: vpn, tracking: vxlan, then: { port: 80 } }
      - { device: server, port: 8080 }
    priority: 1
    rate: 8 Mbit/s
    burst: 30 kB
    acl: A
    acl_default: permit
  W2:
    address: 203.0.113.14
    port: 80
    sequence: [fw, web]
    return: mirror
    clients: router
  W3:
    address: 203.0.113.15
    port: 80
    sequence: [far]
  C1:
    address: 100.64.0.12
    protocol: any
    keyed_by: client
    sequence: [fw]
    exit: other
    clients: router
"#;

/// Key, place, what stands there, what comes in its place, and words that must be said.
type Edit = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const EDITS: &[Edit] = &[
    (
        "name",
        "name: base",
        "name: other",
        &["definition `base` becomes `other`"],
    ),
    (
        "generation",
        "generation: 1",
        "generation: 2",
        &["generation 1 becomes 2"],
    ),
    (
        "default_gateway",
        "default_gateway: router",
        "default_gateway: other",
        &["service W1", "> other (or neighbour"],
    ),
    ("interfaces", "  i4: {", "  i5: {", &["interface i5"]),
    (
        "port",
        "i4: { port: 4",
        "i4: { port: 5",
        &["interface i4: port 5 is new", "interface i4: port 4 goes"],
    ),
    (
        "mac",
        "mac: 02:04:00:00:00:05",
        "mac: 02:04:00:00:00:15",
        &[
            "interface i4: port 4 changes",
            "after   MAC 02:04:00:00:00:15",
        ],
    ),
    (
        "mac",
        "i3: { port: 3, mac: 02:04:00:00:00:04",
        "i3: { port: 3, mac: 02:04:00:00:00:14",
        &["web moves", "from MAC 02:04:00:00:00:14"],
    ),
    (
        "vlan",
        "i4: { port: 4,",
        "i4: { port: 4, vlan: [9, 8],",
        &["port 4, VLAN 9 in 8 is new"],
    ),
    (
        "address",
        "address: 192.0.2.1/24",
        "address: 192.0.2.2/24",
        &[
            "address 192.0.2.1 goes: the engine's own",
            "address 192.0.2.2 is new",
        ],
    ),
    (
        "netmask",
        "10.4.0.1, netmask: 255.255.0.0",
        "10.4.0.2, netmask: 255.255.255.0",
        &["address 10.4.0.2 is new"],
    ),
    (
        "gateway",
        "gateway: other }",
        "}",
        &["the tables are the same"],
    ),
    (
        "promiscuous",
        "mac: 02:04:00:00:00:04 }",
        "mac: 02:04:00:00:00:04, promiscuous: true }",
        &["after   MAC 02:04:00:00:00:04, promiscuous"],
    ),
    (
        "tracking",
        "02:04:00:00:00:05,",
        "02:04:00:00:00:05, tracking: segment,",
        &[
            "before  MAC 02:04:00:00:00:05, senders known by MAC",
            "senders known by segment",
        ],
    ),
    (
        "tracking",
        "tracking: vxlan",
        "tracking: gre",
        &[
            "tag 3 of GRE",
            "takes off GRE",
            "tags read: GRE",
            "GRE key 1003",
        ],
    ),
    (
        "tunnel",
        "tunnel: 10.9.0.1",
        "tunnel: 10.9.0.3",
        &["tunnels end at 10.9.0.3", "tunnel 10.9.0.3 > 10.9.0.2"],
    ),
    (
        "tunnel",
        "tunnel: 10.9.0.2",
        "tunnel: 10.9.0.4",
        &["vpn moves", "tunnel 10.9.0.1 > 10.9.0.4"],
    ),
    ("tags", "vni: 1000", "vni: 2000", &["VNI 2003", "vni 2000"]),
    (
        "mtu",
        "02:04:00:00:00:04 }",
        "02:04:00:00:00:04, mtu: 1400 }",
        &["web moves", "MTU 1400"],
    ),
    (
        "trust",
        "02:04:00:00:00:04 }",
        "02:04:00:00:00:04, trust: true }",
        &["DSCP trusted"],
    ),
    (
        "hosts",
        "  other: {",
        "  third: { interface: i0, mac: 02:05:00:00:00:77, address: 192.0.2.7 }\n  other: {",
        &[
            "third is new",
            "address 192.0.2.7 is new: neighbour third",
            "sender 02:05:00:00:00:77 on port 0 is new: third",
        ],
    ),
    (
        "interface",
        "spare: { function: ids, attachment: { interface: i3",
        "spare: { function: ids, attachment: { interface: i4",
        &["spare moves", "after   port 4"],
    ),
    ("vlan", "vlan: 7", "vlan: 8", &["other moves", "VLAN 8"]),
    (
        "address",
        "192.0.2.254",
        "192.0.2.253",
        &["address 192.0.2.253 is new: neighbour router"],
    ),
    (
        "devices",
        "  web: {",
        "  fresh: { function: x, attachment: { interface: i4, mac: 02:0b:00:00:00:1b } }\n  web: {",
        &["fresh is new"],
    ),
    (
        "attachment",
        "interface: i3, mac: 02:0b:00:00:00:0b",
        "interface: i4, mac: 02:0b:00:00:00:0b",
        &["web moves", "after   port 4"],
    ),
    (
        "attachments",
        "02:07:00:00:00:07",
        "02:07:00:00:00:77",
        &["fw.inside moves", "sender 02:07:00:00:00:77"],
    ),
    (
        "via",
        "via: router",
        "via: other",
        &["service W3 changes", "other"],
    ),
    (
        "mode",
        "server2: { function: server, mode: nat",
        "server2: { function: server, mode: loopback",
        &["the tables are the same"],
    ),
    (
        "mode",
        "mode: nat, address: 10.0.0.12",
        "mode: alias, address: 10.0.0.12",
        &["service W1 changes"],
    ),
    (
        "address",
        "mode: nat, address: 10.0.0.12",
        "mode: nat, address: 10.0.0.14",
        &["10.0.0.14"],
    ),
    (
        "promiscuous",
        "19 }, promiscuous: true }",
        "19 } }",
        &["the tables are the same"],
    ),
    (
        "state",
        "ids: { function: ids,",
        "ids: { function: ids, state: failed,",
        &["packets go to spare now"],
    ),
    (
        "services",
        "  W3:",
        "  W4:",
        &["service W4 is new", "service W3 goes"],
    ),
    (
        "protocol",
        "protocol: any\n",
        "protocol: udp\n    port: any\n",
        &["100.64.0.12 udp/any"],
    ),
    (
        "port",
        "port: 1194\n",
        "port: 1195\n",
        &["203.0.113.13 tcp/1195"],
    ),
    (
        "dynamic_ports",
        "2000-2010",
        "2000-2011",
        &["tcp/1194,2000-2011"],
    ),
    (
        "keyed_by",
        "keyed_by: client\n    sequence: [fw]\n    exit: other",
        "sequence: [fw, web]",
        &["service C1 changes", "web"],
    ),
    (
        "from",
        "from: [router]",
        "from: [other]",
        &["router > fw.outside", "other > fw.outside"],
    ),
    (
        "sequence",
        "sequence: [fw, web]",
        "sequence: [web]",
        &["service W2 changes", "client > web"],
    ),
    (
        "return",
        "return: mirror",
        "return: direct",
        &["return   before", "web > router"],
    ),
    (
        "exit",
        "exit: other",
        "exit: router",
        &["fw.inside > router"],
    ),
    (
        "clients",
        "return: mirror\n    clients: router",
        "return: mirror\n    clients: other",
        &["fw.outside > other"],
    ),
    ("dscp", "    return: mirror", "    dscp: 10", &["DSCP 10"]),
    (
        "priority",
        "priority: 1\n",
        "priority: 2\n",
        &[
            "before  at most 8 Mbit/s, burst 30000 B; priority 1",
            "priority 2",
        ],
    ),
    (
        "rate",
        "rate: 8 Mbit/s",
        "rate: 9 Mbit/s",
        &["at most 9 Mbit/s, burst 30000 B"],
    ),
    (
        "burst",
        "burst: 30 kB",
        "burst: 31 kB",
        &["at most 8 Mbit/s, burst 31000 B"],
    ),
    (
        "rate",
        "    return: mirror",
        "    rate: 123456 bit/s",
        &["with     before  nothing", "at most 123456 bit/s"],
    ),
    (
        "acl",
        "acl: A\n",
        "acl: [A, { set: B, interfaces: [i0, i2] }]\n",
        &["rules A then B on i0,i2, otherwise permit"],
    ),
    (
        "acl_default",
        "acl_default: permit",
        "acl_default: deny",
        &["rules A, otherwise deny"],
    ),
    (
        "device",
        "sequence: [fw, web]",
        "sequence: [fw2, web]",
        &["client > fw2.outside"],
    ),
    ("alternate", "alternate: fw2, ", "", &["service W1 changes"]),
    (
        "buckets",
        "sequence: [fw, web]",
        "sequence: [{ device: [fw, fw2], buckets: 4 }, web]",
        &["service W2 changes", "pool of 4"],
    ),
    (
        "on_failure",
        "sequence: [fw, web]",
        "sequence: [{ device: [fw, fw2], on_failure: open }, web]",
        &["service W2 changes", "pool of 256"],
    ),
    ("enter", "enter: outside", "enter: inside", &["fw.inside"]),
    ("port", "port: 8080", "port: 8081", &["destination port"]),
    (
        "dscp",
        "copy: ids,",
        "copy: ids, dscp: 12,",
        &["ids (DSCP 12"],
    ),
    (
        "then",
        "then: { port: 80 }",
        "then: { port: 81 }",
        &["service W1 changes", "tcp/81"],
    ),
    (
        "copy",
        "- { copy: ids, alternate: spare,",
        "- { copy: spare, alternate: ids,",
        &["+ spare"],
    ),
    ("alerts", "alerts: next", "alerts: none", &["ids > "]),
    (
        "directions",
        "directions: both",
        "directions: forward",
        &["return", "+ ids"],
    ),
    (
        "acls",
        "  B:\n",
        "  E:\n    - { action: deny }\n  B:\n",
        &["the tables are the same"],
    ),
    (
        "client",
        "client: 198.51.100.0/24",
        "client: 198.51.100.0/25",
        &[
            "rule A/one changes",
            "before  198.51.100.0/24 > any IPv4: deny",
            "after   198.51.100.0/25 > any IPv4: deny",
        ],
    ),
    (
        "server",
        "server: 203.0.113.13, protocol",
        "server: 203.0.113.0/30, protocol",
        &["10.0.0.0/8 > 203.0.113.0/30, tcp"],
    ),
    (
        "protocol",
        "10.0.0.0/8, server: 203.0.113.13, protocol: tcp, client_port: 1024-65535, port: 1194, flags: syn,",
        "10.0.0.0/8, server: 203.0.113.13, protocol: sctp, client_port: 1024-65535, port: 1194,",
        &["203.0.113.13, sctp, client port 1024-65535, port 1194, size"],
    ),
    (
        "client_port",
        "client_port: 1024-65535",
        "client_port: 1-1023",
        &["client port 1-1023"],
    ),
    (
        "port",
        "port: 1194, flags",
        "port: [1194, 2000-2005], flags",
        &["port 2000-2005"],
    ),
    (
        "flags",
        "flags: syn",
        "flags: \"syn,!ack\"",
        &["port 1194, syn !ack, size 40-1280"],
    ),
    ("size", "size: 40-1280", "size: 41-1280", &["size 41-1280"]),
    (
        "direction",
        "direction: forward",
        "direction: return",
        &["size 40-1280, return: permit"],
    ),
    (
        "action",
        "size: 40-1280, direction: forward, action: permit",
        "size: 40-1280, direction: forward, action: deny",
        &["forward: deny"],
    ),
    (
        "route",
        "route: other",
        "route: router",
        &["192.0.2.0/24 > any IPv4: to router"],
    ),
    (
        "name",
        "name: one, client",
        "name: uno, client",
        &["rule A/uno is new", "rule A/one goes"],
    ),
    (
        "count",
        "client: 198.51.100.0/24, action: deny }",
        "client: [198.51.100.7, 198.51.100.0/24], action: deny, count: client }",
        &[
            "rule A/one@198.51.100.7 is new",
            "rule A/one@198.51.100.0/24 is new",
            "rule A/one goes",
        ],
    ),
    (
        "set",
        "acl: A\n",
        "acl: { set: B }\n",
        &[
            "rules B, otherwise permit",
            "rule A/one goes",
            "rule B/1 is new: any IPv4 > any IPv4, udp: deny",
        ],
    ),
    (
        "interfaces",
        "acl: A\n",
        "acl: { set: A, interfaces: i0 }\n",
        &["rules A on i0, otherwise permit", "on i0: deny"],
    ),
    (
        "qos",
        "dscp: { 46: 7 }",
        "dscp: { 46: 6 }",
        &["DSCP 46 where it is trusted changes", "after   priority 6"],
    ),
    (
        "dscp",
        "dscp: { 46: 7 }",
        "dscp: { 46: 7, 10: 5 }",
        &["DSCP 10 where it is trusted changes", "after   priority 5"],
    ),
    (
        "host",
        "no_port: { rate: 1000, burst: 10, priority: 3 }",
        "no_port: { rate: none }",
        &[
            "to the host, `no_port` changes",
            "before  1000 packets/s, burst 10, priority 3",
            "after   nothing, priority 1",
        ],
    ),
    (
        "burst",
        "burst: 10,",
        "burst: 11,",
        &["after   1000 packets/s, burst 11"],
    ),
    (
        "priority",
        "priority: 3 }",
        "priority: 4 }",
        &["burst 10, priority 4"],
    ),
];

/// Keys that say nothing of packets, and those whose change is another image.
const SILENT: [&str; 6] = [
    "seqnic", "geometry", "attached", "function", "vendor", "model",
];
/// See [`every_change_is_said`].
const QUEUES: &str = "queues";

fn definition(text: &str) -> Result<Definition, String> {
    let refused = |found: Vec<Diagnostic>| {
        let found: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
        format!("refused: {}", found.join("; "))
    };
    read(text).map_err(refused)
}

fn words(old: &str, new: &str) -> String {
    let (old, new) = match (definition(old), definition(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => return why,
    };
    let image = compile(&old).unwrap_or_else(|e| panic!("{}", e[0].message));
    let delta = match delta(&image, &new) {
        Ok(delta) => delta,
        Err(error) => return format!("no delta: {error}"),
    };
    let mut after = image.clone();
    delta.apply(&mut after).unwrap_or_else(|e| panic!("{e}"));
    // What was written is what the new definition needs, also what nothing but a row refers to.
    let rest = seqnic_compiler::delta::delta(&after, &new).unwrap_or_else(|e| panic!("{e}"));
    if !rest.words.is_empty() {
        return format!("words are left over: {:?}", rest.words);
    }
    if delta.words.is_empty() && delta.was == delta.now {
        return String::from("the tables are the same");
    }
    changes(&image, &after, &delta).to_string()
}

#[test]
fn every_change_is_said() {
    let mut missing = Vec::new();
    for (key, from, to, wanted) in EDITS {
        let at = BASE.matches(from).count();
        assert!(at >= 1, "{key}: `{from}` does not stand in the definition");
        let said = words(BASE, &BASE.replacen(from, to, 1));
        for part in *wanted {
            if !said.contains(part) {
                missing.push(format!(
                    "{key}: `{from}` to `{to}` does not say `{part}`:\n{said}"
                ));
            }
        }
    }
    // With one queue an output there is nothing to be said of queues.
    if ALVEO.queues > 1 {
        let said = words(BASE, &BASE.replace("5: 16", "5: 17"));
        for part in [
            "of port 0 changes",
            "of the host changes",
            "after   weight 17",
        ] {
            if !said.contains(part) {
                missing.push(format!("queues: no `{part}`:\n{said}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Every key of the reference is changed above.
#[test]
fn every_key_is_changed() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/definition.md");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}"));
    let mut keys = BTreeSet::new();
    let mut table = false;
    for line in text.lines() {
        table = match line.starts_with('|') {
            false => false,
            true if line.starts_with("| key |") => true,
            true => table,
        };
        let first = line.split('|').nth(1).filter(|_| table).unwrap_or("");
        let parts = first.split('`').skip(1).step_by(2);
        keys.extend(parts.map(str::to_owned));
    }
    assert!(keys.len() > 50, "{keys:?}");
    let known: BTreeSet<&str> = (EDITS.iter().map(|e| e.0))
        .chain(SILENT)
        .chain([QUEUES])
        .collect();
    let missing: Vec<&String> = keys
        .iter()
        .filter(|k| !known.contains(k.as_str()))
        .collect();
    assert!(missing.is_empty(), "no change of {missing:?} is tested");
}

/// Rules that change places only.
#[test]
fn another_order_of_rules_is_said() {
    let (one, three) = (
        "    - { name: one, client: 198.51.100.0/24, action: deny }\n",
        "    - { name: three, client: 192.0.2.0/24, route: other }\n",
    );
    let new = BASE
        .replace(one, "")
        .replace(three, &format!("{three}{one}"));
    let said = words(BASE, &new);
    let wanted = "rules of A=permit are asked in another order: A/two where A/one was";
    assert!(said.contains(wanted), "{said}");
    assert!(!said.contains("is new"), "{said}");
}
