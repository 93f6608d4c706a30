//! What is wrong with an image that cannot be run.

use seqnic_spec::geometry::BadGeometry;
use seqnic_spec::tables::Table;
use std::fmt;

/// A place in a table: row, and slot where rows have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub table: Table,
    pub row: u32,
    pub slot: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "table `{}`, row {}", self.table.name(), self.row)?;
        match self.slot {
            Some(slot) => write!(f, ", slot {slot}"),
            None => Ok(()),
        }
    }
}

/// An image that contradicts itself or its geometry. Compilers do not make such images: compile
/// the definition again, with the compiler of the same version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Geometry(#[from] BadGeometry),

    #[error("the image has no table `{}` in place {}; write it again", table.name(), *table as u8)]
    NoTable { table: Table },

    #[error("table `{}` has {what} {value}, but geometry `{geometry}` has {must}; compile for that geometry", table.name())]
    Shape {
        table: Table,
        geometry: &'static str,
        what: &'static str,
        value: u64,
        must: u64,
    },

    #[error(
        "{place}: field `{field}` is {value}, but must be {must}; compile the definition again"
    )]
    Field {
        place: Place,
        field: &'static str,
        value: u128,
        must: String,
    },

    #[error(
        "{place}: a key stands in bucket {bucket}, but its digest {digest:#010x} and the seed \
         {seed:#010x} of way {way} say bucket {expected}; compile the definition again"
    )]
    Misplaced {
        place: Place,
        way: u32,
        digest: u32,
        seed: u32,
        bucket: u32,
        expected: u32,
    },

    #[error(
        "{place}: the key stands in row {other} too, with another value; compile the definition again"
    )]
    Twice { place: Place, other: u32 },

    #[error(
        "{place}: packets of IPv{packets} get the IPv{address} address of table `{}`, row {row}; \
         compile the definition again", from.name()
    )]
    Family {
        place: Place,
        packets: u8,
        address: u8,
        from: Table,
        row: u32,
    },

    #[error("{place}: {what} {number} has no name in the image; compile the definition again")]
    NoName {
        place: Place,
        what: &'static str,
        number: u32,
    },
}
