//! One record at a time: bits of an image into the native types of [`crate::tables`], with every
//! number checked against the geometry.

use crate::acl::{Masks, Prefix, Rule};
use crate::encap::TagKind;
use crate::error::{LoadError, Place};
use crate::index::Stored;
use crate::keys::{Address, Key};
use crate::lookup::{HashTable, UsedSlot, seed_row};
use crate::tables::{
    Action, Attachment, Class, Decap, Encap, HostLimit, Interface, Known, Meter, PortEdit, Range,
    RangeRow, Step,
};
use seqnic_image::{Image, TableRows};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::rules::{ADDRESS_NIBBLES, Mask, PORT_NIBBLES};
use seqnic_spec::tables::{
    ACL_SLOT, ACTION_ROW, ADDRESS_VALUE, ATTACHMENT_ROW, CLASS_ROW, DECAP_ROW, ENCAP_ROW, Epochs,
    HOST_LIMIT_ROW, HashSlot, INTERFACE_VALUE, METER_ROW, POLICY_ROW, RANGE_SLOT, RANGE_SLOTS,
    RULE_REST, RULE_SLOT, RULE_SLOTS, SEED_ROW, STEP_VALUE, Table, rule_kind, tag_kind,
};
use seqnic_spec::tables::{attachment_state, width};

/// One record of an image: its place and bits, and where in the bits it starts.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    place: Place,
    bits: &'a Row,
    base: u32,
}

impl Record<'_> {
    fn get(&self, layout: &Layout, name: &str) -> u128 {
        self.bits.field(layout, self.base, name)
    }

    fn flag(&self, layout: &Layout, name: &str) -> bool {
        self.get(layout, name) == 1
    }

    fn bad(&self, field: &'static str, value: u128, must: impl Into<String>) -> LoadError {
        LoadError::Field {
            place: self.place,
            field,
            value,
            must: must.into(),
        }
    }
}

/// Field `name`; every value means something.
pub fn number(r: Record, layout: &Layout, name: &str) -> u64 {
    r.get(layout, name) as u64
}

/// Field `name`, a number below `limit`.
pub fn below(r: Record, layout: &Layout, name: &'static str, limit: u32) -> Result<u32, LoadError> {
    let value = r.get(layout, name);
    match u32::try_from(value) {
        Ok(n) if n < limit => Ok(n),
        _ => Err(r.bad(name, value, format!("below {limit}"))),
    }
}

/// A hash table; `decode` gives the value of a slot.
pub fn hash<K: Key, V: Stored + PartialEq>(
    image: &Image,
    table: Table,
    decode: impl Fn(Record) -> Result<V, LoadError>,
) -> Result<HashTable<K, V>, LoadError> {
    let (Some(size), Some((key, value))) = (image.geometry.hash(table), table.hash()) else {
        return Err(LoadError::NoTable { table });
    };
    let seeds: Vec<u32> = (0..size.ways)
        .map(|way| {
            let row = image.table(Table::Seed).row(seed_row(table, way));
            row.field(&SEED_ROW, 0, "seed") as u32
        })
        .collect();
    let (ports, epoch) = (image.geometry.ports, image.epoch());
    HashTable::load(
        image.table(table),
        size,
        &seeds,
        (HashSlot { key, value }, epoch),
        |used: UsedSlot| {
            let record = |bits| Record {
                place: used.place,
                bits,
                base: 0,
            };
            if table == Table::Interface {
                below(record(used.key), key, "port", ports)?;
            }
            if table == Table::Address {
                address(record(used.key), key)?;
            }
            decode(record(used.value))
        },
    )
}

/// A direct table; `decode` gives one row. Of rows with versions, those of `epoch`.
pub fn direct<T>(
    rows: &TableRows,
    epoch: u32,
    decode: impl Fn(Record) -> Result<T, LoadError>,
) -> Result<Vec<T>, LoadError> {
    let versions = rows.table.versions();
    let numbers = rows.rows().div_ceil(versions);
    (0..numbers)
        .map(|number| {
            let row = match versions {
                1 => number,
                _ => number * versions + epoch,
            };
            decoded(rows, row, &decode)
        })
        .collect()
}

/// One row of a direct table.
pub fn decoded<T>(
    rows: &TableRows,
    row: u32,
    decode: impl Fn(Record) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let place = Place {
        table: rows.table,
        row,
        slot: None,
    };
    let bits = rows.row(row);
    decode(Record {
        place,
        bits: &bits,
        base: 0,
    })
}

pub fn interface(r: Record, g: &Geometry) -> Result<Interface, LoadError> {
    let l = &INTERFACE_VALUE;
    Ok(Interface {
        interface: below(r, l, "interface", g.interfaces)? as u16,
        segment: r.get(l, "segment") as u16,
        mac: r.get(l, "mac") as u64,
        promiscuous: r.flag(l, "promiscuous"),
        by_segment: r.flag(l, "tracking"),
        accepts: r.get(l, "accepts") as u32,
        trust: r.flag(l, "trust"),
    })
}

pub fn known(r: Record, g: &Geometry) -> Result<Known, LoadError> {
    let l = &ADDRESS_VALUE;
    let number = |valid, name, limit| {
        r.flag(l, valid)
            .then(|| below(r, l, name, limit).map(|n| n as u16))
            .transpose()
    };
    Ok(Known {
        scope: r.get(l, "scope") as u32,
        range: number("range_valid", "range", g.range_rows)?,
        neighbour: number("neighbour_valid", "neighbour", g.attachment_rows)?,
        local: r.flag(l, "local"),
        acl: below(r, l, "acl", g.acl_rows)? as u8,
        salted: r.flag(l, "salted"),
    })
}

pub fn ranges(rows: &TableRows, g: &Geometry) -> Result<Vec<RangeRow>, LoadError> {
    direct(rows, 0, |r| {
        let mut slots: RangeRow = [Range::default(); RANGE_SLOTS as usize];
        for (number, slot) in slots.iter_mut().enumerate() {
            let number = number as u32;
            *slot = range(
                Record {
                    place: Place {
                        slot: Some(number),
                        ..r.place
                    },
                    base: number * RANGE_SLOT.width(),
                    ..r
                },
                g,
            )?;
        }
        Ok(slots)
    })
}

fn range(r: Record, g: &Geometry) -> Result<Range, LoadError> {
    let l = &RANGE_SLOT;
    if !r.flag(l, "valid") {
        return Ok(Range::default());
    }
    let (first, last) = (r.get(l, "first") as u16, r.get(l, "last") as u16);
    if first > last {
        return Err(r.bad(
            "first",
            u128::from(first),
            format!("at most the last port, {last}"),
        ));
    }
    Ok(Range {
        valid: true,
        role: r.get(l, "role") as u8,
        protocol: (!r.flag(l, "any_protocol")).then(|| r.get(l, "protocol") as u8),
        first,
        last,
        class: below(r, l, "class", g.class_rows)?,
    })
}

/// First row and number of copies, in the fields `action` and `copies` of `layout`.
pub fn meter(r: Record) -> Result<Meter, LoadError> {
    let l = &METER_ROW;
    Ok(Meter {
        cost: number(r, l, "cost"),
        tolerance: number(r, l, "tolerance"),
    })
}

pub fn host_limit(r: Record) -> Result<HostLimit, LoadError> {
    let l = &HOST_LIMIT_ROW;
    Ok(HostLimit {
        limited: r.flag(l, "limited"),
        closed: r.flag(l, "closed"),
        priority: number(r, l, "priority") as u8,
        cost: number(r, l, "cost"),
        tolerance: number(r, l, "tolerance"),
    })
}

/// Where packets enter.
pub fn entry(
    r: Record,
    layout: &Layout,
    action: &'static str,
    copies: &'static str,
    g: &Geometry,
) -> Result<Step, LoadError> {
    let step = Step {
        action: r.get(layout, action) as u32,
        copies: r.get(layout, copies) as u8,
        first: true,
    };
    let end = step.action + u32::from(step.copies);
    if step.copies > 0 && end > g.action_rows {
        let must = format!(
            "such that its {} copies end before row {} of `action`",
            step.copies, g.action_rows
        );
        return Err(r.bad(action, u128::from(step.action), must));
    }
    Ok(step)
}

/// A row of `step`.
pub fn step(r: Record, g: &Geometry) -> Result<Step, LoadError> {
    let l = &STEP_VALUE;
    Ok(Step {
        first: r.flag(l, "first"),
        ..entry(r, l, "action", "copies", g)?
    })
}

pub fn action(r: Record, g: &Geometry) -> Result<Action, LoadError> {
    let l = &ACTION_ROW;
    let add = r.get(l, "port_add") as u16;
    let port = match r.get(l, "port_field") {
        // A difference of 0 is no edit: the checksum stays untouched.
        0..=2 if add == 0 => None,
        0 => None,
        1 => Some(PortEdit::Source(add)),
        2 => Some(PortEdit::Destination(add)),
        other => return Err(r.bad("port_field", other, "0, 1 or 2")),
    };
    let rewrite = r
        .flag(l, "rewrite_valid")
        .then(|| below(r, l, "rewrite", g.rewrite_rows).map(|n| n as u16));
    let bits = r.get(l, "pool");
    if bits > u128::from(width::BUCKET) {
        return Err(r.bad("pool", bits, "at most 10"));
    }
    let buckets = (1u16 << bits) - 1;
    let attachment = below(r, l, "attachment", g.attachment_rows)? as u16;
    if u32::from(attachment) + u32::from(buckets) >= g.attachment_rows {
        return Err(r.bad("pool", bits, "a pool that ends in the table"));
    }
    Ok(Action {
        attachment,
        buckets,
        route: r.flag(l, "route"),
        nat: r.flag(l, "nat"),
        rewrite: rewrite.transpose()?,
        port,
        dscp: r.flag(l, "dscp_valid").then(|| r.get(l, "dscp") as u8),
        tag: tag(r)?,
    })
}

pub fn attachment(r: Record, g: &Geometry) -> Result<Attachment, LoadError> {
    let l = &ATTACHMENT_ROW;
    if !r.flag(l, "valid") {
        return Ok(Attachment::default());
    }
    let tags = r.get(l, "tags");
    if tags > u128::from(seqnic_spec::wire::MAX_VLAN_TAGS) {
        return Err(r.bad("tags", tags, "0, 1 or 2"));
    }
    let state = r.get(l, "state") as u32;
    let absent = attachment_state::reason(state);
    if absent.is_none() && state != attachment_state::HERE {
        return Err(r.bad("state", state.into(), "a state of an attachment, at most 3"));
    }
    Ok(Attachment {
        valid: true,
        absent,
        port: below(r, l, "port", g.ports)? as u8,
        interface: below(r, l, "interface", g.interfaces)? as u16,
        tags: tags as u8,
        vid0: r.get(l, "vid0") as u16,
        vid1: r.get(l, "vid1") as u16,
        dst_mac: r.get(l, "dst_mac") as u64,
        src_mac: r.get(l, "src_mac") as u64,
        address: address(r, l)?,
        mtu: r.get(l, "mtu") as u16,
        encap: below(r, l, "encap", g.encap_rows)? as u16,
        comes_from: below(r, l, "comes_from", g.attachment_rows)? as u16,
        counts: below(r, l, "counts", g.attachment_rows)? as u16,
    })
}

fn tag(r: Record) -> Result<Option<(TagKind, u8)>, LoadError> {
    let (kind, number) = (
        r.get(&ACTION_ROW, "tag_kind"),
        r.get(&ACTION_ROW, "tag") as u8,
    );
    if kind == u128::from(tag_kind::NONE) {
        return Ok(None);
    }
    match TagKind::from_number(kind as u32) {
        Some(kind) => Ok(Some((kind, number))),
        None => Err(r.bad("tag_kind", kind, "a kind of tag, at most 8")),
    }
}

pub fn decap(r: Record) -> Result<Decap, LoadError> {
    let l = &DECAP_ROW;
    Ok(Decap {
        accepts: r.get(l, "accepts") as u32,
        v4: r.flag(l, "v4_valid").then(|| r.get(l, "v4") as u32),
        v6: r.flag(l, "v6_valid").then(|| r.get(l, "v6")),
    })
}

pub fn encap(r: Record) -> Result<Encap, LoadError> {
    let l = &ENCAP_ROW;
    let row = Encap {
        v6: r.flag(l, "v6"),
        src: r.get(l, "src"),
        dst: r.get(l, "dst"),
        vlan: r.get(l, "vlan") as u16,
        mpls: r.get(l, "mpls") as u32,
        vni: r.get(l, "vni") as u32,
        gre: r.get(l, "gre") as u32,
        spi: r.get(l, "spi") as u32,
    };
    for (field, value) in [("src", row.src), ("dst", row.dst)] {
        if !row.v6 && value > u128::from(u32::MAX) {
            return Err(r.bad(field, value, "below 2^32 in IPv4"));
        }
    }
    let (sum, right) = (r.get(l, "sum"), row.sum());
    // A row of zeros is one nobody uses.
    if sum != u128::from(right) && row != Encap::default() {
        let must = format!("{right}, the sum of the outer IPv4 header's constant words");
        return Err(r.bad("sum", sum, must));
    }
    Ok(row)
}

pub fn address(r: Record, layout: &Layout) -> Result<Address, LoadError> {
    let (v6, value) = (r.flag(layout, "v6"), r.get(layout, "address"));
    if !v6 && value > u128::from(u32::MAX) {
        return Err(r.bad("address", value, "below 2^32 in IPv4"));
    }
    Ok(Address { v6, value })
}

/// What first packets of a class are asked; its entries are read elsewhere.
pub fn class(r: Record, g: &Geometry) -> Result<Class, LoadError> {
    let l = &CLASS_ROW;
    Ok(Class {
        set: r.get(l, "set") as u16,
        permit: r.flag(l, "permit"),
        rule: below(r, l, "rule", g.rules)? as u16,
        ..Class::default()
    })
}

pub fn masks(r: Record, g: &Geometry) -> Result<Masks, LoadError> {
    let l = &ACL_SLOT;
    let mask = |bank: u32| {
        let r = Record {
            place: Place {
                slot: Some(bank),
                ..r.place
            },
            base: bank * l.width(),
            ..r
        };
        Ok(Mask {
            client: below(r, l, "client", 1 + ADDRESS_NIBBLES as u32)? as u8,
            server: below(r, l, "server", 1 + ADDRESS_NIBBLES as u32)? as u8,
            client_port: below(r, l, "client_port", 1 + PORT_NIBBLES as u32)? as u8,
            port: below(r, l, "port", 1 + PORT_NIBBLES as u32)? as u8,
            protocol: r.flag(l, "protocol"),
            arrival: r.flag(l, "arrival"),
        })
    };
    (0..g.rule_banks).map(mask).collect()
}

/// The slots of a row of `rule` that hold in `epoch`.
pub fn rules(
    r: Record,
    epoch: u32,
    g: &Geometry,
) -> Result<[Rule; RULE_SLOTS as usize], LoadError> {
    let mut rules = [Rule::default(); RULE_SLOTS as usize];
    for (slot, rule) in (0..).zip(&mut rules) {
        let r = Record {
            place: Place {
                slot: Some(slot),
                ..r.place
            },
            base: slot * RULE_SLOT.width(),
            ..r
        };
        let epochs = Epochs::from_bits(r.get(&RULE_SLOT, "epochs") as u32);
        if epochs.holds(epoch) {
            *rule = self::rule(r, slot, g)?;
        }
        if rule.valid && r.get(&RULE_SLOT, "kind") == rule_kind::V6_LONG.into() {
            break;
        }
    }
    Ok(rules)
}

fn rule(r: Record, slot: u32, g: &Geometry) -> Result<Rule, LoadError> {
    let l = &RULE_SLOT;
    let kind = r.get(l, "kind") as u32;
    let long = kind == rule_kind::V6_LONG;
    if long && slot > 0 {
        return Err(r.bad("kind", kind.into(), "below 3 but in slot 0"));
    }
    let prefix = |name: &'static str, bits: &'static str| {
        let first = below(r, l, bits, 33)?;
        let value = r.get(l, name) << 96;
        let Some(rest) = long.then_some(Record {
            base: l.width(),
            ..r
        }) else {
            return Ok(Prefix::new(value, first));
        };
        let more = below(rest, &RULE_REST, bits, 97)?;
        if more > 0 && first < 32 {
            return Err(r.bad(bits, first.into(), "32, as the prefix goes on"));
        }
        let value = value | rest.get(&RULE_REST, name);
        Ok(Prefix::new(value, first + more))
    };
    let range = |first: &'static str, last: &'static str| {
        let range = (r.get(l, first) as u16, r.get(l, last) as u16);
        match range.0 <= range.1 {
            true => Ok(range),
            false => Err(r.bad(
                first,
                range.0.into(),
                format!("at most {last}, {}", range.1),
            )),
        }
    };
    let last = r.get(l, "size_last") as u16;
    Ok(Rule {
        valid: true,
        v6: (kind != rule_kind::ANY).then_some(kind != rule_kind::V4),
        client: prefix("client", "client_bits")?,
        server: prefix("server", "server_bits")?,
        protocol: (!r.flag(l, "any_protocol")).then(|| r.get(l, "protocol") as u8),
        client_port: range("client_port_first", "client_port_last")?,
        port: range("port_first", "port_last")?,
        flags: (r.get(l, "flags") as u8, r.get(l, "flags_mask") as u8),
        size: (
            r.get(l, "size_first") as u16,
            (last != (1 << l.at("size_last").1) - 1).then_some(last),
        ),
        directions: [r.flag(l, "forward"), r.flag(l, "back")],
        arrival: (!r.flag(l, "any_arrival")).then(|| r.get(l, "arrival") as u16),
        set: r.get(l, "set") as u16,
        order: r.get(l, "order") as u16,
        rule: below(r, l, "rule", g.rules)? as u16,
        permit: r.flag(l, "permit"),
    })
}

pub fn policy(r: Record, g: &Geometry) -> Result<Option<u16>, LoadError> {
    let l = &POLICY_ROW;
    match r.flag(l, "valid") {
        false => Ok(None),
        true => Ok(Some(below(r, l, "attachment", g.attachment_rows)? as u16)),
    }
}
