//! A definition file to an image file, by phases.

use crate::{BenchError, Times, cpu_ns};
use seqnic_compiler::{Options, compile};
use seqnic_spec::tables::Table;
use serde::Serialize;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What one compilation took, milliseconds of CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    pub services: u32,
    pub geometry: &'static str,
    pub definition_bytes: usize,
    pub image_bytes: usize,
    /// Keys of the table of steps.
    pub steps: usize,
    pub phases: Vec<Phase>,
    pub whole: Times,
}

#[derive(Debug, Clone, Serialize)]
pub struct Phase {
    pub name: &'static str,
    pub time: Times,
}

/// Services of the definition.
pub const SERVICES: u32 = 65_000;
const FIREWALLS: u32 = 100;
const SERVERS: u32 = 1000;

/// A definition that fills the large card: every service passes a firewall with two sides and ends at a NAT
/// mode server, half of them in IPv6.
pub fn yaml() -> String {
    let mac = |kind: u8, n: u32| format!("\"02:{kind:02x}:00:00:{:02x}:{:02x}\"", n >> 8, n & 255);
    // Writing to a String cannot fail.
    let mut y = String::from("seqnic: 1\nname: bench\ngeometry: alveo\ninterfaces:\n");
    for i in 0..4 {
        let gateway = if i == 0 { ", gateway: router" } else { "" };
        let _ = writeln!(y, "  i{i}: {{ port: {i}, mac: {}{gateway} }}", mac(1, i));
    }
    let router = mac(2, 0);
    let _ = writeln!(
        y,
        "hosts:\n  router: {{ interface: i0, mac: {router} }}\ndevices:"
    );
    for n in 0..FIREWALLS {
        let (outside, inside) = (mac(3, n), mac(4, n));
        let _ = writeln!(
            y,
            "  fw{n}: {{ function: firewall, attachments: {{ outside: {{ interface: i1, mac: {outside} }}, inside: {{ interface: i2, mac: {inside} }} }} }}"
        );
    }
    for n in 0..SERVERS {
        let _ = writeln!(
            y,
            "  srv{n}: {{ function: server, mode: nat, address: [10.0.{}.{}, \"2001:db8:f::{n:x}\"], attachment: {{ interface: i3, mac: {} }} }}",
            n >> 8,
            n & 255,
            mac(6, n)
        );
    }
    y.push_str("services:\n");
    for n in 0..SERVICES {
        // On a server, the port tells services apart.
        let (server, port) = (n % SERVERS, 1024 + n / SERVERS);
        let address = match (n / SERVERS).is_multiple_of(2) {
            true => Ipv4Addr::from(0xcb00_0000 + n).to_string(),
            false => format!(
                "\"{}\"",
                Ipv6Addr::from((0x2001_0db8 << 96) + u128::from(n))
            ),
        };
        let _ = writeln!(
            y,
            "  s{n}: {{ address: {address}, protocol: tcp, port: {port}, sequence: [fw{}, srv{server}] }}",
            n % FIREWALLS
        );
    }
    y
}

const PHASES: [&str; 4] = [
    "read: YAML to checked definition",
    "resolve and lower: definition to rows",
    "place and pack: rows to tables",
    "write: tables to image file",
];

/// Compiles [`yaml`] `rounds` times.
///
/// # Errors
/// A definition that is refused.
pub fn run(rounds: u32, progress: &mut dyn FnMut(&str)) -> Result<Image, BenchError> {
    let (services, yaml) = (SERVICES, yaml());
    let refused = |found: Vec<seqnic_compiler::diagnostic::Diagnostic>| BenchError::Definition {
        services,
        what: found.first().map_or(String::new(), |d| d.message.clone()),
    };
    let mut times: [Vec<f64>; 5] = Default::default();
    let mut made = None;
    for round in 1..=rounds {
        progress(&format!(
            "{services} services to an image: round {round} of {rounds}"
        ));
        let mut marks = [cpu_ns(); 5];
        let definition = seqnic_compiler::read(&yaml).map_err(refused)?;
        marks[1] = cpu_ns();
        let model = seqnic_compiler::lower::lower(&definition).map_err(refused)?;
        marks[2] = cpu_ns();
        let image = compile::pack(&definition, model, Options::default()).map_err(refused)?;
        marks[3] = cpu_ns();
        let file = seqnic_image::write(&image);
        marks[4] = cpu_ns();
        let ms = |from: usize, to: usize| (marks[to] - marks[from]) as f64 / 1e6;
        for (phase, time) in times.iter_mut().take(PHASES.len()).enumerate() {
            time.push(ms(phase, phase + 1));
        }
        times[4].push(ms(0, 4));
        made = Some((image, file.len()));
    }
    let Some((image, image_bytes)) = made else {
        return Err(BenchError::Rounds);
    };
    let [read, lower, place, write, whole] = times.map(Times::of);
    let phases = PHASES.into_iter().zip([read, lower, place, write]);
    Ok(Image {
        services,
        geometry: image.geometry.name,
        definition_bytes: yaml.len(),
        image_bytes,
        steps: image.table(Table::Step).used().count(),
        phases: phases.map(|(name, time)| Phase { name, time }).collect(),
        whole,
    })
}
