//! What the unit tests share: a small geometry, numbers at random, the configuration bus.

use crate::header::{PART_BYTES, PART_PORTS, parts};
use crate::tables::answer_words;
use std::collections::{HashMap, VecDeque};

use seqnic_gen::{Bits, Circuit, SPACED_VALID, Sim, clog2};
use seqnic_spec::geometry::{EDGE, Geometry, HashSize};
use seqnic_spec::layout::Row;
use seqnic_spec::tables::{MAX_ROW_BITS, Table};
use seqnic_spec::wire::WINDOW_BYTES;

const fn hash(ways: u32, slots: u32, rows: u32) -> HashSize {
    HashSize { ways, slots, rows }
}

/// Like `edge`, with tables so small that a test is done in a moment.
pub const SMALL: Geometry = Geometry {
    name: "small",
    doc: "for unit tests",
    interface: hash(2, 2, 8),
    source: hash(2, 2, 8),
    address: hash(3, 2, 16),
    port_dst_server: hash(3, 2, 16),
    port_dst_client: hash(2, 1, 16),
    port_src_server: hash(3, 2, 16),
    port_src_client: hash(2, 1, 16),
    step: hash(4, 2, 64),
    range_rows: 8,
    class_rows: 32,
    action_rows: 64,
    attachment_rows: 16,
    rewrite_rows: 16,
    encap_rows: 8,
    acl_rows: 4,
    rule_banks: 4,
    rule_rows: 8,
    rule_always: 3,
    rules: 64,
    interfaces: 16,
    clocks_per_header: 1,
    timed: 8,
    ..EDGE
};

/// Like [`SMALL`], with UltraRAM so deep that its reads take a clock more. Tests use the same few
/// rows of it, so that they stay short.
pub const DEEP: Geometry = Geometry {
    name: "deep",
    bus_bytes: 64,
    step: hash(2, 2, 65536),
    class_rows: 65536,
    action_rows: 65536,
    rewrite_rows: 65536,
    ..SMALL
};

/// Like [`SMALL`], with headers some clocks apart and memories asked in turns.
pub const TURNS: Geometry = Geometry {
    name: "turns",
    bus_bytes: 16,
    clocks_per_header: 8,
    interface: hash(4, 1, 8),
    source: hash(4, 1, 8),
    address: hash(4, 1, 32),
    port_dst_server: hash(4, 1, 32),
    port_dst_client: hash(4, 1, 16),
    port_src_server: hash(4, 1, 32),
    port_src_client: hash(4, 1, 16),
    step: hash(4, 1, 128),
    rule_always: 0,
    ..SMALL
};

/// Xorshift: tests repeat exactly.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.word() >> 11) % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn row(&mut self, width: u32) -> Row {
        let words: Vec<u64> = (0..width.div_ceil(64)).map(|_| self.word()).collect();
        Row::from_words(width, &words)
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.word() as u8).collect()
    }
}

pub fn bits(row: &Row) -> Bits {
    Bits::from_limbs(row.width(), row.words())
}

pub fn row(bits: &Bits) -> Row {
    Row::from_words(bits.width(), bits.limbs())
}

/// Leaves the configuration bus idle.
pub fn config_idle(sim: &mut Sim) {
    sim.set("cfg_write", 0);
    sim.set("cfg_read", 0);
}

/// Puts a write of one row on the configuration bus, for the next clock.
pub fn config_write(sim: &mut Sim, table: Table, number: u32, value: &Row) {
    sim.set("cfg_write", 1);
    sim.set("cfg_read", 0);
    sim.set("cfg_table", table as u64);
    sim.set("cfg_row", number.into());
    let port = sim.handle("cfg_wdata").unwrap().width();
    sim.set_bits("cfg_wdata", &bits(value).resize(port));
}

/// Writes one row.
pub fn write_row(sim: &mut Sim, table: Table, number: u32, value: &Row) {
    config_write(sim, table, number, value);
    sim.step();
    config_idle(sim);
    // The row stays for the cards which take it a clock behind the rest.
    sim.step();
}

/// Reads one row, and asserts that the answer lasts one clock.
pub fn read_row(sim: &mut Sim, g: &Geometry, table: Table, number: u32) -> Row {
    sim.set("cfg_read", 1);
    sim.set("cfg_table", table as u64);
    sim.set("cfg_row", number.into());
    sim.step();
    sim.set("cfg_read", 0);
    for _ in 1..crate::tables::CONFIG_READ_CLOCKS {
        assert!(sim.get_bits("cfg_rdata").is_zero(), "too early");
        sim.step();
    }
    // Of the words of a row, those that a module's rows have.
    let mut limbs = vec![];
    for _ in 0..answer_words(g) {
        limbs.extend_from_slice(sim.get_bits("cfg_rdata").limbs());
        sim.step();
    }
    let answer = Bits::from_limbs(MAX_ROW_BITS, &limbs).resize(g.row_bits(table));
    assert!(sim.get_bits("cfg_rdata").is_zero(), "lasts too long");
    row(&answer)
}

/// Feeds a module one set of inputs a clock and gives the outputs of each: every output is
/// taken as many clocks later as its stage says. Stage-less outputs are left out.
pub fn stream(
    circuit: &Circuit,
    sim: &mut Sim,
    inputs: &[Vec<(&'static str, Bits)>],
) -> Vec<HashMap<String, Bits>> {
    let mut found = vec![HashMap::new(); inputs.len()];
    let last = circuit
        .outputs()
        .iter()
        .filter_map(|p| p.stage)
        .max()
        .unwrap_or(0) as usize;
    let mut feeder = Feeder::new(circuit, "");
    for clock in 0..inputs.len() + last {
        // Behind the last, its inputs stay: nothing there may reach back.
        let inputs = &inputs[clock.min(inputs.len() - 1)];
        feeder.clock(sim, inputs.clone());
        for port in circuit.outputs() {
            let Some(stage) = port.stage else { continue };
            if let Some(asked) = clock
                .checked_sub(stage as usize)
                .and_then(|i| found.get_mut(i))
            {
                asked.insert(port.name.clone(), sim.get_bits(&port.name));
            }
        }
        sim.step();
    }
    found
}

/// The same of a module whose headers are at least `apart` clocks apart: some are further. Between them the inputs of the
/// next one are there already. `begins` is told when one is sent.
pub fn spaced_stream(
    circuit: &Circuit,
    sim: &mut Sim,
    apart: u64,
    inputs: &[Vec<(&'static str, Bits)>],
    begins: &dyn Fn(&mut Sim, usize),
) -> Vec<HashMap<String, Bits>> {
    let mut random = Random::new(inputs.len() as u64);
    let mut found = vec![HashMap::new(); inputs.len()];
    let last = u64::from(circuit.latency().unwrap_or(0));
    let mut feeder = Feeder::new(circuit, "");
    let mut begun: VecDeque<(u64, usize)> = VecDeque::new();
    let (mut next, mut due) = (0, 0);
    for clock in 0.. {
        let sends = clock >= due && next < inputs.len();
        sim.set(SPACED_VALID, sends.into());
        feeder.clock(sim, inputs[next.min(inputs.len() - 1)].clone());
        if sends {
            begun.push_back((clock, next));
            begins(sim, next);
            next += 1;
            due = clock
                + apart
                + if random.one_in(4) {
                    random.below(12)
                } else {
                    0
                };
        }
        while begun.front().is_some_and(|b| b.0 + last < clock) {
            begun.pop_front();
        }
        if begun.is_empty() && next == inputs.len() {
            return found;
        }
        for port in circuit.outputs() {
            let at = |b: &&(u64, usize)| port.stage.is_some_and(|s| b.0 + u64::from(s) == clock);
            if let Some((_, n)) = begun.iter().find(at) {
                found[*n].insert(port.name.clone(), sim.get_bits(&port.name));
            }
        }
        sim.step();
    }
    found
}

/// Gives a module its inputs, each at its stage: as many clocks later.
pub struct Feeder {
    prefix: &'static str,
    stages: HashMap<String, usize>,
    /// Inputs of the last clocks, the newest first.
    given: VecDeque<Vec<(&'static str, Bits)>>,
}

impl Feeder {
    /// Names of inputs come without `prefix`.
    pub fn new(circuit: &Circuit, prefix: &'static str) -> Feeder {
        let stage = |p: &seqnic_gen::Port| (p.name.clone(), p.stage.unwrap_or(0) as usize);
        Feeder {
            prefix,
            stages: circuit.inputs().iter().map(stage).collect(),
            given: VecDeque::new(),
        }
    }

    /// What belongs to the packet of this clock; before the clock.
    pub fn clock(&mut self, sim: &mut Sim, inputs: Vec<(&'static str, Bits)>) {
        self.given.push_front(inputs);
        let last = self.stages.values().max().copied().unwrap_or(0);
        self.given.truncate(last + 1);
        for (ago, inputs) in self.given.iter().enumerate() {
            for (name, value) in inputs {
                let name = format!("{}{name}", self.prefix);
                if self.stages.get(&name).is_none_or(|stage| *stage == ago) {
                    sim.set_bits(&name, value);
                }
            }
        }
    }
}

fn window(frame: &[u8]) -> Vec<u8> {
    let window = WINDOW_BYTES as usize;
    let mut bytes = frame[..frame.len().min(window)].to_vec();
    bytes.resize(window, 0);
    bytes
}

/// The window of a frame, and what comes with it, as the header path's inputs. Where beats of the window are [kept](keep), they are
/// in the half of the tag's lowest bit.
pub fn header(g: &Geometry, frame: &[u8], port: u32, tag: u64) -> Vec<(&'static str, Bits)> {
    let bytes = window(frame);
    let window = WINDOW_BYTES as usize;
    let given = bytes.chunks(PART_BYTES as usize).map(Bits::from_bytes_le);
    let mut fields: Vec<_> = PART_PORTS.into_iter().zip(given).collect();
    fields.truncate(parts(g) as usize);
    if g.clocks_per_header > 1 {
        fields.push(("half", Bits::new(1, (tag & 1).into())));
    }
    fields.extend([
        ("length", Bits::new(8, frame.len().min(window) as u128)),
        ("more", Bits::new(1, u128::from(frame.len() > window))),
        ("port", Bits::new(4, port.into())),
        ("tag", Bits::new(64, tag.into())),
    ]);
    fields
}

/// Puts the window of a frame where its beats are kept as they come (`header::moved`): into one `half` of the memories of the module
/// `tunnel`. Behind its end are bytes of a frame before.
pub fn keep(sim: &mut Sim, g: &Geometry, tunnel: &str, half: u32, frame: &[u8]) {
    let (bus, beats) = (g.bus_bytes as usize, WINDOW_BYTES.div_ceil(g.bus_bytes));
    let bytes = window(frame);
    for (row, mut beat) in bytes.chunks(bus).map(<[u8]>::to_vec).enumerate() {
        if row * bus >= frame.len() {
            beat.fill(0xa5);
        }
        let ends: Vec<u8> = beat.chunks(16).flat_map(|b| b[14..].to_vec()).collect();
        let row = (half << clog2(beats)) + row as u32;
        sim.poke(&format!("{tunnel}.kept"), row, &Bits::from_bytes_le(&beat));
        sim.poke(
            &format!("{tunnel}.kept_ends"),
            row,
            &Bits::from_bytes_le(&ends),
        );
    }
}
