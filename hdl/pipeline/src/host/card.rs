//! The whole card: module `seqnic_card`.
//!
//! | port | meaning |
//! | --- | --- |
//! | `clk`, `rst` | `rst` is synchronous, active high; memories keep their rows |
//! | `now` | the card's time in ns, rising: the board's clock. Frames are stamped with it as they arrive |
//! | `source_sha` | the commit the card was built from, first byte lowest; constant |
//! | `flr` | function level reset, for a clock; `resetting` while it lasts |
//! | `link` | which ports have a link, a bit a port; of any clock |
//! | `s_axil_*` | AXI4-Lite slave, 32 bits: BAR 0 |
//! | `m_axi_*` | AXI4 master, as wide as the streams: host memory. Writes have ID 0, reads one ID a ring; bursts end at multiples of 256 bytes |
//! | `irq_valid`, `irq_vector`, `irq_ready` | an interrupt to send; the bridge makes MSI-X of it |
//! | `s_axis_p<i>_*`, `m_axis_p<i>_*` | AXI4-Stream of port i, as those of `seqnic_core` but for the time, which is taken here |
//! | `busy` | something is going on: without traffic and accesses nothing changes once it is 0 |

use super::{
    BURST_BITS, RING_BITS, RINGS, answers, by_turns, commands, fetch, interrupts, joined, joiner,
    packets, publish, record_beat, registers, transmit, update,
};
use crate::stream::data_bits;
use crate::top::{Parts, PipelineError, core};
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, Stream, clog2};
use seqnic_spec::counters::{SNAPSHOT, SNAPSHOT_ITEM};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{INDEX_BITS, Ring, TO_HOST_RINGS};

/// The card of a geometry.
///
/// # Errors
/// Sizes that cannot be built.
pub fn build(g: &Geometry) -> Result<Circuit, PipelineError> {
    Ok(card(g, &core(g, &Parts::of(g)?)?)?)
}

/// `seqnic_card` around this pipeline.
///
/// # Errors
/// What the generator finds; nothing for a geometry that passes its check.
pub fn card(g: &Geometry, core: &Circuit) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("seqnic_card");
    m.doc(&format!(
        "SeqNIC in a host, geometry `{}`: the pipeline, registers, rings, interrupts. See docs/registers.md.",
        g.name
    ));
    let bus = data_bits(g);
    let now = m.input("now", 64);

    // Wires that run against the order of the units.
    let wire = |name: &str, width: u32| m.wire(name, width);
    let bits = |name: &str| -> Vec<_> {
        (0..RINGS)
            .map(|r| wire(&format!("{name}_{r}"), 1))
            .collect()
    };
    let (running, busy, failed) = (bits("running"), bits("busy"), bits("failed"));
    let errors: Vec<_> = (0..RINGS)
        .map(|r| wire(&format!("error_{r}"), super::ERROR_BITS))
        .collect();
    let indexes: Vec<_> = (0..RINGS)
        .map(|r| wire(&format!("index_{r}"), INDEX_BITS))
        .collect();
    let dropped: Vec<_> = (0..RINGS)
        .map(|r| wire(&format!("dropped_{r}"), 32))
        .collect();
    let pending = wire("pending", seqnic_spec::host::rings::VECTORS);
    let core_busy = wire("core_busy", 1);
    let window_busy = wire("window_busy", 1);
    let window_done = wire("window_done", 1);
    let window_row = wire("window_row", 512);
    macro_rules! all {
        ($wires:expr) => {
            joined(&m, &$wires.iter().map(|w| w.q()).collect::<Vec<_>>())
        };
    }
    let (all_running, all_busy, all_failed) = (all!(running), all!(busy), all!(failed));

    // Registers.
    let mut ports: Vec<(String, Sig)> = vec![];
    for (short, width) in [
        ("aw_valid", 1),
        ("aw_addr", registers::ADDRESS_BITS),
        ("w_valid", 1),
        ("w_data", 32),
        ("w_strb", 4),
        ("b_ready", 1),
        ("ar_valid", 1),
        ("ar_addr", registers::ADDRESS_BITS),
        ("r_ready", 1),
    ] {
        let long = format!("s_axil_{}", short.replace('_', ""));
        ports.push((short.into(), m.input(&long, width)));
    }
    ports.extend([
        ("source_sha".into(), m.input("source_sha", 160)),
        ("now".into(), now),
        ("flr".into(), m.input("flr", 1)),
        ("link".into(), m.input("link", g.ports)),
        ("running".into(), all_running),
        ("busy".into(), all_busy),
        ("failed".into(), all_failed),
        ("pending".into(), pending.q()),
        ("core_busy".into(), core_busy.q()),
        ("window_busy".into(), window_busy.q()),
        ("window_done".into(), window_done.q()),
        ("window_row".into(), window_row.q()),
    ]);
    for r in 0..RINGS as usize {
        ports.push((format!("error_{r}"), errors[r].q()));
        ports.push((format!("index_{r}"), indexes[r].q()));
        ports.push((format!("dropped_{r}"), dropped[r].q()));
    }
    let registers = m.instance("registers", &registers::build(g)?, &named(&ports));
    for (long, short) in [
        ("awready", "aw_ready"),
        ("wready", "w_ready"),
        ("bvalid", "b_valid"),
        ("bresp", "b_resp"),
        ("arready", "ar_ready"),
        ("rvalid", "r_valid"),
        ("rdata", "r_data"),
        ("rresp", "r_resp"),
    ] {
        m.output(&format!("s_axil_{long}"), registers.get(short));
    }
    m.output("resetting", registers.get("resetting"));
    let enable = registers.get("enable");
    let config = |r: u32| registers.get(&format!("config_{r}"));
    let doorbell =
        ["doorbell_valid", "doorbell_ring", "doorbell_index"].map(|n| (n, registers.get(n)));
    let rung = |ring: Ring| {
        registers.get("doorbell_valid") & registers.get("doorbell_ring").is(ring as u128)
    };

    // Frames of the pipeline and of the host.
    let mut core_ports: Vec<(String, Sig)> = vec![];
    let names: Vec<String> = (0..g.ports).map(|i| format!("p{i}")).collect();
    for name in &names {
        for (s, width) in [
            ("tdata", bus),
            ("tkeep", g.bus_bytes),
            ("tvalid", 1),
            ("tlast", 1),
        ] {
            let port = format!("s_axis_{name}_{s}");
            core_ports.push((port.clone(), m.input(&port, width)));
        }
        core_ports.push((format!("s_axis_{name}_tuser"), now));
    }
    // Its inputs from units made later.
    let cfg = |name: &str| {
        let port = core.inputs().iter().find(|p| p.name == name);
        wire(&format!("to_{name}"), port.map_or(1, |p| p.width))
    };
    let mut later = std::collections::BTreeMap::new();
    for port in core.inputs() {
        if !core_ports.iter().any(|(n, _)| *n == port.name) {
            let w = cfg(&port.name);
            core_ports.push((port.name.clone(), w.q()));
            later.insert(port.name.clone(), w);
        }
    }
    let pipeline = m.instance("core", core, &named(&core_ports));
    core_busy.drive(pipeline.get("busy"));

    // The driver's rings.
    let publish_says = |what: &str, r: u32, width: u32| wire(&format!("{what}_{r}"), width);
    let axi_in = |name: &str, width: u32| m.input(&format!("m_axi_{name}"), width);
    let (r_valid, r_data, r_resp, r_last, r_id) = (
        axi_in("rvalid", 1),
        axi_in("rdata", bus),
        axi_in("rresp", 2),
        axi_in("rlast", 1),
        axi_in("rid", 1),
    );
    m.output("m_axi_rready", m.lit(1, 1));
    let ask_record = Record::new("ask", [("address", 64), ("beats", BURST_BITS), ("id", 1)]);
    let mut asks = vec![];
    let mut fetches = vec![];
    let mut behind = vec![];
    for (id, ring) in [Ring::Transmit, Ring::Commands].into_iter().enumerate() {
        let r = ring as u32;
        let links = [
            "consumed",
            "bad",
            "behind_busy",
            "reporting",
            "reported",
            "bus_error",
        ]
        .map(|n| (n, publish_says(n, r, 1)));
        let lines = publish_says("consumed_lines", r, fetch::LINES_BITS);
        let drops = publish_says("drops", r, 32);
        let ready = wire(&format!("ask_{r}_taken"), 1);
        let line_ready = wire(&format!("line_{r}_taken"), 1);
        let here = r_valid & r_id.is(id as u128);
        let mut ports = vec![
            ("enable", enable.bit(r)),
            ("memory", config(r)),
            ("doorbell", rung(ring)),
            ("doorbell_index", registers.get("doorbell_index")),
            ("ar_ready", ready.q()),
            ("r_valid", here),
            ("r_data", r_data),
            ("r_resp", r_resp),
            ("r_last", r_last),
            ("consumed_lines", lines.q()),
            ("drops", drops.q()),
            ("line_ready", line_ready.q()),
        ];
        ports.extend(links.iter().map(|(n, w)| (*n, w.q())));
        let unit = m.instance(
            &format!("fetch_{}", ring.name()),
            &fetch::build(g, ring)?,
            &ports,
        );
        let fields = [
            ("address", unit.get("ar_addr")),
            ("beats", unit.get("ar_len")),
            ("id", m.lit(1, id as u128)),
        ];
        let ask = Stream::new(
            &format!("ask_{}", ring.name()),
            unit.get("ar_valid"),
            m.pack(&ask_record, &fields),
        );
        ready.drive(ask.ready());
        asks.push(ask);
        running[r as usize].drive(unit.get("running"));
        busy[r as usize].drive(unit.get("busy"));
        failed[r as usize].drive(unit.get("failed"));
        errors[r as usize].drive(unit.get("error"));
        indexes[r as usize].drive(unit.get("index"));
        behind.push((links, lines, drops, line_ready));
        fetches.push(unit);
    }
    let ask =
        by_turns(&m, "ask", asks[0], asks[1], true, |_| m.lit(1, 1)).register_slice("ask_slice");
    ask.accept(axi_in("arready", 1));
    m.output("m_axi_arvalid", ask.valid);
    m.output("m_axi_arid", ask.field("id"));
    m.output("m_axi_araddr", ask.field("address"));
    m.output("m_axi_arlen", ask.field("beats"));
    constants(&m, g, "ar");

    // Frames from the host.
    let fed = |i: usize| {
        [
            ("line_valid", fetches[i].get("line_valid")),
            ("line_data", fetches[i].get("line_data")),
            ("clear", fetches[i].get("clear")),
        ]
    };
    let mut ports: Vec<(String, Sig)> = fed(0).map(|(n, s)| (n.to_string(), s)).to_vec();
    let taken: Vec<_> = names
        .iter()
        .map(|n| wire(&format!("host_{n}_taken"), 1))
        .collect();
    for (name, w) in names.iter().zip(&taken) {
        ports.push((format!("{name}_tready"), w.q()));
    }
    ports.push(("in_tready".into(), pipeline.get("s_axis_host_tready")));
    ports.push(("restart".into(), fetches[0].get("restart")));
    let transmit = m.instance("transmit", &transmit::build(g)?, &named(&ports));
    let mut core_drives = vec![(
        "s_axis_host_tuser".to_string(),
        transmit.get("in_port").cat(now),
    )];
    for s in ["tdata", "tkeep", "tvalid", "tlast"] {
        core_drives.push((format!("s_axis_host_{s}"), transmit.get(&format!("in_{s}"))));
    }
    for (i, name) in names.iter().enumerate() {
        m.output(
            &format!("s_axis_{name}_tready"),
            pipeline.get(&format!("s_axis_{name}_tready")),
        );
        let mut ports: Vec<(String, Sig)> = vec![(
            "m_tready".into(),
            m.input(&format!("m_axis_{name}_tready"), 1),
        )];
        for s in ["tdata", "tkeep", "tvalid", "tlast"] {
            ports.push((format!("host_{s}"), transmit.get(&format!("{name}_{s}"))));
            ports.push((
                format!("core_{s}"),
                pipeline.get(&format!("m_axis_{name}_{s}")),
            ));
        }
        ports.push((
            "core_tuser".into(),
            pipeline.get(&format!("m_axis_{name}_tuser")),
        ));
        let out = m.instance(
            &format!("joiner_{name}"),
            &joiner::build(g)?,
            &named(&ports),
        );
        for s in ["tdata", "tkeep", "tvalid", "tlast", "tuser"] {
            m.output(&format!("m_axis_{name}_{s}"), out.get(&format!("m_{s}")));
        }
        taken[i].drive(out.get("host_tready"));
        core_drives.push((format!("m_axis_{name}_tready"), out.get("core_tready")));
    }

    // Rows.
    let answer_taken = wire("answer_taken", 1);
    let mut ports: Vec<(&str, Sig)> = fed(1).to_vec();
    ports.extend([
        ("window_write", registers.get("window_write")),
        ("window_read", registers.get("window_read")),
        ("window", registers.get("window")),
        ("cfg_rvalid", pipeline.get("cfg_rvalid")),
        ("cfg_rdata", pipeline.get("cfg_rdata")),
        ("answer_ready", answer_taken.q()),
    ]);
    let commands = m.instance("commands", &commands::build(g)?, &ports);
    for s in ["cfg_write", "cfg_read", "cfg_table", "cfg_row", "cfg_wdata"] {
        core_drives.push((s.into(), commands.get(s)));
    }
    window_busy.drive(commands.get("window_busy"));
    window_done.drive(commands.get("window_done"));
    window_row.drive(commands.get("window_row"));
    for (i, (unit, lines, drops)) in [
        (
            &transmit,
            transmit.get("consumed_lines"),
            transmit.get("drops"),
        ),
        (
            &commands,
            m.lit(
                fetch::LINES_BITS,
                seqnic_spec::host::rings::COMMAND_LINES.into(),
            ),
            m.lit(32, 0),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (links, consumed_lines, dropped_here, line_ready) = &behind[i];
        for (name, w) in links {
            match *name {
                "consumed" | "bad" => w.drive(unit.get(name)),
                "behind_busy" => w.drive(unit.get("busy")),
                _ => {}
            }
        }
        consumed_lines.drive(lines);
        dropped_here.drive(drops);
        line_ready.drive(unit.get("line_ready"));
        dropped[TO_HOST_RINGS as usize + i].drive(drops);
    }

    // To the host.
    let (item_valid, item_data) = (
        pipeline.get("snapshot_valid"),
        pipeline.get("snapshot_data"),
    );
    let (packet_taken, record_taken) = (wire("packet_taken", 1), wire("answers_taken", 1));
    let room = wire("answers_room", 1);
    let mut ports: Vec<(String, Sig)> = vec![("record_ready".into(), packet_taken.q())];
    for s in ["tdata", "tkeep", "tvalid", "tlast", "tuser"] {
        ports.push((format!("s_{s}"), pipeline.get(&format!("m_axis_host_{s}"))));
    }
    for s in ["queue_write", "queue_reason", "queue_ring"] {
        ports.push((s.into(), registers.get(s)));
    }
    let packets = m.instance("packets", &packets::build(g)?, &named(&ports));
    core_drives.push(("m_axis_host_tready".into(), packets.get("s_tready")));
    let answers = m.instance(
        "answers",
        &answers::build(g, SNAPSHOT_ITEM.width())?,
        &[
            ("answer_valid", commands.get("answer_valid")),
            ("answer_data", commands.get("answer_data")),
            ("item_valid", item_valid),
            ("item_data", item_data),
            ("room", room.q()),
            ("record_ready", record_taken.q()),
        ],
    );
    answer_taken.drive(answers.get("answer_ready"));
    core_drives.push(("snapshot_ready".into(), answers.get("item_ready")));
    // A snapshot is something going on, from the write that starts it to its last item.
    let taking = m.reg("taking_snapshot", 1, 0);
    let (last_at, _) = SNAPSHOT_ITEM.at("last");
    update(
        taking,
        &[
            (
                m.and(&[
                    commands.get("cfg_write"),
                    commands.get("cfg_table").is(SNAPSHOT.into()),
                    !commands.get("cfg_row").any(),
                ]),
                m.lit(1, 1),
            ),
            (
                m.and(&[
                    item_valid,
                    answers.get("item_ready"),
                    item_data.bit(last_at),
                ]),
                m.lit(1, 0),
            ),
        ],
    );
    let beat = record_beat(g);
    let records = [
        (&packets, "packets", packet_taken),
        (&answers, "answers", record_taken),
    ]
    .map(|(unit, name, taken)| {
        let data = unit.get("record_data").with_record(&beat);
        let stream = Stream::new(&format!("record_{name}"), unit.get("record_valid"), data);
        taken.drive(stream.ready());
        stream
    });
    let record = by_turns(&m, "record", records[0], records[1], true, |d| {
        d.field("last")
    });
    let mut ports: Vec<(String, Sig)> = vec![
        ("record_valid".into(), record.valid),
        ("record_data".into(), record.data),
        ("enable".into(), enable.trunc(TO_HOST_RINGS)),
        ("aw_ready".into(), axi_in("awready", 1)),
        ("w_ready".into(), axi_in("wready", 1)),
        ("b_valid".into(), axi_in("bvalid", 1)),
        ("b_resp".into(), axi_in("bresp", 2)),
        ("b_id".into(), axi_in("bid", 1)),
    ];
    ports.extend(doorbell.map(|(n, s)| (n.to_string(), s)));
    ports.extend((0..RINGS).map(|r| (format!("config_{r}"), config(r))));
    for (i, unit) in fetches.iter().enumerate() {
        let r = TO_HOST_RINGS as usize + i;
        ports.push((format!("report_{r}"), unit.get("report")));
        ports.push((format!("wants_{r}"), unit.get("wants")));
    }
    let publish = m.instance("publish", &publish::build(g)?, &named(&ports));
    record.accept(publish.get("record_ready"));
    room.drive(publish.get("answers_room"));
    for (i, (links, ..)) in behind.iter().enumerate() {
        let r = TO_HOST_RINGS as usize + i;
        for (name, w) in links {
            if let "reporting" | "reported" | "bus_error" = *name {
                w.drive(publish.get(&format!("{name}_{r}")));
            }
        }
    }
    for r in 0..TO_HOST_RINGS {
        let i = r as usize;
        running[i].drive(publish.get("running").bit(r));
        busy[i].drive(publish.get("busy").bit(r));
        failed[i].drive(publish.get(&format!("failed_{r}")));
        errors[i].drive(publish.get(&format!("error_{r}")));
        indexes[i].drive(publish.get(&format!("index_{r}")));
        dropped[i].drive(publish.get(&format!("dropped_{r}")));
    }
    for (long, short) in [
        ("awvalid", "aw_valid"),
        ("awaddr", "aw_addr"),
        ("awlen", "aw_len"),
        ("wvalid", "w_valid"),
        ("wdata", "w_data"),
        ("wlast", "w_last"),
        ("bready", "b_ready"),
    ] {
        m.output(&format!("m_axi_{long}"), publish.get(short));
    }
    m.output("m_axi_awid", m.lit(1, 0));
    m.output("m_axi_wstrb", !m.lit(g.bus_bytes, 0));
    constants(&m, g, "aw");

    // Interrupts.
    let mut ports: Vec<(String, Sig)> = vec![
        ("now".into(), now),
        ("clear".into(), registers.get("clear")),
        ("enable".into(), registers.get("vectors")),
        ("running".into(), all_running),
        ("doorbell_arm".into(), registers.get("doorbell_arm")),
        ("errors".into(), registers.get("errors")),
        ("error_event".into(), registers.get("error_event")),
        ("irq_ready".into(), m.input("irq_ready", 1)),
    ];
    ports.extend(doorbell.map(|(n, s)| (n.to_string(), s)));
    for s in ["event_valid", "event_ring", "event_index", "event_records"] {
        ports.push((s.into(), publish.get(s)));
    }
    for r in 0..RINGS {
        for s in ["time", "count"] {
            ports.push((format!("{s}_{r}"), registers.get(&format!("{s}_{r}"))));
        }
    }
    let interrupts = m.instance("interrupts", &interrupts::build(g)?, &named(&ports));
    pending.drive(interrupts.get("pending"));
    m.output("irq_valid", interrupts.get("irq_valid"));
    m.output("irq_vector", interrupts.get("irq_vector"));

    for (name, value) in core_drives {
        if let Some(w) = later.remove(&name) {
            w.drive(value);
        }
    }
    // What waits for the driver to make room for answers goes on with its doorbell, not by itself.
    let goes_on = !answers.get("waits");
    let active = [
        pipeline.get("busy"),
        registers.get("active"),
        fetches[0].get("active"),
        fetches[1].get("active") & goes_on,
        transmit.get("stored"),
        commands.get("busy") & goes_on,
        commands.get("port_busy"),
        !packets.get("idle"),
        !answers.get("idle") & goes_on,
        !publish.get("idle"),
        interrupts.get("timing"),
        taking.q() & goes_on,
    ];
    m.output("busy", m.or(&active));
    debug_assert_eq!(RING_BITS, clog2(RINGS));
    m.finish()
}

/// What never changes of a channel of addresses.
fn constants(m: &Module, g: &Geometry, channel: &str) {
    let out =
        |name: &str, width, value| m.output(&format!("m_axi_{channel}{name}"), m.lit(width, value));
    out("size", 3, clog2(g.bus_bytes).into());
    out("burst", 2, 1); // INCR
    out("lock", 1, 0);
    out("cache", 4, 3); // normal memory, may be buffered
    out("prot", 3, 0);
    out("qos", 4, 0);
}

fn named<'a, 'm>(ports: &'a [(String, Sig<'m>)]) -> Vec<(&'a str, Sig<'m>)> {
    ports.iter().map(|(n, s)| (n.as_str(), *s)).collect()
}

#[cfg(test)]
mod bench;
#[cfg(test)]
mod tests;
