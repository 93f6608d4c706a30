//! Engines beside each other on the same frames.

use crate::packets::Frame;
use seqnic_engine::{Counters, Engine, EngineError, FrameIn, Output};
use std::collections::BTreeMap;
use std::fmt;

/// What one engine made of some frames: by frame, in an order that does not depend on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub engine: &'static str,
    pub outputs: BTreeMap<u64, Vec<Output>>,
    pub counters: Counters,
}

/// The first thing two engines do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Something else came out for a frame.
    Frame {
        /// Its place among the frames.
        at: u64,
        /// Engine and what it made of it, for both.
        between: [(&'static str, Vec<Output>); 2],
    },
    /// The same came out, and was counted otherwise.
    Counter {
        name: String,
        between: [(&'static str, String); 2],
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Difference::Frame { at, between } => {
                writeln!(f, "frame {at}:")?;
                for (engine, outputs) in between {
                    writeln!(f, "  {engine}:")?;
                    for output in outputs {
                        writeln!(f, "    {}", Words(output))?;
                    }
                    if outputs.is_empty() {
                        writeln!(f, "    nothing at all")?;
                    }
                }
                Ok(())
            }
            Difference::Counter { name, between } => {
                let [(a, x), (b, y)] = between;
                writeln!(
                    f,
                    "counter `{name}`: {x} in the {a} engine, {y} in the {b} engine"
                )
            }
        }
    }
}

/// An output on one line.
struct Words<'a>(&'a Output);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let frame = match self.0 {
            Output::Sent(sent) => {
                write!(f, "sent through interface {}: ", sent.interface)?;
                &sent.frame
            }
            Output::Host(host) => {
                write!(f, "to the host, {} (port {}", host.reason.name(), host.port)?;
                if let Some(interface) = host.interface {
                    write!(f, ", interface {interface}")?;
                }
                if let Some(attachment) = &host.attachment {
                    write!(f, ", from {attachment}")?;
                }
                if let Some((service, direction)) = &host.service {
                    write!(f, ", {service} {}", direction.name())?;
                }
                write!(f, "): ")?;
                &host.frame
            }
        };
        // The headers are what differs; a payload is told by its length.
        for byte in frame.iter().take(96) {
            write!(f, "{byte:02x}")?;
        }
        write!(f, " ({} bytes)", frame.len())
    }
}

/// Time between the frame before and frame `id`, ns: of every order of magnitude up to two seconds, the
/// same in every run.
fn gap(id: u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = (id + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    1 + (z >> 8) % (1 << (z % 32))
}

/// Runs an engine over frames; their ids are `first`, `first` + 1 and so on.
pub fn observe(
    engine: &mut dyn Engine,
    frames: &[Frame],
    first: u64,
) -> Result<Observed, EngineError> {
    let mut out = Vec::new();
    let mut time = 0;
    for (id, frame) in (first..).zip(frames) {
        time += gap(id);
        let frame = FrameIn {
            id,
            time,
            port: frame.port,
            frame: &frame.bytes,
        };
        engine.push(frame, &mut out)?;
    }
    engine.drain(&mut out)?;
    let mut outputs: BTreeMap<u64, Vec<Output>> = BTreeMap::new();
    for output in out {
        outputs.entry(output.id()).or_default().push(output);
    }
    for made in outputs.values_mut() {
        made.sort();
    }
    Ok(Observed {
        engine: engine.name(),
        outputs,
        counters: engine.counters()?,
    })
}

/// Runs freshly loaded engines on the same frames; the first difference to the first engine.
pub fn compare(
    engines: &mut [Box<dyn Engine>],
    frames: &[Frame],
) -> Result<Option<Difference>, EngineError> {
    let mut observed = Vec::new();
    for engine in engines {
        observed.push(observe(engine.as_mut(), frames, 0)?);
    }
    let Some((reference, others)) = observed.split_first() else {
        return Ok(None);
    };
    Ok(others.iter().find_map(|other| difference(reference, other)))
}

/// What two engines do not agree on.
pub fn difference(a: &Observed, b: &Observed) -> Option<Difference> {
    let ids = a.outputs.keys().chain(b.outputs.keys());
    let differs = |id: &&u64| a.outputs.get(*id) != b.outputs.get(*id);
    if let Some(at) = ids.filter(differs).min() {
        let made = |o: &Observed| (o.engine, o.outputs.get(at).cloned().unwrap_or_default());
        return Some(Difference::Frame {
            at: *at,
            between: [made(a), made(b)],
        });
    }
    let names = a.counters.0.keys().chain(b.counters.0.keys());
    let key = names
        .filter(|k| a.counters.0.get(k) != b.counters.0.get(k))
        .min()?;
    let count = |o: &Observed| {
        let count = o.counters.0.get(key).copied().unwrap_or_default();
        let words = format!("{} packets, {} bytes", count.packets, count.bytes);
        (o.engine, words)
    };
    Some(Difference::Counter {
        name: key.to_string(),
        between: [count(a), count(b)],
    })
}
