//! The thread that runs packets.

use super::control::{Call, Change};
use super::port::{Frame, Port};
use super::{Shared, link_code, lock};
use crate::{Event, FromHost, Link, Snapshot, ToHost, Way};
use seqnic_model::Tables;
use seqnic_model::batch::{Arrival, BATCH, Exit, Outputs, Stages};
use seqnic_model::counters::CounterArrays;
use seqnic_model::rate::Rates;
use seqnic_model::verdict::Verdict;
use seqnic_spec::reason::Reason;
use std::io::ErrorKind;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Frames that may wait at an output for its port.
const WAITING: usize = 1024;
/// Batches a port may bring before the others have their turn.
const TURNS: usize = 4;
/// How often links are looked at.
const LINKS: Duration = Duration::from_millis(200);
/// How long the thread waits for packets: at most until links are looked at again.
const WAIT_MS: i32 = 100;

/// Frames on their way out of a port. Buffers are kept and used again.
#[derive(Default)]
struct Output {
    frames: Vec<Frame>,
    used: usize,
}

impl Output {
    fn room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        if self.used == WAITING {
            return None;
        }
        if self.used == self.frames.len() {
            self.frames.push(Frame::default());
        }
        let frame = &mut self.frames[self.used];
        self.used += 1;
        Some(frame.to_write(bytes))
    }

    /// Forgets the first `count` frames.
    fn sent(&mut self, count: usize) {
        self.frames[..self.used].rotate_left(count);
        self.used -= count;
    }
}

pub struct Datapath {
    tables: Tables,
    counters: CounterArrays,
    rates: Rates,
    stages: Stages,
    ports: Vec<Option<Box<dyn Port>>>,
    outputs: Vec<Output>,
    /// Where frames are received.
    frames: Vec<Frame>,
    polled: Vec<libc::pollfd>,
    shared: Arc<Shared>,
    started: Instant,
    /// Time of the newest packet.
    time: u64,
    looked: Instant,
}

impl Datapath {
    pub fn new(tables: Tables, ports: Vec<Option<Box<dyn Port>>>, shared: Arc<Shared>) -> Datapath {
        let now = Instant::now();
        Datapath {
            counters: CounterArrays::new(tables.geometry),
            rates: Rates::new(tables.geometry),
            stages: Stages::default(),
            outputs: ports.iter().map(|_| Output::default()).collect(),
            frames: (0..BATCH).map(|_| Frame::default()).collect(),
            polled: Vec::new(),
            tables,
            ports,
            shared,
            started: now,
            time: 0,
            looked: now,
        }
    }

    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.wait();
            self.shared.wake.clear();
            for call in self.shared.control.take() {
                self.call(call);
            }
            self.take_from_host();
            for port in 0..self.ports.len() {
                self.port(port);
            }
            self.flush();
            if self.looked.elapsed() >= LINKS {
                self.links();
            }
        }
    }

    fn wait(&mut self) {
        let entry = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let polled = &mut self.polled;
        polled.clear();
        polled.push(entry(self.shared.wake.fd(), libc::POLLIN));
        let ports = self.ports.iter().zip(&self.outputs);
        for ((port, output), link) in ports.zip(&self.shared.links) {
            let Some(port) = port else { continue };
            // An interface that is down would be ready with its error all the time.
            if link.load(Ordering::Relaxed) != link_code(Link::Up) {
                continue;
            }
            let out = if output.used > 0 { libc::POLLOUT } else { 0 };
            polled.push(entry(port.fd(), libc::POLLIN | out));
        }
        // SAFETY: pointer and count are those of `polled`.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, WAIT_MS) };
    }

    fn call(&mut self, call: Call) {
        match call {
            Call::Change(change, answer) => {
                match change {
                    Change::Nothing => {}
                    Change::Tables(tables) => self.tables = *tables,
                    Change::Attachments(rows) => {
                        for (number, row) in rows {
                            self.tables.set_attachment(number, row);
                        }
                    }
                }
                let _nobody_waits = answer.send(());
            }
            Call::Snapshot(answer) => {
                let snapshot = Snapshot {
                    time: self.time,
                    rows: self.counters.counted().collect(),
                };
                let _nobody_waits = answer.send(snapshot);
            }
        }
    }

    /// The time of the next packet: rises strictly.
    fn next_time(&mut self, now: u64) -> u64 {
        self.time = now.max(self.time + 1);
        self.time
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn take_from_host(&mut self) {
        let frames = std::mem::take(&mut *lock(&self.shared.from_host));
        for FromHost { way, port, frame } in frames {
            match way {
                Way::In => self.arrive(port, &[frame]),
                Way::Out => {
                    let Some(output) = self.outputs.get_mut(usize::from(port)) else {
                        continue;
                    };
                    match output.room(frame.len()) {
                        Some(room) => room.copy_from_slice(&frame),
                        None => self.counters.reason(Reason::OutputFull, frame.len()),
                    }
                }
            }
        }
    }

    fn port(&mut self, number: usize) {
        for _ in 0..TURNS {
            let Some(port) = self.ports[number].as_mut() else {
                return;
            };
            let mut frames = std::mem::take(&mut self.frames);
            // A port that is down brings nothing; its link says so.
            let got = port.receive(&mut frames).unwrap_or(0);
            self.arrive(number as u8, &frames[..got]);
            let more = got == frames.len();
            self.frames = frames;
            if !more {
                return;
            }
            self.flush();
        }
    }

    /// Runs frames that arrived on a port, a batch at most.
    fn arrive(&mut self, port: u8, frames: &[impl Deref<Target = [u8]>]) {
        if frames.is_empty() {
            return;
        }
        let now = self.now();
        let mut arrivals = [Arrival {
            port,
            time: 0,
            frame: &[],
        }; BATCH];
        for (arrival, frame) in arrivals.iter_mut().zip(frames) {
            arrival.frame = frame;
            arrival.time = self.next_time(now);
        }
        let arrivals = &arrivals[..frames.len().min(BATCH)];
        let mut made = Made {
            outputs: &mut self.outputs,
            shared: &self.shared,
            arrivals,
            limited: (0, 0),
        };
        let (counters, rates) = (&mut self.counters, &mut self.rates);
        (self.stages).run(&self.tables, counters, rates, arrivals, &mut made);
        let (packets, bytes) = made.limited;
        counters.reasons(Reason::HostLimited, packets, bytes);
    }

    fn flush(&mut self) {
        for (port, output) in self.ports.iter_mut().zip(&mut self.outputs) {
            if output.used == 0 {
                continue;
            }
            let sent = match port {
                // Nothing is connected: the frames are on a wire nobody listens to.
                None => output.used,
                Some(port) => match port.send(&output.frames[..output.used]) {
                    Ok(sent) => sent,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
                    // The same for a port that is down.
                    Err(_) => output.used,
                },
            };
            output.sent(sent);
        }
    }

    fn links(&mut self) {
        self.looked = Instant::now();
        for (number, (port, known)) in self.ports.iter().zip(&self.shared.links).enumerate() {
            let link = port.as_ref().map_or(Link::None, |p| p.link());
            if known.swap(link_code(link), Ordering::Relaxed) != link_code(link) {
                let port = number as u8;
                lock(&self.shared.events).push_back(Event::Link { port, link });
                self.shared.event.notify_all();
            }
        }
    }
}

/// Where packets of a batch go.
struct Made<'a> {
    outputs: &'a mut [Output],
    shared: &'a Shared,
    arrivals: &'a [Arrival<'a>],
    /// Exceptions there was no room for, and their bytes.
    limited: (u64, u64),
}

impl Outputs for Made<'_> {
    fn room(&mut self, _: usize, exit: Exit, bytes: usize) -> Option<&mut [u8]> {
        let at = usize::from(exit.port);
        self.outputs.get_mut(at)?.room(bytes)
    }

    fn host(&mut self, packet: usize, verdict: &Verdict) {
        let arrival = &self.arrivals[packet];
        if !self.shared.to_host.has_room(verdict.reason) {
            let (packets, bytes) = &mut self.limited;
            *packets += 1;
            *bytes += arrival.frame.len() as u64;
            return;
        }
        self.shared.to_host.put(ToHost {
            reason: verdict.reason,
            time: arrival.time,
            port: arrival.port,
            interface: verdict.interface,
            sender: verdict.sender,
            class: verdict.class,
            frame: arrival.frame.to_vec(),
        });
    }
}
