//! Section 4: copies, edits and checksums, checked against full sums.

use crate::frames::parse;
use crate::frames::*;
use proptest::prelude::*;
use seqnic_model::edit::{EditError, Plan};
use seqnic_model::keys::Address;
use seqnic_model::tables::Attachment;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const DST: u64 = 0x0a0b_0c0d_0e0f;
const SRC: u64 = 0x0200_0000_00ee;

fn plan(tags: u8) -> Plan {
    Plan {
        action: 1,
        attachment: 1,
        routed: false,
        to: Attachment {
            valid: true,
            tags,
            vid0: 0xabc,
            vid1: 0x123,
            dst_mac: DST,
            src_mac: SRC,
            address: Address::default(),
            ..Attachment::default()
        },
        src: None,
        dst: None,
        sport: None,
        dport: None,
        dscp: None,
        priority: 0,
        tag: None,
    }
}

fn write(plan: &Plan, frame: &[u8]) -> Vec<u8> {
    let h = parse(frame);
    let mut out = vec![0xee; plan.length(&h) + 3];
    let length = plan.write(&h, frame, &mut out).unwrap();
    assert_eq!(
        out[length..],
        [0xee; 3],
        "nothing behind the copy is touched"
    );
    out.truncate(length);
    out
}

fn sample(v6: bool, protocol: u8, segment: Vec<u8>) -> Packet {
    let (src, dst) = match v6 {
        false => ("198.51.100.11", "203.0.113.14"),
        true => ("2001:db8::11", "2001:db8:1::14"),
    };
    Packet::new(src, dst, protocol, segment).summed()
}

#[test]
fn tags_in_and_out() {
    let packet = sample(false, TCP, tcp(1, 2, b"abc"));
    for tags_in in [&[][..], &[(0x8100, 0xf005)], &[(0x88a8, 6), (0x9100, 7)]] {
        // Trailing bytes stay.
        let mut frame = packet.frame(tags_in);
        frame.extend([0xaa; 5]);
        for (tags_out, expected) in [
            (0, &[][..]),
            (1, &[0x81, 0, 0x0a, 0xbc]),
            (2, &[0x88, 0xa8, 0x0a, 0xbc, 0x81, 0, 0x01, 0x23]),
        ] {
            let out = write(&plan(tags_out), &frame);
            assert_eq!(out[..12], [mac(DST), mac(SRC)].concat());
            assert_eq!(out[12..12 + expected.len()], *expected);
            assert_eq!(out[12 + expected.len()..], frame[12 + 4 * tags_in.len()..]);
        }
    }
}

#[test]
fn nat_and_ports_by_hand() {
    let packet = sample(false, TCP, tcp(40001, 80, b"hello"));
    let mut new = packet.clone();
    new.src = "192.0.2.1".parse().unwrap();
    new.dst = "10.0.0.13".parse().unwrap();
    new.segment = tcp(40001, 8080, b"hello");
    new.traffic_class = 46 << 2;
    let copy = Plan {
        src: Some(0xc000_0201),
        dst: Some(0x0a00_000d),
        dport: Some(8080),
        dscp: Some(46),
        ..plan(0)
    };
    assert_eq!(write(&copy, &packet.frame(&[]))[14..], new.summed().bytes());
}

#[test]
fn dscp_leaves_ecn_and_flow_label() {
    for v6 in [false, true] {
        let mut packet = sample(v6, UDP, udp(1, 2, &[]));
        packet.traffic_class = 42 << 2 | 1;
        let mut new = packet.clone();
        new.traffic_class = 23 << 2 | 1;
        let copy = Plan {
            dscp: Some(23),
            ..plan(1)
        };
        assert_eq!(write(&copy, &packet.frame(&[]))[18..], new.bytes());
    }
}

#[test]
fn a_udp_checksum_of_0_stays_in_ipv4_only() {
    let copy = Plan {
        dst: Some(1),
        sport: Some(99),
        ..plan(0)
    };
    let mut packet = sample(false, UDP, udp(1, 2, b"xy"));
    packet.segment[6..8].fill(0);
    assert_eq!(write(&copy, &packet.frame(&[]))[14 + 20 + 6..][..2], [0, 0]);
    let mut packet = sample(true, UDP, udp(1, 2, b"xy"));
    packet.segment[6..8].fill(0);
    assert_ne!(write(&copy, &packet.frame(&[]))[14 + 40 + 6..][..2], [0, 0]);
}

#[test]
fn an_update_that_gives_0_is_sent_as_ffff_in_udp_only() {
    for (protocol, at, segment) in [(UDP, 6, udp(1, 2, &[0; 2])), (TCP, 16, tcp(1, 2, &[0; 2]))] {
        // The source port that makes the full sum 0xffff without a checksum.
        let zeroed = sample(false, protocol, segment.clone());
        let (src, dst) = (zeroed.src, zeroed.dst);
        let mut bare = segment.clone();
        bare[0..2].fill(0);
        bare[at..at + 2].fill(0);
        let sport = !full_sum(&[&pseudo(src, dst, protocol, bare.len()), &bare]);
        let copy = Plan {
            sport: Some(sport),
            ..plan(0)
        };
        let out = write(&copy, &zeroed.frame(&[]));
        let expected = if protocol == UDP { [0xff; 2] } else { [0; 2] };
        assert_eq!(out[34 + at..][..2], expected, "{protocol}");
    }
}

#[test]
fn without_an_edit_the_checksums_are_untouched_even_if_wrong() {
    let mut packet = sample(false, TCP, tcp(1, 2, &[]));
    packet.segment[16..18].copy_from_slice(&[0xff, 0xff]);
    let frame = packet.frame(&[]);
    assert_eq!(write(&plan(0), &frame)[14..], frame[14..]);
    // DSCP is not covered by the transport checksum.
    let copy = Plan {
        dscp: Some(1),
        ..plan(0)
    };
    assert_eq!(write(&copy, &frame)[34..], frame[34..]);
    // A wrong checksum stays as wrong as it was.
    let right = sample(false, TCP, tcp(1, 2, &[]));
    let mut wrong = right.clone();
    wrong.segment[17] ^= 0x55;
    let copy = Plan {
        dst: Some(0x0102_0304),
        ..plan(0)
    };
    let (a, b) = (
        write(&copy, &right.frame(&[])),
        write(&copy, &wrong.frame(&[])),
    );
    assert_ne!(a[34 + 16..][..2], b[34 + 16..][..2]);
    assert_eq!(a[34..50], b[34..50]);
}

#[test]
fn fragments_and_protocols_without_checksum() {
    let copy = Plan {
        dst: Some(0x0a00_000d),
        ..plan(0)
    };
    // First fragment: updated. Later fragment: its bytes are data.
    for (fragment, touched) in [(0x2000, true), (0x2003, false)] {
        let mut packet = sample(false, UDP, udp(1, 2, &[1; 8]));
        packet.fragment = fragment;
        let out = write(&copy, &packet.frame(&[]));
        assert_eq!(out[34..] != packet.segment, touched, "{fragment:#x}");
        assert_eq!(full_sum(&[&out[14..34]]), 0xffff);
    }
    // ICMP in IPv4 and protocol 58 in IPv4 have no pseudo header; SCTP has a CRC.
    for (protocol, segment) in [
        (ICMP, icmp(8)),
        (ICMPV6, icmp(128)),
        (SCTP, sctp(1, 2)),
        (47, vec![3; 9]),
    ] {
        let packet = sample(false, protocol, segment);
        let out = write(&copy, &packet.frame(&[]));
        assert_eq!(out[34..], packet.segment, "{protocol}");
    }
}

#[test]
fn callers_mistakes_are_errors() {
    let frame = sample(false, TCP, tcp(1, 2, &[])).frame(&[]);
    let h = parse(&frame);
    let copy = plan(2);
    let mut small = vec![0; copy.length(&h) - 1];
    assert_eq!(
        copy.write(&h, &frame, &mut small),
        Err(EditError::Buffer { need: 62, have: 61 })
    );
    let error = copy.write(&h, &frame[..50], &mut [0; 100]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the headers are those of a frame of 54 bytes, the frame has 50"
    );
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let tpid = prop::sample::select(vec![0x8100u16, 0x88a8, 0x9100]);
    prop::collection::vec((tpid, any::<u16>()), 0..=2)
}

fn addresses() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<[u32; 2]>()
            .prop_map(|[a, b]| (IpAddr::V4(Ipv4Addr::from(a)), IpAddr::V4(Ipv4Addr::from(b)))),
        any::<[u128; 2]>()
            .prop_map(|[a, b]| (IpAddr::V6(Ipv6Addr::from(a)), IpAddr::V6(Ipv6Addr::from(b)))),
    ]
}

fn packets() -> impl Strategy<Value = Packet> {
    let segment = (
        0u8..5,
        any::<[u16; 2]>(),
        prop::collection::vec(any::<u8>(), 0..300),
    );
    let header = (
        any::<u8>(),
        prop::sample::select(vec![0usize, 4, 40]),
        any::<bool>(),
    );
    (addresses(), segment, header).prop_map(
        |((src, dst), (kind, [s, d], data), (class, more, first))| {
            let v6 = src.is_ipv6();
            let (protocol, segment) = match kind {
                0 => (TCP, tcp(s, d, &data)),
                1 => (UDP, udp(s, d, &data)),
                2 if v6 => (ICMPV6, [&icmp(128)[..], &data].concat()),
                2 => (ICMP, [&icmp(8)[..], &data].concat()),
                3 => (SCTP, sctp(s, d)),
                _ => (47, data),
            };
            let mut packet = Packet {
                ttl: 9,
                ..Packet::new("::", "::", protocol, segment)
            };
            (packet.src, packet.dst) = (src, dst);
            packet.traffic_class = class;
            if v6 {
                packet.extensions = vec![(60, vec![0; 8]); more / 4 % 9];
            } else {
                packet.options = vec![1; more];
                packet.fragment = if first { 0x2000 } else { 0 };
            }
            packet.summed()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Packets with right checksums come out with right checksums: the copy is the packet built
    /// anew with the new values, up to the two ways to write a zero sum.
    #[test]
    fn incremental_is_full(
        packet in packets(),
        tags_in in tags(),
        tags_out in 0u8..=2,
        new in (any::<Option<u128>>(), any::<Option<u128>>(), any::<Option<u16>>(), any::<bool>(), prop::option::of(0u8..64)),
    ) {
        let (src, dst, port, source, dscp) = new;
        let frame = packet.frame(&tags_in);
        let h = parse(&frame);
        prop_assert_eq!(h.fault, None);
        let v6 = packet.src.is_ipv6();
        let cut = |a: u128| if v6 { a } else { a & u128::from(u32::MAX) };
        let port = port.filter(|_| h.has_ports());
        let copy = Plan {
            src: src.map(cut),
            dst: dst.map(cut),
            sport: port.filter(|_| source),
            dport: port.filter(|_| !source),
            dscp,
            ..plan(tags_out)
        };
        let out = write(&copy, &frame);

        let address = |value: u128| match v6 {
            false => IpAddr::V4(Ipv4Addr::from(value as u32)),
            true => IpAddr::V6(Ipv6Addr::from(value)),
        };
        let mut anew = packet.clone();
        anew.src = copy.src.map_or(packet.src, address);
        anew.dst = copy.dst.map_or(packet.dst, address);
        if let Some(port) = copy.sport {
            anew.segment[..2].copy_from_slice(&port.to_be_bytes());
        }
        if let Some(port) = copy.dport {
            anew.segment[2..4].copy_from_slice(&port.to_be_bytes());
        }
        if let Some(dscp) = dscp {
            anew.traffic_class = dscp << 2 | packet.traffic_class & 3;
        }
        let mut expected = anew.clone().summed().bytes();
        let mut got = out[14 + 4 * usize::from(tags_out)..].to_vec();
        prop_assert_eq!(got.len(), expected.len());

        // Checksums verify by the full sum; then everything else is compared.
        if !v6 {
            let header = 20 + anew.options.len();
            prop_assert_eq!(full_sum(&[&got[..header]]), 0xffff);
            got[10..12].fill(0);
            expected[10..12].fill(0);
        }
        if let Some(at) = checksum_at(packet.protocol, v6) {
            let l4 = got.len() - anew.segment.len();
            let pseudo = pseudo(anew.src, anew.dst, anew.protocol, anew.segment.len());
            prop_assert_eq!(full_sum(&[&pseudo, &got[l4..]]), 0xffff);
            if packet.protocol == UDP {
                prop_assert_ne!(&got[l4 + 6..l4 + 8], &[0, 0]);
            }
            got[l4 + at..l4 + at + 2].fill(0);
            expected[l4 + at..l4 + at + 2].fill(0);
        }
        prop_assert_eq!(got, expected);
    }

    /// etherparse, which knows nothing of us, reads the copy and agrees on the checksum.
    #[test]
    fn etherparse_agrees(s in any::<u16>(), d in any::<u16>(), new in any::<u32>(), data in prop::collection::vec(any::<u8>(), 0..60)) {
        let builder = etherparse::PacketBuilder::ethernet2(CLIENT, ENGINE)
            .ipv4([198, 51, 100, 11], [203, 0, 113, 14], 20)
            .udp(s, d);
        let mut frame = Vec::new();
        builder.write(&mut frame, &data).unwrap();
        let copy = Plan { dst: Some(u128::from(new)), sport: Some(77), ..plan(2) };
        let out = write(&copy, &frame);
        let sliced = etherparse::SlicedPacket::from_ethernet(&out).unwrap();
        let Some(etherparse::NetSlice::Ipv4(ip)) = sliced.net else { panic!("IPv4") };
        let header = ip.header().to_header();
        prop_assert_eq!(header.destination, new.to_be_bytes());
        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
        let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else { panic!("UDP") };
        let expected = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
        prop_assert_eq!(udp.source_port(), 77);
        prop_assert_eq!(udp.checksum(), expected);
    }
}
