//! The card itself: its events, its tables, what is worked out ahead; and the other engine of a pair.

use super::report::link_name;
use super::{Daemon, LOOK, SCRUB_ROWS};
use crate::config::CardConfig;
use crate::health::Input;
use crate::{lock, pair, watch};
use seqnic_card::{CardError, Link, Presence};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Daemon {
    /// Works out fail-overs before they are needed, whenever the tables have changed.
    pub(super) fn prepare(&self) {
        let mut prepared = None;
        while !self.stopping() {
            let judge = lock(&self.judge).clone();
            if let Some(judge) = judge
                && prepared != Some(judge.holding.version())
            {
                self.core.prepare();
                // What has come to hold meanwhile is looked at the next time.
                prepared = Some(judge.holding.version());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Compares with the other engine, again and again; a change is noted.
    pub(super) fn compare_peer(&self) {
        let Some(address) = self.config.pair.peer else {
            return;
        };
        while !self.stopping() {
            let own = pair::told(self.core.holding().as_ref());
            let now = pair::compare(address, &own, pair::ask(address));
            let was = lock(&self.peer).replace(now.clone());
            if was.is_none_or(|was| (was.state, was.what) != (now.state.clone(), now.what.clone()))
            {
                let what = if now.what.is_empty() {
                    String::new()
                } else {
                    format!(": {}", now.what)
                };
                self.note(format!("the other engine ({address}): {}{what}", now.state));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells the other engine until the daemon ends.
    pub fn tell_peer(&self, listener: &std::net::TcpListener) {
        while !self.stopping() {
            pair::serve(listener, &pair::told(self.core.holding().as_ref()));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn events(&self) {
        while !self.stopping() {
            match self.core.card().event(LOOK) {
                None => {}
                Some(seqnic_card::Event::Link { port, link }) => {
                    self.note(format!("port {port}: link {}", link_name(link)));
                    self.link(port, link);
                }
                Some(seqnic_card::Event::Reset) => {
                    self.core.part();
                    self.note(String::from("the card was reset; it is opened anew"));
                }
                Some(seqnic_card::Event::Gone { why }) => {
                    self.core.part();
                    self.note(format!("the card is gone: {why}"));
                    if self.core.card().presence() == Presence::Here {
                        // It cannot be opened anew from here.
                        self.stop();
                    }
                }
                Some(seqnic_card::Event::Back) => self.back(),
            }
        }
    }

    /// Devices behind a port whose link went down are suspected at once.
    pub(super) fn link(&self, port: u8, link: Link) {
        if let Some(holding) = self.core.holding() {
            self.judge_health(Input::Link {
                devices: watch::behind(&holding.definition, port),
                up: link == Link::Up,
            });
        }
    }

    /// The card is there again: its tables become what they should be, if they are not.
    pub(super) fn back(&self) {
        match self.core.join() {
            Ok(found) => {
                self.note(format!("the card is there: {}", found.words()));
                self.follow();
            }
            Err(e) => {
                let why = format!("it is there and cannot be used: {e}");
                self.note(format!("the card: {why}"));
                self.core.card().give_up(&why);
            }
        }
    }

    /// Looks at the tables, round and round, and mends them.
    pub(super) fn scrub(&self) {
        let CardConfig::At(at) = &self.config.card else {
            return;
        };
        // Few at a time: who writes tables waits that long.
        let rows = at.scrub.min(SCRUB_ROWS);
        let pause = Duration::from_secs(1) * rows / at.scrub;
        while !self.stopping() {
            std::thread::sleep(pause.min(LOOK * 5));
            // What the card is to have must be known: it is while something holds, and nobody changes it.
            if self.core.holding().is_none() {
                continue;
            }
            match self.core.scrub(rows) {
                Ok(repairs) => {
                    for repair in repairs {
                        self.repairs.fetch_add(1, Ordering::Relaxed);
                        self.note(format!(
                            "table {}, row {} was mended: it had {:x?}, not {:x?}",
                            repair.table.name(),
                            repair.row,
                            repair.found,
                            repair.wanted
                        ));
                    }
                }
                Err(CardError::Away { .. }) => {}
                Err(e) => {
                    self.note(format!("tables cannot be looked at: {e}"));
                    std::thread::sleep(LOOK);
                }
            }
        }
    }
}
