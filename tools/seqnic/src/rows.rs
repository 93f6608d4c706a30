//! Rows of an image field by field.

use seqnic_compiler::definition::Mac;
use seqnic_image::{Image, Names};
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{self, EPOCHS, Epochs, HashSlot, Kind, Table, position_kind, rule_kind};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One record in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub row: u32,
    /// Slot of the row, where rows have slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// The only epoch it holds in; none: it holds in both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Record>,
    pub value: Record,
}

/// A record's fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Vec<(&'static str, Value)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u128, Option<String>),
    Text(String),
}

/// What is in use of `table`.
pub fn entries(image: &Image, table: Table) -> Vec<Entry> {
    let rows = image.table(table);
    let names = &image.names;
    let mut out = Vec::new();
    for (number, words) in rows.used() {
        let row = Row::from_words(rows.row_bits, words);
        match table.kind() {
            Kind::Direct { row: layout } => {
                let epoch = match table.versions() {
                    1 => None,
                    versions => {
                        let epoch = number % versions;
                        let other = rows.row(number - epoch + (1 - epoch));
                        if other == row && epoch != image.epoch() {
                            continue;
                        }
                        (other != row).then_some(epoch)
                    }
                };
                out.push(Entry {
                    row: number,
                    slot: None,
                    epoch,
                    key: None,
                    value: Record::new(names, layout, &row, 0),
                });
            }
            Kind::Slots { slot: layout } => {
                for slot in 0..image.geometry.slots(table) {
                    let base = slot * layout.width();
                    let valid = layout.find("valid");
                    if valid.is_none_or(|_| row.field(layout, base, "valid") == 1) {
                        out.push(Entry {
                            row: number,
                            slot: Some(slot),
                            epoch: None,
                            key: None,
                            value: Record::new(names, layout, &row, base),
                        });
                    }
                }
            }
            Kind::Rules { slot, rest } => {
                let width = slot.width();
                for at in 0..image.geometry.slots(table) {
                    let get = |name| row.field(slot, at * width, name);
                    let epochs = Epochs::from_bits(get("epochs") as u32);
                    let Some(first) = (0..EPOCHS).find(|epoch| epochs.holds(*epoch)) else {
                        continue;
                    };
                    let long = at == 0 && get("kind") == rule_kind::V6_LONG.into();
                    out.push(Entry {
                        row: number,
                        slot: Some(at),
                        epoch: Some(first).filter(|_| epochs != Epochs::BOTH),
                        key: long.then(|| Record::new(names, rest, &row, width)),
                        value: Record::new(names, slot, &row, at * width),
                    });
                }
            }
            Kind::Hash { key, value } => {
                let slots = image.geometry.hash(table).map_or(0, |h| h.slots);
                let reader = HashSlot { key, value };
                for slot in 0..slots {
                    let epochs = reader.epochs(&row, slot);
                    let first = (0..EPOCHS).find(|epoch| epochs.holds(*epoch));
                    let held = first.and_then(|epoch| reader.read(&row, slot, epoch));
                    if let Some((k, v)) = held {
                        out.push(Entry {
                            row: number,
                            slot: Some(slot),
                            epoch: first.filter(|_| epochs != Epochs::BOTH),
                            key: Some(Record::new(names, key, &k, 0)),
                            value: Record::new(names, value, &v, 0),
                        });
                    }
                }
            }
        }
    }
    out
}

impl Record {
    fn new(names: &Names, layout: &'static Layout, row: &Row, base: u32) -> Record {
        let get = |name| row.field(layout, base, name);
        let fields = layout.fields.iter().map(|field| {
            let number = get(field.name);
            let value = match field.name {
                "mac" | "dst_mac" | "src_mac" => Value::Text(mac(number).to_string()),
                "address" if get("v6") == 1 => Value::Text(Ipv6Addr::from(number).to_string()),
                "address" => Value::Text(Ipv4Addr::from(number as u32).to_string()),
                "neighbour" if get("neighbour_valid") == 0 => Value::Number(number, None),
                name => Value::Number(number, meaning(names, name, number)),
            };
            (field.name, value)
        });
        Record(fields.collect())
    }
}

/// A MAC as records have it: the first byte on the wire highest.
pub fn mac(number: u128) -> Mac {
    let [_, _, a, b, c, d, e, f] = (number as u64).to_be_bytes();
    Mac([a, b, c, d, e, f])
}

/// Name of what a number stands for.
fn meaning(names: &Names, field: &str, number: u128) -> Option<String> {
    let at = usize::try_from(number).ok()?;
    match field {
        "interface" => names.interfaces.get(at).map(|i| i.name.clone()),
        "attachment" | "neighbour" => names.attachments.get(at).cloned(),
        // Class 0 is no class.
        "class" if at > 0 => {
            let class = names.classes.get(at)?;
            let service = names.services.get(class.service as usize)?;
            let label = names.labels.get(class.label as usize)?;
            Some(format!("{service} {label}"))
        }
        "position" => position(names, number as u32),
        _ => None,
    }
}

/// Who sent a packet, as `step` asks it.
fn position(names: &Names, number: u32) -> Option<String> {
    let known = |kind| {
        number
            .checked_sub(tables::position(kind, 0))
            .filter(|v| *v < 1 << 16)
    };
    if let Some(attachment) = known(position_kind::ATTACHMENT) {
        return names.attachments.get(attachment as usize).cloned();
    }
    known(position_kind::SEGMENT).map(|segment| format!("segment {segment}"))
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Value::Number(n, _) => map.serialize_entry(name, &(*n as u64))?,
                Value::Text(text) => map.serialize_entry(name, text)?,
            }
        }
        map.end()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            match value {
                Value::Number(n, None) => write!(f, "{space}{name}={n}")?,
                Value::Number(n, Some(meaning)) => write!(f, "{space}{name}={n} ({meaning})")?,
                Value::Text(text) => write!(f, "{space}{name}={text}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "row {}", self.row)?;
        if let Some(slot) = self.slot {
            write!(f, " slot {slot}")?;
        }
        if let Some(epoch) = self.epoch {
            write!(f, " (epoch {epoch} only)")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key} -> {}", self.value),
            None => write!(f, ": {}", self.value),
        }
    }
}
