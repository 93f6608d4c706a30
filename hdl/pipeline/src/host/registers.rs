//! BAR 0: module `host_registers`, an AXI4-Lite slave.
//!
//! A write is taken when address and data are both there, works one clock later, and is answered; a read is
//! answered from a register. What the registers are is in [`seqnic_spec::host::registers`].
//!
//! Every access is answered. SLVERR is the answer where there is no register, where the address is not that of a whole word, and
//! to a write of some of a word's bytes; such a write does nothing. One without any byte does nothing and is right.

use super::{
    ERROR_BITS, LOG2_BITS, RING_BITS, RINGS, commands::window, joined, packets::QUEUE_BITS,
    ring_config, update,
};
use seqnic_gen::{Circuit, GenError, Module, Reg, Sig, mux};
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::pci::BAR_REGISTERS_BYTES;
use seqnic_spec::host::reference::host_digest;
use seqnic_spec::host::registers::{self as map, MAGIC_VALUE, Register};
use seqnic_spec::host::rings::{INDEX_BITS, VECTORS};
use seqnic_spec::reason::REASON_BITS;
use seqnic_spec::reference::spec_digest;
use seqnic_spec::tables::Table;
use seqnic_spec::{SPEC_VERSION, counters::COUNTER_ROW};
use std::collections::BTreeSet;

/// Bits of an address.
pub const ADDRESS_BITS: u32 = BAR_REGISTERS_BYTES.trailing_zeros();
const WORDS: u32 = 16;

/// `table_size` of every number: rows and bits of a row.
pub fn table_sizes(g: &Geometry) -> [u32; 128] {
    let mut sizes = [0; 128];
    let size = |rows: u32, bits: u32| {
        let value = map::TABLE_SIZE.with(0, "rows", rows);
        map::TABLE_SIZE.with(value, "bits", bits)
    };
    for table in Table::ALL {
        sizes[table as usize] = size(g.rows(table), g.row_bits(table));
    }
    for set in CounterSet::ALL {
        sizes[set as usize] = size(set.rows(g), COUNTER_ROW.width());
    }
    sizes
}

/// Reads that are joined: which address gives which value.
struct Reads<'m> {
    address: Sig<'m>,
    values: Vec<Sig<'m>>,
}

impl<'m> Reads<'m> {
    fn put(&mut self, register: &Register, i: u32, value: Sig<'m>) {
        let here = self.address.is((register.at(i) / 4).into());
        let wide = match value.width() {
            32 => value,
            _ => value.zext(32),
        };
        self.values.push(wide.when(here));
    }
}

/// Whether the word of BAR 0 with this number is a register.
fn is_register(word: Sig<'_>) -> Sig<'_> {
    let words: BTreeSet<u32> = (map::ALL.iter())
        .flat_map(|r| (0..r.count).map(|i| r.at(i) / 4))
        .collect();
    let mut blocks = vec![];
    aligned_blocks(&words, 0, word.width(), &mut blocks);
    let terms: Vec<_> = (blocks.iter())
        .map(|(first, log2)| {
            let above = word.slice(*log2, word.width() - log2);
            above.is((first >> log2).into())
        })
        .collect();
    word.module().or(&terms)
}

/// The fewest aligned blocks `(first, log2 of its words)` that have all of `words` among the 2^`log2` from `first` on, and no other.
fn aligned_blocks(words: &BTreeSet<u32>, first: u32, log2: u32, blocks: &mut Vec<(u32, u32)>) {
    match words.range(first..first + (1 << log2)).count() {
        0 => {}
        n if n == 1 << log2 => blocks.push((first, log2)),
        _ => {
            aligned_blocks(words, first, log2 - 1, blocks);
            aligned_blocks(words, first + (1 << (log2 - 1)), log2 - 1, blocks);
        }
    }
}

/// The answer OKAY or SLVERR.
fn response<'m>(m: &'m Module, wrong: Sig<'m>) -> Sig<'m> {
    wrong.cat(m.lit(1, 0))
}

/// Takes AXI4-Lite (`aw_*`, `w_*`, `b_*`, `ar_*`, `r_*`), `source_sha` (160), `now`, `flr`, `link` (a bit a port), and what the units
/// say:
/// `running`, `busy` (a bit a ring), `failed` (a bit a ring, for a clock), `error_<r>`, `index_<r>`, `dropped_<r>`,
/// `pending`, `core_busy`, `window_busy`, `window_done`, `window_row`.
///
/// Gives `enable`, `config_<r>`, `time_<r>`, `count_<r>`, `vectors`, `clear`, `errors`, `error_event`, the doorbell,
/// `window_write`, `window_read`, `window`, `queue_write`, `queue_reason`, `queue_ring`, `resetting`, `busy_now`.
///
/// # Errors
/// None.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_registers");
    m.doc("BAR 0: AXI4-Lite slave with the registers of docs/registers.md.");
    let word_bits = ADDRESS_BITS - 2;

    // Write: address and data together.
    let aw_valid = m.input("aw_valid", 1);
    let aw_addr = m.input("aw_addr", ADDRESS_BITS);
    let w_valid = m.input("w_valid", 1);
    let w_data = m.input("w_data", 32);
    let w_strb = m.input("w_strb", 4);
    let b_ready = m.input("b_ready", 1);
    let b_valid = m.reg("b_valid_now", 1, 0);
    let take = (aw_valid & w_valid & !b_valid.q()).named("take_write");
    m.output("aw_ready", take);
    m.output("w_ready", take);
    update(b_valid, &[(take, m.lit(1, 1)), (b_ready, m.lit(1, 0))]);
    m.output("b_valid", b_valid.q());
    let write = m.reg("write", 1, 0);
    let (all, inside) = (w_strb.all(), aw_addr.trunc(2).any().named("write_inside"));
    write.set(take & all & !inside);
    let torn = m.reg_no_reset("write_torn", 1);
    torn.set_when(take, inside | (w_strb.any() & !all));
    let write_at = m.reg_no_reset("write_at", word_bits);
    write_at.set_when(take, aw_addr.slice(2, word_bits));
    let nowhere = !is_register(write_at.q());
    m.output("b_resp", response(&m, torn.q() | nowhere));
    let data = m.reg_no_reset("write_data", 32);
    data.set_when(take, w_data);
    let data = data.q();
    let written = |register: &Register, i: u32| {
        let at = register.at(i) / 4;
        (write.q() & write_at.q().is(at.into())).named(&format!("writes_{}_{i}", register.name))
    };
    let field = |register: &Register, name: &str| {
        let (lo, width) = register.field(name);
        data.slice(lo, width)
    };

    // Read: address, then value, in a register each.
    let ar_valid = m.input("ar_valid", 1);
    let ar_addr = m.input("ar_addr", ADDRESS_BITS);
    let r_ready = m.input("r_ready", 1);
    let asking = m.reg("asking", 1, 0);
    let r_valid = m.reg("r_valid_now", 1, 0);
    let take_read = (ar_valid & !asking.q() & !r_valid.q()).named("take_read");
    m.output("ar_ready", !asking.q() & !r_valid.q());
    asking.set(take_read);
    update(
        r_valid,
        &[(asking.q(), m.lit(1, 1)), (r_ready, m.lit(1, 0))],
    );
    let read_at = m.reg_no_reset("read_at", word_bits);
    read_at.set_when(take_read, ar_addr.slice(2, word_bits));
    let read_inside = m.reg_no_reset("read_inside", 1);
    read_inside.set_when(take_read, ar_addr.trunc(2).any());
    let mut reads = Reads {
        address: read_at.q(),
        values: vec![],
    };

    // Identity.
    let lit = |value: u32| m.lit(32, value.into());
    reads.put(&map::MAGIC, 0, lit(MAGIC_VALUE));
    reads.put(&map::SPEC_VERSION, 0, lit(SPEC_VERSION));
    reads.put(&map::SPEC_DIGEST, 0, lit(spec_digest()));
    reads.put(&map::HOST_DIGEST, 0, lit(host_digest()));
    reads.put(&map::GEOMETRY_DIGEST, 0, lit(g.digest()));
    let shape = [
        ("ports", g.ports),
        ("bus_bytes", g.bus_bytes),
        ("rings", RINGS),
        ("vectors", VECTORS),
    ];
    let shape = shape
        .iter()
        .fold(0, |v, (name, n)| map::SHAPE.with(v, name, *n));
    reads.put(&map::SHAPE, 0, lit(shape));
    let mut name = [0u8; 16];
    for (to, from) in name.iter_mut().zip(g.name.bytes()) {
        *to = from;
    }
    for (i, letters) in name.as_chunks::<4>().0.iter().enumerate() {
        reads.put(
            &map::GEOMETRY_NAME,
            i as u32,
            lit(u32::from_le_bytes(*letters)),
        );
    }
    let sha = m.input("source_sha", 160);
    for (i, bytes) in sha.chunks(32).into_iter().enumerate() {
        reads.put(&map::SOURCE_SHA, i as u32, bytes);
    }
    for (i, size) in table_sizes(g)
        .into_iter()
        .enumerate()
        .filter(|(_, s)| *s != 0)
    {
        reads.put(&map::TABLE_SIZE, i as u32, lit(size));
    }

    // Life.
    let scratch = m.reg("scratch", 32, 0);
    scratch.set_when(written(&map::SCRATCH, 0), data);
    reads.put(&map::SCRATCH, 0, scratch.q());
    let heartbeat = m.reg("heartbeat", 32, 0);
    heartbeat.set(heartbeat.q() + heartbeat.lit(1));
    reads.put(&map::HEARTBEAT, 0, heartbeat.q());
    let now = m.input("now", 64);
    let time_high = m.reg_no_reset("time_high", 32);
    let low_read = asking.q() & read_at.q().is((map::TIME_LOW.offset / 4).into());
    time_high.set_when(low_read, now.slice(32, 32));
    reads.put(&map::TIME_LOW, 0, now.trunc(32));
    reads.put(&map::TIME_HIGH, 0, time_high.q());

    // Reset: rings are told to stop, and it lasts until all have.
    let running = m.input("running", RINGS);
    let busy = m.input("busy", RINGS);
    let wanted = written(&map::CONTROL, 0) & field(&map::CONTROL, "reset");
    let reset = (wanted | m.input("flr", 1)).named("reset");
    let resetting = m.reg("resetting_now", 1, 0);
    update(
        resetting,
        &[(reset, m.lit(1, 1)), (!busy.any(), m.lit(1, 0))],
    );
    let state = m.input("core_busy", 1).cat(resetting.q());
    reads.put(&map::CARD_STATE, 0, state);
    m.output("resetting", resetting.q());
    m.output("clear", reset);

    // Interrupts and errors.
    let vectors = m.reg("vectors_enabled", VECTORS, 0);
    update(
        vectors,
        &[
            (reset, vectors.lit(0)),
            (written(&map::ENABLE, 0), field(&map::ENABLE, "vectors")),
        ],
    );
    reads.put(&map::ENABLE, 0, vectors.q());
    m.output("vectors", vectors.q());
    reads.put(&map::PENDING, 0, m.input("pending", VECTORS));
    let failed = m.input("failed", RINGS);
    let errors = m.reg("errors_now", RINGS, 0);
    let cleared = field(&map::ERRORS, "rings").when(written(&map::ERRORS, 0));
    errors.set(mux(reset, errors.lit(0), (errors.q() & !cleared) | failed));
    reads.put(&map::ERRORS, 0, errors.q());

    // Links: of a clock of their own, so through two registers.
    let first = m.reg("link_first", g.ports, 0);
    first.set(m.input("link", g.ports));
    let link = m.reg("link_now", g.ports, 0);
    link.set(first.q());
    let moved = (link.q() ^ first.q()).named("link_moves");
    let moves = m.reg("link_changes", g.ports, 0);
    let (lo, _) = map::LINK_CHANGED.field("ports");
    let cleared = (data.slice(lo, g.ports)).when(written(&map::LINK_CHANGED, 0));
    moves.set(mux(reset, moves.lit(0), (moves.q() & !cleared) | moved));
    reads.put(&map::LINK, 0, link.q());
    reads.put(&map::LINK_CHANGED, 0, moves.q());
    m.output("errors", errors.any() | moves.q().any());
    m.output("error_event", failed.any() | moved.any());

    // Window.
    let window_busy = m.input("window_busy", 1);
    let window_done = m.input("window_done", 1);
    let window_row = m.input("window_row", WORDS * 32);
    let address = m.reg("window_address", 32, 0);
    // What the port works with stays until it is done.
    let open = !window_busy;
    address.set_when(written(&map::WINDOW_ADDRESS, 0) & open, data);
    reads.put(&map::WINDOW_ADDRESS, 0, address.q());
    let words: Vec<Reg> = (0..WORDS)
        .map(|i| {
            let word = m.reg_no_reset(&format!("window_{i}"), 32);
            update(
                word,
                &[
                    (window_done, window_row.slice(32 * i, 32)),
                    (written(&map::WINDOW_DATA, i) & open, data),
                ],
            );
            reads.put(&map::WINDOW_DATA, i, word.q());
            word
        })
        .collect();
    let row: Vec<Sig> = words.iter().rev().map(|w| w.q()).collect();
    let row = m.concat(&row);
    let fields = [
        ("row", address.q().trunc(24)),
        ("table", address.q().slice(24, 8)),
        ("data", row),
    ];
    m.output("window", m.pack(&window(), &fields));
    let command = written(&map::WINDOW_COMMAND, 0);
    let code = field(&map::WINDOW_COMMAND, "op");
    m.output("window_write", command & code.is(1));
    m.output("window_read", command & code.is(2));
    // Between the command and the port's word for it there is a clock.
    let soon = m.reg("window_soon", 1, 0);
    soon.set(command);
    reads.put(&map::WINDOW_STATE, 0, window_busy | soon.q() | command);

    // Ring by reason.
    let first = map::QUEUE_OF_REASON.offset / 4;
    let queue = write_at.q().slice(REASON_BITS, word_bits - REASON_BITS);
    m.output(
        "queue_write",
        write.q() & queue.is((first >> REASON_BITS).into()),
    );
    m.output("queue_reason", write_at.q().trunc(REASON_BITS));
    m.output("queue_ring", data.trunc(QUEUE_BITS));

    // Rings.
    let mut enables = vec![];
    for r in 0..RINGS {
        let name = |what: &str| format!("{what}_{r}");
        // The memory of a ring that uses it does not change under it.
        let still = (!busy.bit(r)).named(&name("still"));
        let enable = m.reg(&name("enable_now"), 1, 0);
        let words: Vec<Sig> = [
            &map::RING_BASE_LOW,
            &map::RING_BASE_HIGH,
            &map::RING_STATUS_LOW,
            &map::RING_STATUS_HIGH,
        ]
        .map(|register| {
            let word = m.reg(&name(register.name), 32, 0);
            word.set_when(written(register, r) & still & !enable.q(), data);
            reads.put(register, r, word.q());
            word.q()
        })
        .to_vec();
        let log2 = m.reg(&name("log2"), LOG2_BITS, 0);
        log2.set_when(
            written(&map::RING_SIZE, r) & still & !enable.q(),
            data.trunc(LOG2_BITS),
        );
        reads.put(&map::RING_SIZE, r, log2.q());
        let config = [
            ("base", words[1].cat(words[0])),
            ("status", words[3].cat(words[2])),
            ("log2", log2.q()),
        ];
        m.output(&name("config"), m.pack(&ring_config(), &config));
        update(
            enable,
            &[
                (reset | resetting.q(), m.lit(1, 0)),
                (
                    written(&map::RING_CONTROL, r),
                    field(&map::RING_CONTROL, "enable"),
                ),
            ],
        );
        enables.push(enable.q());
        reads.put(&map::RING_CONTROL, r, enable.q());
        let error = m.input(&name("error"), ERROR_BITS);
        reads.put(
            &map::RING_STATE,
            r,
            m.concat(&[error, busy.bit(r), running.bit(r)]),
        );
        reads.put(&map::RING_INDEX, r, m.input(&name("index"), INDEX_BITS));
        reads.put(&map::RING_DROPPED, r, m.input(&name("dropped"), 32));
        let moderation = m.reg(&name("moderation"), 32, 0);
        moderation.set_when(written(&map::RING_MODERATION, r), data);
        reads.put(&map::RING_MODERATION, r, moderation.q());
        m.output(&name("time"), moderation.q().trunc(24));
        m.output(&name("count"), moderation.q().slice(24, 8));
    }
    m.output("enable", joined(&m, &enables));

    // Doorbells: the number of the word is the ring's.
    let first = map::DOORBELL.offset / 4;
    let page = write_at.q().slice(RING_BITS, word_bits - RING_BITS);
    let ring = write_at.q().trunc(RING_BITS);
    let rung = page.is((first >> RING_BITS).into()) & ring.lt(ring.lit(RINGS.into()));
    m.output("doorbell_valid", write.q() & rung);
    m.output("doorbell_ring", ring);
    m.output("doorbell_index", data.trunc(INDEX_BITS));
    m.output("doorbell_arm", data.msb());

    let value = m.reg_no_reset("read_data", 32);
    value.set_when(asking.q(), m.or(&reads.values));
    let wrong = m.reg_no_reset("read_wrong", 1);
    wrong.set_when(asking.q(), read_inside.q() | !is_register(read_at.q()));
    m.output("r_valid", r_valid.q());
    m.output("r_resp", response(&m, wrong.q()));
    m.output("r_data", value.q());
    let active = [asking.q(), write.q(), resetting.q(), soon.q(), moved.any()];
    m.output("active", m.or(&active));
    m.finish()
}
