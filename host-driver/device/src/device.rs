//! A card in use.

use crate::command::{Commands, Ended, Pause, Snapshot, hung};
use crate::counters;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::packet::{self, Meta, Packet, Way};
use crate::registers::Registers;
use crate::ring::{Consumer, LINE, Place, Producer};
use crate::table::Tables;
use seqnic_card::Repair;
use seqnic_compiler::delta::{Delta, Word};
use seqnic_engine::Count;
use seqnic_image::Image;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::rings::{ERROR_VECTOR, LINE_BYTES, PACKET_RINGS, Ring, VECTORS, kind};
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use seqnic_transport::{Interrupt, Memory, Pages, Transport};
use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bus address of the memory: low, so that every IOMMU has it, and away from the interrupts' at 0xfee00000.
const IOVA: u64 = 0x1000_0000;
/// Without an interrupt the rings are looked at as often: one that was lost costs no more than this.
const POLL: Duration = Duration::from_millis(100);

/// How a card is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// log2 of the lines (64 bytes) of each ring, by number.
    pub ring_log2: [u32; Ring::ALL.len()],
    pub pages: Pages,
    /// How long the card may do nothing before it counts as hanging.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ring_log2: [12, 12, 12, 12, 11, 12, 11],
            pages: Pages::Small,
            timeout: seqnic_transport::TIMEOUT,
        }
    }
}

/// A card in use.
pub struct Device {
    identity: Identity,
    registers: Registers,
    options: Options,
    tables: Mutex<Tables>,
    packets: Mutex<Vec<Consumer>>,
    transmit: Mutex<Producer>,
    vectors: Vec<Interrupt>,
    meta: Meta,
    watch: Mutex<Watch>,
    links: Mutex<Links>,
    /// Why it cannot be used any more.
    ended: Ended,
    /// Whether that was told as an event.
    told: AtomicBool,
}

/// What the heartbeat was.
struct Watch {
    clocks: u32,
    at: Instant,
}

/// Links as they were seen last, and changes nobody has asked for.
struct Links {
    up: u32,
    changes: VecDeque<(u8, bool)>,
}

impl Device {
    /// Opens a card: looks who it is, resets the host's side, lends it memory, starts its rings.
    ///
    /// # Errors
    /// Another card, or one that fails.
    pub fn open(transport: Arc<dyn Transport>, options: Options) -> Result<Device> {
        let registers = Registers::new(transport);
        let identity = Identity::read(&registers)?;
        reset(&registers, options.timeout)?;
        let mut open = Opened {
            registers: registers.clone(),
            timeout: options.timeout,
            armed: true,
        };
        let vectors = vectors(&registers)?;
        let places = start(&registers, &options)?;
        open.armed = false; // the device does it from here on
        let mut places = places.into_iter();
        let consumers: Vec<Consumer> = (places.by_ref())
            .take(PACKET_RINGS as usize + 1)
            .map(Consumer::new)
            .collect();
        let mut producers = places.map(Producer::new);
        let (Some(transmit), Some(ring)) = (producers.next(), producers.next()) else {
            unreachable!("there are seven rings, by the spec");
        };
        let mut packets = consumers;
        let Some(answers) = packets.pop() else {
            unreachable!("five rings are the card's, by the spec");
        };
        let ended = Ended::default();
        let commands = Commands::new(
            registers.clone(),
            ring,
            answers,
            options.timeout,
            Arc::clone(&ended),
        );
        let clocks = registers.read(&reg::HEARTBEAT, 0);
        let up = registers.field(&reg::LINK, 0, "up");
        let device = Device {
            tables: Mutex::new(Tables::new(commands, identity.geometry)),
            identity,
            registers,
            packets: Mutex::new(packets),
            transmit: Mutex::new(transmit),
            vectors,
            meta: Meta::new(),
            watch: Mutex::new(Watch {
                clocks: *clocks.as_ref().unwrap_or(&0),
                at: Instant::now(),
            }),
            links: Mutex::new(Links {
                up: *up.as_ref().unwrap_or(&0),
                changes: VecDeque::new(),
            }),
            ended,
            told: AtomicBool::new(false),
            options,
        };
        clocks?;
        up?;
        Ok(device)
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Why the card cannot be used any more, if it cannot.
    pub fn ended(&self) -> Option<String> {
        lock(&self.ended).clone()
    }

    /// Whether this is the first time that the end is told.
    pub(crate) fn tell_once(&self) -> bool {
        !self.told.swap(true, Ordering::SeqCst)
    }

    /// Does something unless the card was lost, and remembers if it is now.
    fn with<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let ended = || lock(&self.ended).clone();
        if let Some(what) = ended() {
            return Err(Error::Ended {
                card: self.identity.card.clone(),
                what,
            });
        }
        let done = what();
        if let Err(e) = &done
            && e.lost()
        {
            lock(&self.ended).get_or_insert(e.to_string());
        }
        done
    }

    /// Hands `take` packets that are there, in the order of the rings' numbers, `most` of each ring at most. Returns
    /// how many it were, at once.
    ///
    /// # Errors
    /// The card fails. What was handed over before is true.
    pub fn receive(&self, most: usize, mut take: impl FnMut(Packet)) -> Result<usize> {
        self.with(|| {
            let mut rings = lock(&self.packets);
            let mut count = 0;
            for ring in rings.iter_mut() {
                let (number, meta) = (ring.place.ring, &self.meta);
                count += ring.poll(most, |record| {
                    let lied = |what: String| Error::Lied {
                        card: self.identity.card.clone(),
                        ring: number,
                        what,
                    };
                    if u32::from(record.kind()) != kind::PACKET {
                        return Err(lied(format!("a record of kind {}", record.kind())));
                    }
                    let Some(packet) = meta.packet(&record) else {
                        return Err(lied("a packet with a reason there is not".to_string()));
                    };
                    take(packet);
                    Ok(())
                })?;
            }
            Ok(count)
        })
    }

    /// Waits for packets or an error of the card, at most `timeout`. A card whose interrupts are lost is looked at
    /// ten times a second all the same.
    ///
    /// # Errors
    /// The card fails.
    pub fn wait(&self, timeout: Duration) -> Result<()> {
        self.with(|| {
            for ring in lock(&self.packets).iter() {
                ring.arm()?;
            }
            let mut listen: Vec<&Interrupt> =
                self.vectors[..PACKET_RINGS as usize].iter().collect();
            listen.push(&self.vectors[ERROR_VECTOR as usize]);
            let fired = Interrupt::wait(&listen, timeout.min(POLL))?;
            for (interrupt, _) in listen.iter().zip(&fired).filter(|(_, f)| **f) {
                interrupt.take();
            }
            match fired.last() {
                Some(true) => {
                    self.look_links()?;
                    self.ring_errors()
                }
                _ => Ok(()),
            }
        })
    }

    /// Packets the card dropped in front of the rings, by the gaps in their numbers.
    pub fn lost(&self) -> u64 {
        lock(&self.packets).iter().map(|r| r.lost).sum()
    }

    /// Sends frames in order; how many were taken: the first ones, for the others there was no room.
    ///
    /// # Errors
    /// A frame that cannot be sent, before any is; or the card fails.
    pub fn send<'a>(
        &self,
        frames: impl IntoIterator<Item = (Way, u8, &'a [u8])> + Clone,
    ) -> Result<usize> {
        for (_, port, frame) in frames.clone() {
            packet::check(port, frame.len(), self.identity.geometry.ports)?;
        }
        self.with(|| {
            let mut ring = lock(&self.transmit);
            ring.look()?;
            let mut count = 0;
            for (way, port, frame) in frames {
                if !ring.put(&packet::header(way, port, frame.len()), frame) {
                    break;
                }
                count += 1;
            }
            ring.ring()?;
            Ok(count)
        })
    }

    /// Tells the card once more what there is to send: for a doorbell that may have been lost.
    ///
    /// # Errors
    /// The card fails.
    pub fn nudge(&self) -> Result<()> {
        self.with(|| lock(&self.transmit).again())
    }

    /// Waits until the card has taken everything that was sent.
    ///
    /// # Errors
    /// The card fails.
    pub fn flush(&self) -> Result<()> {
        self.with(|| {
            let mut ring = lock(&self.transmit);
            let mut since = Instant::now();
            let mut pause = Pause::default();
            loop {
                if ring.look()? {
                    since = Instant::now();
                }
                if ring.done() {
                    return Ok(());
                }
                if since.elapsed() > self.options.timeout {
                    let what = "no frame was taken";
                    return Err(hung(&self.registers, what, self.options.timeout));
                }
                pause.wait();
            }
        })
    }

    fn tables<T>(&self, what: impl FnOnce(&mut Tables) -> Result<T>) -> Result<T> {
        self.with(|| what(&mut lock(&self.tables)))
    }

    /// Makes the tables those of an image and verifies them. How many rows were written.
    ///
    /// # Errors
    /// The image is for another geometry, a row does not keep what was written, or the card fails.
    pub fn load(&self, image: &Image) -> Result<usize> {
        self.tables(|t| t.load(image))
    }

    /// Writes rows in this order.
    ///
    /// # Errors
    /// A row there is not, or the card fails: the first of the words may be written.
    pub fn write(&self, words: &[Word]) -> Result<()> {
        self.tables(|t| t.write(words))
    }

    /// Rows of a table, `row_bits` rounded up to 64-bit words each, lowest first.
    ///
    /// # Errors
    /// Rows there are not, or the card fails.
    pub fn read(&self, table: Table, rows: Range<u32>) -> Result<Vec<u64>> {
        self.tables(|t| t.read(table, rows))
    }

    /// Every table as it is, without names; what [`Device::scrub`] holds the card to from now on.
    ///
    /// # Errors
    /// The card fails.
    pub fn adopt(&self) -> Result<Image> {
        self.tables(Tables::adopt)
    }

    /// Waits until no packet of the epoch that does not hold is inside.
    ///
    /// # Errors
    /// The time is over, or the card fails.
    pub fn drain(&self, timeout: Duration) -> Result<()> {
        self.tables(|t| t.drain(timeout))
    }

    /// Writes a delta in order, with its drains, and verifies it.
    ///
    /// # Errors
    /// [`Error::CutOff`]: the card's tables mean the old definition or the new one; [`Device::resume`] goes on.
    pub fn apply(&self, delta: &Delta) -> Result<()> {
        self.tables(|t| t.apply(delta, 0))
    }

    /// Goes on with a delta that was cut off, wherever that was. From which word.
    ///
    /// # Errors
    /// The card's tables are those of no place in it; or as [`Device::apply`].
    pub fn resume(&self, delta: &Delta) -> Result<usize> {
        self.tables(|t| {
            let place = t.place(delta)?;
            t.apply(delta, place)?;
            Ok(place)
        })
    }

    /// Looks at the next `rows` rows of the tables, round and round, and mends what is not as it was written.
    ///
    /// # Errors
    /// A row cannot be mended, or the card fails.
    pub fn scrub(&self, rows: u32) -> Result<Vec<Repair>> {
        self.tables(|t| t.scrub(rows))
    }

    /// All counters at one moment, packets going on.
    ///
    /// # Errors
    /// The card fails, or is too busy for a whole snapshot.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.tables(|t| t.commands.snapshot())
    }

    /// Rows of one counter set that are not 0, one read after the other: for a look at few of them.
    ///
    /// # Errors
    /// The card fails.
    pub fn counters(&self, set: CounterSet) -> Result<Vec<(u32, Count)>> {
        self.tables(|t| counters::read(&mut t.commands, t.geometry, set))
    }

    /// The card's time, ns.
    ///
    /// # Errors
    /// The card fails.
    pub fn time(&self) -> Result<u64> {
        self.with(|| {
            let low = self.registers.read(&reg::TIME_LOW, 0)?;
            let high = self.registers.read(&reg::TIME_HIGH, 0)?;
            Ok(u64::from(high) << 32 | u64::from(low))
        })
    }

    /// Whether the card is there, its clock runs, it was not reset and none of its rings was stopped. To be called
    /// from time to time.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<()> {
        self.with(|| {
            let card = || self.identity.card.clone();
            let magic = self.registers.read(&reg::MAGIC, 0)?;
            if magic != reg::MAGIC_VALUE {
                return Err(Error::Transport(seqnic_transport::Error::Gone {
                    card: card(),
                    what: format!("its magic number reads as {magic:#010x}"),
                }));
            }
            let clocks = self.registers.read(&reg::HEARTBEAT, 0)?;
            let mut watch = lock(&self.watch);
            if clocks != watch.clocks {
                *watch = Watch {
                    clocks,
                    at: Instant::now(),
                };
            } else if watch.at.elapsed() > self.options.timeout {
                return Err(Error::Hung {
                    card: card(),
                    what: "its heartbeat did not change",
                    after: watch.at.elapsed(),
                    clock: false,
                });
            }
            drop(watch);
            self.look_links()?;
            self.ring_errors()?;
            // A reset stops all of them, an error one, which was asked above.
            if self.registers.field(&reg::RING_CONTROL, 0, "enable")? == 0 {
                return Err(Error::Transport(seqnic_transport::Error::Reset {
                    card: card(),
                }));
            }
            Ok(())
        })
    }

    /// Whether a port has a link, as it was seen last: when the card said that it changed, or was checked.
    pub fn link(&self, port: u8) -> bool {
        lock(&self.links).up >> (port & 31) & 1 == 1
    }

    /// The next link that changed, and whether it is up.
    pub fn link_change(&self) -> Option<(u8, bool)> {
        lock(&self.links).changes.pop_front()
    }

    fn look_links(&self) -> Result<()> {
        let changed = self.registers.field(&reg::LINK_CHANGED, 0, "ports")?;
        if changed == 0 {
            return Ok(());
        }
        // First forgotten, then read: what changes in between is told once more.
        self.registers.write(&reg::LINK_CHANGED, 0, changed)?;
        let up = self.registers.field(&reg::LINK, 0, "up")?;
        let mut links = lock(&self.links);
        for port in (0..self.identity.geometry.ports).filter(|p| changed >> p & 1 == 1) {
            let (was, now) = (links.up >> port & 1 == 1, up >> port & 1 == 1);
            // One that was down for a moment was down.
            if was == now {
                links.changes.push_back((port as u8, !now));
            }
            links.changes.push_back((port as u8, now));
        }
        links.up = up;
        Ok(())
    }

    fn ring_errors(&self) -> Result<()> {
        let errors = self.registers.read(&reg::ERRORS, 0)?;
        for ring in Ring::ALL {
            if errors >> (ring as u32) & 1 == 0 {
                continue;
            }
            let code = self
                .registers
                .field(&reg::RING_STATE, ring as u32, "error")?;
            let error = seqnic_spec::host::rings::RingError::from_code(code);
            return Err(Error::Stopped {
                card: self.identity.card.clone(),
                ring,
                error: error.unwrap_or(seqnic_spec::host::rings::RingError::None),
            });
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        release(&self.registers, self.options.timeout);
    }
}

/// Takes everything back if opening fails half way.
struct Opened {
    registers: Registers,
    timeout: Duration,
    armed: bool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.armed {
            release(&self.registers, self.timeout);
        }
    }
}

/// Quiet first, then the memory. A card that cannot be made quiet keeps it: the mapping and the memory then live as
/// long as the transport, whose end takes the card's access away.
fn release(registers: &Registers, timeout: Duration) {
    let transport = registers.transport();
    if reset(registers, timeout).is_ok() {
        let _ = transport.disable_vectors();
        let _ = transport.dma_unmap(IOVA);
    }
}

/// Function level reset, then DMA is allowed again.
fn reset(registers: &Registers, timeout: Duration) -> Result<()> {
    let transport = registers.transport();
    transport.reset()?;
    let mut command = [0; 2];
    transport.config_read(4, &mut command)?;
    let command = u16::from_le_bytes(command) | 0x6; // memory, bus master
    transport.config_write(4, &command.to_le_bytes())?;
    let since = Instant::now();
    let mut pause = Pause::default();
    while registers.field(&reg::CARD_STATE, 0, "resetting")? == 1 {
        if since.elapsed() > timeout {
            return Err(hung(registers, "its reset did not end", timeout));
        }
        pause.wait();
    }
    Ok(())
}

fn vectors(registers: &Registers) -> Result<Vec<Interrupt>> {
    let vectors = (0..VECTORS)
        .map(|_| Interrupt::new())
        .collect::<std::io::Result<Vec<_>>>()?;
    let fds: Vec<_> = vectors.iter().map(AsFd::as_fd).collect();
    registers.transport().enable_vectors(&fds)?;
    Ok(vectors)
}

/// Lends the card memory and starts the rings.
fn start(registers: &Registers, options: &Options) -> Result<Vec<Place>> {
    let mut at = 0;
    let starts = options.ring_log2.map(|log2| {
        let start = at;
        at += LINE << log2;
        start
    });
    let status = at;
    let memory = Arc::new(Memory::new(status + Ring::ALL.len() * LINE, options.pages)?);
    registers.transport().dma_map(IOVA, &memory)?;
    for reason in Reason::ALL {
        let queue = packet::queue(*reason);
        registers.write(&reg::QUEUE_OF_REASON, *reason as u32, queue)?;
    }
    let mut places = Vec::new();
    for ((ring, log2), start) in Ring::ALL.into_iter().zip(options.ring_log2).zip(starts) {
        let number = ring as u32;
        let status = status + number as usize * LINE_BYTES as usize;
        let (base, line) = (IOVA + start as u64, IOVA + status as u64);
        for (register, value) in [
            (&reg::RING_BASE_LOW, base as u32),
            (&reg::RING_BASE_HIGH, (base >> 32) as u32),
            (&reg::RING_STATUS_LOW, line as u32),
            (&reg::RING_STATUS_HIGH, (line >> 32) as u32),
            (&reg::RING_SIZE, log2),
            (&reg::RING_MODERATION, 0),
            (&reg::RING_CONTROL, 1),
        ] {
            registers.write(register, number, value)?;
        }
        places.push(Place {
            ring,
            memory: memory.clone(),
            at: start,
            lines: 1 << log2,
            status,
            registers: registers.clone(),
        });
    }
    registers.write(&reg::ENABLE, 0, (1 << VECTORS) - 1)?;
    for ring in Ring::ALL {
        let state = registers.read(&reg::RING_STATE, ring as u32)?;
        if reg::RING_STATE.get(state, "running") == 0 {
            let code = reg::RING_STATE.get(state, "error");
            let error = seqnic_spec::host::rings::RingError::from_code(code);
            return Err(Error::Stopped {
                card: registers.card(),
                ring,
                error: error.unwrap_or(seqnic_spec::host::rings::RingError::None),
            });
        }
    }
    Ok(places)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
