//! A small image, and its file taken apart.

#![allow(dead_code)]

use seqnic_image::names::{ActionName, ClassName, Direction, InterfaceName};
use seqnic_image::{Image, write};
use seqnic_spec::geometry::EDGE;
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;
use sha2::{Digest, Sha256};

/// Rows in several tables, one and two runs, and a name for everything.
pub fn sample() -> Image {
    let mut image = Image::empty(&EDGE);
    image.generation = 42;
    let mut put = |table, row, words: &[u64]| {
        let rows = image.table_mut(table);
        let value = Row::from_words(rows.row_bits, words);
        rows.put(row, &value);
    };
    put(Table::Step, 6, &[7]);
    put(Table::Step, 2000, &[1]);
    put(Table::Class, 1, &[0x11]);
    put(Table::Class, 2, &[0]);
    put(Table::Action, 1, &[2]);
    put(Table::Attachment, 0, &[1, 2, 3, 4, 5]);
    put(Table::Attachment, 2, &[9]);
    put(Table::Seed, 36, &[0x1234_5679]);
    put(Table::Seed, 37, &[0x9e37_79b9]);
    // Every slot of row 5 is in use.
    let rows = image.table_mut(Table::Step);
    let mut row = Row::zero(rows.row_bits);
    for slot in 0..EDGE.step.slots {
        row.set(slot * Table::Step.slot_bits(), 3, 3);
    }
    rows.put(5, &row);
    let names = &mut image.names;
    names.definition = "sample".into();
    names.interfaces = vec![InterfaceName {
        name: "i0".into(),
        port: 3,
    }];
    names.attachments = vec!["router".into(), "server".into()];
    names.roles = vec![String::new(); 2];
    names.services = vec!["W1".into()];
    names.labels = vec!["tcp/80".into()];
    let class = |n| ClassName {
        service: n,
        label: n,
        place: 0,
    };
    names.classes = vec![class(u32::MAX), class(0), class(0)];
    names.actions = vec![
        None,
        Some(ActionName {
            class: 1,
            direction: Direction::Forward,
            from: None,
            to: 1,
        }),
    ];
    image
}

pub struct Section {
    pub number: u32,
    pub row_bits: u32,
    pub rows: u32,
    pub body: Vec<u8>,
}

/// A file taken apart by the table in `seqnic_image::file`.
pub struct Parts {
    pub header: Vec<u8>,
    pub sections: Vec<Section>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Parts {
    pub fn of(image: &Image) -> Parts {
        let bytes = write(image);
        let mut sections = Vec::new();
        let mut at = 60;
        while at < bytes.len() - 32 {
            let length = u64::from_le_bytes(bytes[at + 12..at + 20].try_into().unwrap()) as usize;
            sections.push(Section {
                number: u32_at(&bytes, at),
                row_bits: u32_at(&bytes, at + 4),
                rows: u32_at(&bytes, at + 8),
                body: bytes[at + 52..at + 52 + length].to_vec(),
            });
            at += 52 + length;
        }
        Parts {
            header: bytes[..60].to_vec(),
            sections,
        }
    }

    pub fn section(&mut self, table: Table) -> &mut Section {
        &mut self.sections[table as usize]
    }

    pub fn names(&mut self) -> &mut Section {
        self.sections.last_mut().unwrap()
    }

    /// The file again, with digests that hold.
    pub fn sealed(&self) -> Vec<u8> {
        let mut out = self.header.clone();
        for s in &self.sections {
            let mut hash = Sha256::new();
            hash.update(s.number.to_le_bytes());
            hash.update(s.row_bits.to_le_bytes());
            hash.update(&s.body);
            for number in [s.number, s.row_bits, s.rows] {
                out.extend(number.to_le_bytes());
            }
            out.extend((s.body.len() as u64).to_le_bytes());
            out.extend(hash.finalize());
            out.extend(&s.body);
        }
        seal(out)
    }
}

/// Gives a file without its trailer the right length and trailer.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = bytes.len() as u64 + 32;
    bytes[12..20].copy_from_slice(&length.to_le_bytes());
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// A file without its trailer.
pub fn open(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 32].to_vec()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
