//! An image decoded into native arrays, every number in it known to be in range.

use crate::check;
use crate::error::{LoadError, Place};
use crate::keys::{Address, InterfaceKey, PortKey, SourceKey, StepKey};
use crate::lookup::{HashTable, UsedSlot, seed_row};
use seqnic_image::names::Direction;
use seqnic_image::{Image, TableRows};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{
    ACTION_ROW, ADDRESS_VALUE, ATTACHMENT_ROW, CLASS_ROW, HashSlot, INTERFACE_VALUE, PORT_VALUE,
    RANGE_SLOT, RANGE_SLOTS, REWRITE_ROW, SEED_ROW, SOURCE_VALUE, STEP_VALUE, Table,
};

/// Answer of `interface`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interface {
    pub interface: u16,
    pub segment: u16,
    pub mac: u64,
    pub promiscuous: bool,
    /// Position of what arrives here is its segment, not its sender.
    pub by_segment: bool,
}

/// Answer of `address`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// 0: no service address.
    pub scope: u32,
    /// Row in `range`.
    pub range: Option<u16>,
    /// Attachment of the neighbour that has the address.
    pub neighbour: Option<u16>,
    pub local: bool,
}

/// One slot of a `range` row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    pub valid: bool,
    /// Number of the port question it answers: place in [`Table::PORTS`].
    pub role: u8,
    /// `None`: every protocol.
    pub protocol: Option<u8>,
    pub first: u16,
    pub last: u16,
    pub class: u32,
}

impl Range {
    /// Whether it answers question `role`; `port` is `None` in later fragments.
    pub fn holds(&self, role: usize, protocol: u8, port: Option<u16>) -> bool {
        self.valid
            && usize::from(self.role) == role
            && self.protocol.is_none_or(|p| p == protocol)
            && match port {
                Some(port) => (self.first..=self.last).contains(&port),
                None => (self.first, self.last) == (0, u16::MAX),
            }
    }
}

/// The copies a packet becomes: rows `action` to `action + copies - 1`; none bars the sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    pub action: u32,
    pub copies: u8,
}

/// A row of `class`: what happens to packets that enter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Class {
    pub entries: [Step; 2],
}

impl Class {
    pub fn entry(&self, direction: Direction) -> Step {
        self.entries[usize::from(direction == Direction::Return)]
    }
}

/// A port and what is added to it modulo 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortEdit {
    Source(u16),
    Destination(u16),
}

/// A row of `action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Action {
    pub attachment: u16,
    pub route: bool,
    pub nat: bool,
    /// Row in `rewrite`.
    pub rewrite: Option<u16>,
    pub port: Option<PortEdit>,
    pub dscp: Option<u8>,
}

/// A row of `attachment`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attachment {
    pub valid: bool,
    pub port: u8,
    pub interface: u16,
    /// VLAN tags on frames to it, 0 to 2.
    pub tags: u8,
    pub vid0: u16,
    pub vid1: u16,
    pub dst_mac: u64,
    pub src_mac: u64,
    pub address: Address,
}

/// All tables of an image.
#[derive(Debug, Clone)]
pub struct Tables {
    pub geometry: &'static Geometry,
    pub interface: HashTable<InterfaceKey, Interface>,
    /// Attachment of the sender.
    pub source: HashTable<SourceKey, u16>,
    pub address: HashTable<Address, Known>,
    /// Class, by question in the order of [`Table::PORTS`].
    pub ports: [HashTable<PortKey, u32>; 4],
    pub range: Vec<[Range; RANGE_SLOTS as usize]>,
    pub class: Vec<Class>,
    pub step: HashTable<StepKey, Step>,
    pub action: Vec<Action>,
    pub attachment: Vec<Attachment>,
    pub rewrite: Vec<Address>,
}

impl Tables {
    /// Decodes and checks an image.
    ///
    /// # Errors
    /// [`LoadError`] says which table, row and field contradicts the geometry or another table.
    pub fn load(image: &Image) -> Result<Tables, LoadError> {
        let g = image.geometry;
        g.check()?;
        check::shape(image)?;
        let ports = |question: usize| {
            hash(image, Table::PORTS[question], |r| {
                below(r, &PORT_VALUE, "class", g.class_rows)
            })
        };
        let tables = Tables {
            geometry: g,
            interface: hash(image, Table::Interface, |r| interface(r, g))?,
            source: hash(image, Table::Source, |r| {
                let n = below(r, &SOURCE_VALUE, "attachment", g.attachment_rows)?;
                Ok(n as u16)
            })?,
            address: hash(image, Table::Address, |r| known(r, g))?,
            ports: [ports(0)?, ports(1)?, ports(2)?, ports(3)?],
            range: ranges(image.table(Table::Range), g)?,
            class: direct(image.table(Table::Class), |r| {
                Ok(Class {
                    entries: [
                        step(r, &CLASS_ROW, "forward_action", "forward_copies", g)?,
                        step(r, &CLASS_ROW, "return_action", "return_copies", g)?,
                    ],
                })
            })?,
            step: hash(image, Table::Step, |r| {
                step(r, &STEP_VALUE, "action", "copies", g)
            })?,
            action: direct(image.table(Table::Action), |r| action(r, g))?,
            attachment: direct(image.table(Table::Attachment), |r| attachment(r, g))?,
            rewrite: direct(image.table(Table::Rewrite), |r| address(r, &REWRITE_ROW))?,
        };
        check::references(&tables)?;
        check::families(&tables)?;
        Ok(tables)
    }

    /// Row `row` of `class`; rows the image does not have are zero, here and below.
    pub fn class(&self, row: u32) -> Class {
        self.class.get(row as usize).copied().unwrap_or_default()
    }

    pub fn action(&self, row: u32) -> Action {
        self.action.get(row as usize).copied().unwrap_or_default()
    }

    pub fn attachment(&self, row: u16) -> Attachment {
        let row = self.attachment.get(usize::from(row));
        row.copied().unwrap_or_default()
    }

    pub fn rewrite(&self, row: u16) -> Address {
        let row = self.rewrite.get(usize::from(row));
        row.copied().unwrap_or_default()
    }

    /// Slots of row `row` of `range`.
    pub fn range(&self, row: u16) -> &[Range] {
        self.range.get(usize::from(row)).map_or(&[], |r| &r[..])
    }
}

/// One record of an image: its place and bits, and where in the bits it starts.
#[derive(Clone, Copy)]
struct Record<'a> {
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

/// Field `name`, a number below `limit`.
fn below(r: Record, layout: &Layout, name: &'static str, limit: u32) -> Result<u32, LoadError> {
    let value = r.get(layout, name);
    match u32::try_from(value) {
        Ok(n) if n < limit => Ok(n),
        _ => Err(r.bad(name, value, format!("below {limit}"))),
    }
}

fn hash<K: crate::keys::Key, V: Copy + Default + PartialEq>(
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
    let ports = image.geometry.ports;
    HashTable::load(
        image.table(table),
        size,
        &seeds,
        HashSlot { key, value },
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

fn direct<T>(
    rows: &TableRows,
    decode: impl Fn(Record) -> Result<T, LoadError>,
) -> Result<Vec<T>, LoadError> {
    (0..rows.rows())
        .map(|row| {
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
        })
        .collect()
}

fn interface(r: Record, g: &Geometry) -> Result<Interface, LoadError> {
    let l = &INTERFACE_VALUE;
    Ok(Interface {
        interface: below(r, l, "interface", g.interfaces)? as u16,
        segment: r.get(l, "segment") as u16,
        mac: r.get(l, "mac") as u64,
        promiscuous: r.flag(l, "promiscuous"),
        by_segment: r.flag(l, "tracking"),
    })
}

fn known(r: Record, g: &Geometry) -> Result<Known, LoadError> {
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
    })
}

fn ranges(
    rows: &TableRows,
    g: &Geometry,
) -> Result<Vec<[Range; RANGE_SLOTS as usize]>, LoadError> {
    direct(rows, |r| {
        let mut slots = [Range::default(); RANGE_SLOTS as usize];
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

fn step(
    r: Record,
    layout: &Layout,
    action: &'static str,
    copies: &'static str,
    g: &Geometry,
) -> Result<Step, LoadError> {
    let step = Step {
        action: r.get(layout, action) as u32,
        copies: r.get(layout, copies) as u8,
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

fn action(r: Record, g: &Geometry) -> Result<Action, LoadError> {
    let l = &ACTION_ROW;
    let add = r.get(l, "port_add") as u16;
    let port = match r.get(l, "port_field") {
        0 => None,
        1 => Some(PortEdit::Source(add)),
        2 => Some(PortEdit::Destination(add)),
        other => return Err(r.bad("port_field", other, "0, 1 or 2")),
    };
    let rewrite = r
        .flag(l, "rewrite_valid")
        .then(|| below(r, l, "rewrite", g.rewrite_rows).map(|n| n as u16));
    Ok(Action {
        attachment: below(r, l, "attachment", g.attachment_rows)? as u16,
        route: r.flag(l, "route"),
        nat: r.flag(l, "nat"),
        rewrite: rewrite.transpose()?,
        port,
        dscp: r
            .flag(l, "dscp_valid")
            .then(|| r.get(l, "dscp") as u8),
    })
}

fn attachment(r: Record, g: &Geometry) -> Result<Attachment, LoadError> {
    let l = &ATTACHMENT_ROW;
    if !r.flag(l, "valid") {
        return Ok(Attachment::default());
    }
    let tags = r.get(l, "tags");
    if tags > u128::from(seqnic_spec::wire::MAX_VLAN_TAGS) {
        return Err(r.bad("tags", tags, "0, 1 or 2"));
    }
    Ok(Attachment {
        valid: true,
        port: below(r, l, "port", g.ports)? as u8,
        interface: below(r, l, "interface", g.interfaces)? as u16,
        tags: tags as u8,
        vid0: r.get(l, "vid0") as u16,
        vid1: r.get(l, "vid1") as u16,
        dst_mac: r.get(l, "dst_mac") as u64,
        src_mac: r.get(l, "src_mac") as u64,
        address: address(r, l)?,
    })
}

fn address(r: Record, layout: &Layout) -> Result<Address, LoadError> {
    let (v6, value) = (r.flag(layout, "v6"), r.get(layout, "address"));
    if !v6 && value > u128::from(u32::MAX) {
        return Err(r.bad("address", value, "below 2^32 in IPv4"));
    }
    Ok(Address { v6, value })
}
