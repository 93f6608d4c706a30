//! The file form of an image.
//!
//! All numbers are little endian. The form is canonical: an image has exactly one file.
//!
//! | bytes | field |
//! | --- | --- |
//! | 8 | magic `SEQNICIM` |
//! | 4 | version of this form ([`FORMAT_VERSION`]) |
//! | 8 | length of the file |
//! | 4 | version of the specification (`seqnic_spec::SPEC_VERSION`) |
//! | 4 | its digest (`seqnic_spec::reference::spec_digest`) |
//! | 16 | name of the geometry, padded with zeroes |
//! | 4 | digest of the geometry ([`geometry_digest`]) |
//! | 8 | generation |
//! | 4 | number of sections |
//! | | a section for each table in the order of their numbers, then the names |
//! | 32 | SHA-256 of everything before |
//!
//! A section:
//!
//! | bytes | field |
//! | --- | --- |
//! | 4 | number of the table, or [`NAMES`] |
//! | 4 | bits of a row; 0 for the names |
//! | 4 | rows stored; 0 for the names |
//! | 8 | length of the body |
//! | 32 | SHA-256 of table number, bits of a row and body |
//! | | body |
//!
//! The body of a table is a list of runs of rows that are not zero: number of the first row (4
//! bytes), number of rows (4 bytes), the rows as 64-bit words. Runs rise and do not touch. The body
//! of the names is [`Names`](crate::Names) in postcard's encoding.

mod error;
mod read;
mod write;

pub use error::ImageError;
pub use read::{read, read_for};
pub use write::write;

use crate::TableRows;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reference;
use seqnic_spec::tables::Table;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::OnceLock;

pub const MAGIC: [u8; 8] = *b"SEQNICIM";
/// Version of the file form. Raised on every change an older reader would misread.
pub const FORMAT_VERSION: u32 = 2;
/// Section number of the names.
pub const NAMES: u32 = u32::MAX;

/// Bytes in front of the first section.
const HEADER_BYTES: usize = 60;
/// Bytes of a section in front of its body.
const SECTION_BYTES: usize = 52;
/// Bytes of a run in front of its rows.
const RUN_BYTES: usize = 8;
const GEOMETRY_NAME_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
const SECTIONS: u32 = Table::ALL.len() as u32 + 1;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl Digest {
    fn of(parts: &[&[u8]]) -> Digest {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Digest(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// CRC-32C of a geometry's sizes: two builds with equal digests have the same tables.
pub fn geometry_digest(geometry: &Geometry) -> u32 {
    geometry.digest()
}

fn spec_digest() -> u32 {
    static DIGEST: OnceLock<u32> = OnceLock::new();
    *DIGEST.get_or_init(reference::spec_digest)
}

/// Digest of a section's head and body.
fn section_digest(number: u32, row_bits: u32, body: &[u8]) -> Digest {
    Digest::of(&[&number.to_le_bytes(), &row_bits.to_le_bytes(), body])
}

/// Digest of a table's rows: SHA-256 of its number and the bits of a row (4 bytes each, little
/// endian), then its runs as they stand in the file. Rows that are zero do not count.
pub(crate) fn table_digest(rows: &TableRows) -> Digest {
    let mut body = Vec::new();
    write::runs(rows, &mut body);
    section_digest(rows.table as u32, rows.row_bits, &body)
}
