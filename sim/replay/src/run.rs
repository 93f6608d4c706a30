//! A whole replay: captures in, a folder out.

use crate::capture::Reader;
use crate::counters::{Report, Undelivered};
use crate::error::ReplayError;
use crate::feed::{self, Batch, Feed};
use crate::merge::{self, Input, InputNotes, Merge};
use crate::result::ResultFolder;
use seqnic_engine::{Engine, Output};
use seqnic_image::names::InterfaceName;
use seqnic_spec::reason::Reason;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How to replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Replace an earlier result.
    pub force: bool,
    /// Use damaged captures as far as they can be read.
    pub keep_going: bool,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub packets: u64,
    /// Bytes read of the captures.
    pub bytes: u64,
    /// Bytes the captures have, if that can be known.
    pub total: Option<u64>,
}

/// What was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub engine: &'static str,
    /// Packets read, undelivered ones included.
    pub packets: u64,
    /// Packets the engine directed.
    pub directed: u64,
    /// Frames sent, copies included.
    pub sent: u64,
    /// Packets that went to the host.
    pub host: u64,
    /// Of those, by reason.
    pub exceptions: BTreeMap<&'static str, u64>,
    pub undelivered: Undelivered,
    pub inputs: Vec<InputNotes>,
}

/// Frames of `batch` that a port would not deliver are added to `undelivered`.
pub fn count_undelivered(batch: &Batch, undelivered: &mut Undelivered) {
    for packet in batch.packets() {
        match packet.undelivered() {
            Some(merge::Undelivered::Empty) => undelivered.empty += 1,
            Some(merge::Undelivered::Oversize) => undelivered.oversize += 1,
            None => {}
        }
    }
}

/// Checks all that [`run`] checks before it starts, so that nobody builds an engine in vain.
///
/// # Errors
/// A capture or the folder is not as it must be, or there is no interface of a name.
pub fn check(
    interfaces: &[InterfaceName],
    inputs: &[Input],
    out: &Path,
    options: Options,
) -> Result<(), ReplayError> {
    feed::ports(interfaces, inputs.iter().map(|i| i.interface.as_str()))?;
    ResultFolder::check(out, interfaces, options.force)?;
    // A pipe can be opened once only.
    for input in inputs.iter().filter(|i| i.path.is_file()) {
        Reader::open(&input.path)?;
    }
    Ok(())
}

/// Replays `inputs` through `engine` and writes the folder `out`: a capture for every interface,
/// `host.pcap`, `exceptions.jsonl` and `counters.json`.
///
/// # Errors
/// A capture, the engine or the folder fails; then the folder is left as it was.
pub fn run(
    engine: &mut dyn Engine,
    interfaces: &[InterfaceName],
    inputs: &[Input],
    out: &Path,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ReplayError> {
    let ports = feed::ports(interfaces, inputs.iter().map(|i| i.interface.as_str()))?;
    let mut merge = Merge::open(inputs, options.keep_going)?;
    let mut folder = ResultFolder::create(out, interfaces, options.force)?;
    let mut feed = Feed::new(engine, interfaces, ports);
    let mut undelivered = Undelivered::default();
    let mut exceptions = BTreeMap::new();
    let mut packets = 0;
    loop {
        let batch = Batch::next(&mut merge)?;
        if batch.is_empty() {
            break;
        }
        packets += batch.packets().len() as u64;
        count_undelivered(&batch, &mut undelivered);
        for output in feed.feed(&batch)? {
            if let Output::Host(host) = &output {
                *exceptions.entry(host.reason.name()).or_default() += 1;
            }
            if let Some(packet) = batch.packet(output.id()) {
                folder.put(inputs, packet, &output)?;
            }
        }
        progress(Progress {
            packets,
            bytes: merge.bytes_read(),
            total: merge.bytes_total(),
        });
    }
    let engine = feed.name();
    let counters = feed.finish()?;
    let report = Report::new(interfaces, undelivered, &counters);
    let (sent, host) = folder.written();
    folder.finish(&report)?;
    Ok(Summary {
        engine,
        packets,
        directed: report
            .reasons
            .get(Reason::Directed.name())
            .map_or(0, |c| c.packets),
        sent,
        host,
        exceptions,
        undelivered,
        inputs: merge.notes().cloned().collect(),
    })
}
