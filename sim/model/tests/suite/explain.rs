//! Explanations say what the engine does, table by table.

use crate::frames::*;
use crate::images::*;
use seqnic_engine::{Engine, FrameIn, Output};
use seqnic_model::ImageEngine;
use seqnic_model::explain::{Explanation, explain};
use seqnic_spec::tables::Table;

fn of(port: u8, frame: &[u8]) -> Explanation {
    let engine = ImageEngine::load(&sample()).unwrap();
    explain(engine.tables(), engine.names(), port, frame)
}

fn answer<'a>(e: &'a Explanation, table: &str) -> Vec<(&'a str, &'a str)> {
    let questions = e.questions.iter().filter(|q| q.table == table);
    questions
        .map(|q| (q.asked.as_deref().unwrap_or("-"), q.answer.as_str()))
        .collect()
}

#[test]
fn a_directed_packet() {
    let packet = Packet::new("198.51.100.11", SERVICE, TCP, tcp(40001, 80, &[])).summed();
    let e = of(0, &packet.frame(&[]));
    assert_eq!(
        e.packet.ethernet,
        "02:03:00:00:00:03 -> 02:01:00:00:00:01, VLAN none, IPv4"
    );
    assert_eq!(
        e.packet.ip.as_deref(),
        Some("198.51.100.11 -> 203.0.113.14, tcp, TTL 64, DSCP 0")
    );
    assert_eq!(e.packet.transport.as_deref(), Some("port 40001 -> 80"));
    assert_eq!(
        answer(&e, "interface"),
        [(
            "port 0, untagged",
            "interface i0 (0), segment 1, MAC 02:01:00:00:00:01, tracked by source MAC"
        )]
    );
    assert_eq!(
        answer(&e, "source"),
        [("segment 1, 02:03:00:00:00:03", "router (attachment 0)")]
    );
    assert_eq!(
        answer(&e, "address"),
        [
            ("destination 203.0.113.14", "scope 1, ranges in row 5"),
            ("source 198.51.100.11", "no row"),
        ]
    );
    assert_eq!(
        answer(&e, "port_dst_server"),
        [("scope 1, tcp, port 80", "service web tcp/80 (class 1)")]
    );
    assert_eq!(
        answer(&e, "port_src_client"),
        [("-", "not asked: a stronger question has the answer")]
    );
    assert_eq!(
        answer(&e, "step"),
        [(
            "service web tcp/80 (class 1), forward, from router (attachment 0)",
            "no row"
        )]
    );
    assert_eq!(
        answer(&e, "class"),
        [(
            "service web tcp/80 (class 1), forward",
            "2 copies, from row 1 of `action`"
        )]
    );
    assert_eq!(
        answer(&e, "action")[0],
        (
            "row 1",
            "to server (attachment 1), destination address becomes the attachment's"
        )
    );
    assert_eq!(
        answer(&e, "attachment")[1],
        (
            "row 4",
            "ids (attachment 2): port 2, interface i2 (2), VLAN 5.6, MAC 02:06:00:00:00:06"
        )
    );
    assert_eq!(
        answer(&e, "rewrite"),
        [("-", "not asked: no copy gets another source address")]
    );

    assert_eq!(e.verdict.reason, "directed");
    assert_eq!(e.verdict.service.as_deref(), Some("web"));
    let edits: Vec<_> = e.copies[0]
        .edits
        .iter()
        .map(|e| (e.field, &*e.old, &*e.new))
        .collect();
    assert_eq!(
        edits[..4],
        [
            ("destination MAC", "02:01:00:00:00:01", "02:04:00:00:00:04"),
            ("source MAC", "02:03:00:00:00:03", "02:02:00:00:00:02"),
            ("VLAN", "none", "100"),
            ("destination address", "203.0.113.14", "10.0.0.13"),
        ]
    );
    assert_eq!(
        edits[4..].iter().map(|e| e.0).collect::<Vec<_>>(),
        ["IPv4 header checksum", "transport checksum"]
    );
}

#[test]
fn hash_details_lead_to_the_row() {
    let packet = Packet::new("198.51.100.11", SERVICE, TCP, tcp(1, 80, &[]));
    let image = sample();
    let e = of(0, &packet.frame(&[]));
    let mut hits = 0;
    for question in &e.questions {
        let Some(hash) = &question.hash else { continue };
        assert_eq!(hash.ways.len(), 4);
        assert_eq!(hash.hit.is_some(), question.answer != "no row");
        let Some(hit) = &hash.hit else { continue };
        let way = &hash.ways[hit.way as usize];
        assert_eq!(way.row, hit.row);
        let table = Table::from_name(question.table).unwrap();
        let (key, value) = table.hash().unwrap();
        let slot = seqnic_spec::tables::HashSlot { key, value };
        let (key, _) = slot
            .read(&image.table(table).row(hit.row), hit.slot, image.epoch())
            .unwrap();
        let hex: String = key
            .bytes()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        assert_eq!(hash.key, format!("0x{hex}"));
        let digest = seqnic_spec::hash::digest(key.bytes());
        assert_eq!(hash.digest, format!("{digest:#010x}"));
        hits += 1;
    }
    assert_eq!(hits, 4, "interface, source, destination, port");
}

#[test]
fn ranges_fragments_and_faults_in_words() {
    let packet = Packet::new("198.51.100.11", SERVICE, TCP, tcp(1, 8050, &[]));
    let e = of(0, &packet.frame(&[]));
    assert_eq!(
        answer(&e, "range"),
        [(
            "row 5 for port_dst_server: tcp, port 8050",
            "slot 2, tcp ports 8000 to 8100: service web tcp/80 (class 1)"
        )]
    );
    let mut later = packet;
    later.fragment = 1;
    let e = of(0, &later.frame(&[]));
    assert_eq!(
        answer(&e, "port_dst_server"),
        [("-", "not asked: a later fragment has no ports")]
    );
    assert_eq!(
        answer(&e, "range")[0],
        (
            "row 5 for port_dst_server: tcp, port unknown",
            "no slot holds it"
        )
    );
    assert_eq!(e.verdict.reason, "fragment");
    let e = of(0, &[0; 5]);
    assert_eq!((e.packet.fault, e.verdict.reason), (Some("runt"), "runt"));
    assert_eq!(
        answer(&e, "interface"),
        [("-", "not asked: runt was decided without it")]
    );
}

#[test]
fn every_table_is_there_in_order_and_the_verdict_is_the_engines() {
    for (port, frame) in crate::engine::traffic() {
        let mut engine = ImageEngine::load(&sample()).unwrap();
        let e = explain(engine.tables(), engine.names(), port, &frame);
        let order: Vec<Table> = e
            .questions
            .iter()
            .map(|q| Table::from_name(q.table).unwrap())
            .collect();
        assert!(order.is_sorted());
        for table in Table::ALL.into_iter().filter(|t| *t != Table::Seed) {
            assert!(order.contains(&table), "{}", table.name());
        }
        let mut out = Vec::new();
        engine
            .push(
                FrameIn {
                    id: 0,
                    time: 0,
                    port,
                    frame: &frame,
                },
                &mut out,
            )
            .unwrap();
        match &out[0] {
            Output::Host(host) => {
                assert_eq!((e.verdict.reason, e.copies.len()), (host.reason.name(), 0))
            }
            Output::Sent(_) => {
                let lengths: Vec<usize> = out
                    .iter()
                    .map(|o| match o {
                        Output::Sent(s) => s.frame.len(),
                        Output::Host(_) => 0,
                    })
                    .collect();
                assert_eq!(
                    e.copies.iter().map(|c| c.length).collect::<Vec<_>>(),
                    lengths
                );
            }
        }
    }
}

#[test]
fn text_and_json() {
    let packet = Packet::new(SERVER6_ADDRESS, "2001:db8::11", TCP, tcp(80, 40001, &[])).summed();
    let frame = eth_from(
        mac(SERVER_MAC),
        mac(I1_MAC),
        &[(0x8100, 100)],
        0x86dd,
        &packet.bytes(),
    );
    let e = of(1, &frame);
    let text = e.to_string();
    for part in [
        "78 bytes on port 1\n",
        "  ip         fd00::13 -> 2001:db8::11, tcp, hop limit 64, DSCP 0\n",
        "  interface        where did it arrive?\n",
        "asked   port 1, VLAN 100\n",
        "\nverdict: directed\n",
        "  service    web tcp/80 return\n",
        "\ncopy 1\n  to router (attachment 0), interface i0 (0), port 0, 74 bytes, action row 6\n",
        "  VLAN                   100 -> none\n",
        "  source address         fd00::13 -> 2001:db8:1::14\n",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    let json = serde_json::to_value(&e).unwrap();
    assert_eq!(json["verdict"]["reason"], "directed");
    assert_eq!(json["copies"][0]["edits"][0]["new"], "02:03:00:00:00:03");
    assert_eq!(
        json["questions"][0]["hash"]["ways"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
}
