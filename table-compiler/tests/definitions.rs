//! Definitions that are right are read, and mean what they say.

use seqnic_compiler::definition::{
    Alerts, Attachments, Definition, Directions, Element, KeyedBy, Mode, Party, Ports, Protocol,
    ReturnWay, Side, State, Tracking, Vlan,
};
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::report::render;
use seqnic_compiler::{compile, read};
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn must(name: &str, text: &str, result: Result<(), Vec<Diagnostic>>) {
    if let Err(errors) = result {
        panic!("{}", render(&errors, name, text, false));
    }
}

fn must_compile(name: &str, text: &str) {
    must(name, text, read(text).and_then(|d| compile(&d).map(|_| ())));
}

fn must_read(text: &str) -> Definition {
    read(text).unwrap_or_else(|errors| panic!("{}", render(&errors, "test", text, false)))
}

#[test]
fn every_case_and_example_compiles() {
    let cases = fs::read_dir(repository().join("tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("definition.yaml"));
    let examples = fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        // What programs run there; a test of the lab reads those.
        .filter(|path| !path.to_string_lossy().ends_with(".lab.yaml"));
    let paths: Vec<PathBuf> = cases.chain(examples).filter(|p| p.exists()).collect();
    assert!(paths.len() >= 37);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        must_compile(path.to_str().unwrap(), &text);
    }
}

#[test]
fn every_example_of_the_reference_compiles() {
    let text = fs::read_to_string(repository().join("docs/definition.md")).unwrap();
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 13);
    for (n, block) in blocks.iter().enumerate() {
        must_compile(&format!("docs/definition.md, block {n}"), block);
    }
}

#[test]
fn an_empty_definition_is_one_without_services() {
    let definition = must_read("seqnic: 1\ninterfaces: {}\n");
    assert_eq!(definition.name, "unnamed");
    assert_eq!(definition.geometry.name, "alveo");
    assert_eq!(definition.generation, 0);
    assert!(definition.services.is_empty() && definition.default_gateway.is_none());
}

/// Files of Windows editors: byte order mark and CR LF.
#[test]
fn a_byte_order_mark_and_crlf_are_read_over() {
    let text = format!("\u{feff}{}", NETWORK.replace('\n', "\r\n"));
    assert_eq!(must_read(&text).devices.len(), 6);
    let broken = text.replace("vlan: 100", "vlan: 5000");
    let errors = read(&broken).unwrap_err();
    let span = errors[0].labels[0].span;
    assert_eq!(&broken[span.offset..span.offset + span.len], "5000");
    let report = render(&errors, "crlf.yaml", &broken, false);
    assert!(report.contains("crlf.yaml:7:24"), "{report}");
}

/// A network for the tests below; services follow.
const NETWORK: &str = "\
seqnic: 1
name: everything
geometry: edge
generation: 7
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, address: [192.0.2.1/24, 2001:db8::1/64], gateway: router }
  i1: { port: 1, vlan: 100, mac: 02-02-00-00-00-02, address: 10.0.0.1, netmask: 255.255.240.0 }
  i2: { port: 1, vlan: [7, 8], mac: 02:03:00:00:00:03, tracking: interface, promiscuous: true, attached: lab }
hosts:
  router: { interface: i0, mac: 02:05:00:00:00:05, address: [192.0.2.254, 2001:db8::fe] }
  local: { interface: i0, mac: 02:05:00:00:00:06, vlan: 9 }
devices:
  fw:
    function: firewall
    vendor: acme
    model: x1
    attachments:
      outside: { interface: i1, mac: 02:06:00:00:00:06 }
      inside: { interface: i1, mac: 02:07:00:00:00:07, vlan: none }
    state: failed
  fw2:
    function: firewall
    attachments:
      outside: { interface: i1, mac: 02:08:00:00:00:08, vlan: 101 }
      inside: { interface: i1, mac: 02:09:00:00:00:09, vlan: 102 }
  vpn: { function: vpn, attachment: { interface: i2, mac: 02:0a:00:00:00:0a } }
  ids: { function: ids, attachment: { interface: i1, mac: 02:0b:00:00:00:0b } }
  both: { function: ips, attachment: { interface: i1, mac: 02:0c:00:00:00:0c } }
  server: { function: server, via: router, mode: nat, address: [198.51.100.9, 2001:db8:9::9] }
services:
";

#[test]
fn a_network_is_what_was_written() {
    let d = must_read(NETWORK);
    assert_eq!((d.name.as_str(), d.generation), ("everything", 7));
    assert_eq!(d.geometry.name, "edge");
    assert_eq!(d.default_gateway, Some(0));
    let [i0, i1, i2] = &d.interfaces[..] else {
        panic!()
    };
    assert_eq!(i0.gateway, Some(0));
    assert_eq!(i0.addresses[1], ("2001:db8::1".parse().unwrap(), 64));
    assert_eq!(i1.addresses, [("10.0.0.1".parse().unwrap(), 20)]);
    assert_eq!(i1.mac.to_string(), "02:02:00:00:00:02");
    assert_eq!(
        (i1.tracking, i2.tracking),
        (Tracking::SourceMac, Tracking::Segment)
    );
    assert_eq!(i2.vlan, Vlan(vec![7, 8]));
    assert!(i2.promiscuous && !i1.promiscuous);
    assert_eq!(i2.attached.as_deref(), Some("lab"));
    assert_eq!(d.hosts[0].addresses.len(), 2);
    assert_eq!(d.hosts[1].place.vlan, Vlan(vec![9]));
    let Attachments::Two { outside, inside } = &d.devices[0].attachments else {
        panic!()
    };
    assert_eq!(
        (&outside.vlan, &inside.vlan),
        (&Vlan(vec![100]), &Vlan(vec![]))
    );
    assert_eq!(d.devices[0].state, State::Failed);
    assert_eq!(d.devices[0].vendor.as_deref(), Some("acme"));
    assert!(matches!(d.devices[5].attachments, Attachments::Via(0)));
    assert_eq!(d.devices[5].mode, Some(Mode::Nat));
}

#[test]
fn a_service_is_what_was_written() {
    let d = must_read(&format!(
        "{NETWORK}
  all:
    address: [203.0.113.1, 2001:db8:113::1]
    protocol: udp
    port: [90, 80]
    dynamic_ports: [1000-1100, 70]
    from: [local, both]
    sequence:
      - device: fw
        alternate: fw2
        enter: inside
        then: {{ port: 5000-5001 }}
      - copy: ids
        alerts: fw
      - copy: ids
        alerts: none
        directions: forward
      - device: server
        port: 6000
    return: [copy: ids, fw, {{ device: vpn }}]
    clients: local
    dscp: 46
  client:
    address: 198.51.100.1
    protocol: 47
    keyed_by: client
    sequence: [both]
    return: direct
    exit: router
"
    ));
    let [all, client] = &d.services[..] else {
        panic!()
    };
    assert_eq!(all.protocol, Protocol::Number(17));
    let ranges = vec![(70, 70), (80, 80), (90, 90), (1000, 1100)];
    assert_eq!(all.ports, Ports::Ranges(ranges));
    assert_eq!(all.from, Some(vec![Party::Host(1), Party::Device(4)]));
    assert_eq!((all.clients, all.exit, all.dscp), (Some(1), None, Some(46)));
    let Element::Device {
        role,
        enter,
        port,
        then,
        ..
    } = &all.sequence[0]
    else {
        panic!()
    };
    assert_eq!((role.device, &role.alternates[..]), (0, &[1][..]));
    assert_eq!((*enter, *port), (Side::Inside, None));
    let ports = then.as_ref().unwrap().ports.clone();
    assert_eq!(ports, Some(Ports::Ranges(vec![(5000, 5001)])));
    let Element::Copy {
        alerts, directions, ..
    } = &all.sequence[1]
    else {
        panic!()
    };
    assert_eq!((*alerts, *directions), (Alerts::To(0), Directions::Both));
    let Element::Copy {
        alerts, directions, ..
    } = &all.sequence[2]
    else {
        panic!()
    };
    assert_eq!((*alerts, *directions), (Alerts::None, Directions::Forward));
    let Element::Device { port, .. } = &all.sequence[3] else {
        panic!()
    };
    assert_eq!(*port, Some(6000));
    assert_eq!((client.keyed_by, client.exit), (KeyedBy::Client, Some(0)));
    assert_eq!(
        (client.protocol, &client.ports),
        (Protocol::Number(47), &Ports::Any)
    );
    assert!(matches!(client.return_way, ReturnWay::Direct));
    // What is only copied to is promiscuous; what is also passed is not.
    assert!(d.devices[3].promiscuous && !d.devices[4].promiscuous);
}

#[test]
fn a_return_list_says_again_what_the_sequence_says() {
    let d = must_read(&format!(
        "{NETWORK}
  web:
    address: 203.0.113.1
    port: 80
    sequence:
      - device: fw
        alternate: fw2
        enter: inside
        port: 81
        then: {{ port: 5000 }}
      - vpn
      - server
    return: [{{ device: vpn }}, fw]
"
    ));
    let ReturnWay::List(list) = &d.services[0].return_way else {
        panic!()
    };
    let Element::Device {
        role,
        enter,
        port,
        then,
        ..
    } = &list[1]
    else {
        panic!()
    };
    assert_eq!((role.device, &role.alternates[..]), (0, &[1][..]));
    assert_eq!((*enter, *port), (Side::Inside, Some(81)));
    assert!(then.is_some());
}

#[test]
fn narrow_beside_wide_is_no_overlap() {
    must_read(&format!(
        "{NETWORK}
  narrow: {{ address: 203.0.113.1, port: 80, sequence: [server] }}
  tcp: {{ address: 203.0.113.1, port: any, sequence: [server] }}
  udp: {{ address: 203.0.113.1, protocol: udp, port: 80, sequence: [server] }}
  icmp: {{ address: 203.0.113.1, protocol: icmp, sequence: [server] }}
  wide: {{ address: 203.0.113.1, protocol: any, sequence: [server] }}
  client: {{ address: 203.0.113.1, keyed_by: client, port: 80, sequence: [both] }}
  six: {{ address: '2001:db8:113::1', port: 80, sequence: [server] }}
"
    ));
}

/// Two devices of one MAC are refused only in one direction of one service.
#[test]
fn devices_may_share_a_place_in_services_of_their_own() {
    let twin = "  twin: { function: x, attachment: { interface: i1, mac: 02:0c:00:00:00:0c } }\nservices:\n";
    let network = NETWORK.replace("services:\n", twin);
    let one = "  a: { address: 203.0.113.1, port: 80, sequence: [both, server] }\n";
    let other = "  b: { address: 203.0.113.2, port: 80, sequence: [twin, server] }\n";
    must_read(&format!("{network}{one}{other}"));
    let together = "  a: { address: 203.0.113.1, port: 80, sequence: [both, twin, server] }\n";
    let errors = read(&format!("{network}{together}")).unwrap_err();
    assert_eq!(errors[0].code, "same_place");
}

/// The largest card has 65,536 services; reading that many takes no noticeable part of a minute.
#[test]
fn many_services_are_read_in_time() {
    use std::fmt::Write;
    let mut text = NETWORK.to_owned();
    for n in 0..65_536_u32 {
        let address = std::net::Ipv4Addr::from(0x0b00_0001 + n);
        writeln!(
            text,
            "  s{n}: {{ address: {address}, port: 80, sequence: [both, copy: ids, server] }}"
        )
        .unwrap();
    }
    let start = std::time::Instant::now();
    assert_eq!(must_read(&text).services.len(), 65_536);
    let took = start.elapsed();
    println!("65,536 services, {} bytes: {took:?}", text.len());
    assert!(took.as_secs() < 20, "{took:?}");
}
