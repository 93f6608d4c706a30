//! What is in an image, for people and scripts.

use crate::file::{Digest, FORMAT_VERSION, geometry_digest};
use crate::{Image, TableRows};
use seqnic_spec::SPEC_VERSION;
use seqnic_spec::reference::spec_digest;
use seqnic_spec::tables::{EPOCHS, Kind, RANGE_SLOTS, RULE_SLOTS, Table};
use serde::Serialize;
use std::fmt;

/// Summary of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspect {
    pub definition: String,
    pub generation: u64,
    pub format_version: u32,
    pub spec_version: u32,
    pub spec_digest: u32,
    pub geometry: &'static str,
    pub geometry_digest: u32,
    pub tables: Vec<TableSummary>,
    pub names: NameCounts,
}

/// Summary of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSummary {
    pub number: u8,
    pub name: &'static str,
    pub row_bits: u32,
    /// Rows of the geometry, of all ways.
    pub rows: u32,
    /// Rows that are not zero.
    pub rows_used: u32,
    /// `hash` tables only.
    pub keys: Option<Keys>,
    /// Range slots in use, `range` only.
    pub slots_used: Option<u32>,
    pub digest: Digest,
}

/// How full a hash table is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Keys {
    pub used: u32,
    pub capacity: u32,
    /// `used / capacity`, 0 to 1.
    pub load: f64,
    /// Most slots in use in one bucket.
    pub fullest_bucket: u32,
    pub bucket_slots: u32,
    /// Hash seed of each way.
    pub seeds: Vec<u32>,
}

/// How many names of each kind there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NameCounts {
    pub interfaces: usize,
    /// Distinct attachment names; several numbers may have one.
    pub attachments: usize,
    pub services: usize,
    pub labels: usize,
    pub classes: usize,
    pub actions: usize,
}

/// Looks an image over.
pub fn inspect(image: &Image) -> Inspect {
    let names = &image.names;
    let mut attachments: Vec<&String> = names.attachments.iter().collect();
    attachments.sort_unstable();
    attachments.dedup();
    Inspect {
        definition: names.definition.clone(),
        generation: image.generation,
        format_version: FORMAT_VERSION,
        spec_version: SPEC_VERSION,
        spec_digest: spec_digest(),
        geometry: image.geometry.name,
        geometry_digest: geometry_digest(image.geometry),
        tables: image.tables.iter().map(|t| summary(image, t)).collect(),
        names: NameCounts {
            interfaces: names.interfaces.len(),
            attachments: attachments.len(),
            services: names.services.len(),
            labels: names.labels.len(),
            classes: names.classes.len().saturating_sub(1),
            actions: names.actions.iter().flatten().count(),
        },
    }
}

fn summary(image: &Image, rows: &TableRows) -> TableSummary {
    let table = rows.table;
    TableSummary {
        number: table as u8,
        name: table.name(),
        row_bits: rows.row_bits,
        rows: image.geometry.rows(table),
        rows_used: rows.used().count() as u32,
        keys: keys(image, rows),
        slots_used: match table.kind() {
            Kind::Slots { .. } if table == Table::Range => {
                Some(slots_in_use(rows, RANGE_SLOTS).sum())
            }
            // Those of a rule with long prefixes count as one.
            Kind::Rules { .. } => Some(slots_in_use(rows, RULE_SLOTS).sum()),
            _ => None,
        },
        digest: image.digest(table),
    }
}

/// Slots in use in each row that is not zero; the lowest bits of a slot say so (in hash tables, one
/// for each epoch).
fn slots_in_use(rows: &TableRows, slots: u32) -> impl Iterator<Item = u32> + '_ {
    let bits = rows.table.slot_bits();
    let flags = match rows.table.kind() {
        Kind::Hash { .. } | Kind::Rules { .. } => EPOCHS,
        _ => 1,
    };
    rows.used().map(move |(_, words)| {
        let valid = |slot: &u32| {
            let mut of_slot = slot * bits..slot * bits + flags;
            of_slot.any(|bit| words[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
        };
        (0..slots).filter(valid).count() as u32
    })
}

fn keys(image: &Image, rows: &TableRows) -> Option<Keys> {
    let size = image.geometry.hash(rows.table)?;
    let (used, fullest_bucket) = slots_in_use(rows, size.slots)
        .fold((0, 0), |(sum, most), slots| (sum + slots, most.max(slots)));
    Some(Keys {
        used,
        capacity: size.capacity(),
        load: f64::from(used) / f64::from(size.capacity()),
        fullest_bucket,
        bucket_slots: size.slots,
        seeds: (0..size.ways).map(|w| image.seed(rows.table, w)).collect(),
    })
}

impl fmt::Display for Inspect {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            f,
            "{}, generation {}",
            match self.definition.as_str() {
                "" => "(no name)",
                name => name,
            },
            self.generation
        )?;
        writeln!(
            f,
            "format {}, specification {} ({:08x}), geometry {} ({:08x})",
            self.format_version,
            self.spec_version,
            self.spec_digest,
            self.geometry,
            self.geometry_digest
        )?;
        let n = &self.names;
        writeln!(
            f,
            "{} interfaces, {} attachments, {} services, {} classes, {} labels, {} steps' copies\n",
            n.interfaces, n.attachments, n.services, n.classes, n.labels, n.actions
        )?;
        writeln!(
            f,
            "{:<16} {:>5} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7}  {:<12}  seeds",
            "table", "bits", "rows", "used", "keys", "places", "load", "fullest", "digest"
        )?;
        for t in &self.tables {
            write!(
                f,
                "{:<16} {:>5} {:>8} {:>8} ",
                t.name, t.row_bits, t.rows, t.rows_used
            )?;
            let digest = t.digest.to_string();
            let short = &digest[..12];
            match (&t.keys, t.slots_used) {
                (Some(k), _) => {
                    let fullest = format!("{}/{}", k.fullest_bucket, k.bucket_slots);
                    let seeds: Vec<String> = k.seeds.iter().map(|s| format!("{s:08x}")).collect();
                    writeln!(
                        f,
                        "{:>8} {:>8} {:>5.1}% {fullest:>7}  {short}  {}",
                        k.used,
                        k.capacity,
                        k.load * 100.0,
                        seeds.join(" ")
                    )?;
                }
                (None, slots) => {
                    let load = f64::from(t.rows_used) / f64::from(t.rows) * 100.0;
                    let slots = slots.map_or(String::new(), |s| format!("{s} slots"));
                    writeln!(f, "{:>8} {:>8} {load:>5.1}% {:>7}  {short}", "", slots, "")?;
                }
            }
        }
        Ok(())
    }
}
