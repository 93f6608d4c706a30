//! How long a fail-over takes, from the last good packet until the alternate has the next one, and what of it.

use crate::Failure;
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

/// Kills the firewall in use so often. Times in which a firewall counted as failed before it died, as happens on a machine
/// that is busy with other things for longer than a heartbeat may take, are not among the results.
///
/// # Errors
/// Something does not happen.
pub fn run(times: u32, every_ms: u64, timeout_ms: u64, tries: u32) -> Result<Vec<Time>, Failure> {
    let rig = Rig::start(&probes(every_ms, timeout_ms, tries), Duration::from_secs(5))?;
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
        let end = Instant::now() + Duration::from_secs(1);
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
        found.push(Time {
            outage: first.saturating_duration_since(last),
            daemon,
        });
        rig.world.set_alive(0, true);
    }
    rig.stop();
    Ok(found)
}
