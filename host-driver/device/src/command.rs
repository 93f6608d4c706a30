//! Rows written and read by the command ring, in order.

use crate::device::lock;
use crate::error::{Error, Result};
use crate::registers::Registers;
use crate::ring::{Consumer, LINE, Line, Producer};
use seqnic_engine::Count;
use seqnic_spec::counters::{SNAPSHOT, SNAPSHOT_ITEM};
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::rings::{COMMAND, META_AT, ROW_META, Ring, kind, op, read, write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Why a card cannot be used any more, for all who use it.
pub type Ended = Arc<Mutex<Option<String>>>;

/// A command.
#[derive(Debug, Clone, Copy)]
pub enum Command<'a> {
    Write {
        table: u8,
        row: u32,
        /// Lowest word first; what is missing is 0.
        words: &'a [u64],
    },
    Read {
        table: u8,
        row: u32,
    },
}

/// Words of a line.
const WORDS: usize = LINE / 8;

/// The command ring and that of answers.
pub struct Commands {
    pub registers: Registers,
    pub ring: Producer,
    pub answers: Consumer,
    /// How long nothing at all may happen.
    pub timeout: Duration,
    /// Why the card cannot be used any more, as soon as anybody notices.
    ended: Ended,
    cookie: u32,
    /// Items of the snapshot that is being taken.
    items: Option<Snapshot>,
}

/// All counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Arrival of the newest packet that is counted, ns by the card's clock.
    pub time: u64,
    /// Set, row, count: each row that is not 0, in the card's order.
    pub rows: Vec<(u8, u32, Count)>,
    ended: bool,
    torn: bool,
}

/// A snapshot the card could not hand over whole is taken again as often.
const SNAPSHOTS: u32 = 4;

impl Commands {
    pub fn new(
        registers: Registers,
        ring: Producer,
        answers: Consumer,
        timeout: Duration,
        ended: Ended,
    ) -> Commands {
        Commands {
            registers,
            ring,
            answers,
            timeout,
            ended,
            cookie: 0,
            items: None,
        }
    }

    /// Does commands, in this order, and returns when the last one is done. `row` gets every row that was read, in
    /// the order they were asked for.
    ///
    /// # Errors
    /// The card hangs, lies or is gone; some of the commands may be done: those in front of others that are.
    pub fn run<'a>(
        &mut self,
        commands: impl IntoIterator<Item = Command<'a>>,
        mut row: impl FnMut(u8, u32, &[u64; WORDS]),
    ) -> Result<()> {
        let mut waiting = Waiting {
            next: self.cookie,
            asked: std::collections::VecDeque::new(),
        };
        let mut since = Instant::now();
        let mut pause = Pause::default();
        for command in commands {
            let (op, table, number, words) = match command {
                Command::Write { table, row, words } => (op::WRITE, table, row, words),
                Command::Read { table, row } => (op::READ, table, row, &[][..]),
            };
            let mut payload: Line = [0; LINE];
            for (to, word) in payload.chunks_exact_mut(8).zip(words) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            let header = header(op, table, number, self.cookie);
            while !self.ring.put(&header, &payload) {
                self.ring.ring()?;
                self.progress(&mut waiting, &mut row, &mut since, &mut pause)?;
            }
            if op == op::READ {
                waiting.asked.push_back((table, number));
                self.cookie = self.cookie.wrapping_add(1);
            }
        }
        self.ring.ring()?;
        while !self.ring.done() || self.awaits(&waiting) {
            self.progress(&mut waiting, &mut row, &mut since, &mut pause)?;
        }
        Ok(())
    }

    /// All counters at one moment, packets going on.
    ///
    /// # Errors
    /// The card hangs, lies or is gone, or is too busy for a whole snapshot.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        for _ in 0..SNAPSHOTS {
            self.items = Some(Snapshot::default());
            let begin = Command::Write {
                table: SNAPSHOT,
                row: 0,
                words: &[],
            };
            let taken = self.run([begin], |_, _, _| {});
            let items = self.items.take().unwrap_or_default();
            taken?;
            if !items.torn {
                return Ok(items);
            }
        }
        Err(Error::Torn { times: SNAPSHOTS })
    }

    /// Whether an answer is still to come.
    fn awaits(&self, waiting: &Waiting) -> bool {
        !waiting.asked.is_empty() || self.items.as_ref().is_some_and(|s| !s.ended)
    }

    /// Takes what has come, and waits a little if nothing has.
    fn progress(
        &mut self,
        waiting: &mut Waiting,
        row: &mut impl FnMut(u8, u32, &[u64; WORDS]),
        since: &mut Instant,
        pause: &mut Pause,
    ) -> Result<()> {
        let card = &self.registers;
        let items = &mut self.items;
        let answers = self.answers.poll(usize::MAX, |record| {
            let lied = |what: String| {
                Err(Error::Lied {
                    card: card.card(),
                    ring: Ring::Answers,
                    what,
                })
            };
            if u32::from(record.kind()) == kind::COUNTER {
                return match items {
                    Some(items) if !items.ended => {
                        items.take(record.header);
                        Ok(())
                    }
                    _ => lied("an item of a snapshot that nobody asked for".to_string()),
                };
            }
            if u32::from(record.kind()) != kind::ROW {
                return lied(format!("a record of kind {} in place of a row", record.kind()));
            }
            let field = |name| read(record.header, &ROW_META, META_AT, name) as u32;
            let got = (field("table") as u8, field("row"), field("cookie"));
            let Some((table, number)) = waiting.asked.pop_front() else {
                return lied(format!("row {} of table {} that nobody asked for", got.1, got.0));
            };
            if got != (table, number, waiting.next) || record.payload.len() > LINE {
                return lied(format!(
                    "row {} of table {} with number {}, when row {number} of table {table} with number {} was due",
                    got.1, got.0, got.2, waiting.next
                ));
            }
            waiting.next = waiting.next.wrapping_add(1);
            let mut words = [0; WORDS];
            for (to, bytes) in words.iter_mut().zip(record.payload.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                *to = u64::from_le_bytes(whole);
            }
            row(table, number, &words);
            Ok(())
        })?;
        let moved = self.ring.look()?;
        if answers > 0 || moved {
            *since = Instant::now();
            *pause = Pause::default();
        } else if let Some(what) = lock(&self.ended).clone() {
            // What a card that was reset had taken it never says to be done: others may open it anew the earlier.
            let card = self.registers.card();
            return Err(Error::Ended { card, what });
        } else if since.elapsed() > self.timeout {
            return Err(hung(&self.registers, "no command was done", self.timeout));
        } else if !self.ring.done() || self.awaits(waiting) {
            pause.wait();
        }
        Ok(())
    }
}

impl Snapshot {
    fn take(&mut self, header: &Line) {
        let field = |name| read(header, &SNAPSHOT_ITEM, META_AT, name);
        let (packets, bytes) = (field("packets"), field("bytes"));
        if field("last") == 0 {
            let count = Count { packets, bytes };
            self.rows
                .push((field("set") as u8, field("row") as u32, count));
            return;
        }
        self.ended = true;
        self.time = packets;
        // Items of one that a driver before began are not all here: as good as torn.
        self.torn = field("row") & 1 == 1 || bytes != self.rows.len() as u64;
    }
}

struct Waiting {
    /// Number of the next answer.
    next: u32,
    asked: std::collections::VecDeque<(u8, u32)>,
}

/// Waits that grow: a card in hardware answers in microseconds, a simulated one in milliseconds.
#[derive(Default)]
pub struct Pause(u32);

impl Pause {
    pub fn wait(&mut self) {
        self.0 += 1;
        match self.0 {
            0..=200 => std::hint::spin_loop(),
            201..=400 => std::thread::yield_now(),
            n => std::thread::sleep(Duration::from_micros(u64::from(n - 400).min(100) * 10)),
        }
    }
}

/// Why the card does nothing: it is gone, its clock stands still, or neither.
pub fn hung(registers: &Registers, what: &'static str, after: Duration) -> Error {
    let look = || -> Result<bool> {
        let before = registers.read(&reg::HEARTBEAT, 0)?;
        if before == u32::MAX && registers.read(&reg::MAGIC, 0)? != reg::MAGIC_VALUE {
            return Err(Error::Transport(seqnic_transport::Error::Gone {
                card: registers.card(),
                what: "its registers read as all ones".to_string(),
            }));
        }
        std::thread::sleep(Duration::from_millis(2));
        Ok(registers.read(&reg::HEARTBEAT, 0)? != before)
    };
    match look() {
        Err(e) => e,
        Ok(clock) => Error::Hung {
            card: registers.card(),
            what,
            after,
            clock,
        },
    }
}

fn header(op: u32, table: u8, row: u32, cookie: u32) -> Line {
    let mut line = [0; LINE];
    line[0] = op as u8;
    line[1] = table;
    line[4..8].copy_from_slice(&row.to_le_bytes());
    line[8..12].copy_from_slice(&cookie.to_le_bytes());
    debug_assert!({
        let mut same = [0; LINE];
        write(&mut same, &COMMAND, 0, "op", op.into());
        write(&mut same, &COMMAND, 0, "table", table.into());
        write(&mut same, &COMMAND, 0, "row", row.into());
        write(&mut same, &COMMAND, 0, "cookie", cookie.into());
        same == line
    });
    line
}
