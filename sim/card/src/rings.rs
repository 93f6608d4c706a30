//! What the rings are for.

use crate::datapath::{Datapath, ForHost, OutOfPort};
use crate::ring::Ring;
use seqnic_pci::{Fault, Host};
use seqnic_spec::counters::{SNAPSHOT, SNAPSHOT_ITEM};
use seqnic_spec::host::rings::{
    COMMAND, COMMAND_LINES, INDEX_BITS, LINE_BYTES, META_AT, ROW_META, RingError, STATUS_EVERY,
    TO_HOST, TRANSMIT, kind, lines, mode, op, read, write,
};
use seqnic_spec::layout::Row;
use seqnic_spec::stage::HOST_META;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::collections::VecDeque;

type Line = [u8; LINE_BYTES as usize];
const NEXT: u32 = (1 << INDEX_BITS) - 1;

fn after(index: u32) -> u32 {
    index.wrapping_add(1) & NEXT
}

/// Start of a header line to the host.
fn header(kind: u32, bytes: usize, sequence: u32) -> Line {
    let mut line = [0; LINE_BYTES as usize];
    for (field, value) in [
        ("kind", kind.into()),
        ("lines", lines(bytes as u32).into()),
        ("length", bytes as u64),
        ("sequence", sequence.into()),
    ] {
        write(&mut line, &TO_HOST, 0, field, value);
    }
    line
}

/// Hands a packet to the host.
pub fn deliver(ring: &mut Ring, host: &Host, packet: &ForHost, now: u64) -> Result<(), Fault> {
    if !ring.running() || !ring.has_room() {
        ring.drop_one();
        return Ok(());
    }
    let mut line = header(kind::PACKET, packet.frame.len(), ring.sequence);
    let v = &packet.verdict;
    let mut put = |field, value| write(&mut line, &HOST_META, META_AT, field, value);
    put("tag", packet.time);
    put("reason", v.reason as u64);
    put("port", packet.port.into());
    if let Some(interface) = v.interface {
        put("interface_valid", 1);
        put("interface", interface.into());
    }
    if let Some(sender) = v.sender {
        put("sender_valid", 1);
        put("sender", sender.into());
    }
    if let Some((class, direction)) = v.class {
        put("class_valid", 1);
        put("class", class.into());
        put("direction", direction.bit().into());
    }
    ring.produce(host, &line, &packet.frame, now)
}

/// What was asked for, until there is room for it.
#[derive(Debug)]
pub enum Answer {
    Row {
        table: u8,
        row: u32,
        cookie: u32,
        value: Row,
    },
    /// A row of a snapshot (`SNAPSHOT_ITEM`).
    Item {
        set: u8,
        row: u32,
        packets: u64,
        bytes: u64,
        last: bool,
    },
}

/// The counters as they are, all at once, and what ends them.
pub fn snapshot(datapath: &Datapath, answers: &mut VecDeque<Answer>) {
    let mut items = 0;
    for (set, row, packets, bytes) in datapath.counted() {
        items += 1;
        answers.push_back(Answer::Item {
            set,
            row,
            packets,
            bytes,
            last: false,
        });
    }
    answers.push_back(Answer::Item {
        set: SNAPSHOT,
        row: 0,
        packets: datapath.newest(),
        bytes: items,
        last: true,
    });
}

/// Hands answers over, as long as there is room; whether some went.
pub fn answer(
    ring: &mut Ring,
    host: &Host,
    answers: &mut VecDeque<Answer>,
    now: u64,
) -> Result<bool, Fault> {
    let mut any = false;
    while ring.running() && ring.has_room() {
        let Some(next) = answers.pop_front() else {
            break;
        };
        match next {
            Answer::Row {
                table,
                row,
                cookie,
                value,
            } => {
                let mut payload: Vec<u8> = value.bytes().collect();
                let mut line = header(kind::ROW, payload.len(), ring.sequence);
                // A row of no bits is a row all the same: one line.
                if payload.is_empty() {
                    write(&mut line, &TO_HOST, 0, "lines", 1);
                }
                for (field, value) in [
                    ("table", table.into()),
                    ("row", row.into()),
                    ("cookie", u64::from(cookie)),
                ] {
                    write(&mut line, &ROW_META, META_AT, field, value);
                }
                payload.resize(LINE_BYTES as usize, 0);
                ring.produce(host, &line, &payload, now)?;
            }
            Answer::Item {
                set,
                row,
                packets,
                bytes,
                last,
            } => {
                let mut line = header(kind::COUNTER, 0, ring.sequence);
                for (field, value) in [
                    ("set", set.into()),
                    ("row", row.into()),
                    ("packets", packets),
                    ("bytes", bytes),
                    ("last", last.into()),
                ] {
                    write(&mut line, &SNAPSHOT_ITEM, META_AT, field, value);
                }
                ring.produce(host, &line, &[], now)?;
            }
        }
        any = true;
    }
    Ok(any)
}

/// Why a driver's ring stops.
pub enum Stop {
    Bus,
    Record,
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Stop {
        Stop::Bus
    }
}

impl From<Stop> for RingError {
    fn from(stop: Stop) -> RingError {
        match stop {
            Stop::Bus => RingError::Bus,
            Stop::Record => RingError::Record,
        }
    }
}

/// Takes packets from the host; whether there were any.
pub fn transmit(
    ring: &mut Ring,
    host: &Host,
    datapath: &mut Datapath,
    time: &mut impl FnMut() -> u64,
) -> Result<bool, Stop> {
    let mut any = false;
    for _ in 0..STATUS_EVERY {
        if !ring.running() || ring.available() == 0 {
            break;
        }
        any = true;
        let mut line = [0; LINE_BYTES as usize];
        ring.read(host, ring.card, &mut line)?;
        let field = |name| read(&line, &TRANSMIT, 0, name) as u32;
        let (length, mode, port) = (field("length"), field("mode"), field("port"));
        let all = 1 + lines(length);
        if length > MAX_FRAME_BYTES || all > ring.available() {
            return Err(Stop::Record);
        }
        let mut frame = vec![0; length as usize];
        ring.read(host, after(ring.card), &mut frame)?;
        let known = port < datapath.geometry().ports && length >= 14;
        match mode {
            mode::OUT if known => datapath.out.push(OutOfPort {
                port: port as u8,
                frame,
            }),
            mode::IN if known => datapath.arrive(port as u8, time(), &frame),
            _ => ring.drop_one(),
        }
        ring.consume(all);
    }
    Ok(any)
}

/// Does commands, as long as there is room to answer; whether there were any.
pub fn commands(
    ring: &mut Ring,
    host: &Host,
    datapath: &mut Datapath,
    answers: &mut VecDeque<Answer>,
) -> Result<bool, Stop> {
    let mut any = false;
    for _ in 0..STATUS_EVERY {
        if !ring.running() || ring.available() < COMMAND_LINES || !answers.is_empty() {
            break;
        }
        any = true;
        let mut both = [0; 2 * LINE_BYTES as usize];
        ring.read(host, ring.card, &mut both)?;
        let (line, row_line) = both.split_at(LINE_BYTES as usize);
        let field = |name| read(line, &COMMAND, 0, name) as u32;
        let (table, row) = (field("table") as u8, field("row"));
        match field("op") {
            op::WRITE if table == SNAPSHOT => {
                if row == 0 {
                    datapath.run();
                    snapshot(datapath, answers);
                }
            }
            op::WRITE => {
                // What came before the write meets the rows of before.
                datapath.run();
                let words: Vec<u64> = (row_line.chunks_exact(8))
                    .map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default()))
                    .collect();
                datapath.write(table, row, &words);
            }
            op::READ => answers.push_back(Answer::Row {
                table,
                row,
                cookie: field("cookie"),
                value: datapath.read(table, row),
            }),
            _ => return Err(Stop::Record),
        }
        ring.consume(COMMAND_LINES);
    }
    Ok(any)
}
