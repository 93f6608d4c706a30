//! The RTL as an [`Engine`].

use crate::error::RtlError;
use crate::library::{self, Text, Wave};
use crate::sim::{FrameOut, Sim, USER_BYTES};
use seqnic_engine::{Count, Counters, Engine, EngineError, FrameIn, Host, Output, Sent};
use seqnic_image::names::{Direction, Names};
use seqnic_image::{Image, TableRows};
use seqnic_spec::counters::{COUNTER_ROW, CounterSet, SNAPSHOT, SNAPSHOT_ITEM, TIME_BUCKETS};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::{HOST_META, PORT_META};
use seqnic_spec::tables::Table;
use std::collections::HashMap;
use std::path::Path;

/// Clocks without any frame coming out after which the card is called hung: the longest frame takes
/// under 700 beats on the narrowest bus, times all copies and a stalled output.
const PATIENCE: u64 = 100_000;
/// Clocks a read of the configuration port may take.
const READ_PATIENCE: u32 = 1_000;
/// Frames that may wait at the inputs before the simulation runs.
const BATCH: u64 = 256;
/// Bytes let in at a time while outputs stall: copies of one frame to one stalled output must not fill
/// its queue, or the card would drop them, as it should.
const STALLED_BYTES: usize = 4096;

/// Clocks a snapshot may go on without an item: the longest set is walked in fewer, at full load too.
const SNAPSHOT_PATIENCE: u64 = 8_000_000;
/// Clocks between two looks at what it gave.
const SNAPSHOT_STRIDE: u64 = 256;

/// All counters as they were at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub counters: Counters,
    /// Time of the newest packet of which something is counted, ns.
    pub newest: u64,
    /// Rows are missing: items were taken too slowly.
    pub torn: bool,
}

/// How hard the surroundings press on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Frames enter in the order they are pushed, over all ports.
    pub ordered: bool,
    /// Percent of clocks in which an input pauses.
    pub idle_in: u32,
    /// Percent of clocks in which an output is not ready.
    pub stall_out: u32,
    pub seed: u64,
}

/// The verilated card with its tables loaded.
pub struct Rtl {
    sim: Sim,
    names: Names,
    geometry: &'static Geometry,
    /// Rows to read of each counter set: those the names know.
    rows: Vec<(CounterSet, u32)>,
    /// Ids of the frames inside by their times: the card knows the time.
    ids: HashMap<u64, u64>,
    /// Time of the newest frame.
    newest: Option<u64>,
    waiting: u64,
    stalling: bool,
    /// Bytes let in since everything was out.
    inside: usize,
}

impl Rtl {
    /// Builds (or finds) the simulator for the image's geometry, starts it and loads the tables
    /// through the configuration port, then reads every written row back.
    pub fn load(
        image: &Image,
        wave: Option<&Path>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Rtl, RtlError> {
        Rtl::load_text(image, Text::Simulator, wave, progress)
    }

    /// As [`Rtl::load`], of the text for hardware whether there is a waveform or not.
    pub fn load_hardware(image: &Image, progress: &mut dyn FnMut(&str)) -> Result<Rtl, RtlError> {
        Rtl::load_text(image, Text::Hardware, None, progress)
    }

    fn load_text(
        image: &Image,
        text: Text,
        wave: Option<&Path>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Rtl, RtlError> {
        let kind = wave.map_or(Ok(Wave::None), Wave::of)?;
        let geometry = image.geometry;
        let path = library::build(geometry, text, kind, progress)?;
        let mut sim = Sim::start(&path, wave)?;
        if (sim.ports(), sim.bus_bytes()) != (geometry.ports, geometry.bus_bytes) {
            return Err(RtlError::Shape {
                geometry: geometry.name,
                ports: geometry.ports,
                bytes: geometry.bus_bytes,
                found: sim.ports(),
                found_bytes: sim.bus_bytes(),
            });
        }
        for table in &image.tables {
            load(&mut sim, table)?;
        }
        Ok(Rtl {
            sim,
            names: image.names.clone(),
            rows: counted(&image.names, geometry),
            geometry,
            ids: HashMap::new(),
            newest: None,
            waiting: 0,
            stalling: false,
            inside: 0,
        })
    }

    /// Sets pauses and stalls; the default is none, in order. While outputs stall, frames are let in
    /// a few kilobytes at a time, so that no output queue overflows.
    pub fn press(&mut self, p: Pressure) {
        self.stalling = p.stall_out > 0;
        self.sim.pressure(p.ordered, p.idle_in, p.stall_out, p.seed);
    }

    /// Takes other names for what the card counts and reports: those of the tables a delta leads to,
    /// before its first word. They name what the loaded tables have, too.
    pub fn rename(&mut self, names: &Names) {
        self.names = names.clone();
        self.rows = counted(names, self.geometry);
    }

    /// Writes one row in one clock, while frames pass.
    pub fn write(&mut self, table: Table, row: u32, words: &[u64]) {
        self.sim.write(table as u32, &[row], words, words.len());
    }

    /// Whether a packet of the epoch that does not hold is inside. Frames pass meanwhile.
    ///
    /// # Errors
    /// The configuration port does not answer.
    pub fn draining(&mut self) -> Result<bool, EngineError> {
        let answer = self.sim.read(Table::Epoch as u32, &[1], READ_PATIENCE);
        let row = answer.first().ok_or_else(|| EngineError::Failed {
            engine: "rtl",
            what: format!("table `{}` does not answer", Table::Epoch.name()),
        })?;
        Ok(row[0] & 1 == 1)
    }

    /// Begins a snapshot of all counters, while frames pass.
    pub fn begin_snapshot(&mut self) {
        self.sim.take_items(true);
        self.sim.write(SNAPSHOT.into(), &[0], &[0], 1);
    }

    /// Runs until the snapshot that was begun is whole; frames pass meanwhile.
    ///
    /// # Errors
    /// The snapshot does not end, or has a row that no table names.
    pub fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        let failed = |what: String| EngineError::Failed {
            engine: "rtl",
            what,
        };
        let width = SNAPSHOT_ITEM.width();
        let mut counters = Counters::default();
        let mut quiet = 0;
        loop {
            let items = self.sim.items(BATCH as usize);
            quiet = if items.is_empty() { quiet + 1 } else { 0 };
            if quiet > SNAPSHOT_PATIENCE / SNAPSHOT_STRIDE {
                return Err(failed("the snapshot does not end".into()));
            }
            for item in &items {
                let item = Row::from_words(width, item);
                let field = |name| item.field(&SNAPSHOT_ITEM, 0, name) as u64;
                let (row, packets, bytes) = (field("row") as u32, field("packets"), field("bytes"));
                if field("last") == 1 {
                    self.sim.take_items(false);
                    return Ok(Snapshot {
                        counters,
                        newest: packets,
                        torn: row == 1,
                    });
                }
                let number = field("set");
                let set = CounterSet::ALL
                    .into_iter()
                    .find(|set| *set as u64 == number)
                    .ok_or_else(|| failed(format!("the snapshot has a set {number}")))?;
                if !counters.add_row(&self.names, set, row, Count { packets, bytes }) {
                    return Err(failed(format!(
                        "counter {} row {row} counts what no table names",
                        set.name()
                    )));
                }
            }
            if items.is_empty() {
                self.sim.run(SNAPSHOT_STRIDE);
            }
        }
    }

    /// The simulation underneath, for benches and tests of single clocks.
    pub fn sim(&mut self) -> &mut Sim {
        &mut self.sim
    }

    fn collect(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let host = self.sim.ports();
        while let Some(output) = self
            .sim
            .pop(|frame| output(&self.names, &self.ids, host, frame))
        {
            out.push(output?);
        }
        match self.sim.fault() {
            Some(what) => Err(EngineError::Failed {
                engine: "rtl",
                what,
            }),
            None => Ok(()),
        }
    }
}

/// Rows to read of each counter set: those the names know.
fn counted(names: &Names, g: &Geometry) -> Vec<(CounterSet, u32)> {
    let known = |set: CounterSet| match set {
        CounterSet::Reason => Reason::ALL.len(),
        CounterSet::InterfaceIn | CounterSet::InterfaceOut => names.interfaces.len(),
        CounterSet::AttachmentIn
        | CounterSet::AttachmentOut
        | CounterSet::AttachmentSyn
        | CounterSet::AttachmentAnswer
        | CounterSet::AttachmentSeen => names.attachments.len(),
        CounterSet::AttachmentTime => {
            names.attachments.len().min(g.timed as usize) * TIME_BUCKETS as usize
        }
        CounterSet::Class => names.classes.len() * 2,
        CounterSet::Action => names.actions.len(),
        CounterSet::Rule => names.rules.len(),
    };
    let sets = CounterSet::ALL.into_iter();
    sets.map(|set| (set, known(set) as u32)).collect()
}

/// Writes the rows in use and reads them back.
fn load(sim: &mut Sim, table: &TableRows) -> Result<(), RtlError> {
    let number = table.table as u32;
    let n = table.words_per_row();
    let (mut rows, mut words) = (Vec::new(), Vec::new());
    for (row, content) in table.used() {
        rows.push(row);
        words.extend_from_slice(content);
    }
    sim.write(number, &rows, &words, n);
    if table.table == Table::Seed {
        // Seeds are registers without a way back.
        return Ok(());
    }
    let found = sim.read(number, &rows, READ_PATIENCE);
    if found.len() < rows.len() {
        let row = rows[found.len()];
        return Err(RtlError::NoAnswer {
            set: table.table.name(),
            row,
            clocks: READ_PATIENCE,
        });
    }
    for ((row, written), found) in rows.iter().zip(words.chunks_exact(n)).zip(&found) {
        if written != &found[..n] {
            return Err(RtlError::Verify {
                table: table.table.name(),
                row: *row,
                written: written.to_vec(),
                found: found[..n].to_vec(),
            });
        }
    }
    Ok(())
}

fn user_row(width: u32, user: &[u8]) -> Row {
    let words: Vec<u64> = user
        .chunks(8)
        .map(|c| c.iter().rev().fold(0u64, |w, b| w << 8 | u64::from(*b)))
        .collect();
    Row::from_words(width, &words)
}

fn output(
    names: &Names,
    ids: &HashMap<u64, u64>,
    host: u32,
    frame: FrameOut,
) -> Result<Output, EngineError> {
    let failed = |what: String| EngineError::Failed {
        engine: "rtl",
        what,
    };
    let id = |time: u128| {
        let id = ids.get(&(time as u64)).copied();
        id.ok_or_else(|| {
            failed(format!(
                "a frame with time {time} came out that did not go in"
            ))
        })
    };
    if frame.port != host {
        let meta = user_row(PORT_META.width(), frame.user);
        let field = |name| meta.field(&PORT_META, 0, name);
        return Ok(Output::Sent(Sent {
            id: id(field("tag"))?,
            interface: field("interface") as u32,
            priority: field("priority") as u8,
            frame: frame.bytes.to_vec(),
        }));
    }
    let meta = user_row(HOST_META.width(), frame.user);
    let field = |name| meta.field(&HOST_META, 0, name);
    let code = field("reason") as u8;
    let reason = Reason::from_code(code)
        .ok_or_else(|| failed(format!("reason code {code} is none of the spec's")))?;
    let attachment = |number: u128| {
        let name = names.attachments.get(number as usize).cloned();
        name.ok_or_else(|| failed(format!("attachment {number} has no name")))
    };
    let service = |class: u128| {
        let name = names
            .classes
            .get(class as usize)
            .and_then(|c| names.services.get(c.service as usize));
        name.cloned()
            .ok_or_else(|| failed(format!("class {class} has no name")))
    };
    Ok(Output::Host(Host {
        id: id(field("tag"))?,
        reason,
        port: field("port") as u8,
        interface: (field("interface_valid") == 1).then(|| field("interface") as u32),
        attachment: (field("sender_valid") == 1)
            .then(|| attachment(field("sender")))
            .transpose()?,
        service: (field("class_valid") == 1)
            .then(|| {
                service(field("class")).map(|s| (s, Direction::from_bit(field("direction") as u32)))
            })
            .transpose()?,
        priority: field("priority") as u8,
        frame: frame.bytes.to_vec(),
    }))
}

impl Engine for Rtl {
    fn name(&self) -> &'static str {
        "rtl"
    }

    fn push(&mut self, frame: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let mut user = [0u8; USER_BYTES];
        if self.newest.is_some_and(|newest| newest >= frame.time) {
            return Err(EngineError::Failed {
                engine: "rtl",
                what: format!(
                    "frame {} has time {}, not later than the one before; times must rise",
                    frame.id, frame.time
                ),
            });
        }
        self.newest = Some(frame.time);
        self.ids.insert(frame.time, frame.id);
        user[..8].copy_from_slice(&frame.time.to_le_bytes());
        self.sim.push(frame.port.into(), &user, frame.frame);
        self.waiting += 1;
        self.inside += frame.frame.len();
        if self.stalling && self.inside >= STALLED_BYTES {
            return self.drain(out);
        }
        // One crossing for many frames; what is queued is bounded.
        if self.waiting >= BATCH {
            if !self.sim.run_below(BATCH / 4, PATIENCE) {
                return Err(EngineError::Hang {
                    clocks: PATIENCE,
                    waiting: self.sim.waiting(),
                });
            }
            self.waiting = self.sim.waiting();
            self.collect(out)?;
        }
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let done = self.sim.drain(PATIENCE);
        self.collect(out)?;
        self.ids.clear();
        self.waiting = 0;
        self.inside = 0;
        if done {
            Ok(())
        } else {
            Err(EngineError::Hang {
                clocks: PATIENCE,
                waiting: self.sim.waiting(),
            })
        }
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        let failed = |what: String| EngineError::Failed {
            engine: "rtl",
            what,
        };
        let mut counters = Counters::default();
        for (set, n) in self.rows.clone() {
            let rows: Vec<u32> = (0..n).collect();
            let found = self.sim.read(set as u32, &rows, READ_PATIENCE);
            if found.len() < rows.len() {
                return Err(failed(format!(
                    "counter set {} does not answer at row {}",
                    set.name(),
                    found.len()
                )));
            }
            for (row, words) in rows.into_iter().zip(found) {
                let value = Row::from_words(COUNTER_ROW.width(), &words);
                let count = Count {
                    packets: value.field(&COUNTER_ROW, 0, "packets") as u64,
                    bytes: value.field(&COUNTER_ROW, 0, "bytes") as u64,
                };
                if !counters.add_row(&self.names, set, row, count) {
                    return Err(failed(format!(
                        "counter {} row {row} counts what no table names",
                        set.name()
                    )));
                }
            }
        }
        Ok(counters)
    }
}
