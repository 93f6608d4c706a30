//! Deltas where it is tight: tables that are nearly full, and changes that touch every service.

mod common;

use common::{number, outcomes};
use seqnic_compiler::delta::{Delta, DeltaError, Order, delta};
use seqnic_compiler::{compile, read};
use seqnic_image::Image;
use seqnic_random::Frame;
use seqnic_random::frame::Parts;
use seqnic_spec::tables::Table;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

const HEAD: &str = "seqnic: 1
geometry: edge
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, gateway: router }
  i1: { port: 1, mac: 02:01:00:00:00:02 }
  i2: { port: 2, mac: 02:01:00:00:00:03 }
hosts:
  router: { interface: i0, mac: 02:05:00:00:00:05 }
";

/// A TCP SYN from a client: MACs (to, from), addresses and ports (from, to).
fn tcp_syn(macs: ([u8; 6], [u8; 6]), ips: (Ipv4Addr, Ipv4Addr), ports: (u16, u16)) -> Vec<u8> {
    let parts = Parts {
        destination_mac: macs.0,
        source_mac: macs.1,
        tags: Vec::new(),
        source: ips.0.into(),
        destination: ips.1.into(),
        protocol: 6,
        source_port: ports.0,
        destination_port: ports.1,
        icmp_type: 0,
        tcp_flags: 2,
        ttl: 64,
        tos: 0,
        options: Vec::new(),
        extensions: Vec::new(),
        fragment: None,
        payload: Vec::new(),
        wrap: None,
        trailer: 0,
    };
    parts.frame()
}

fn image(yaml: &str) -> Image {
    compile(&read(yaml).unwrap_or_else(|e| panic!("{e:?}"))).unwrap_or_else(|e| panic!("{e:?}"))
}

fn change(old: &Image, yaml: &str) -> Result<Delta, DeltaError> {
    delta(old, &read(yaml).unwrap_or_else(|e| panic!("{e:?}")))
}

/// Services of many ports each; `ports` gives those of a service.
fn many_ports(services: u16, ports: impl Fn(u16) -> Vec<u16>) -> String {
    let mut yaml = HEAD.to_string();
    yaml += "devices:\n  s: { function: server, mode: loopback, attachment: { interface: i1, mac: 02:06:00:00:00:01 } }\nservices:\n";
    for service in 0..services {
        let ports: Vec<String> = ports(service).iter().map(u16::to_string).collect();
        let _ = writeln!(
            yaml,
            "  W{service}: {{ address: 10.1.0.{}, port: [{}], sequence: [s] }}",
            service + 1,
            ports.join(", ")
        );
    }
    yaml
}

/// A packet of a client to each port.
fn clients(services: u16, ports: impl Fn(u16) -> Vec<u16>) -> Vec<Frame> {
    let of = |service: u16| {
        let to = Ipv4Addr::new(10, 1, 0, service as u8 + 1);
        let packets = ports(service).into_iter().map(move |port| Frame {
            port: 0,
            bytes: tcp_syn(
                ([2, 1, 0, 0, 0, 1], [2, 5, 0, 0, 0, 5]),
                (Ipv4Addr::new(198, 51, 100, 7), to),
                (40_000, port),
            ),
        });
        packets.collect::<Vec<_>>()
    };
    (0..services).flat_map(of).collect()
}

const SERVICES: u16 = 58;
const PORTS: u16 = 16;

fn before(service: u16) -> Vec<u16> {
    (0..PORTS).map(|n| 1000 + service * 100 + n * 2).collect()
}

/// Some services have other ports, by two each.
fn after(service: u16) -> Vec<u16> {
    let mut ports = before(service);
    if service.is_multiple_of(2) {
        ports[3] += 1;
        ports[13] += 1;
    }
    ports
}

#[test]
fn keys_move_out_of_the_way_and_are_found_at_every_word() {
    let old = image(&many_ports(SERVICES, before));
    let yaml = many_ports(SERVICES, after);
    let delta = change(&old, &yaml).unwrap();
    let size = old.geometry.hash(Table::PortDstServer).unwrap();
    let load = f64::from(SERVICES * PORTS) / f64::from(size.capacity());

    // A row that is written more than once before the flip had a key moved out of it or through it.
    let flip = delta
        .words
        .iter()
        .position(|w| w.table == Table::Epoch)
        .unwrap();
    let mut written: HashMap<(Table, u32), usize> = HashMap::new();
    for word in &delta.words[..flip] {
        *written.entry((word.table, word.row)).or_default() += 1;
    }
    let moved = written.values().filter(|n| **n > 1).count();
    println!(
        "load {load:.3}, {} words, {moved} rows written for moves before the flip",
        delta.words.len()
    );
    assert!(load > 0.9 && moved > 0, "{load} {moved}");

    let mut frames = clients(SERVICES, before);
    frames.extend(clients(SERVICES, after));
    let (was, now) = (outcomes(&old, &frames), outcomes(&image(&yaml), &frames));
    assert_ne!(was, now);
    let step = number("SEQNIC_DELTA_STEP", 12) as usize;
    let cuts = (0..=delta.words.len()).step_by(step);
    for cut in cuts.chain([flip, flip + 1, delta.words.len()]) {
        let mut tables = old.clone();
        delta.apply_part(&mut tables, 0..cut).unwrap();
        let expected = if cut > flip { &now } else { &was };
        assert!(outcomes(&tables, &frames) == *expected, "cut at {cut}");
    }
}

#[test]
fn what_does_not_fit_beside_the_old_is_refused_with_a_way_out() {
    let old = image(&many_ports(SERVICES, before));
    let all_other = |service| before(service).iter().map(|p| p + 1).collect::<Vec<u16>>();
    let error = change(&old, &many_ports(SERVICES, all_other)).unwrap_err();
    assert!(matches!(error, DeltaError::NoPlace { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("port_dst_server") && text.contains("load it whole"),
        "{text}"
    );

    let edge = image(&many_ports(2, before));
    let alveo = many_ports(2, before).replace("geometry: edge", "geometry: alveo");
    let error = change(&edge, &alveo).unwrap_err();
    assert!(matches!(error, DeltaError::Geometry { .. }), "{error}");
}

/// A service whose rules say nothing but the size of a packet, each another: no more than forty find places in banks.
fn open_rules(sizes: &[u16]) -> String {
    let mut yaml = HEAD.replace("geometry: edge", "geometry: alveo");
    yaml += "devices:\n  s: { function: server, mode: loopback, attachment: { interface: i1, mac: 02:06:00:00:00:01 } }\nacls:\n  a:\n";
    for (n, size) in sizes.iter().enumerate() {
        let action = if n % 3 == 0 { "permit" } else { "deny" };
        let _ = writeln!(yaml, "    - {{ size: {size}, action: {action} }}");
    }
    yaml += "services:\n  W: { address: 10.1.0.1, protocol: tcp, port: 80, sequence: [s], acl: a, acl_default: permit }\n";
    yaml
}

/// A packet of each size, in bytes of IP.
fn of_sizes(sizes: impl Iterator<Item = u16>) -> Vec<Frame> {
    let packet = |size: u16| {
        let mut bytes = tcp_syn(
            ([2, 1, 0, 0, 0, 1], [2, 5, 0, 0, 0, 5]),
            (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(10, 1, 0, 1)),
            (40_000, 80),
        );
        bytes.truncate(14 + 40);
        bytes.resize(14 + usize::from(size), 0);
        bytes[16..18].copy_from_slice(&size.to_be_bytes());
        checksum(&mut bytes[14..34]);
        Frame { port: 0, bytes }
    };
    sizes.map(packet).collect()
}

/// That of an IPv4 header.
fn checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let words = header.chunks(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn rules_that_every_packet_asks_change_live() {
    let sizes: Vec<u16> = (0..50).map(|n| 60 + n * 4).collect();
    // The last of them stand behind the banks; three others come there, and go again.
    let mut other = sizes.clone();
    (other[7], other[45], other[49]) = (61, 241, 257);
    let old = image(&open_rules(&sizes));
    let behind = |tables: &Image| {
        let first = tables.geometry.rule_banked();
        let rows = tables.table(Table::Rule).used();
        rows.filter(|(row, words)| *row >= first && words.iter().any(|w| *w != 0))
            .count()
    };
    assert!(behind(&old) >= 5, "{}", behind(&old));
    let frames = of_sizes(60..270);
    let yaml = open_rules(&other);
    let there = change(&old, &yaml).unwrap();
    let (was, now) = (outcomes(&old, &frames), outcomes(&image(&yaml), &frames));
    assert!(was.iter().zip(&now).filter(|(a, b)| a != b).count() >= 4);
    let flip = (there.words.iter())
        .position(|w| w.table == Table::Epoch)
        .unwrap();
    let first = old.geometry.rule_banked();
    let touched = |delta: &Delta| {
        let mut words = delta.words.iter();
        words.any(|w| w.table == Table::Rule && w.row >= first)
    };
    assert!(touched(&there));
    for cut in 0..=there.words.len() {
        let mut tables = old.clone();
        there.apply_part(&mut tables, 0..cut).unwrap();
        let expected = if cut > flip { &now } else { &was };
        assert!(outcomes(&tables, &frames) == *expected, "cut at {cut}");
    }
    // Nothing but what differs was written, and the way back is the same.
    assert!(there.words.len() < 20, "{}", there.words.len());
    let mut tables = old.clone();
    there.apply(&mut tables).unwrap();
    let back = change(&tables, &open_rules(&sizes)).unwrap();
    assert!(back.words.len() < 20, "{}", back.words.len());
    back.apply(&mut tables).unwrap();
    assert!(outcomes(&tables, &frames) == was);
    assert!(
        change(&tables, &open_rules(&sizes))
            .unwrap()
            .words
            .is_empty()
    );

    // All places taken: what comes has none beside what goes.
    let sizes: Vec<u16> = (0..56).map(|n| 60 + n * 4).collect();
    let full = image(&open_rules(&sizes));
    let mut other = sizes.clone();
    other[55] = 61;
    let error = change(&full, &open_rules(&other)).unwrap_err();
    let table = Table::Rule;
    assert!(
        matches!(&error, DeltaError::NoPlace { table: t, .. } if *t == table),
        "{error}"
    );
}

/// `services` services through a pool of two firewalls, and an IDS that stands in for another.
fn pool(services: u16, firewall: (&str, &str), state: &str, ids: &str) -> String {
    let mut yaml = HEAD.to_string();
    let (outside, inside) = firewall;
    let _ = write!(
        yaml,
        "devices:
  fw1: {{ function: firewall, attachments: {{ outside: {{ interface: i1, mac: {outside} }}, inside: {{ interface: i2, mac: {inside} }} }}{state} }}
  fw2: {{ function: firewall, attachments: {{ outside: {{ interface: i1, mac: 02:06:00:00:00:03 }}, inside: {{ interface: i2, mac: 02:06:00:00:00:04 }} }} }}
  ids1: {{ function: ids, promiscuous: true, attachment: {{ interface: i1, mac: 02:07:00:00:00:01 }}{ids} }}
  ids2: {{ function: ids, promiscuous: true, attachment: {{ interface: i1, mac: 02:07:00:00:00:02 }} }}
  s: {{ function: server, mode: loopback, attachment: {{ interface: i2, mac: 02:06:00:00:00:05 }} }}
services:
"
    );
    for service in 0..services {
        let _ = writeln!(
            yaml,
            "  W{service}: {{ address: 10.1.{}.{}, port: 80, sequence: [{{ device: fw1, alternate: fw2 }}, {{ copy: ids1, alternate: ids2 }}, s] }}",
            service / 200,
            service % 200 + 1
        );
    }
    yaml
}

const FIREWALL: (&str, &str) = ("02:06:00:00:00:01", "02:06:00:00:00:02");
const FAILED: &str = ", state: failed";

fn by_table(delta: &Delta) -> HashMap<Table, usize> {
    let mut counts = HashMap::new();
    for word in &delta.words {
        *counts.entry(word.table).or_default() += 1;
    }
    counts
}

#[test]
fn a_device_that_fails_costs_one_word_an_attachment_however_many_services_use_it() {
    for services in [10, 150] {
        let up = image(&pool(services, FIREWALL, "", ""));
        let failed = pool(services, FIREWALL, FAILED, "");
        let there = change(&up, &failed).unwrap();
        // Two attachments, each written for the epoch that comes, and after the flip for the other.
        let expected = HashMap::from([(Table::Attachment, 4), (Table::Epoch, 1)]);
        assert_eq!(by_table(&there), expected, "{services} services");
        let mut tables = up.clone();
        there.apply(&mut tables).unwrap();
        let back = change(&tables, &pool(services, FIREWALL, "", "")).unwrap();
        assert_eq!(by_table(&back), expected);
        back.apply(&mut tables).unwrap();
        assert_eq!(tables.table(Table::Attachment), up.table(Table::Attachment));
    }
}

#[test]
fn one_attachment_fails_over_with_its_first_word_and_no_drain() {
    let up = image(&pool(50, FIREWALL, "", ""));
    let failed = pool(50, FIREWALL, "", FAILED);
    let delta = change(&up, &failed).unwrap();
    assert_eq!(by_table(&delta), HashMap::from([(Table::Attachment, 2)]));
    assert!(delta.orders().all(|o| o != Order::Drain));
    // What the firewall sends is copied to the IDS.
    let from_firewall = Frame {
        port: 2,
        bytes: tcp_syn(
            ([2, 1, 0, 0, 0, 3], [2, 6, 0, 0, 0, 2]),
            (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(10, 1, 0, 9)),
            (40_000, 80),
        ),
    };
    let frames = [from_firewall];
    let mut tables = up.clone();
    delta.apply_part(&mut tables, 0..1).unwrap();
    let now = outcomes(&image(&failed), &frames);
    assert_ne!(outcomes(&up, &frames), now);
    assert_eq!(outcomes(&tables, &frames), now);
    assert_eq!(now[0].len(), 2, "the packet and its copy");
}

#[test]
fn a_device_that_is_replaced_costs_the_same_however_many_services_use_it() {
    let other = ("02:06:00:00:01:01", "02:06:00:00:01:02");
    let counts = [10, 150].map(|services| {
        let old = image(&pool(services, FIREWALL, "", ""));
        let new = pool(services, other, "", "");
        let delta = change(&old, &new).unwrap();
        let mut tables = old.clone();
        delta.apply(&mut tables).unwrap();
        let packets = [([2u8, 1, 0, 0, 0, 1], [2u8, 5, 0, 0, 0, 5], 0u8)];
        let frames = packets.map(|(to, from, port)| Frame {
            port,
            bytes: tcp_syn(
                (to, from),
                (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(10, 1, 0, 3)),
                (40_000, 80),
            ),
        });
        assert_eq!(outcomes(&tables, &frames), outcomes(&image(&new), &frames));
        by_table(&delta)
    });
    assert_eq!(counts[0], counts[1]);
    // Each side alone and in the pool, in both epochs; each sender's key comes and goes.
    assert_eq!(counts[0][&Table::Attachment], 8);
    assert!(
        counts[0][&Table::Source] <= 8 && counts[0].len() == 3,
        "{counts:?}"
    );
}
