//! Section 1, rule by rule.

use crate::frames::parse;
use crate::frames::*;
use proptest::prelude::*;
use seqnic_model::parse::Headers;
use seqnic_spec::reason::Reason;

fn fault(frame: &[u8]) -> Option<Reason> {
    parse(frame).fault
}

fn v4(protocol: u8, segment: Vec<u8>) -> Packet {
    Packet::new("198.51.100.11", "203.0.113.14", protocol, segment)
}

fn v6(protocol: u8, segment: Vec<u8>) -> Packet {
    Packet::new("2001:db8::11", "2001:db8:1::14", protocol, segment)
}

#[test]
fn ethernet_and_ipv4_fields() {
    // Bytes by hand, so that the builder is tested too.
    let frame = [
        2, 1, 0, 0, 0, 1, 2, 3, 0, 0, 0, 3, 0x08, 0x00, // Ethernet
        0x45, 0xb8, 0, 40, 0x12, 0x34, 0, 0, 64, 6, 0xcb, 0xcb, 198, 51, 100, 11, 203, 0, 113, 14,
        0x9c, 0x41, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0,
    ];
    let mut right = frame;
    let sum = !full_sum(&[&frame[14..24], &frame[26..34]]);
    right[24..26].copy_from_slice(&sum.to_be_bytes());
    let mut packet = v4(TCP, tcp(40001, 80, &[]));
    packet.traffic_class = 0xb8;
    assert_eq!(packet.frame(&[]), right);
    assert_eq!(
        parse(&right),
        Headers {
            fault: None,
            length: 54,
            dst_mac: 0x0201_0000_0001,
            src_mac: 0x0203_0000_0003,
            ethertype: 0x0800,
            l3: 14,
            ip_length: 40,
            src: 0xc633_640b,
            dst: 0xcb00_710e,
            protocol: 6,
            ttl: 64,
            traffic_class: 0xb8,
            l4: 34,
            sport: 40001,
            tcp_flags: 0x10,
            dport: 80,
            ..Headers::default()
        }
    );
}

#[test]
fn ipv6_fields() {
    let mut packet = v6(UDP, udp(546, 547, &[9; 4]));
    packet.traffic_class = 0xa7;
    packet.ttl = 3;
    let h = parse(&packet.frame(&[(0x8100, 7)]));
    assert_eq!(
        (h.fault, h.v6, h.traffic_class, h.ttl),
        (None, true, 0xa7, 3)
    );
    assert_eq!(h.src, 0x2001_0db8_0000_0000_0000_0000_0000_0011);
    assert_eq!(h.dst, 0x2001_0db8_0001_0000_0000_0000_0000_0014);
    assert_eq!((h.protocol, h.l4, h.sport, h.dport), (UDP, 58, 546, 547));
}

#[test]
fn tags_are_taken_off() {
    let packet = v4(TCP, tcp(1, 2, &[]));
    let of = |tags: &[(u16, u16)]| {
        let h = parse(&packet.frame(tags));
        (h.fault, h.tags, h.vid0, h.vid1, h.l3())
    };
    assert_eq!(of(&[]), (None, 0, 0, 0, 14));
    // PCP and DEI are ignored, each TPID counts.
    assert_eq!(of(&[(0x8100, 0xf00a)]), (None, 1, 10, 0, 18));
    assert_eq!(of(&[(0x88a8, 100), (0x8100, 200)]), (None, 2, 100, 200, 22));
    assert_eq!(of(&[(0x9100, 4094), (0x9100, 1)]), (None, 2, 4094, 1, 22));
    // A priority tag is off, and its VID is 0.
    assert_eq!(of(&[(0x8100, 0xe000)]), (None, 1, 0, 0, 18));
    let (fault, ..) = of(&[(0x8100, 1), (0x8100, 2), (0x8100, 3)]);
    assert_eq!(fault, Some(Reason::VlanDepth));
}

#[test]
fn runts() {
    let frame = v4(TCP, tcp(1, 2, &[])).frame(&[(0x88a8, 5), (0x8100, 6)]);
    for len in 0..14 {
        assert_eq!(fault(&frame[..len]), Some(Reason::Runt), "{len}");
    }
    // The EtherType behind a tag must be there; the third tag counts as soon as it is seen.
    for len in 14..22 {
        assert_eq!(fault(&frame[..len]), Some(Reason::Runt), "{len}");
    }
    assert_eq!(fault(&frame[..22]), Some(Reason::Ipv4Header));
    let three = eth(ENGINE, &[(0x8100, 1); 2], 0x88a8, &[]);
    assert_eq!((three.len(), fault(&three)), (22, Some(Reason::VlanDepth)));
}

#[test]
fn other_ethertypes_are_no_fault() {
    assert_eq!(fault(&eth(ENGINE, &[], 0x0806, &[])), None);
    let h = parse(&eth(ENGINE, &[(0x8100, 9)], 0x1234, &[0xff; 60]));
    assert_eq!((h.fault, h.ethertype, h.is_ip()), (None, 0x1234, false));
}

/// The IPv4 packet with byte `at` changed and the checksum right again.
fn v4_with(at: usize, value: u8) -> Vec<u8> {
    let mut ip = v4(TCP, tcp(1, 2, &[7; 8])).bytes();
    ip[at] = value;
    ip[10..12].fill(0);
    let header = (usize::from(ip[0] & 15) * 4).min(ip.len());
    let sum = !full_sum(&[&ip[..header]]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    eth(ENGINE, &[], 0x0800, &ip)
}

#[test]
fn ipv4_header_checks() {
    assert_eq!(fault(&v4_with(8, 63)), None);
    let header = Some(Reason::Ipv4Header);
    assert_eq!(fault(&v4_with(0, 0x55)), header, "version");
    assert_eq!(fault(&v4_with(0, 0x44)), header, "IHL");
    assert_eq!(
        fault(&v4_with(3, 19)),
        header,
        "total length below the header"
    );
    assert_eq!(
        fault(&v4_with(3, 49)),
        header,
        "total length past the frame"
    );
    let frame = v4_with(8, 63);
    for len in 14..frame.len() {
        assert_eq!(fault(&frame[..len]), header, "{len} bytes");
    }
    // Options past the frame: 60 bytes of header said, 48 there.
    assert_eq!(fault(&v4_with(0, 0x4f)), header);
}

#[test]
fn total_length_is_checked_up_to_the_window_only() {
    let long = |frame: usize| {
        let mut ip = v4(UDP, udp(1, 2, &vec![0; frame - 14 - 20 - 8])).bytes();
        ip[2..4].copy_from_slice(&2000u16.to_be_bytes());
        ip[10..12].fill(0);
        let sum = !full_sum(&[&ip[..20]]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let frame = eth(ENGINE, &[], 0x0800, &ip);
        fault(&frame)
    };
    assert_eq!(long(192), Some(Reason::Ipv4Header));
    assert_eq!(long(193), None);
    let long = |frame: usize| {
        let mut ip = v6(UDP, udp(1, 2, &vec![0; frame - 14 - 40 - 8])).bytes();
        ip[4..6].copy_from_slice(&2000u16.to_be_bytes());
        fault(&eth(ENGINE, &[], 0x86dd, &ip))
    };
    assert_eq!(long(192), Some(Reason::Ipv6Header));
    assert_eq!(long(193), None);
}

#[test]
fn ipv4_checksum_covers_options_and_comes_after_the_header() {
    let mut packet = v4(TCP, tcp(1, 2, &[]));
    packet.options = vec![7, 7, 4, 1, 2, 3, 4, 0];
    let mut frame = packet.frame(&[]);
    let h = parse(&frame);
    assert_eq!((h.fault, h.l4, h.sport, h.dport), (None, 42, 1, 2));
    frame[14 + 24] ^= 1;
    assert_eq!(fault(&frame), Some(Reason::Ipv4Checksum));
    // A wrong version besides: the header is named first.
    frame[14] = 0x57;
    assert_eq!(fault(&frame), Some(Reason::Ipv4Header));
    // A wrong checksum and a short transport header: the checksum is named first.
    let mut frame = v4(TCP, vec![0; 4]).frame(&[]);
    assert_eq!(fault(&frame), Some(Reason::L4Header));
    frame[24] ^= 1;
    assert_eq!(fault(&frame), Some(Reason::Ipv4Checksum));
}

#[test]
fn ipv4_fragments() {
    let mut packet = v4(UDP, udp(53, 5353, &[1; 8]));
    packet.fragment = 0x2000; // first: more fragments, offset 0
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.later_fragment, h.sport, h.dport), (false, 53, 5353));
    packet.fragment = 0x2001;
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.later_fragment, h.sport), (None, true, 0));
    // A later fragment needs no transport header; "do not fragment" makes none.
    packet.segment.truncate(3);
    packet.fragment = 1;
    assert_eq!(fault(&packet.frame(&[])), None);
    packet.fragment = 0x4000;
    assert_eq!(fault(&packet.frame(&[])), Some(Reason::L4Header));
}

#[test]
fn transport_headers_have_a_minimum() {
    for (protocol, min) in [
        (TCP, 20),
        (UDP, 8),
        (SCTP, 12),
        (ICMP, 4),
        (ICMPV6, 4),
        (47, 0),
    ] {
        for packet in [v4(protocol, vec![1; min]), v6(protocol, vec![1; min])] {
            assert_eq!(fault(&packet.frame(&[])), None, "{protocol}");
            if min > 0 {
                let mut short = packet;
                short.segment.pop();
                // Padding behind the packet's end does not help.
                let mut frame = short.frame(&[]);
                frame.extend([0; 30]);
                assert_eq!(fault(&frame), Some(Reason::L4Header), "{protocol}");
            }
        }
    }
}

#[test]
fn ports_and_icmp_types() {
    for (protocol, segment) in [
        (TCP, tcp(1000, 80, &[])),
        (UDP, udp(1000, 80, &[])),
        (SCTP, sctp(1000, 80)),
    ] {
        let h = parse(&v4(protocol, segment).frame(&[]));
        assert_eq!((h.sport, h.dport, h.icmp_type), (1000, 80, 0));
    }
    for protocol in [ICMP, ICMPV6] {
        let h = parse(&v6(protocol, icmp(135)).frame(&[]));
        assert_eq!((h.sport, h.dport, h.icmp_type), (0, 0, 135));
    }
    let h = parse(&v4(47, vec![0xff; 8]).frame(&[]));
    assert_eq!((h.sport, h.dport, h.icmp_type), (0, 0, 0));
}

#[test]
fn ipv6_header_checks() {
    let frame = v6(TCP, tcp(1, 2, &[])).frame(&[]);
    assert_eq!(fault(&frame), None);
    for len in 14..frame.len() {
        assert_eq!(fault(&frame[..len]), Some(Reason::Ipv6Header), "{len}");
    }
    let mut bad = frame.clone();
    bad[14] = 0x40;
    assert_eq!(fault(&bad), Some(Reason::Ipv6Header), "version");
    let mut short = frame;
    short[19] = 19;
    assert_eq!(fault(&short), Some(Reason::L4Header), "payload of 19 bytes");
}

#[test]
fn extension_headers_are_walked() {
    let extension = |kind: u8, length: u8, bytes: usize| {
        let mut e = vec![0; bytes];
        e[1] = length;
        (kind, e)
    };
    for kind in [0, 43, 60, 135, 139, 140] {
        let mut packet = v6(TCP, tcp(1, 2, &[]));
        packet.extensions = vec![extension(kind, 1, 16)];
        let h = parse(&packet.frame(&[]));
        assert_eq!((h.fault, h.l4, h.dport), (None, 14 + 40 + 16, 2), "{kind}");
    }
    // AH counts in words less two.
    let mut packet = v6(UDP, udp(1, 2, &[]));
    packet.extensions = vec![extension(51, 4, 24)];
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.l4, h.dport), (None, 14 + 40 + 24, 2));
    // The length byte of a fragment header is reserved.
    packet.extensions = vec![extension(44, 9, 8)];
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.later_fragment, h.dport), (None, false, 2));

    for count in 1..=5 {
        packet.extensions = vec![extension(60, 0, 8); count];
        let h = parse(&packet.frame(&[]));
        if count <= 4 {
            assert_eq!((h.fault, h.dport), (None, 2), "{count}");
        } else {
            assert_eq!(h.fault, Some(Reason::TooDeep));
        }
    }
}

#[test]
fn extension_headers_end_with_packet_and_window() {
    let extension = |length: u8, bytes: usize| {
        let mut e = vec![0; bytes];
        e[1] = length;
        (60u8, e)
    };
    // The packet ends inside an extension header's first 8 bytes.
    let mut packet = v6(60, vec![TCP, 0, 0, 0]);
    assert_eq!(fault(&packet.frame(&[])), Some(Reason::Ipv6Header));
    // It says it is longer than the packet: the transport header is not there.
    packet.segment = vec![TCP, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(fault(&packet.frame(&[])), Some(Reason::L4Header));
    // A header past the window, in a long frame: TCP, one more extension, no next header.
    for next in [TCP, 60, 59] {
        let mut packet = v6(next, vec![0; 64]);
        packet.extensions = vec![extension(9, 80)];
        let frame = packet.frame(&[]);
        assert!(frame.len() > 128);
        assert_eq!(fault(&frame), Some(Reason::TooDeep), "{next}");
    }
    // Ends of the view: UDP at 118 fits, with a tag at 122 too, at 126 without one it does not.
    let mut packet = v6(UDP, udp(1, 2, &[0; 32]));
    packet.extensions = vec![extension(7, 64), (60, vec![0; 8])];
    let h = parse(&eth(ENGINE, &[], 0x86dd, &packet.bytes()));
    assert_eq!((h.fault, h.l4), (Some(Reason::TooDeep), 0), "126 + 8 > 128");
    packet.extensions.pop();
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.l4), (None, 118));
    let h = parse(&packet.frame(&[(0x8100, 1)]));
    assert_eq!((h.fault, h.l4), (None, 122));
}

#[test]
fn the_walk_stops_at_the_window_and_at_the_end_of_the_packet() {
    // The first extension header ends at 14 + 40 + 72 = 126: one more would pass the window.
    let mut first = vec![0; 72];
    first[1] = 8;
    // Neither a fragment header that would end the walk there is read, ...
    let mut packet = v6(UDP, vec![0; 40]);
    packet.extensions = vec![(60, first.clone()), (44, vec![0, 0, 0, 8, 0, 0, 0, 0])];
    assert_eq!(fault(&packet.frame(&[])), Some(Reason::TooDeep));
    // ... nor does it matter that the packet ends before it.
    let mut packet = v6(60, vec![]);
    packet.extensions = vec![(60, first)];
    assert_eq!(packet.frame(&[]).len(), 126);
    assert_eq!(fault(&packet.frame(&[])), Some(Reason::TooDeep));
    // Padding behind the packet is no extension header.
    let mut frame = v6(44, vec![]).frame(&[]);
    frame.extend([UDP, 0, 0, 8, 0, 0, 0, 0]);
    assert_eq!(fault(&frame), Some(Reason::Ipv6Header));
}

#[test]
fn ipv6_fragments() {
    let fragment = |field: u16| {
        let [a, b] = field.to_be_bytes();
        (44u8, vec![0, 0, a, b, 1, 2, 3, 4])
    };
    let mut packet = v6(UDP, udp(1, 2, &[]));
    packet.extensions = vec![fragment(0x0001)];
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.later_fragment, h.dport), (None, false, 2));
    packet.extensions = vec![fragment(0x0008)];
    packet.segment = vec![1];
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.later_fragment, h.protocol), (None, true, UDP));
    assert_eq!((h.sport, h.dport), (0, 0));
    // The walk ends there, whatever the next header is.
    packet.protocol = 60;
    let h = parse(&packet.frame(&[]));
    assert_eq!((h.fault, h.later_fragment, h.protocol), (None, true, 60));
}

#[test]
fn every_length_of_a_right_frame_parses_without_panic() {
    let mut packet = v6(TCP, tcp(1, 2, &[3; 60]));
    packet.extensions = vec![
        (0, vec![0; 8]),
        (51, vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for frame in [
        packet.frame(&[(0x8100, 1); 2]),
        v4(UDP, udp(1, 2, &[5; 150])).frame(&[]),
    ] {
        for len in 0..=frame.len() {
            assert_eq!(parse(&frame[..len]).length, len);
        }
    }
}

/// Random bytes that often get far: sometimes with an Ethernet and an IP header.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let header = prop::sample::select(vec![
        vec![],
        eth(ENGINE, &[], 0x86dd, &[0x60, 0, 0, 0]),
        eth(ENGINE, &[(0x8100, 3)], 0x86dd, &[0x60, 0, 0, 0, 0, 60]),
        eth(ENGINE, &[], 0x86dd, &[0x60, 0, 0, 0, 1, 0, 44, 4]),
        eth(ENGINE, &[(0x88a8, 3), (0x8100, 3)], 0x0800, &[0x45]),
        eth(ENGINE, &[], 0x0800, &[0x4f, 0, 0]),
    ]);
    let body = prop::collection::vec(prop_oneof![any::<u8>(), 0u8..61], 0..200);
    (header, body, 0usize..200).prop_map(|(mut frame, body, len)| {
        frame.extend(body);
        frame.truncate(len);
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Nothing panics, and what is reported lies inside frame and window.
    #[test]
    fn random_bytes(frame in bytes()) {
        let h = parse(&frame);
        prop_assert_eq!(h.length, frame.len());
        if h.is_ip() && h.fault.is_none() && !h.later_fragment {
            let past = usize::from(h.l4) + seqnic_spec::wire::min_l4_bytes(h.protocol) as usize;
            prop_assert!(past <= frame.len().min(h.l3() + 114));
        }
    }
}
