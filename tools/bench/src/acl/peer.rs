//! `rte_acl` behind a pipe (`peers/rte_acl.c`).

use super::packets::{Packet, from_the_top, protocol};
use crate::peer::{build, lay_out};
use crate::{BenchError, Peer, Source};
use seqnic_compiler::definition::{Ports, Prefix, Rule};
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "rte_acl";

/// A rule set and packets, handed to DPDK.
pub struct RteAcl {
    peer: Peer,
    answers: PathBuf,
    packets: usize,
}

impl RteAcl {
    pub fn start(
        folder: &Path,
        rules: &[Rule],
        packets: &[Packet],
        v6: bool,
    ) -> Result<RteAcl, BenchError> {
        let source = Source {
            name: "rte_acl.c",
            text: include_str!("../../peers/rte_acl.c"),
        };
        lay_out(folder, &[source])?;
        let script = "cc -O3 -march=native $(pkg-config --cflags libdpdk) rte_acl.c -o rte_acl \
                      -lrte_acl -lrte_eal";
        build(NAME, folder, "sh", &["-c", script])?;
        let rules: Vec<u8> = rules.iter().flat_map(|rule| written(rule, v6)).collect();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|source| BenchError::Io { path, source })
        };
        write("rules", &rules)?;
        let bytes: Vec<u8> = packets.iter().flat_map(on_the_wire).collect();
        write("packets", &bytes)?;
        let mut command = Command::new(folder.join("rte_acl"));
        command.args(["rules", "packets", if v6 { "6" } else { "4" }]);
        Ok(RteAcl {
            peer: Peer::start(NAME, command.current_dir(folder))?,
            answers: folder.join("answers"),
            packets: packets.len(),
        })
    }

    /// Milliseconds of one build, and bytes of what it made.
    pub fn build(&mut self) -> Result<(f64, f64), BenchError> {
        let [ns, _, bytes] = self.numbers("build")?;
        Ok((ns / 1e6, bytes))
    }

    /// Nanoseconds a packet.
    pub fn lookup(&mut self) -> Result<f64, BenchError> {
        self.peer.measure("lookup")
    }

    /// For each packet the place of the first rule that holds it, from 1; 0 for none.
    pub fn answers(&mut self) -> Result<Vec<u32>, BenchError> {
        let path = &self.answers;
        self.peer.ask(&format!("answers {}", path.display()))?;
        let bytes = std::fs::read(path).map_err(|source| BenchError::Io {
            path: path.clone(),
            source,
        })?;
        let (words, rest) = bytes.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|w| u32::from_le_bytes(*w)).collect();
        match words.len() == self.packets && rest.is_empty() {
            true => Ok(words),
            false => Err(BenchError::Peer {
                peer: NAME,
                what: format!("{} answers for {} packets", words.len(), self.packets),
            }),
        }
    }

    fn numbers<const N: usize>(&mut self, request: &str) -> Result<[f64; N], BenchError> {
        let answer = self.peer.ask(request)?;
        let numbers = answer.split_whitespace().map(str::parse);
        let numbers: Result<Vec<f64>, _> = numbers.collect();
        let fixed = numbers.ok().and_then(|n| <[f64; N]>::try_from(n).ok());
        fixed.ok_or_else(|| BenchError::Peer {
            peer: NAME,
            what: format!("answered `{answer}` to `{request}`"),
        })
    }
}

/// `struct written_rule`. The sets have one prefix and one range of each side.
fn written(rule: &Rule, v6: bool) -> Vec<u8> {
    let prefix = |prefixes: &[Prefix]| {
        prefixes
            .first()
            .map_or((0, 0), |p| (from_the_top(p.address), p.bits))
    };
    let range = |ports: &Ports| match ports {
        Ports::Any => (0, u16::MAX),
        Ports::Ranges(ranges) => ranges[0],
    };
    let ((client, client_bits), (server, server_bits)) =
        (prefix(&rule.client), prefix(&rule.server));
    let protocol = protocol(rule, v6);
    let mask = if protocol.is_some() { 0xff } else { 0 };
    let mut bytes = vec![protocol.unwrap_or(0), mask, client_bits, server_bits];
    bytes.extend(client.to_be_bytes());
    bytes.extend(server.to_be_bytes());
    for (first, last) in [range(&rule.client_port), range(&rule.port)] {
        bytes.extend(first.to_ne_bytes());
        bytes.extend(last.to_ne_bytes());
    }
    bytes
}

/// `struct packet`.
fn on_the_wire(packet: &Packet) -> Vec<u8> {
    let mut bytes = vec![packet.protocol, 0, 0, 0];
    bytes.extend(packet.client.to_be_bytes());
    bytes.extend(packet.server.to_be_bytes());
    bytes.extend(packet.client_port.to_be_bytes());
    bytes.extend(packet.port.to_be_bytes());
    bytes
}
