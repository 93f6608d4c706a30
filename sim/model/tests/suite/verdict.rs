//! Sections 2 and 3: each reason, and the order of the questions.

use crate::frames::parse;
use crate::frames::*;
use crate::images::*;
use seqnic_image::names::Direction::{self, Forward, Return};
use seqnic_model::Tables;
use seqnic_model::verdict::{Verdict, decide};
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::{Table, position, position_kind};

fn judge_in(image: &seqnic_image::Image, port: u8, frame: &[u8]) -> Verdict {
    decide(&Tables::load(image).unwrap(), port, &parse(frame), &mut ())
}

/// On port 0 of the sample.
fn judge(frame: &[u8]) -> Verdict {
    judge_in(&sample(), 0, frame)
}

fn reason(packet: &Packet) -> Reason {
    judge(&packet.frame(&[])).reason
}

fn to(dst: &str, protocol: u8, segment: Vec<u8>) -> Packet {
    let src = if dst.contains(':') {
        "2001:db8::11"
    } else {
        "198.51.100.11"
    };
    Packet::new(src, dst, protocol, segment)
}

fn class(verdict: &Verdict) -> Option<(u32, Direction)> {
    verdict.class
}

#[test]
fn directed_in_both_directions() {
    let v = judge(&to(SERVICE, TCP, tcp(40001, 80, &[])).frame(&[]));
    assert_eq!(
        (v.reason, class(&v)),
        (Reason::Directed, Some((1, Forward)))
    );
    assert_eq!(
        (v.interface, v.sender),
        (Some(0), Some(ROUTER)),
        "the client's MAC is the router's"
    );
    assert_eq!((v.step.action, v.step.copies), (1, 2));

    let back = Packet::new(SERVER_ADDRESS, "198.51.100.11", TCP, tcp(80, 40001, &[]));
    let frame = eth_from(
        mac(SERVER_MAC),
        mac(I1_MAC),
        &[(0x8100, 100)],
        0x0800,
        &back.bytes(),
    );
    let v = judge_in(&sample(), 1, &frame);
    assert_eq!((v.reason, class(&v)), (Reason::Directed, Some((1, Return))));
    assert_eq!(
        (v.sender, v.step.action, v.step.copies),
        (Some(SERVER), 3, 1)
    );
}

#[test]
fn frames_that_stop_before_the_interface() {
    let packet = to(SERVICE, TCP, tcp(1, 80, &[]));
    let v = judge(&packet.frame(&[])[..13]);
    assert_eq!(
        (v.reason, v.interface, v.sender),
        (Reason::Runt, None, None)
    );
    let v = judge(&packet.frame(&[(0x8100, 1); 3]));
    assert_eq!(
        (v.reason, v.interface, v.sender),
        (Reason::VlanDepth, None, None)
    );
    let v = judge(&packet.frame(&[(0x8100, 9)]));
    assert_eq!(
        (v.reason, v.interface, v.sender),
        (Reason::NoInterface, None, None)
    );
    // A priority tag is the untagged segment.
    assert_eq!(
        judge(&packet.frame(&[(0x8100, 0xa000)])).reason,
        Reason::Directed
    );
    assert_eq!(
        judge_in(&sample(), 1, &packet.frame(&[])).reason,
        Reason::NoInterface
    );
}

#[test]
fn mac_and_ethertype() {
    let ip = to(SERVICE, TCP, tcp(1, 80, &[])).bytes();
    let v = judge(&eth([2, 9, 9, 9, 9, 9], &[], 0x0800, &ip));
    assert_eq!(
        (v.reason, v.interface, v.sender),
        (Reason::NotMine, Some(0), Some(ROUTER))
    );
    // On a promiscuous interface any MAC will do.
    let tags = [(0x88a8, 5), (0x8100, 6)];
    let v = judge_in(&sample(), 2, &eth([2, 9, 9, 9, 9, 9], &tags, 0x0800, &ip));
    assert_ne!(v.reason, Reason::NotMine);
    assert_eq!(
        judge(&eth(BROADCAST, &[], 0x0806, &[0; 28])).reason,
        Reason::Arp
    );
    assert_eq!(
        judge(&eth([2, 9, 9, 9, 9, 9], &[], 0x0806, &[0; 28])).reason,
        Reason::NotMine
    );
    assert_eq!(
        judge(&eth(ENGINE, &[], 0x88cc, &[0; 28])).reason,
        Reason::NotIp
    );
    // The interface's reasons come before those of a broken header.
    let mut broken = ip.clone();
    broken[0] = 0;
    assert_eq!(
        judge(&eth(ENGINE, &[], 0x0800, &broken)).reason,
        Reason::Ipv4Header
    );
    assert_eq!(
        judge(&eth([2, 9, 9, 9, 9, 9], &[], 0x0800, &broken)).reason,
        Reason::NotMine
    );
    let mut wrong = ip;
    wrong[10] ^= 1;
    assert_eq!(
        judge(&eth(BROADCAST, &[], 0x0800, &wrong)).reason,
        Reason::Ipv4Checksum
    );
}

#[test]
fn discovery_and_icmp_errors() {
    for kind in 0..=255u8 {
        let v6 = reason(&to(SERVICE6, ICMPV6, icmp(kind)));
        let expected = match kind {
            1..=4 => Reason::IcmpError,
            133..=137 => Reason::NeighbourDiscovery,
            _ => Reason::NoPort,
        };
        assert_eq!(v6, expected, "ICMPv6 {kind}");
        let v4 = reason(&to(SERVICE, ICMP, icmp(kind)));
        let expected = match kind {
            3 | 4 | 5 | 11 | 12 => Reason::IcmpError,
            _ => Reason::NoPort,
        };
        assert_eq!(v4, expected, "ICMP {kind}");
        // The other family's protocol number means nothing.
        assert_eq!(reason(&to(SERVICE, ICMPV6, icmp(kind))), Reason::NoPort);
        assert_eq!(reason(&to(SERVICE6, ICMP, icmp(kind))), Reason::NoPort);
    }
    let mut later = to(SERVICE, ICMP, icmp(3));
    later.fragment = 7;
    assert_eq!(reason(&later), Reason::Fragment);
}

#[test]
fn dhcp() {
    let dhcp = |dst: &str, s, d| to(dst, UDP, udp(s, d, &[]));
    let group = |p: &Packet| judge(&eth(BROADCAST, &[], p.ethertype(), &p.bytes())).reason;
    assert_eq!(group(&dhcp("255.255.255.255", 68, 67)), Reason::Dhcp);
    assert_eq!(group(&dhcp("255.255.255.255", 68, 69)), Reason::Multicast);
    assert_eq!(group(&dhcp("ff02::1:2", 546, 547)), Reason::Dhcp);
    assert_eq!(group(&dhcp("ff02::1:2", 67, 68)), Reason::Multicast);
    assert_eq!(reason(&dhcp(ENGINE_ADDRESS, 67, 67)), Reason::Dhcp);
    assert_eq!(reason(&dhcp(ENGINE_ADDRESS, 67, 70)), Reason::Local);
    assert_eq!(reason(&dhcp("192.0.2.200", 67, 68)), Reason::Dhcp);
    assert_eq!(reason(&dhcp("192.0.2.200", 546, 547)), Reason::NoService);
    // A service's address, not its port; a service's DHCP.
    assert_eq!(reason(&dhcp(SERVICE, 68, 67)), Reason::NoPort);
    let mut image = sample();
    let key = [("scope", 1), ("protocol", 17), ("port", 67)];
    put_hash(&mut image, Table::PortDstServer, &key, &[("class", 1)]);
    let v = judge_in(&image, 0, &dhcp(SERVICE, 68, 67).frame(&[]));
    assert_eq!(v.reason, Reason::Directed);
    // TCP to these ports is no DHCP, and DHCP comes before a TTL of 0.
    assert_eq!(
        reason(&to("192.0.2.200", TCP, tcp(67, 68, &[]))),
        Reason::NoService
    );
    let mut zero = dhcp("192.0.2.200", 67, 68);
    zero.ttl = 0;
    assert_eq!(reason(&zero), Reason::Dhcp);
}

#[test]
fn multicast_ttl_local() {
    let packet = to(SERVICE, TCP, tcp(1, 80, &[]));
    let group = eth([1, 0, 0x5e, 0, 0, 1], &[], 0x0800, &packet.bytes());
    assert_eq!(judge(&group).reason, Reason::Multicast);
    for (dst, service) in [(SERVICE, Reason::Ttl), (ENGINE_ADDRESS, Reason::Ttl)] {
        let mut zero = to(dst, TCP, tcp(1, 80, &[]));
        zero.ttl = 0;
        assert_eq!(reason(&zero), service);
    }
    assert_eq!(
        reason(&to(ENGINE_ADDRESS, TCP, tcp(1, 80, &[]))),
        Reason::Local
    );
}

#[test]
fn no_class() {
    assert_eq!(reason(&to(SERVICE, TCP, tcp(1, 81, &[]))), Reason::NoPort);
    assert_eq!(reason(&to(SERVICE, UDP, udp(1, 80, &[]))), Reason::NoPort);
    assert_eq!(
        reason(&to("192.0.2.200", TCP, tcp(1, 80, &[]))),
        Reason::NoService
    );
    // A scope of the source is enough.
    let back = Packet::new(SERVICE, "192.0.2.200", TCP, tcp(81, 1, &[]));
    assert_eq!(reason(&back), Reason::NoPort);
    let mut later = to(SERVICE, TCP, tcp(1, 80, &[]));
    later.fragment = 1;
    assert_eq!(reason(&later), Reason::Fragment);
    let mut later = to("192.0.2.200", TCP, tcp(1, 80, &[]));
    later.fragment = 1;
    assert_eq!(reason(&later), Reason::NoService);
}

#[test]
fn wrong_senders() {
    // The return way of `web` has no entry; the router has no step there.
    let back = Packet::new(SERVER_ADDRESS, "198.51.100.11", TCP, tcp(80, 40001, &[]));
    let v = judge(&back.frame(&[]));
    assert_eq!(
        (v.reason, class(&v)),
        (Reason::WrongSender, Some((1, Return)))
    );
    assert_eq!(
        (v.sender, v.step.copies, v.neighbour),
        (Some(ROUTER), 0, None)
    );
    // Barred by a row with copies 0, found by the segment, although anyone may enter.
    let packet = to(SERVICE, TCP, tcp(1, 80, &[]));
    let tags = [(0x88a8, 5), (0x8100, 6)];
    let v = judge_in(&sample(), 2, &packet.frame(&tags));
    assert_eq!(
        (v.reason, class(&v)),
        (Reason::WrongSender, Some((1, Forward)))
    );
    assert_eq!((v.interface, v.sender), (Some(2), None));
}

#[test]
fn positions() {
    let packet = to(SERVICE, TCP, tcp(1, 80, &[]));
    let step_of = |place: u32, frame: &[u8], port: u8| {
        let mut image = sample();
        // A row for exactly this position, told by its first row.
        put_step(&mut image, 1, 0, place, &[("action", 7), ("copies", 1)]);
        judge_in(&image, port, frame).step.action
    };
    let unknown = eth_from([2, 8, 8, 8, 8, 8], ENGINE, &[], 0x0800, &packet.bytes());
    assert_eq!(step_of(from(ROUTER.into()), &packet.frame(&[]), 0), 7);
    assert_eq!(step_of(from(ROUTER.into()), &unknown, 0), 1);
    let nobody = position(position_kind::UNKNOWN, 0);
    assert_eq!(step_of(nobody, &unknown, 0), 7);
    assert_eq!(step_of(nobody, &packet.frame(&[]), 0), 1);
    // The segment counts only on interfaces tracked by it.
    assert_eq!(
        step_of(position(position_kind::SEGMENT, 1), &packet.frame(&[]), 0),
        1
    );
}

#[test]
fn ranges() {
    let port = |port| class(&judge(&to(SERVICE, TCP, tcp(1, port, &[])).frame(&[])));
    assert_eq!(port(7999), None);
    assert_eq!(port(8000), Some((1, Forward)));
    assert_eq!(port(8100), Some((1, Forward)));
    assert_eq!(port(8101), None);
    assert_eq!(reason(&to(SERVICE, UDP, udp(1, 8000, &[]))), Reason::NoPort);
    // Role 0 answers the first question only.
    let back = Packet::new(SERVICE, "192.0.2.200", TCP, tcp(8000, 1, &[]));
    assert_eq!(reason(&back), Reason::NoPort);
}

#[test]
fn the_lowest_slot_wins_and_exact_ports_before_ranges() {
    let mut image = sample();
    let every = [("any_protocol", 1), ("first", 0), ("last", 65535)];
    put_range(&mut image, 5, 4, &[&every[..], &[("class", 3)]].concat());
    let of = |packet: &Packet| class(&judge_in(&image, 0, &packet.frame(&[])));
    assert_eq!(of(&to(SERVICE, TCP, tcp(1, 80, &[]))), Some((1, Forward)));
    assert_eq!(of(&to(SERVICE, TCP, tcp(1, 8000, &[]))), Some((1, Forward)));
    assert_eq!(of(&to(SERVICE, TCP, tcp(1, 8101, &[]))), Some((3, Forward)));
    assert_eq!(of(&to(SERVICE, 47, vec![])), Some((3, Forward)));
    let mut later = to(SERVICE, TCP, tcp(1, 80, &[]));
    later.fragment = 9;
    assert_eq!(of(&later), Some((3, Forward)));
    // One port less is not every port: later fragments do not match.
    for (first, last) in [(1, 65535), (0, 65534)] {
        let mut image = sample();
        put_range(
            &mut image,
            5,
            0,
            &[
                ("any_protocol", 1),
                ("first", first),
                ("last", last),
                ("class", 3),
            ],
        );
        assert_eq!(
            judge_in(&image, 0, &later.frame(&[])).reason,
            Reason::Fragment
        );
    }
    // Every port of one protocol holds that protocol's later fragments.
    let mut image = sample();
    put_range(
        &mut image,
        5,
        0,
        &[("protocol", 6), ("last", 65535), ("class", 3)],
    );
    assert_eq!(
        judge_in(&image, 0, &later.frame(&[])).reason,
        Reason::Directed
    );
    later.protocol = UDP;
    assert_eq!(
        judge_in(&image, 0, &later.frame(&[])).reason,
        Reason::Fragment
    );
}

#[test]
fn each_question_has_its_address_port_and_direction() {
    let (here, there) = ("192.0.2.101", "192.0.2.102");
    for (question, (address, port, direction)) in [
        (here, 20, Forward),
        (there, 10, Return),
        (here, 10, Return),
        (there, 20, Forward),
    ]
    .into_iter()
    .enumerate()
    {
        let packet = Packet::new(there, here, TCP, tcp(10, 20, &[])).frame(&[]);
        // Exactly, then as a range of that role; the other roles' ranges do not answer.
        let mut image = sample();
        put_address(&mut image, address, &[("scope", 77)]);
        let key = [("scope", 77), ("protocol", 6), ("port", port)];
        put_hash(&mut image, Table::PORTS[question], &key, &[("class", 4)]);
        assert_eq!(
            class(&judge_in(&image, 0, &packet)),
            Some((4, direction)),
            "{question}"
        );
        for role in 0..4 {
            let mut image = sample();
            put_address(
                &mut image,
                address,
                &[("scope", 77), ("range_valid", 1), ("range", 9)],
            );
            let range = [
                ("role", role),
                ("protocol", 6),
                ("first", port),
                ("last", port),
                ("class", 4),
            ];
            put_range(&mut image, 9, 7, &range);
            let expected = (role == question as u128).then_some((4, direction));
            assert_eq!(
                class(&judge_in(&image, 0, &packet)),
                expected,
                "{question} {role}"
            );
        }
    }
}

#[test]
fn a_stronger_question_wins_even_by_range() {
    // Destination by range, source exactly: the destination wins.
    let packet = Packet::new(KEYED, SERVICE, TCP, tcp(443, 8000, &[]));
    assert_eq!(class(&judge(&packet.frame(&[]))), Some((1, Forward)));
    let packet = Packet::new(KEYED, "192.0.2.200", TCP, tcp(1, 443, &[]));
    assert_eq!(class(&judge(&packet.frame(&[]))), Some((4, Forward)));
    let packet = Packet::new("192.0.2.200", KEYED, TCP, tcp(443, 1, &[]));
    assert_eq!(class(&judge(&packet.frame(&[]))), Some((4, Return)));
}

#[test]
fn a_service_wins_over_a_client_on_both_ways() {
    // A keyed client uses a service: were the answer the client's, a NAT mode server's address
    // would stay in it.
    let (service, client) = ("192.0.2.101", "192.0.2.102");
    let mut image = sample();
    put_address(&mut image, service, &[("scope", 77)]);
    put_address(&mut image, client, &[("scope", 78)]);
    for (table, scope, class) in [
        (Table::PortDstServer, 77, 1),
        (Table::PortSrcServer, 77, 1),
        (Table::PortDstClient, 78, 4),
        (Table::PortSrcClient, 78, 4),
    ] {
        let key = [("scope", scope), ("protocol", 6), ("port", 80)];
        put_hash(&mut image, table, &key, &[("class", class)]);
    }
    let there = Packet::new(client, service, TCP, tcp(5, 80, &[])).frame(&[]);
    assert_eq!(class(&judge_in(&image, 0, &there)), Some((1, Forward)));
    let back = Packet::new(service, client, TCP, tcp(80, 5, &[])).frame(&[]);
    assert_eq!(class(&judge_in(&image, 0, &back)), Some((1, Return)));
}
