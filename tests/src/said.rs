//! What a flow table says beside its packets: why they go to the host, with which priority they
//! come out, and under which rules they count.

use crate::legs::{self, Leg};
use seqnic_engine::{Count, CounterKey, Counters, Engine, EngineError, FrameIn, Output};
use std::collections::BTreeMap;

/// An engine, and what came out of it.
pub struct Watched<'a> {
    engine: &'a mut dyn Engine,
    seen: Vec<Seen>,
}

struct Seen {
    id: u64,
    priority: u8,
    reason: Option<&'static str>,
}

impl<'a> Watched<'a> {
    pub fn new(engine: &'a mut dyn Engine) -> Watched<'a> {
        Watched {
            engine,
            seen: Vec::new(),
        }
    }

    fn see(&mut self, outputs: &[Output]) {
        self.seen.extend(outputs.iter().map(|output| match output {
            Output::Sent(s) => Seen {
                id: s.id,
                priority: s.priority,
                reason: None,
            },
            Output::Host(h) => Seen {
                id: h.id,
                priority: h.priority,
                reason: Some(h.reason.name()),
            },
        }));
    }

    /// The first thing that did not come as the legs say. Leg `n` is packet `n + 1`.
    pub fn difference(&mut self, legs: &[Leg]) -> Result<Option<String>, EngineError> {
        for seen in &self.seen {
            let Some(leg) = (seen.id as usize).checked_sub(1).and_then(|n| legs.get(n)) else {
                return Ok(Some(format!("packet {} is of no leg", seen.id)));
            };
            let at = || format!("leg {} ({})", seen.id, leg.words);
            if leg.priority.is_some_and(|p| p != seen.priority) {
                return Ok(Some(format!("{}: priority {}", at(), seen.priority)));
            }
            if let (Some(wanted), Some(found)) = (leg.reason.as_deref(), seen.reason)
                && wanted != found
            {
                return Ok(Some(format!("{}: reason {found}", at())));
            }
        }
        let asked = legs.iter().any(|leg| leg.rule.is_some());
        let counters = self.engine.counters()?;
        Ok(match asked {
            true => rules(legs, &counters),
            false => None,
        })
    }
}

/// The first rule that did not count the packets of the legs that name it, and nothing else.
fn rules(legs: &[Leg], counters: &Counters) -> Option<String> {
    let mut wanted: BTreeMap<String, Count> = BTreeMap::new();
    for (n, leg) in legs.iter().enumerate() {
        if let Some(rule) = &leg.rule {
            let bytes = legs::arrived(leg, n).len() as u64;
            wanted.entry(rule.clone()).or_default().add(1, bytes);
        }
    }
    let found = counters.0.iter().filter_map(|(key, count)| match key {
        CounterKey::Rule { acl, rule } => Some((format!("{acl}/{rule}"), *count)),
        _ => None,
    });
    let found: BTreeMap<String, Count> = found.collect();
    let name = wanted.keys().chain(found.keys());
    let of = |map: &BTreeMap<String, Count>, name: &String| map.get(name).copied();
    name.into_iter()
        .find(|name| of(&wanted, name) != of(&found, name))
        .map(|name| {
            let (wanted, found) = (of(&wanted, name), of(&found, name));
            format!("rule {name}: {wanted:?} by the legs, {found:?} counted")
        })
}

impl Engine for Watched<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn push(&mut self, frame: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let before = out.len();
        self.engine.push(frame, out)?;
        self.see(&out[before..]);
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        let before = out.len();
        self.engine.drain(out)?;
        self.see(&out[before..]);
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        self.engine.counters()
    }
}
