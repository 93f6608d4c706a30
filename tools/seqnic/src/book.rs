//! Who is where, read from a table image: names for MACs, the interfaces' own MACs and VLANs.

use crate::rows::mac;
use seqnic_compiler::definition::Mac;
use seqnic_image::{Image, Names};
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{
    ATTACHMENT_ROW, HashSlot, INTERFACE_KEY, INTERFACE_VALUE, SOURCE_KEY, SOURCE_VALUE, Table,
};
use std::collections::HashMap;

/// Port and VLANs: one Ethernet segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Segment {
    port: u8,
    vids: [u16; 2],
}

/// A segment of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub interface: usize,
    /// Outer first.
    pub vlans: Vec<u16>,
    pub mac: Mac,
}

/// The address book of an image.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// By segment number, so that the interface's own comes before those of single devices.
    arrivals: Vec<(u32, Segment, Arrival)>,
    /// Attachment with a source MAC on a segment number.
    senders: HashMap<(u32, Mac), String>,
    /// Attachment frames with a destination MAC go to.
    receivers: HashMap<(Segment, Mac), String>,
}

fn vids(row: &Row, layout: &Layout) -> [u16; 2] {
    ["vid0", "vid1"].map(|f| row.field(layout, 0, f) as u16)
}

impl Book {
    pub fn new(image: &Image) -> Book {
        let mut book = Book::default();
        for (key, value) in entries(image, Table::Interface) {
            let vids = vids(&key, &INTERFACE_KEY);
            let segment = Segment {
                port: key.field(&INTERFACE_KEY, 0, "port") as u8,
                vids,
            };
            let number = value.field(&INTERFACE_VALUE, 0, "segment") as u32;
            let arrival = Arrival {
                interface: value.field(&INTERFACE_VALUE, 0, "interface") as usize,
                vlans: vids.into_iter().filter(|v| *v != 0).collect(),
                mac: mac(value.field(&INTERFACE_VALUE, 0, "mac")),
            };
            book.arrivals.push((number, segment, arrival));
        }
        book.arrivals
            .sort_by_key(|(number, segment, _)| (*number, *segment));
        let name = |n: u128| attachment(&image.names, n);
        for (key, value) in entries(image, Table::Source) {
            let segment = key.field(&SOURCE_KEY, 0, "segment") as u32;
            let mac = mac(key.field(&SOURCE_KEY, 0, "mac"));
            let sender = name(value.field(&SOURCE_VALUE, 0, "attachment"));
            book.senders.insert((segment, mac), sender);
        }
        let attachments = image.table(Table::Attachment);
        let versions = Table::Attachment.versions();
        for (row, words) in attachments.used() {
            if row % versions != image.epoch() {
                continue;
            }
            let row = Row::from_words(attachments.row_bits, words);
            let field = |f| row.field(&ATTACHMENT_ROW, 0, f);
            if field("valid") == 0 {
                continue;
            }
            let mut vids = vids(&row, &ATTACHMENT_ROW);
            for vid in vids.iter_mut().skip(field("tags") as usize) {
                *vid = 0;
            }
            let segment = Segment {
                port: field("port") as u8,
                vids,
            };
            let key = (segment, mac(field("dst_mac")));
            let receiver = name(field("counts"));
            book.receivers.entry(key).or_insert(receiver);
        }
        book
    }

    /// Segments of an interface, its own first.
    pub fn arrivals(&self, interface: usize) -> impl Iterator<Item = &Arrival> {
        let all = self.arrivals.iter().map(|(_, _, arrival)| arrival);
        all.filter(move |a| a.interface == interface)
    }

    /// Name of whoever sends on `port` with these VLANs and this source MAC.
    pub fn sender(&self, port: u8, vlans: &[u16], mac: Mac) -> Option<&str> {
        let segment = segment(port, vlans);
        let (number, ..) = self.arrivals.iter().find(|(_, s, _)| *s == segment)?;
        self.senders.get(&(*number, mac)).map(String::as_str)
    }

    /// Name of whoever frames with these VLANs and this destination MAC go to from `port`.
    pub fn receiver(&self, port: u8, vlans: &[u16], mac: Mac) -> Option<&str> {
        self.receivers
            .get(&(segment(port, vlans), mac))
            .map(String::as_str)
    }
}

fn segment(port: u8, vlans: &[u16]) -> Segment {
    let vid = |i: usize| vlans.get(i).copied().unwrap_or(0);
    Segment {
        port,
        vids: [vid(0), vid(1)],
    }
}

fn attachment(names: &Names, number: u128) -> String {
    let name = usize::try_from(number).ok();
    name.and_then(|n| names.attachments.get(n).cloned())
        .unwrap_or_else(|| format!("attachment {number}"))
}

/// Keys and values of a hash table.
fn entries(image: &Image, table: Table) -> Vec<(Row, Row)> {
    let (Some((key, value)), Some(size)) = (table.hash(), image.geometry.hash(table)) else {
        return Vec::new();
    };
    let slot = HashSlot { key, value };
    let (rows, epoch) = (image.table(table), image.epoch());
    rows.used()
        .flat_map(|(_, words)| {
            let row = Row::from_words(rows.row_bits, words);
            (0..size.slots)
                .filter_map(|s| slot.read(&row, s, epoch))
                .collect::<Vec<_>>()
        })
        .collect()
}
