//! The process `seqnic-card` from a driver's side: over its socket, client after client.

mod common;

use common::{Driver, IOVA, Running, until};
use seqnic_replay::Time;
use seqnic_replay::capture::{Reader, Writer};
use seqnic_spec::host::registers as map;
use seqnic_spec::host::rings::{self, META_AT, Ring, RingError, mode};
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::HOST_META;
use seqnic_transport::Interrupt;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn capture(path: &Path, frames: &[Vec<u8>]) {
    let mut writer = Writer::new(std::fs::File::create(path).unwrap()).unwrap();
    for frame in frames {
        writer
            .write(Time::from_nanoseconds(1).unwrap(), frame)
            .unwrap();
    }
    writer.finish().unwrap();
}

fn captured(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(path).unwrap();
    std::iter::from_fn(|| reader.next_record().unwrap())
        .map(|r| r.frame)
        .collect()
}

#[test]
fn clients_come_and_go_and_the_card_stays() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let (empty, out) = (dir.path().join("empty.pcap"), dir.path().join("out.pcap"));
    capture(&empty, &[]);
    let port = format!("--port=p1=pcap:{},{}", empty.display(), out.display());
    let mut card = Running::start(&socket, &[port]);
    let mut sent = vec![];
    let mut heartbeat = 0;
    for round in 0..3u8 {
        let mut driver = Driver::open(&socket);
        assert_eq!(driver.read(map::MAGIC.offset), map::MAGIC_VALUE);
        assert_eq!(
            driver.read(map::GEOMETRY_DIGEST.offset),
            seqnic_spec::geometry::EDGE.digest()
        );
        // Scratch is what the client before wrote: the card was not started anew, only its host's side.
        assert_eq!(driver.read(map::SCRATCH.offset), u32::from(round));
        driver.write(map::SCRATCH.offset, u32::from(round) + 1);
        let clocks = driver.read(map::HEARTBEAT.offset);
        assert!(clocks > heartbeat);
        heartbeat = clocks;
        let state = driver.read(map::RING_STATE.at(0));
        assert_eq!(map::RING_STATE.get(state, "busy"), 0);

        let interrupts: Vec<Interrupt> = (0..driver.card.vectors())
            .map(|_| Interrupt::new().unwrap())
            .collect();
        let events: Vec<_> = interrupts.iter().map(|i| i.as_fd()).collect();
        driver.card.enable_vectors(&events).unwrap();
        driver.start(Ring::Packets0);
        driver.start(Ring::Transmit);
        driver.write(map::ENABLE.offset, 0xff);
        let arm = map::DOORBELL.with(0, "arm", 1);
        driver.write(map::DOORBELL.at(0), arm);

        // Tables are empty: what arrives anywhere comes to the host.
        let frame = vec![round; 200];
        driver.transmit(mode::IN, 3, &frame);
        let all: Vec<&Interrupt> = interrupts.iter().collect();
        let fired = Interrupt::wait(&all, Duration::from_secs(60)).unwrap();
        assert_eq!(fired.iter().position(|f| *f), Some(0));
        let (header, found) = driver.packet(Ring::Packets0);
        assert_eq!(found, frame);
        assert_eq!(rings::read(&header, &HOST_META, META_AT, "port"), 3);
        assert_eq!(
            rings::read(&header, &HOST_META, META_AT, "reason"),
            Reason::NoInterface as u64
        );
        driver.transmit(mode::OUT, 1, &[round + 100; 77]);
        sent.push(vec![round + 100; 77]);
        until("the frame", || captured(&out).len() == sent.len());
        match round {
            // Memory that is not lent: the ring stops, the card goes on.
            0 => {
                driver.card.dma_unmap(IOVA).unwrap();
                driver.write(map::DOORBELL.at(Ring::Transmit as u32), driver.index[5] + 1);
                until("the error", || {
                    let state = driver.read(map::RING_STATE.at(Ring::Transmit as u32));
                    map::RING_STATE.get(state, "error") == RingError::Bus as u32
                });
            }
            1 => driver.card.reset().unwrap(),
            _ => {}
        }
    }
    assert_eq!(captured(&out), sent);
    card.signal("-TERM");
    let status = card.0.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(!socket.exists());
}

#[test]
fn an_idle_card_costs_next_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let card = Running::start(&socket, &[]);
    let driver = Driver::open(&socket);
    driver.start(Ring::Packets0);
    // Ticks of 10 ms this process and its threads have used.
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", card.0.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    std::thread::sleep(Duration::from_millis(300));
    let before = used();
    std::thread::sleep(Duration::from_secs(2));
    let ticks = used() - before;
    assert!(ticks <= 40, "{ticks} of 200 ticks");
}

#[test]
fn what_cannot_be_served_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    for (port, says) in [
        ("p9=tap:x", "geometry `edge` has p0 to p3"),
        ("p0=pcap:/nowhere.pcap", "/nowhere.pcap"),
        ("p0=veth:no-such-if", "interface no-such-if"),
        ("p0=ring:x", "expected tap:NAME"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_seqnic-card"))
            .arg("--socket")
            .arg(&socket)
            .args(["--geometry", "edge", "--port", port])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(says),
            "{port}: {said}"
        );
    }
}
