//! Ten thousand services over five hundred devices: compiled, and directed alike by all engines.

use seqnic_engine::{CounterKey, Engine, FrameIn};
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_random::{compare, packets};
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use seqnic_verilated::Rtl;
use std::collections::BTreeSet;
use std::fmt::Write;

const SERVICES: u32 = 10_000;
const FIREWALLS: u32 = 150;
const IDS: u32 = 50;
const SERVERS: u32 = 300;

/// Firewalls with two sides, IDS on VLANs, servers of every mode; services in IPv4 and IPv6, a third
/// with a copy, NAT servers told apart by their port.
fn yaml() -> String {
    let mac = |kind: u32, n: u32| format!("02:{kind:02x}:00:00:{:02x}:{:02x}", n >> 8, n & 255);
    let mut y = String::from("seqnic: 1\nname: ten thousand services\ninterfaces:\n");
    for i in 0..6 {
        let gateway = if i == 0 { ", gateway: router" } else { "" };
        let _ = writeln!(y, "  i{i}: {{ port: {i}, mac: {}{gateway} }}", mac(1, i));
    }
    let _ = writeln!(
        y,
        "hosts:\n  router: {{ interface: i0, mac: {} }}\ndevices:",
        mac(2, 0)
    );
    for n in 0..FIREWALLS {
        let _ = writeln!(
            y,
            "  fw{n}: {{ function: firewall, attachments: {{ outside: {{ interface: i1, mac: {} }}, inside: {{ interface: i2, mac: {} }} }} }}",
            mac(3, n),
            mac(4, n)
        );
    }
    for n in 0..IDS {
        let _ = writeln!(
            y,
            "  ids{n}: {{ function: ids, promiscuous: true, attachment: {{ interface: i3, vlan: {}, mac: {} }} }}",
            100 + n,
            mac(5, n)
        );
    }
    for n in 0..SERVERS {
        let mode = ["loopback", "alias", "nat"][n as usize % 3];
        let _ = writeln!(
            y,
            "  srv{n}: {{ function: server, mode: {mode}, address: [192.168.{}.{}, \"2001:db8:f::{n:x}\"], attachment: {{ interface: i{}, mac: {} }} }}",
            n / 200,
            n % 200 + 1,
            4 + n % 2,
            mac(6, n)
        );
    }
    y.push_str("services:\n");
    for i in 0..SERVICES {
        let address = if i % 2 == 0 {
            format!("10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255)
        } else {
            format!("\"2001:db8:{:x}::{:x}\"", i / 100, i)
        };
        let copy = if i % 3 == 0 {
            format!("{{ copy: ids{} }}, ", i % IDS)
        } else {
            String::new()
        };
        let server = i % SERVERS;
        let port = if server % 3 == 2 {
            format!(", port: {}", 2000 + i / SERVERS)
        } else {
            String::new()
        };
        let _ = writeln!(
            y,
            "  s{i}: {{ address: {address}, protocol: tcp, port: {}, sequence: [fw{}, {copy}{{ device: srv{server}{port} }}] }}",
            80 + i % 7,
            i % FIREWALLS
        );
    }
    y
}

#[test]
fn ten_thousand_services_over_five_hundred_devices() {
    let definition = seqnic_compiler::read(&yaml()).unwrap_or_else(|e| panic!("{}", e[0].message));
    assert_eq!(definition.devices.len() as u32, FIREWALLS + IDS + SERVERS);
    let image =
        seqnic_compiler::compile(&definition).unwrap_or_else(|e| panic!("{}", e[0].message));
    assert!(image.table(Table::Step).used().count() > 20_000);

    let frames = packets(&definition, 1, 40_000);
    let rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"));
    let mut engines: Vec<Box<dyn Engine>> = vec![
        Box::new(Oracle::new(&definition)),
        Box::new(ImageEngine::load(&image).unwrap_or_else(|e| panic!("{e}"))),
        Box::new(rtl.unwrap_or_else(|e| panic!("{e}"))),
    ];
    // Agreement on nothing would be agreement too: most frames must be directed, over many services.
    let mut seen = Oracle::new(&definition);
    let mut out = Vec::new();
    for (id, frame) in frames.iter().enumerate() {
        let frame = FrameIn {
            id: id as u64,
            time: id as u64,
            port: frame.port,
            frame: &frame.bytes,
        };
        seen.push(frame, &mut out).unwrap_or_else(|e| panic!("{e}"));
    }
    let counters = seen.counters().unwrap_or_else(|e| panic!("{e}"));
    let directed = counters
        .0
        .get(&CounterKey::Reason(Reason::Directed))
        .map_or(0, |c| c.packets);
    let services: BTreeSet<_> = counters
        .0
        .keys()
        .filter_map(|k| match k {
            CounterKey::Service { service, .. } => Some(service),
            _ => None,
        })
        .collect();
    println!(
        "{directed} of {} frames directed, {} services",
        frames.len(),
        services.len()
    );
    assert!(
        directed as usize * 3 > frames.len(),
        "only {directed} of {} directed",
        frames.len()
    );
    assert!(
        services.len() > 6_000,
        "only {} services were met",
        services.len()
    );

    let difference = compare(&mut engines, &frames).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        difference.is_none(),
        "{}",
        difference.map_or(String::new(), |d| d.to_string())
    );
}
