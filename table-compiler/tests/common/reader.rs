//! Follows a packet's headers through an image: tables and questions as `docs/semantics.md`
//! sections 2 to 4 have them, without bytes.

use seqnic_image::Image;
use seqnic_image::names::Direction;
use seqnic_spec::hash::{bucket, digest};
use seqnic_spec::layout::Row;
use seqnic_spec::tables::*;
use std::net::IpAddr;

/// Headers of a packet, where it arrived and who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    pub port: u8,
    pub vids: [u16; 2],
    pub mac: u64,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    pub sport: u16,
    pub dport: u16,
    pub fragment: bool,
}

impl Packet {
    /// `10.0.0.1:80 > 10.0.0.2:81`, TCP, untagged, from the device or host with MAC number `n`.
    pub fn tcp(port: u8, n: u8, text: &str) -> Packet {
        let (from, to) = text.split_once(" > ").unwrap();
        let end = |text: &str| {
            let (address, port) = text.rsplit_once(':').unwrap();
            let address = address.trim_matches(['[', ']']);
            (super::ip(address), port.parse::<u16>().unwrap())
        };
        let ((src, sport), (dst, dport)) = (end(from), end(to));
        Packet {
            port,
            vids: [0, 0],
            mac: super::mac(n).value(),
            src,
            dst,
            protocol: 6,
            sport,
            dport,
            fragment: false,
        }
    }
}

/// Value of a key in a hash table.
pub fn lookup(image: &Image, table: Table, fields: &[(&str, u128)]) -> Option<Row> {
    let (key_layout, value_layout) = table.hash().unwrap();
    let mut key = Row::zero(key_layout.width());
    for (name, value) in fields {
        key.set_field(key_layout, 0, name, *value);
    }
    let size = image.geometry.hash(table).unwrap();
    let digest = digest(key.bytes());
    let slot = HashSlot {
        key: key_layout,
        value: value_layout,
    };
    let mut found = Vec::new();
    for way in 0..size.ways {
        let seeds = image.table(Table::Seed);
        let seed = seeds.row(table as u32 * 4 + way).get(0, 32) as u32;
        assert_eq!(seed % 2, 1, "seeds are odd");
        let row = image
            .table(table)
            .row(way * size.rows + bucket(digest, seed, size.rows));
        for at in 0..size.slots {
            found.extend(
                slot.read(&row, at, image.epoch())
                    .filter(|(k, _)| *k == key)
                    .map(|(_, v)| v),
            );
        }
    }
    assert!(found.len() <= 1, "a key stands in one place");
    found.pop()
}

fn get(row: &Row, layout: &seqnic_spec::layout::Layout, name: &str) -> u128 {
    row.field(layout, 0, name)
}

fn address_key(address: IpAddr) -> Vec<(&'static str, u128)> {
    match address {
        IpAddr::V4(a) => vec![("v6", 0), ("address", a.to_bits().into())],
        IpAddr::V6(a) => vec![("v6", 1), ("address", a.to_bits())],
    }
}

fn class(image: &Image, packet: &Packet) -> Option<(u128, Direction)> {
    let (dst, src) = (packet.dst, packet.src);
    let questions = [
        (dst, packet.dport, Direction::Forward),
        (src, packet.sport, Direction::Return),
        (dst, packet.sport, Direction::Return),
        (src, packet.dport, Direction::Forward),
    ];
    for (role, (address, port, direction)) in questions.into_iter().enumerate() {
        let Some(known) = lookup(image, Table::Address, &address_key(address)) else {
            continue;
        };
        let scope = get(&known, &ADDRESS_VALUE, "scope");
        if scope == 0 {
            continue;
        }
        let key = [
            ("scope", scope),
            ("protocol", packet.protocol.into()),
            ("port", port.into()),
        ];
        if !packet.fragment
            && let Some(found) = lookup(image, Table::PORTS[role], &key)
        {
            return Some((get(&found, &PORT_VALUE, "class"), direction));
        }
        if get(&known, &ADDRESS_VALUE, "range_valid") == 0 {
            continue;
        }
        let row = get(&known, &ADDRESS_VALUE, "range") as u32;
        let row = image.table(Table::Range).row(row);
        for slot in 0..RANGE_SLOTS {
            let field = |name| row.field(&RANGE_SLOT, slot * RANGE_SLOT.width(), name);
            let (first, last) = (field("first"), field("last"));
            let ports = match packet.fragment {
                true => (first, last) == (0, 65535),
                false => (first..=last).contains(&port.into()),
            };
            let protocol =
                field("any_protocol") == 1 || field("protocol") == packet.protocol.into();
            if field("valid") == 1 && field("role") == role as u128 && protocol && ports {
                return Some((field("class"), direction));
            }
        }
    }
    None
}

/// What becomes of a packet, in words: `fw.inside>server nat sport=80`, one for each copy; the
/// name of the reason if it goes to the host.
pub fn walk(image: &Image, packet: Packet) -> Vec<String> {
    let interface = [
        ("port", packet.port.into()),
        ("vid0", packet.vids[0].into()),
        ("vid1", packet.vids[1].into()),
    ];
    let Some(interface) = lookup(image, Table::Interface, &interface) else {
        return vec!["no_interface".into()];
    };
    let segment = get(&interface, &INTERFACE_VALUE, "segment");
    let source = lookup(
        image,
        Table::Source,
        &[("segment", segment), ("mac", packet.mac.into())],
    );
    let sender = source.map(|s| get(&s, &SOURCE_VALUE, "attachment") as u32);
    let position = match (get(&interface, &INTERFACE_VALUE, "tracking"), sender) {
        (1, _) => position(position_kind::SEGMENT, segment as u32),
        (_, Some(sender)) => position(position_kind::ATTACHMENT, sender),
        (_, None) => position(position_kind::UNKNOWN, 0),
    };
    let Some((class, direction)) = class(image, &packet) else {
        let known = |a| lookup(image, Table::Address, &address_key(a));
        let flag = |a, name| known(a).map_or(0, |r| get(&r, &ADDRESS_VALUE, name));
        let scoped = flag(packet.dst, "scope") + flag(packet.src, "scope") != 0;
        let reason = match (flag(packet.dst, "local"), scoped, packet.fragment) {
            (1, _, _) => "local",
            (_, true, true) => "fragment",
            (_, true, false) => "no_port",
            _ => "no_service",
        };
        return vec![reason.into()];
    };
    let key = [
        ("class", class),
        ("direction", direction.bit().into()),
        ("position", position.into()),
    ];
    let (first, copies) = match lookup(image, Table::Step, &key) {
        Some(step) => (
            get(&step, &STEP_VALUE, "action"),
            get(&step, &STEP_VALUE, "copies"),
        ),
        None => {
            let row = image.table(Table::Class).row(class as u32);
            let field = |name: &str| get(&row, &CLASS_ROW, &format!("{}_{name}", direction.name()));
            (field("action"), field("copies"))
        }
    };
    if copies == 0 {
        return vec!["wrong_sender".into()];
    }
    (first..first + copies)
        .map(|row| action(image, &packet, row as u32))
        .collect()
}

fn action(image: &Image, packet: &Packet, number: u32) -> String {
    let row = image.table(Table::Action).row(number);
    let field = |name| get(&row, &ACTION_ROW, name);
    let names = &image.names;
    let name = names.actions[number as usize].expect("an action that is used has names");
    let from = name
        .from
        .map_or("client", |f| &names.attachments[f as usize]);
    let mut to = field("attachment");
    let mut words = String::new();
    if field("route") == 1 {
        words += " route";
        let neighbour = lookup(image, Table::Address, &address_key(packet.dst));
        if let Some(n) = neighbour.filter(|n| get(n, &ADDRESS_VALUE, "neighbour_valid") == 1) {
            to = get(&n, &ADDRESS_VALUE, "neighbour");
        }
    }
    let attachment = image
        .table(Table::Attachment)
        .row(image.row_of(Table::Attachment, to as u32));
    let at = |name| get(&attachment, &ATTACHMENT_ROW, name);
    assert_eq!(at("valid"), 1, "an action sends to an attachment in use");
    let address = |v6, value: u128| match v6 {
        1 => IpAddr::from(value.to_be_bytes()),
        _ => IpAddr::from((value as u32).to_be_bytes()),
    };
    if field("nat") == 1 {
        words += &format!(" dst={}", address(at("v6"), at("address")));
    }
    if field("rewrite_valid") == 1 {
        let row = image.table(Table::Rewrite).row(field("rewrite") as u32);
        let value = get(&row, &REWRITE_ROW, "address");
        words += &format!(" src={}", address(get(&row, &REWRITE_ROW, "v6"), value));
    }
    let add = field("port_add") as u16;
    match field("port_field") {
        0 => assert_eq!(add, 0),
        1 => words += &format!(" sport={}", packet.sport.wrapping_add(add)),
        _ => words += &format!(" dport={}", packet.dport.wrapping_add(add)),
    }
    if field("dscp_valid") == 1 {
        words += &format!(" dscp={}", field("dscp"));
    }
    // The box itself, by the last byte of its MAC: an alternate has its primary's name.
    let to_name = &names.attachments[to as usize];
    format!("{from}>{to_name}#{}{words}", at("dst_mac") as u8)
}
