//! Several captures as one stream, by time.

use crate::capture::{Position, Reader, Record};
use crate::error::CaptureError;
use crate::time::Time;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::path::{Path, PathBuf};

/// A capture and the interface its packets arrive on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Name of the interface.
    pub interface: String,
    pub path: PathBuf,
}

/// A packet of the merged stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Number over all inputs, from 1, in the order of the stream.
    pub id: u64,
    pub time: Time,
    /// Index of the input it came from.
    pub input: usize,
    /// Number within its input, from 1, as Wireshark counts.
    pub number: u64,
    /// The captured bytes.
    pub frame: Vec<u8>,
}

/// Why a port would not deliver a frame. No engine gets to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// No byte at all.
    Empty,
    /// More than 9,216 bytes.
    Oversize,
}

impl Packet {
    /// Why a port would not deliver it; `None` if it would.
    pub fn undelivered(&self) -> Option<Undelivered> {
        match self.frame.len() {
            0 => Some(Undelivered::Empty),
            n if n > MAX_FRAME_BYTES as usize => Some(Undelivered::Oversize),
            _ => None,
        }
    }
}

/// What was found in one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InputNotes {
    pub file: String,
    pub interface: String,
    /// Packets read.
    pub packets: u64,
    /// Captured bytes of them, without FCS.
    pub bytes: u64,
    /// Packets of which the capture has only the beginning.
    pub cut: u64,
    /// Packets without a time of their own, which got that of the packet before them.
    pub untimed: u64,
    /// Packets with a time before that of a packet before them; they keep their place in the file.
    pub disordered: u64,
    /// Times with digits below the nanosecond, which were cut off.
    pub finer: u64,
    /// Why the rest of the file was not read, if it was to be kept going.
    pub stopped: Option<String>,
}

impl InputNotes {
    /// What a reader of the results should know, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let file = &self.file;
        let mut out = Vec::new();
        let mut note = |count: u64, one: &str, many: &str| match count {
            0 => {}
            1 => out.push(format!("{file}: 1 packet {one}")),
            n => out.push(format!("{file}: {n} packets {many}")),
        };
        note(
            self.cut,
            "was cut short by the capture; its captured bytes were taken for the whole frame",
            "were cut short by the capture; their captured bytes were taken for the whole frames",
        );
        note(
            self.untimed,
            "has no time; it got that of the packet before it",
            "have no time; they got that of the packet before them",
        );
        note(
            self.disordered,
            "is earlier than one before it; the order of the file was kept",
            "are earlier than one before them; the order of the file was kept",
        );
        note(
            self.finer,
            "has a time finer than a nanosecond; the digits below were cut off",
            "have times finer than a nanosecond; the digits below were cut off",
        );
        if let Some(why) = &self.stopped {
            out.push(format!("{why}; the rest of the file was not replayed"));
        }
        out
    }
}

struct Source {
    reader: Reader,
    position: Position,
    head: Option<Record>,
    /// Time of `head`, and of the last packet if there is none.
    time: Time,
    notes: InputNotes,
}

impl Source {
    /// Reads the next packet into `head`.
    fn advance(&mut self, keep_going: bool) -> Result<(), CaptureError> {
        self.head = match self.reader.next_record() {
            Ok(head) => head,
            Err(e) if keep_going => {
                self.notes.stopped = Some(e.to_string());
                None
            }
            Err(e) => return Err(e),
        };
        let Some(record) = &self.head else {
            return Ok(());
        };
        let notes = &mut self.notes;
        notes.packets += 1;
        notes.bytes += record.frame.len() as u64;
        notes.cut += u64::from((record.frame.len() as u64) < u64::from(record.wire));
        notes.finer += u64::from(record.finer);
        match record.time {
            Some(time) => {
                notes.disordered += u64::from(time < self.time);
                self.time = time;
            }
            None => notes.untimed += 1,
        }
        Ok(())
    }
}

/// Packets of all inputs by time. At equal times the input named first goes first; within an
/// input the order of the file is kept, whatever its times say.
pub struct Merge {
    sources: Vec<Source>,
    /// Time and input of every head.
    next: BinaryHeap<Reverse<(Time, usize)>>,
    keep_going: bool,
    packets: u64,
    size: Option<u64>,
}

impl Merge {
    /// Opens all inputs. With `keep_going` a capture that is damaged further on is used as far as it
    /// can be read.
    ///
    /// # Errors
    /// A capture cannot be opened, or (without `keep_going`) its first packet cannot be read.
    pub fn open(inputs: &[Input], keep_going: bool) -> Result<Merge, CaptureError> {
        let mut merge = Merge {
            sources: Vec::with_capacity(inputs.len()),
            next: BinaryHeap::new(),
            keep_going,
            packets: 0,
            size: Some(0),
        };
        for (index, input) in inputs.iter().enumerate() {
            let reader = Reader::open(&input.path)?;
            merge.size = merge.size.zip(size(&input.path)).map(|(a, b)| a + b);
            let mut source = Source {
                position: reader.position(),
                reader,
                head: None,
                time: Time::default(),
                notes: InputNotes {
                    file: input.path.display().to_string(),
                    interface: input.interface.clone(),
                    ..InputNotes::default()
                },
            };
            source.advance(keep_going)?;
            if source.head.is_some() {
                merge.next.push(Reverse((source.time, index)));
            }
            merge.sources.push(source);
        }
        Ok(merge)
    }

    /// The next packet, or `None` at the end of all inputs.
    ///
    /// # Errors
    /// A capture is damaged, and it is not to be kept going.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        let Some(Reverse((time, input))) = self.next.pop() else {
            return Ok(None);
        };
        let source = &mut self.sources[input];
        let number = source.notes.packets;
        let Some(record) = source.head.take() else {
            return Ok(None);
        };
        source.advance(self.keep_going)?;
        if source.head.is_some() {
            self.next.push(Reverse((source.time, input)));
        }
        self.packets += 1;
        Ok(Some(Packet {
            id: self.packets,
            time,
            input,
            number,
            frame: record.frame,
        }))
    }

    /// What was found in each input so far.
    pub fn notes(&self) -> impl Iterator<Item = &InputNotes> {
        self.sources.iter().map(|s| &s.notes)
    }

    /// Bytes read of all files.
    pub fn bytes_read(&self) -> u64 {
        self.sources.iter().map(|s| s.position.bytes()).sum()
    }

    /// Bytes of all files, `None` if one of them is no plain file.
    pub fn bytes_total(&self) -> Option<u64> {
        self.size
    }
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)
        .map(|m| m.len())
}
