//! `seqnicd`: a daemon beside a card.
//!
//! * [`config`]: the one file it is started with;
//! * [`card`]: the card it names;
//! * [`confine`]: what the process may still do once it has read its configuration;
//! * [`core`]: which definition holds, and how another one comes to hold, all or nothing; [`journal`] is
//!   its memory on disk;
//! * [`api`], [`server`], [`client`]: requests over a Unix socket, a line of JSON each;
//! * [`provisioner`]: the same over TLS, for those who may log on from elsewhere;
//! * [`linux`]: each interface of the engine as a TAP device, so that the kernel answers ARP, ND and
//!   ping for the engine's addresses; [`exceptions`]: what becomes of packets the card gives to the host;
//! * [`health`]: from counters and probes to fail-over, as a pure state machine; [`watch`] feeds it, by the time of
//!   [`clock`], in threads with a [`priority`];
//! * [`metrics`]: counters for Prometheus.

pub mod api;
pub mod card;
pub mod client;
pub mod clock;
pub mod config;
pub mod confine;
pub mod core;
pub mod daemon;
pub mod detect;
pub mod exceptions;
pub mod health;
pub mod journal;
pub mod kea;
pub mod keepalived;
pub mod linux;
pub mod metrics;
pub mod neighbours;
pub mod pair;
pub mod priority;
pub mod provisioner;
pub mod server;
pub mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock whose holder panicked is taken all the same: what is guarded here changes as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
