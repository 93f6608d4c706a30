//! Small images built by hand, in the geometry `edge`.

use seqnic_image::Image;
use seqnic_image::names::{ActionName, ClassName, Direction, InterfaceName};
use seqnic_spec::geometry::EDGE;
use seqnic_spec::hash;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::*;
use std::net::IpAddr;

const SEEDS: [u32; 4] = [0x9e37_79b9, 0x85eb_ca6b, 0xc2b2_ae35, 0x27d4_eb2f];

pub type Fields<'a> = &'a [(&'a str, u128)];

pub fn record(layout: &Layout, fields: Fields) -> Row {
    let mut row = Row::zero(layout.width());
    for (name, value) in fields {
        row.set_field(layout, 0, name, *value);
    }
    row
}

/// Seeds set, everything else empty.
pub fn empty() -> Image {
    let mut image = Image::empty(&EDGE);
    for table in Table::ALL.into_iter().filter(|t| t.hash().is_some()) {
        for (way, seed) in SEEDS.iter().enumerate() {
            let row = record(&SEED_ROW, &[("seed", u128::from(*seed))]);
            image
                .table_mut(Table::Seed)
                .put(table as u32 * 4 + way as u32, &row);
        }
    }
    image
}

/// Puts a key into the first free slot of its buckets; gives its row and slot.
pub fn put_hash(image: &mut Image, table: Table, key: Fields, value: Fields) -> (u32, u32) {
    let (key_layout, value_layout) = table.hash().unwrap();
    let slot = HashSlot {
        key: key_layout,
        value: value_layout,
    };
    let (key, value) = (record(key_layout, key), record(value_layout, value));
    let size = EDGE.hash(table).unwrap();
    let digest = hash::digest(key.bytes());
    for (way, seed) in SEEDS.iter().enumerate() {
        let number = way as u32 * size.rows + hash::bucket(digest, *seed, size.rows);
        let mut row = image.table(table).row(number);
        for s in 0..size.slots {
            if slot.read(&row, s, 0).is_none() {
                slot.write(&mut row, s, &key, &value);
                image.table_mut(table).put(number, &row);
                return (number, s);
            }
        }
    }
    panic!("no room in `{}`", table.name());
}

pub fn put_row(image: &mut Image, table: Table, row: u32, fields: Fields) {
    let Kind::Direct { row: layout } = table.kind() else {
        panic!("`{}` is not direct", table.name())
    };
    for version in 0..table.versions() {
        let row = row * table.versions() + version;
        image.table_mut(table).put(row, &record(layout, fields));
    }
}

/// Sets slot `slot` of `range` row `row`.
pub fn put_range(image: &mut Image, row: u32, slot: u32, fields: Fields) {
    let mut bits = image.table(Table::Range).row(row);
    let base = slot * RANGE_SLOT.width();
    bits.set_field(&RANGE_SLOT, base, "valid", 1);
    for (name, value) in fields {
        bits.set_field(&RANGE_SLOT, base, name, *value);
    }
    image.table_mut(Table::Range).put(row, &bits);
}

pub fn number(address: &str) -> (u128, u128) {
    match address.parse().unwrap() {
        IpAddr::V4(a) => (0, u128::from(u32::from(a))),
        IpAddr::V6(a) => (1, u128::from(a)),
    }
}

pub fn put_address(image: &mut Image, address: &str, value: Fields) {
    let (v6, address) = number(address);
    let key = [("v6", v6), ("address", address)];
    put_hash(image, Table::Address, &key, value);
}

pub fn put_step(image: &mut Image, class: u128, direction: u128, position: u32, value: Fields) {
    let position = u128::from(position);
    let key = [
        ("class", class),
        ("direction", direction),
        ("position", position),
    ];
    put_hash(image, Table::Step, &key, value);
}

/// Changes the value of a step there is.
pub fn set_step(image: &mut Image, class: u128, direction: u128, position: u32, value: Fields) {
    let (key_layout, value_layout) = Table::Step.hash().unwrap();
    let slot = HashSlot {
        key: key_layout,
        value: value_layout,
    };
    let position = u128::from(position);
    let key = [
        ("class", class),
        ("direction", direction),
        ("position", position),
    ];
    let (key, value) = (record(key_layout, &key), record(value_layout, value));
    let rows = image.table(Table::Step).rows();
    for number in 0..rows {
        let mut row = image.table(Table::Step).row(number);
        for s in 0..EDGE.hash(Table::Step).unwrap().slots {
            if slot
                .read(&row, s, 0)
                .is_some_and(|(found, _)| found.words() == key.words())
            {
                slot.write(&mut row, s, &key, &value);
                image.table_mut(Table::Step).put(number, &row);
                return;
            }
        }
    }
    panic!("there is no such step");
}

pub fn from(attachment: u32) -> u32 {
    position(position_kind::ATTACHMENT, attachment)
}

/// Numbers of the sample.
pub const ROUTER: u16 = 0;
pub const SERVER: u16 = 1;
pub const IDS: u16 = 2;
pub const SERVER6: u16 = 3;

pub const ROUTER_MAC: u64 = 0x0203_0000_0003;
pub const SERVER_MAC: u64 = 0x0204_0000_0004;
pub const IDS_MAC: u64 = 0x0206_0000_0006;
pub const I0_MAC: u64 = 0x0201_0000_0001;
pub const I1_MAC: u64 = 0x0202_0000_0002;

pub const SERVICE: &str = "203.0.113.14";
pub const SERVER_ADDRESS: &str = "10.0.0.13";
pub const SERVICE6: &str = "2001:db8:1::14";
pub const SERVER6_ADDRESS: &str = "fd00::13";
pub const ENGINE_ADDRESS: &str = "203.0.113.1";
pub const NEIGHBOUR_ADDRESS: &str = "192.0.2.9";
/// A client whose address is the key of a service on remote port 443.
pub const KEYED: &str = "192.0.2.77";

/// A NAT mode server behind `web` (tcp/80 and tcp/8000-8100, IPv4 and IPv6), with an IDS copy on
/// the way there; the router is the way out, with `route`. Interfaces: `i0` on port 0, untagged;
/// `i1` on port 1, VLAN 100, tracked by MAC; `i2` on port 2, VLANs 5.6, promiscuous, by segment.
///
/// Classes: 1 web IPv4, 2 web IPv6, 3 web on every protocol and port, 4 keyed by client.
pub fn sample() -> Image {
    let mut image = empty();
    let i = &mut image;
    interfaces(i);
    attachments(i);
    addresses(i);
    steps(i);
    image
}

fn interfaces(i: &mut Image) {
    for (n, (port, vid0, vid1, mac, promiscuous, tracking)) in [
        (0, 0, 0, I0_MAC, 0, 0),
        (1, 100, 0, I1_MAC, 0, 0),
        (2, 5, 6, 0x0207_0000_0007, 1, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let n = n as u128;
        put_hash(
            i,
            Table::Interface,
            &[("port", port), ("vid0", vid0), ("vid1", vid1)],
            &[
                ("interface", n),
                ("segment", n + 1),
                ("mac", u128::from(mac)),
                ("promiscuous", promiscuous),
                ("tracking", tracking),
            ],
        );
        i.names.interfaces.push(InterfaceName {
            name: format!("i{n}"),
            port: port as u8,
        });
    }
}

fn attachments(i: &mut Image) {
    let (v4, v6) = (number(SERVER_ADDRESS).1, number(SERVER6_ADDRESS).1);
    for (n, name, port, tags, vids, dst, src, family, address) in [
        (ROUTER, "router", 0, 0, (0, 0), ROUTER_MAC, I0_MAC, 0, 0),
        (SERVER, "server", 1, 1, (100, 0), SERVER_MAC, I1_MAC, 0, v4),
        (IDS, "ids", 2, 2, (5, 6), IDS_MAC, 0x0207_0000_0007, 0, 0),
        (SERVER6, "server", 1, 1, (100, 0), SERVER_MAC, I1_MAC, 1, v6),
    ] {
        put_row(
            i,
            Table::Attachment,
            n.into(),
            &[
                ("valid", 1),
                ("port", port),
                ("interface", port),
                ("tags", tags),
                ("vid0", vids.0),
                ("vid1", vids.1),
                ("dst_mac", u128::from(dst)),
                ("src_mac", u128::from(src)),
                ("v6", family),
                ("address", address),
                ("comes_from", n.into()),
                ("counts", n.into()),
            ],
        );
        i.names.attachments.push(name.to_string());
        i.names.roles.push(String::new());
    }
    for (segment, mac, attachment) in [
        (1, ROUTER_MAC, ROUTER),
        (2, SERVER_MAC, SERVER),
        (3, IDS_MAC, IDS),
    ] {
        put_hash(
            i,
            Table::Source,
            &[("segment", segment), ("mac", u128::from(mac))],
            &[("attachment", attachment.into())],
        );
    }
}

fn addresses(i: &mut Image) {
    put_address(
        i,
        SERVICE,
        &[("scope", 1), ("range_valid", 1), ("range", 5)],
    );
    put_address(
        i,
        SERVER_ADDRESS,
        &[("scope", 2), ("neighbour_valid", 1), ("neighbour", 1)],
    );
    put_address(i, SERVICE6, &[("scope", 3)]);
    put_address(i, SERVER6_ADDRESS, &[("scope", 4)]);
    put_address(i, ENGINE_ADDRESS, &[("local", 1)]);
    put_address(
        i,
        NEIGHBOUR_ADDRESS,
        &[("neighbour_valid", 1), ("neighbour", 2)],
    );
    put_address(i, KEYED, &[("scope", 5)]);
    for (table, scope, port, class) in [
        (Table::PortDstServer, 1, 80, 1),
        (Table::PortSrcServer, 2, 80, 1),
        (Table::PortDstServer, 3, 80, 2),
        (Table::PortSrcServer, 4, 80, 2),
        (Table::PortSrcClient, 5, 443, 4),
        (Table::PortDstClient, 5, 443, 4),
    ] {
        let key = [("scope", scope), ("protocol", 6), ("port", port)];
        put_hash(i, table, &key, &[("class", class)]);
    }
    let protocol = ("protocol", 6);
    put_range(
        i,
        5,
        2,
        &[
            ("role", 0),
            protocol,
            ("first", 8000),
            ("last", 8100),
            ("class", 1),
        ],
    );
}

fn steps(i: &mut Image) {
    let router = ("attachment", u128::from(ROUTER));
    // Row 1: to the server; row 2: the copy; row 3: out; 4 to 6 in IPv6; 7: plain, with DSCP.
    for (row, fields) in [
        (1, vec![("attachment", SERVER.into()), ("nat", 1)]),
        (2, vec![("attachment", IDS.into())]),
        (
            3,
            vec![router, ("route", 1), ("rewrite_valid", 1), ("rewrite", 7)],
        ),
        (4, vec![("attachment", SERVER6.into()), ("nat", 1)]),
        (5, vec![("attachment", IDS.into())]),
        (6, vec![router, ("rewrite_valid", 1), ("rewrite", 8)]),
        (7, vec![router, ("dscp_valid", 1), ("dscp", 46)]),
    ] {
        put_row(i, Table::Action, row, &fields);
    }
    for (row, address) in [(7, SERVICE), (8, SERVICE6)] {
        let (v6, address) = number(address);
        put_row(i, Table::Rewrite, row, &[("v6", v6), ("address", address)]);
    }
    put_row(
        i,
        Table::Class,
        1,
        &[("forward_action", 1), ("forward_copies", 2)],
    );
    put_row(
        i,
        Table::Class,
        2,
        &[("forward_action", 4), ("forward_copies", 2)],
    );
    put_row(
        i,
        Table::Class,
        3,
        &[("forward_action", 7), ("forward_copies", 1)],
    );
    let both = [
        ("forward_action", 7),
        ("forward_copies", 1),
        ("return_action", 7),
        ("return_copies", 1),
    ];
    put_row(i, Table::Class, 4, &both);
    put_step(
        i,
        1,
        1,
        from(SERVER.into()),
        &[("action", 3), ("copies", 1)],
    );
    put_step(
        i,
        2,
        1,
        from(SERVER.into()),
        &[("action", 6), ("copies", 1)],
    );
    // The IDS's segment is tracked as such; what comes from there has no step.
    put_step(i, 1, 0, position(position_kind::SEGMENT, 3), &[]);

    i.names.services = vec!["web".to_string(), "keyed".to_string()];
    i.names.labels = ["tcp/80", "any/any", "tcp/443"].map(String::from).to_vec();
    i.names.classes = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 2)]
        .map(|(service, label)| ClassName {
            service,
            label,
            place: 0,
        })
        .to_vec();
    let name = |class, direction, from, to: u16| {
        Some(ActionName {
            class,
            direction,
            from,
            to: to.into(),
        })
    };
    use Direction::{Forward, Return};
    let server = Some(u32::from(SERVER));
    i.names.actions = vec![
        None,
        name(1, Forward, None, SERVER),
        name(1, Forward, None, IDS),
        name(1, Return, server, ROUTER),
        name(2, Forward, None, SERVER6),
        name(2, Forward, None, IDS),
        name(2, Return, server, ROUTER),
        name(4, Forward, None, ROUTER),
    ];
}
