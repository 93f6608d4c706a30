//! The driver on the card in memory: what works.

mod common;

use common::{Rig, arp, definition, image, options, other_definition, receive};
use seqnic_compiler::delta::{delta, settle};
use seqnic_compiler::read;
use seqnic_device::{Device, Error, Way};
use seqnic_pci::Function;
use seqnic_pci::server::Served;
use seqnic_softcard::SoftCard;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::{ALVEO, EDGE};
use seqnic_spec::host::registers as reg;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use seqnic_transport::{Transport, user::User};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const IP: [u8; 2] = [8, 0];

/// A TCP packet of a client to the service of fig07.
fn tcp() -> Vec<u8> {
    let mut f = Vec::new();
    f.extend([2, 1, 0, 0, 0, 1, 2, 5, 0, 0, 0, 5]);
    f.extend(IP);
    f.extend([
        0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 11, 203, 0, 113, 13,
    ]);
    let sum: u32 = (f[14..34].chunks(2))
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    f[24..26].copy_from_slice(&sum.to_be_bytes());
    f.extend([
        0x9c, 0x41, 0x04, 0xaa, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ]);
    f
}

/// Packets by reason.
fn reasons(device: &Device) -> Vec<(u32, u64)> {
    let snapshot = device.snapshot().unwrap();
    let of = |set: &u8| *set == CounterSet::Reason as u8;
    let rows = snapshot.rows.iter().filter(|(set, ..)| of(set));
    rows.map(|(_, row, count)| (*row, count.packets)).collect()
}

#[test]
fn a_loaded_card_directs_and_the_host_gets_the_rest() {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    assert_eq!(device.identity().geometry, &EDGE);
    let image = image(&definition());
    assert!(device.load(&image).unwrap() > 10);
    assert_eq!(
        device.load(&image).unwrap(),
        0,
        "what is there is not written again"
    );
    let back = device.adopt().unwrap();
    for table in Table::ALL {
        assert_eq!(back.digest(table), image.digest(table), "{}", table.name());
    }

    let (request, question) = (arp(7, 60), tcp());
    rig.arrive([(0, &request[..]), (0, &question[..]), (3, &request[..])]);
    let sent = rig.sent();
    assert_eq!(sent.len(), 1, "the firewall gets the packet");
    assert_eq!(sent[0].0, 1);
    let mut got = Vec::new();
    let count = device.receive(64, |p| {
        got.push((p.reason, p.port, p.interface, p.frame.to_vec()));
    });
    assert_eq!(count.unwrap(), 2);
    assert_eq!(got[0], (Reason::Arp, 0, Some(0), request.clone()));
    assert_eq!(got[1], (Reason::Arp, 3, Some(3), request));
    let named = reasons(&device);
    assert_eq!(
        named,
        [(Reason::Directed as u32, 1), (Reason::Arp as u32, 2)]
    );
    device.check().unwrap();
}

#[test]
fn the_host_sends_out_of_ports_and_into_the_pipeline() {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    device.load(&image(&definition())).unwrap();
    let (out, into) = (arp(1, 1500), tcp());
    let frames = [(Way::Out, 2, &out[..]), (Way::In, 0, &into[..])];
    assert_eq!(device.send(frames).unwrap(), 2);
    device.flush().unwrap();
    let sent = rig.sent();
    assert_eq!(sent[0], (2, out.clone()));
    assert_eq!(sent[1].0, 1, "the packet went the way of one that arrived");
    for (port, frame, want) in [(4, &out[..], "no port 4"), (0, &out[..13], "13 bytes")] {
        let error = device.send([(Way::Out, port, frame)]).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(!error.lost());
    }
    assert!(rig.sent().is_empty());
}

#[test]
fn rings_go_round_with_frames_of_every_length() {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    device.load(&image(&definition())).unwrap();
    let lengths = [42, 64, 65, 128, 1500, 9216, 4097, 60];
    for round in 0..400u32 {
        let frame = arp(round, lengths[round as usize % lengths.len()]);
        rig.arrive([(0, &frame[..])]);
        assert_eq!(
            receive(&device).unwrap(),
            std::slice::from_ref(&frame),
            "{round}"
        );
        assert_eq!(device.send([(Way::Out, 1, &frame[..])]).unwrap(), 1);
        device.flush().unwrap();
        assert_eq!(rig.sent(), [(1, frame)], "{round}");
    }
    assert_eq!(device.lost(), 0);
}

#[test]
fn what_there_is_no_room_for_is_counted_and_the_rest_is_whole() {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    device.load(&image(&definition())).unwrap();
    let frames: Vec<_> = (0..1000).map(|n| arp(n, 200)).collect();
    rig.arrive(frames.iter().map(|f| (0, &f[..])));
    let got = receive(&device).unwrap();
    assert!(!got.is_empty() && got[..] == frames[..got.len()]);
    // The next one shows the gap.
    rig.arrive([(0, &frames[0][..])]);
    assert_eq!(receive(&device).unwrap(), [frames[0].clone()]);
    assert_eq!(device.lost(), 1000 - got.len() as u64);
    // Frames of the host: as many as there is room for, the card being deaf for a moment.
    rig.faulty.set(seqnic_faults::Fault::Deaf);
    let count = device
        .send(frames.iter().map(|f| (Way::Out, 0, &f[..])))
        .unwrap();
    assert_eq!(count, 512 / 5);
    rig.faulty.set(seqnic_faults::Fault::None);
    assert_eq!(device.send([(Way::Out, 0, &frames[0][..])]).unwrap(), 0);
}

#[test]
fn an_interrupt_wakes_and_a_lost_one_is_found_by_looking() {
    for drop in [false, true] {
        let rig = Rig::new();
        rig.faulty.drop_interrupts(drop);
        let device = rig.open().unwrap();
        device.load(&image(&definition())).unwrap();
        let from = Instant::now();
        std::thread::scope(|s| {
            s.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                rig.arrive([(0, &arp(1, 60)[..])]);
            });
            let mut count = 0;
            while count == 0 && from.elapsed() < Duration::from_secs(20) {
                device.wait(Duration::from_secs(20)).unwrap();
                count = device.receive(8, |_| {}).unwrap();
            }
            assert_eq!(count, 1);
        });
        assert_eq!(rig.card.lock().host.interrupts, 1);
    }
}

#[test]
fn a_flipped_bit_is_found_reported_and_mended() {
    let rig = Rig::new();
    let device = rig.open().unwrap();
    let image = image(&definition());
    device.load(&image).unwrap();
    let round = || {
        let mut repairs = Vec::new();
        let rows: u32 = Table::ALL.iter().map(|t| EDGE.rows(*t)).sum();
        for _ in 0..rows.div_ceil(1000) {
            repairs.extend(device.scrub(1000).unwrap());
        }
        repairs
    };
    assert_eq!(round(), []);
    let (row, _) = image.table(Table::Action).used().next().unwrap();
    rig.card.lock().card.datapath.flip(Table::Action, row, 3);
    rig.card.lock().card.datapath.flip(Table::Step, 77, 20);
    let repairs = round();
    let places: Vec<_> = repairs.iter().map(|r| (r.table, r.row)).collect();
    assert_eq!(places, [(Table::Step, 77), (Table::Action, row)]);
    assert_eq!(repairs[1].found[0] ^ repairs[1].wanted[0], 8);
    assert_eq!(round(), []);
    assert_eq!(
        device.adopt().unwrap().digest(Table::Action),
        image.digest(Table::Action)
    );
}

#[test]
fn a_delta_cut_off_anywhere_is_resumed_and_ends_as_if_it_had_not_been() {
    let old = image(&definition());
    let new = read(&other_definition()).unwrap();
    let delta = delta(&old, &new).unwrap();
    let mut want = old.clone();
    delta.apply(&mut want).unwrap();
    assert!(delta.words.len() > 2);
    let mut places = std::collections::BTreeSet::new();
    for accesses in 0..60 {
        let rig = Rig::new();
        let device = rig.open().unwrap();
        device.load(&old).unwrap();
        rig.faulty.set_after(accesses, seqnic_faults::Fault::Lost);
        let error = match device.apply(&delta) {
            Ok(()) => break, // it takes fewer accesses than this
            Err(error) => error,
        };
        assert!(error.lost(), "{error}");
        drop(device);
        rig.faulty.set(seqnic_faults::Fault::None);
        // The memory of before is still the card's: the transport's end takes it away.
        rig.card.lock().release();
        let device = rig.open().unwrap();
        places.insert(device.resume(&delta).unwrap());
        let found = device.adopt().unwrap();
        for table in Table::ALL {
            assert_eq!(
                found.digest(table),
                want.digest(table),
                "{accesses} {}",
                table.name()
            );
        }
        assert_eq!(device.resume(&delta).unwrap(), delta.words.len());
    }
    assert!(places.len() >= 2, "cut off at one place only: {places:?}");
    // Every place there is, as the card in memory may be found.
    for n in 0..=delta.words.len() {
        let rig = Rig::new();
        let device = rig.open().unwrap();
        device.load(&old).unwrap();
        device.write(&delta.words[..n]).unwrap();
        let at = device.resume(&delta).unwrap();
        assert!(at >= n, "{at} {n}");
        assert_eq!(
            device.adopt().unwrap().digest(Table::Attachment),
            want.digest(Table::Attachment)
        );
    }
}

#[test]
fn tables_of_no_place_in_a_delta_are_not_touched() {
    let old = image(&definition());
    let delta = delta(&old, &read(&other_definition()).unwrap()).unwrap();
    let rig = Rig::new();
    let device = rig.open().unwrap();
    let error = device.resume(&delta).unwrap_err();
    assert!(matches!(error, Error::NoPlace), "{error}");
    assert_eq!(settle(&device.adopt().unwrap()).words, []);
    let other = seqnic_image::Image::empty(&ALVEO);
    let error = device.load(&other).unwrap_err().to_string();
    assert!(
        error.contains("`edge`") && error.contains("`alveo`"),
        "{error}"
    );
}

#[test]
fn another_card_is_refused_with_both_values() {
    for (register, i, value, want) in [
        (
            &reg::MAGIC,
            0,
            0x1234_5678,
            "its magic number is 0x12345678, expected 0x4e514553",
        ),
        (
            &reg::SPEC_VERSION,
            0,
            99,
            "its spec version is 0x00000063, expected 0x",
        ),
        (
            &reg::SPEC_DIGEST,
            0,
            1,
            "its digest of tables and records is 0x00000001, expected 0x",
        ),
        (
            &reg::HOST_DIGEST,
            0,
            1,
            "its digest of registers and rings is 0x00000001",
        ),
        (
            &reg::GEOMETRY_NAME,
            0,
            0x2121_2121,
            "its geometry is `!!!!`, expected one of alveo, edge, lite, soft",
        ),
        (
            &reg::GEOMETRY_DIGEST,
            0,
            2,
            "the digest of its geometry is 0x00000002, expected 0x",
        ),
        (&reg::SHAPE, 0, 0, "its number of ports is 0, expected 4"),
        (&reg::MAGIC, 0, u32::MAX, "the card is gone"),
    ] {
        let rig = Rig::new();
        rig.faulty.set_register(0, register.at(i).into(), value);
        let error = rig.open().err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
        assert_eq!(rig.card.lock().host.mappings(), 0);
    }
}

#[test]
fn a_daemon_finds_what_it_needs() {
    use seqnic_card::{Card, Event, FromHost, Link, ToHost};
    let rig = Rig::new();
    let device = rig.open().unwrap();
    let card: &dyn Card = &device;
    assert_eq!(card.identity().geometry, &EDGE);
    assert_eq!((card.link(3), card.link(4)), (Link::Up, Link::None));
    let image = image(&definition());
    card.load(&image).unwrap();
    let back = card.read_back().unwrap();
    assert_eq!(back.digest(Table::Step), image.digest(Table::Step));
    let frame = arp(5, 77);
    rig.arrive([(1, &frame[..])]);
    let mut got: Vec<ToHost> = Vec::new();
    card.receive(&mut got, Duration::from_secs(20)).unwrap();
    assert_eq!(
        (got.len(), got[0].reason, &got[0].frame),
        (1, Reason::Arp, &frame)
    );
    let answer = FromHost {
        way: seqnic_card::Way::Out,
        port: 1,
        frame,
    };
    assert_eq!(card.send(std::slice::from_ref(&answer)).unwrap(), 1);
    assert_eq!(rig.sent(), [(1, answer.frame)]);
    let counters = card.counters().unwrap();
    assert_eq!(
        counters.get(CounterSet::Reason, Reason::Arp as u32).packets,
        1
    );
    assert!(counters.time > 0);
    assert_eq!(card.event(Duration::ZERO), None);
    rig.faulty.set(seqnic_faults::Fault::Lost);
    let event = card.event(Duration::from_secs(20));
    assert!(matches!(event, Some(Event::Gone { .. })), "{event:?}");
    assert_eq!(card.event(Duration::ZERO), None);
    rig.faulty.set(seqnic_faults::Fault::None);
}

#[test]
fn the_same_over_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card");
    let function = Arc::new(Mutex::new(Function::new(SoftCard::new(&EDGE))));
    let served = Served::new(&path, function).unwrap();
    let image = image(&definition());
    for round in 0..2 {
        let transport: Arc<dyn Transport> =
            Arc::new(User::connect(&path, Duration::from_secs(20)).unwrap());
        let mut options = options();
        options.timeout = Duration::from_secs(20);
        let device = Device::open(transport, options).unwrap();
        // The card keeps its tables when a driver goes.
        assert_eq!(device.load(&image).unwrap() == 0, round == 1);
        let frames: Vec<_> = (0..50).map(|n| arp(n, 300)).collect();
        served.shared().with(|f| {
            for frame in &frames {
                f.card.arrive(0, frame);
            }
        });
        let mut got = Vec::new();
        while got.len() < frames.len() {
            device.wait(Duration::from_secs(20)).unwrap();
            device.receive(64, |p| got.push(p.frame.to_vec())).unwrap();
        }
        assert_eq!(got, frames);
        device.send([(Way::Out, 3, &frames[0][..])]).unwrap();
        device.flush().unwrap();
        let sent = served.shared().with(|f| f.card.sent());
        assert_eq!((sent.len(), sent[0].port), (1, 3));
        assert_eq!(reasons(&device)[0].1, 50 * (round + 1));
        device.check().unwrap();
    }
}
