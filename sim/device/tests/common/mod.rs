//! A card in a process of its own, and a driver as small as can be.
#![allow(dead_code)] // each test uses a part

use seqnic_spec::host::registers as map;
use seqnic_spec::host::rings::{self, Ring, STATUS, TO_HOST, TRANSMIT};
use seqnic_transport::{Address, Memory, Pages, Transport, open};
use std::io::BufRead;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const IOVA: u64 = 0x4_0000_0000;
pub const RING_BYTES: usize = 64 << 9;

/// A running card, ended with the test.
pub struct Running(pub Child);

impl Running {
    pub fn start(socket: &Path, arguments: &[String]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_seqnic-card"))
            .arg("--socket")
            .arg(socket)
            .args(["--geometry", "edge"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::io::BufReader::new(child.stderr.take().unwrap());
        // The first time it builds the simulator, which takes minutes.
        let up = said
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains(" at unix:"));
        assert!(up, "the card did not start: {:?}", child.wait());
        Running(child)
    }

    pub fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} does not happen"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A driver as small as can be.
pub struct Driver {
    pub card: Arc<dyn Transport>,
    memory: Arc<Memory>,
    pub index: [u32; 7],
}

impl Driver {
    pub fn open(socket: &Path) -> Driver {
        let card = open(&Address::Unix(socket.to_path_buf())).unwrap();
        let memory = Arc::new(Memory::new(8 * RING_BYTES, Pages::Small).unwrap());
        card.dma_map(IOVA, &memory).unwrap();
        Driver {
            card,
            memory,
            index: [0; 7],
        }
    }

    pub fn read(&self, offset: u32) -> u32 {
        self.card.read32(0, offset.into()).unwrap()
    }

    pub fn write(&self, offset: u32, value: u32) {
        self.card.write32(0, offset.into(), value).unwrap();
    }

    pub fn start(&self, ring: Ring) {
        let r = ring as u32;
        let base = IOVA + (RING_BYTES * ring as usize) as u64;
        let status = IOVA + (7 * RING_BYTES) as u64 + 64 * u64::from(r);
        for (register, value) in [
            (&map::RING_BASE_LOW, base as u32),
            (&map::RING_BASE_HIGH, (base >> 32) as u32),
            (&map::RING_STATUS_LOW, status as u32),
            (&map::RING_STATUS_HIGH, (status >> 32) as u32),
            (&map::RING_SIZE, 9),
            (&map::RING_CONTROL, 1),
        ] {
            self.write(register.at(r), value);
        }
        // Writes are posted: a frame at a port may overtake them, and is dropped where the ring does not run. A read
        // comes back when they are done.
        until("a ring that runs", || {
            map::RING_STATE.get(self.read(map::RING_STATE.at(r)), "running") == 1
        });
    }

    fn line(&self, ring: Ring, index: u32) -> [u8; 64] {
        let mut line = [0; 64];
        self.memory.read(
            RING_BYTES * ring as usize + 64 * (index as usize % 512),
            &mut line,
        );
        line
    }

    fn told(&self, ring: Ring) -> u32 {
        let mut line = [0; 64];
        self.memory
            .read(7 * RING_BYTES + 64 * ring as usize, &mut line);
        rings::read(&line, &STATUS, 0, "index") as u32
    }

    /// The next packet: its header line and its frame.
    pub fn packet(&mut self, ring: Ring) -> ([u8; 64], Vec<u8>) {
        let at = self.index[ring as usize];
        until("a packet", || self.told(ring) != at);
        let header = self.line(ring, at);
        let lines = rings::read(&header, &TO_HOST, 0, "lines") as u32;
        let mut frame: Vec<u8> = (1..=lines).flat_map(|i| self.line(ring, at + i)).collect();
        frame.truncate(rings::read(&header, &TO_HOST, 0, "length") as usize);
        self.index[ring as usize] = at + 1 + lines;
        self.write(map::DOORBELL.at(ring as u32), at + 1 + lines);
        (header, frame)
    }

    pub fn transmit(&mut self, way: u32, port: u32, frame: &[u8]) {
        let at = self.index[Ring::Transmit as usize];
        let mut record = vec![0u8; 64];
        for (name, value) in [
            ("length", frame.len() as u32),
            ("mode", way),
            ("port", port),
        ] {
            rings::write(&mut record, &TRANSMIT, 0, name, value.into());
        }
        record.extend(frame);
        record.resize(record.len().next_multiple_of(64), 0);
        for (i, line) in record.chunks(64).enumerate() {
            let place = RING_BYTES * Ring::Transmit as usize + 64 * ((at as usize + i) % 512);
            self.memory.write(place, line);
        }
        let next = at + (record.len() / 64) as u32;
        self.index[Ring::Transmit as usize] = next;
        self.write(map::DOORBELL.at(Ring::Transmit as u32), next);
        until("the frame's end", || self.told(Ring::Transmit) == next);
    }
}
