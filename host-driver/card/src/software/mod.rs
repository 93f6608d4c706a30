//! The software engine as a card: for hosts without one, and for tests.
//!
//! One thread runs packets through the image engine in batches ([`datapath`]); its ports are network
//! interfaces, TAP devices or datagram sockets ([`port`]). Control calls are taken between two batches,
//! so a change is met by whole packets, and a drain is over when it is asked for.

mod checksum;
mod control;
mod datapath;
mod interface;
pub mod port;
mod queue;
mod wake;

pub use port::PortConfig;

use crate::{Card, CardError, Event, FromHost, Identity, Link, Snapshot, ToHost};
use control::{Change, Control};
use queue::ToHostQueue;
use seqnic_compiler::delta::Word;
use seqnic_image::Image;
use seqnic_model::Tables;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::Table;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wake::Wake;

/// Frames of the host that may wait for the datapath.
const FROM_HOST: usize = 4096;

/// What control calls and datapath share.
struct Shared {
    wake: Wake,
    stop: AtomicBool,
    control: Control,
    from_host: Mutex<VecDeque<FromHost>>,
    to_host: ToHostQueue,
    /// [`Link`] by port.
    links: Vec<AtomicU8>,
    events: Mutex<VecDeque<Event>>,
    event: Condvar,
}

/// The software engine with its ports.
pub struct SoftwareCard {
    geometry: &'static Geometry,
    /// The tables row by row, as a card has them in memory.
    memory: Mutex<Image>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A lock whose holder panicked is taken all the same: what it guards is replaced whole or not at all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SoftwareCard {
    /// Starts the engine with empty tables. Ports that `ports` does not name have nothing connected.
    ///
    /// # Errors
    /// A port of `ports` there is not, or it cannot be opened.
    pub fn start(
        geometry: &'static Geometry,
        ports: Vec<(u8, PortConfig)>,
    ) -> Result<SoftwareCard, CardError> {
        let failed = |what: &str, e: std::io::Error| {
            CardError::Failed(format!("the software engine cannot start: {what}: {e}"))
        };
        let mut opened = Vec::new();
        opened.resize_with(geometry.ports as usize, || None);
        for (number, config) in ports {
            let place = opened.get_mut(usize::from(number));
            let Some(place) = place else {
                return Err(CardError::NoPort {
                    port: number,
                    ports: geometry.ports,
                });
            };
            *place = Some(port::open(number, config)?);
        }
        let shared = Arc::new(Shared {
            wake: Wake::new().map_err(|e| failed("eventfd", e))?,
            stop: AtomicBool::new(false),
            control: Control::default(),
            from_host: Mutex::default(),
            to_host: ToHostQueue::default(),
            links: (opened.iter())
                .map(|p| AtomicU8::new(link_code(p.as_ref().map_or(Link::None, |p| p.link()))))
                .collect(),
            events: Mutex::default(),
            event: Condvar::new(),
        });
        let empty = Image::empty(geometry);
        let tables = Tables::load(&empty)?;
        let datapath = datapath::Datapath::new(tables, opened, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name(String::from("datapath"))
            .spawn(move || datapath.run())
            .map_err(|e| failed("a thread", e))?;
        Ok(SoftwareCard {
            geometry,
            memory: Mutex::new(empty),
            shared,
            thread: Some(thread),
        })
    }

    /// Hands a change to the datapath and waits until it holds.
    fn change(&self, change: Change) -> Result<(), CardError> {
        self.shared.control.call(change, &self.shared.wake)
    }

    fn row(&self, table: Table, row: u32) -> Result<(), CardError> {
        let rows = self.geometry.rows(table);
        if row < rows {
            return Ok(());
        }
        Err(CardError::NoRow { table, row, rows })
    }
}

impl Drop for SoftwareCard {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake.wake();
        if let Some(thread) = self.thread.take() {
            // A datapath that panicked has said so itself.
            let _ended = thread.join();
        }
    }
}

impl Card for SoftwareCard {
    fn identity(&self) -> Identity {
        Identity {
            name: String::from("software engine"),
            geometry: self.geometry,
            spec_version: seqnic_spec::SPEC_VERSION,
            source: String::new(),
        }
    }

    fn load(&self, image: &Image) -> Result<(), CardError> {
        if image.geometry != self.geometry {
            return Err(CardError::Geometry {
                card: self.geometry.name,
                asked: image.geometry.name,
            });
        }
        let tables = Tables::load(image)?;
        let mut memory = lock(&self.memory);
        self.change(Change::Tables(Box::new(tables)))?;
        *memory = image.clone();
        Ok(())
    }

    /// Rows of attachments change in place: a fail-over does not wait for the decoding of a million
    /// keys. With other words among them all tables are decoded again, beside the traffic.
    fn write(&self, words: &[Word]) -> Result<(), CardError> {
        for word in words {
            self.row(word.table, word.row)?;
        }
        if words.is_empty() {
            return Ok(());
        }
        let mut memory = lock(&self.memory);
        let mut was = Vec::new();
        for word in words {
            let rows = memory.table_mut(word.table);
            was.push((word.table, word.row, rows.row(word.row).words().to_vec()));
            rows.put_words(word.row, &word.now);
        }
        let done = change_of(&memory, words).and_then(|change| self.change(change));
        if done.is_err() {
            for (table, row, words) in was.into_iter().rev() {
                memory.table_mut(table).put_words(row, &words);
            }
        }
        done
    }

    fn drain(&self, _: Duration) -> Result<(), CardError> {
        self.change(Change::Nothing)
    }

    fn read(&self, table: Table, rows: Range<u32>) -> Result<Vec<u64>, CardError> {
        if let Some(last) = rows.end.checked_sub(1)
            && !rows.is_empty()
        {
            self.row(table, last)?;
        }
        let memory = lock(&self.memory);
        let stored = memory.table(table);
        Ok(rows
            .flat_map(|row| stored.row(row).words().to_vec())
            .collect())
    }

    /// Faster than row by row: nobody else writes the memory.
    fn read_back(&self) -> Result<Image, CardError> {
        let mut image = lock(&self.memory).clone();
        image.tables.iter_mut().for_each(crate::trim);
        image.names = seqnic_image::Names::default();
        image.generation = 0;
        Ok(image)
    }

    fn counters(&self) -> Result<Snapshot, CardError> {
        self.shared.control.snapshot(&self.shared.wake)
    }

    fn receive(&self, out: &mut Vec<ToHost>, wait: Duration) -> Result<(), CardError> {
        self.shared.to_host.take(out, wait);
        Ok(())
    }

    fn send(&self, frames: &[FromHost]) -> Result<usize, CardError> {
        for f in frames {
            if u32::from(f.port) >= self.geometry.ports {
                return Err(CardError::NoPort {
                    port: f.port,
                    ports: self.geometry.ports,
                });
            }
            let bytes = f.frame.len();
            if !(14..=MAX_FRAME_BYTES as usize).contains(&bytes) {
                return Err(CardError::FrameLength { bytes });
            }
        }
        let mut waiting = lock(&self.shared.from_host);
        let taken = frames.len().min(FROM_HOST - waiting.len().min(FROM_HOST));
        waiting.extend(frames[..taken].iter().cloned());
        drop(waiting);
        self.shared.wake.wake();
        Ok(taken)
    }

    fn link(&self, port: u8) -> Link {
        let code = self.shared.links.get(usize::from(port));
        code.map_or(Link::None, |code| link_of(code.load(Ordering::Relaxed)))
    }

    fn event(&self, wait: Duration) -> Option<Event> {
        let events = lock(&self.shared.events);
        let (mut events, _) = (self.shared.event)
            .wait_timeout_while(events, wait, |e| e.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        events.pop_front()
    }
}

/// What the datapath has to do after `words` were written to `memory`.
fn change_of(memory: &Image, words: &[Word]) -> Result<Change, CardError> {
    let mut attachments = Vec::new();
    for word in words {
        if word.table != Table::Attachment {
            attachments.clear();
            break;
        }
        let number = word.row / Table::Attachment.versions();
        attachments.push((number as usize, Tables::attachment_in(memory, number)?));
    }
    if !attachments.is_empty() && attachments.iter().all(|(_, a)| a.valid) {
        return Ok(Change::Attachments(attachments));
    }
    Ok(Change::Tables(Box::new(Tables::load(memory)?)))
}

fn link_code(link: Link) -> u8 {
    match link {
        Link::None => 0,
        Link::Down => 1,
        Link::Up => 2,
    }
}

fn link_of(code: u8) -> Link {
    match code {
        0 => Link::None,
        1 => Link::Down,
        _ => Link::Up,
    }
}
