//! A short soak, and a fail-over: the long ones are `make soak` and `make fail-over`.

use seqnic_soak::failover::{self, Probes};
use seqnic_soak::soak;
use std::time::Duration;

#[test]
fn books_balance_after_twenty_seconds_of_everything() {
    let report = soak::run(Duration::from_secs(20), 1, |_| {}).unwrap();
    assert!(report.deeds.values().sum::<u64>() > 10, "{report:#?}");
    assert!(report.books.returned > report.books.sent / 4, "{report:#?}");
}

#[test]
fn a_fail_over_is_timed_by_its_parts() {
    // No figure is checked: the machine may be busy.
    let slow = Probes {
        every_ms: 100,
        timeout_ms: 500,
        tries: 2,
    };
    for time in failover::run(2, slow).unwrap() {
        let d = &time.daemon;
        let parts = d.detect_us.unwrap() + d.delta_us + d.journal_us + d.words_us;
        assert!(parts.abs_diff(d.whole_us.unwrap()) < 5, "{time:?}");
        assert!(time.daemon.words.is_some_and(|w| w > 0), "{time:?}");
    }
}

/// In the card's time: however busy the machine is, it is the host's that counts little.
#[test]
fn the_verilated_card_has_the_alternate_in_use_within_30_ms() {
    let probes = Probes {
        every_ms: 5,
        timeout_ms: 5,
        tries: 2,
    };
    let found = failover::verilated(3, probes, |_| {}).unwrap();
    assert!(!found.is_empty());
    for time in found {
        assert!(time.outage < Duration::from_millis(30), "{time:?}");
        // Two heartbeats had their time.
        assert!(time.daemon.detect_us.unwrap() >= 10_000, "{time:?}");
        assert!(time.daemon.words_us < 1000, "{time:?}");
    }
}
