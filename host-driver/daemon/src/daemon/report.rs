//! What `status`, `counters` and Prometheus show.

use super::{Daemon, LOOK};
use crate::api::{CardState, Counters, DefinitionStatus, DeviceStatus, PortStatus, Status};
use crate::core::{Holding, bypassed, unavailable};
use crate::health::Verdict;
use crate::journal::digest;
use crate::metrics::{self, Gauges};
use crate::{lock, pair};
use seqnic_card::{CardError, Link, Presence};
use seqnic_compiler::definition::State;
use seqnic_image::Names;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

impl Daemon {
    pub(super) fn counters(&self) -> Result<Counters, CardError> {
        let snapshot = self.core.card().counters()?;
        let holding = self.core.holding();
        let Some(holding) = holding else {
            return Ok(metrics::counters(&snapshot, &Names::default(), None));
        };
        let definition = Some(&*holding.definition);
        Ok(metrics::counters(
            &snapshot,
            &holding.image.names,
            definition,
        ))
    }

    pub(super) fn device_states(&self, holding: &Holding) -> Vec<DeviceStatus> {
        let health = lock(&self.health);
        let devices = holding.definition.devices.iter();
        devices
            .map(|d| DeviceStatus {
                name: d.name.clone(),
                function: d.function.clone(),
                response_ns: health.mean(&d.name).map(|m| m.as_nanos() as u64),
                state: String::from(match (d.state, health.verdict(&d.name)) {
                    (State::Failed, _) => "failed",
                    (_, Some(Verdict::Suspected)) => "suspected",
                    _ => "up",
                }),
            })
            .collect()
    }

    pub fn status(&self) -> Status {
        let holding = self.core.holding();
        let card = self.core.card();
        let identity = card.identity();
        let of = |f: &dyn Fn(&Holding) -> DefinitionStatus| holding.as_ref().map(f);
        let name = |number: u16| {
            let interfaces = holding.as_ref().map(|h| &h.definition.interfaces);
            interfaces
                .and_then(|i| i.get(usize::from(number)))
                .map(|i| i.name.clone())
        };
        Status {
            version: String::from(env!("CARGO_PKG_VERSION")),
            card: identity.name,
            card_state: card_state(card.presence()),
            geometry: identity.geometry.name.to_string(),
            uptime: (self.now() - self.started).as_secs(),
            definition: of(&|h| DefinitionStatus {
                name: h.definition.name.clone(),
                file: h.record.name.clone(),
                generation: h.definition.generation,
                digest: digest(&h.image),
                text_digest: pair::digest(&h.record.text),
                services: h.definition.services.len(),
            }),
            ports: (0..identity.geometry.ports as u8)
                .map(|port| PortStatus {
                    port,
                    link: link_name(card.link(port)).to_string(),
                })
                .collect(),
            devices: holding
                .as_ref()
                .map(|h| self.device_states(h))
                .unwrap_or_default(),
            unavailable: holding
                .as_ref()
                .map(|h| unavailable(&h.definition))
                .unwrap_or_default(),
            bypassed: holding
                .as_ref()
                .map(|h| bypassed(&h.definition))
                .unwrap_or_default(),
            neighbours: lock(&self.neighbours).clone(),
            discovered: lock(&self.strangers).list(name),
            taps: (self.taps.names().into_iter())
                .filter_map(|(number, tap)| Some((name(number)?, tap)))
                .collect(),
            repairs: self.repairs.load(Ordering::Relaxed),
            fail_overs: lock(&self.fail_overs).iter().cloned().collect(),
            exceptions: (lock(&self.deeds).iter())
                .map(|((reason, deed), n)| (format!("{reason} {deed}"), *n))
                .collect(),
            log: lock(&self.log).iter().cloned().collect(),
            peer: lock(&self.peer).clone(),
        }
    }

    /// What Prometheus gets.
    ///
    /// # Errors
    /// The card fails.
    pub fn prometheus(&self) -> Result<String, CardError> {
        let status = self.status();
        // A card that is away has no counters to show, and that it is away is what matters then.
        let counters = match status.card_state.here {
            true => self.counters()?,
            false => Counters::default(),
        };
        let mut gone: BTreeMap<String, u64> = BTreeMap::new();
        for (service, _) in &status.unavailable {
            *gone.entry(service.clone()).or_default() += 1;
        }
        let mut done_without: BTreeMap<String, u64> = BTreeMap::new();
        for (service, _) in &status.bypassed {
            *done_without.entry(service.clone()).or_default() += 1;
        }
        let gauges = Gauges {
            card: status.card_state.here,
            repairs: status.repairs,
            defined: status.definition.is_some(),
            version: status.version,
            suspected: (status.devices.iter())
                .map(|d| (d.name.clone(), d.state == "suspected"))
                .collect(),
            devices: (status.devices.into_iter())
                .map(|d| (d.name, d.state != "failed"))
                .collect(),
            unavailable: gone,
            bypassed: done_without,
            links: (status.ports.into_iter())
                .filter(|p| p.link != "none")
                .map(|p| (p.port, p.link == "up"))
                .collect(),
            exceptions: lock(&self.deeds).clone(),
            logons: self.logons_by_outcome(),
        };
        Ok(metrics::prometheus(&counters, &gauges))
    }

    fn logons_by_outcome(&self) -> BTreeMap<String, u64> {
        if self.config.provisioner.is_none() {
            return BTreeMap::new();
        }
        let of = |n: &AtomicU64| n.load(Ordering::Relaxed);
        [
            ("accepted", of(&self.logons.accepted)),
            ("refused", of(&self.logons.refused)),
        ]
        .map(|(outcome, n)| (outcome.to_string(), n))
        .into()
    }

    /// Serves Prometheus until the daemon ends.
    pub fn serve_metrics(&self, server: &tiny_http::Server) {
        while !self.stopping() {
            let Ok(Some(request)) = server.recv_timeout(LOOK) else {
                continue;
            };
            let response = match (request.url(), self.prometheus()) {
                ("/metrics", Ok(text)) => {
                    let kind = b"text/plain; version=0.0.4";
                    let header = tiny_http::Header::from_bytes(&b"Content-Type"[..], &kind[..]);
                    let response = tiny_http::Response::from_string(text);
                    match header {
                        Ok(header) => response.with_header(header),
                        Err(()) => response,
                    }
                }
                ("/metrics", Err(e)) => {
                    tiny_http::Response::from_string(e.to_string()).with_status_code(500)
                }
                _ => tiny_http::Response::from_string("ask for /metrics\n").with_status_code(404),
            };
            // Who asked may be gone.
            let _gone = request.respond(response);
        }
    }
}

fn card_state(presence: Presence) -> CardState {
    let Presence::Away(away) = presence else {
        return CardState {
            here: true,
            ..CardState::default()
        };
    };
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    CardState {
        here: false,
        why: Some(away.why),
        away_ms: millis(away.since.elapsed()),
        tries: away.tries,
        next_ms: millis(away.next.saturating_duration_since(Instant::now())),
        met: away.met,
    }
}

pub(super) fn link_name(link: Link) -> &'static str {
    match link {
        Link::Up => "up",
        Link::Down => "down",
        Link::None => "none",
    }
}
