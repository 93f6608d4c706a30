//! A card that is lost in every way a driver notices, and comes back.

mod common;

use common::{Rig, arp, image, options};
use seqnic_card::{Card, CardError, Event, Presence};
use seqnic_device::{Device, Kept};
use seqnic_faults::Fault;
use seqnic_spec::geometry::EDGE;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn kept(rig: &Rig) -> Kept {
    let faulty = rig.faulty.clone();
    let connect = move || Device::open(faulty.clone(), options());
    Kept::open("memory", &EDGE, Box::new(connect))
}

/// The next event, which must come.
fn event(kept: &Kept) -> Event {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(event) = kept.event(Duration::from_millis(20)) {
            return event;
        }
        assert!(Instant::now() < until, "nothing happens");
    }
}

fn away(kept: &Kept) -> seqnic_card::Away {
    match kept.presence() {
        Presence::Away(away) => away,
        Presence::Here => panic!("it is here"),
    }
}

#[test]
fn a_card_that_was_lost_is_opened_again_and_has_its_tables() {
    let image = image(&common::definition());
    for (fault, said) in [
        (Fault::Gone, "gone"),
        (Fault::Lost, "gone"),
        (Fault::Silent, "hangs"),
        (Fault::Frozen, "hangs"),
    ] {
        let rig = Rig::new();
        let kept = kept(&rig);
        assert_eq!(kept.presence(), Presence::Here);
        kept.load(&image).unwrap();
        let before = kept.read_back().unwrap();
        // A look while all is well: a card that freezes shows what was seen then.
        assert_eq!(kept.event(Duration::ZERO), None);
        rig.faulty.set(fault);
        let Event::Gone { why } = event(&kept) else {
            panic!("{fault:?}: another event");
        };
        assert!(why.contains(said), "{fault:?}: {why}");
        assert!(
            matches!(kept.read_back(), Err(CardError::Away { .. })),
            "{fault:?}"
        );
        // No packets, and no error: those who wait for packets go on waiting.
        let mut packets = Vec::new();
        kept.receive(&mut packets, Duration::from_millis(1))
            .unwrap();
        // It is tried again, and says what is wrong.
        let until = Instant::now() + Duration::from_secs(30);
        while away(&kept).tries < 2 {
            assert!(Instant::now() < until, "{fault:?}: it is not tried again");
            assert_eq!(kept.event(Duration::from_millis(10)), None);
        }
        rig.faulty.set(Fault::None);
        assert_eq!(event(&kept), Event::Back, "{fault:?}");
        assert_eq!(kept.presence(), Presence::Here);
        assert_eq!(kept.read_back().unwrap(), before, "{fault:?}");
        let frame = arp(1, 60);
        rig.arrive([(0, &frame[..])]);
        kept.receive(&mut packets, Duration::from_secs(10)).unwrap();
        assert_eq!(packets.len(), 1, "{fault:?}");
    }
}

#[test]
fn a_call_that_finds_the_card_gone_is_told_as_an_event_too() {
    let rig = Rig::new();
    let kept = kept(&rig);
    rig.faulty.set(Fault::Lost);
    assert!(kept.counters().is_err());
    let Presence::Away(away) = kept.presence() else {
        panic!("it is here");
    };
    assert!(away.met && away.tries == 0);
    assert!(matches!(event(&kept), Event::Gone { .. }));
    rig.faulty.set(Fault::None);
    assert_eq!(event(&kept), Event::Back);
    kept.counters().unwrap();
}

#[test]
fn a_reset_by_others_is_told_and_mended() {
    let rig = Rig::new();
    let kept = kept(&rig);
    rig.faulty.reset_behind().unwrap();
    assert_eq!(event(&kept), Event::Reset);
    assert_eq!(event(&kept), Event::Back);
    kept.counters().unwrap();
}

#[test]
fn pauses_grow_while_a_card_is_not_there_and_when_it_is_given_up() {
    let rig = Rig::new();
    rig.faulty.set(Fault::Lost);
    let kept = kept(&rig);
    let before = away(&kept);
    assert!(!before.met && before.tries == 1, "{before:?}");
    let mut pauses = Vec::new();
    for tries in 2..5 {
        while away(&kept).tries < tries {
            assert_eq!(kept.event(Duration::from_millis(10)), None);
        }
        pauses.push(away(&kept).next - Instant::now());
    }
    assert!(
        pauses.is_sorted() && pauses[2] > pauses[0] * 2,
        "{pauses:?}"
    );
    rig.faulty.set(Fault::None);
    assert_eq!(event(&kept), Event::Back);
    let next = |kept: &Kept| away(kept).next - away(kept).since;
    kept.give_up("another card");
    assert!(matches!(event(&kept), Event::Gone { why } if why == "another card"));
    assert!(next(&kept) > pauses[2], "{:?}", next(&kept));
}

#[test]
fn nobody_is_busy_while_nothing_happens() {
    let rig = Rig::new();
    let kept = Arc::new(kept(&rig));
    let waiter = kept.clone();
    let thread = std::thread::spawn(move || {
        let mut packets = Vec::new();
        waiter
            .receive(&mut packets, Duration::from_millis(1000))
            .unwrap();
        packets.len()
    });
    let before = rig.faulty.accesses();
    let started = Instant::now();
    assert_eq!(kept.event(Duration::from_millis(1000)), None);
    // Ten looks at the rings a second, twenty at the card, a few accesses each.
    let rate = (rig.faulty.accesses() - before) as f64 / started.elapsed().as_secs_f64();
    assert!(rate < 250.0, "{rate} accesses a second");
    assert_eq!(thread.join().unwrap(), 0);
}
