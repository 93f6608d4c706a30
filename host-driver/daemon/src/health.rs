//! From counters and probes to fail-over: a state machine that knows no clock, no card and no socket.
//!
//! What goes in: [`Input`]s with a time. What comes out: [`Order`]s. The same inputs give the same orders.
//!
//! * A device is *suspected* when packets were sent to it in several intervals on end and nothing came
//!   back, or when probes that go on all the time find no answer. Devices that only get copies are not
//!   expected to answer.
//! * It is suspected as well when connections were opened towards it in as many intervals on end and
//!   none was answered or refused, whatever else it sends.
//! * It is suspected at once when the link of a port it is behind goes down.
//! * An engine that shares its load with another may never see what comes back. It suspects a device when
//!   connections were opened towards it, several intervals on end, and nothing else was sent: nobody goes on who has
//!   no answer.
//! * The mean time until its packets come back is kept, and reported when it goes above a limit and when
//!   it comes back below.
//! * A suspect is probed. An answer, or a packet that comes back, clears it. As many probes without
//!   an answer as the settings say, one after the other, and it has *failed*.
//! * A negative probe is one that must not be answered. An answer means the device has failed: it lets
//!   through what it should stop.
//! * A device that cannot be probed stays suspected: it is reported, and not taken out by guess.
//! * A failed device stays failed whatever it sends, until it is restored by order.

use std::collections::BTreeMap;
use std::time::Duration;

/// How devices are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Intervals with packets sent and none returned until a device is suspected.
    pub silent_intervals: u32,
    /// Probes without an answer until it has failed.
    pub probes: u32,
    pub probe_timeout: Duration,
    /// A mean time of an interval above this is reported.
    pub slow: Option<Duration>,
    /// What devices send comes to this engine too, not to another one.
    pub sees_returns: bool,
}

/// What is known of a device from the configuration and the definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Packets sent to it come back, by itself or by what is behind it.
    pub returns: bool,
    /// It can be probed.
    pub probed: bool,
    /// Probes go on all the time, so far apart.
    pub every: Option<Duration>,
    /// Probes come with one that must not be answered.
    pub negative: bool,
}

/// Packets to and from a device since the card was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub sent: u64,
    pub returned: u64,
    /// TCP connections opened towards it.
    pub opened: u64,
    /// Answers and refusals from it.
    pub answered: u64,
    /// Times until packets came back that were taken, and their sum, ns.
    pub times: u64,
    pub time_sum: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Counters of an interval, of all devices.
    Counters(BTreeMap<String, Traffic>),
    /// A probe was answered.
    Answer { device: String, probe: u64 },
    /// A probe that must not be answered was.
    Leak { device: String, probe: u64 },
    /// A probe could not be sent: the card is away, or has no room. The device is not to blame.
    Unsent { device: String, probe: u64 },
    /// A fail-over that was ordered could not be done.
    Undone { device: String },
    /// The link of the port these devices are behind came up or went down.
    Link { devices: Vec<String>, up: bool },
    /// A device failed or is given back by order.
    Ordered { device: String, failed: bool },
    /// Time passes.
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Send a probe; its answer has this number.
    Probe {
        device: String,
        probe: u64,
        negative: bool,
    },
    /// Worth a line in the log.
    Suspect {
        device: String,
        why: &'static str,
    },
    Clear {
        device: String,
    },
    /// Worth a line in the log: it has become slow, its mean time; or is no longer.
    Slow {
        device: String,
        mean: Duration,
    },
    Quick {
        device: String,
        mean: Duration,
    },
    /// Take it out of all services.
    FailOver {
        device: String,
        why: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Up,
    Suspected,
    Failed,
}

#[derive(Debug)]
struct Device {
    watched: Watched,
    verdict: Verdict,
    last: Option<Traffic>,
    /// Intervals on end with packets sent and none returned.
    silent: u32,
    /// Intervals on end with connections opened and none answered.
    deaf: u32,
    slow: bool,
    /// Mean time of the newest interval that had any.
    mean: Option<Duration>,
    /// Probe that waits for its answer, and until when.
    waiting: Option<(u64, Duration)>,
    /// Probes without an answer, on end.
    unanswered: u32,
    /// When the next regular probe goes.
    next: Duration,
    /// When something of it was seen last.
    alive: Option<Duration>,
    /// The link of a port it is behind is down.
    cut: bool,
}

/// All devices.
#[derive(Debug)]
pub struct Health {
    settings: Settings,
    devices: BTreeMap<String, Device>,
    probes: u64,
}

impl Health {
    pub fn new(settings: Settings) -> Health {
        Health {
            settings,
            devices: BTreeMap::new(),
            probes: 0,
        }
    }

    /// Follows a definition. What is known of devices that stay is kept; `failed` are those that are
    /// failed already.
    pub fn follow(&mut self, watched: BTreeMap<String, (Watched, bool)>, now: Duration) {
        let mut was = std::mem::take(&mut self.devices);
        for (name, (watched, failed)) in watched {
            let mut device = was.remove(&name).unwrap_or_else(|| Device {
                watched: Watched::default(),
                verdict: Verdict::Up,
                last: None,
                silent: 0,
                deaf: 0,
                slow: false,
                mean: None,
                waiting: None,
                unanswered: 0,
                next: now,
                alive: None,
                cut: false,
            });
            device.watched = watched;
            if failed != (device.verdict == Verdict::Failed) {
                device.set(failed);
            }
            self.devices.insert(name, device);
        }
    }

    pub fn verdict(&self, device: &str) -> Option<Verdict> {
        self.devices.get(device).map(|d| d.verdict)
    }

    /// When something is due at the latest, if nothing comes in before.
    pub fn due(&self) -> Option<Duration> {
        let devices = self.devices.values();
        devices
            .filter(|d| d.verdict != Verdict::Failed)
            .filter_map(|d| match d.waiting {
                Some((_, until)) => Some(until),
                None => d.watched.every.map(|_| d.next),
            })
            .min()
    }

    /// Takes an input at a time that does not fall.
    pub fn take(&mut self, input: Input, now: Duration) -> Vec<Order> {
        let mut orders = Vec::new();
        match input {
            Input::Counters(traffic) => {
                for (name, traffic) in traffic {
                    self.counted(&name, traffic, now, &mut orders);
                }
            }
            Input::Answer { device, probe } => self.answered(&device, probe, now, &mut orders),
            Input::Leak { device, probe } => self.leaked(&device, probe, &mut orders),
            Input::Unsent { device, probe } => {
                let again = now + self.settings.probe_timeout;
                if let Some(device) = self.devices.get_mut(&device)
                    && device.waiting.map(|(p, _)| p) == Some(probe)
                {
                    device.waiting = None;
                    device.next = again;
                }
            }
            Input::Undone { device } => {
                let again = now + self.settings.probe_timeout;
                if let Some(device) = self.devices.get_mut(&device)
                    && device.verdict == Verdict::Failed
                {
                    // It has to fail once more, when the card can be changed.
                    device.clear();
                    device.verdict = Verdict::Suspected;
                    device.next = again;
                }
            }
            Input::Link { devices, up } => {
                for device in devices {
                    self.link(&device, up, now, &mut orders);
                }
            }
            Input::Ordered { device, failed } => {
                if let Some(device) = self.devices.get_mut(&device) {
                    device.set(failed);
                    device.next = now;
                }
            }
            Input::Tick => {}
        }
        self.tick(now, &mut orders);
        orders
    }

    fn counted(&mut self, name: &str, traffic: Traffic, now: Duration, orders: &mut Vec<Order>) {
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        let last = device.last.replace(traffic).unwrap_or(traffic);
        // A card that was reset counts from 0 again.
        let sent = traffic.sent.saturating_sub(last.sent);
        let returned = traffic.returned.saturating_sub(last.returned);
        if device.verdict == Verdict::Failed || !device.watched.returns {
            return;
        }
        let (opened, answered) = (
            traffic.opened.saturating_sub(last.opened),
            traffic.answered.saturating_sub(last.answered),
        );
        device.timed(name, traffic, last, self.settings.slow, orders);
        if returned > 0 {
            device.alive = Some(now);
        }
        let limit = self.settings.silent_intervals;
        if self.settings.sees_returns {
            match (opened, answered) {
                (_, 1..) => device.deaf = 0,
                (1.., 0) => device.deaf = device.deaf.saturating_add(1),
                (0, 0) => {}
            }
            match (sent, returned) {
                (_, 1..) => device.silent = 0,
                (1.., 0) => device.silent = device.silent.saturating_add(1),
                (0, 0) => {}
            }
        } else if sent > opened {
            device.deaf = 0;
        } else if opened > 0 {
            device.deaf = device.deaf.saturating_add(1);
        }
        let (silent, deaf) = (device.silent >= limit, device.deaf >= limit);
        match device.verdict {
            Verdict::Up if silent => {
                self.suspect(name, "packets sent to it do not come back", now, orders);
            }
            Verdict::Up if deaf => {
                self.suspect(
                    name,
                    "connections opened towards it are not answered",
                    now,
                    orders,
                );
            }
            // Traffic is as good as an answer, but not where something must be stopped.
            Verdict::Suspected if returned > 0 && !deaf && !device.watched.negative => {
                device.clear();
                orders.push(Order::Clear {
                    device: name.to_string(),
                });
            }
            _ => {}
        }
    }

    /// A device behind a link that is down is suspected at once. If the link comes back a device that is probed must answer,
    /// of others nothing is known that speaks against them.
    fn link(&mut self, name: &str, up: bool, now: Duration, orders: &mut Vec<Order>) {
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        let was = std::mem::replace(&mut device.cut, !up);
        match device.verdict {
            Verdict::Up if !up => {
                self.suspect(name, "the link of its port is down", now, orders);
            }
            Verdict::Suspected if up && was && !device.watched.probed => {
                device.clear();
                orders.push(Order::Clear {
                    device: name.to_string(),
                });
            }
            _ => {}
        }
    }

    /// When something of a device was seen last: an answer, a packet that came back.
    pub fn alive(&self, device: &str) -> Option<Duration> {
        self.devices.get(device).and_then(|d| d.alive)
    }

    /// Mean time until packets came back, in the newest interval that had any.
    pub fn mean(&self, device: &str) -> Option<Duration> {
        self.devices.get(device).and_then(|d| d.mean)
    }

    fn suspect(&mut self, name: &str, why: &'static str, now: Duration, orders: &mut Vec<Order>) {
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        device.verdict = Verdict::Suspected;
        device.next = now;
        orders.push(Order::Suspect {
            device: name.to_string(),
            why,
        });
    }

    fn answered(&mut self, name: &str, probe: u64, now: Duration, orders: &mut Vec<Order>) {
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        // Late answers, and those of probes nobody sent, say nothing.
        if device.verdict == Verdict::Failed || device.waiting.map(|(p, _)| p) != Some(probe) {
            return;
        }
        device.waiting = None;
        device.unanswered = 0;
        device.alive = Some(now);
        device.next = now + device.watched.every.unwrap_or(self.settings.probe_timeout);
        if device.verdict == Verdict::Suspected {
            device.clear();
            orders.push(Order::Clear {
                device: name.to_string(),
            });
        }
    }

    fn leaked(&mut self, name: &str, probe: u64, orders: &mut Vec<Order>) {
        // One that was sent once, but not one nobody sent.
        let sent = probe >= 1 && probe <= self.probes;
        if let Some(device) = self.devices.get_mut(name)
            && device.watched.negative
            && device.verdict != Verdict::Failed
            && sent
        {
            device.set(true);
            let why = "it lets through what it must stop";
            orders.push(Order::FailOver {
                device: name.to_string(),
                why,
            });
        }
    }

    fn tick(&mut self, now: Duration, orders: &mut Vec<Order>) {
        let names: Vec<String> = self.devices.keys().cloned().collect();
        for name in names {
            self.device(&name, now, orders);
        }
    }

    fn device(&mut self, name: &str, now: Duration, orders: &mut Vec<Order>) {
        let settings = &self.settings;
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        if device.verdict == Verdict::Failed || !device.watched.probed {
            return;
        }
        if let Some((_, until)) = device.waiting
            && now >= until
        {
            device.waiting = None;
            device.unanswered = device.unanswered.saturating_add(1);
            device.next = now;
            if device.unanswered >= settings.probes {
                device.set(true);
                let why = "probes are not answered";
                orders.push(Order::FailOver {
                    device: name.to_string(),
                    why,
                });
                return;
            }
            if device.verdict == Verdict::Up {
                device.verdict = Verdict::Suspected;
                let why = "a probe was not answered";
                orders.push(Order::Suspect {
                    device: name.to_string(),
                    why,
                });
            }
        }
        let wanted = device.verdict == Verdict::Suspected || device.watched.every.is_some();
        if wanted && device.waiting.is_none() && now >= device.next {
            self.probes += 1;
            device.waiting = Some((self.probes, now + settings.probe_timeout));
            orders.push(Order::Probe {
                device: name.to_string(),
                probe: self.probes,
                negative: device.watched.negative,
            });
        }
    }
}

impl Device {
    fn timed(
        &mut self,
        name: &str,
        now: Traffic,
        last: Traffic,
        limit: Option<Duration>,
        orders: &mut Vec<Order>,
    ) {
        let sum = now.time_sum.saturating_sub(last.time_sum);
        let Some(mean) = sum.checked_div(now.times.saturating_sub(last.times)) else {
            return;
        };
        let mean = Duration::from_nanos(mean);
        self.mean = Some(mean);
        let slow = limit.is_some_and(|limit| mean > limit);
        if slow != self.slow {
            self.slow = slow;
            let device = name.to_string();
            orders.push(match slow {
                true => Order::Slow { device, mean },
                false => Order::Quick { device, mean },
            });
        }
    }

    fn clear(&mut self) {
        self.verdict = Verdict::Up;
        self.silent = 0;
        self.deaf = 0;
        self.unanswered = 0;
        self.waiting = None;
    }

    fn set(&mut self, failed: bool) {
        self.clear();
        self.last = None;
        if failed {
            self.verdict = Verdict::Failed;
        }
    }
}
