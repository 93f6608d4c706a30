//! The short way beside the general one: the same packets, reasons, counters and times.

use crate::frames::*;
use crate::images::*;
use seqnic_image::Image;
use seqnic_model::Tables;
use seqnic_model::batch::{Arrival, Exit, Outputs, Stages};
use seqnic_model::counters::CounterArrays;
use seqnic_model::rate::Rates;
use seqnic_model::verdict::Verdict;
use seqnic_spec::tables::{Table, tag_kind};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % most
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The sample with UDP beside TCP, and with edits, priorities, MTUs and meters at random.
fn image(r: &mut Random) -> Image {
    let mut image = sample();
    let i = &mut image;
    for (table, scope, port, class) in [
        (Table::PortDstServer, 1, 53, 1),
        (Table::PortSrcServer, 2, 53, 1),
        (Table::PortDstServer, 3, 53, 2),
        (Table::PortSrcServer, 4, 53, 2),
    ] {
        let key = [("scope", scope), ("protocol", 17), ("port", port)];
        put_hash(i, table, &key, &[("class", class)]);
    }
    let router = ("attachment", u128::from(ROUTER));
    for (row, mut fields) in [
        (1, vec![("attachment", SERVER.into()), ("nat", 1)]),
        (2, vec![("attachment", IDS.into())]),
        (3, vec![router, ("rewrite_valid", 1), ("rewrite", 7)]),
        (4, vec![("attachment", SERVER6.into()), ("nat", 1)]),
        (5, vec![("attachment", IDS.into())]),
        (6, vec![router, ("rewrite_valid", 1), ("rewrite", 8)]),
        (7, vec![router]),
    ] {
        fields.push(("route", r.one_in(2).into()));
        fields.push(("port_field", r.below(3).into()));
        fields.push(("port_add", r.of(&[0, 1, 0xffff, 0x1234])));
        fields.push(("dscp_valid", r.one_in(2).into()));
        fields.push(("dscp", r.below(64).into()));
        let kinds = [
            tag_kind::NONE,
            tag_kind::NONE,
            tag_kind::NONE,
            tag_kind::VLAN,
            tag_kind::NSH1,
        ];
        fields.push(("tag_kind", r.of(&kinds).into()));
        fields.push(("tag", r.below(200).into()));
        put_row(i, Table::Action, row, &fields);
    }
    for row in 0..4 {
        let mut bits = i.table(Table::Attachment).row(row * 2);
        let mtu = r.of(&[0, 0, 60, 200, 1500]);
        bits.set_field(&seqnic_spec::tables::ATTACHMENT_ROW, 0, "mtu", mtu);
        let counts = r.of(&[row, row, 0]);
        bits.set_field(
            &seqnic_spec::tables::ATTACHMENT_ROW,
            0,
            "counts",
            counts.into(),
        );
        for version in 0..2 {
            i.table_mut(Table::Attachment).put(row * 2 + version, &bits);
        }
    }
    let meter = [("cost", 1 << 20), ("tolerance", 1 << 30)];
    put_row(i, Table::Meter, 1, &meter);
    for (row, action, copies) in [(1, 1, 2), (2, 4, 2), (4, 7, 1)] {
        let fields = [
            ("forward_action", action),
            ("forward_copies", copies),
            ("return_action", 7),
            ("return_copies", r.below(2).into()),
            ("priority", r.below(8).into()),
            ("meter", r.one_in(4).into()),
        ];
        put_row(i, Table::Class, row, &fields);
    }
    put_row(i, Table::Dscp, 46, &[("priority", 5)]);
    for (class, action) in [(1, 3), (2, 6)] {
        let value = [
            ("action", action),
            ("copies", 1),
            ("first", r.one_in(3).into()),
        ];
        set_step(i, class, 1, from(SERVER.into()), &value);
    }
    image
}

/// A port and a frame: mostly what the sample's hosts send, sometimes spoiled.
fn arrival(r: &mut Random) -> (u8, Vec<u8>) {
    let protocol = r.of(&[TCP, TCP, TCP, UDP, UDP, ICMP]);
    let serves = if protocol == UDP { 53 } else { 80 };
    let other = r.of(&[40001, 40002, 443]);
    let (src, dst, sport, dport, back) = r.of(&[
        ("198.51.100.11", SERVICE, other, serves, false),
        ("2001:db8::11", SERVICE6, other, serves, false),
        (SERVER_ADDRESS, "198.51.100.11", serves, other, true),
        (SERVER6_ADDRESS, "2001:db8::11", serves, other, true),
        (SERVER_ADDRESS, NEIGHBOUR_ADDRESS, serves, other, true),
        (KEYED, "192.0.2.200", other, 443, false),
        ("192.0.2.200", KEYED, 443, other, false),
        ("192.0.2.3", SERVICE, other, 8050, false),
        ("192.0.2.3", "192.0.2.4", other, serves, false),
    ]);
    let payload = vec![0x5a; r.of(&[0, 1, 6, 20, 150, 1000])];
    let segment = match protocol {
        TCP => tcp(sport, dport, &payload),
        UDP => udp(sport, dport, &payload),
        _ => [&[8, 0, 0, 0, 0, 0, 0, 0][..], &payload].concat(),
    };
    let protocol = match (protocol, src.contains(':')) {
        (ICMP, true) => ICMPV6,
        _ => protocol,
    };
    let mut packet = Packet::new(src, dst, protocol, segment);
    packet.traffic_class = r.below(256) as u8;
    if protocol == TCP {
        packet.segment[13] = r.of(&[0x02, 0x12, 0x10, 0x14, 0x18]);
    }
    packet = packet.summed();
    if protocol == UDP && r.one_in(3) {
        packet.segment[6..8].fill(0);
    }
    if r.one_in(12) {
        packet.ttl = 0;
    }
    if r.one_in(12) {
        packet.fragment = r.of(&[1, 0x2000, 0x4000, 0x2005]);
    }
    if r.one_in(12) && !src.contains(':') {
        packet.options = vec![1; 4];
    }
    let (port, from, to, vid) = match back {
        false => (0, CLIENT, I0_MAC, None),
        true => (1, mac(SERVER_MAC), I1_MAC, Some(100)),
    };
    let from = if r.one_in(8) { mac(ROUTER_MAC) } else { from };
    let to = if r.one_in(16) { BROADCAST } else { mac(to) };
    let mut tags: Vec<(u16, u16)> = vid.map(|vid| (0x8100, vid)).into_iter().collect();
    if r.one_in(16) {
        tags.push((0x88a8, 7));
    }
    if r.one_in(16) {
        tags.clear();
    }
    let mut frame = eth_from(from, to, &tags, packet.ethertype(), &packet.bytes());
    match r.below(12) {
        0 => frame.extend([0; 9]),
        1 => {
            let at = r.below(frame.len() as u64) as usize;
            frame[at] ^= 1 << r.below(8);
        }
        2 => frame.truncate(r.below(frame.len() as u64 + 1) as usize),
        3 if r.one_in(8) => frame.resize(9300, 0),
        _ => {}
    }
    let port = if r.one_in(20) { r.below(6) as u8 } else { port };
    (port, frame)
}

/// What became of packets. Every seventh copy finds no room.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    sent: Vec<(usize, Exit, Vec<u8>)>,
    host: Vec<(usize, Verdict)>,
    asked: usize,
}

impl Outputs for Seen {
    fn room(&mut self, packet: usize, exit: Exit, bytes: usize) -> Option<&mut [u8]> {
        self.asked += 1;
        if self.asked.is_multiple_of(7) {
            return None;
        }
        self.sent.push((packet, exit, vec![0xee; bytes]));
        self.sent.last_mut().map(|(_, _, frame)| &mut frame[..])
    }

    fn host(&mut self, packet: usize, verdict: &Verdict) {
        self.host.push((packet, *verdict));
    }
}

#[test]
fn both_ways_do_the_same() {
    let (mut shortened, mut all, mut sent) = (0, 0, 0);
    for seed in 0..60 {
        let r = &mut Random(seed);
        let mut tables = Tables::load(&image(r)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let make = || {
            (
                CounterArrays::new(tables.geometry),
                Rates::new(tables.geometry),
            )
        };
        let mut ways = [Stages::default(), Stages::general()].map(|stages| (stages, make()));
        let mut time = 0;
        for _ in 0..8 {
            let packets: Vec<_> = (0..r.below(90)).map(|_| arrival(r)).collect();
            let arrivals: Vec<Arrival> = (packets.iter())
                .map(|(port, frame)| {
                    time += 1 + r.below(3000);
                    Arrival {
                        port: *port,
                        time,
                        frame,
                    }
                })
                .collect();
            let [short, general] = ways.each_mut().map(|(stages, (counters, rates))| {
                let mut seen = Seen::default();
                stages.run(&tables, counters, rates, &arrivals, &mut seen);
                (seen, counters.counted().collect::<Vec<_>>())
            });
            for (a, b) in short.0.sent.iter().zip(&general.0.sent) {
                assert!(a == b, "seed {seed}:\n{a:?}\n{b:?}");
            }
            for (a, b) in short.0.host.iter().zip(&general.0.host) {
                assert_eq!(a, b, "seed {seed}");
            }
            for (a, b) in short.1.iter().zip(&general.1) {
                assert_eq!(a, b, "seed {seed}");
            }
            assert!(short == general, "seed {seed}: one has more");
            (all, sent) = (all + arrivals.len(), sent + short.0.sent.len());
            // A device that is replaced.
            let mut row = tables.attachment(SERVER);
            row.dst_mac ^= 5;
            row.mtu = r.of(&[0, 100]);
            tables.set_attachment(SERVER.into(), row);
            assert!(tables.in_step());
        }
        shortened += ways[0].0.shortened();
        assert_eq!(ways[1].0.shortened(), 0);
    }
    // Neither of them is what all packets do.
    let part = shortened as f64 / all as f64;
    assert!((0.15..0.9).contains(&part), "{part} of the packets");
    assert!(sent > all / 3, "{sent} of {all}");
}
