mod cases;
mod compare;

use super::*;
use crate::header::images::{Read, load, packed};
use crate::header::packets::sum;
use crate::testing::*;
use cases::{edits, random_cases, verdict};
use compare::{copy, exception, unedited};
use seqnic_gen::{Bits, SPACED_VALID, Sim};
use seqnic_spec::geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::METER_ROW;

const TABLES: [Table; 5] = [
    Table::Action,
    Table::Policy,
    Table::Attachment,
    Table::Rewrite,
    Table::Encap,
];

#[test]
fn latency_is_in_budget_for_every_geometry() {
    for g in geometry::ALL {
        let latency = prepare(g).unwrap().latency().unwrap();
        let most = if g.bus_bytes == 64 { 9 } else { 8 };
        assert!(latency <= most, "{}: {latency} clocks", g.name);
    }
}

#[test]
fn every_edit_is_that_of_the_image_engine() {
    let (mut directed, mut checksums, mut too_big, mut absent) = (0, 0, 0, 0);
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 1..=12 {
        let (image, cases) = random_cases(seed, 3500);
        for (id, (case, got)) in cases.iter().zip(edits(&image, &cases)).enumerate() {
            for (number, edit) in got.iter().enumerate() {
                let edit = Read(edit, &EDIT);
                assert_eq!(edit.get("tag"), id as u128);
                assert_eq!(edit.get("in_port"), case.port.into());
                assert_eq!(edit.get("first") == 1, number == 0);
                assert_eq!(edit.get("last") == 1, number + 1 == got.len());
                match case.plans.get(number) {
                    Some(plan) => {
                        directed += 1;
                        checksums += u32::from(edit.get("l4_checksum_valid") == 1);
                        match plan.unsent(&case.h) {
                            Some(Reason::TooBig) => too_big += 1,
                            Some(_) => absent += 1,
                            None => {}
                        }
                        *kinds.entry(edit.get("tag_kind")).or_insert(0) += 1;
                        copy(case, plan, &edit);
                    }
                    None => exception(case, &edit),
                }
            }
        }
    }
    assert!(
        directed > 900 && checksums > 300 && too_big > 100 && absent > 50,
        "{directed} {checksums} {too_big} {absent}"
    );
    assert!(
        kinds.len() == 8 && kinds.values().all(|n| *n > 40),
        "{kinds:?}"
    );
}

/// Where headers are some clocks apart the buffer leaves an edit in the registers here until it has a place for it.
#[test]
fn an_edit_stays_until_the_next_order() {
    let (image, cases) = random_cases(5, 400);
    let g = Geometry {
        clocks_per_header: 8,
        ..*image.geometry
    };
    let circuit = prepare(&g).unwrap().spaced(8).unwrap();
    let leaves = circuit.latency().unwrap();
    let mut sim = Sim::new(&circuit);
    sim.reset();
    load(&mut sim, &image, &TABLES);
    let mut random = Random::new(5);
    for (id, (case, expected)) in cases.iter().zip(edits(&image, &cases)).enumerate() {
        let v = verdict(&case.frame, case.port, id as u64, &case.h, &case.v);
        for (number, edit) in (0..).zip(&expected) {
            for (name, value) in [("in_valid", 1), (SPACED_VALID, 1), ("in_number", number)] {
                sim.set(name, value);
            }
            sim.set_bits("in_verdict", &v);
            sim.step();
            for (name, value) in [("in_valid", 0), (SPACED_VALID, 0), ("in_number", 15)] {
                sim.set(name, value);
            }
            sim.set_bits("in_verdict", &Bits::ones(v.width()));
            sim.step_n(leaves - 1);
            assert_eq!(sim.get("out_valid"), 1);
            for _ in 0..8 + random.below(20) {
                assert_eq!(sim.get_bits("out_edit"), *edit);
                sim.step();
                assert_eq!(sim.get("out_valid"), 0);
            }
        }
    }
}

/// A policed packet has one copy, the host's; which packets are policed says the rule in integers.
#[test]
fn policed_packets_become_the_hosts() {
    let (mut seen, mut voided) = ([0; 2], 0);
    for seed in 1..=10 {
        let found = policed_of(seed);
        seen = [seen[0] + found.0, seen[1] + found.1];
        voided += found.2;
    }
    assert!(
        seen.iter().all(|n| *n > 80) && voided > 30,
        "{seen:?} {voided}"
    );
}

/// Copies of packets in time, policed packets, and copies of those that are none.
fn policed_of(seed: u64) -> (u32, u32, u32) {
    let (image, cases) = random_cases(seed, 2000);
    let circuit = prepare(image.geometry).unwrap();
    let leaves = circuit.latency().unwrap() as usize;
    let mut sim = Sim::new(&circuit);
    sim.reset();
    load(&mut sim, &image, &TABLES);
    let rate = |row: u64| (900_000 * row, 90_000_000 * row);
    for row in 1..3 {
        let (cost, tolerance) = rate(row);
        let mut bits = Row::zero(METER_ROW.width());
        bits.set_field(&METER_ROW, 0, "cost", cost.into());
        bits.set_field(&METER_ROW, 0, "tolerance", tolerance.into());
        write_row(&mut sim, Table::Meter, row as u32, &bits);
    }
    let mut random = Random::new(3);
    let (mut due, mut now) = ([0u128; 3], 0);
    // (packet, copy, policed) of each copy, `None` for a clock without.
    let mut asked = vec![];
    for (id, case) in cases.iter().enumerate() {
        now += random.below(2);
        let row = random.below(3);
        let (cost, tolerance) = rate(row);
        let t = u128::from(now) << 16;
        let directed = case.v.reason == Reason::Directed;
        let metered = row > 0 && directed;
        let policed = metered && due[row as usize] > t + u128::from(tolerance);
        if metered && !policed {
            let due = &mut due[row as usize];
            *due = t.max(*due) + u128::from(case.h.ip_length.min(16383)) * u128::from(cost);
        }
        for number in 0..case.plans.len().max(1) {
            while random.one_in(4) {
                asked.push(None);
            }
            asked.push(Some((id, number, policed, row, now)));
        }
    }
    let (mut seen, mut voided) = ([0; 2], 0);
    asked.resize(asked.len() + leaves, None);
    for clock in 0..asked.len() {
        sim.set("in_valid", asked[clock].is_some().into());
        if let Some((id, number, _, row, now)) = asked[clock] {
            let case = &cases[id];
            let v = verdict(&case.frame, case.port, now, &case.h, &case.v);
            let (at, width) = VERDICT.at("meter");
            let mut v = v;
            v.set_slice(at, &Bits::new(width, row.into()));
            sim.set_bits("in_verdict", &v);
            sim.set("in_number", number as u64);
        }
        let answer = clock.checked_sub(leaves).and_then(|c| asked[c]);
        let out = (sim.get("out_valid"), sim.get("out_void"));
        match answer {
            None => assert_eq!(out, (0, 0)),
            Some((_, 1.., true, ..)) => {
                assert_eq!(out, (0, 1));
                voided += 1;
            }
            Some((id, number, policed, ..)) => {
                assert_eq!(out, (1, 0));
                let bits = sim.get_bits("out_edit");
                let (edit, case) = (Read(&bits, &EDIT), &cases[id]);
                if policed {
                    unedited(&edit);
                    assert_eq!(edit.get("reason"), Reason::Policed as u128);
                    assert_eq!((edit.get("first"), edit.get("last")), (1, 1));
                } else if let Some(plan) = case.plans.get(number) {
                    copy(case, plan, &edit);
                    seen[0] += 1;
                }
                seen[1] += u32::from(policed);
            }
        }
        sim.step();
    }
    (seen[0], seen[1], voided)
}

/// The IPv4 header's sum over all its words, with the edit in place, is 0xFFFF: as checksums
/// were right on arrival, whatever was edited.
#[test]
fn a_right_header_checksum_stays_right() {
    let mut edited = 0;
    for seed in 21..=26 {
        let (image, cases) = random_cases(seed, 3500);
        for (case, got) in cases.iter().zip(edits(&image, &cases)) {
            for edit in got {
                let edit = Read(&edit, &EDIT);
                let Some(new) = edit.option("ip_checksum") else {
                    continue;
                };
                let l3 = case.h.l3();
                let mut ip = case.frame[l3..l3 + usize::from(case.frame[l3] & 15) * 4].to_vec();
                let mut put = |at: usize, bytes: usize, value: u128| {
                    ip[at..at + bytes].copy_from_slice(&value.to_be_bytes()[16 - bytes..]);
                };
                put(10, 2, new);
                for (name, place, bytes) in
                    [("traffic_class", 1, 1), ("src", 12, 4), ("dst", 16, 4)]
                {
                    if let Some(value) = edit.option(name) {
                        put(place, bytes, value);
                    }
                }
                assert_eq!(sum(&ip), 0xffff, "{ip:02x?}");
                edited += 1;
            }
        }
    }
    assert!(edited > 200, "{edited}");
}

/// Sums at the edges of the formula, against plain software: all words 0 or 0xFFFF.
#[test]
fn corners_of_the_formula() {
    let (image, _) = random_cases(1, 0);
    let circuit = prepare(&SMALL).unwrap();
    let mut sim = Sim::new(&circuit);
    sim.reset();
    load(&mut sim, &image, &TABLES);
    for (old, new, v6) in [
        (u128::MAX, 0, true),
        (0xffff_ffff, 0, false),
        (0, 0, true),
        (0, 0, false),
        (0, u128::MAX, true),
    ] {
        for checksum in [0u128, 1, 0xfffe, 0xffff] {
            let attachment = packed(&seqnic_spec::tables::ATTACHMENT_ROW, &[("address", new)]);
            sim.poke("attachment.rows", 10, &attachment);
            let action = packed(
                &seqnic_spec::tables::ACTION_ROW,
                &[("attachment", 5), ("nat", 1)],
            );
            sim.poke("action.rows", 9, &action);
            let fields = [
                ("action", 9),
                ("copies", 1),
                ("v6", u128::from(v6)),
                ("l4", l4::UDP.into()),
                ("dst", old),
                ("ip_checksum", checksum),
                ("l4_checksum", checksum),
            ];
            sim.set_bits("in_verdict", &packed(&VERDICT, &fields));
            sim.step_n(circuit.latency().unwrap());
            let mut update = seqnic_model::checksum::Update::default();
            update.address(v6, old, new);
            let expected = update.apply(checksum as u16).unwrap();
            let edit = sim.get_bits("out_edit");
            let edit = Read(&edit, &EDIT);
            assert_eq!(edit.option("ip_checksum"), (!v6).then_some(expected.into()));
            let udp = if expected == 0 { 0xffff } else { expected };
            assert_eq!(edit.option("l4_checksum"), Some(udp.into()));
        }
    }
}
