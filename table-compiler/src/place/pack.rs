//! Model -> image: rows become bits, keys get their places.

use super::rows::ValueWords;
use super::{Unplaced, rows};
use crate::definition::Definition;
use crate::diagnostic::Diagnostic;
use crate::lower::does_not_place;
use crate::lower::model::{Actions, Model, SetRow};
use seqnic_image::{Image, TableRows};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::hasher::KeyWords;
use seqnic_spec::layout::Layout;
use seqnic_spec::tables::{
    ACTION_ROW, ADDRESS_KEY, ADDRESS_VALUE, ATTACHMENT_ROW, CLASS_ROW, DECAP_ROW, DSCP_ROW,
    ENCAP_ROW, HOST_LIMIT_ROW, INTERFACE_KEY, INTERFACE_VALUE, METER_ROW, PORT_KEY, PORT_VALUE,
    QUEUE_ROW, RANGE_SLOT, REWRITE_ROW, SEED_ROW, SOURCE_KEY, SOURCE_VALUE, STEP_KEY, STEP_VALUE,
    Table,
};
use seqnic_spec::wire;
use std::net::IpAddr;

pub(crate) type Key = KeyWords;
pub(crate) type Value = ValueWords;

/// Lowest bit and width of a field.
type At = (u32, u32);

/// Sets a field of a record that starts at bit `base`. The model's numbers fit their fields:
/// `lower::fit` compared them with the geometry, and `Geometry::check` the geometry with the fields.
fn put(words: &mut [u64], base: u32, (lo, width): At, value: u128) {
    debug_assert!(
        width == 128 || value >> width == 0,
        "{value:#x} in {width} bits"
    );
    let mut at = base + lo;
    let mut left = width;
    let mut value = value;
    while left > 0 {
        let shift = at % 64;
        let take = (64 - shift).min(left);
        let mask = u64::MAX >> (64 - take);
        words[(at / 64) as usize] |= (value as u64 & mask) << shift;
        value = value.checked_shr(take).unwrap_or(0);
        at += take;
        left -= take;
    }
}

/// Writes fields of one layout, looked up once.
pub(super) struct Writer<const N: usize> {
    fields: [At; N],
}

impl<const N: usize> Writer<N> {
    pub fn new(layout: &Layout, names: [&str; N]) -> Writer<N> {
        Writer {
            fields: names.map(|name| layout.at(name)),
        }
    }

    pub fn write(&self, words: &mut [u64], base: u32, values: [u128; N]) {
        for (field, value) in self.fields.iter().zip(values) {
            put(words, base, *field, value);
        }
    }

    fn row<const W: usize>(&self, values: [u128; N]) -> [u64; W] {
        let mut words = [0; W];
        self.write(&mut words, 0, values);
        words
    }
}

fn address_bits(address: IpAddr) -> [u128; 2] {
    match address {
        IpAddr::V4(a) => [0, u128::from(a.to_bits())],
        IpAddr::V6(a) => [1, a.to_bits()],
    }
}

/// Keys and values of one hash table.
pub(crate) struct Entries {
    pub keys: Vec<Key>,
    pub values: Vec<Value>,
}

impl Entries {
    fn of<T>(rows: &[T], entry: impl Fn(&T) -> (Key, Value)) -> Entries {
        let (keys, values) = rows.iter().map(entry).unzip();
        Entries { keys, values }
    }
}

/// The rows of a model, before its keys have places.
pub(crate) struct ModelRows {
    /// Keys and values of each hash table, by table number.
    pub keyed: Vec<Option<Entries>>,
    /// The direct tables; hash tables and seeds are empty.
    pub direct: Image,
}

impl ModelRows {
    /// Rows of a model that fits `geometry`.
    pub fn of(model: &Model, geometry: &'static Geometry) -> ModelRows {
        let mut direct = Image::empty(geometry);
        direct_tables(&mut direct, model);
        let keyed = Table::ALL.into_iter().map(|table| entries(model, table));
        ModelRows {
            keyed: keyed.collect(),
            direct,
        }
    }
}

/// Packs a model that fits its geometry.
///
/// # Errors
/// `does_not_fit` for every table whose keys found no places.
pub(crate) fn pack(
    definition: &Definition,
    model: Model,
    seed: u64,
) -> Result<Image, Vec<Diagnostic>> {
    let geometry = definition.geometry;
    let mut image = Image::empty(geometry);
    image.generation = definition.generation;
    let mut findings = Vec::new();
    for table in Table::ALL {
        let Some(entries) = entries(&model, table) else {
            continue;
        };
        if let Err(unplaced) = hash_table(&mut image, table, &entries, seed) {
            findings.push(does_not_place(
                definition,
                &model,
                table,
                unplaced.keys,
                unplaced.placed,
                unplaced.attempts,
            ));
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    direct_tables(&mut image, &model);
    image.names = model.names;
    Ok(image)
}

fn entries(model: &Model, table: Table) -> Option<Entries> {
    Some(match table {
        Table::Interface => {
            let key = Writer::new(&INTERFACE_KEY, ["port", "vid0", "vid1"]);
            let fields = [
                "interface",
                "segment",
                "mac",
                "promiscuous",
                "tracking",
                "accepts",
                "trust",
            ];
            let value = Writer::new(&INTERFACE_VALUE, fields);
            Entries::of(&model.interfaces, |r| {
                let [vid0, vid1] = r.vids.map(u128::from);
                (
                    key.row([r.port.into(), vid0, vid1]),
                    value.row([
                        r.interface.into(),
                        r.segment.into(),
                        r.mac.into(),
                        r.promiscuous.into(),
                        r.tracked_by_segment.into(),
                        r.accepts.into(),
                        r.trust.into(),
                    ]),
                )
            })
        }
        Table::Source => {
            let key = Writer::new(&SOURCE_KEY, ["segment", "mac"]);
            let value = Writer::new(&SOURCE_VALUE, ["attachment"]);
            Entries::of(&model.sources, |r| {
                (
                    key.row([r.segment.into(), r.mac.into()]),
                    value.row([r.attachment.into()]),
                )
            })
        }
        Table::Address => {
            let key = Writer::new(&ADDRESS_KEY, ["v6", "address"]);
            let fields = [
                "scope",
                "range_valid",
                "range",
                "neighbour_valid",
                "neighbour",
                "local",
                "acl",
                "salted",
            ];
            let value = Writer::new(&ADDRESS_VALUE, fields);
            Entries::of(&model.addresses, |r| {
                (
                    key.row(address_bits(r.address)),
                    value.row([
                        r.scope.into(),
                        r.range.is_some().into(),
                        r.range.unwrap_or(0).into(),
                        r.neighbour.is_some().into(),
                        r.neighbour.unwrap_or(0).into(),
                        r.local.into(),
                        r.acl.into(),
                        r.salted.into(),
                    ]),
                )
            })
        }
        Table::PortDstServer
        | Table::PortDstClient
        | Table::PortSrcServer
        | Table::PortSrcClient => {
            let key = Writer::new(&PORT_KEY, ["scope", "protocol", "port"]);
            let value = Writer::new(&PORT_VALUE, ["class"]);
            let question = Table::PORTS.iter().position(|t| *t == table)?;
            Entries::of(&model.ports[question], |r| {
                (
                    key.row([r.scope.into(), r.protocol.into(), r.port.into()]),
                    value.row([r.class.into()]),
                )
            })
        }
        Table::Step => {
            let key = Writer::new(&STEP_KEY, ["class", "direction", "position"]);
            let value = Writer::new(&STEP_VALUE, ["action", "copies", "first"]);
            Entries::of(&model.steps, |r| {
                let direction = r.direction.bit().into();
                (
                    key.row([r.class.into(), direction, r.position.into()]),
                    value.row([
                        r.actions.first.into(),
                        r.actions.copies.into(),
                        r.first.into(),
                    ]),
                )
            })
        }
        _ => return None,
    })
}

fn hash_table(
    image: &mut Image,
    table: Table,
    entries: &Entries,
    seed: u64,
) -> Result<(), Unplaced> {
    // Tables are seeded apart, so that one that needs other seeds does not move the others.
    let seed = seed.wrapping_add((table as u64) << 32);
    let built = rows::build(image.geometry, table, &entries.keys, &entries.values, seed)?;
    image.table_mut(table).words = built.words;
    let seeds = Writer::new(&SEED_ROW, ["seed"]);
    let rows = image.table_mut(Table::Seed);
    for (way, seed) in built.seeds.iter().enumerate() {
        let row: [u64; 1] = seeds.row([u128::from(*seed)]);
        put_row(rows, table as usize * 4 + way, &row);
    }
    Ok(())
}

pub(super) fn put_row(rows: &mut TableRows, row: usize, words: &[u64]) {
    let n = rows.words_per_row();
    let end = (row + 1) * n;
    if rows.words.len() < end {
        rows.words.resize(end, 0);
    }
    rows.words[row * n..end].copy_from_slice(&words[..n]);
}

/// Packs the rows of a direct table, each by `write` into words that are zero.
pub(super) fn direct<T>(
    image: &mut Image,
    table: Table,
    rows: &[T],
    write: impl Fn(&T, &mut [u64]),
) {
    let into = image.table_mut(table);
    let n = into.words_per_row();
    let versions = table.versions() as usize;
    into.words = vec![0; rows.len() * versions * n];
    for (row, words) in rows.iter().zip(into.words.chunks_exact_mut(n * versions)) {
        // Every epoch has the same.
        words
            .chunks_exact_mut(n)
            .for_each(|version| write(row, version));
    }
}

fn direct_tables(image: &mut Image, model: &Model) {
    let slot = Writer::new(
        &RANGE_SLOT,
        [
            "valid",
            "role",
            "any_protocol",
            "protocol",
            "first",
            "last",
            "class",
        ],
    );
    direct(image, Table::Range, &model.ranges, |slots, words| {
        for (at, s) in slots.iter().enumerate() {
            let base = at as u32 * RANGE_SLOT.width();
            let values = [
                1,
                s.role.into(),
                s.protocol.is_none().into(),
                s.protocol.unwrap_or(0).into(),
                s.first.into(),
                s.last.into(),
                s.class.into(),
            ];
            slot.write(words, base, values);
        }
    });
    let class = Writer::new(
        &CLASS_ROW,
        [
            "forward_action",
            "forward_copies",
            "return_action",
            "return_copies",
            "priority",
            "meter",
            "set",
            "permit",
            "rule",
        ],
    );
    direct(image, Table::Class, &model.classes, |row, words| {
        let [forward, back] = row.entry;
        let Actions { first, copies } = forward;
        let SetRow { set, permit, rule } = row.set;
        let values = [
            first,
            copies,
            back.first,
            back.copies,
            row.priority.into(),
            row.meter,
            set,
            permit.into(),
            rule,
        ];
        class.write(words, 0, values.map(u128::from));
    });
    let action = Writer::new(
        &ACTION_ROW,
        [
            "attachment",
            "pool",
            "route",
            "nat",
            "rewrite_valid",
            "rewrite",
            "port_field",
            "port_add",
            "dscp_valid",
            "dscp",
            "tag_kind",
            "tag",
        ],
    );
    direct(image, Table::Action, &model.actions, |row, words| {
        let values = [
            row.attachment.into(),
            row.pool.into(),
            row.route.into(),
            row.nat.into(),
            row.rewrite.is_some().into(),
            row.rewrite.unwrap_or(0).into(),
            row.port_field.into(),
            row.port_add.into(),
            row.dscp.is_some().into(),
            row.dscp.unwrap_or(0).into(),
            row.tag_kind.into(),
            row.tag.into(),
        ];
        action.write(words, 0, values);
    });
    let attachment = Writer::new(
        &ATTACHMENT_ROW,
        [
            "valid",
            "state",
            "port",
            "interface",
            "tags",
            "vid0",
            "vid1",
            "dst_mac",
            "src_mac",
            "v6",
            "address",
            "mtu",
            "encap",
            "comes_from",
            "counts",
        ],
    );
    direct(
        image,
        Table::Attachment,
        &model.attachments,
        |row, words| {
            let [v6, address] = row.address.map_or([0, 0], address_bits);
            let [vid0, vid1] = row.vids.map(u128::from);
            let values = [
                1,
                row.state.into(),
                row.port.into(),
                row.interface.into(),
                row.tags.into(),
                vid0,
                vid1,
                row.dst_mac.into(),
                row.src_mac.into(),
                v6,
                address,
                row.mtu.into(),
                row.encap.into(),
                row.comes_from.into(),
                row.counts.into(),
            ];
            attachment.write(words, 0, values);
        },
    );
    let rewrite = Writer::new(&REWRITE_ROW, ["v6", "address"]);
    direct(image, Table::Rewrite, &model.rewrites, |row, words| {
        rewrite.write(words, 0, address_bits(*row));
    });
    tunnels(image, model);
    rates(image, model);
    super::acl::tables(image, model);
}

/// `meter`, `host_limit`, `dscp` and `queue`.
fn rates(image: &mut Image, model: &Model) {
    let meter = Writer::new(&METER_ROW, ["cost", "tolerance"]);
    direct(image, Table::Meter, &model.meters, |row, words| {
        meter.write(words, 0, [row.cost.into(), row.tolerance.into()]);
    });
    let fields = ["limited", "closed", "priority", "cost", "tolerance"];
    let limit = Writer::new(&HOST_LIMIT_ROW, fields);
    direct(image, Table::HostLimit, &model.host_limits, |row, words| {
        let values = [
            row.limited.into(),
            row.closed.into(),
            row.priority.into(),
            row.cost.into(),
            row.tolerance.into(),
        ];
        limit.write(words, 0, values);
    });
    let priority = Writer::new(&DSCP_ROW, ["priority"]);
    direct(image, Table::Dscp, &model.dscp, |row, words| {
        priority.write(words, 0, [(*row).into()]);
    });
    let queue = Writer::new(&QUEUE_ROW, ["strict", "weight"]);
    direct(image, Table::Queue, &model.queues, |row, words| {
        queue.write(words, 0, [row.strict.into(), row.weight.into()]);
    });
}

/// `decap` and `encap`.
fn tunnels(image: &mut Image, model: &Model) {
    let fields = ["accepts", "v4_valid", "v4", "v6_valid", "v6"];
    let decap = Writer::new(&DECAP_ROW, fields);
    direct(image, Table::Decap, &model.decaps, |row, words| {
        let v4 = row.v4.map_or(0, |a| a.to_bits().into());
        let values = [
            row.accepts.into(),
            row.v4.is_some().into(),
            v4,
            row.v6.is_some().into(),
            row.v6.map_or(0, |a| a.to_bits()),
        ];
        decap.write(words, 0, values);
    });
    let fields = [
        "v6", "src", "dst", "sum", "vlan", "mpls", "vni", "gre", "spi",
    ];
    let encap = Writer::new(&ENCAP_ROW, fields);
    direct(image, Table::Encap, &model.encaps, |row, words| {
        let Some(row) = row else { return };
        let ends = row.ends.map(|(src, dst)| [src, dst].map(address_bits));
        let [[v6, src], [_, dst]] = ends.unwrap_or_default();
        let bases = &row.bases;
        let values = [
            v6,
            src,
            dst,
            outer_sum(v6 == 1, src, dst).into(),
            bases.vlan.into(),
            bases.mpls.into(),
            bases.vni.into(),
            bases.gre.into(),
            bases.spi.into(),
        ];
        encap.write(words, 0, values);
    });
}

/// Ones' complement sum of the words of an outer IPv4 header that every packet has: version and IHL,
/// DF, TTL, addresses. 0 for IPv6.
fn outer_sum(v6: bool, src: u128, dst: u128) -> u16 {
    if v6 {
        return 0;
    }
    let ttl = u32::from(wire::TUNNEL_TTL) << 8;
    let ends = [src, dst].map(|a| (a as u32 >> 16) + (a as u32 & 0xffff));
    let sum = 0x4500 + 0x4000 + ttl + ends[0] + ends[1];
    let folded = (sum >> 16) + (sum & 0xffff);
    ((folded >> 16) + (folded & 0xffff)) as u16
}

/// Whether a geometry's keys and values fit the words they are packed in.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_land_where_the_layout_says() {
        let fields = ["valid", "dst_mac", "address"];
        let writer = Writer::new(&ATTACHMENT_ROW, fields);
        let address = 0xdead_beef_0123_4567_89ab_cdef_0f1e_2d3c;
        let words: [u64; 5] = writer.row([1, 0x0201_0304_0506, address]);
        let row = seqnic_spec::layout::Row::from_words(ATTACHMENT_ROW.width(), &words);
        assert_eq!(row.field(&ATTACHMENT_ROW, 0, "valid"), 1);
        assert_eq!(row.field(&ATTACHMENT_ROW, 0, "dst_mac"), 0x0201_0304_0506);
        assert_eq!(row.field(&ATTACHMENT_ROW, 0, "address"), address);
        assert_eq!(row.field(&ATTACHMENT_ROW, 0, "src_mac"), 0);
    }
}
