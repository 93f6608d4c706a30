//! What must hold between tables before an image is run: then no packet can make the engine
//! read past a table.

use crate::error::{LoadError, Place};
use crate::lookup::HashTable;
use crate::tables::{Action, Step, Tables};
use seqnic_image::Image;
use seqnic_image::names::Names;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{ADDRESS_KEY, PORT_KEY, STEP_KEY, Table};
use std::collections::HashMap;

/// Every table is there, with the rows of the geometry at most and its row width.
pub fn shape(image: &Image) -> Result<(), LoadError> {
    let g = image.geometry;
    for table in Table::ALL {
        let found = image.tables.get(table as usize);
        let Some(rows) = found.filter(|r| r.table == table) else {
            return Err(LoadError::NoTable { table });
        };
        let bad = |what, value: u64, must: u64| {
            Err(LoadError::Shape {
                table,
                geometry: g.name,
                what,
                value,
                must,
            })
        };
        if rows.row_bits != g.row_bits(table) {
            let must = g.row_bits(table).into();
            return bad("bits in a row:", rows.row_bits.into(), must);
        }
        let words = rows.words.len() as u64;
        let width = rows.words_per_row() as u64;
        if !words.is_multiple_of(width) {
            return bad(
                "a last row cut off, words:",
                words,
                words.next_multiple_of(width),
            );
        }
        let (stored, most) = (words / width, u64::from(g.rows(table)));
        if stored > most {
            return bad("more rows than there are:", stored, most);
        }
    }
    Ok(())
}

/// Copies and neighbours are attachments in use.
pub fn references(tables: &Tables) -> Result<(), LoadError> {
    let in_use = |place, field, number: u16| {
        if tables.attachment(number).valid {
            return Ok(());
        }
        Err(LoadError::Field {
            place,
            field,
            value: u128::from(number),
            must: "an attachment that is in use (`valid`)".to_string(),
        })
    };
    for (place, known) in tables.address.values() {
        if let Some(neighbour) = known.neighbour {
            in_use(place, "neighbour", neighbour)?;
        }
    }
    for (row, hop) in tables.policy.iter().enumerate() {
        let place = Place {
            table: Table::Policy,
            row: row as u32,
            slot: None,
        };
        if let Some(attachment) = hop {
            in_use(place, "attachment", *attachment)?;
        }
    }
    for entry in steps(tables) {
        for (row, action) in copies(tables, entry.step) {
            for bucket in 0..=action.buckets {
                in_use(action_place(row), "attachment", action.attachment + bucket)?;
            }
        }
    }
    Ok(())
}

/// A step or entry, and whose packets take it.
struct Taken {
    class: u32,
    step: Step,
}

/// Every step and every entry of a class.
fn steps(tables: &Tables) -> impl Iterator<Item = Taken> {
    let entries = tables.class.iter().enumerate().flat_map(|(class, row)| {
        row.entries.into_iter().map(move |step| Taken {
            class: class as u32,
            step,
        })
    });
    let steps = tables.step.entries().map(|(_, key, step)| Taken {
        class: bits(&STEP_KEY, &key, "class") as u32,
        step: *step,
    });
    entries.chain(steps)
}

fn copies(tables: &Tables, step: Step) -> impl Iterator<Item = (u32, Action)> {
    (0..u32::from(step.copies)).map(move |n| (step.action + n, tables.action(step.action + n)))
}

fn bits(layout: &Layout, words: &[u64], name: &str) -> u128 {
    Row::from_words(layout.width(), words).field(layout, 0, name)
}

fn action_place(row: u32) -> Place {
    Place {
        table: Table::Action,
        row,
        slot: None,
    }
}

/// IP versions of packets: bit 0 IPv4, bit 1 IPv6.
type Versions = u8;

fn versions_of(v6: bool) -> Versions {
    if v6 { 2 } else { 1 }
}

/// No packet gets an address of the other IP version: for each class the versions of the
/// addresses that lead to it are those of the addresses its copies get.
pub fn families(tables: &Tables) -> Result<(), LoadError> {
    let mut scopes: HashMap<u32, Versions> = HashMap::new();
    let mut classes: HashMap<u32, Versions> = HashMap::new();
    for (_, key, known) in tables.address.entries() {
        if known.scope == 0 {
            continue;
        }
        let version = versions_of(bits(&ADDRESS_KEY, &key, "v6") == 1);
        *scopes.entry(known.scope).or_default() |= version;
        for slot in known.range.map_or(&[][..], |row| tables.range(row)) {
            if slot.valid {
                *classes.entry(slot.class).or_default() |= version;
            }
        }
    }
    for (_, key, class) in tables.ports.iter().flat_map(HashTable::entries) {
        let scope = bits(&PORT_KEY, &key, "scope") as u32;
        let versions = scopes.get(&scope).copied().unwrap_or_default();
        *classes.entry(*class).or_default() |= versions;
    }
    for taken in steps(tables) {
        let packets = classes.get(&taken.class).copied().unwrap_or_default();
        for (row, action) in copies(tables, taken.step) {
            let rewrite = action.rewrite.map(|r| (Table::Rewrite, r));
            let nat = (0..=action.buckets).filter(|_| action.nat);
            let nat = nat.map(|bucket| (Table::Attachment, action.attachment + bucket));
            for (from, number) in rewrite.into_iter().chain(nat) {
                let v6 = match from {
                    Table::Rewrite => tables.rewrite(number).v6,
                    _ => tables.attachment(number).address.v6,
                };
                if packets & !versions_of(v6) != 0 {
                    let row_of = match from {
                        Table::Rewrite => u32::from(number),
                        _ => tables.attachment_row(number),
                    };
                    return Err(LoadError::Family {
                        place: action_place(row),
                        packets: if v6 { 4 } else { 6 },
                        address: if v6 { 6 } else { 4 },
                        from,
                        row: row_of,
                    });
                }
            }
        }
    }
    Ok(())
}

/// Every number that is counted or reported has a name.
pub fn names(tables: &Tables, names: &Names) -> Result<(), LoadError> {
    let missing = |place, what, number| LoadError::NoName {
        place,
        what,
        number,
    };
    let interface = |place, number: u16| match names.interfaces.get(usize::from(number)) {
        Some(_) => Ok(()),
        None => Err(missing(place, "interface", number.into())),
    };
    let attachment = |place, number: u32| match names.attachments.get(number as usize) {
        Some(_) => Ok(()),
        None => Err(missing(place, "attachment", number)),
    };
    let class = |place, number: u32| {
        let named = names.classes.get(number as usize).is_some_and(|c| {
            (c.service as usize) < names.services.len() && (c.label as usize) < names.labels.len()
        });
        match named {
            true => Ok(()),
            false => Err(missing(place, "class", number)),
        }
    };
    for (place, value) in tables.interface.values() {
        interface(place, value.interface)?;
    }
    for (place, number) in tables.source.values() {
        attachment(place, u32::from(*number))?;
    }
    for (place, number) in tables.ports.iter().flat_map(HashTable::values) {
        class(place, *number)?;
    }
    for (row, slots) in tables.range.iter().enumerate() {
        for (slot, range) in slots.iter().enumerate().filter(|(_, r)| r.valid) {
            let place = Place {
                table: Table::Range,
                row: row as u32,
                slot: Some(slot as u32),
            };
            class(place, range.class)?;
        }
    }
    for (row, value) in tables
        .attachment
        .iter()
        .enumerate()
        .filter(|(_, a)| a.valid)
    {
        let place = Place {
            table: Table::Attachment,
            row: tables.attachment_row(row as u16),
            slot: None,
        };
        interface(place, value.interface)?;
        attachment(place, row as u32)?;
        attachment(place, value.counts.into())?;
    }
    let rule = |place, number: u16| match names.rules.get(usize::from(number)) {
        Some(Some(_)) => Ok(()),
        _ => Err(missing(place, "rule", number.into())),
    };
    for (row, class) in tables.class.iter().enumerate().filter(|(_, c)| c.set > 0) {
        let place = Place {
            table: Table::Class,
            row: row as u32,
            slot: None,
        };
        rule(place, class.rule)?;
    }
    for (row, slots) in tables.rule.iter().enumerate() {
        for (slot, value) in slots.iter().enumerate().filter(|(_, r)| r.valid) {
            let place = Place {
                table: Table::Rule,
                row: row as u32,
                slot: Some(slot as u32),
            };
            rule(place, value.rule)?;
        }
    }
    for taken in steps(tables) {
        for (row, _) in copies(tables, taken.step) {
            let place = action_place(row);
            let Some(name) = names.actions.get(row as usize).copied().flatten() else {
                return Err(missing(place, "action row", row));
            };
            class(place, name.class)?;
            attachment(place, name.to)?;
            if let Some(from) = name.from {
                attachment(place, from)?;
            }
        }
    }
    Ok(())
}
