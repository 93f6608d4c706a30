//! The software engine beside XDP programs: one that does the same job, one that does the least.

mod services;

use crate::peer::{build, lay_out};
use crate::{BenchError, Peer, Source, Times, cpu_ns};
use seqnic_model::Tables;
use seqnic_model::batch::{self, BATCH, Exit, Outputs, Stages};
use seqnic_model::counters::CounterArrays;
use seqnic_model::rate::Rates;
use seqnic_model::verdict::Verdict;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::reason::Reason;
use serde::Serialize;
use services::{Arrival, FRAME, Services};
use std::path::Path;
use std::process::Command;

const PEER: &str = "XDP";
/// Packets compared byte by byte before anything is measured.
const COMPARED: usize = 256;
/// Longest copy of a frame: two tags more.
const ROOM: usize = FRAME + 8;

/// Most of the peer's time we want to need, by services.
const TARGETS: [(u32, f64); 3] = [(1_000, 0.65), (65_536, 0.4), (1_000_000, 0.25)];

/// The XDP programs, nanoseconds of CPU a packet.
#[derive(Debug, Clone, Serialize)]
pub struct Xdp {
    /// Does what the software engine does for these packets.
    pub serve: Times,
    /// Does the least: no checks, no counters.
    pub dnat: Times,
    /// The test run and the making of the next packet: part of both.
    pub receive: Times,
}

impl Row {
    /// Best of ours by the best of the peer's, without receiving: beside the program that does the same, and
    /// beside the one that does the least.
    pub fn ratios(&self) -> Option<[f64; 2]> {
        let xdp = self.xdp.as_ref()?;
        let ours = self.soft.less(self.soft_receive);
        Some([xdp.serve, xdp.dnat].map(|peer| ours.ratio(peer.less(xdp.receive))))
    }
}

/// One line of the comparison, nanoseconds of CPU a packet.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub services: u32,
    pub addresses: u32,
    /// The XDP programs, unless the software engine is measured alone.
    pub xdp: Option<Xdp>,
    /// The software engine, and what of it is the making of the next packet.
    pub soft: Times,
    pub soft_receive: Times,
    /// Percent of the packets that went the short way.
    pub shortened: f64,
    pub target: Option<f64>,
}

/// Measures with `count` services, `rounds` times each in turns; `alone`: without the peer.
///
/// # Errors
/// A peer that cannot be built or may not run; a packet that does not leave both sides alike.
pub fn run(
    count: u32,
    rounds: u32,
    alone: bool,
    progress: &mut dyn FnMut(&str),
) -> Result<Row, BenchError> {
    let services = Services::new(count);
    progress(&format!("{count} services: compiling"));
    let mut soft = Soft::load(&services)?;
    let folder = tempfile::tempdir().map_err(|source| BenchError::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let mut xdp = None;
    if !alone {
        progress(&format!("{count} services: loading the XDP programs"));
        let mut peer = peer(folder.path(), &services, &soft.trace)?;
        same_frames(&mut soft, &mut peer)?;
        xdp = Some(peer);
    }
    let mut times: [Vec<f64>; 5] = Default::default();
    for round in 1..=rounds {
        progress(&format!("{count} services: round {round} of {rounds}"));
        let [serve, dnat, receive, ours, ours_receive] = &mut times;
        if let Some(xdp) = &mut xdp {
            receive.push(xdp.measure("receive")?);
            dnat.push(xdp.measure("dnat")?);
            serve.push(xdp.measure("serve")?);
        }
        ours_receive.push(soft.receive());
        ours.push(soft.run());
    }
    if let Some(xdp) = &mut xdp {
        counts_agree(xdp, rounds)?;
    }
    let packets = soft
        .counters
        .get(CounterSet::Reason, Reason::Directed as u32);
    let [serve, dnat, receive, soft_all, soft_receive] = times.map(Times::of);
    Ok(Row {
        services: count,
        addresses: services.addresses,
        xdp: xdp.map(|_| Xdp {
            serve,
            dnat,
            receive,
        }),
        soft: soft_all,
        soft_receive,
        shortened: 100.0 * soft.stages.shortened() as f64 / packets.packets as f64,
        target: TARGETS
            .into_iter()
            .find(|(services, _)| *services == count)
            .map(|(_, most)| most),
    })
}

/// The program that counts has counted every packet of every round, in every place.
fn counts_agree(xdp: &mut Peer, rounds: u32) -> Result<(), BenchError> {
    let packets = rounds as usize * services::TRACE + COMPARED;
    let counted = xdp.ask("counted")?;
    match counted.split(' ').all(|n| n == packets.to_string()) {
        true => Ok(()),
        false => Err(BenchError::Peer {
            peer: PEER,
            what: format!("counted {counted} of {packets} packets"),
        }),
    }
}

fn peer(folder: &Path, services: &Services, trace: &[Arrival]) -> Result<Peer, BenchError> {
    let sources = [
        Source {
            name: "dnat.h",
            text: include_str!("../../peers/dnat.h"),
        },
        Source {
            name: "dnat.bpf.c",
            text: include_str!("../../peers/dnat.bpf.c"),
        },
        Source {
            name: "xdp_dnat.c",
            text: include_str!("../../peers/xdp_dnat.c"),
        },
    ];
    lay_out(folder, &sources)?;
    let machine = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let bpf = [
        "-O2",
        "-g",
        "-target",
        "bpf",
        &machine,
        "-c",
        "dnat.bpf.c",
        "-o",
        "dnat.o",
    ];
    build(PEER, folder, "clang", &bpf)?;
    build(
        PEER,
        folder,
        "cc",
        &["-O2", "xdp_dnat.c", "-o", "xdp_dnat", "-lbpf"],
    )?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|source| BenchError::Io { path, source })
    };
    write("services", &services.records())?;
    let trace: Vec<u8> = trace.iter().flat_map(Arrival::bytes).collect();
    write("trace", &trace)?;
    write("frame", &services::frame())?;
    let mut command = Command::new(folder.join("xdp_dnat"));
    command.args(["dnat.o", "services", "trace", "frame"]);
    Peer::start(PEER, command.current_dir(folder))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Both sides make the same frames of the same packets.
fn same_frames(soft: &mut Soft, xdp: &mut Peer) -> Result<(), BenchError> {
    /// XDP_TX: sent on.
    const SENT: &str = "3";
    let first = soft.frames(COMPARED);
    for program in ["dnat", "serve"] {
        for (packet, frame) in first.iter().enumerate() {
            let peer = xdp.ask(&format!("frame {program} {packet}"))?;
            let ours = format!("{SENT} {}", hexadecimal(frame));
            if peer != ours {
                return Err(BenchError::Differs { packet, peer, ours });
            }
        }
    }
    Ok(())
}

/// The software engine with its packets.
struct Soft {
    tables: Tables,
    counters: CounterArrays,
    rates: Rates,
    stages: Stages,
    trace: Vec<Arrival>,
    /// Where packets arrive, made of the trace as the peer's are.
    frames: [[u8; FRAME]; BATCH],
    ring: Ring,
    /// Time of the last batch, ns.
    now: u64,
}

impl Soft {
    fn load(services: &Services) -> Result<Soft, BenchError> {
        let refused =
            |found: Vec<seqnic_compiler::diagnostic::Diagnostic>| BenchError::Definition {
                services: services.count,
                what: found.first().map_or(String::new(), |d| d.message.clone()),
            };
        let definition = services.definition().map_err(refused)?;
        let image = seqnic_compiler::compile(&definition).map_err(refused)?;
        let tables = Tables::load(&image).map_err(|source| BenchError::Image {
            services: services.count,
            source,
        })?;
        Ok(Soft {
            counters: CounterArrays::new(tables.geometry),
            rates: Rates::new(tables.geometry),
            tables,
            stages: Stages::default(),
            trace: services.trace(),
            frames: [services::frame(); BATCH],
            ring: Ring::default(),
            now: 0,
        })
    }

    /// Nanoseconds a packet of the whole trace.
    fn run(&mut self) -> f64 {
        let before = cpu_ns();
        for arrivals in self.trace.chunks(BATCH) {
            for (frame, arrival) in self.frames.iter_mut().zip(arrivals) {
                arrival.write(frame);
            }
            // One clock reading a batch, as a driver does.
            self.now += 1_000;
            let time = self.now;
            let batch = (self.frames.each_ref()).map(|frame| batch::Arrival {
                port: 0,
                time,
                frame,
            });
            let batch = &batch[..arrivals.len()];
            self.stages.run(
                &self.tables,
                &mut self.counters,
                &mut self.rates,
                batch,
                &mut self.ring,
            );
        }
        (cpu_ns() - before) as f64 / self.trace.len() as f64
    }

    /// The same without the engine.
    fn receive(&mut self) -> f64 {
        let before = cpu_ns();
        for arrivals in self.trace.chunks(BATCH) {
            for (frame, arrival) in self.frames.iter_mut().zip(arrivals) {
                arrival.write(frame);
            }
            std::hint::black_box(&mut self.frames);
        }
        (cpu_ns() - before) as f64 / self.trace.len() as f64
    }

    /// What leaves of the first packets of the trace.
    fn frames(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut sent = Sent(Vec::new());
        for arrival in &self.trace[..count] {
            arrival.write(&mut self.frames[0]);
            let batch = [batch::Arrival {
                port: 0,
                time: self.now,
                frame: &self.frames[0],
            }];
            self.stages.run(
                &self.tables,
                &mut self.counters,
                &mut self.rates,
                &batch,
                &mut sent,
            );
        }
        sent.0
    }
}

/// A transmit ring: slots used over and over.
struct Ring {
    slots: [[u8; ROOM]; BATCH],
    next: usize,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring {
            slots: [[0; ROOM]; BATCH],
            next: 0,
        }
    }
}

impl Outputs for Ring {
    #[inline]
    fn room(&mut self, _: usize, _: Exit, bytes: usize) -> Option<&mut [u8]> {
        self.next = (self.next + 1) % BATCH;
        self.slots.get_mut(self.next)?.get_mut(..bytes)
    }

    fn host(&mut self, _: usize, _: &Verdict) {}
}

/// Every frame that leaves; what goes to the host leaves none, and the comparison sees it.
struct Sent(Vec<Vec<u8>>);

impl Outputs for Sent {
    fn room(&mut self, _: usize, _: Exit, bytes: usize) -> Option<&mut [u8]> {
        self.0.push(vec![0; bytes]);
        self.0.last_mut().map(Vec::as_mut_slice)
    }

    fn host(&mut self, _: usize, _: &Verdict) {
        self.0.push(Vec::new());
    }
}
