//! Packets with their verdicts, and every copy the software makes of them.

use super::{TABLES, prepare};
use crate::header::images::{load, packed, random_image};
use crate::header::packets::World;
use crate::testing::*;
use seqnic_gen::{Bits, Sim};
use seqnic_image::Image;
use seqnic_model::edit::{Plan, plans};
use seqnic_model::parse::{Headers, parse};
use seqnic_model::verdict::{Verdict, decide};
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::{VERDICT, l4};

pub fn at(frame: &[u8], i: usize) -> u128 {
    u128::from(frame[i]) << 8 | u128::from(frame[i + 1])
}

pub fn kind(h: &Headers) -> u32 {
    match (h.later_fragment, h.protocol) {
        (true, _) => l4::NONE,
        (_, 6) => l4::TCP,
        (_, 17) => l4::UDP,
        (_, 132) => l4::SCTP,
        (_, 58) if h.v6 => l4::ICMPV6,
        _ => l4::NONE,
    }
}

/// The verdict as the header path would give it.
pub fn verdict(frame: &[u8], port: u8, id: u64, h: &Headers, v: &Verdict) -> Bits {
    let mut fields: Vec<(&str, u128)> = vec![
        ("tag", id.into()),
        ("port", port.into()),
        ("reason", v.reason as u128),
        ("interface_valid", v.interface.is_some().into()),
        ("interface", v.interface.unwrap_or(0).into()),
        ("l3", h.l3.into()),
        ("copies", 1),
        // What must not matter to an exception.
        ("action", 33),
        ("l4", l4::TCP.into()),
    ];
    if v.reason == Reason::Directed {
        fields.truncate(6);
        let checksum = h.l4_checksum().map_or(0, |i| at(frame, i));
        fields.extend([
            ("action", u128::from(v.step.action)),
            ("copies", v.step.copies.into()),
            ("rule_valid", v.rule.is_some().into()),
            ("rule", v.rule.unwrap_or(5).into()),
            ("neighbour_valid", v.neighbour.is_some().into()),
            ("neighbour", v.neighbour.unwrap_or(0).into()),
            ("direction", v.class.map_or(0, |(_, d)| d.bit()).into()),
            ("v6", h.v6.into()),
            ("ip_length", h.ip_length.into()),
            ("protocol", h.protocol.into()),
            ("l4", kind(h).into()),
            (
                "l4_offset",
                (usize::from(h.l4).max(h.l3()) - h.l3()) as u128,
            ),
            (
                "udp_no_checksum",
                (kind(h) == l4::UDP && !h.v6 && checksum == 0).into(),
            ),
            ("src", h.src),
            ("dst", h.dst),
            ("sport", h.sport.into()),
            ("dport", h.dport.into()),
            ("traffic_class", h.traffic_class.into()),
            ("ip_checksum", if h.v6 { 0 } else { at(frame, h.l3() + 10) }),
            ("l4_checksum", checksum),
            ("opening", h.opens().into()),
            ("answering", h.answers().into()),
        ]);
    }
    packed(&VERDICT, &fields)
}

/// A packet with its verdict, and every copy the software makes of it.
pub struct Case {
    pub frame: Vec<u8>,
    pub port: u8,
    pub h: Headers,
    pub v: Verdict,
    pub plans: Vec<Plan>,
}

pub fn case(tables: &seqnic_model::Tables, frame: Vec<u8>, port: u8) -> Case {
    let h = parse(&frame, tables.decap(port));
    let v = decide(tables, port, &h, &mut ());
    let plans = plans(tables, &h, &v).collect();
    Case {
        frame,
        port,
        h,
        v,
        plans,
    }
}

/// Asks for every copy of every case, one a clock, and gives the edits.
pub fn edits(image: &Image, cases: &[Case]) -> Vec<Vec<Bits>> {
    let circuit = prepare(image.geometry).unwrap();
    let mut sim = Sim::new(&circuit);
    sim.reset();
    load(&mut sim, image, &TABLES);
    let (mut inputs, mut of) = (vec![], vec![]);
    for (id, case) in cases.iter().enumerate() {
        let v = verdict(&case.frame, case.port, id as u64, &case.h, &case.v);
        for number in 0..case.plans.len().max(1) {
            let number = Bits::new(4, number as u128);
            inputs.push(vec![("in_verdict", v.clone()), ("in_number", number)]);
            of.push(id);
        }
    }
    let mut found = vec![vec![]; cases.len()];
    for (got, id) in stream(&circuit, &mut sim, &inputs).iter().zip(of) {
        found[id].push(got["out_edit"].clone());
    }
    found
}

pub fn random_cases(seed: u64, n: usize) -> (Image, Vec<Case>) {
    let mut random = Random::new(seed);
    let world = World::new(&mut random);
    let image = random_image(&mut random, &world, seed.is_multiple_of(4));
    let tables = seqnic_model::Tables::load(&image).unwrap();
    let cases = (0..n).map(|_| case(&tables, world.frame(&mut random), random.below(4) as u8));
    let cases = cases.collect();
    (image, cases)
}
