//! A card that breaks: a clear error, in time, nothing claimed that was not, no memory harmed, and a clean retry.

mod common;

use common::{Rig, arp, definition, image, receive};
use proptest::prelude::*;
use seqnic_device::{Device, Error, Options, Way};
use seqnic_faults::Fault;
use seqnic_spec::host::rings::{LINE_BYTES, Ring};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LINE: usize = LINE_BYTES as usize;
/// Where the status line of a ring is with the rings of `common::SMALL`.
fn status(ring: Ring) -> usize {
    7 * 512 * LINE + ring as usize * LINE
}

fn loaded() -> (Rig, Device) {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    device.load(&image(&definition())).unwrap();
    (rig, device)
}

/// After whatever it was: the card works again, opened anew.
fn retry(rig: &Rig, device: Device) {
    rig.faulty.set(Fault::None);
    drop(device);
    rig.card.lock().release();
    let device = rig.open().unwrap();
    let frame = arp(99, 100);
    rig.arrive([(0, &frame[..])]);
    assert_eq!(receive(&device).unwrap(), [frame]);
    device.check().unwrap();
}

#[test]
fn every_lie_of_a_ring_is_called_one() {
    type Lie = (Ring, usize, u32, &'static str);
    let at = |ring: Ring, line: usize, byte: usize| (ring as usize * 512 + line) * LINE + byte;
    let lies: [Lie; 9] = [
        (Ring::Packets0, status(Ring::Packets0), 700, "index 700"),
        (Ring::Packets0, status(Ring::Packets0), 1, "index 1 in"),
        (
            Ring::Packets0,
            status(Ring::Packets0),
            0x0200_0000,
            "more than 24 bits",
        ),
        (
            Ring::Packets0,
            status(Ring::Packets0) + 12,
            17,
            "an error there is not",
        ),
        // The header of the third record: kind 1, lines, length; then its number.
        (
            Ring::Packets0,
            at(Ring::Packets0, 4, 0),
            0x003c_0109,
            "kind 9",
        ),
        (
            Ring::Packets0,
            at(Ring::Packets0, 4, 0),
            0x003c_ff01,
            "in 255 lines",
        ),
        (
            Ring::Packets0,
            at(Ring::Packets0, 4, 0),
            0x0041_0101,
            "65 bytes in 1 lines",
        ),
        (
            Ring::Packets0,
            at(Ring::Packets0, 4, 4),
            1,
            "number 1, when number 2",
        ),
        (
            Ring::Packets0,
            at(Ring::Packets0, 4, 16),
            0x3f,
            "a reason there is not",
        ),
    ];
    for (ring, place, value, want) in lies {
        let (rig, device) = loaded();
        let frames: Vec<_> = (0..3).map(|n| arp(n, 60)).collect();
        rig.arrive(frames[..2].iter().map(|f| (0, &f[..])));
        assert_eq!(receive(&device).unwrap(), frames[..2]);
        rig.arrive([(0, &frames[2][..])]);
        let memory = rig.faulty.memory();
        memory[0].1.set_word(place, value);
        let mut got = Vec::new();
        let error = device
            .receive(8, |p| got.push(p.frame.to_vec()))
            .unwrap_err();
        assert!(got.is_empty(), "{want}: a packet was claimed");
        assert!(
            matches!(&error, Error::Lied { ring: r, .. } if *r == ring),
            "{error}"
        );
        assert!(error.to_string().contains(want), "{want}: {error}");
        let again = device.receive(8, |_| {}).unwrap_err();
        assert!(matches!(again, Error::Ended { .. }), "{again}");
        retry(&rig, device);
    }
}

#[test]
fn a_driver_ring_consumed_too_far_is_a_lie() {
    let (rig, device) = loaded();
    let frame = arp(1, 60);
    device.send([(Way::Out, 0, &frame[..])]).unwrap();
    let memory = rig.faulty.memory();
    memory[0].1.set_word(status(Ring::Transmit), 200);
    let error = device.send([(Way::Out, 0, &frame[..])]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("consumed up to 200 of 2 produced"),
        "{error}"
    );
    retry(&rig, device);
}

#[test]
fn what_the_card_says_of_a_broken_driver_is_passed_on() {
    let (rig, device) = loaded();
    // A record that cannot be, as a bug of the driver would write it.
    let memory = rig.faulty.memory();
    device.send([(Way::Out, 0, &arp(1, 60)[..])]).unwrap();
    let ring = Ring::Transmit as usize * 512 * LINE;
    memory[0].1.set_word(ring + 2 * LINE, 0xffff);
    use seqnic_spec::host::registers as reg;
    device
        .registers()
        .write(&reg::DOORBELL, Ring::Transmit as u32, 4)
        .unwrap();
    let error = device.check().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("stopped ring `transmit`: Record"),
        "{error}"
    );
    retry(&rig, device);
}

/// A command that a reset card has lost is not waited for any longer than until the reset is noticed.
#[test]
fn who_waits_for_a_command_is_told_when_the_card_was_reset() {
    let rig = Rig::new();
    let options = Options {
        timeout: Duration::from_secs(100),
        ..common::options()
    };
    let device = Arc::new(Device::open(rig.faulty.clone(), options).unwrap());
    device.load(&image(&definition())).unwrap();
    rig.faulty.reset_behind().unwrap();
    let started = Instant::now();
    let waiting = {
        let device = device.clone();
        std::thread::spawn(move || device.scrub(10))
    };
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    let noticed = device.check().unwrap_err();
    assert!(
        matches!(
            noticed,
            Error::Transport(seqnic_transport::Error::Reset { .. })
        ),
        "{noticed}"
    );
    let told = waiting.join().unwrap().unwrap_err();
    assert!(matches!(told, Error::Ended { .. }), "{told}");
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_card_that_is_gone_hangs_or_was_reset_is_told_apart() {
    type Right = fn(&Error) -> bool;
    let cases: [(Fault, Right); 4] = [
        (Fault::Gone, |e| {
            matches!(e, Error::Transport(seqnic_transport::Error::Gone { .. }))
        }),
        (Fault::Lost, |e| {
            matches!(e, Error::Transport(seqnic_transport::Error::Gone { .. }))
        }),
        (Fault::Silent, |e| {
            matches!(e, Error::Transport(seqnic_transport::Error::Hung { .. }))
        }),
        (Fault::Frozen, |e| {
            matches!(e, Error::Hung { clock: false, .. })
        }),
    ];
    for (fault, right) in cases {
        let (rig, device) = loaded();
        device.check().unwrap();
        rig.faulty.set(fault);
        let from = Instant::now();
        let error = loop {
            if let Err(e) = device.check() {
                break e;
            }
            assert!(
                from.elapsed() < Duration::from_secs(20),
                "{fault:?} is not noticed"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(right(&error) && error.lost(), "{fault:?}: {error}");
        retry(&rig, device);
    }
    let (rig, device) = loaded();
    rig.faulty.reset_behind().unwrap();
    let error = device.check().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport(seqnic_transport::Error::Reset { .. })
        ),
        "{error}"
    );
    retry(&rig, device);
}

#[test]
fn commands_of_a_card_that_does_nothing_end_in_time() {
    for (fault, clock) in [(Fault::Deaf, true), (Fault::Frozen, false)] {
        let (rig, device) = loaded();
        device.check().unwrap();
        rig.faulty.set(fault);
        let from = Instant::now();
        let error = device
            .read(seqnic_spec::tables::Table::Action, 0..9)
            .unwrap_err();
        assert!(
            matches!(error, Error::Hung { clock: c, .. } if c == clock),
            "{error}"
        );
        assert!(from.elapsed() < Duration::from_secs(20));
        retry(&rig, device);
    }
}

#[test]
fn memory_stays_the_cards_until_it_is_known_to_be_quiet() {
    for (fault, quiet) in [
        (Fault::None, true),
        (Fault::NoReset, false),
        (Fault::Gone, false),
    ] {
        let (rig, device) = loaded();
        let lent = std::sync::Arc::downgrade(&rig.faulty.memory()[0].1);
        rig.faulty.set(fault);
        drop(device);
        assert_eq!(rig.faulty.memory().is_empty(), quiet, "{fault:?}");
        // A card that goes on writes to memory that is still there, and nobody else's.
        rig.arrive([(0, &arp(1, 60)[..])]);
        assert_eq!(lent.upgrade().is_none(), quiet, "{fault:?}");
        assert_eq!(rig.card.lock().host.mappings() == 0, quiet);
    }
}

/// What happens to a card.
#[derive(Debug, Clone)]
enum Happening {
    Arrive(u8, usize),
    Receive,
    Send(usize),
    Read,
    Scrub,
    Check,
    Fault(Fault),
    FaultAfter(u64, Fault),
    ResetBehind,
    /// A status line says something else.
    Status(u8, u8, u32),
    /// A header that is not due yet, or is, says something else: word 0 or 1 of a line of a ring.
    Header(u8, u16, u32),
    Retry,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::None),
        Just(Fault::Gone),
        Just(Fault::Lost),
        Just(Fault::Silent),
        Just(Fault::Frozen),
        Just(Fault::Deaf),
        Just(Fault::NoReset),
        Just(Fault::Slow(Duration::from_micros(10))),
        (0u32..32).prop_map(Fault::Flipped),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0u8..4, 42usize..2000).prop_map(|(p, n)| Happening::Arrive(p, n)),
        4 => Just(Happening::Receive),
        2 => (42usize..2000).prop_map(Happening::Send),
        1 => Just(Happening::Read),
        1 => Just(Happening::Scrub),
        1 => Just(Happening::Check),
        1 => fault().prop_map(Happening::Fault),
        1 => (0u64..40, fault()).prop_map(|(n, f)| Happening::FaultAfter(n, f)),
        1 => Just(Happening::ResetBehind),
        1 => (0u8..7, 0u8..16, any::<u32>()).prop_map(|(r, w, v)| Happening::Status(r, w, v)),
        1 => (0u8..5, 0u16..512, any::<u32>()).prop_map(|(r, l, v)| Happening::Header(r, l, v)),
        1 => Just(Happening::Retry),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never a panic, never longer than the time-outs, never a packet that did not arrive, none twice, none out
    /// of order, and a card that works again works.
    #[test]
    fn random_faults_are_survived(happenings in prop::collection::vec(happening(), 1..60)) {
        let image = image(&definition());
        let (rig, first) = loaded();
        let mut device = Some(first);
        let mut number = 0u32;
        let mut arrived = std::collections::BTreeMap::new();
        let mut newest = None;
        let mut lying = false;
        for what in happenings {
            let from = Instant::now();
            match what {
                Happening::Arrive(port, bytes) => {
                    let frame = arp(number, bytes);
                    rig.arrive([(port, &frame[..])]);
                    arrived.insert(number, frame);
                    number += 1;
                }
                Happening::Receive => if let Some(device) = &device {
                    let mut got = Vec::new();
                    let done = device.receive(64, |p| got.push(p.frame.to_vec()));
                    prop_assert!(done.is_err() || done.is_ok_and(|n| n == got.len()));
                    for frame in got {
                        // A header that was overwritten may say a shorter length, which only the frame itself shows.
                        let id = u32::from_be_bytes(frame[14..18].try_into().unwrap());
                        let whole = arrived.get(&id);
                        prop_assert!(whole.is_some_and(|w| *w == frame || lying && w.starts_with(&frame)), "frame {id}");
                        prop_assert!(newest.is_none_or(|n| n < id) || lying, "frame {id} again");
                        newest = Some(id);
                    }
                },
                Happening::Send(bytes) => if let Some(device) = &device {
                    let frame = arp(0, bytes);
                    let _ = device.send([(Way::Out, 1, &frame[..])]);
                },
                Happening::Read => if let Some(device) = &device {
                    let _ = device.read(seqnic_spec::tables::Table::Class, 0..20);
                },
                Happening::Scrub => if let Some(device) = &device {
                    let _ = device.scrub(50);
                },
                Happening::Check => if let Some(device) = &device {
                    let _ = device.check();
                },
                Happening::Fault(fault) => rig.faulty.set(fault),
                Happening::FaultAfter(n, fault) => rig.faulty.set_after(n, fault),
                Happening::ResetBehind => { let _ = rig.faulty.reset_behind(); }
                Happening::Status(ring, word, value) => for (_, memory) in rig.faulty.memory() {
                    let ring = Ring::ALL[usize::from(ring)];
                    memory.set_word(status(ring) + 4 * usize::from(word), value);
                },
                Happening::Header(ring, line, value) => for (_, memory) in rig.faulty.memory() {
                    lying = true;
                    memory.set_word((usize::from(ring) * 512 + usize::from(line)) * LINE, value);
                },
                Happening::Retry => {
                    drop(device.take());
                    device = rig.open().ok();
                }
            }
            // A command waits 300 ms for progress and looks at the clock; nothing waits for more than some of them.
            prop_assert!(from.elapsed() < Duration::from_secs(20));
        }
        rig.faulty.set(Fault::None);
        drop(device);
        rig.card.lock().release();
        let device = rig.open().unwrap();
        device.load(&image).unwrap();
        receive(&device).unwrap();
        let frame = arp(u32::MAX, 60);
        rig.arrive([(0, &frame[..])]);
        prop_assert_eq!(receive(&device).unwrap(), [frame]);
        device.check().unwrap();
    }
}
