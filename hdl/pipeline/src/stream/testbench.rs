//! What the tests of the stages share: geometries of every bus width, frames as beats, the two ends
//! of a stream with waits at random.

use super::beat;
use crate::testing::{Random, SMALL};
use seqnic_gen::{Bits, Circuit, Handle, Record, Sim};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::collections::VecDeque;

/// Every width a bus can have.
pub const BUSES: [u32; 4] = [8, 16, 32, 64];

/// Two ports, little memory, a bus of `bytes`.
pub fn small(bytes: u32) -> Geometry {
    let longest = MAX_FRAME_BYTES.div_ceil(bytes);
    let g = Geometry {
        bus_bytes: bytes,
        ports: 2,
        buffer_beats: (2 * longest + 2).next_power_of_two(),
        header_slots: 16,
        egress_beats: (2 * longest).next_power_of_two(),
        ..SMALL
    };
    g.check().unwrap();
    g
}

/// The circuit, or all that is wrong with it.
#[track_caller]
pub fn built(circuit: Result<Circuit, Vec<seqnic_gen::GenError>>) -> Circuit {
    circuit.unwrap_or_else(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"));
    })
}

/// A frame length: mostly short, sometimes at a border of beats, sometimes the longest.
pub fn length(random: &mut Random, from: u32, to: u32) -> usize {
    let n = match random.below(8) {
        0 => u64::from(from) + random.below(8),
        1 => random.pick(&[64, 128, 192, 256, 1024]) + random.below(3) - 1,
        2 => u64::from(to) - random.below(3),
        3 => u64::from(from) + random.below(u64::from(to - from) + 1),
        _ => u64::from(from) + random.below(260),
    };
    (n as usize).clamp(from as usize, to as usize)
}

/// One beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub data: Vec<u8>,
    pub first: bool,
    pub last: bool,
    pub error: bool,
}

/// A frame as beats.
pub fn beats(g: &Geometry, frame: &[u8], error: bool) -> Vec<Beat> {
    let n = frame.len().div_ceil(g.bus_bytes as usize);
    let chunks = frame.chunks(g.bus_bytes as usize).enumerate();
    chunks
        .map(|(i, data)| Beat {
            data: data.to_vec(),
            first: i == 0,
            last: i + 1 == n,
            error: error && i + 1 == n,
        })
        .collect()
}

/// Fields of a record as a value.
pub fn packed(record: &Record, fields: &[(&str, u128)]) -> Bits {
    let mut bits = Bits::zero(record.width());
    for (name, value) in fields {
        let f = record.field(name).unwrap_or_else(|| panic!("field {name}"));
        assert!(Bits::fits(f.width, *value), "{name}");
        bits.set_slice(f.offset, &Bits::new(f.width, *value));
    }
    bits
}

/// One field of a value.
pub fn unpacked(record: &Record, value: &Bits, name: &str) -> Bits {
    let f = record.field(name).unwrap_or_else(|| panic!("field {name}"));
    value.slice(f.offset, f.width)
}

/// One beat that leaves, of a copy with `prefix` bytes in front of the frame from byte `strip` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    pub first: bool,
    pub starts: bool,
    pub packet: bool,
    /// Lower of the two beats of the frame that are read, if `packet`.
    pub beat: usize,
    pub last: bool,
    /// With `last`.
    pub count: usize,
}

/// The beats of a copy of a frame of `length` bytes.
pub fn leaving(g: &Geometry, length: usize, strip: usize, prefix: usize) -> Vec<Leaving> {
    let bus = g.bus_bytes as usize;
    let total = prefix + length - strip;
    let n = total.div_ceil(bus);
    (0..n)
        .map(|i| {
            let packet = i >= prefix / bus;
            Leaving {
                first: i == 0,
                starts: i == prefix / bus,
                packet,
                beat: if packet {
                    strip / bus + i - prefix / bus
                } else {
                    0
                },
                last: i + 1 == n,
                count: if i + 1 == n { total - i * bus } else { 0 },
            }
        })
        .collect()
}

/// A beat as the stages' record.
pub fn beat_bits(g: &Geometry, b: &Beat) -> Bits {
    let record = beat(g);
    let mut bits = packed(
        &record,
        &[
            ("count", b.data.len() as u128),
            ("last", b.last.into()),
            ("error", b.error.into()),
        ],
    );
    bits.set_slice(0, &Bits::from_bytes_le(&b.data));
    bits
}

/// Beats become frames: data, count, first, last, error of any record that has them.
#[derive(Default)]
pub struct Joiner {
    frame: Vec<u8>,
    open: bool,
}

impl Joiner {
    /// Takes a beat; the frame and its error bit if it was the last. Asserts the promises between
    /// stages: full beats before the last, zero behind its end.
    #[track_caller]
    pub fn take(&mut self, g: &Geometry, record: &Record, word: &Bits) -> Option<(Vec<u8>, bool)> {
        let flag = |name: &str| !unpacked(record, word, name).is_zero();
        let count = unpacked(record, word, "count").low_u64() as usize;
        let bytes = unpacked(record, word, "data").to_bytes_le();
        assert!(count >= 1 && count <= g.bus_bytes as usize, "{count} bytes");
        assert!(
            flag("last") || count == g.bus_bytes as usize,
            "a short beat inside"
        );
        assert!(
            bytes[count..].iter().all(|b| *b == 0),
            "bytes behind the end"
        );
        if record.field("first").is_some() {
            assert_eq!(flag("first"), !self.open, "first beat");
        }
        self.frame.extend_from_slice(&bytes[..count]);
        self.open = !flag("last");
        (!self.open).then(|| (std::mem::take(&mut self.frame), flag("error")))
    }
}

/// The sending end of a stream: several inputs that belong together, `valid`, `ready`.
pub struct Source {
    inputs: Vec<Handle>,
    valid: Handle,
    ready: Handle,
    words: VecDeque<Vec<Bits>>,
    offered: bool,
    /// Percent of clocks without a word.
    pub idle: u64,
}

impl Source {
    /// `inputs` are the names of what makes up a word.
    pub fn new(sim: &Sim, inputs: &[&str], valid: &str, ready: &str) -> Source {
        let handle = |name: &str| sim.handle(name).unwrap_or_else(|e| panic!("{e}"));
        Source {
            inputs: inputs.iter().map(|n| handle(n)).collect(),
            valid: handle(valid),
            ready: handle(ready),
            words: VecDeque::new(),
            offered: false,
            idle: 0,
        }
    }

    /// An AXI4-Stream slave's, ports `<prefix>tdata` and so on.
    pub fn axi(sim: &Sim, prefix: &str) -> Source {
        let name = |s: &str| format!("{prefix}{s}");
        let inputs = ["tdata", "tkeep", "tlast", "tuser"].map(name);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Source::new(sim, &inputs, &name("tvalid"), &name("tready"))
    }

    pub fn push(&mut self, word: Vec<Bits>) {
        self.words.push_back(word);
    }

    /// A frame for an AXI4-Stream slave. Bytes outside of `tkeep` are whatever the bus has there.
    pub fn push_frame(&mut self, g: &Geometry, frame: &[u8], user: &Bits) {
        for b in beats(g, frame, false) {
            let ones = Bits::ones(b.data.len() as u32);
            let mut data = b.data;
            data.resize(g.bus_bytes as usize, 0xa5);
            self.push(vec![
                Bits::from_bytes_le(&data),
                ones,
                Bits::new(1, b.last.into()),
                user.clone(),
            ]);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Before the clock: offers a word, or keeps the one that was offered.
    pub fn drive(&mut self, sim: &mut Sim, random: &mut Random) {
        if !self.offered {
            self.offered = !self.words.is_empty() && random.below(100) >= self.idle;
            sim.write(self.valid, &Bits::new(1, self.offered.into()));
            if let (true, Some(word)) = (self.offered, self.words.front()) {
                for (handle, value) in self.inputs.iter().zip(word) {
                    sim.write(*handle, value);
                }
            }
        }
    }

    /// After all inputs are driven: whether the word was taken.
    pub fn settle(&mut self, sim: &mut Sim) -> bool {
        let moved = self.offered && !sim.read(self.ready).is_zero();
        if moved {
            self.offered = false;
            self.words.pop_front();
        }
        moved
    }
}

/// The receiving end: asserts that an offered word stays.
pub struct Sink {
    outputs: Vec<Handle>,
    valid: Handle,
    ready: Handle,
    held: Option<Vec<Bits>>,
    ready_now: bool,
    /// Percent of clocks without `ready`.
    pub busy: u64,
}

impl Sink {
    pub fn new(sim: &Sim, outputs: &[&str], valid: &str, ready: &str) -> Sink {
        let handle = |name: &str| sim.handle(name).unwrap_or_else(|e| panic!("{e}"));
        Sink {
            outputs: outputs.iter().map(|n| handle(n)).collect(),
            valid: handle(valid),
            ready: handle(ready),
            held: None,
            ready_now: false,
            busy: 0,
        }
    }

    /// An AXI4-Stream master's; words are tdata, tkeep, tlast, tuser.
    pub fn axi(sim: &Sim, prefix: &str) -> Sink {
        let name = |s: &str| format!("{prefix}{s}");
        let outputs = ["tdata", "tkeep", "tlast", "tuser"].map(name);
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        Sink::new(sim, &outputs, &name("tvalid"), &name("tready"))
    }

    pub fn drive(&mut self, sim: &mut Sim, random: &mut Random) {
        self.ready_now = random.below(100) >= self.busy;
        sim.write(self.ready, &Bits::new(1, self.ready_now.into()));
    }

    #[track_caller]
    pub fn settle(&mut self, sim: &mut Sim) -> Option<Vec<Bits>> {
        let valid = !sim.read(self.valid).is_zero();
        if !valid {
            assert!(self.held.is_none(), "an offered word was taken back");
            return None;
        }
        let word: Vec<Bits> = self.outputs.iter().map(|h| sim.read(*h)).collect();
        if let Some(held) = self.held.take() {
            assert_eq!(held, word, "an offered word changed");
        }
        match self.ready_now {
            true => Some(word),
            false => {
                self.held = Some(word);
                None
            }
        }
    }
}

/// AXI4-Stream words of a [`Sink`] become frames with the sideband of their first beat and the
/// highest sideband bit of their last.
#[derive(Default)]
pub struct AxiJoiner {
    frame: Vec<u8>,
    user: Option<Bits>,
}

/// A frame from an AXI4-Stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxiFrame {
    pub bytes: Vec<u8>,
    pub user: Bits,
    pub error: bool,
}

impl AxiJoiner {
    #[track_caller]
    pub fn take(&mut self, word: &[Bits]) -> Option<AxiFrame> {
        let [data, keep, last, user] = word else {
            panic!("not a word of AXI4-Stream")
        };
        let count = keep.count_ones();
        assert!(
            count > 0 && *keep == Bits::ones(count).resize(keep.width()),
            "tkeep {keep}"
        );
        let last = !last.is_zero();
        assert!(last || count == keep.width(), "a short beat inside");
        self.frame
            .extend_from_slice(&data.to_bytes_le()[..count as usize]);
        let known = self.user.get_or_insert_with(|| user.clone()).clone();
        let top = user.width() - 1;
        assert_eq!(
            known.resize(top),
            user.resize(top),
            "the sideband changed inside"
        );
        if !last {
            assert!(!user.bit(top), "error before the end");
            return None;
        }
        self.user = None;
        let bytes = std::mem::take(&mut self.frame);
        Some(AxiFrame {
            bytes,
            user: known.resize(top),
            error: user.bit(top),
        })
    }
}
