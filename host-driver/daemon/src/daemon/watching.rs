//! Health: counts to suspicion, suspicion to probes, probes to a change.

use super::{Daemon, LOG, LOOK, SHORTEST};
use crate::api::FailOver;
use crate::core::{Outcome, bypassed, unavailable};
use crate::health::{Input, Order};
use crate::{lock, watch};
use seqnic_card::CardError;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Daemon {
    /// Sends probes and judges those that were not answered, when it is time.
    pub(super) fn watch(&self) {
        self.hurry();
        while !self.stopping() {
            self.judge_health(Input::Tick);
            let health = lock(&self.health);
            let now = self.now();
            let wait = health.due().map_or(LOOK, |due| due.saturating_sub(now));
            let wait = wait.clamp(SHORTEST, LOOK);
            drop(self.stirred.wait_timeout(health, wait));
        }
    }

    /// Reads counters for health, in a thread of its own: a snapshot of a large card takes longer than a probe.
    pub(super) fn count(&self) {
        let interval = Duration::from_millis(self.config.health.interval_ms);
        let mut next = self.now();
        while !self.stopping() {
            let now = self.now();
            if now >= next {
                next = now + interval;
                if let Some(traffic) = self.traffic() {
                    self.judge_health(Input::Counters(traffic));
                }
            }
            let wait = next.saturating_sub(self.now());
            std::thread::sleep(wait.clamp(SHORTEST, LOOK));
        }
    }

    pub(super) fn traffic(&self) -> Option<BTreeMap<String, crate::health::Traffic>> {
        let holding = self.core.holding()?;
        let snapshot = self.core.card().counters().ok()?;
        let names = &holding.image.names;
        Some(watch::traffic(&snapshot, names, &holding.definition))
    }

    pub(super) fn judge_health(&self, input: Input) {
        let now = self.now();
        let orders = lock(&self.health).take(input, now);
        self.stirred.notify_all();
        for order in orders {
            match order {
                Order::Probe {
                    device,
                    probe,
                    negative,
                } => self.send_probe(&device, probe, negative),
                Order::Suspect { device, why } => {
                    self.note(format!("{device} is suspected: {why}"))
                }
                Order::Clear { device } => self.note(format!("{device} is cleared: it answers")),
                Order::Slow { device, mean } => {
                    self.note(format!(
                        "{device} is slow: {mean:?} until its packets come back"
                    ));
                }
                Order::Quick { device, mean } => {
                    self.note(format!("{device} is no longer slow: {mean:?}"));
                }
                Order::FailOver { device, why } => {
                    let alive = lock(&self.health).alive(&device);
                    let outcome = self.core.fail(&device);
                    match outcome {
                        Ok(outcome) => {
                            self.failed_over(&device, why, alive, &outcome);
                            self.changed(
                                &format!("{device} has failed: {why}; fail-over"),
                                outcome,
                            );
                            self.note_unavailable();
                        }
                        Err(e) => {
                            self.note(format!("{device} has failed: {why}; no fail-over: {e}"));
                            self.judge_health(Input::Undone { device });
                        }
                    }
                }
            }
        }
    }

    /// Keeps how long a fail-over took, and what of it.
    pub(super) fn failed_over(
        &self,
        device: &str,
        why: &str,
        alive: Option<Duration>,
        outcome: &Outcome,
    ) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let whole = alive.map(|alive| self.now().saturating_sub(alive));
        let repair = outcome.delta + outcome.journal + outcome.took;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut all = lock(&self.fail_overs);
        if all.len() == LOG {
            all.pop_front();
        }
        all.push_back(FailOver {
            time: since.as_secs(),
            device: device.to_string(),
            why: why.to_string(),
            whole_us: whole.map(micros),
            detect_us: whole.map(|w| micros(w.saturating_sub(repair))),
            delta_us: micros(outcome.delta),
            journal_us: micros(outcome.journal),
            words_us: micros(outcome.took),
            words: outcome.words,
        });
    }

    pub(super) fn note_unavailable(&self) {
        if let Some(holding) = self.core.holding() {
            for (service, device) in unavailable(&holding.definition) {
                self.note(format!(
                    "service {service} is unavailable: nobody stands in for {device}"
                ));
            }
            for (service, device) in bypassed(&holding.definition) {
                self.note(format!("service {service} goes on without {device}"));
            }
        }
    }

    pub(super) fn send_probe(&self, device: &str, number: u64, negative: bool) {
        let (Some(holding), Some(config)) =
            (self.core.holding(), self.config.health.devices.get(device))
        else {
            return;
        };
        lock(&self.probes).insert(device.to_string(), number);
        let frames = watch::probe(&holding.definition, device, config, number, negative);
        // A probe that is not sent is not answered, and the device is not to blame.
        if frames.is_empty() {
            self.note(format!(
                "{device} cannot be probed: it needs an address, and its interface one of the same family"
            ));
        }
        let sent = self.core.card().send(&frames);
        let unsent = match &sent {
            Ok(count) => *count < frames.len(),
            // That the card is away is said elsewhere.
            Err(CardError::Away { .. }) => true,
            Err(e) => {
                self.note(format!("a probe of {device} was not sent: {e}"));
                true
            }
        };
        if unsent || frames.is_empty() {
            self.judge_health(Input::Unsent {
                device: device.to_string(),
                probe: number,
            });
        }
    }
}
