//! How long a fail-over takes, from the last good packet until the alternate has the next one, and what of it.

use crate::Failure;
use crate::ports::Ports;
use crate::rig::{Rig, state};
use crate::world::{FIREWALLS, probes};
use seqnic_daemon::api::{FailOver, Request};
use std::time::{Duration, Instant};

/// One of them.
#[derive(Debug, Clone)]
pub struct Time {
    /// From the last frame through the firewall that died to the first one behind that through its alternate.
    pub outage: Duration,
    pub daemon: FailOver,
}

/// How long the first frame may be behind the fail-over: a simulation is slow.
const BEHIND: Duration = Duration::from_secs(30);

/// How the firewalls are probed.
#[derive(Debug, Clone, Copy)]
pub struct Probes {
    pub every_ms: u64,
    pub timeout_ms: u64,
    pub tries: u32,
}

impl Probes {
    fn config(self) -> String {
        probes(self.every_ms, self.timeout_ms, self.tries)
    }
}

/// Kills the firewall in use so often, on a card in memory.
///
/// # Errors
/// Something does not happen.
pub fn run(times: u32, probes: Probes) -> Result<Vec<Time>, Failure> {
    let rig = Rig::start(&probes.config(), Duration::from_secs(5))?;
    kill(rig, times, |_| {})
}

/// As [`run`], on the verilated card, in the time of a card at 125 MHz.
///
/// # Errors
/// As [`run`].
pub fn verilated(
    times: u32,
    probes: Probes,
    each: impl FnMut(&Time),
) -> Result<Vec<Time>, Failure> {
    kill(Rig::verilated(&probes.config())?, times, each)
}

/// Times in which a firewall counted as failed before it died, as happens on a machine that is busy with other things for
/// longer than a heartbeat may take, are not among the results.
fn kill<C: Ports + 'static>(
    rig: Rig<C>,
    times: u32,
    mut each: impl FnMut(&Time),
) -> Result<Vec<Time>, Failure> {
    rig.world.traffic(true);
    let mut found = Vec::new();
    for _ in 0..times {
        for name in FIREWALLS {
            // A busy machine may have answered a probe too late.
            if state(&rig.status(), name) == "failed" {
                let device = name.to_string();
                rig.ask(Request::Restore { device })?;
            }
        }
        // Long enough for the change to be ready, as it is in a host where nothing has happened for a while.
        std::thread::sleep(Duration::from_millis(500));
        let before = rig.status().fail_overs.len();
        rig.world.set_alive(0, false);
        let last = rig.world.passed(0);
        let status = rig.until("the dead firewall counts as failed", |s| {
            state(s, FIREWALLS[0]) == "failed"
        })?;
        let end = Instant::now() + BEHIND;
        let held = status.fail_overs.get(before..).unwrap_or(&[]);
        let daemon = held.iter().find(|f| f.device == FIREWALLS[0]).cloned();
        let (Some(last), Some(daemon)) = (last, daemon) else {
            // It counted as failed before it died: a busy machine again.
            rig.world.set_alive(0, true);
            continue;
        };
        let first = loop {
            let first = rig.world.first(1);
            if first.is_some() || Instant::now() > end {
                break first;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        // The alternate counts as failed too, by a false alarm.
        let Some(first) = first else {
            rig.world.set_alive(0, true);
            continue;
        };
        let time = Time {
            outage: first.saturating_sub(last),
            daemon,
        };
        each(&time);
        found.push(time);
        rig.world.set_alive(0, true);
    }
    rig.stop();
    Ok(found)
}
