//! Exceptions on their way to the host.

use super::lock;
use crate::ToHost;
use seqnic_spec::reason::Reason;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Packets of one reason that may wait: a flood of misses leaves ARP its place.
const OF_A_REASON: u16 = 1024;

/// A queue, bounded for each reason by itself.
#[derive(Default)]
pub struct ToHostQueue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    packets: VecDeque<ToHost>,
    waiting: [u16; Reason::ALL.len()],
}

impl ToHostQueue {
    /// Room for a packet of `reason`; whoever asks puts one.
    pub fn has_room(&self, reason: Reason) -> bool {
        lock(&self.state).waiting[reason as usize] < OF_A_REASON
    }

    pub fn put(&self, packet: ToHost) {
        let mut state = lock(&self.state);
        state.waiting[packet.reason as usize] += 1;
        state.packets.push_back(packet);
        drop(state);
        self.arrived.notify_one();
    }

    pub fn take(&self, out: &mut Vec<ToHost>, wait: Duration) {
        let state = lock(&self.state);
        let (mut state, _) = (self.arrived)
            .wait_timeout_while(state, wait, |s| s.packets.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        out.extend(state.packets.drain(..));
        state.waiting = Default::default();
    }
}
