//! `counters.json`: all counters by name, in an order that does not depend on the engine.

use indexmap::IndexMap;
use seqnic_engine::{Count, CounterKey, Counters};
use seqnic_image::names::Direction;
use seqnic_image::names::InterfaceName;
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
    pub attachments: BTreeMap<String, InOut>,
    /// By service, then by label.
    pub services: BTreeMap<String, BTreeMap<String, Ways>>,
    pub steps: Vec<Step>,
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
                self.attachments.entry(a.clone()).or_default().r#in = count;
            }
            CounterKey::AttachmentOut(a) => {
                self.attachments.entry(a.clone()).or_default().out = count;
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
        }
    }
}
