//! The whole card against a driver and a host memory of a few lines each.

use super::bench::{Bench, MEMORY, MEMORY_BYTES, OKAY, SLVERR};
use super::*;
use crate::testing::Random;
use seqnic_spec::counters::{CounterSet, SNAPSHOT};
use seqnic_spec::geometry;
use seqnic_spec::host::registers as map;
use seqnic_spec::host::rings::{ERROR_VECTOR, RingError, mode, op};
use seqnic_spec::layout::Row;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;

const BUSES: [u32; 2] = [16, 64];

#[test]
fn every_geometry_is_built() {
    for g in geometry::ALL {
        let circuit = build(g).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(circuit.name(), "seqnic_card");
    }
}

#[test]
fn registers_say_who_it_is_and_the_window_writes_rows() {
    let mut b = Bench::new(16, 1);
    assert_eq!(b.read(map::MAGIC.offset), map::MAGIC_VALUE);
    assert_eq!(b.read(map::GEOMETRY_DIGEST.offset), b.g.digest());
    assert_eq!(
        map::SHAPE.get(b.read(map::SHAPE.offset), "ports"),
        b.g.ports
    );
    assert_eq!(
        b.read(map::GEOMETRY_NAME.offset),
        u32::from_le_bytes(*b"smal")
    );
    let size = b.read(map::TABLE_SIZE.at(Table::Action as u32));
    assert_eq!(map::TABLE_SIZE.get(size, "rows"), b.g.rows(Table::Action));
    assert_eq!(
        map::TABLE_SIZE.get(size, "bits"),
        b.g.row_bits(Table::Action)
    );
    b.write(map::SCRATCH.offset, 0xdead_beef);
    assert_eq!(b.read(map::SCRATCH.offset), 0xdead_beef);
    for strobes in 1..0xf {
        assert_eq!(b.write_strobed(map::SCRATCH.offset, 0, strobes), SLVERR);
    }
    assert_eq!(b.write_strobed(map::SCRATCH.offset, 0, 0), OKAY);
    for inside in 1..4 {
        let at = map::SCRATCH.offset + inside;
        assert_eq!(b.write_strobed(at, 0, 0xf), SLVERR);
        assert_eq!(b.read_answered(at).1, SLVERR);
    }
    assert_eq!(b.read(map::SCRATCH.offset), 0xdead_beef);
    assert_eq!(b.read_answered(0x3ffc), (0, SLVERR));
    assert_eq!(b.write_strobed(0x3ffc, 1, 0xf), SLVERR);
    let there: std::collections::BTreeSet<u32> = (map::ALL.iter())
        .flat_map(|r| (0..r.count).map(|i| r.at(i)))
        .collect();
    for at in (0..1 << super::registers::ADDRESS_BITS).step_by(4) {
        let expected = if there.contains(&at) { OKAY } else { SLVERR };
        assert_eq!(b.read_answered(at).1, expected, "{at:#x}");
    }
    let (a, c) = (b.read(map::HEARTBEAT.offset), b.read(map::HEARTBEAT.offset));
    assert!(c.wrapping_sub(a) > 1);
    let low = b.read(map::TIME_LOW.offset);
    let high = b.read(map::TIME_HIGH.offset);
    let time = u64::from(high) << 32 | u64::from(low);
    assert!(time > super::bench::EPOCH && time < b.now());

    let mut random = Random::new(3);
    for row in 0..8 {
        let bits = b.g.row_bits(Table::Action);
        let value = random.row(bits);
        b.window(Table::Action as u32, row, op::WRITE, &value);
        let found = b.window(Table::Action as u32, row, op::READ, &Row::zero(512));
        assert_eq!(found, value);
    }
    // Rows and tables there are not.
    let value = random.row(512);
    b.window(200, 0, op::WRITE, &value);
    b.window(Table::Action as u32, 1 << 23, op::WRITE, &value);
    assert!(b.window(200, 0, op::READ, &value).is_zero());
    assert!(
        b.window(Table::Action as u32, 1 << 23, op::READ, &value)
            .is_zero()
    );
    assert!(
        b.window(Table::Action as u32, 4095, op::READ, &value)
            .is_zero()
    );
}

#[test]
fn packets_come_into_the_ring_of_their_reason_whole_and_in_order() {
    for bus in BUSES {
        let mut b = Bench::new(bus, 5);
        b.write(map::QUEUE_OF_REASON.at(Reason::Runt as u32), 2);
        b.start(Ring::Packets0, 9);
        b.start(Ring::Packets2, 9);
        b.write(map::ENABLE.offset, 0xff);
        let mut random = Random::new(bus.into());
        let mut sent = [vec![], vec![]];
        let mut found = [vec![], vec![]];
        // Rings go round several times.
        for n in 0..220 {
            let size = match n % 5 {
                0 => 1 + random.below(13) as usize,
                _ if n == 17 => 9216,
                _ => crate::stream::testbench::length(&mut random, 14, 2000),
            };
            let frame = random.bytes(size);
            sent[usize::from(size < 14)].push(frame.clone());
            // From one port at a time: frames of several have no order.
            b.send((n / 4) % b.g.ports, &frame);
            if n % 4 == 3 {
                b.idle();
                for (i, ring) in [Ring::Packets0, Ring::Packets2].into_iter().enumerate() {
                    found[i].extend(b.consume(ring));
                }
            }
        }
        for (i, (ring, reason)) in [
            (Ring::Packets0, Reason::NoInterface),
            (Ring::Packets2, Reason::Runt),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(sent[i].len(), found[i].len());
            let mut time = 0;
            for (n, (sent, record)) in sent[i].iter().zip(&found[i]).enumerate() {
                assert_eq!(record.kind, 1);
                assert_eq!(record.sequence as usize, n);
                assert!(*sent == record.payload, "{ring:?} {n}");
                assert_eq!(record.meta("reason"), reason as u64);
                assert!(record.meta("tag") >= time);
                time = record.meta("tag");
            }
            assert_eq!(b.read(map::RING_DROPPED.at(ring as u32)), 0);
        }
        assert!(b.interrupts.is_empty(), "nothing was armed");
    }
}

#[test]
fn a_full_or_stopped_ring_drops_whole_packets_and_holds_up_no_other() {
    let mut b = Bench::new(64, 7);
    b.write(map::QUEUE_OF_REASON.at(Reason::Runt as u32), 1);
    b.start(Ring::Packets0, 9);
    let mut random = Random::new(9);
    // Ring 1 does not run, ring 0 has room for 512 lines less one longest record.
    for _ in 0..60 {
        b.send(0, &random.bytes(1000));
        b.send(1, &random.bytes(9));
        // No faster than the bus: the pipeline's queue drops nothing.
        b.idle();
    }
    assert_eq!(b.read(map::RING_DROPPED.at(1)), 60);
    let lost = b.read(map::RING_DROPPED.at(0));
    let records = b.consume(Ring::Packets0);
    assert_eq!(records.len() as u32 + lost, 60);
    assert!(lost > 20 && records.len() > 20);
    b.send(0, &random.bytes(100));
    b.idle();
    let behind = b.consume(Ring::Packets0);
    assert_eq!(behind.len(), 1);
    assert_eq!(behind[0].sequence, 60, "the gap says how many were dropped");
    b.start(Ring::Packets1, 10);
    b.send(1, &random.bytes(9));
    b.idle();
    assert_eq!(b.consume(Ring::Packets1)[0].sequence, 0);
}

#[test]
fn rows_are_written_and_read_in_order() {
    for bus in BUSES {
        let mut b = Bench::new(bus, 11);
        b.start(Ring::Commands, 9);
        b.start(Ring::Answers, 9);
        let mut random = Random::new(13);
        let mut rows = vec![Row::zero(b.g.row_bits(Table::Action)); 64];
        let (mut expected, mut found) = (vec![], vec![]);
        let mut written = 0;
        for n in 0..600u32 {
            let row = random.below(64) as u32;
            if random.one_in(2) {
                let value = random.row(b.g.row_bits(Table::Action));
                rows[row as usize] = value.clone();
                b.command(op::WRITE, Table::Action as u32, row, n, &value);
                written += 1;
            } else {
                expected.push((n, row, rows[row as usize].clone()));
                b.command(op::READ, Table::Action as u32, row, n, &Row::zero(8));
            }
            if random.one_in(50) {
                b.idle();
                found.extend(b.consume(Ring::Answers));
            }
        }
        b.idle();
        found.extend(b.consume(Ring::Answers));
        assert!(written > 200);
        assert_eq!(found.len(), expected.len());
        for (record, (cookie, row, value)) in found.iter().zip(&expected) {
            assert_eq!(record.kind, 2);
            assert_eq!(record.row("cookie"), u64::from(*cookie));
            assert_eq!(record.row("row"), u64::from(*row));
            assert_eq!(record.row("table"), Table::Action as u64);
            let words: Vec<u64> = record
                .payload
                .as_chunks::<8>()
                .0
                .iter()
                .map(|w| u64::from_le_bytes(*w))
                .collect();
            assert_eq!(Row::from_words(value.width(), &words), *value);
        }
        assert_eq!(b.status(Ring::Commands).records, 600);
        assert_eq!(b.status(Ring::Commands).index, b.produced(Ring::Commands));
    }
}

/// Commands wait for the driver to take their answers. That is no work: whoever runs the card while it is busy
/// must come to an end.
#[test]
fn answers_without_room_wait_for_the_driver() {
    let mut b = Bench::new(64, 12);
    b.start(Ring::Commands, 10);
    b.start(Ring::Answers, 9);
    for n in 0..400 {
        b.command(op::READ, Table::Action as u32, n % 64, n, &Row::zero(8));
    }
    let mut cookies = vec![];
    for _ in 0..4 {
        b.idle();
        cookies.extend(b.consume(Ring::Answers).iter().map(|r| r.row("cookie")));
    }
    assert!(cookies.into_iter().eq(0..400));
    assert_eq!(b.status(Ring::Commands).records, 400);
}

#[test]
fn a_snapshot_of_the_counters_comes_as_records() {
    let mut b = Bench::new(16, 15);
    b.start(Ring::Commands, 9);
    b.start(Ring::Answers, 9);
    for n in 0..7 {
        b.send(n % 2, &[3; 100]);
        b.send(0, &[3; 9]);
    }
    b.idle();
    for round in 0..2 {
        b.command(op::WRITE, SNAPSHOT.into(), 0, 0, &Row::zero(8));
        b.idle();
        let mut rows = vec![];
        for record in b.consume(Ring::Answers) {
            assert_eq!((record.kind, record.payload.len()), (3, 0));
            let field = |name| record.item(name);
            rows.push((
                field("set"),
                field("row"),
                field("packets"),
                field("bytes"),
                field("last"),
            ));
        }
        let last = rows.pop().unwrap();
        assert_eq!(
            (last.0, last.1, last.3, last.4),
            (SNAPSHOT.into(), 0, rows.len() as u64, 1)
        );
        rows.sort_unstable();
        let set = CounterSet::Reason as u64;
        let expected = [
            (set, Reason::Runt as u64, 7, 63, 0),
            (set, Reason::NoInterface as u64, 7, 700, 0),
        ];
        assert_eq!(rows, expected, "{round}");
    }
}

#[test]
fn frames_from_the_host_leave_unedited_or_enter() {
    for bus in BUSES {
        let mut b = Bench::new(bus, 17);
        b.start(Ring::Transmit, 9);
        b.start(Ring::Packets0, 12);
        let mut random = Random::new(bus.into());
        let (mut out, mut entered) = (vec![vec![]; b.g.ports as usize], vec![]);
        for n in 0..150u32 {
            let size = crate::stream::testbench::length(&mut random, 14, 1500);
            let frame = random.bytes(if n == 33 { 9216 } else { size });
            let port = random.below(b.g.ports.into()) as u32;
            let way = random.pick(&[mode::OUT, mode::IN]);
            b.transmit(way, port, &frame);
            match way {
                mode::OUT => out[port as usize].push(frame),
                _ => entered.push((port, frame)),
            }
            // Traffic of the ports goes on beside it.
            if random.one_in(3) {
                b.send(0, &random.bytes(10));
            }
        }
        // A port that is not there, a mode that is not there, a frame that is none.
        b.transmit(mode::OUT, b.g.ports, &[1; 60]);
        b.transmit(2, 0, &[1; 60]);
        b.transmit(mode::OUT, 0, &[1; 13]);
        b.idle();
        assert!(b.sent == out);
        let records = b.consume(Ring::Packets0);
        let mut records: Vec<_> = records.iter().filter(|r| r.payload.len() != 10).collect();
        assert_eq!(records.len(), entered.len());
        records.sort_by_key(|r| r.sequence);
        for (record, (port, frame)) in records.iter().zip(&entered) {
            assert_eq!(record.meta("port"), u64::from(*port));
            assert!(record.payload == *frame);
        }
        assert_eq!(b.read(map::RING_DROPPED.at(Ring::Transmit as u32)), 3);
        let status = b.status(Ring::Transmit);
        assert_eq!((status.records, status.error), (153, 0));
    }
}

#[test]
fn vectors_fire_once_when_armed_and_are_moderated() {
    let mut b = Bench::new(64, 19);
    b.stalls = 0;
    b.start(Ring::Packets0, 12);
    b.start(Ring::Transmit, 9);
    b.write(map::ENABLE.offset, 0xff);
    let frame = [7u8; 60];
    b.doorbell(Ring::Packets0, 0, true);
    b.idle();
    assert!(b.interrupts.is_empty());
    b.send(0, &frame);
    b.send(0, &frame);
    b.idle();
    assert_eq!(b.interrupts, [0], "once");
    // Armed with an index behind what is there: at once.
    b.doorbell(Ring::Packets0, 0, true);
    b.idle();
    assert_eq!(b.interrupts, [0, 0]);
    // With count and time.
    b.consume(Ring::Packets0);
    let moderation = map::RING_MODERATION.with(0, "time", 50_000);
    let moderation = map::RING_MODERATION.with(moderation, "count", 4);
    b.write(map::RING_MODERATION.at(0), moderation);
    b.arm(Ring::Packets0);
    for n in 0..4 {
        assert_eq!(b.interrupts.len(), 2, "{n}");
        b.send(0, &frame);
        b.run(400);
    }
    assert_eq!(b.interrupts.len(), 3, "by count");
    b.consume(Ring::Packets0);
    b.arm(Ring::Packets0);
    b.send(0, &frame);
    let before = b.now();
    b.run(400);
    assert_eq!(b.interrupts.len(), 3);
    b.idle();
    assert_eq!(b.interrupts.len(), 4, "by time");
    assert!(b.now() - before > 50_000);
    // Masked, it waits.
    b.consume(Ring::Packets0);
    b.write(map::RING_MODERATION.at(0), 0);
    b.write(map::ENABLE.offset, 0xfe);
    b.arm(Ring::Packets0);
    b.send(0, &frame);
    b.idle();
    assert_eq!(b.interrupts.len(), 4);
    assert_eq!(b.read(map::PENDING.offset) & 1, 1);
    b.write(map::ENABLE.offset, 0xff);
    b.idle();
    assert_eq!(b.interrupts.len(), 5);
    // A driver's ring: when all is consumed.
    b.transmit(mode::OUT, 0, &frame);
    b.transmit(mode::OUT, 0, &frame);
    b.arm(Ring::Transmit);
    b.idle();
    assert_eq!(b.interrupts[5..], [Ring::Transmit as u32]);
}

#[test]
fn links_are_shown_and_their_changes_fire_the_error_vector() {
    let mut b = Bench::new(16, 29);
    let all = (1 << b.g.ports) - 1;
    // Before there is a driver: it looks when it comes, and its reset forgets what changed.
    b.link(all);
    b.run(8);
    assert_eq!(b.read(map::LINK.offset), all as u32);
    assert_eq!(b.read(map::LINK_CHANGED.offset), all as u32);
    b.write(map::CONTROL.offset, 1);
    b.idle();
    assert_eq!(b.read(map::LINK_CHANGED.offset), 0);
    b.write(map::ENABLE.offset, 0xff);
    b.idle();
    assert!(b.interrupts.is_empty());
    b.link(all & !2);
    b.idle();
    assert_eq!(b.interrupts, [ERROR_VECTOR]);
    let pending = b.read(map::PENDING.offset);
    assert_eq!(pending >> ERROR_VECTOR & 1, 1);
    assert_eq!(b.read(map::LINK.offset), all as u32 & !2);
    assert_eq!(b.read(map::LINK_CHANGED.offset), 2);
    // Down and up before anyone looks: seen all the same.
    b.link(all & !1);
    b.run(8);
    b.link(all & !2);
    b.run(8);
    assert_eq!(b.read(map::LINK_CHANGED.offset), 3);
    assert_eq!(b.read(map::LINK.offset), all as u32 & !2);
    b.write(map::LINK_CHANGED.offset, 1);
    assert_eq!(b.read(map::LINK_CHANGED.offset), 2);
    b.write(map::LINK_CHANGED.offset, 2);
    b.idle();
    assert_eq!(b.read(map::PENDING.offset) >> ERROR_VECTOR & 1, 0);
    assert_eq!(b.read(map::ERRORS.offset), 0);
}

#[test]
fn what_a_driver_does_wrong_stops_its_ring_only() {
    let mut b = Bench::new(16, 23);
    b.write(map::ENABLE.offset, 0xff);
    let state = |b: &mut Bench, ring: Ring| {
        let value = b.read(map::RING_STATE.at(ring as u32));
        let field = |name| map::RING_STATE.get(value, name);
        (
            field("running"),
            field("busy"),
            RingError::from_code(field("error")).unwrap(),
        )
    };
    // Sizes and addresses.
    for (ring, base, status, log2) in [
        (Ring::Packets0, MEMORY + 64, MEMORY, 9),
        (Ring::Packets1, MEMORY, MEMORY + 8, 9),
        (Ring::Transmit, MEMORY, MEMORY, 8),
        (Ring::Commands, MEMORY, MEMORY, 21),
    ] {
        b.start_at(ring, base, status, log2);
        assert_eq!(state(&mut b, ring), (0, 0, RingError::Config));
        b.stop(ring);
    }
    b.idle();
    assert_eq!(b.read(map::ERRORS.offset), 0x63);
    assert!(b.interrupts.contains(&ERROR_VECTOR));
    b.write(map::ERRORS.offset, 0xff);
    assert_eq!(b.read(map::ERRORS.offset), 0);
    // Indexes.
    b.start(Ring::Packets0, 9);
    b.doorbell(Ring::Packets0, 1, false);
    assert_eq!(state(&mut b, Ring::Packets0).2, RingError::Index);
    b.start(Ring::Transmit, 9);
    b.doorbell(Ring::Transmit, 513, false);
    b.idle();
    assert_eq!(state(&mut b, Ring::Transmit), (0, 0, RingError::Index));
    assert_eq!(b.status(Ring::Transmit).error, RingError::Index as u32);
    // Headers.
    b.stop(Ring::Transmit);
    b.start(Ring::Transmit, 9);
    b.transmit(mode::OUT, 0, &[5; 60]);
    b.doorbell(Ring::Transmit, b.produced(Ring::Transmit) + 1, false); // a line of zeros: length 0
    b.idle();
    assert_eq!(state(&mut b, Ring::Transmit), (0, 0, RingError::Record));
    assert_eq!(b.status(Ring::Transmit).records, 1);
    assert_eq!(b.sent[0].len(), 1);
    b.start(Ring::Commands, 9);
    b.command(7, 0, 0, 0, &Row::zero(8));
    b.idle();
    assert_eq!(state(&mut b, Ring::Commands).2, RingError::Record);
    // Memory that is not there.
    let nowhere = MEMORY + MEMORY_BYTES as u64 + 4096;
    b.start_at(Ring::Packets1, nowhere, MEMORY, 9);
    b.write(map::QUEUE_OF_REASON.at(Reason::NoInterface as u32), 1);
    b.send(0, &[9; 100]);
    b.stop(Ring::Commands);
    b.start_at(Ring::Commands, nowhere, MEMORY, 9);
    b.doorbell(Ring::Commands, 8, false);
    b.idle();
    assert_eq!(state(&mut b, Ring::Packets1), (0, 0, RingError::Bus));
    assert_eq!(state(&mut b, Ring::Commands), (0, 0, RingError::Bus));
    // And all goes on.
    b.stop(Ring::Commands);
    b.start(Ring::Commands, 9);
    b.start(Ring::Answers, 9);
    b.command(op::READ, 0, 0, 77, &Row::zero(8));
    b.idle();
    assert_eq!(b.consume(Ring::Answers)[0].row("cookie"), 77);
}

#[test]
fn a_frame_cut_off_by_a_stop_never_leaves() {
    let mut b = Bench::new(16, 29);
    b.start(Ring::Transmit, 9);
    let start = b.produced(Ring::Transmit);
    // Half of a frame is announced.
    b.transmit(mode::OUT, 0, &[3; 1000]);
    b.take_back(Ring::Transmit, start + 4);
    b.run(500);
    b.stop(Ring::Transmit);
    b.start(Ring::Transmit, 9);
    b.transmit(mode::OUT, 0, &[4; 100]);
    b.idle();
    assert_eq!(b.sent[0], [vec![4; 100]]);
}

#[test]
fn a_reset_stops_rings_and_leaves_traffic_and_tables() {
    for (seed, flr) in [(31, false), (37, true)] {
        let mut b = Bench::new(64, seed);
        let mut random = Random::new(seed);
        let value = random.row(b.g.row_bits(Table::Rewrite));
        for round in 0..6 {
            b.start(Ring::Packets0, 10);
            b.start(Ring::Transmit, 9);
            b.start(Ring::Commands, 9);
            b.start(Ring::Answers, 9);
            b.command(op::WRITE, Table::Rewrite as u32, 3, 0, &value);
            for _ in 0..10 {
                b.transmit(mode::OUT, 1, &random.bytes(700));
                b.send(0, &random.bytes(300));
            }
            b.run(100 + 37 * round);
            if flr {
                b.function_reset();
            } else {
                b.write(map::CONTROL.offset, 1);
            }
            for n in 0.. {
                if b.read(map::CARD_STATE.offset) & 1 == 0 {
                    break;
                }
                assert!(n < 2000, "the reset does not end");
            }
            let touched = b.transfers;
            b.run(3000);
            assert_eq!(b.transfers, touched, "memory is touched behind a reset");
            assert_eq!(b.read(map::ENABLE.offset), 0);
            let found = b.window(Table::Rewrite as u32, 3, op::READ, &Row::zero(512));
            assert_eq!(found, value);
            b.forget();
        }
    }
}

/// Anything may be written anywhere at any time: the bus is used by its rules (the bench checks them), and after
/// a reset the card is as good as new.
#[test]
fn a_mad_driver_harms_nothing() {
    for seed in 41..43 {
        let bus = BUSES[seed as usize % 2];
        let mut b = Bench::new(bus, seed);
        let mut random = Random::new(seed);
        for _ in 0..300 {
            let register = random.pick(&map::ALL);
            let offset = register.at(random.below(register.count.into()) as u32);
            let value = match random.below(6) {
                0 => random.word() as u32,
                1 => 1,
                2 => random.below(600) as u32,
                3 => MEMORY as u32 + (random.below(200) as u32) * 4096,
                4 => 9 + random.below(5) as u32,
                _ => (MEMORY >> 32) as u32,
            };
            // Not tables: what packets do then is another test's affair.
            if register.name.starts_with("window") {
                continue;
            }
            b.write(offset, value);
            match random.below(4) {
                0 => {
                    let size = 1 + random.below(300) as usize;
                    b.send(0, &random.bytes(size));
                }
                1 => b.run(random.below(60) as u32),
                _ => {}
            }
            // Memory the card reads from holds anything.
            b.scribble(&mut random);
        }
        b.write(map::CONTROL.offset, 1);
        b.run(5_000);
        assert_eq!(b.read(map::CARD_STATE.offset) & 1, 0);
        b.forget();
        for reason in 0..64 {
            b.write(map::QUEUE_OF_REASON.at(reason), 0);
        }
        for ring in Ring::ALL {
            b.start(ring, 9);
        }
        b.send(1, &[8; 99]);
        b.command(op::READ, Table::Action as u32, 0, 5, &Row::zero(8));
        b.transmit(mode::OUT, 1, &[6; 77]);
        b.idle();
        assert_eq!(b.consume(Ring::Packets0)[0].payload, [8; 99]);
        assert_eq!(b.consume(Ring::Answers)[0].row("cookie"), 5);
        assert_eq!(b.sent[1].last().unwrap(), &[6; 77]);
    }
}
