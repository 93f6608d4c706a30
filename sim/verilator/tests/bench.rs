//! Clocks of the card, counted exactly.

use seqnic_spec::geometry::{ALVEO, EDGE, Geometry};
use seqnic_verilated::Rtl;
use seqnic_verilated::bench::services::{Length, Services};
use seqnic_verilated::bench::{gap, load, overload, pressed, snapped};

fn card(geometry: &'static Geometry, services: u32) -> (Rtl, Services) {
    let services = Services::new(geometry, services);
    let definition =
        seqnic_compiler::read(&services.yaml()).unwrap_or_else(|e| panic!("{}", e[0].message));
    assert_eq!(definition.devices.len() as u32, services.devices());
    let image =
        seqnic_compiler::compile(&definition).unwrap_or_else(|e| panic!("{}", e[0].message));
    let rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"));
    (rtl.unwrap_or_else(|e| panic!("{e}")), services)
}

#[test]
fn one_beat_frames_take_a_clock_each_and_a_constant() {
    let (mut rtl, services) = card(&ALVEO, 400);
    let mut constants = vec![];
    for frames in [16, 64, 500, 1000] {
        let found = load(&mut rtl, &services, Length::Bytes(64), frames).unwrap();
        assert_eq!((found.lost, found.out_of_order, found.damaged), (0, 0, 0));
        assert_eq!((found.beats, found.clocks), (frames.into(), frames.into()));
        constants.push(found.clocks_whole - u64::from(frames));
        // Alone, every frame takes the same.
        assert_eq!(found.unloaded.least, found.unloaded.most);
        assert_eq!(found.unloaded.least, constants[0]);
    }
    assert!(constants.windows(2).all(|c| c[0] == c[1]), "{constants:?}");
}

#[test]
fn frames_take_a_clock_for_each_beat_and_those_of_a_header() {
    for (geometry, services) in [(&EDGE, 150), (&ALVEO, 200)] {
        let (mut rtl, services) = card(geometry, services);
        for length in ["60", "65", "128", "129", "1518", "9216", "mix"] {
            let found = load(&mut rtl, &services, length.parse().unwrap(), 64).unwrap();
            assert_eq!((found.lost, found.out_of_order, found.damaged), (0, 0, 0));
            let most = found.due + gap(geometry.bus_bytes);
            assert!((found.beats..=most).contains(&found.clocks), "{found:?}");
            assert!(found.met);
        }
    }
}

#[test]
fn a_stalled_output_drops_whole_frames_and_holds_up_nobody() {
    let (mut rtl, services) = card(&ALVEO, 400);
    let found = overload(&mut rtl, &services, Length::Bytes(1024), 400).unwrap();
    assert!(
        found.dropped > 0 && found.dropped < found.offered,
        "{found:?}"
    );
    assert_eq!(found.output_full, found.dropped);
    assert_eq!(
        (found.damaged, found.others_lost, found.out_of_order),
        (0, 0, 0)
    );
    assert_eq!((found.offered, found.others), (300, 100));
    assert!(found.clocks_in <= found.beats_in, "{found:?}");
    assert!(found.met);
}

#[test]
fn pauses_and_stalls_change_neither_frames_nor_their_order() {
    for geometry in [&ALVEO, &EDGE] {
        let (mut rtl, services) = card(geometry, 150);
        for length in ["60", "mix"] {
            let found = pressed(&mut rtl, &services, length.parse().unwrap(), 300).unwrap();
            assert!(found.met && found.frames == 300, "{found:?}");
        }
    }
}

#[test]
fn a_snapshot_under_full_load_has_what_was_before_it() {
    let (mut rtl, services) = card(&EDGE, 150);
    let found = snapped(&mut rtl, &services, Length::Bytes(64), 1600).unwrap();
    assert_eq!((found.lost, found.torn), (0, false), "{found:?}");
    assert_eq!((found.before, found.directed), (200, 200));
    // One clock in eight is made free for the walk at most.
    assert!(found.clocks <= found.due * 8 / 7 + 8, "{found:?}");
}

#[test]
fn a_card_that_loses_frames_misses_the_rule() {
    let (mut rtl, services) = card(&ALVEO, 400);
    rtl.sim().stall(0, 95);
    let found = load(&mut rtl, &services, Length::Bytes(1518), 300).unwrap();
    assert!(found.lost > 0 && !found.met, "{found:?}");
    assert_eq!((found.out_of_order, found.damaged), (0, 0));
}

#[test]
fn every_port_offers_every_kind_of_traffic() {
    let services = Services::new(&ALVEO, 2000);
    for length in [Length::Bytes(60), Length::Bytes(512), Length::Mix] {
        let offers = services.offers(length, 2000, 7).unwrap();
        assert_eq!(offers, services.offers(length, 2000, 7).unwrap());
        for port in 0..ALVEO.ports {
            let mine = || offers.iter().filter(|o| o.port == port);
            assert_eq!(mine().count(), 250);
            // The second byte of a source MAC says who sends: 3 firewall outside, 4 inside, 6 server, 7 client.
            for sender in [3, 4, 6, 7] {
                let count = mine().filter(|o| o.frame[7] == sender).count();
                assert!((50..75).contains(&count), "{count} of {sender} at {port}");
            }
            if length == Length::Bytes(512) {
                let v6 = mine().filter(|o| o.frame[12] == 0x86).count();
                assert!((80..=200).contains(&v6), "{v6}");
            }
        }
    }
}
