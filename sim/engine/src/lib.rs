//! What every engine takes and gives: the RTL under Verilator, the image engine and the
//! definition oracle implement [`Engine`] and are compared through it.

use seqnic_image::names::{ActionName, Direction, Names};
use seqnic_spec::counters::{CounterSet, TIME_BUCKETS};
use seqnic_spec::reason::Reason;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A frame handed to a port.
#[derive(Debug, Clone, Copy)]
pub struct FrameIn<'a> {
    /// Identity, strictly rising; comes back with everything that is made of this frame.
    pub id: u64,
    /// When it arrived, ns, strictly rising: of two frames within one ns the later counts as the next ns.
    pub time: u64,
    /// Port of the card.
    pub port: u8,
    /// The frame without FCS, 1 to 9,216 bytes.
    pub frame: &'a [u8],
}

/// What became of a frame. A frame gives one `Host`, or one `Sent` for each copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    Sent(Sent),
    Host(Host),
}

/// A frame that left through an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub id: u64,
    /// Interface number: its place in the definition.
    pub interface: u32,
    /// Of its packet, 0 to 7.
    pub priority: u8,
    pub frame: Vec<u8>,
}

/// A frame that went to the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    pub id: u64,
    pub reason: Reason,
    /// Port of arrival.
    pub port: u8,
    /// Interface of arrival.
    pub interface: Option<u32>,
    /// Name of the sender's attachment.
    pub attachment: Option<String>,
    /// Service and direction, where they are known and matter (`wrong_sender`).
    pub service: Option<(String, Direction)>,
    /// Of its reason.
    pub priority: u8,
    pub frame: Vec<u8>,
}

impl Output {
    pub fn id(&self) -> u64 {
        match self {
            Output::Sent(s) => s.id,
            Output::Host(h) => h.id,
        }
    }
}

/// Packets and bytes (frames without FCS).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl Count {
    pub fn add(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }
}

/// What a counter counts, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterKey {
    Reason(Reason),
    InterfaceIn(String),
    InterfaceOut(String),
    AttachmentIn(String),
    AttachmentOut(String),
    /// TCP connections opened towards it. No bytes.
    AttachmentSyn(String),
    /// Answers and refusals from it. No bytes.
    AttachmentAnswer(String),
    /// Times until packets came back from it, by bucket; bytes are their sum in ns.
    AttachmentTime(String, u32),
    /// Arrival of the last packet from it, ns, as packets.
    AttachmentSeen(String),
    /// Directed packets of a service, by the label of their class (`tcp/80`).
    Service {
        service: String,
        label: String,
        direction: Direction,
    },
    /// Copies a step sent.
    Step {
        service: String,
        label: String,
        direction: Direction,
        from: String,
        to: String,
    },
    /// First packets a rule decided; `default` is that of the sets joined by `+`.
    Rule {
        acl: String,
        rule: String,
    },
}

impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CounterKey::Reason(r) => write!(f, "reason {}", r.name()),
            CounterKey::InterfaceIn(i) => write!(f, "interface {i} in"),
            CounterKey::InterfaceOut(i) => write!(f, "interface {i} out"),
            CounterKey::AttachmentIn(a) => write!(f, "attachment {a} in"),
            CounterKey::AttachmentOut(a) => write!(f, "attachment {a} out"),
            CounterKey::AttachmentSyn(a) => write!(f, "attachment {a} syn"),
            CounterKey::AttachmentAnswer(a) => write!(f, "attachment {a} answer"),
            CounterKey::AttachmentTime(a, b) => write!(f, "attachment {a} time bucket {b}"),
            CounterKey::AttachmentSeen(a) => write!(f, "attachment {a} seen"),
            CounterKey::Service {
                service,
                label,
                direction,
            } => {
                write!(f, "service {service} {label} {}", direction.name())
            }
            CounterKey::Step {
                service,
                label,
                direction,
                from,
                to,
            } => {
                write!(
                    f,
                    "step {service} {label} {} {from} > {to}",
                    direction.name()
                )
            }
            CounterKey::Rule { acl, rule } => write!(f, "rule {acl} {rule}"),
        }
    }
}

/// Name of a sender that is no attachment of the sequence.
pub const CLIENT: &str = "client";

/// All counters that are not zero, by name. Numbers that share a name are summed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(pub BTreeMap<CounterKey, Count>);

impl Counters {
    /// Adds to a counter; nothing happens for a zero count. A time takes the place of an older one.
    pub fn add(&mut self, key: CounterKey, packets: u64, bytes: u64) {
        if matches!(key, CounterKey::AttachmentSeen(_)) && packets != 0 {
            let seen = &mut self.0.entry(key).or_default().packets;
            *seen = packets.max(*seen);
        } else if packets != 0 || bytes != 0 {
            self.0.entry(key).or_default().add(packets, bytes);
        }
    }

    /// Adds row `row` of a hardware counter set under its name. Rows the names do not know are
    /// returned as `false`: hardware counted something no table asked for.
    #[must_use]
    pub fn add_row(&mut self, names: &Names, set: CounterSet, row: u32, count: Count) -> bool {
        match key_of(names, set, row) {
            Some(key) => {
                self.add(key, count.packets, count.bytes);
                true
            }
            None => count == Count::default(),
        }
    }
}

fn key_of(names: &Names, set: CounterSet, row: u32) -> Option<CounterKey> {
    let at = row as usize;
    let interface = || names.interfaces.get(at).map(|i| i.name.clone());
    let attachment = || names.attachments.get(at).cloned();
    Some(match set {
        CounterSet::Reason => CounterKey::Reason(Reason::from_code(u8::try_from(row).ok()?)?),
        CounterSet::InterfaceIn => CounterKey::InterfaceIn(interface()?),
        CounterSet::InterfaceOut => CounterKey::InterfaceOut(interface()?),
        CounterSet::AttachmentIn => CounterKey::AttachmentIn(attachment()?),
        CounterSet::AttachmentOut => CounterKey::AttachmentOut(attachment()?),
        CounterSet::AttachmentSyn => CounterKey::AttachmentSyn(attachment()?),
        CounterSet::AttachmentAnswer => CounterKey::AttachmentAnswer(attachment()?),
        CounterSet::AttachmentSeen => CounterKey::AttachmentSeen(attachment()?),
        CounterSet::AttachmentTime => {
            let (attachment, bucket) = (row / TIME_BUCKETS, row % TIME_BUCKETS);
            let name = names.attachments.get(attachment as usize)?.clone();
            CounterKey::AttachmentTime(name, bucket)
        }
        CounterSet::Class => {
            let (service, label) = class_names(names, row / 2)?;
            CounterKey::Service {
                service,
                label,
                direction: Direction::from_bit(row % 2),
            }
        }
        CounterSet::Rule => {
            let name = names.rules.get(at)?.as_ref()?;
            CounterKey::Rule {
                acl: name.acl.clone(),
                rule: name.rule.clone(),
            }
        }
        CounterSet::Action => {
            let ActionName {
                class,
                direction,
                from,
                to,
            } = *names.actions.get(at)?.as_ref()?;
            let (service, label) = class_names(names, class)?;
            let from = match from {
                None => CLIENT.to_string(),
                Some(a) => names.attachments.get(a as usize)?.clone(),
            };
            let to = names.attachments.get(to as usize)?.clone();
            CounterKey::Step {
                service,
                label,
                direction,
                from,
                to,
            }
        }
    })
}

fn class_names(names: &Names, class: u32) -> Option<(String, String)> {
    let class = names.classes.get(class as usize)?;
    let service = names.services.get(class.service as usize)?.clone();
    let label = names.labels.get(class.label as usize)?.clone();
    Some((service, label))
}

/// Why an engine cannot go on. Packets never cause one.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the {engine} engine: {what}")]
    Failed { engine: &'static str, what: String },
    #[error("the RTL gave nothing for {clocks} clocks with {waiting} frames inside: it hangs")]
    Hang { clocks: u64, waiting: u64 },
}

/// An engine with its tables loaded.
pub trait Engine {
    /// `rtl`, `image` or `oracle`.
    fn name(&self) -> &'static str;

    /// Takes a frame; what came out so far, of this frame or earlier ones, is appended to `out`.
    fn push(&mut self, frame: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError>;

    /// Waits until everything taken has come out.
    fn drain(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError>;

    /// Counters since the tables were loaded; call after [`Engine::drain`].
    fn counters(&mut self) -> Result<Counters, EngineError>;
}
