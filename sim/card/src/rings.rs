//! What the rings are for.

use crate::datapath::{Datapath, ForHost, OutOfPort};
use crate::ring::Ring;
use seqnic_pci::{Fault, Host};
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

/// A row that was asked for, until there is room for it.
#[derive(Debug)]
pub struct Answer {
    pub table: u8,
    pub row: u32,
    pub cookie: u32,
    pub value: Row,
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
        let Some(a) = answers.pop_front() else {
            break;
        };
        let payload: Vec<u8> = a.value.bytes().collect();
        let mut line = header(kind::ROW, payload.len(), ring.sequence);
        // A row of no bits is a row all the same: one line.
        if payload.is_empty() {
            write(&mut line, &TO_HOST, 0, "lines", 1);
        }
        for (field, value) in [
            ("table", a.table.into()),
            ("row", a.row.into()),
            ("cookie", u64::from(a.cookie)),
        ] {
            write(&mut line, &ROW_META, META_AT, field, value);
        }
        let mut whole = payload;
        whole.resize(LINE_BYTES as usize, 0);
        ring.produce(host, &line, &whole, now)?;
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
            op::WRITE => {
                // What came before the write meets the rows of before.
                datapath.run();
                let words: Vec<u64> = (row_line.chunks_exact(8))
                    .map(|w| u64::from_le_bytes(w.try_into().unwrap_or_default()))
                    .collect();
                datapath.write(table, row, &words);
            }
            op::READ => answers.push_back(Answer {
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
