//! What holds for the whole card: addresses it knows, who sends, what ports take off, DSCPs, limits, queues.

use super::super::Delta;
use super::service::{address, attachment, entries};
use super::{Change, field, mac, rates, segment, tags};
use seqnic_image::Image;
use seqnic_spec::layout::Row;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::{
    ADDRESS_KEY, ADDRESS_VALUE, DECAP_ROW, DSCP_ROW, INTERFACE_KEY, INTERFACE_VALUE, OUTPUT_QUEUES,
    QUEUE_ROW, SOURCE_KEY, SOURCE_VALUE, Table,
};
use std::collections::BTreeSet;

pub fn changes(old: &Image, new: &Image, delta: &Delta) -> Vec<Change> {
    let mut found = Vec::new();
    let keys = |table| delta.keys.iter().filter(move |k| k.table == table);
    let mut put = |what: String, before: Option<String>, after: Option<String>| {
        if before != after {
            found.push(Change {
                what,
                before,
                after,
            });
        }
    };
    for key in keys(Table::Address) {
        let get = |f| Row::from_words(ADDRESS_KEY.width(), &key.key).field(&ADDRESS_KEY, 0, f);
        let at = address(get("v6") == 1, get("address"));
        let known = |image: &Image, value: &Option<[u64; 2]>| known(image, value.as_ref()?);
        let (before, after) = (known(old, &key.was), known(new, &key.now));
        put(format!("address {at}"), before, after);
    }
    for key in keys(Table::Source) {
        let (before, after) = (sender(old, &key.was), sender(new, &key.now));
        let image = if after.is_some() { new } else { old };
        let sender = mac(field(&key.key, &SOURCE_KEY, "mac").into());
        let at = place(image, field(&key.key, &SOURCE_KEY, "segment"));
        put(format!("sender {sender} on {at}"), before, after);
    }
    for table in [Table::Decap, Table::Dscp, Table::HostLimit, Table::Queue] {
        let words = delta.words.iter().filter(|w| w.table == table);
        let numbers: BTreeSet<u32> = words.map(|w| w.row / table.versions()).collect();
        for number in numbers {
            let [(what, before), (_, after)] = [old, new].map(|image| {
                let row = image.table(table).row(image.row_of(table, number));
                fixed(image, table, number, &row)
            });
            put(what, Some(before), Some(after));
        }
    }
    found
}

/// What an address is besides one of services.
fn known(image: &Image, value: &[u64; 2]) -> Option<String> {
    let get = |name| field(value, &ADDRESS_VALUE, name);
    let mut parts = Vec::new();
    if get("local") == 1 {
        parts.push(String::from("the engine's own"));
    }
    if get("neighbour_valid") == 1 {
        let name = attachment(image, get("neighbour") as u32);
        parts.push(format!("neighbour {name}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn sender(image: &Image, value: &Option<[u64; 2]>) -> Option<String> {
    let number = field(value.as_ref()?, &SOURCE_VALUE, "attachment") as u32;
    Some(attachment(image, number))
}

/// Port and VLANs of a segment.
fn place(image: &Image, number: u64) -> String {
    let mut all = entries(image, Table::Interface);
    let found = all.find(|(_, value)| value.field(&INTERFACE_VALUE, 0, "segment") as u64 == number);
    match found {
        None => format!("segment {number}"),
        Some((key, _)) => {
            let get = |f| key.field(&INTERFACE_KEY, 0, f) as u16;
            let vlans = [get("vid0"), get("vid1")].into_iter();
            let vlans: Vec<u16> = vlans.filter(|v| *v != 0).collect();
            segment(get("port") as u8, &vlans)
        }
    }
}

/// A row of something the card itself numbers: what it is of, and what it says.
fn fixed(image: &Image, table: Table, number: u32, row: &Row) -> (String, String) {
    match table {
        Table::Dscp => {
            let priority = row.field(&DSCP_ROW, 0, "priority");
            (
                format!("DSCP {number} where it is trusted"),
                format!("priority {priority}"),
            )
        }
        Table::HostLimit => {
            let reason = u8::try_from(number).ok().and_then(Reason::from_code);
            let reason = reason.map_or("unused", Reason::name);
            (format!("to the host, `{reason}`"), rates::host(row))
        }
        Table::Queue => {
            let (port, queue) = (number / OUTPUT_QUEUES, number % OUTPUT_QUEUES);
            let port = match port == image.geometry.host_port() {
                true => String::from("the host"),
                false => format!("port {port}"),
            };
            let get = |f| row.field(&QUEUE_ROW, 0, f);
            let share = match get("strict") {
                1 => String::from("strict"),
                _ => format!("weight {}", get("weight").max(1)),
            };
            (format!("queue {queue} of {port}"), share)
        }
        _ => {
            let get = |f| row.field(&DECAP_ROW, 0, f);
            let taken = tags(get("accepts") as u32);
            let mut text = match taken.is_empty() {
                true => String::from("nothing is taken off"),
                false => format!("takes off {}", taken.join(", ")),
            };
            for (valid, at, v6) in [("v4_valid", "v4", false), ("v6_valid", "v6", true)] {
                if get(valid) == 1 {
                    text += &format!(", tunnels end at {}", address(v6, get(at)));
                }
            }
            (format!("headers at port {number}"), text)
        }
    }
}
