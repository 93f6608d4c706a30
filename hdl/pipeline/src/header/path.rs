//! The header path as a whole, in packet order.

use seqnic_gen::{Circuit, GenError, Instance, Module, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{MAX_ROW_BITS, width};

use super::bytes::{L3_LENGTH_BITS, bundle, number};
use super::{
    PART_BYTES, PART_PORTS, PARTS, acl, address, class, interface, moved, parser, part_stage,
    parts, port, priority, range, reason, source, step, verdict,
};
use crate::tables::{Config, answer_bits, join_rdata};
use seqnic_spec::wire::tcp;

/// How a part of the path is made.
pub type Part = fn(&Geometry) -> Result<Circuit, Vec<GenError>>;

/// The parts in packet order: the one place where this order is written. [`path`] refuses to
/// place them in another. Module and instance have the same name.
pub const ORDER: [(&str, Part); 12] = [
    ("header_parser", parser::parser),
    ("header_interface", interface::interface),
    ("header_source", source::source),
    ("header_address", address::address),
    ("header_port", port::port),
    ("header_range", range::range),
    ("header_class", class::class),
    ("header_step", step::step),
    ("header_acl", acl::acl),
    ("header_priority", priority::priority),
    ("header_reason", |_| reason::reason()),
    ("header_verdict", |_| verdict::verdict()),
];

/// When a part works: clocks after the header came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Name of module and instance.
    pub part: &'static str,
    /// Clock of its first input.
    pub from: u32,
    /// Clock of its last output.
    pub to: u32,
}

/// The header path with its times.
#[derive(Debug, Clone)]
pub struct Path {
    pub circuit: Circuit,
    /// Every part, in the order of [`ORDER`].
    pub timing: Vec<Timing>,
}

/// Places the parts of [`ORDER`], joined to the configuration bus.
struct Placer<'m, 'g> {
    m: &'m Module,
    g: &'g Geometry,
    config: Config<'m>,
    rdata: Vec<Sig<'m>>,
    timing: Vec<Timing>,
}

impl<'m> Placer<'m, '_> {
    /// The next part of [`ORDER`], which must be `name`.
    fn place(
        &mut self,
        name: &str,
        inputs: &[(&str, Sig<'m>)],
    ) -> Result<Instance<'m>, Vec<GenError>> {
        let next = self.timing.len();
        let Some((part, make)) = ORDER.into_iter().nth(next).filter(|part| part.0 == name) else {
            self.m.refuse(
                &format!("place of `{name}`"),
                next as u64,
                "must be its place in ORDER",
            );
            return Err(self.m.finish().err().unwrap_or_default());
        };
        let circuit = make(self.g)?;
        let mut inputs = inputs.to_vec();
        let row = circuit.inputs().iter().find(|p| p.name == "cfg_wdata");
        if let Some(port) = row {
            inputs.extend(self.config.connect(port.width));
        }
        let instance = self.m.instance(part, &circuit, &inputs);
        if row.is_some() {
            self.rdata.push(instance.get("cfg_rdata"));
        }
        let timed = |p: &seqnic_gen::Port| Some((instance.get(&p.name).stage()?, p.stage?));
        let last = circuit
            .outputs()
            .iter()
            .filter_map(timed)
            .max_by_key(|t| t.1);
        let (to, own) = last.unwrap_or_default();
        self.timing.push(Timing {
            part,
            from: to - own,
            to,
        });
        Ok(instance)
    }
}

/// The whole header path: module `header_path`. A header a clock; nothing waits.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `in_part0`, `in_part1`, `in_part2` | 8 * 64 | [`part_stage`] | the first 192 bytes of the frame, byte 0 lowest; zero past the end |
/// | `in_length`, `in_more`, `in_valid` | 8, 1, 1 | with `in_part2` | bytes in the window; the frame is longer; it was a header |
/// | `in_port`, `in_tag` | 4, 64 | 0 | port of arrival; when it arrived, ns |
/// | `in_epoch` | 1 | 0 | version of the tables that holds for the packet, all the way |
/// | `out_valid`, `out_verdict` | 1, record `verdict` | [`Circuit::latency`] | in the same order; up to five levels of logic behind the last register, meant for a queue |
/// | `cfg_write`, `cfg_read`, `cfg_table`, `cfg_row`, `cfg_wdata`, `cfg_rdata` | 1, 1, 5, 22, 512, 512 | | see [`crate::tables`] |
///
/// # Errors
/// Sizes out of range.
pub fn path(g: &Geometry) -> Result<Path, Vec<GenError>> {
    let m = Module::new("header_path");
    m.doc("Header path: from the first bytes of a packet to its verdict.");
    let last = part_stage(g, PARTS - 1);
    let valid = m.input_valid("in_valid", last);
    let part = |n: u32| m.input_at(&format!("in_part{n}"), PART_BYTES * 8, part_stage(g, n));
    let parts: Vec<Sig> = (0..parts(g)).map(part).collect();
    let length = m.input_at("in_length", L3_LENGTH_BITS, last);
    let more = m.input_at("in_more", 1, last);
    let port = m.input_at("in_port", width::PORT, 0);
    let tag = m.input_at("in_tag", 64, 0);
    let epoch = m.input_at("in_epoch", 1, 0);
    let config = Config::inputs(&m, g, MAX_ROW_BITS);
    let mut placer = Placer {
        m: &m,
        g,
        config,
        rdata: vec![],
        timing: vec![],
    };
    let (dst_mac, src_mac) = (number(parts[0], 0, 6), number(parts[0], 6, 6));

    let mut ports = vec![
        ("length", length),
        ("more", more),
        ("port", port),
        ("epoch", epoch),
    ];
    ports.extend(PART_PORTS.into_iter().zip(parts.iter().copied()));
    if g.clocks_per_header > 1 {
        ports.extend(moved::ports(g).map(|(name, bits, stage)| {
            let port = format!("in_{name}");
            let sig = match stage {
                None => m.input(&port, bits),
                Some(stage) => m.input_at(&port, bits, stage),
            };
            (name, sig)
        }));
    }
    let parsed = placer.place("header_parser", &ports)?;
    let ports = [
        ("key", parsed.get("interface_key")),
        ("dst_mac", dst_mac),
        ("epoch", epoch),
    ];
    let arrived = placer.place("header_interface", &ports)?;
    let ports = [
        ("segment", arrived.get("segment")),
        ("src_mac", src_mac),
        ("epoch", epoch),
        ("tracking", arrived.get("tracking")),
        ("accepts", arrived.get("accepts")),
        ("taken", parsed.get("taken")),
        ("number", parsed.get("number")),
        ("vid", parsed.get("vid")),
        ("dscp", parsed.get("traffic_class").slice(2, 6)),
    ];
    let sender = placer.place("header_source", &ports)?;
    let ports = [
        ("dst_key", parsed.get("dst_key")),
        ("src_key", parsed.get("src_key")),
        ("epoch", epoch),
    ];
    let addresses = placer.place("header_address", &ports)?;
    let (dst, src) = (addresses.get("dst"), addresses.get("src"));

    let (protocol, later) = (parsed.get("protocol"), parsed.get("later"));
    let (sport, dport) = (parsed.get("sport"), parsed.get("dport"));
    let question = [
        ("protocol", protocol),
        ("sport", sport),
        ("dport", dport),
        ("later", later),
    ];
    let mut ports = vec![
        ("dst_scope", dst.field("scope")),
        ("src_scope", src.field("scope")),
    ];
    ports.push(("epoch", epoch));
    ports.extend(question);
    let exact = placer.place("header_port", &ports)?;
    let mut ports = vec![
        (
            "dst_asked",
            dst.field("range_valid") & dst.field("scope").any(),
        ),
        (
            "src_asked",
            src.field("range_valid") & src.field("scope").any(),
        ),
        ("dst_row", dst.field("range")),
        ("src_row", src.field("range")),
    ];
    ports.extend(question);
    let ranges = placer.place("header_range", &ports)?;

    let mut answers = vec![];
    for q in 0..4 {
        for (kind, from) in [("exact", &exact), ("range", &ranges)] {
            for what in ["hit", "class"] {
                let answer = from.get(&format!("{what}{q}"));
                answers.push((format!("{kind}_{what}{q}"), answer));
            }
        }
    }
    let ports: Vec<(&str, Sig)> = answers.iter().map(|(n, s)| (n.as_str(), *s)).collect();
    let class = placer.place("header_class", &ports)?;
    let (found, direction) = (class.get("found"), class.get("direction"));
    let ports = [
        ("number", class.get("number")),
        ("direction", direction),
        ("position", sender.get("position")),
        ("has_tag", sender.get("has_tag")),
        ("entry_action", class.get("entry_action")),
        ("entry_copies", class.get("entry_copies")),
        ("epoch", epoch),
    ];
    let step = placer.place("header_step", &ports)?;
    let ports = [
        ("dst_acl", dst.field("acl")),
        ("src_acl", src.field("acl")),
        ("dst_scope", dst.field("scope")),
        ("src_scope", src.field("scope")),
        ("dst_salted", dst.field("salted")),
        ("src_salted", src.field("salted")),
        ("v6", parsed.get("v6")),
        ("src", parsed.get("src_key").field("address")),
        ("dst", parsed.get("dst_key").field("address")),
        ("sport", sport),
        ("dport", dport),
        ("protocol", protocol),
        ("later", later),
        ("flags", parsed.get("tcp_flags")),
        ("size", parsed.get("ip_length")),
        ("arrival", arrived.get("number")),
        ("epoch", epoch),
        ("direction", direction),
        ("by_source", class.get("by_source")),
        ("set", class.get("set")),
        ("default_permit", class.get("permit")),
        ("default_rule", class.get("rule")),
    ];
    let rules = placer.place("header_acl", &ports)?;

    let ports = [
        ("dscp", parsed.get("traffic_class").slice(2, 6)),
        ("epoch", epoch),
        ("trust", arrived.get("trust")),
        ("own", class.get("rank")),
    ];
    let ranked = placer.place("header_priority", &ports)?;

    let own_or = |name: &'static str| -> Sig {
        match name {
            "no_interface" => !arrived.get("known"),
            "not_mine" => arrived.get("not_mine"),
            "multicast" => dst_mac.bit(40),
            "encapsulation" => parsed.get("tag_wrong") | sender.get("refused"),
            other => parsed.get(other),
        }
    };
    let mut ports: Vec<(&str, Sig)> = reason::CONDITIONS
        .iter()
        .map(|(name, _)| (*name, own_or(name)))
        .collect();
    let scoped = dst.field("scope").any() | src.field("scope").any();
    let dhcp = parsed.get("dhcp");
    ports.extend([
        ("dhcp", dhcp),
        ("own", dst.field("local")),
        ("scoped", scoped),
        ("later", later),
    ]);
    let why = placer.place("header_reason", &ports)?;
    wire!(base = mux(found, why.get("with_class"), why.get("without")).reg());

    let mut ports: Vec<(&str, Sig)> = vec![
        ("base", base),
        ("copies", step.get("copies")),
        ("first", step.get("first")),
        ("asked", rules.get("asked")),
        ("permit", rules.get("permit")),
        ("rule", rules.get("rule")),
        ("framed", !(parsed.get("runt") | parsed.get("vlan_depth"))),
        ("interface_known", arrived.get("known")),
        ("sender_known", sender.get("known")),
        ("found", found),
    ];
    let carried = [("tag", tag), ("port", port), ("epoch", epoch)];
    let carried = bundle("carried", &carried);
    let flags = parsed.get("tcp_flags");
    let flag = |mask: u8| flags.bit(mask.trailing_zeros());
    let (syn, ack) = (flag(tcp::SYN), flag(tcp::ACK));
    wire!(opening = syn & !ack);
    wire!(answering = (syn & ack) | flag(tcp::RST));
    let neighbour = ["neighbour_valid", "neighbour"].map(|f| (f, dst.field(f)));
    let neighbour = bundle("neighbour", &neighbour);
    for field in verdict::CARRIED {
        let value = match field {
            "tag" | "port" | "epoch" => carried.field(field),
            "interface" => arrived.get("number"),
            "sender" => sender.get("sender"),
            "class" => class.get("number"),
            "direction" => direction,
            "action" => step.get("action"),
            "priority" => ranked.get("rank"),
            "meter" => class.get("meter").when(step.get("first")),
            "neighbour_valid" | "neighbour" => neighbour.field(field),
            "opening" => opening,
            "answering" => answering,
            "l3" => parsed.get("offset"),
            "src" => parsed.get("src_key").field("address"),
            "dst" => parsed.get("dst_key").field("address"),
            other => parsed.get(other),
        };
        ports.push((verdict::port_of(field), value));
    }
    let result = placer.place("header_verdict", &ports)?.get("verdict");

    m.output("out_valid", valid.to_stage(result.stage().unwrap_or(0)));
    m.output("out_verdict", result);
    m.output(
        "cfg_rdata",
        join_rdata(&m, &placer.rdata, answer_bits(g, MAX_ROW_BITS)),
    );
    let timing = placer.timing;
    Ok(Path {
        circuit: m.finish()?,
        timing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::images::{Read, load, random_image, random_image_on};
    use crate::header::packets::World;
    use crate::testing::*;
    use seqnic_gen::{Bits, SPACED_VALID, Sim};
    use seqnic_image::Image;
    use seqnic_model::parse::{Headers, parse};
    use seqnic_model::verdict::{Verdict, decide};
    use seqnic_spec::geometry;
    use seqnic_spec::reason::Reason;
    use seqnic_spec::stage::VERDICT;
    use seqnic_spec::tables::Table;
    use std::collections::BTreeMap;

    #[test]
    fn parts_follow_each_other_and_the_latency_is_in_budget() {
        for g in geometry::ALL {
            let path = path(g).unwrap();
            let latency = path.circuit.latency().unwrap();
            let most = if g.clocks_per_header == 1 { 23 } else { 60 };
            assert!(latency <= most, "{}: {latency} clocks", g.name);
            let parts: Vec<_> = path.timing.iter().map(|t| t.part).collect();
            assert_eq!(parts, ORDER.map(|p| p.0));
            assert_eq!(path.timing.first().unwrap().from, 0);
            assert_eq!(path.timing.last().unwrap().to, latency);
            // What is asked in packet order is also answered in it.
            let questions: Vec<_> = path.timing[3..8].iter().map(|t| t.from).collect();
            assert!(questions.is_sorted(), "{:?}", path.timing);
        }
    }

    fn compare(got: &Read, frame: &[u8], port: u8, id: u64, h: &Headers, v: &Verdict) {
        let what = format!("{frame:02x?} {h:?} {v:?}");
        assert_eq!(got.get("reason"), v.reason as u128, "{what}");
        assert_eq!((got.get("tag"), got.get("port")), (id.into(), port.into()));
        assert_eq!(
            got.option("interface"),
            v.interface.map(u128::from),
            "{what}"
        );
        assert_eq!(got.option("sender"), v.sender.map(u128::from), "{what}");
        let class = got
            .option("class")
            .map(|class| (class, got.get("direction")));
        let expected = v.class.map(|(c, d)| (u128::from(c), u128::from(d.bit())));
        assert_eq!(class, expected, "{what}");
        assert_eq!(got.option("rule"), v.rule.map(u128::from), "{what}");
        if v.reason != Reason::Directed {
            assert_eq!(got.get("copies"), 1);
            return;
        }
        assert_eq!(got.get("action"), v.step.action.into(), "{what}");
        assert_eq!(got.get("copies"), v.step.copies.into(), "{what}");
        assert_eq!(
            got.option("neighbour"),
            v.neighbour.map(u128::from),
            "{what}"
        );
        assert_eq!(got.get("priority"), v.priority.into(), "{what}");
        assert_eq!(got.get("l3"), h.l3.into());
        assert_eq!(got.get("ip_length"), h.ip_length.into());
        assert_eq!(got.get("protocol"), h.protocol.into());
        assert_eq!(got.get("v6") == 1, h.v6);
        assert_eq!((got.get("src"), got.get("dst")), (h.src, h.dst));
        assert_eq!(
            (got.get("sport"), got.get("dport")),
            (h.sport.into(), h.dport.into())
        );
        assert_eq!(got.get("traffic_class"), h.traffic_class.into());
        let at = |i: usize| u128::from(frame[i]) << 8 | u128::from(frame[i + 1]);
        assert_eq!(
            got.get("ip_checksum"),
            if h.v6 { 0 } else { at(h.l3() + 10) }
        );
        assert_eq!(got.get("l4_checksum"), h.l4_checksum().map_or(0, at));
        assert_eq!(got.get("opening") == 1, h.opens(), "{what}");
        assert_eq!(got.get("answering") == 1, h.answers(), "{what}");
        if !h.later_fragment {
            assert_eq!(got.get("l4_offset"), (h.l4 as usize - h.l3()) as u128);
        }
    }

    const TABLES: [Table; 15] = [
        Table::Seed,
        Table::Interface,
        Table::Source,
        Table::Address,
        Table::PortDstServer,
        Table::PortDstClient,
        Table::PortSrcServer,
        Table::PortSrcClient,
        Table::Range,
        Table::Class,
        Table::Step,
        Table::Decap,
        Table::Dscp,
        Table::Acl,
        Table::Rule,
    ];

    #[test]
    fn packets_at_random_get_the_verdict_of_the_image_engine() {
        let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
        let (mut tagged, mut opening, mut answering) = (0, 0, 0);
        for seed in 1..=12 {
            let mut random = Random::new(seed);
            let world = World::new(&mut random);
            let image = match seed % 4 {
                1 => random_image_on(&TURNS, &mut random, &world),
                n => random_image(&mut random, &world, n == 0),
            };
            let apart = image.geometry.clocks_per_header;
            let circuit = path(image.geometry).unwrap().circuit;
            let circuit = circuit.spaced(apart).unwrap();
            let tables = seqnic_model::Tables::load(&image).unwrap();
            let mut sim = Sim::new(&circuit);
            sim.reset();
            load(&mut sim, &image, &TABLES);
            let mut frames = vec![];
            let mut answers = 0;
            let mut next = 0;
            let mut feeder = Feeder::new(&circuit, "in_");
            for clock in 0..5000 {
                let send = clock >= next && clock < 4900 && !random.one_in(5);
                let mut fields = vec![];
                if apart > 1 {
                    sim.set(SPACED_VALID, send.into());
                }
                sim.set("in_epoch", 0);
                if send {
                    let (frame, port) = (world.frame(&mut random), random.below(4) as u8);
                    let tag = frames.len() as u64;
                    fields = header(image.geometry, &frame, port.into(), tag);
                    if apart > 1 {
                        let tunnel = "header_parser.tunnel";
                        keep(&mut sim, image.geometry, tunnel, tag as u32 & 1, &frame);
                    }
                    frames.push((frame, port));
                    next = clock + apart;
                }
                fields.push(("valid", Bits::new(1, send.into())));
                feeder.clock(&mut sim, fields);
                if sim.get("out_valid") == 1 {
                    let (frame, port) = &frames[answers];
                    let h = parse(frame, tables.decap(*port));
                    let verdict = decide(&tables, *port, &h, &mut ());
                    let got = sim.get_bits("out_verdict");
                    compare(
                        &Read(&got, &VERDICT),
                        frame,
                        *port,
                        answers as u64,
                        &h,
                        &verdict,
                    );
                    *reasons.entry(verdict.reason).or_default() += 1;
                    tagged += u32::from(verdict.reason == Reason::Directed && h.taken.is_some());
                    opening += u32::from(h.opens());
                    answering += u32::from(h.answers());
                    answers += 1;
                }
                sim.step();
            }
            assert_eq!(answers, frames.len());
        }
        assert!(tagged > 10, "{tagged}");
        assert!(opening > 100 && answering > 100, "{opening} {answering}");
        for reason in Reason::ALL {
            // Of the reasons found behind the header path none, nor those of stages that are not there yet.
            let expected = *reason <= Reason::Denied;
            assert_eq!(
                reasons.get(reason).is_some_and(|n| *n >= 10),
                expected,
                "{reasons:?}"
            );
        }
    }

    #[test]
    fn every_table_is_read_back() {
        read_back(&SMALL);
        read_back(&TURNS);
    }

    fn read_back(g: &'static Geometry) {
        let mut random = Random::new(3);
        let world = World::new(&mut random);
        let image: Image = random_image_on(g, &mut random, &world);
        let circuit = path(g).unwrap().circuit.spaced(g.clocks_per_header);
        let mut sim = Sim::new(&circuit.unwrap());
        sim.reset();
        load(&mut sim, &image, &TABLES);
        for table in TABLES {
            for number in 0..g.rows(table) {
                // Seeds of tables which have none are not kept.
                let seedless = Table::from_number((number / 4) as u8)
                    .is_none_or(|t| g.hash(t).is_none_or(|h| number % 4 >= h.ways));
                if table == Table::Seed && seedless {
                    continue;
                }
                let row = image.table(table).row(number);
                assert_eq!(
                    read_row(&mut sim, g, table, number),
                    row,
                    "{table:?} {number}"
                );
            }
        }
    }
}
