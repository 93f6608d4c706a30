//! A card that is opened again whenever it is lost.
//!
//! A [`Device`] that hangs, lies, was reset or is gone is of no more use. [`Kept`] closes it and opens the card at
//! the same address anew, with pauses that grow. Meanwhile every call says [`CardError::Away`], but for those that
//! wait for packets: they wait.

use crate::device::Device;
use crate::error::{Error, Result};
use seqnic_card::{
    Away, Card, CardError, Event, FromHost, Identity, Link, Presence, Repair, Snapshot, ToHost,
};
use seqnic_compiler::delta::{Delta, Word};
use seqnic_image::Image;
use seqnic_spec::SPEC_VERSION;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::Table;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often the card is asked whether it is well.
const LOOK: Duration = Duration::from_millis(50);
/// Pauses between tries to open it: the first one, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// A card that was there for as long starts with the first pause again.
const SOUND: Duration = Duration::from_secs(10);

/// Opens the card.
pub type Connect = Box<dyn Fn() -> Result<Device> + Send + Sync>;

/// A card that is opened again whenever it is lost.
pub struct Kept {
    connect: Connect,
    state: Mutex<State>,
    /// There is an event.
    stirred: Condvar,
}

struct State {
    device: Option<Arc<Device>>,
    /// The one that was lost: as long as a thread is still inside, the next one cannot be opened.
    old: Weak<Device>,
    away: Option<Away>,
    identity: Identity,
    pause: Duration,
    opened: Instant,
    events: VecDeque<Event>,
}

impl Kept {
    /// Opens the card, or begins to try to. `name` is its address; `geometry` is what it is taken to have until it
    /// was met.
    pub fn open(name: &str, geometry: &'static Geometry, connect: Connect) -> Kept {
        let kept = Kept {
            connect,
            state: Mutex::new(State {
                device: None,
                old: Weak::new(),
                away: Some(Away {
                    why: String::from("it was not opened yet"),
                    since: Instant::now(),
                    tries: 0,
                    next: Instant::now(),
                    met: false,
                }),
                identity: Identity {
                    name: name.to_string(),
                    geometry,
                    spec_version: SPEC_VERSION,
                    source: String::new(),
                },
                pause: FIRST,
                opened: Instant::now(),
                events: VecDeque::new(),
            }),
            stirred: Condvar::new(),
        };
        kept.reopen();
        // Who opened it sees how that went.
        kept.state().events.clear();
        kept
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device, for what only the driver can do.
    ///
    /// # Errors
    /// The card is away.
    pub fn device(&self) -> std::result::Result<Arc<Device>, CardError> {
        let state = self.state();
        match (&state.device, &state.away) {
            (Some(device), _) => Ok(Arc::clone(device)),
            (None, away) => Err(CardError::Away {
                why: away.as_ref().map_or_else(String::new, |a| a.why.clone()),
            }),
        }
    }

    /// This device is of no more use.
    fn lost(&self, device: &Arc<Device>, why: String, event: Event) {
        let mut state = self.state();
        if !(state.device.as_ref()).is_some_and(|d| Arc::ptr_eq(d, device)) {
            return;
        }
        let now = Instant::now();
        state.pause = match state.opened.elapsed() > SOUND {
            true => FIRST,
            false => (state.pause * 2).min(LONGEST),
        };
        state.old = Arc::downgrade(device);
        state.device = None;
        state.away = Some(Away {
            why,
            since: now,
            tries: 0,
            next: now + state.pause,
            met: true,
        });
        state.events.push_back(event);
        self.stirred.notify_all();
    }

    /// Links that changed become events.
    fn links(&self, device: &Device) {
        while let Some((port, up)) = device.link_change() {
            let link = crate::card::link(up);
            self.state().events.push_back(Event::Link { port, link });
            self.stirred.notify_all();
        }
    }

    /// One try; it may take as long as the driver's time-outs.
    fn reopen(&self) {
        if self.state().old.strong_count() > 0 {
            return;
        }
        let opened = (self.connect)();
        let mut state = self.state();
        match opened {
            Ok(device) => {
                state.identity = Card::identity(&device);
                state.device = Some(Arc::new(device));
                state.away = None;
                state.opened = Instant::now();
                state.events.push_back(Event::Back);
            }
            Err(e) => {
                let pause = state.pause;
                state.pause = (pause * 2).min(LONGEST);
                if let Some(away) = &mut state.away {
                    away.why = e.to_string();
                    away.tries += 1;
                    away.next = Instant::now() + pause;
                }
            }
        }
    }

    fn with<T>(
        &self,
        what: impl FnOnce(&Device) -> std::result::Result<T, CardError>,
    ) -> std::result::Result<T, CardError> {
        let device = self.device()?;
        let done = what(&device);
        if done.is_err()
            && let Some(why) = device.ended()
        {
            self.lost(&device, why.clone(), Event::Gone { why });
        }
        done
    }

    /// Whether the card is well; what was noticed is an event.
    fn look(&self, device: &Arc<Device>) {
        if let Err(e) = device.check() {
            let why = match e {
                Error::Ended { what, .. } => what,
                Error::Transport(seqnic_transport::Error::Reset { .. }) => {
                    return self.lost(device, e.to_string(), Event::Reset);
                }
                e => e.to_string(),
            };
            self.lost(device, why.clone(), Event::Gone { why });
        }
        self.links(device);
    }
}

impl Card for Kept {
    fn identity(&self) -> Identity {
        self.state().identity.clone()
    }

    fn load(&self, image: &Image) -> std::result::Result<(), CardError> {
        self.with(|d| Card::load(d, image))
    }

    fn write(&self, words: &[Word]) -> std::result::Result<(), CardError> {
        self.with(|d| Card::write(d, words))
    }

    fn drain(&self, timeout: Duration) -> std::result::Result<(), CardError> {
        self.with(|d| Card::drain(d, timeout))
    }

    fn apply(&self, delta: &Delta) -> std::result::Result<(), CardError> {
        self.with(|d| Card::apply(d, delta))
    }

    fn read(&self, table: Table, rows: Range<u32>) -> std::result::Result<Vec<u64>, CardError> {
        self.with(|d| Card::read(d, table, rows))
    }

    fn read_back(&self) -> std::result::Result<Image, CardError> {
        self.with(Card::read_back)
    }

    fn counters(&self) -> std::result::Result<Snapshot, CardError> {
        self.with(Card::counters)
    }

    /// While the card is away there are no packets, which is no error.
    fn receive(&self, out: &mut Vec<ToHost>, wait: Duration) -> std::result::Result<(), CardError> {
        let received = self.with(|d| {
            let received = Card::receive(d, out, wait);
            // An interrupt may have told of them.
            self.links(d);
            received
        });
        match received {
            Err(CardError::Away { .. }) => {
                std::thread::sleep(wait.min(LOOK));
                Ok(())
            }
            Err(_) if self.presence() != Presence::Here => Ok(()),
            done => done,
        }
    }

    fn send(&self, frames: &[FromHost]) -> std::result::Result<usize, CardError> {
        self.with(|d| Card::send(d, frames))
    }

    fn link(&self, port: u8) -> Link {
        self.device().map_or(Link::None, |d| Card::link(&*d, port))
    }

    fn scrub(&self, rows: u32) -> std::result::Result<Vec<Repair>, CardError> {
        self.with(|d| Card::scrub(d, rows))
    }

    fn event(&self, wait: Duration) -> Option<Event> {
        let until = Instant::now() + wait;
        loop {
            let (event, device, due) = {
                let mut state = self.state();
                let due = state.away.as_ref().map(|a| a.next);
                (state.events.pop_front(), state.device.clone(), due)
            };
            if event.is_some() {
                return event;
            }
            match (&device, due) {
                (Some(device), _) => self.look(device),
                (None, Some(due)) if Instant::now() >= due => self.reopen(),
                _ => {}
            }
            drop(device);
            let state = self.state();
            if !state.events.is_empty() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            drop(self.stirred.wait_timeout(state, left.min(LOOK)));
        }
    }

    fn presence(&self) -> Presence {
        match &self.state().away {
            None => Presence::Here,
            Some(away) => Presence::Away(away.clone()),
        }
    }

    fn give_up(&self, why: &str) {
        if let Ok(device) = self.device() {
            let why = why.to_string();
            self.lost(&device, why.clone(), Event::Gone { why });
        }
    }
}
