//! Table images at random for the tests of the header path: small, full, and sound enough for the
//! software engine to load.

use seqnic_gen::Sim;
use seqnic_image::Image;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::hash;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::*;

use super::packets::{World, sum};
use crate::testing::{DEEP, Random, SMALL, bits, write_row};

static GEOMETRIES: [Geometry; 2] = [SMALL, DEEP];

type Fields<'a> = &'a [(&'a str, u128)];

fn record(layout: &Layout, fields: Fields) -> Row {
    let mut row = Row::zero(layout.width());
    for (name, value) in fields {
        row.set_field(layout, 0, name, *value);
    }
    row
}

/// An image being filled, and how many keys found no slot.
pub struct Filler {
    pub image: Image,
    pub full: u32,
}

impl Filler {
    pub fn new(random: &mut Random, geometry: &'static Geometry) -> Filler {
        let mut image = Image::empty(geometry);
        for table in Table::ALL {
            for way in 0..geometry.hash(table).map_or(0, |h| h.ways) {
                let seed = Row::from_words(32, &[u64::from(random.word() as u32 | 1)]);
                image
                    .table_mut(Table::Seed)
                    .put(table as u32 * 4 + way, &seed);
            }
        }
        Filler { image, full: 0 }
    }

    /// Puts a key, unless it is there or has no slot.
    pub fn key(&mut self, table: Table, key: Fields, value: Fields) {
        let (size, (kl, vl)) = (
            self.image.geometry.hash(table).unwrap(),
            table.hash().unwrap(),
        );
        let (key, value) = (record(kl, key), record(vl, value));
        let slots = HashSlot { key: kl, value: vl };
        let digest = hash::digest(key.bytes());
        let mut free = None;
        for way in 0..size.ways {
            let seed = self
                .image
                .table(Table::Seed)
                .row(table as u32 * 4 + way)
                .get(0, 32) as u32;
            let number = way * size.rows + hash::bucket(digest, seed, size.rows);
            let row = self.image.table(table).row(number);
            for slot in 0..size.slots {
                match slots.read(&row, slot, 0) {
                    Some((k, _)) if k == key => return,
                    Some(_) => {}
                    None => free = free.or(Some((number, slot))),
                }
            }
        }
        match free {
            Some((number, slot)) => {
                let mut row = self.image.table(table).row(number);
                slots.write(&mut row, slot, &key, &value);
                self.image.table_mut(table).put(number, &row);
            }
            None => self.full += 1,
        }
    }

    pub fn direct(&mut self, table: Table, number: u32, layout: &Layout, fields: Fields) {
        for version in 0..table.versions() {
            let row = number * table.versions() + version;
            self.image
                .table_mut(table)
                .put(row, &record(layout, fields));
        }
    }
}

fn mac(bytes: [u8; 6]) -> u128 {
    bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b))
}

/// An address family's share of every numbered thing: the first half is IPv4's.
#[derive(Clone, Copy)]
struct Share {
    v6: bool,
}

impl Share {
    fn of(self, random: &mut Random, all: u64) -> u128 {
        let half = all / 2;
        // 0 means "none" to scopes and classes.
        u128::from((1 + random.below(half - 1)) + if self.v6 { half } else { 0 })
    }
}

/// Everything at random, such that most packets of `world` find much; of geometry [`DEEP`] or
/// [`SMALL`], with the numbers of the latter.
pub fn random_image(random: &mut Random, world: &World, deep: bool) -> Image {
    random_image_on(&GEOMETRIES[usize::from(deep)], random, world)
}

/// The same for any geometry that has as many rows.
pub fn random_image_on(geometry: &'static Geometry, random: &mut Random, world: &World) -> Image {
    let mut f = Filler::new(random, geometry);
    for port in 0..4 {
        for _ in 0..8 {
            let inner = random.pick(&world.vids);
            let key = [
                ("port", port),
                ("vid0", random.pick(&world.vids).into()),
                ("vid1", random.pick(&[0, 0, inner]).into()),
            ];
            let value = [
                ("interface", random.below(16).into()),
                ("segment", random.below(3).into()),
                ("mac", mac(random.pick(&world.macs))),
                ("promiscuous", random.pick(&[0, 1, 1])),
                ("tracking", random.pick(&[0, 0, 1])),
                ("accepts", random.pick(&[0, 0x7f, 0x7c, 0x7c, 0x7c, 0x03])),
            ];
            f.key(Table::Interface, &key, &value);
        }
    }
    for _ in 0..14 {
        let key = [
            ("segment", random.below(3).into()),
            ("mac", mac(random.pick(&world.macs))),
        ];
        f.key(
            Table::Source,
            &key,
            &[("attachment", random.below(16).into())],
        );
    }
    for port in 0..3 {
        decap(random, world, port, &mut f);
    }
    for number in 0..SMALL.encap_rows {
        encap(random, number, &mut f);
    }
    for v6 in [false, true] {
        family(random, world, Share { v6 }, &mut f);
    }
    rules(random, world, &mut f);
    f.image
}

/// What a port takes off: mostly everything.
fn decap(random: &mut Random, world: &World, port: u32, f: &mut Filler) {
    let some = u128::from(random.below(0x80));
    let fields = [
        ("accepts", random.pick(&[0x7f, 0x7f, 0x7f, some])),
        ("v4_valid", random.pick(&[0, 1, 1, 1])),
        ("v4", u32::from_be_bytes(world.tunnel_v4).into()),
        ("v6_valid", random.pick(&[0, 1, 1, 1])),
        ("v6", u128::from_be_bytes(world.tunnel_v6)),
    ];
    f.direct(Table::Decap, port, &DECAP_ROW, &fields);
}

/// Masks, and a rule in every slot: few enough rows that each meets many packets.
fn rules(random: &mut Random, world: &World, f: &mut Filler) {
    for number in 0..SMALL.acl_rows {
        let mut row = Row::zero(SMALL.row_bits(Table::Acl));
        for bank in 0..SMALL.rule_banks {
            let mask = [
                ("client", random.below(33).into()),
                ("server", random.below(33).into()),
                ("client_port", random.below(5).into()),
                ("port", random.below(5).into()),
                ("protocol", random.below(2).into()),
                ("arrival", random.below(2).into()),
            ];
            let width = ACL_SLOT.width();
            let mask = record(&ACL_SLOT, &mask).get(0, width);
            row.set(bank * width, width, mask);
        }
        f.image.table_mut(Table::Acl).put(number, &row);
    }
    for number in 0..SMALL.rules {
        let fields = [
            ("valid", random.pick(&[0, 1])),
            ("attachment", random.below(16).into()),
        ];
        f.direct(Table::Policy, number, &POLICY_ROW, &fields);
    }
    for number in 0..f.image.geometry.rows(Table::Rule) {
        let mut row = Row::zero(SMALL.row_bits(Table::Rule));
        let long = random.one_in(3);
        for slot in 0..if long { 1 } else { RULE_SLOTS } {
            let rule = rule(random, world, long, &mut row);
            let width = RULE_SLOT.width();
            for lo in (0..width).step_by(64) {
                let bits = (width - lo).min(64);
                row.set(slot * width + lo, bits, rule.get(lo, bits));
            }
        }
        f.image.table_mut(Table::Rule).put(number, &row);
    }
}

/// A rule that holds some packets of `world`; the rest of a long one goes into `row`.
fn rule(random: &mut Random, world: &World, long: bool, row: &mut Row) -> Row {
    let v6 = long || random.one_in(2);
    let mut address = || match v6 {
        true => u128::from_be_bytes(random.pick(&world.v6)),
        false => u128::from(u32::from_be_bytes(random.pick(&world.v4))) << 96,
    };
    let (client, server) = (address(), address());
    let kind = match (long, v6) {
        (true, _) => rule_kind::V6_LONG,
        (false, true) => random.pick(&[rule_kind::V6, rule_kind::V6, rule_kind::ANY]),
        (false, false) => random.pick(&[rule_kind::V4, rule_kind::V4, rule_kind::ANY]),
    };
    let bits = |random: &mut Random| random.pick(&[0, 0, 7, 16, 32]);
    let (mut client_bits, mut server_bits) = (bits(random), bits(random));
    if long {
        let mut rest = |side: &str, address: u128, first: &mut u128| {
            let more = random.pick(&[0, 0, 32, 90, 96]);
            if more > 0 {
                *first = 32;
            }
            let base = RULE_SLOT.width();
            let address = address & ((1 << 96) - 1);
            row.set_field(&RULE_REST, base, side, address);
            row.set_field(&RULE_REST, base, &format!("{side}_bits"), more);
        };
        rest("client", client, &mut client_bits);
        rest("server", server, &mut server_bits);
    }
    let mut ports = || {
        let (a, b) = (random.pick(&world.ports), random.pick(&world.ports));
        let all = (0, 65535);
        random.pick(&[(a.min(b).into(), a.max(b).into()), all, all, (0, 65534)])
    };
    let (client_port, port): ((u128, u128), (u128, u128)) = (ports(), ports());
    let mask = random.pick(&[0, 0, 0, 2, 0x12]);
    record(
        &RULE_SLOT,
        &[
            ("epochs", random.pick(&[1, 3, 3, 3, 2, 0])),
            ("kind", kind.into()),
            ("client", client >> 96),
            ("client_bits", client_bits),
            ("server", server >> 96),
            ("server_bits", server_bits),
            ("any_protocol", random.pick(&[0, 1, 1])),
            ("protocol", random.pick(&[6, 6, 17, 47])),
            ("client_port_first", client_port.0),
            ("client_port_last", client_port.1),
            ("port_first", port.0),
            ("port_last", port.1),
            ("flags", u128::from(random.word() as u8) & mask),
            ("flags_mask", mask),
            ("size_first", random.pick(&[0, 0, 0, 60])),
            ("size_last", random.pick(&[100, 0x3fff, 0x3fff, 0x3fff])),
            ("forward", random.pick(&[0, 1, 1, 1])),
            ("back", random.pick(&[0, 1, 1, 1])),
            ("any_arrival", random.pick(&[0, 1, 1, 1])),
            ("arrival", random.below(16).into()),
            ("set", random.below(4).into()),
            ("order", random.below(6).into()),
            ("rule", random.below(SMALL.rules.into()).into()),
            ("permit", random.below(2).into()),
        ],
    )
}

fn encap(random: &mut Random, number: u32, f: &mut Filler) {
    let v6 = random.one_in(2);
    let mut address = || match v6 {
        true => u128::from(random.word()) << 64 | u128::from(random.word()),
        false => random.word() as u32 as u128,
    };
    let (src, dst) = (address(), address());
    let mut constant = vec![0x45, 0, 0x40, 0, 0x40, 0];
    constant.extend((src as u32).to_be_bytes());
    constant.extend((dst as u32).to_be_bytes());
    let mut bits = |n: u32| u128::from(random.word() >> (64 - n));
    let fields = [
        ("v6", v6.into()),
        ("src", src),
        ("dst", dst),
        ("sum", if v6 { 0 } else { sum(&constant).into() }),
        ("vlan", bits(12)),
        ("mpls", bits(20)),
        ("vni", bits(24)),
        ("gre", bits(32)),
        ("spi", bits(24)),
    ];
    f.direct(Table::Encap, number, &ENCAP_ROW, &fields);
}

fn family(random: &mut Random, world: &World, share: Share, f: &mut Filler) {
    let v6 = u128::from(share.v6);
    let addresses: Vec<u128> = match share.v6 {
        false => world
            .v4
            .iter()
            .map(|a| u32::from_be_bytes(*a).into())
            .collect(),
        true => world.v6.iter().map(|a| u128::from_be_bytes(*a)).collect(),
    };
    for address in &addresses[..addresses.len() - 1] {
        let scope = share.of(random, 8);
        let scope = random.pick(&[0, scope, scope]);
        let value = [
            ("scope", scope),
            ("range_valid", random.pick(&[0, 1])),
            ("range", share.of(random, 8)),
            ("neighbour_valid", random.pick(&[0, 1])),
            ("neighbour", share.of(random, 16)),
            ("local", random.pick(&[0, 0, 0, 1])),
            ("acl", random.below(SMALL.acl_rows.into()).into()),
            ("salted", random.below(2).into()),
        ];
        f.key(Table::Address, &[("v6", v6), ("address", *address)], &value);
    }
    for table in Table::PORTS {
        for _ in 0..24 {
            let key = [
                ("scope", share.of(random, 8)),
                ("protocol", random.pick(&[6, 6, 17, 17, 132, 47, 1, 58])),
                ("port", random.pick(&world.ports).into()),
            ];
            f.key(table, &key, &[("class", share.of(random, 32))]);
        }
    }
    let half = |n: u32| if share.v6 { n / 2..n } else { 0..n / 2 };
    for number in half(SMALL.range_rows) {
        let mut row = Row::zero(SMALL.row_bits(Table::Range));
        for slot in 0..RANGE_SLOTS {
            let (a, b) = (random.pick(&world.ports), random.pick(&world.ports));
            let (first, last) =
                random.pick(&[(a.min(b), a.max(b)), (a.min(b), a.max(b)), (0, 65535)]);
            let fields = record(
                &RANGE_SLOT,
                &[
                    ("valid", random.pick(&[0, 1])),
                    ("role", random.below(4).into()),
                    ("any_protocol", random.pick(&[0, 0, 1])),
                    ("protocol", random.pick(&[6, 17, 47])),
                    ("first", first.into()),
                    ("last", last.into()),
                    ("class", share.of(random, 32)),
                ],
            );
            let width = RANGE_SLOT.width();
            row.set(slot * width, width, fields.get(0, width));
        }
        f.image.table_mut(Table::Range).put(number, &row);
    }
    // The last copy's row must be in the family's share too.
    let action = |random: &mut Random| u128::from(random.below(28)) + 32 * v6;
    for number in half(SMALL.class_rows) {
        let fields = [
            ("forward_action", action(random)),
            ("forward_copies", random.below(4).into()),
            ("return_action", action(random)),
            ("return_copies", random.below(4).into()),
            ("set", random.below(4).into()),
            ("permit", random.below(2).into()),
            ("rule", random.below(SMALL.rules.into()).into()),
        ];
        f.direct(Table::Class, number, &CLASS_ROW, &fields);
        for _ in 0..16 {
            let sender = position(position_kind::ATTACHMENT, random.below(16) as u32);
            let segment = position(position_kind::SEGMENT, random.below(3) as u32);
            let tag = u32::from(random.pick(&world.numbers));
            let tags = [
                position(position_kind::DSCP, random.below(16) as u32 * 4 + 3),
                position(position_kind::VLAN, random.pick(&world.vids).into()),
                position(position_kind::MPLS, tag),
                position(position_kind::NSH, tag & 0xff),
                position(position_kind::VXLAN, tag),
                position(position_kind::GRE, tag),
            ];
            let unknown = position(position_kind::UNKNOWN, 0);
            let tag = random.pick(&tags);
            let kinds = [unknown, segment, sender, sender, tag, tag, tag];
            let key = [
                ("class", number.into()),
                ("direction", random.below(2).into()),
                ("position", random.pick(&kinds).into()),
            ];
            let value = [
                ("action", action(random)),
                ("copies", random.below(4).into()),
                ("first", random.below(2).into()),
            ];
            f.key(Table::Step, &key, &value);
        }
    }
    for number in half(SMALL.action_rows) {
        let attachment = share.of(random, 16);
        let fields = [
            ("attachment", attachment),
            (
                "pool",
                if attachment % 8 < 5 {
                    random.pick(&[0, 0, 1, 2])
                } else {
                    0
                },
            ),
            ("route", random.pick(&[0, 1])),
            ("nat", random.pick(&[0, 1])),
            ("rewrite_valid", random.pick(&[0, 1])),
            ("rewrite", share.of(random, 16)),
            ("port_field", random.pick(&[0, 0, 1, 2])),
            ("port_add", random.pick(&[0, 1, 0xffff, 8000])),
            ("dscp_valid", random.pick(&[0, 1])),
            ("dscp", random.below(64).into()),
            ("tag_kind", random.pick(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8])),
            ("tag", random.below(256).into()),
        ];
        f.direct(Table::Action, number, &ACTION_ROW, &fields);
    }
    for number in half(16) {
        let address = random.pick(&addresses);
        let fields = [
            ("valid", 1),
            (
                "state",
                if random.one_in(8) {
                    1 + random.below(3)
                } else {
                    0
                }
                .into(),
            ),
            ("port", random.below(4).into()),
            ("interface", random.below(16).into()),
            ("tags", random.below(3).into()),
            ("vid0", random.below(4096).into()),
            ("vid1", random.below(4096).into()),
            ("dst_mac", u128::from(random.below(1 << 48))),
            ("src_mac", u128::from(random.below(1 << 48))),
            ("v6", v6),
            ("address", address),
            ("mtu", random.pick(&[0, 0, 0, 60, 100, 9000])),
            ("encap", random.below(SMALL.encap_rows.into()).into()),
            (
                "comes_from",
                random.below(SMALL.attachment_rows.into()).into(),
            ),
            ("counts", random.below(SMALL.attachment_rows.into()).into()),
        ];
        f.direct(Table::Attachment, number, &ATTACHMENT_ROW, &fields);
        let address = random.pick(&[address, 0]);
        f.direct(
            Table::Rewrite,
            number,
            &REWRITE_ROW,
            &[("v6", v6), ("address", address)],
        );
    }
}

/// Writes every row of `tables` in use over the configuration bus.
pub fn load(sim: &mut Sim, image: &Image, tables: &[Table]) {
    for table in tables {
        for (number, _) in image.table(*table).used() {
            write_row(sim, *table, number, &image.table(*table).row(number));
        }
    }
    // The last row is written a clock after it was told.
    sim.step();
}

/// Fields of a record by name, as a test reads them.
pub struct Read<'a>(pub &'a seqnic_gen::Bits, pub &'a Layout);

impl Read<'_> {
    pub fn get(&self, name: &str) -> u128 {
        let (lo, width) = self.1.at(name);
        self.0.slice(lo, width).low_u128()
    }

    /// A field with its valid bit.
    pub fn option(&self, name: &str) -> Option<u128> {
        (self.get(&format!("{name}_valid")) == 1).then(|| self.get(name))
    }
}

/// The bits of a record made of some fields, the others zero.
pub fn packed(layout: &Layout, fields: Fields) -> seqnic_gen::Bits {
    bits(&record(layout, fields))
}
