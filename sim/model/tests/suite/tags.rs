//! Tag headers and tunnels: taken off (section 1.2), asked with (2), put on, and too big (4).

use crate::frames::*;
use crate::images::*;
use seqnic_engine::{Count, CounterKey, Engine, FrameIn, Output};
use seqnic_model::ImageEngine;
use seqnic_model::decap::{Header, Taken};
use seqnic_model::parse::{Headers, parse as parse_on};
use seqnic_model::tables::Decap;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::*;

const END4: &str = "10.9.0.1";
const END6: &str = "fd00:9::1";
const DEVICE4: &str = "10.9.0.2";
const DEVICE6: &str = "fd00:9::2";

fn everything() -> Decap {
    Decap {
        accepts: (1 << accepts::BITS) - 1,
        v4: Some(number(END4).1 as u32),
        v6: Some(number(END6).1),
    }
}

fn inner(v6: bool) -> Packet {
    let (src, dst) = match v6 {
        false => ("198.51.100.11", SERVICE),
        true => ("2001:db8::11", SERVICE6),
    };
    Packet::new(src, dst, TCP, tcp(40001, 80, b"GET")).summed()
}

fn label(label: u32, bottom: u32) -> [u8; 4] {
    (label << 12 | bottom << 8 | 9).to_be_bytes()
}

/// Base and service path header, and words of context.
fn nsh(md: u8, next: u8, si: u8, context: &[u8]) -> Vec<u8> {
    let words = 2 + context.len() / 4;
    let mut header = vec![0x0f, 0xc0 | words as u8, md, next, 0, 0, 7, si];
    header.extend(context);
    header
}

fn vxlan(flags: u8, next: u8, vni: u32) -> Vec<u8> {
    [[flags, 0, 0, next], (vni << 8).to_be_bytes()].concat()
}

fn gre(flags: u16, ethertype: u16, key: u32) -> Vec<u8> {
    let mut header = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
    header.extend(key.to_be_bytes());
    header
}

fn ethernet(ethertype: u16) -> Vec<u8> {
    eth(ENGINE, &[], ethertype, &[])
}

/// `payload` in IP, to the end of a tunnel.
fn outer(v6: bool, protocol: u8, payload: Vec<u8>) -> Packet {
    match v6 {
        false => Packet::new(DEVICE4, END4, protocol, payload),
        true => Packet::new(DEVICE6, END6, protocol, payload),
    }
}

fn in_udp(v6: bool, port: u16, payload: &[&[u8]]) -> Packet {
    outer(v6, UDP, udp(0xc001, port, &payload.concat()))
}

/// A frame of every kind, with and without VLAN tags.
fn tagged(header: Header, outer6: bool, packet: &Packet, tags: &[(u16, u16)]) -> Vec<u8> {
    let (ip, ethertype) = (packet.bytes(), packet.ethertype());
    let next = 1 + u8::from(packet.src.is_ipv6());
    match header {
        Header::Mpls => eth(ENGINE, tags, 0x8847, &[&label(777, 1)[..], &ip].concat()),
        Header::Nsh => {
            let header = nsh(1, next, 254, &[0xee; 16]);
            eth(ENGINE, tags, 0x894f, &[header, ip].concat())
        }
        Header::Vxlan => {
            let headers = [&vxlan(8, 0, 777)[..], &ethernet(ethertype), &ip];
            in_udp(outer6, 4789, &headers).frame(tags)
        }
        Header::Gpe => {
            let headers = [&vxlan(12, 4, 99)[..], &nsh(2, next, 254, &[0xee; 4]), &ip];
            in_udp(outer6, 4790, &headers).frame(tags)
        }
        Header::Gre => {
            let payload = [gre(0x2000, ethertype, 777), ip].concat();
            outer(outer6, 47, payload).frame(tags)
        }
    }
}

const HEADERS: [Header; 5] = [
    Header::Mpls,
    Header::Nsh,
    Header::Vxlan,
    Header::Gpe,
    Header::Gre,
];

fn number_of(header: Header) -> u16 {
    match header {
        Header::Nsh | Header::Gpe => 254,
        _ => 777,
    }
}

#[test]
fn what_is_accepted_is_taken_off() {
    for header in HEADERS {
        for (outer6, inner6) in [(false, false), (false, true), (true, false), (true, true)] {
            for tags in [&[][..], &[(0x8100, 5)], &[(0x88a8, 5), (0x8100, 6)]] {
                let packet = inner(inner6);
                let frame = tagged(header, outer6, &packet, tags);
                let h = parse_on(&frame, &everything());
                let number = number_of(header);
                assert_eq!(h.fault, None, "{header:?}");
                assert_eq!(h.taken, Some(Taken { header, number }));
                assert_eq!(h.ethertype, packet.ethertype());
                assert_eq!(frame[h.l3()..], packet.bytes());
                assert_eq!(h.source(), parse(&packet.frame(&[])).source());
                assert_eq!((h.sport, h.dport), (40001, 80));
                assert_eq!(h.ip_length as usize, packet.bytes().len());
                assert_eq!(h.l4 as usize, h.l3() + if inner6 { 40 } else { 20 });
            }
        }
    }
}

/// Without its bit, or to another address, nothing is recognised.
#[test]
fn what_is_not_accepted_is_a_frame_like_any() {
    for header in HEADERS {
        let frame = tagged(header, false, &inner(false), &[]);
        let others = Decap {
            accepts: everything().accepts & !header.accepts(),
            ..everything()
        };
        let elsewhere = Decap {
            v4: Some(1),
            ..everything()
        };
        let nowhere = Decap {
            v4: None,
            ..everything()
        };
        let behind_ethernet = matches!(header, Header::Mpls | Header::Nsh);
        for decap in [others, elsewhere, nowhere] {
            let h = parse_on(&frame, &decap);
            if behind_ethernet && decap.accepts & header.accepts() != 0 {
                assert!(h.taken.is_some());
                continue;
            }
            assert_eq!((h.fault, h.taken, h.l3()), (None, None, 14), "{header:?}");
        }
    }
    let fragment = Packet {
        fragment: 0x2000,
        ..outer(false, 47, gre(0x2000, 0x0800, 1))
    };
    assert_eq!(parse_on(&fragment.frame(&[]), &everything()).taken, None);
    let options = Packet {
        options: vec![1; 4],
        fragment: 0,
        ..fragment
    };
    assert_eq!(parse_on(&options.frame(&[]), &everything()).taken, None);
    let mut extended = outer(true, 47, gre(0x2000, 0x0800, 1));
    extended.extensions = vec![(60, vec![0; 8])];
    assert_eq!(parse_on(&extended.frame(&[]), &everything()).taken, None);
}

fn fault(frame: &[u8]) -> Option<Reason> {
    let h: Headers = parse_on(frame, &everything());
    assert!(h.fault.is_none() || h.taken.is_none());
    h.fault
}

#[test]
fn what_cannot_be_right_is_encapsulation() {
    let ip = inner(false).bytes();
    let wrong = Some(Reason::Encapsulation);
    let mpls = |entry: [u8; 4], ip: &[u8]| fault(&eth(ENGINE, &[], 0x8847, &[&entry, ip].concat()));
    assert_eq!(mpls(label(65535, 1), &ip), None);
    assert_eq!(mpls(label(65536, 1), &ip), wrong);
    assert_eq!(mpls(label(3, 0), &ip), wrong);
    assert_eq!(mpls(label(3, 1), &[0x50]), wrong);
    assert_eq!(mpls(label(3, 1), &[]), wrong);

    let mut good = nsh(1, 1, 9, &[0; 16]);
    let of = |header: &[u8]| fault(&eth(ENGINE, &[], 0x894f, &[header, &ip].concat()));
    assert_eq!(of(&good), None);
    good[0] |= 0x10; // unassigned
    assert_eq!(of(&good), None);
    for (at, value) in [
        (0, 0x4f),
        (0, 0x8f),
        (0, 0x2f),
        (1, 0xc5),
        (1, 0xc7),
        (2, 0),
        (2, 3),
        (3, 4),
        (7, 0),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(of(&bad), wrong, "byte {at} = {value:#x}");
    }
    assert_eq!(of(&nsh(2, 1, 9, &[])), None);
    let mut short = nsh(2, 1, 9, &[]);
    short[1] = 1;
    assert_eq!(of(&short), wrong);
    // To an Ethernet header inside, of IP and of ARP.
    let behind = |t: u16| of(&[nsh(2, 3, 9, &[]), ethernet(t)].concat());
    assert_eq!(behind(0x0800), None);
    assert_eq!(behind(0x8100), wrong);
    assert_eq!(behind(0x0806), wrong);

    let vx = |header: &[u8], t: u16| {
        let parts = [header, &ethernet(t), &ip];
        fault(&in_udp(false, 4789, &parts).frame(&[]))
    };
    assert_eq!(vx(&vxlan(8, 0, 65535), 0x0800), None);
    assert_eq!(vx(&vxlan(8, 0, 65536), 0x0800), wrong);
    assert_eq!(vx(&vxlan(12, 0, 1), 0x0800), wrong);
    assert_eq!(vx(&vxlan(8, 0, 1), 0x8100), wrong);
    assert_eq!(vx(&vxlan(8, 0, 1), 0x0806), wrong);

    let gpe = |header: &[u8]| {
        let parts = [header, &nsh(2, 1, 1, &[]), &ip];
        fault(&in_udp(true, 4790, &parts).frame(&[]))
    };
    assert_eq!(gpe(&vxlan(12, 4, 0xff_ffff)), None, "the VNI is not read");
    assert_eq!(gpe(&vxlan(8, 4, 1)), wrong);
    assert_eq!(gpe(&vxlan(12, 3, 1)), wrong);

    let with = |header: &[u8]| fault(&outer(true, 47, [header, &ip].concat()).frame(&[]));
    assert_eq!(with(&gre(0x2000, 0x0800, 65535)), None);
    assert_eq!(with(&gre(0x2000, 0x0800, 65536)), wrong);
    assert_eq!(with(&gre(0x2001, 0x0800, 1)), wrong);
    assert_eq!(with(&gre(0x0000, 0x0800, 1)), wrong);
    assert_eq!(with(&gre(0x2000, 0x6558, 1)), wrong);
}

/// Wherever a frame ends, it is not read past its end, and it is never something else than it was.
#[test]
fn cut_off_frames_are_told() {
    for header in HEADERS {
        let frame = tagged(header, true, &inner(false), &[]);
        let l3 = parse_on(&frame, &everything()).l3();
        for cut in 14..frame.len() {
            let h = parse_on(&frame[..cut], &everything());
            assert!(h.fault.is_some(), "{header:?} cut at {cut}");
            // Of MPLS the first byte behind it says what it is.
            let whole = cut >= l3 + usize::from(header == Header::Mpls);
            assert_eq!(h.taken.is_some(), whole, "{header:?} cut at {cut}");
        }
    }
    // Context up to where the longest IPv4 header behind it is still in the window.
    let of = |words: usize| {
        let header = nsh(2, 1, 9, &vec![0; 4 * words - 8]);
        fault(&eth(
            ENGINE,
            &[],
            0x894f,
            &[header, inner(false).bytes()].concat(),
        ))
    };
    assert_eq!(of(29), None);
    assert_eq!(of(30), Some(Reason::Encapsulation));
}

/// The sample with `web` in IPv4 on its way through the IDS by a tag of `kind`, number 9. The server
/// gets what comes back with tag 9. Interface `i2`, the IDS's, accepts every tag.
fn tracked(kind: u32, v6: bool, mtu: u128) -> ImageEngine {
    let mut image = sample();
    let i = &mut image;
    let (end, device) = if v6 { (END6, DEVICE6) } else { (END4, DEVICE4) };
    let ends = [("src", number(end).1), ("dst", number(device).1)];
    let sum = match v6 {
        true => 0,
        false => {
            let words = [0x4500u16, 0x4000, 0x4000].map(u16::to_be_bytes);
            let [src, dst] = ends.map(|(_, a)| (a as u32).to_be_bytes());
            full_sum(&[&words.concat(), &src, &dst])
        }
    };
    let bases = [
        ("v6", u128::from(v6)),
        ("sum", sum.into()),
        ("vlan", 3800),
        ("mpls", 1000),
        ("vni", 2000),
        ("gre", 3000),
        ("spi", 0x12_3456),
    ];
    put_row(i, Table::Encap, 3, &[&bases[..], &ends].concat());
    let row = i.row_of(Table::Attachment, IDS.into());
    let mut ids = i.table(Table::Attachment).row(row);
    for (field, value) in [("encap", 3), ("mtu", mtu), ("tags", 1), ("vid0", 5)] {
        ids.set_field(&ATTACHMENT_ROW, 0, field, value);
    }
    i.table_mut(Table::Attachment).put(row, &ids);
    let tagged = [
        ("attachment", IDS.into()),
        ("tag_kind", kind.into()),
        ("tag", 9),
        ("dscp_valid", 1),
        ("dscp", 46),
    ];
    put_row(i, Table::Action, 1, &tagged);
    put_row(
        i,
        Table::Action,
        2,
        &[("attachment", SERVER.into()), ("nat", 1)],
    );
    put_row(
        i,
        Table::Class,
        1,
        &[("forward_action", 1), ("forward_copies", 1)],
    );
    put_row(
        i,
        Table::Decap,
        2,
        &[
            ("accepts", 0x7f),
            ("v4_valid", 1),
            ("v4", number(END4).1),
            ("v6_valid", 1),
            ("v6", number(END6).1),
        ],
    );
    for (vid1, accepts) in [(0, 0x7d), (3809, 0x7f)] {
        put_hash(
            i,
            Table::Interface,
            &[("port", 2), ("vid0", 5), ("vid1", vid1)],
            &[
                ("interface", 2),
                ("segment", 9),
                ("mac", 0x0207_0000_0007),
                ("promiscuous", 1),
                ("accepts", accepts),
            ],
        );
    }
    use position_kind::*;
    for (kind, value) in [
        (VLAN, 3809),
        (MPLS, 1009),
        (NSH, 246),
        (VXLAN, 2009),
        (GRE, 3009),
    ] {
        put_step(
            i,
            1,
            0,
            position(kind, value),
            &[("action", 2), ("copies", 1)],
        );
    }
    ImageEngine::load(&image).unwrap()
}

fn push(engine: &mut ImageEngine, port: u8, frame: &[u8]) -> Output {
    let mut out = Vec::new();
    engine
        .push(
            FrameIn {
                id: 1,
                time: 1,
                port,
                frame,
            },
            &mut out,
        )
        .unwrap();
    assert_eq!(out.len(), 1);
    out.remove(0)
}

/// Every kind leaves with its tag; the same frame sent back goes on to the server without it.
#[test]
fn a_tag_goes_out_and_comes_back() {
    use tag_kind::*;
    for (kind, v4, v6) in [
        (VLAN, 4, 4),
        (MPLS, 4, 4),
        (NSH1, 24, 24),
        (NSH2, 8, 8),
        (VXLAN, 50, 70),
        (GPE1, 60, 80),
        (GPE2, 44, 64),
        (GRE, 28, 48),
    ] {
        for outer6 in [false, true] {
            let packet = inner(false);
            // With an Ethernet trailer, which stays behind everything.
            let trailer = [0xab; 5];
            let frame = [packet.frame(&[]), trailer.to_vec()].concat();
            let added = if outer6 { v6 } else { v4 };
            let size = packet.bytes().len() + added - if kind == VLAN { 4 } else { 0 };
            let mut engine = tracked(kind, outer6, size as u128);
            let Output::Sent(sent) = push(&mut engine, 0, &frame) else {
                panic!("kind {kind} was not sent")
            };
            assert_eq!(sent.frame.len(), frame.len() + 4 + added, "kind {kind}");
            assert_eq!(sent.interface, 2);
            assert!(sent.frame.ends_with(&trailer));

            let mut back = sent.frame.clone();
            if matches!(kind, NSH1 | NSH2 | GPE1 | GPE2) {
                // The device counts the service index down.
                let at = back.windows(4).position(|w| w == [0x12, 0x34, 0x56, 247]);
                back[at.unwrap() + 3] -= 1;
            }
            if outer6 || matches!(kind, VXLAN | GPE1 | GPE2 | GRE) {
                swap_ends(&mut back, outer6);
            }
            let Output::Sent(on) = push(&mut engine, 2, &back) else {
                panic!("kind {kind} did not come back")
            };
            assert_eq!(on.interface, 1);
            // Straight to the server, a NAT mode one, with the DSCP it left with.
            let mut expected = packet.clone();
            expected.dst = SERVER_ADDRESS.parse().unwrap();
            expected.traffic_class = 46 << 2;
            let expected = eth_from(
                mac(I1_MAC),
                mac(SERVER_MAC),
                &[(0x8100, 100)],
                0x0800,
                &expected.summed().bytes(),
            );
            assert_eq!(
                on.frame,
                [expected, trailer.to_vec()].concat(),
                "kind {kind}"
            );

            // One byte less of room is too little: the host gets the packet as it came.
            let mut engine = tracked(kind, outer6, size as u128 - 1);
            let Output::Host(host) = push(&mut engine, 0, &frame) else {
                panic!("kind {kind} was sent")
            };
            assert_eq!((host.reason, &host.frame), (Reason::TooBig, &frame));
            assert_eq!((host.service, host.interface), (None, Some(0)));
            let counters = engine.counters().unwrap().0;
            let one = Count {
                packets: 1,
                bytes: frame.len() as u64,
            };
            assert_eq!(counters[&CounterKey::Reason(Reason::TooBig)], one);
            assert_eq!(counters[&CounterKey::Reason(Reason::Directed)], one);
            assert!(
                !counters
                    .keys()
                    .any(|k| matches!(k, CounterKey::InterfaceOut(_)))
            );
        }
    }
}

/// Makes a tunnel's frame one that comes from its other end.
fn swap_ends(frame: &mut [u8], v6: bool) {
    let (at, n) = if v6 { (18 + 8, 16) } else { (18 + 12, 4) };
    let (from, to) = frame[at..at + 2 * n].split_at_mut(n);
    let version = if v6 { (END6, DEVICE6) } else { (END4, DEVICE4) };
    let bytes = |a: &str| number(a).1.to_be_bytes()[16 - n..].to_vec();
    if from == bytes(version.0) {
        from.copy_from_slice(&bytes(version.1));
        to.copy_from_slice(&bytes(version.0));
    }
}

/// VXLAN over IPv4, byte for byte as RFC 7348 figure 1 has it.
#[test]
fn vxlan_on_the_wire() {
    let packet = inner(false);
    let mut engine = tracked(tag_kind::VXLAN, false, 0);
    let Output::Sent(sent) = push(&mut engine, 0, &packet.frame(&[])) else {
        panic!("not sent")
    };
    let mut leaves = packet.clone();
    leaves.traffic_class = 46 << 2;
    let leaves = leaves.bytes();
    let words = [&leaves[12..20], &leaves[20..24], &[0, 6]].concat();
    let fold = words
        .chunks(2)
        .fold(0, |f, w| f ^ (u16::from(w[0]) << 8 | u16::from(w[1])));
    let (ids, i2) = (mac(IDS_MAC), mac(0x0207_0000_0007));
    let inside = [
        &vxlan(8, 0, 2009)[..],
        &eth_from(i2, ids, &[], 0x0800, &leaves),
    ]
    .concat();
    let mut tunnel = Packet::new(
        END4,
        DEVICE4,
        UDP,
        udp(0xc000 | fold & 0x3fff, 4789, &inside),
    );
    tunnel.traffic_class = 46 << 2;
    tunnel.fragment = 0x4000;
    let mut ip = tunnel.bytes();
    ip[4..6].fill(0);
    ip[10..12].fill(0);
    let sum = !full_sum(&[&ip[..20]]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(sent.frame, eth_from(i2, ids, &[(0x8100, 5)], 0x0800, &ip));
}

/// A number nobody waits for, a kind the interface does not take, and the sender without a tag.
#[test]
fn with_a_tag_nobody_enters() {
    let mut engine = tracked(tag_kind::GRE, false, 0);
    let mut reason = |frame: &[u8]| match push(&mut engine, 2, frame) {
        Output::Host(host) => host.reason,
        Output::Sent(_) => Reason::Directed,
    };
    let tags = [(0x8100, 5)];
    for header in HEADERS {
        let frame = tagged(header, false, &inner(false), &tags);
        assert_eq!(reason(&frame), Reason::WrongSender, "{header:?}");
    }
    let plain = inner(false);
    assert_eq!(reason(&plain.frame(&tags)), Reason::Directed);
    let marked = |dscp: u8| Packet {
        traffic_class: dscp << 2,
        ..plain.clone()
    };
    // The interface takes DSCPs of pool 2 as tags, here and behind a VLAN tag of its own.
    assert_eq!(
        reason(&marked(3 << 2 | 3).frame(&tags)),
        Reason::WrongSender
    );
    assert_eq!(reason(&marked(46).frame(&tags)), Reason::Directed);
    // Port 2 takes it off, but the interface with VLANs 5 and 6 does not take it.
    let other = tagged(Header::Gre, false, &plain, &[(0x88a8, 5), (0x8100, 6)]);
    assert_eq!(reason(&other), Reason::Encapsulation);
}
