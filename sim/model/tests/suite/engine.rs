//! The engine as a whole: what comes out, in which order, and every counter.

use crate::frames::*;
use crate::images::*;
use seqnic_engine::{Count, CounterKey, Engine, FrameIn, Host, Output, Sent};
use seqnic_image::names::Direction::{Forward, Return};
use seqnic_model::ImageEngine;
use seqnic_spec::reason::Reason;

fn to_service(src: &str, dst: &str) -> Packet {
    Packet::new(src, dst, TCP, tcp(40001, 80, b"GET")).summed()
}

fn from_server(src: &str, dst: &str) -> Vec<u8> {
    let packet = Packet::new(src, dst, TCP, tcp(80, 40001, b"200")).summed();
    let tags = [(0x8100, 100)];
    eth_from(
        mac(SERVER_MAC),
        mac(I1_MAC),
        &tags,
        packet.ethertype(),
        &packet.bytes(),
    )
}

/// Packets that reach every part of the sample, with their ports.
pub fn traffic() -> Vec<(u8, Vec<u8>)> {
    let mut fragment = to_service("198.51.100.11", SERVICE);
    fragment.fragment = 5;
    vec![
        (0, to_service("198.51.100.11", SERVICE).frame(&[])),
        (0, to_service("2001:db8::11", SERVICE6).frame(&[])),
        (1, from_server(SERVER_ADDRESS, "198.51.100.11")),
        (1, from_server(SERVER_ADDRESS, NEIGHBOUR_ADDRESS)),
        (1, from_server(SERVER6_ADDRESS, "2001:db8::11")),
        (0, to_service("192.0.2.200", ENGINE_ADDRESS).frame(&[])),
        (
            0,
            Packet::new(KEYED, "192.0.2.200", TCP, tcp(9, 443, &[])).frame(&[]),
        ),
        (
            2,
            to_service("198.51.100.11", SERVICE).frame(&[(0x88a8, 5), (0x8100, 6)]),
        ),
        (0, fragment.frame(&[])),
        (0, vec![1, 2, 3]),
        (
            0,
            Packet::new("192.0.2.3", SERVICE, TCP, tcp(1, 8050, &[])).frame(&[]),
        ),
    ]
}

fn run(frames: &[(u8, Vec<u8>)]) -> (ImageEngine, Vec<Output>) {
    let mut engine = ImageEngine::load(&sample()).unwrap();
    let mut out = Vec::new();
    for (id, (port, frame)) in frames.iter().enumerate() {
        let id = id as u64 + 100;
        let port = *port;
        engine
            .push(
                FrameIn {
                    id,
                    time: id,
                    port,
                    frame,
                },
                &mut out,
            )
            .unwrap();
    }
    engine.drain(&mut out).unwrap();
    (engine, out)
}

fn sent(id: u64, interface: u32, frame: Vec<u8>) -> Output {
    Output::Sent(Sent {
        id,
        interface,
        priority: 0,
        frame,
    })
}

fn one(port: u8, frame: Vec<u8>) -> Vec<Output> {
    run(&[(port, frame)]).1
}

#[test]
fn nat_on_the_packet_not_on_its_copy() {
    for (client, service, server) in [
        ("198.51.100.11", SERVICE, SERVER_ADDRESS),
        ("2001:db8::11", SERVICE6, SERVER6_ADDRESS),
    ] {
        let packet = to_service(client, service);
        let inside = to_service(client, server);
        let kind = packet.ethertype();
        let copy = [(0x88a8, 5), (0x8100, 6)];
        assert_eq!(
            one(0, packet.frame(&[])),
            [
                sent(
                    100,
                    1,
                    eth_from(
                        mac(I1_MAC),
                        mac(SERVER_MAC),
                        &[(0x8100, 100)],
                        kind,
                        &inside.bytes()
                    )
                ),
                sent(
                    100,
                    2,
                    eth_from(
                        [2, 7, 0, 0, 0, 7],
                        mac(IDS_MAC),
                        &copy,
                        kind,
                        &packet.bytes()
                    )
                ),
            ]
        );
    }
}

#[test]
fn the_answer_comes_from_the_service_and_is_routed() {
    for (server, service, client) in [
        (SERVER_ADDRESS, SERVICE, "198.51.100.11"),
        (SERVER6_ADDRESS, SERVICE6, "2001:db8::11"),
    ] {
        let out = Packet::new(service, client, TCP, tcp(80, 40001, b"200")).summed();
        let expected = eth_from(
            mac(I0_MAC),
            mac(ROUTER_MAC),
            &[],
            out.ethertype(),
            &out.bytes(),
        );
        assert_eq!(
            one(1, from_server(server, client)),
            [sent(100, 0, expected)]
        );
    }
    // A known neighbour gets it directly.
    let out = Packet::new(SERVICE, NEIGHBOUR_ADDRESS, TCP, tcp(80, 40001, b"200")).summed();
    let copy = [(0x88a8, 5), (0x8100, 6)];
    let expected = eth_from(
        [2, 7, 0, 0, 0, 7],
        mac(IDS_MAC),
        &copy,
        0x0800,
        &out.bytes(),
    );
    assert_eq!(
        one(1, from_server(SERVER_ADDRESS, NEIGHBOUR_ADDRESS)),
        [sent(100, 2, expected)]
    );
}

#[test]
fn exceptions_name_what_is_known() {
    let host = |port, frame: Vec<u8>| match one(port, frame).pop() {
        Some(Output::Host(host)) => host,
        other => panic!("{other:?}"),
    };
    let frame = to_service("192.0.2.1", ENGINE_ADDRESS).frame(&[]);
    assert_eq!(
        host(0, frame.clone()),
        Host {
            id: 100,
            reason: Reason::Local,
            port: 0,
            interface: Some(0),
            attachment: Some("router".to_string()),
            service: None,
            priority: 0,
            frame,
        }
    );
    let frame = Packet::new(SERVER_ADDRESS, "192.0.2.1", TCP, tcp(80, 1, &[])).frame(&[]);
    let wrong = host(0, frame);
    assert_eq!(wrong.reason, Reason::WrongSender);
    assert_eq!(wrong.service, Some(("web".to_string(), Return)));
    let runt = host(3, vec![7; 5]);
    assert_eq!(
        (runt.reason, runt.port, runt.interface, runt.attachment),
        (Reason::Runt, 3, None, None)
    );
    assert_eq!(host(0, vec![]).reason, Reason::Runt);
}

#[test]
fn outputs_are_in_input_order() {
    let (_, out) = run(&traffic());
    let ids: Vec<u64> = out.iter().map(Output::id).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(ids, sorted);
    assert_eq!(out.len(), traffic().len() + 3, "three of them have a copy");
}

#[test]
fn every_counter() {
    let (request, answer) = (
        to_service("198.51.100.11", SERVICE).frame(&[]),
        from_server(SERVER_ADDRESS, "198.51.100.11"),
    );
    let not_mine = eth([2, 9, 9, 9, 9, 9], &[], 0x0800, &request[14..]);
    let frames = [
        (0, request.clone()),
        (0, request.clone()),
        (1, answer.clone()),
        (0, not_mine.clone()),
        (0, vec![0; 9]),
        (3, request.clone()),
    ];
    let (mut engine, _) = run(&frames);
    let (r, a) = (request.len() as u64, answer.len() as u64);
    let service = |direction| CounterKey::Service {
        service: "web".into(),
        label: "tcp/80".into(),
        direction,
    };
    let step = |direction, from: &str, to: &str| CounterKey::Step {
        service: "web".into(),
        label: "tcp/80".into(),
        direction,
        from: from.into(),
        to: to.into(),
    };
    let expected = [
        (CounterKey::Reason(Reason::Directed), 3, 2 * r + a),
        (CounterKey::Reason(Reason::Runt), 1, 9),
        (CounterKey::Reason(Reason::NoInterface), 1, r),
        (CounterKey::Reason(Reason::NotMine), 1, r),
        (CounterKey::InterfaceIn("i0".into()), 3, 3 * r),
        (CounterKey::InterfaceIn("i1".into()), 1, a),
        (CounterKey::InterfaceOut("i0".into()), 1, a - 4),
        (CounterKey::InterfaceOut("i1".into()), 2, 2 * (r + 4)),
        (CounterKey::InterfaceOut("i2".into()), 2, 2 * (r + 8)),
        (CounterKey::AttachmentIn("router".into()), 3, 3 * r),
        (CounterKey::AttachmentIn("server".into()), 1, a),
        (CounterKey::AttachmentOut("router".into()), 1, a - 4),
        (CounterKey::AttachmentOut("server".into()), 2, 2 * (r + 4)),
        (CounterKey::AttachmentOut("ids".into()), 2, 2 * (r + 8)),
        (CounterKey::AttachmentSeen("router".into()), 103, 0),
        (CounterKey::AttachmentSeen("server".into()), 102, 0),
        // From the first request to the answer.
        (CounterKey::AttachmentTime("server".into(), 0), 1, 2),
        (service(Forward), 2, 2 * r),
        (service(Return), 1, a),
        (step(Forward, "client", "server"), 2, 2 * (r + 4)),
        (step(Forward, "client", "ids"), 2, 2 * (r + 8)),
        (step(Return, "server", "router"), 1, a - 4),
    ];
    let expected = expected.map(|(key, packets, bytes)| (key, Count { packets, bytes }));
    assert_eq!(engine.counters().unwrap().0, expected.into_iter().collect());
}

#[test]
fn frames_at_and_past_the_longest() {
    let longest = |more: usize| {
        let data = vec![1; 9216 - 54 + more];
        Packet::new("192.0.2.3", SERVICE, TCP, tcp(1, 80, &data))
            .summed()
            .frame(&[])
    };
    assert_eq!(longest(0).len(), 9216);
    let (mut engine, out) = run(&[(0, longest(0)), (0, longest(1))]);
    let lengths = out.iter().map(|o| match o {
        Output::Sent(s) => s.frame.len(),
        Output::Host(h) => panic!("{h:?}"),
    });
    assert_eq!(lengths.collect::<Vec<_>>(), [9220, 9224]);
    let counters = engine.counters().unwrap().0;
    let oversize = Count {
        packets: 1,
        bytes: 9216,
    };
    assert_eq!(counters[&CounterKey::Reason(Reason::Oversize)], oversize);
    assert_eq!(
        counters[&CounterKey::InterfaceIn("i0".into())],
        oversize,
        "only the other one"
    );
}

#[test]
fn port_edits_go_round_and_leave_portless_packets() {
    let mut image = sample();
    put_row(
        &mut image,
        seqnic_spec::tables::Table::Action,
        7,
        &[("attachment", 0), ("port_field", 2), ("port_add", 0xfff0)],
    );
    let mut engine = ImageEngine::load(&image).unwrap();
    let mut push = |packet: &Packet| {
        let mut out = Vec::new();
        let frame = packet.frame(&[]);
        engine
            .push(
                FrameIn {
                    id: 1,
                    time: 1,
                    port: 0,
                    frame: &frame,
                },
                &mut out,
            )
            .unwrap();
        match out.pop() {
            Some(Output::Sent(sent)) => sent.frame[14..].to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let packet = |port| Packet::new(KEYED, "192.0.2.200", TCP, tcp(9, port, b"x")).summed();
    assert_eq!(push(&packet(443)), packet(443 - 16).bytes());

    // A difference of 0 is no edit: a checksum of 0xffff stays, where the formula gives 0.
    let mut image = sample();
    put_row(
        &mut image,
        seqnic_spec::tables::Table::Action,
        7,
        &[("attachment", 0), ("port_field", 2)],
    );
    let mut engine = ImageEngine::load(&image).unwrap();
    let mut odd = packet(443);
    odd.segment[16..18].fill(0xff);
    let frame = odd.frame(&[]);
    let mut out = Vec::new();
    engine
        .push(
            FrameIn {
                id: 1,
                time: 1,
                port: 0,
                frame: &frame,
            },
            &mut out,
        )
        .unwrap();
    let Some(Output::Sent(sent)) = out.pop() else {
        panic!("not sent")
    };
    assert_eq!(sent.frame[14..], frame[14..]);
}
