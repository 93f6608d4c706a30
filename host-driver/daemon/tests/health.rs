//! The state machine of health: what holds for any inputs, and the stories it was made for.

use proptest::prelude::*;
use seqnic_daemon::health::{Health, Input, Order, Settings, Traffic, Verdict, Watched};
use std::collections::BTreeMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn settings() -> Settings {
    Settings {
        silent_intervals: 3,
        probes: 2,
        probe_timeout: MS * 50,
        slow: Some(MS * 5),
        sees_returns: true,
    }
}

fn watched(returns: bool, probed: bool, every: Option<u32>, negative: bool) -> Watched {
    Watched {
        returns,
        probed,
        every: every.map(|e| MS * e),
        negative,
    }
}

fn health(devices: &[(&str, Watched)]) -> Health {
    let mut health = Health::new(settings());
    let all = devices
        .iter()
        .map(|(n, w)| (n.to_string(), (w.clone(), false)));
    health.follow(all.collect(), Duration::ZERO);
    health
}

fn counters(device: &str, sent: u64, returned: u64) -> Input {
    Input::Counters(BTreeMap::from([(
        device.to_string(),
        traffic(sent, returned),
    )]))
}

fn traffic(sent: u64, returned: u64) -> Traffic {
    Traffic {
        sent,
        returned,
        ..Traffic::default()
    }
}

fn all(traffic: Traffic) -> Input {
    Input::Counters(BTreeMap::from([(String::from("fw"), traffic)]))
}

#[test]
fn connections_nobody_answers_are_noticed_whatever_else_comes_back() {
    let mut h = health(&[("fw", watched(true, true, None, false))]);
    let at = |n: u64, opened, answered| {
        all(Traffic {
            opened,
            answered,
            ..traffic(n * 9, n * 9)
        })
    };
    let mut orders = Vec::new();
    for n in 0..4u32 {
        orders.extend(h.take(at(n.into(), n.into(), 0), MS * 100 * n));
    }
    assert!(
        matches!(&orders[..], [Order::Suspect { .. }, Order::Probe { .. }]),
        "{orders:?}"
    );
    let orders = h.take(at(5, 4, 1), MS * 310);
    assert!(matches!(&orders[..], [Order::Clear { .. }]), "{orders:?}");
}

#[test]
fn an_engine_that_sees_no_returns_suspects_who_is_only_ever_opened_to() {
    let mut h = Health::new(Settings {
        sees_returns: false,
        ..settings()
    });
    h.follow(
        BTreeMap::from([(
            String::from("fw"),
            (watched(true, true, None, false), false),
        )]),
        Duration::ZERO,
    );
    let mut now = Duration::ZERO;
    let mut take = |sent, opened| {
        now += MS * 100;
        h.take(
            all(Traffic {
                opened,
                ..traffic(sent, 0)
            }),
            now,
        )
    };
    // Connections that go on: nothing ever comes back here, and nobody is to blame.
    for n in 1..20 {
        assert_eq!(take(n * 10, n), []);
    }
    // Only openings, intervals without anything between them.
    assert_eq!(take(191, 20), []);
    assert_eq!(take(191, 20), []);
    assert_eq!(take(192, 21), []);
    let orders = take(193, 22);
    assert!(
        matches!(&orders[..], [Order::Suspect { .. }, Order::Probe { .. }]),
        "{orders:?}"
    );
}

#[test]
fn a_slow_device_is_reported_once_and_again_when_it_is_not() {
    let mut h = health(&[("fw", watched(true, false, None, false))]);
    let mut sum = Traffic::default();
    let mut orders = Vec::new();
    for ms in [1, 2, 8, 9, 3, 4] {
        sum.times += 2;
        sum.time_sum += ms * 2_000_000;
        orders.extend(h.take(all(sum), MS));
    }
    let device = String::from("fw");
    let expected = [
        Order::Slow {
            device: device.clone(),
            mean: MS * 8,
        },
        Order::Quick {
            device,
            mean: MS * 3,
        },
    ];
    assert_eq!(orders, expected);
    assert_eq!(h.mean("fw"), Some(MS * 4));
}

/// Counters of a device that gets a packet each 100 ms and returns none.
fn silence(health: &mut Health, from: u32, intervals: u32) -> Vec<Order> {
    (0..intervals)
        .flat_map(|n| {
            health.take(
                counters("fw", u64::from(from + n), 0),
                MS * 100 * (from + n),
            )
        })
        .collect()
}

#[test]
fn silence_leads_to_a_probe_and_no_answer_to_fail_over() {
    let mut h = health(&[("fw", watched(true, true, None, false))]);
    assert_eq!(silence(&mut h, 0, 3), []);
    let orders = silence(&mut h, 3, 1);
    assert!(
        matches!(
            &orders[..],
            [Order::Suspect { .. }, Order::Probe { probe: 1, .. }]
        ),
        "{orders:?}"
    );
    let orders = h.take(Input::Tick, MS * 350);
    assert!(
        matches!(&orders[..], [Order::Probe { probe: 2, .. }]),
        "{orders:?}"
    );
    let orders = h.take(Input::Tick, MS * 400);
    assert!(
        matches!(&orders[..], [Order::FailOver { .. }]),
        "{orders:?}"
    );
    assert_eq!(h.verdict("fw"), Some(Verdict::Failed));
    // What it sends now changes nothing; an order does.
    assert_eq!(h.take(counters("fw", 9, 9), MS * 500), []);
    assert_eq!(h.verdict("fw"), Some(Verdict::Failed));
    let device = String::from("fw");
    h.take(
        Input::Ordered {
            device,
            failed: false,
        },
        MS * 600,
    );
    assert_eq!(h.verdict("fw"), Some(Verdict::Up));
}

#[test]
fn an_answer_clears_and_a_late_one_does_not() {
    let mut h = health(&[("fw", watched(true, true, None, false))]);
    silence(&mut h, 0, 4);
    let device = String::from("fw");
    let answer = |probe| Input::Answer {
        device: device.clone(),
        probe,
    };
    assert_eq!(h.take(answer(7), MS * 310), []);
    let orders = h.take(Input::Tick, MS * 350);
    assert!(matches!(&orders[..], [Order::Probe { probe: 2, .. }]));
    assert_eq!(h.take(answer(1), MS * 360), [], "the probe before");
    let orders = h.take(answer(2), MS * 370);
    assert!(matches!(&orders[..], [Order::Clear { .. }]), "{orders:?}");
    assert_eq!(h.verdict("fw"), Some(Verdict::Up));
}

#[test]
fn what_cannot_be_probed_is_reported_only_and_copies_are_not_awaited() {
    let mut h = health(&[
        ("fw", watched(true, false, None, false)),
        ("ids", watched(false, true, None, false)),
    ]);
    let orders = silence(&mut h, 0, 50);
    assert_eq!(orders.len(), 1, "{orders:?}");
    for n in 0..50 {
        assert_eq!(
            h.take(counters("ids", n, 0), MS * 5000 + MS * 100 * n as u32),
            []
        );
    }
    assert_eq!(h.verdict("fw"), Some(Verdict::Suspected));
    let orders = h.take(counters("fw", 50, 1), MS * 20_000);
    assert!(matches!(&orders[..], [Order::Clear { .. }]));
}

#[test]
fn regular_probes_find_a_dead_device_without_traffic() {
    let mut h = health(&[("fw", watched(true, true, Some(10), false))]);
    let mut failed = None;
    for ms in 0..200 {
        for order in h.take(Input::Tick, MS * ms) {
            match order {
                // It answers for 60 ms.
                Order::Probe { device, probe, .. } if ms < 60 => {
                    h.take(Input::Answer { device, probe }, MS * ms);
                }
                Order::FailOver { .. } => failed = Some(ms),
                _ => {}
            }
        }
    }
    // Two probes of 50 ms each, the first at the latest 10 ms after the last answer.
    let failed = failed.expect("the device is dead");
    assert!((150..=170).contains(&failed), "{failed}");
}

#[test]
fn a_firewall_that_stops_nothing_has_failed() {
    let mut h = health(&[("fw", watched(true, true, Some(10), true))]);
    let orders = h.take(Input::Tick, Duration::ZERO);
    let [
        Order::Probe {
            device,
            probe,
            negative: true,
        },
    ] = &orders[..]
    else {
        panic!("{orders:?}");
    };
    let (device, probe) = (device.clone(), *probe);
    assert_eq!(
        h.take(
            Input::Leak {
                device: device.clone(),
                probe: probe + 1
            },
            MS
        ),
        []
    );
    let orders = h.take(Input::Leak { device, probe }, MS);
    assert!(matches!(&orders[..], [Order::FailOver { .. }]));
}

#[derive(Debug, Clone)]
enum Event {
    Counters(usize, u64, u64),
    Answer(usize, u64),
    Leak(usize, u64),
    Ordered(usize, bool),
    Tick(u32),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4usize, 0..20u64, 0..20u64).prop_map(|(d, s, r)| Event::Counters(d, s, r)),
        (0..4usize, 0..12u64).prop_map(|(d, p)| Event::Answer(d, p)),
        (0..4usize, 0..12u64).prop_map(|(d, p)| Event::Leak(d, p)),
        (0..4usize, any::<bool>()).prop_map(|(d, f)| Event::Ordered(d, f)),
        (1..200u32).prop_map(Event::Tick),
    ]
}

proptest! {
    /// A device fails once, stays failed until an order, is never probed meanwhile; only what can be probed
    /// is taken out; no more than one probe waits, and due times are not missed.
    #[test]
    fn orders_make_sense(events in prop::collection::vec(event(), 1..200)) {
        let kinds = [
            watched(true, true, None, false),
            watched(true, false, None, false),
            watched(false, true, Some(20), true),
            watched(true, true, Some(5), false),
        ];
        let devices: Vec<(&str, Watched)> = NAMES.into_iter().zip(kinds.clone()).collect();
        let mut h = health(&devices);
        let mut now = Duration::ZERO;
        let mut failed = [false; 4];
        for event in events {
            let name = |d: usize| NAMES[d].to_string();
            let input = match event {
                Event::Counters(d, s, r) => counters(NAMES[d], s, r),
                Event::Answer(d, probe) => Input::Answer { device: name(d), probe },
                Event::Leak(d, probe) => Input::Leak { device: name(d), probe },
                Event::Ordered(d, f) => {
                    failed[d] = f;
                    Input::Ordered { device: name(d), failed: f }
                }
                Event::Tick(ms) => {
                    now += MS * ms;
                    Input::Tick
                }
            };
            for order in h.take(input, now) {
                let at = |device: &str| NAMES.iter().position(|n| *n == device).unwrap();
                match order {
                    Order::Probe { device, .. } => {
                        prop_assert!(!failed[at(&device)]);
                        prop_assert!(kinds[at(&device)].probed);
                    }
                    Order::Suspect { device, .. }
                    | Order::Clear { device }
                    | Order::Slow { device, .. }
                    | Order::Quick { device, .. } => {
                        prop_assert!(!failed[at(&device)]);
                    }
                    Order::FailOver { device, .. } => {
                        let d = at(&device);
                        prop_assert!(!failed[d], "failed twice");
                        prop_assert!(kinds[d].probed || kinds[d].negative);
                        failed[d] = true;
                    }
                }
            }
            for (d, name) in NAMES.iter().enumerate() {
                prop_assert_eq!(h.verdict(name) == Some(Verdict::Failed), failed[d]);
            }
            if let Some(due) = h.due() {
                prop_assert!(due > now, "something is due and was not done");
            }
        }
    }
}

#[test]
fn a_probe_that_was_not_sent_blames_nobody_and_a_fail_over_that_was_not_done_comes_again() {
    let mut h = health(&[("fw", watched(true, true, Some(10), false))]);
    let mut now = Duration::ZERO;
    let device = || String::from("fw");
    // The card is away for long.
    for _ in 0..50 {
        for order in h.take(Input::Tick, now) {
            let Order::Probe { probe, .. } = order else {
                panic!("{order:?}");
            };
            h.take(
                Input::Unsent {
                    device: device(),
                    probe,
                },
                now,
            );
        }
        now += MS * 20;
    }
    assert_eq!(h.verdict("fw"), Some(Verdict::Up));
    // It is there again, and the device is dead.
    let fail = |h: &mut Health, now: &mut Duration| {
        for _ in 0..50 {
            *now += MS * 20;
            let orders = h.take(Input::Tick, *now);
            if orders.iter().any(|o| matches!(o, Order::FailOver { .. })) {
                return;
            }
        }
        panic!("no fail-over");
    };
    fail(&mut h, &mut now);
    assert_eq!(h.verdict("fw"), Some(Verdict::Failed));
    h.take(Input::Undone { device: device() }, now);
    assert_eq!(h.verdict("fw"), Some(Verdict::Suspected));
    fail(&mut h, &mut now);
}
