//! What a definition asks for that cannot be: each conflict is refused with its places and a way
//! out, and what only looks like one is not.

mod common;

use common::reader::{Packet, walk};
use common::*;
use seqnic_compiler::compile;
use seqnic_compiler::definition::*;
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_spec::geometry::{ALVEO, EDGE};
use seqnic_spec::tables::Table;

fn findings(network: &Network) -> Vec<Diagnostic> {
    match compile(&network.definition) {
        Ok(_) => Vec::new(),
        Err(findings) => findings,
    }
}

fn codes(network: &Network) -> Vec<&'static str> {
    findings(network).iter().map(|f| f.code).collect()
}

/// The only finding, which has to name every word and a place for each of the labels.
fn only(network: &Network, code: &str, words: &[&str], labels: usize) -> Diagnostic {
    let findings = findings(network);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = findings.into_iter().next().unwrap();
    assert_eq!(finding.code, code, "{finding:#?}");
    for word in words {
        assert!(finding.message.contains(word), "{word}: {finding:#?}");
    }
    assert_eq!(finding.labels.len(), labels, "{finding:#?}");
    let placed = |l: &seqnic_compiler::diagnostic::Label| l.span.len > 0;
    assert!(finding.labels.iter().all(placed), "{finding:#?}");
    assert!(!finding.help.is_empty());
    finding
}

/// Two services that share one database server.
fn shared(mode: Mode, addresses: [&[&str]; 2], ports: [u16; 2]) -> Network {
    let mut n = Network::new(2);
    n.router(0, 3);
    let db = n.server("db", 1, 4, mode, &["10.0.0.14", "fd00::14"]);
    for (i, name) in ["W1D", "W5D"].into_iter().enumerate() {
        n.service(name, addresses[i], &[(ports[i], ports[i])], vec![pass(db)]);
    }
    n
}

#[test]
fn answers_of_a_shared_nat_server_belong_to_nobody() {
    let apart: [&[&str]; 2] = [&["203.0.113.17"], &["203.0.113.19"]];
    let words = ["`db`", "10.0.0.14", "port 1521", "`W1D`", "`W5D`"];
    let network = shared(Mode::Nat, apart, [1521, 1521]);
    let finding = only(&network, "ambiguous_answer", &words, 2);
    assert!(finding.help.contains("alias or loopback"), "{finding:#?}");
    let services = &network.definition.services;
    assert_eq!(finding.labels[0].span, services[0].span);
    assert_eq!(finding.labels[1].span, services[1].span);
    // In another mode, on another port, in another family they are told apart.
    assert_eq!(codes(&shared(Mode::Alias, apart, [1521; 2])), [""; 0]);
    assert_eq!(codes(&shared(Mode::Nat, apart, [1521, 1522])), [""; 0]);
    let families: [&[&str]; 2] = [&["203.0.113.17"], &["2001:db8::19"]];
    assert_eq!(codes(&shared(Mode::Nat, families, [1521; 2])), [""; 0]);
}

#[test]
fn two_addresses_of_a_service_are_one_to_its_nat_server() {
    let both: [&[&str]; 2] = [&["203.0.113.17", "203.0.113.18"], &["203.0.113.19"]];
    let network = shared(Mode::Nat, both, [80, 81]);
    only(&network, "ambiguous_answer", &["two parts", "`W1D`"], 2);
}

#[test]
fn addresses_that_become_one_on_the_way_are_answered_as_one() {
    let mut n = Network::new(3);
    n.router(0, 3);
    let gate = n.one("gate", 1, 4);
    let server = n.server("server", 2, 5, Mode::Nat, &["10.0.0.1"]);
    n.service(
        "W",
        &["203.0.113.17", "203.0.113.18"],
        &[(80, 80)],
        vec![then(pass(gate), &["203.0.113.20"], None), pass(server)],
    );
    let image = compile(&n.definition).unwrap();
    let answer = Packet::tcp(2, 5, "10.0.0.1:80 > 198.51.100.1:9");
    assert_eq!(walk(&image, answer), ["server>gate#4 src=203.0.113.20"]);
}

#[test]
fn an_alternates_answers_count_too() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let one = n.server("one", 1, 4, Mode::Nat, &["10.0.0.1"]);
    let two = n.server("two", 1, 5, Mode::Nat, &["10.0.0.2"]);
    n.service("A", &["203.0.113.1"], &[(80, 80)], vec![pool(one, &[two])]);
    n.service("B", &["203.0.113.2"], &[(80, 80)], vec![pass(two)]);
    only(&n, "ambiguous_answer", &["`two`", "10.0.0.2"], 2);
}

#[test]
fn a_wide_service_and_a_narrow_one_share_a_nat_server_if_they_share_the_address() {
    let build = |second: &str, protocol| {
        let mut n = Network::new(2);
        n.router(0, 3);
        let server = n.server("server", 1, 4, Mode::Nat, &["10.0.0.1"]);
        n.service("web", &["203.0.113.1"], &[(80, 80)], vec![pass(server)]);
        n.service("rest", &[second], &[], vec![pass(server)])
            .protocol = protocol;
        n
    };
    for protocol in [Protocol::Number(6), Protocol::Any] {
        assert_eq!(codes(&build("203.0.113.1", protocol)), [""; 0]);
        assert_eq!(codes(&build("203.0.113.2", protocol)), ["ambiguous_answer"]);
    }
    let image = compile(&build("203.0.113.1", Protocol::Any).definition).unwrap();
    let label = |packet| {
        let [step] = &walk(&image, packet)[..] else {
            panic!("one copy")
        };
        step.clone()
    };
    label(Packet::tcp(1, 4, "10.0.0.1:80 > 198.51.100.1:9"));
    let udp = Packet {
        protocol: 17,
        ..Packet::tcp(1, 4, "10.0.0.1:80 > 198.51.100.1:9")
    };
    assert_eq!(label(udp), "server>router#3 route src=203.0.113.1");
    assert_eq!(codes(&build("203.0.113.2", Protocol::Icmp)), [""; 0]);
}

#[test]
fn translated_ports_must_be_nobody_elses() {
    let build = |port| {
        let mut n = Network::new(2);
        n.router(0, 3);
        let server = n.server("server", 1, 4, Mode::Loopback, &[]);
        let web = vec![on_port(pass(server), port)];
        n.service("web", &["203.0.113.1"], &[(80, 80)], web);
        n.service("alt", &["203.0.113.1"], &[(8080, 8089)], vec![pass(server)]);
        n
    };
    let words = ["203.0.113.1", "port 8080", "`web`", "`alt`"];
    only(&build(8080), "ambiguous_answer", &words, 2);
    assert_eq!(codes(&build(8090)), [""; 0]);
    let mut n = Network::new(2);
    n.router(0, 3);
    let server = n.server("server", 1, 4, Mode::Loopback, &[]);
    let last = vec![on_port(pass(server), 65535)];
    n.service("two", &["203.0.113.1"], &[(80, 81)], last);
    only(&n, "untranslatable_ports", &["`two`"], 1);
}

#[test]
fn what_a_device_makes_of_packets_must_be_nobody_elses() {
    let mut n = Network::new(3);
    n.router(0, 3);
    let vpn = n.one("vpn", 1, 4);
    let server = n.server("server", 2, 5, Mode::Loopback, &[]);
    let inside = then(pass(vpn), &[], Some(&[(80, 80)]));
    n.service(
        "vpn",
        &["203.0.113.1"],
        &[(1194, 1194)],
        vec![inside, pass(server)],
    );
    n.service("web", &["203.0.113.1"], &[(80, 80)], vec![pass(server)]);
    only(
        &n,
        "ambiguous_look",
        &["203.0.113.1", "port 80", "`vpn`", "`web`"],
        2,
    );
}

#[test]
fn ports_within_ports_are_found_one_by_one() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let server = n.server("server", 1, 4, Mode::Loopback, &[]);
    for (name, ports) in [("a", (100, 900)), ("b", (200, 300)), ("c", (500, 600))] {
        n.service(name, &["203.0.113.1"], &[ports], vec![pass(server)]);
    }
    assert_eq!(codes(&n), ["ambiguous_look"; 2]);
    n.definition.services.remove(0);
    assert_eq!(codes(&n), [""; 0]);
}

#[test]
fn senders_that_cannot_be_told_apart_must_go_the_same_way() {
    // One MAC on one segment for two devices of a sequence.
    let mut n = Network::new(3);
    n.router(0, 3);
    let one = n.one("one", 1, 4);
    let two = n.one("two", 1, 4);
    let server = n.server("server", 2, 5, Mode::Loopback, &[]);
    let sequence = vec![pass(one), pass(two), pass(server)];
    n.service("W", &["203.0.113.1"], &[(80, 80)], sequence);
    let both = findings(&n);
    let codes: Vec<_> = both.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["indistinguishable_steps"; 2], "forward and return");
    assert!(both[0].message.contains("forward") && both[1].message.contains("return"));
    assert_ne!(both[0].labels[0].span, both[0].labels[1].span);
    // Two segments, and each has a way of its own.
    if let Attachments::One(place) = &mut n.definition.devices[two].attachments {
        place.vlan = Vlan(vec![5]);
    }
    assert_eq!(findings(&n), []);
}

#[test]
fn two_copies_to_a_device_need_one_way_for_its_alerts() {
    let build = |first, second| {
        let mut n = Network::new(4);
        n.router(0, 3);
        let ids = n.one("ids", 1, 4);
        let firewall = n.one("firewall", 2, 5);
        let server = n.server("server", 3, 6, Mode::Loopback, &[]);
        let alerts = |a: Option<usize>| match a {
            None => Alerts::Next,
            Some(9) => Alerts::None,
            Some(_) => Alerts::To(server),
        };
        let sequence = vec![
            copy(ids, alerts(first)),
            pass(firewall),
            copy(ids, alerts(second)),
            pass(server),
        ];
        n.service("W", &["203.0.113.1"], &[(80, 80)], sequence)
            .return_way = ReturnWay::Direct;
        n
    };
    only(
        &build(None, None),
        "indistinguishable_steps",
        &["`W`", "forward"],
        2,
    );
    only(
        &build(Some(9), None),
        "indistinguishable_steps",
        &["`W`"],
        2,
    );
    assert_eq!(codes(&build(Some(1), Some(1))), [""; 0]);
    assert_eq!(codes(&build(Some(1), None)), [""; 0], "the same place");
    let image = compile(&build(Some(9), Some(9)).definition).unwrap();
    let alert = Packet::tcp(1, 4, "198.51.100.1:9 > 203.0.113.1:80");
    assert_eq!(walk(&image, alert), ["wrong_sender"]);
}

#[test]
fn ranges_beyond_eight_are_spelled_out_and_still_answer() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let server = n.server("server", 1, 4, Mode::Loopback, &[]);
    // 12 ranges of 10, 20, ... ports make 24 slots; 16 are spelled out, the narrowest first.
    for i in 0..12u16 {
        let ports = (i * 1000 + 1, i * 1000 + 10 * (i + 1));
        let name = format!("W{i}");
        n.service(&name, &["203.0.113.1"], &[ports], vec![pass(server)]);
    }
    n.definition.geometry = &ALVEO;
    let image = compile(&n.definition).unwrap();
    let rows: u32 = (1..=8).map(|i| i * 10).sum();
    let keys = |t: Table| {
        seqnic_image::inspect(&image).tables[t as usize]
            .keys
            .clone()
    };
    assert_eq!(keys(Table::PortDstServer).unwrap().used, rows);
    assert_eq!(keys(Table::PortSrcServer).unwrap().used, rows);
    for i in 0..12u16 {
        let go = |port: u16| {
            let text = format!("198.51.100.1:9 > 203.0.113.1:{port}");
            walk(&image, Packet::tcp(0, 3, &text))
        };
        let (first, last) = (i * 1000 + 1, i * 1000 + 10 * (i + 1));
        assert_eq!(go(first), ["client>server#4"], "{first}");
        assert_eq!(go(last), ["client>server#4"], "{last}");
        assert_eq!(go(first - 1), ["no_port"]);
        assert_eq!(go(last + 1), ["no_port"]);
    }
}

#[test]
fn too_many_wide_ranges_are_refused_with_the_address() {
    let build = |ranges: u16| {
        let mut n = Network::new(2);
        n.router(0, 3);
        let server = n.server("server", 1, 4, Mode::Loopback, &[]);
        for i in 0..ranges {
            let ports = (i * 5000 + 1, i * 5000 + 4097);
            let name = format!("W{i}");
            n.service(&name, &["203.0.113.1"], &[ports], vec![pass(server)]);
        }
        n
    };
    assert_eq!(codes(&build(4)), [""; 0]);
    only(
        &build(5),
        "too_many_ranges",
        &["203.0.113.1", "10 port ranges", "has 8"],
        5,
    );
}

#[test]
fn everything_a_geometry_has_not_enough_of_is_said_at_once() {
    let build = |geometry, services: u8| {
        let mut n = Network::on(geometry, 2);
        n.router(0, 3);
        let server = n.server("server", 1, 4, Mode::Loopback, &[]);
        let ids = n.one("ids", 1, 5);
        for a in 0..services {
            for b in 0..10 {
                let address = format!("203.0.{a}.{b}");
                let sequence = vec![copy(ids, Alerts::None), pass(server)];
                n.service(&format!("W{a}.{b}"), &[&address], &[(80, 80)], sequence);
            }
        }
        n
    };
    assert_eq!(codes(&build(&EDGE, 50)), [""; 0]);
    let network = build(&EDGE, 250);
    let findings = findings(&network);
    let said: Vec<_> = findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "the definition needs 2500 keys of table `address`, geometry `edge` has 1024",
            "the definition needs 2501 rows of table `class`, geometry `edge` has 512",
            "the definition needs 5000 keys of table `step`, geometry `edge` has 2048",
            "the definition needs 10001 rows of table `action`, geometry `edge` has 2048",
            "the definition needs 2500 keys of table `port_dst_server`, geometry `edge` has 1024",
            "the definition needs 2500 keys of table `port_src_server`, geometry `edge` has 1024",
        ]
    );
    for finding in &findings {
        assert_eq!(finding.code, "does_not_fit");
        assert!(
            finding.help.contains("`alveo`, which has room"),
            "{}",
            finding.help
        );
    }
    // The place is that of the first service without room: class 1 is of service 0.
    let service = &network.definition.services[511];
    assert_eq!(findings[1].labels[0].span, service.span);
    assert_eq!(codes(&build(&ALVEO, 250)), [""; 0]);
    let mut n = Network::on(&EDGE, 5);
    n.router(0, 3);
    let finding = only(&n, "does_not_fit", &["5 Ethernet ports", "`edge` has 4"], 1);
    assert_eq!(finding.labels[0].span, n.definition.interfaces[4].span);
}

/// Each end of a tunnel has a row; row 0 is nobody's.
#[test]
fn tunnels_that_do_not_fit() {
    let build = |devices: usize| {
        let rows = |text: fn(usize) -> String| (0..devices).map(text).collect::<String>();
        let attached = rows(|n| {
            format!(
                "  w{n}: {{ function: waf, attachment: {{ interface: i1, mac: 02:09:00:00:00:{n:02x} }}, \
                 tunnel: 10.9.1.{n} }}\n"
            )
        });
        let passed: Vec<String> = (0..devices).map(|n| format!("w{n}")).collect();
        let text = format!(
            "seqnic: 1\ngeometry: edge\ninterfaces:\n  \
             i0: {{ port: 0, mac: 02:01:00:00:00:01, gateway: router }}\n  \
             i1: {{ port: 1, mac: 02:02:00:00:00:02, tracking: vxlan, tunnel: 10.9.0.1 }}\n\
             hosts:\n  router: {{ interface: i0, mac: 02:05:00:00:00:05 }}\n\
             devices:\n{attached}  server: {{ function: server, mode: loopback, attachment: \
             {{ interface: i0, mac: 02:06:00:00:00:06 }} }}\n\
             services:\n  W1: {{ address: 203.0.113.13, port: 80, sequence: [{}, server] }}\n",
            passed.join(", ")
        );
        let definition = seqnic_compiler::read(&text).expect("it is right");
        seqnic_compiler::compile(&definition)
    };
    // Row 0 is for no header.
    let most = EDGE.encap_rows as usize - 1;
    assert!(build(most).is_ok());
    let findings = build(most + 1).expect_err("one too many");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "does_not_fit");
    assert!(
        findings[0]
            .message
            .contains(&format!("{} rows of table `encap`", most + 2)),
        "{}",
        findings[0].message
    );
}

#[test]
fn the_rest_of_what_only_the_whole_shows() {
    let mut n = Network::new(2);
    let server = n.server("server", 1, 4, Mode::Nat, &["10.0.0.1"]);
    let plain = n.server("plain", 1, 5, Mode::Loopback, &["10.0.0.2"]);
    let ids = n.one("ids", 0, 6);
    n.service("W", &["203.0.113.1"], &[(80, 80)], vec![pass(server)]);
    only(&n, "no_gateway", &["`W`"], 1);
    n.router(0, 3);
    n.definition.services[0].addresses = vec![ip("2001:db8::1")];
    only(&n, "no_nat_address", &["`server`", "2001:db8::1"], 2);
    n.definition.services[0].addresses = vec![ip("203.0.113.1")];
    n.definition.services[0].sequence = vec![pool(server, &[plain])];
    only(&n, "mixed_modes", &["`server`", "`plain`"], 2);
    n.definition.services[0].sequence = vec![copy(ids, Alerts::Next)];
    only(&n, "no_end", &["`W`"], 1);
    let mut many = vec![copy(ids, Alerts::Next); 15];
    many.push(pass(server));
    n.definition.services[0].sequence = many;
    let both = findings(&n);
    assert_eq!(both[0].code, "too_many_copies");
    assert!(both[0].message.contains("16 copies"), "{}", both[0].message);
    n.definition.services[0].sequence.remove(0);
    assert_eq!(findings(&n), []);
}

#[test]
fn keys_that_find_no_places_are_said_to() {
    let mut n = Network::new(1);
    let host = n.router(0, 3);
    let address = |i: u32| std::net::IpAddr::from((0x0a00_0000 + i * 7919).to_be_bytes());
    // Every place of the table taken: more than cuckoo hashing reaches.
    n.definition.hosts[host].addresses = (0..1024).map(address).collect();
    let words = [
        "`address`",
        "`edge`",
        "1024 places",
        "of 1024 keys at most",
        "64 choices",
    ];
    let finding = only(&n, "does_not_fit", &words, 1);
    assert!(finding.help.contains("97 %") && finding.help.contains("`alveo`"));
    assert_eq!(finding.labels[0].span, n.definition.hosts[host].span);
    n.definition.hosts[host].addresses.truncate(1024 * 97 / 100);
    assert_eq!(codes(&n), [""; 0]);
}
