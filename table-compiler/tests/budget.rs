//! A definition that fills the big card. `cargo test --release -p seqnic-compiler --test budget --
//! --nocapture` shows the times.

mod common;

use common::reader::{Packet, walk};
use common::*;
use seqnic_compiler::compile;
use seqnic_compiler::definition::*;
use seqnic_image::{inspect, read, write};
use seqnic_spec::geometry::ALVEO;
use std::time::Instant;

const SERVICES: u32 = 65_000;
const SERVERS: u32 = 1_000;

fn service_address(n: u32) -> String {
    format!("203.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)
}

fn server_address(n: u32) -> String {
    format!("10.0.{}.{}", n >> 8, n & 255)
}

/// Every service passes one of 100 firewalls and ends at one of 1,000 NAT mode servers.
fn full() -> Definition {
    let mut n = Network::on(&ALVEO, 4);
    n.router(0, 1);
    let mac = |kind: u8, n: usize| Mac([2, kind, 0, 0, (n >> 8) as u8, n as u8]);
    let firewalls: Vec<_> = (0..100)
        .map(|i| {
            let id = n.two(&format!("fw{i}"), (1, 0), (2, 0));
            if let Attachments::Two { outside, inside } = &mut n.definition.devices[id].attachments
            {
                (outside.mac, inside.mac) = (mac(1, i), mac(2, i));
            }
            id
        })
        .collect();
    let servers: Vec<_> = (0..SERVERS)
        .map(|i| {
            let id = n.server(&format!("s{i}"), 3, 0, Mode::Nat, &[&server_address(i)]);
            if let Attachments::One(place) = &mut n.definition.devices[id].attachments {
                place.mac = mac(3, i as usize);
            }
            id
        })
        .collect();
    for i in 0..SERVICES {
        let port = 1000 + (i / SERVERS) as u16;
        let sequence = vec![
            pass(firewalls[i as usize % firewalls.len()]),
            pass(servers[(i % SERVERS) as usize]),
        ];
        n.service(
            &format!("W{i}"),
            &[&service_address(i)],
            &[(port, port)],
            sequence,
        );
    }
    n.definition
}

#[test]
fn a_full_card_is_compiled_and_every_service_answers() {
    let definition = full();
    let start = Instant::now();
    let image = compile(&definition).unwrap();
    let compiled = start.elapsed();
    let start = Instant::now();
    let bytes = write(&image);
    let written = start.elapsed();
    let start = Instant::now();
    assert_eq!(read(&bytes).unwrap(), image);
    let known = start.elapsed();
    println!("{}", inspect(&image));
    println!(
        "{SERVICES} services: compiled in {compiled:?}, {} bytes written in {written:?}, read in {known:?}",
        bytes.len()
    );
    for i in (0..SERVICES).step_by(97) {
        let (server, port) = (i % SERVERS, 1000 + i / SERVERS);
        let forward = format!("198.51.100.1:9 > {}:{port}", service_address(i));
        let from = Packet {
            mac: Mac([2, 2, 0, 0, 0, (i % 100) as u8]).value(),
            ..Packet::tcp(2, 0, &forward)
        };
        let expected = format!(
            "fw{}.inside>s{server}#{} dst={}",
            i % 100,
            server & 255,
            server_address(server)
        );
        assert_eq!(walk(&image, from), [expected]);
        let back = format!("{}:{port} > 198.51.100.1:9", server_address(server));
        let from = Packet {
            mac: Mac([2, 3, 0, 0, (server >> 8) as u8, server as u8]).value(),
            ..Packet::tcp(3, 0, &back)
        };
        let expected = format!(
            "s{server}>fw{}.inside#{} src={}",
            i % 100,
            i % 100,
            service_address(i)
        );
        assert_eq!(walk(&image, from), [expected]);
    }
}
