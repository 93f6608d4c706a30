//! The whole pipeline: module `seqnic_core`.
//!
//! | port | bits | meaning |
//! | --- | --- | --- |
//! | `clk`, `rst` | 1 | `rst` is synchronous, active high; memories keep their rows |
//! | `s_axis_p<i>_*` | | AXI4-Stream in, port i: `tdata`, `tkeep`, `tvalid`, `tready`, `tlast`, `tuser` = tag (64): when the frame arrived, ns |
//! | `s_axis_host_*` | | from the host; `tuser` = tag (64) and above it port (4): as if it had arrived there |
//! | `m_axis_p<i>_*` | | AXI4-Stream out, port i; `tuser` is `spec::stage::PORT_META` |
//! | `m_axis_host_*` | | to the host; `tuser` is `spec::stage::HOST_META` |
//! | `cfg_write`, `cfg_read` | 1 | write or read a row; every clock may, but where headers are some clocks apart a read only when the one before is answered |
//! | `cfg_table`, `cfg_row` | 7, 22 | table or counter set, and row |
//! | `cfg_wdata`, `cfg_rdata` | 512 | the row |
//! | `cfg_rvalid` | 1 | [`config_clocks`] clocks after each `cfg_read`: `cfg_rdata` is its answer |
//! | `snapshot_valid`, `snapshot_data`, `snapshot_ready` | 1, .., 1 | stream of a snapshot's rows, `spec::counters::SNAPSHOT_ITEM` |
//! | `busy` | 1 | a frame, its header or its event is inside |
//!
//! `tuser` is taken with the first beat. Reads and
//! writes take effect in the order they were given.

use crate::header;
use crate::prepare;
use crate::stream::{
    arbiter, buffer, counters, data_bits, dispatch, editor, egress, egress_queues, host_limit,
    ingress, sequencer, window,
};
use crate::tables::{
    CONFIG_READ_CLOCKS, ROW_BITS, TABLE_BITS, WORD_BITS, answer_bits, answer_words, data_is_late,
    epoch, queue,
};
use seqnic_gen::{Circuit, GenError, Instance, Module, SPACED_VALID, Sig, clog2};
use seqnic_spec::geometry::{BadGeometry, Geometry};
use seqnic_spec::tables::{MAX_ROW_BITS, width};

#[cfg(test)]
mod tests;

/// Clocks from `cfg_read` to `cfg_rvalid`: a register at each border and the slowest answer, to its last word.
pub fn config_clocks(g: &Geometry) -> u32 {
    2 - u32::from(data_is_late(g)) + slowest_answer(g)
}

/// Clocks from the bus to the last word of a table's row, or to the answer of a counter.
fn slowest_answer(g: &Geometry) -> u32 {
    let of_tables = CONFIG_READ_CLOCKS + answer_words(g) - 1;
    of_tables.max(counters::latency(g))
}

/// Clocks behind a frame's last slot in which it is in no queue that says so.
const TAIL: u32 = editor::LATENCY + 4;

/// Why a pipeline cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A size of the geometry.
    #[error(transparent)]
    Geometry(#[from] BadGeometry),
    /// What the generator found in the modules.
    #[error("{}", lines(.0))]
    Modules(Vec<GenError>),
    /// Geometry or latencies as JSON.
    #[error("writing JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn lines(errors: &[GenError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl From<Vec<GenError>> for PipelineError {
    fn from(errors: Vec<GenError>) -> Self {
        PipelineError::Modules(errors)
    }
}

/// The parts of the pipeline that work on headers; everything else is made by [`core`].
#[derive(Debug, Clone)]
pub struct Parts {
    /// `in_part0` and what belongs to it to `out_valid`, `out_verdict`, after a fixed number of clocks.
    pub path: Circuit,
    /// `in_valid`, `in_verdict`, `in_number` to `out_valid`, `out_edit`, after a fixed number of clocks.
    pub prepare: Circuit,
}

impl Parts {
    /// Those of the card.
    ///
    /// # Errors
    /// Sizes that cannot be built.
    pub fn of(g: &Geometry) -> Result<Parts, PipelineError> {
        g.check()?;
        let path = header::path::path(g)?.circuit.spaced(g.clocks_per_header)?;
        let prepare = prepare::prepare(g)?.spaced(g.clocks_per_header)?;
        Ok(Parts { path, prepare })
    }
}

/// The pipeline of the card.
///
/// # Errors
/// Sizes that cannot be built.
pub fn build(g: &Geometry) -> Result<Circuit, PipelineError> {
    Ok(core(g, &Parts::of(g)?)?)
}

/// `(file name, text)` of every module of the pipeline, children first.
///
/// # Errors
/// Sizes that cannot be built.
pub fn verilog(g: &Geometry) -> Result<Vec<(String, String)>, PipelineError> {
    let files = build(g)?.verilog();
    Ok(files.into_iter().map(|f| (f.name, f.text)).collect())
}

/// Clocks a frame takes, each at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Latency {
    /// From the header to its verdict.
    pub header_path: u32,
    /// From a verdict and its copy number to the edit.
    pub prepare: u32,
    /// From a frame's first beat on `s_axis`, if its window comes in parts, else from the beat that ends a short one or fills
    /// the window of a long one, to its first beat on `m_axis` of an idle card: tables, queues and all.
    pub whole: u32,
    /// From `cfg_read` to `cfg_rvalid`.
    pub config: u32,
}

impl Latency {
    /// Of the pipeline with these parts.
    pub fn of(g: &Geometry, parts: &Parts) -> Latency {
        let (header_path, prepare) = (
            parts.path.latency().unwrap_or(0),
            parts.prepare.latency().unwrap_or(0),
        );
        let mut latency = Latency {
            header_path,
            prepare,
            whole: 0,
            config: config_clocks(g),
        };
        latency.whole = latency.stages(g).iter().map(|s| s.1).sum();
        latency
    }

    /// The stages a frame passes one after the other, and the clocks of each.
    pub fn stages(&self, g: &Geometry) -> Vec<(&'static str, u32)> {
        const QUEUE: u32 = 1;
        const REGISTER: u32 = 1;
        let mut stages = vec![("`ingress`", REGISTER), ("`arbiter`", REGISTER)];
        if !header::comes_in_parts(g) {
            stages.push(("`window`", REGISTER));
        }
        // Dispatch and the limits to the host decide beside the editor.
        stages.extend([
            ("header path", self.header_path),
            ("`sequencer`: queue of verdicts", QUEUE),
            ("`prepare`", self.prepare),
            ("`buffer`: queue of edits", QUEUE),
            ("`buffer` and `editor`", editor::LATENCY),
            ("output queue", QUEUE),
        ]);
        stages
    }
}

/// Inputs of the header path, and what of the window they are; each geometry has those it needs.
const PATH_PORTS: [(&str, &str); 7] = [
    ("in_part0", "part0"),
    ("in_part1", "part1"),
    ("in_part2", "part2"),
    ("in_half", "header_half"),
    ("in_kept_write", "kept_write"),
    ("in_kept_row", "kept_row"),
    ("in_kept_data", "kept_data"),
];

/// The configuration bus behind the border of the core: registered, but where the row comes to the tables a clock behind the
/// rest ([`data_is_late`]) the rest is not.
struct Bus<'m> {
    write: Sig<'m>,
    read: Sig<'m>,
    table: Sig<'m>,
    row: Sig<'m>,
    wdata: Sig<'m>,
}

impl<'m> Bus<'m> {
    fn inputs(m: &'m Module, g: &Geometry) -> Bus<'m> {
        let clocks = 1 - u32::from(data_is_late(g));
        Bus {
            write: m.input("cfg_write", 1).as_valid().delay(clocks),
            read: m.input("cfg_read", 1).as_valid().delay(clocks),
            table: m.input("cfg_table", TABLE_BITS).delay(clocks),
            row: m.input("cfg_row", ROW_BITS).delay(clocks),
            wdata: m.input("cfg_wdata", MAX_ROW_BITS).reg(),
        }
    }

    /// Connections to a child, whose rows may be narrower.
    fn connect(&self, child: &Circuit) -> Vec<(&'static str, Sig<'m>)> {
        let rows = child
            .inputs()
            .iter()
            .find(|p| p.name == "cfg_wdata")
            .map_or(1, |p| p.width);
        vec![
            ("cfg_write", self.write),
            ("cfg_read", self.read),
            ("cfg_table", self.table),
            ("cfg_row", self.row),
            ("cfg_wdata", self.wdata.trunc(rows)),
        ]
    }
}

/// `seqnic_core` around these parts.
///
/// # Errors
/// What the generator finds; nothing for a geometry that passes its check.
pub fn core(g: &Geometry, parts: &Parts) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("seqnic_core");
    m.doc(&format!(
        "SeqNIC, geometry `{}`: frames in, copies out, in the order of the tables. See docs/architecture.md.",
        g.name
    ));
    let names: Vec<String> = (0..g.ports)
        .map(|i| format!("p{i}"))
        .chain(["host".into()])
        .collect();

    // Wires that run against the frames.
    let room = m.wire("room", 1);
    let credit_return = m.wire("credit_return", 1);
    let edit_taken = m.wire("edit_taken", 1);
    let edit_void = m.wire("edit_void", 1);
    let hold = m.wire("hold", 1);
    let leaving = m.wire("leaving", 1);
    let leaving_epoch = m.wire("leaving_epoch", 1);

    let ingress = ingress::build(g)?;
    let mut inputs = vec![];
    let mut ready = vec![];
    let mut busy = vec![];
    for (i, name) in names.iter().enumerate() {
        let host = i as u32 == g.host_port();
        let port = |s: &str| format!("s_axis_{name}_{s}");
        let user = m.input(&port("tuser"), if host { 64 + width::PORT } else { 64 });
        let (tag, arrival) = match host {
            true => (user.trunc(64), user.slice(64, width::PORT)),
            false => (user, m.lit(width::PORT, i as u128)),
        };
        let taken = m.wire(&format!("in_{name}_ready"), 1);
        let inst = m.instance(
            &format!("ingress_{name}"),
            &ingress,
            &[
                ("s_tdata", m.input(&port("tdata"), data_bits(g))),
                ("s_tkeep", m.input(&port("tkeep"), g.bus_bytes)),
                ("s_tvalid", m.input(&port("tvalid"), 1)),
                ("s_tlast", m.input(&port("tlast"), 1)),
                ("s_tuser", tag),
                ("s_port", arrival),
                ("out_ready", taken.q()),
            ],
        );
        m.output(&port("tready"), inst.get("s_tready"));
        busy.push(inst.get("busy"));
        inputs.push((format!("in{i}_valid"), inst.get("out_valid")));
        inputs.push((format!("in{i}_coming"), inst.get("out_coming")));
        inputs.push((format!("in{i}_behind"), inst.get("out_behind")));
        inputs.push((format!("in{i}_data"), inst.get("out_data")));
        ready.push(taken);
    }

    let mut ports: Vec<(&str, Sig)> = inputs.iter().map(|(n, s)| (n.as_str(), *s)).collect();
    ports.extend([("room", room.q()), ("credit_return", credit_return.q())]);
    let arbiter = m.instance("arbiter", &arbiter::build(g)?, &ports);
    for (i, taken) in ready.iter().enumerate() {
        taken.drive(arbiter.get(&format!("in{i}_ready")));
    }
    let (beat_valid, beat, first) = (
        arbiter.get("valid"),
        arbiter.get("beat"),
        arbiter.get("first"),
    );
    busy.extend([arbiter.get("busy"), beat_valid]);

    // Headers to verdicts, verdicts to edits.
    let bus = Bus::inputs(&m, g);
    let window = m.instance(
        "window",
        &window::build(g)?,
        &[
            ("valid", beat_valid),
            ("beat", beat),
            ("first", first),
            ("port", arbiter.get("port")),
            ("tag", arbiter.get("tag")),
        ],
    );
    let circuit = epoch::build(g)?;
    let mut ports = bus.connect(&circuit);
    ports.extend([
        ("enter", window.get("header_valid")),
        ("leave", leaving.q()),
        ("leave_epoch", leaving_epoch.q()),
    ]);
    let epoch = m.instance("epochs", &circuit, &ports);
    let spaced = |child: &Circuit| child.inputs().iter().any(|p| p.name == SPACED_VALID);
    let mut ports = bus.connect(&parts.path);
    if spaced(&parts.path) {
        ports.push((SPACED_VALID, window.get("header_valid")));
    }
    ports.extend([
        ("in_valid", window.get("header_valid")),
        ("in_epoch", epoch.get("epoch")),
        ("in_length", window.get("length")),
        ("in_more", window.get("more")),
        ("in_port", window.get("header_port")),
        ("in_tag", window.get("header_tag")),
    ]);
    let of_window = PATH_PORTS
        .iter()
        .filter(|(port, _)| parts.path.inputs().iter().any(|p| p.name == *port));
    ports.extend(of_window.map(|(port, output)| (*port, window.get(output))));
    let path = m.instance("header_path", &parts.path, &ports);
    let sequencer = m.instance(
        "sequencer",
        &sequencer::build(g)?,
        &[
            ("verdict_valid", path.get("out_valid")),
            ("verdict", path.get("out_verdict")),
            ("edit_taken", edit_taken.q()),
            ("edit_void", edit_void.q()),
        ],
    );
    credit_return.drive(sequencer.get("credit_return"));
    leaving.drive(sequencer.get("credit_return"));
    leaving_epoch.drive(sequencer.get("left_epoch"));
    let mut ports = bus.connect(&parts.prepare);
    if spaced(&parts.prepare) {
        ports.push((SPACED_VALID, sequencer.get("copy_valid")));
    }
    ports.extend([
        ("in_valid", sequencer.get("copy_valid")),
        ("in_verdict", sequencer.get("copy_verdict")),
        ("in_number", sequencer.get("copy_number")),
    ]);
    let prepare = m.instance("prepare", &parts.prepare, &ports);
    edit_void.drive(prepare.get("out_void"));

    // Beats to copies.
    let circuit = buffer::build(g)?;
    let mut ports = vec![
        ("valid", beat_valid),
        ("beat", beat),
        ("edit_valid", prepare.get("out_valid")),
        ("edit", prepare.get("out_edit")),
        ("hold", hold.q()),
    ];
    if circuit.inputs().iter().any(|p| p.name == "edit_strip") {
        ports.extend([
            ("edit_strip", prepare.get("out_strip")),
            ("edit_prefix", prepare.get("out_prefix")),
        ]);
    }
    let buffer = m.instance("buffer", &circuit, &ports);
    room.drive(buffer.get("room"));
    edit_taken.drive(buffer.get("edit_taken"));
    let editor = m.instance(
        "editor",
        &editor::build(g)?,
        &[
            ("slot_valid", buffer.get("slot_valid")),
            ("slot", buffer.get("slot")),
            ("edit", buffer.get("edit_now")),
            ("even", buffer.get("even")),
            ("odd", buffer.get("odd")),
        ],
    );
    let circuit = host_limit::build(g)?;
    let mut ports = bus.connect(&circuit);
    let edit = buffer.get("edit_now");
    ports.extend([
        (
            "starts",
            buffer.get("slot_valid") & buffer.get("slot").field("first"),
        ),
        ("reason", edit.field("reason")),
        ("tag", edit.field("tag")),
        ("own_rank", edit.field("priority")),
    ]);
    let limits = m.instance("host_limits", &circuit, &ports);
    let rooms = m.wire("rooms", (g.ports + 1) * g.queues);
    let dispatch = m.instance(
        "dispatch",
        &dispatch::build(g)?,
        &[
            ("soon", editor.get("soon")),
            ("soon_first", editor.get("soon_first")),
            ("soon_port", editor.get("soon_port")),
            ("meta", editor.get("out_meta")),
            ("end_valid", editor.get("end_valid")),
            ("ending", editor.get("ending")),
            ("limited", limits.get("limited")),
            ("rank", limits.get("rank")),
            ("room", rooms.q()),
        ],
    );
    // How queues share is of no matter where there is one.
    let shares = match g.queues {
        1 => None,
        _ => {
            let circuit = queue::build(g)?;
            Some(m.instance("queues", &circuit, &bus.connect(&circuit)))
        }
    };
    let outputs: Vec<Instance> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let side = if i as u32 == g.host_port() {
                egress::Side::Host
            } else {
                egress::Side::Port
            };
            let port = |s: &str| format!("m_axis_{name}_{s}");
            let mut ports = vec![
                ("push", dispatch.get("push").bit(i as u32)),
                ("beat", editor.get("out")),
                ("meta", dispatch.get("out_meta")),
                ("m_tready", m.input(&port("tready"), 1)),
            ];
            let circuit = match &shares {
                None => egress::build(g, side)?,
                Some(shares) => {
                    ports.push(("rows", shares.get(&format!("rows{i}"))));
                    egress_queues::build(g, side)?
                }
            };
            let inst = m.instance(&format!("egress_{name}"), &circuit, &ports);
            for s in ["tdata", "tkeep", "tvalid", "tlast", "tuser"] {
                m.output(&port(s), inst.get(&format!("m_{s}")));
            }
            Ok(inst)
        })
        .collect::<Result<_, Vec<GenError>>>()?;
    let free: Vec<_> = outputs.iter().rev().map(|o| o.get("room")).collect();
    rooms.drive(m.concat(&free));
    busy.extend(outputs.iter().map(|o| o.get("busy")));

    // Counters are asked so late that their answer comes with the last word of a row.
    let late = slowest_answer(g) - counters::latency(g);
    let counters = m.instance(
        "counters",
        &counters::build(g)?,
        &[
            ("event_valid", dispatch.get("event_valid")),
            ("event_data", dispatch.get("event_data")),
            ("snapshot_ready", m.input("snapshot_ready", 1)),
            ("cfg_write", bus.write.delay(late)),
            ("cfg_read", bus.read.delay(late)),
            ("cfg_table", bus.table.delay(late)),
            ("cfg_row", bus.row.delay(late)),
        ],
    );
    for port in ["snapshot_valid", "snapshot_data"] {
        m.output(port, counters.get(port));
    }
    hold.drive(counters.get("hold"));
    busy.push(counters.get("busy"));

    // Frames between arbiter and editor, and those whose copies are on their way to an output.
    let frames = m.reg("frames", clog2(g.buffer_beats) + 2, 0);
    let starts = (beat_valid & first).named("starts");
    let gone = buffer.get("frame_done").as_valid().delay(TAIL);
    frames.set(frames.q() + starts.zext(frames.width()) - gone.zext(frames.width()));
    busy.push(frames.any());
    m.output("busy", m.or(&busy));

    // Each answers zero unless it was asked, so the answers are joined by `or`.
    let parts = [&path, &prepare, &epoch, &limits]
        .into_iter()
        .chain(&shares);
    let of_tables: Vec<_> = parts
        .map(|part| part.get("cfg_rdata").zext(answer_bits(g, MAX_ROW_BITS)))
        .collect();
    let answer = answer(
        g,
        m.or(&of_tables),
        counters.get("cfg_rdata").zext(MAX_ROW_BITS),
        bus.read,
    );
    m.output("cfg_rvalid", bus.read.delay(slowest_answer(g) + 1));
    m.output("cfg_rdata", answer);
    m.finish()
}

/// The row asked for or the counter, a clock behind [`slowest_answer`].
fn answer<'m>(g: &Geometry, of_tables: Sig<'m>, counted: Sig<'m>, read: Sig<'m>) -> Sig<'m> {
    let m = read.module();
    // Registers change with an answer and in the clock behind it.
    let kept = |name: &str, asked: Sig<'m>, value: Sig<'m>| {
        let next = m.reg(name, value.width(), 0);
        next.set_when(asked | asked.reg(), value);
        next.q()
    };
    let words = answer_words(g);
    if words == 1 {
        let late = slowest_answer(g) - CONFIG_READ_CLOCKS;
        let mut answer = of_tables;
        for clock in 0..=late {
            if clock == late {
                answer = answer | counted;
            }
            let asked = read.delay(CONFIG_READ_CLOCKS + clock);
            answer = kept(&format!("answer_{clock}"), asked, answer);
        }
        return answer;
    }
    // Each word is put on top of those before it.
    let first = slowest_answer(g) - (words - 1);
    let word = of_tables.delay(first - CONFIG_READ_CLOCKS);
    let comes: Vec<Sig> = (0..words).map(|n| read.delay(first + n)).collect();
    let row = m.reg_no_reset("answered", MAX_ROW_BITS);
    row.set_when(
        m.or(&comes),
        word.cat(row.q().slice(WORD_BITS, MAX_ROW_BITS - WORD_BITS)),
    );
    let counted = kept("counted", read.delay(slowest_answer(g)), counted);
    row.q() | counted
}
