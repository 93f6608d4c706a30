//! From the window to the questions: what kind of packet it is, and where its headers are.

use seqnic_gen::{Circuit, GenError, Instance, Module, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::l4;
use seqnic_spec::tables::{Table, width};
use seqnic_spec::wire::{
    DHCP_PORTS, DHCPV6_PORTS, ICMP_ERRORS, ICMPV6_ERRORS, ICMPV6_ND, PROTO_ICMP,
};

use super::bytes::{IPV4_BYTES, IPV4_MAX_BYTES, IPV6_BYTES, L3_LENGTH_BITS, number, one_of};
use super::{
    PART_BYTES, PART_PORTS, PARTS, chain, ethernet, ipv4, ipv6, moved, part_stage, parts,
    transport, tunnel,
};
use crate::tables::{Config, direct};

/// All of `docs/semantics.md` section 1: module `header_parser`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `part0`, `part1`, `part2` | 8 * 64 | [`part_stage`] | the first 192 bytes of the frame, byte 0 lowest; zero past the end |
/// | `length`, `more` | 8, 1 | with `part2` | bytes in the window; the frame is longer |
/// | `port`, `epoch` | 4, 1 | 0 | port of arrival; version of the tables that holds for the packet |
/// | `interface_key`, `vid` | record, 12 | 1 | question to table `interface`; innermost VLAN ID |
/// | `taken`, `number`, `offset` | 5, 16, 8 | 3 | see [`tunnel`](tunnel::tunnel) |
/// | `dst_key`, `src_key` | record | 5 | questions to table `address` |
/// | `v6` | 1 | 5 | |
/// | `traffic_class` | 8 | 5 | TOS or traffic class |
/// | `ip_checksum` | 16 | 5 | 0 in IPv6 |
/// | `ip_length` | 17 | 5 | bytes of the packet by its own header |
/// | `protocol`, `later`, `l4_offset` | 8, 1, 7 | 9 | the last in bytes from the IP header |
/// | `sport`, `dport` | 16 | 10 | 0 where there are none |
/// | `tcp_flags` | 8 | 10 | 0 where there is no TCP header |
/// | `l4`, `l4_checksum`, `udp_no_checksum` | 3, 16, 1 | 11 | |
/// | `runt`, `vlan_depth`, `ipv4_header`, `ipv4_checksum`, `ipv6_header`, `too_deep`, `l4_header` | 1 | 1 to 11 | checks that failed |
/// | `tag_wrong` | 1 | 5 | a check of what was taken off failed |
/// | `arp`, `not_ip` | 1 | 1, 5 | |
/// | `nd`, `icmp_error`, `dhcp`, `ttl` | 1 | to 11 | what else the verdict asks; `dhcp` by ports alone |
///
/// and the configuration bus of table `decap`.
///
/// # Errors
/// Sizes out of range.
pub fn parser(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_parser");
    m.doc("Parser: VLAN tags, tag headers and tunnels, IP header, extension headers, transport header.");
    let part = |n: u32| m.input_at(&format!("part{n}"), PART_BYTES * 8, part_stage(g, n));
    let parts: Vec<Sig> = (0..parts(g)).map(part).collect();
    let length = m.input_at("length", L3_LENGTH_BITS, part_stage(g, PARTS - 1));
    let more = m.input_at("more", 1, part_stage(g, PARTS - 1));
    let port = m.input_at("port", width::PORT, 0);
    let epoch = m.input_at("epoch", 1, 0);
    let config = Config::inputs(&m, g, g.row_bits(Table::Decap));
    let place = port
        .trunc(direct::index_bits(g, Table::Decap) - 1)
        .cat(epoch);
    let mut ports = vec![("index", place)];
    ports.extend(config.connect(g.row_bits(Table::Decap)));
    let decap = m.instance("decap", &direct::direct_table(Table::Decap, g)?, &ports);

    let mut ports = vec![("length", length), ("port", port)];
    ports.extend(PART_PORTS.into_iter().zip(parts.iter().copied()));
    let eth = m.instance("ethernet", &ethernet::ethernet(g)?, &ports);
    let turns = g.clocks_per_header > 1;
    let mut ports = vec![
        ("near", eth.get("near")),
        ("length", length),
        ("tags", eth.get("tags")),
        ("v4", eth.get("v4")),
        ("v6", eth.get("v6")),
        ("mpls", eth.get("mpls")),
        ("nsh", eth.get("nsh")),
        ("decap", decap.get("row")),
    ];
    match turns {
        true => ports.extend(moved::inputs(&m, g).connect()),
        false => ports.push(("far", eth.get("far"))),
    }
    let tunnel = m.instance("tunnel", &tunnel::tunnel(g)?, &ports);
    let (v4, v6) = (tunnel.get("inner_v4"), tunnel.get("inner_v6"));
    let Layers {
        packet: l3,
        four,
        header_bad,
        protocol,
        later,
        place,
        walk_deep,
        last,
    } = match turns {
        true => Layers::in_turns(&m, g, &tunnel, more)?,
        false => Layers::at_once(&m, g, &tunnel, more)?,
    };

    for port in ["interface_key", "vid", "arp", "runt", "vlan_depth"] {
        m.output(port, eth.get(port));
    }
    for port in ["dst_key", "src_key", "taken", "number", "offset"] {
        m.output(port, tunnel.get(port));
    }
    m.output("tag_wrong", tunnel.get("bad"));
    m.output("v6", v6);
    m.output("not_ip", !(v4 | v6 | eth.get("arp")));
    m.output("ipv4_header", v4 & four.get("header_bad"));
    m.output("ipv4_checksum", v4 & four.get("checksum_bad"));
    m.output("ipv6_header", v6 & header_bad);
    let deep = (v6 & walk_deep) | last.get("too_deep");
    m.output("too_deep", (v4 | v6) & deep);
    m.output("l4_header", (v4 | v6) & last.get("short"));

    let v6_class = number(l3, 0, 2).slice(4, 8);
    m.output("traffic_class", mux(v6, v6_class, number(l3, 1, 1)));
    m.output("ip_checksum", number(l3, 10, 2).when(!v6));
    let payload = number(l3, 4, 2).zext(17) + m.lit(17, IPV6_BYTES.into());
    m.output("ip_length", mux(v6, payload, number(l3, 2, 2).zext(17)));
    let ttl = mux(v6, number(l3, 7, 1), number(l3, 8, 1));
    m.output("ttl", !ttl.any() & (v4 | v6));

    m.output("protocol", protocol);
    m.output("later", later);
    m.output("l4_offset", place.shl(2));
    let (sport, dport) = (last.get("sport"), last.get("dport"));
    m.output("tcp_flags", last.get("tcp_flags"));
    m.output("sport", sport);
    m.output("dport", dport);
    let (kind, checksum) = (last.get("l4"), last.get("checksum"));
    m.output("l4", kind);
    m.output("l4_checksum", checksum);
    wire!(udp = kind.is(l4::UDP.into()));
    m.output("udp_no_checksum", udp & !v6 & !checksum.any());

    let icmp_type = last.get("icmp_type");
    let icmpv6 = kind.is(l4::ICMPV6.into());
    let nd = icmp_type.ge(icmp_type.lit((*ICMPV6_ND.start()).into()))
        & icmp_type.le(icmp_type.lit((*ICMPV6_ND.end()).into()));
    m.output("nd", icmpv6 & nd);
    let icmp = v4 & protocol.is(PROTO_ICMP.into()) & !later;
    let error = (icmp & one_of(icmp_type, &ICMP_ERRORS.map(u32::from)))
        | (icmpv6 & one_of(icmp_type, &ICMPV6_ERRORS.map(u32::from)));
    m.output("icmp_error", error);
    let both = |ports: [u16; 2]| {
        let ports = ports.map(u32::from);
        one_of(sport, &ports) & one_of(dport, &ports)
    };
    m.output("cfg_rdata", decap.get("cfg_rdata"));
    m.output("dhcp", udp & mux(v6, both(DHCPV6_PORTS), both(DHCP_PORTS)));
    m.finish()
}

/// What is known of the packet's layers.
struct Layers<'m> {
    /// The packet from the IP header on, as much of it as is there at once.
    packet: Sig<'m>,
    four: Instance<'m>,
    /// Reason `ipv6_header`, of an IPv6 packet.
    header_bad: Sig<'m>,
    protocol: Sig<'m>,
    later: Sig<'m>,
    /// Of the transport header, in words from the IP header.
    place: Sig<'m>,
    /// Reason `too_deep`, of the walk through an IPv6 packet.
    walk_deep: Sig<'m>,
    last: Instance<'m>,
}

impl<'m> Layers<'m> {
    fn at_once(
        m: &'m Module,
        g: &Geometry,
        tunnel: &Instance<'m>,
        more: Sig<'m>,
    ) -> Result<Layers<'m>, Vec<GenError>> {
        let (l3, available, view) = (
            tunnel.get("l3"),
            tunnel.get("available"),
            tunnel.get("view"),
        );
        let v6 = tunnel.get("inner_v6");
        let ports = [
            ("packet", l3.trunc(IPV4_MAX_BYTES * 8)),
            ("available", available),
            ("more", more),
        ];
        let four = m.instance("ipv4", &ipv4::ipv4(g)?, &ports);
        let ports = [
            ("packet", l3),
            ("available", available),
            ("more", more),
            ("view", view),
            ("v6", v6),
            ("v4_words", four.get("place").trunc(4)),
        ];
        let six = m.instance("ipv6", &ipv6::ipv6()?, &ports);
        let choose = |port: &str| mux(v6, six.get(port), four.get(port));
        wire!(protocol = choose("protocol"));
        wire!(later = choose("later"));
        wire!(place = six.get("place"));
        let ports = [
            ("packet", l3),
            ("v6", v6),
            ("protocol", protocol),
            ("later", later),
            ("place", place),
            ("limit", choose("limit")),
            ("view", view),
        ];
        let last = m.instance("transport", &transport::transport()?, &ports);
        Ok(Layers {
            packet: l3,
            protocol,
            later,
            place,
            walk_deep: six.get("too_deep"),
            header_bad: six.get("header_bad"),
            four,
            last,
        })
    }

    fn in_turns(
        m: &'m Module,
        g: &Geometry,
        tunnel: &Instance<'m>,
        more: Sig<'m>,
    ) -> Result<Layers<'m>, Vec<GenError>> {
        let (beat, head) = (tunnel.get("beat"), tunnel.get("head"));
        let (available, view) = (tunnel.get("available"), tunnel.get("view"));
        let v6 = tunnel.get("inner_v6");
        let ports = [
            ("packet", head.trunc(IPV4_BYTES * 8)),
            ("beat", beat),
            ("available", available),
            ("more", more),
        ];
        let four = m.instance("ipv4", &ipv4::ipv4(g)?, &ports);
        let ports = [
            ("head", head.trunc(IPV6_BYTES * 8)),
            ("beat", beat),
            ("available", available),
            ("more", more),
            ("view", view),
            ("v6", v6),
            ("v4_protocol", four.get("protocol")),
            ("v4_later", four.get("later")),
            ("v4_place", four.get("place")),
            ("v4_limit", four.get("limit")),
        ];
        let last = m.instance("chain", &chain::chain()?, &ports);
        Ok(Layers {
            packet: head,
            protocol: last.get("protocol"),
            later: last.get("later"),
            place: last.get("place"),
            walk_deep: last.get("walk_deep"),
            header_bad: last.get("header_bad"),
            four,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::images::packed;
    use crate::header::packets::World;
    use crate::testing::*;
    use seqnic_gen::{Bits, Sim};
    use seqnic_model::parse::{Headers, parse};
    use seqnic_model::tables::Decap;
    use seqnic_spec::reason::Reason;
    use seqnic_spec::tables::{ADDRESS_KEY, DECAP_ROW, INTERFACE_KEY};
    use std::collections::{BTreeMap, HashMap};

    const CHECKS: [(&str, Reason); 8] = [
        ("runt", Reason::Runt),
        ("vlan_depth", Reason::VlanDepth),
        ("tag_wrong", Reason::Encapsulation),
        ("ipv4_header", Reason::Ipv4Header),
        ("ipv4_checksum", Reason::Ipv4Checksum),
        ("ipv6_header", Reason::Ipv6Header),
        ("too_deep", Reason::TooDeep),
        ("l4_header", Reason::L4Header),
    ];

    /// Everything, at the tunnels' addresses.
    fn accepting(world: &World) -> Decap {
        Decap {
            accepts: 0x7f,
            v4: Some(u32::from_be_bytes(world.tunnel_v4)),
            v6: Some(u128::from_be_bytes(world.tunnel_v6)),
        }
    }

    fn parsed(g: &Geometry, frames: &[Vec<u8>], decap: &Decap) -> Vec<HashMap<String, Bits>> {
        let circuit = parser(g).unwrap().spaced(g.clocks_per_header).unwrap();
        let mut sim = Sim::new(&circuit);
        sim.reset();
        let fields = [
            ("accepts", decap.accepts.into()),
            ("v4_valid", decap.v4.is_some().into()),
            ("v4", decap.v4.unwrap_or(0).into()),
            ("v6_valid", decap.v6.is_some().into()),
            ("v6", decap.v6.unwrap_or(0)),
        ];
        // The row of port 3 in epoch 1; that of epoch 0 takes nothing off.
        sim.poke("decap.rows", 3 * 2 + 1, &packed(&DECAP_ROW, &fields));
        let inputs: Vec<_> = frames
            .iter()
            .enumerate()
            .map(|(n, f)| {
                let mut fields = header(g, f, 3, n as u64);
                fields.retain(|f| f.0 != "tag");
                fields.push(("epoch", Bits::new(1, 1)));
                fields
            })
            .collect();
        match g.clocks_per_header {
            1 => stream(&circuit, &mut sim, &inputs),
            apart => spaced_stream(&circuit, &mut sim, apart.into(), &inputs, &|sim, n| {
                keep(sim, g, "tunnel", n as u32 & 1, &frames[n]);
            }),
        }
    }

    fn fault(got: &HashMap<String, Bits>) -> Option<Reason> {
        CHECKS
            .iter()
            .find(|(port, _)| !got[*port].is_zero())
            .map(|c| c.1)
    }

    /// Everything the parser says of a sound packet, against the software's reading.
    fn compare(frame: &[u8], got: &HashMap<String, Bits>, h: &Headers) {
        assert_eq!(fault(got), h.fault, "{frame:02x?} {h:?}");
        if h.fault == Some(Reason::Runt) || h.fault == Some(Reason::VlanDepth) {
            return;
        }
        let get = |port: &str| got[port].low_u128();
        let field = |port: &str, layout, name: &str| row(&got[port]).field(layout, 0, name);
        assert_eq!(field("interface_key", &INTERFACE_KEY, "port"), 3);
        assert_eq!(
            field("interface_key", &INTERFACE_KEY, "vid0"),
            h.vid0.into()
        );
        assert_eq!(
            field("interface_key", &INTERFACE_KEY, "vid1"),
            h.vid1.into()
        );
        let innermost = if h.vid1 != 0 { h.vid1 } else { h.vid0 };
        assert_eq!(get("vid"), innermost.into());
        assert_eq!(get("arp") == 1, h.ethertype == 0x0806);
        if h.fault == Some(Reason::Encapsulation) {
            return;
        }
        assert_eq!(get("not_ip") == 1, !h.is_ip() && h.ethertype != 0x0806);
        let taken = h
            .taken
            .map(|t| (u128::from(t.header.accepts() >> 2), t.number));
        if h.fault != Some(Reason::Encapsulation) {
            assert_eq!(get("taken"), taken.map_or(0, |t| t.0), "{frame:02x?}");
            assert_eq!(get("offset"), h.l3.into());
        }
        if let Some((_, number)) = taken {
            assert_eq!(get("number"), number.into());
        }
        if h.fault.is_some() || !h.is_ip() {
            return;
        }
        assert_eq!(get("ip_length"), h.ip_length.into());
        assert_eq!(get("v6") == 1, h.v6);
        for (port, address) in [("dst_key", h.dst), ("src_key", h.src)] {
            assert_eq!(field(port, &ADDRESS_KEY, "v6") == 1, h.v6);
            assert_eq!(field(port, &ADDRESS_KEY, "address"), address);
        }
        assert_eq!(get("protocol"), h.protocol.into());
        assert_eq!(get("later") == 1, h.later_fragment);
        assert_eq!(get("traffic_class"), h.traffic_class.into());
        assert_eq!(get("ttl") == 1, h.ttl == 0);
        assert_eq!(
            (get("sport"), get("dport")),
            (h.sport.into(), h.dport.into())
        );
        let at = |i: usize| u128::from(frame[i]) << 8 | u128::from(frame[i + 1]);
        let checksum = h.l4_checksum().map_or(0, at);
        assert_eq!(get("l4_checksum"), checksum);
        assert_eq!(get("ip_checksum"), if h.v6 { 0 } else { at(h.l3() + 10) });
        let kind = match (h.protocol, h.later_fragment) {
            (_, true) => l4::NONE,
            (6, _) => l4::TCP,
            (17, _) => l4::UDP,
            (132, _) => l4::SCTP,
            (58, _) if h.v6 => l4::ICMPV6,
            _ => l4::NONE,
        };
        assert_eq!(get("l4"), kind.into());
        if !h.later_fragment {
            assert_eq!(get("l4_offset"), (h.l4 as usize - h.l3()) as u128);
        }
        assert_eq!(
            get("udp_no_checksum") == 1,
            kind == l4::UDP && !h.v6 && checksum == 0
        );
        let message = !h.later_fragment && h.protocol == if h.v6 { 58 } else { 1 };
        let nd = message && h.v6 && (133..=137).contains(&h.icmp_type);
        assert_eq!(get("nd") == 1, nd);
        let errors: &[u8] = if h.v6 {
            &[1, 2, 3, 4]
        } else {
            &[3, 4, 5, 11, 12]
        };
        assert_eq!(
            get("icmp_error") == 1,
            message && errors.contains(&h.icmp_type)
        );
        let dhcp: [u16; 2] = if h.v6 { [546, 547] } else { [67, 68] };
        let dhcp = kind == l4::UDP && dhcp.contains(&h.sport) && dhcp.contains(&h.dport);
        assert_eq!(get("dhcp") == 1, dhcp);
    }

    #[test]
    fn packets_at_random_are_read_as_the_software_reads_them() {
        let mut random = Random::new(11);
        let world = World::new(&mut random);
        let frames: Vec<_> = (0..20_000).map(|_| world.frame(&mut random)).collect();
        let mut seen: BTreeMap<Option<Reason>, u32> = BTreeMap::new();
        let mut tagged = 0;
        let (at_once, in_turns) = frames.split_at(14_000);
        let mut all = parsed(&SMALL, at_once, &accepting(&world));
        all.extend(parsed(&TURNS, in_turns, &accepting(&world)));
        for (frame, got) in frames.iter().zip(all) {
            let h = parse(frame, &accepting(&world));
            *seen.entry(h.fault).or_default() += 1;
            tagged += u32::from(h.fault.is_none() && h.taken.is_some());
            compare(frame, &got, &h);
        }
        // The test says something only if every check failed often.
        assert!(tagged > 2000, "{tagged}");
        for (_, reason) in CHECKS {
            assert!(seen.get(&Some(reason)).is_some_and(|n| *n > 30), "{seen:?}");
        }
        assert!(seen[&None] > 5000, "{seen:?}");
    }

    #[test]
    fn every_length_of_a_frame_is_read_as_the_software_reads_it() {
        let mut random = Random::new(12);
        let world = World::new(&mut random);
        let whole: Vec<_> = (0..150).map(|_| world.frame(&mut random)).collect();
        let cut = |f: &Vec<u8>| -> Vec<Vec<u8>> {
            (1..=f.len().min(210)).map(|n| f[..n].to_vec()).collect()
        };
        let frames: Vec<Vec<u8>> = whole.iter().flat_map(cut).collect();
        for g in [&DEEP, &TURNS] {
            let read = parsed(g, &frames, &accepting(&world));
            for (frame, got) in frames.iter().zip(read) {
                compare(frame, &got, &parse(frame, &accepting(&world)));
            }
        }
    }

    /// A frame of IPv6 with extension headers `(kind, length byte, bytes)`.
    fn chain(headers: &[(u8, u8, usize)], protocol: u8, body: usize) -> Vec<u8> {
        let mut inner = vec![];
        for (i, (_, length, bytes)) in headers.iter().enumerate() {
            let mut h = vec![0; *bytes];
            h[0] = headers.get(i + 1).map_or(protocol, |h| h.0);
            h[1] = *length;
            inner.extend(h);
        }
        inner.extend(vec![0u8; body]);
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((inner.len() as u16).to_be_bytes());
        frame.extend([headers.first().map_or(protocol, |h| h.0), 64]);
        frame.extend([1; 32]);
        frame.extend(inner);
        frame
    }

    #[test]
    fn rules_of_the_walk() {
        let one = (0, 0, 8);
        let cases: Vec<(Vec<u8>, Option<Reason>)> = vec![
            (chain(&[], 6, 20), None),
            (chain(&[], 6, 19), Some(Reason::L4Header)),
            (chain(&[one; 4], 17, 8), None),
            (chain(&[one; 5], 17, 8), Some(Reason::TooDeep)),
            // 54 + 64 + 8 = 126: the second header stands whole in the window, UDP does not.
            (chain(&[(0, 7, 64), one], 59, 100), None),
            (chain(&[(0, 7, 64), one], 17, 100), Some(Reason::TooDeep)),
            (chain(&[(0, 8, 72), one], 17, 100), Some(Reason::TooDeep)),
            // Longer than the packet: the protocol behind it would be past the end.
            (chain(&[(0, 1, 8)], 59, 0), Some(Reason::L4Header)),
            (chain(&[(0, 255, 8)], 59, 0), Some(Reason::TooDeep)),
            (chain(&[(51, 1, 12)], 6, 20), None),
            (chain(&[(51, 255, 12)], 59, 20), Some(Reason::TooDeep)),
            (chain(&[(0, 0, 8)], 60, 7), Some(Reason::Ipv6Header)),
        ];
        let frames: Vec<_> = cases.iter().map(|c| c.0.clone()).collect();
        for g in [&SMALL, &TURNS] {
            let read = parsed(g, &frames, &Decap::default());
            for ((frame, reason), got) in cases.iter().zip(read) {
                assert_eq!(fault(&got), *reason, "{}: {frame:02x?}", g.name);
                compare(frame, &got, &parse(frame, &Decap::default()));
            }
        }
    }
}
