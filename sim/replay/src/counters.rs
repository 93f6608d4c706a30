//! `counters.json`: all counters by name, in an order that does not depend on the engine.

use crate::time::SECOND;
use indexmap::IndexMap;
use seqnic_engine::{Count, CounterKey, Counters};
use seqnic_image::names::Direction;
use seqnic_image::names::InterfaceName;
use seqnic_spec::counters::{TIME_BITS, TIME_BUCKETS, TIME_LOWEST_BITS};
use serde::Serialize;
use std::collections::BTreeMap;

/// Frames a port would not deliver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Undelivered {
    /// Frames without a byte.
    pub empty: u64,
    /// Frames of more than 9,216 bytes.
    pub oversize: u64,
}

/// Towards the engine and from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InOut {
    pub r#in: Count,
    pub out: Count,
}

/// An attachment. What is zero is left out, but for frames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Attachment {
    #[serde(flatten)]
    pub frames: InOut,
    /// TCP connections opened towards it.
    #[serde(skip_serializing_if = "is_zero")]
    pub syn: u64,
    /// Answers and refusals from it.
    #[serde(skip_serializing_if = "is_zero")]
    pub answer: u64,
    /// Arrival of the last packet from it: seconds with nine decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Times until packets came back from it, by the ns below which they are.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub times: IndexMap<String, Times>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Times of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    pub packets: u64,
    /// Sum of the times.
    pub ns: u64,
}

/// Directed packets of one look of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ways {
    pub forward: Count,
    pub r#return: Count,
}

/// Copies one step sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub service: String,
    pub label: String,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    #[serde(flatten)]
    pub count: Count,
}

/// Counters as `counters.json` has them. Interfaces are all there, in the order of the
/// definition; of the rest what is not zero, reasons by code, everything else by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub undelivered: Undelivered,
    pub reasons: IndexMap<&'static str, Count>,
    pub interfaces: IndexMap<String, InOut>,
    pub attachments: BTreeMap<String, Attachment>,
    /// By service, then by label.
    pub services: BTreeMap<String, BTreeMap<String, Ways>>,
    pub steps: Vec<Step>,
    /// By rule set, then by rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, BTreeMap<String, Count>>,
}

impl Report {
    pub fn new(
        interfaces: &[InterfaceName],
        undelivered: Undelivered,
        counters: &Counters,
    ) -> Report {
        let mut report = Report {
            undelivered,
            interfaces: interfaces
                .iter()
                .map(|i| (i.name.clone(), InOut::default()))
                .collect(),
            ..Report::default()
        };
        for (key, count) in &counters.0 {
            report.put(key, *count);
        }
        report
    }

    fn attachment(&mut self, name: &str) -> &mut Attachment {
        self.attachments.entry(name.to_string()).or_default()
    }

    fn put(&mut self, key: &CounterKey, count: Count) {
        match key {
            CounterKey::Reason(r) => {
                self.reasons.insert(r.name(), count);
            }
            CounterKey::InterfaceIn(i) => {
                self.interfaces.entry(i.clone()).or_default().r#in = count
            }
            CounterKey::InterfaceOut(i) => {
                self.interfaces.entry(i.clone()).or_default().out = count
            }
            CounterKey::AttachmentIn(a) => {
                self.attachment(a).frames.r#in = count;
            }
            CounterKey::AttachmentOut(a) => {
                self.attachment(a).frames.out = count;
            }
            CounterKey::AttachmentSyn(a) => self.attachment(a).syn = count.packets,
            CounterKey::AttachmentAnswer(a) => self.attachment(a).answer = count.packets,
            CounterKey::AttachmentSeen(a) => {
                let (seconds, ns) = (count.packets / SECOND, count.packets % SECOND);
                self.attachment(a).seen = Some(format!("{seconds}.{ns:09}"));
            }
            CounterKey::AttachmentTime(a, bucket) => {
                // The last has all that are still waited for.
                let bits = match bucket + 1 {
                    TIME_BUCKETS => TIME_BITS,
                    next => next + TIME_LOWEST_BITS - 1,
                };
                let times = Times {
                    packets: count.packets,
                    ns: count.bytes,
                };
                let below = (1_u64 << bits).to_string();
                self.attachment(a).times.insert(below, times);
            }
            CounterKey::Service {
                service,
                label,
                direction,
            } => {
                let labels = self.services.entry(service.clone()).or_default();
                let ways = labels.entry(label.clone()).or_default();
                match direction {
                    Direction::Forward => ways.forward = count,
                    Direction::Return => ways.r#return = count,
                }
            }
            CounterKey::Step {
                service,
                label,
                direction,
                from,
                to,
            } => self.steps.push(Step {
                service: service.clone(),
                label: label.clone(),
                direction: *direction,
                from: from.clone(),
                to: to.clone(),
                count,
            }),
            CounterKey::Rule { acl, rule } => {
                let rules = self.rules.entry(acl.clone()).or_default();
                rules.insert(rule.clone(), count);
            }
        }
    }
}
