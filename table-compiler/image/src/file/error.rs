//! Why a file is no image this build can use.

use super::Digest;
use thiserror::Error;

/// Each names what was expected, what was found, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageError {
    #[error(
        "this is no table image: it starts with {found}, an image with `SEQNICIM`; give a file written by `seqnic compile`"
    )]
    NotAnImage { found: String },
    #[error(
        "the image is cut off: {expected} bytes expected, {found} found; copy or compile it again"
    )]
    Truncated { expected: u64, found: u64 },
    #[error(
        "the image goes on behind its end: {expected} bytes expected, {found} found; copy or compile it again"
    )]
    TrailingBytes { expected: u64, found: u64 },
    #[error(
        "the image has file format {found}, this build reads format {expected}; compile it with the compiler of this build"
    )]
    FormatVersion { expected: u32, found: u32 },
    #[error(
        "the image is made for specification {found}, this build has specification {expected}; compile it with the compiler of this build"
    )]
    SpecVersion { expected: u32, found: u32 },
    #[error(
        "the image's tables are laid out by specification digest {found:08x}, this build's by {expected:08x}; compile it with the compiler of this build"
    )]
    SpecDigest { expected: u32, found: u32 },
    #[error(
        "the image is made for geometry `{found}`, this build knows {known}; compile it for one of those"
    )]
    UnknownGeometry { known: String, found: String },
    #[error(
        "the image is made for a geometry `{name}` with digest {found:08x}, this build's has {expected:08x}: their tables differ in size; compile it with the compiler of this build"
    )]
    GeometryDigest {
        name: String,
        expected: u32,
        found: u32,
    },
    #[error(
        "the image is made for geometry `{found}`, the card has `{expected}`; set `geometry: {expected}` in the definition and compile again"
    )]
    OtherGeometry {
        expected: &'static str,
        found: &'static str,
    },
    #[error(
        "the image was altered: its SHA-256 is {found}, it says {expected}; copy or compile it again"
    )]
    Altered { expected: Digest, found: Digest },
    #[error(
        "the image says it has {found} sections, this build reads {expected}; it was not written by this compiler: compile it again"
    )]
    SectionCount { expected: u32, found: u32 },
    #[error(
        "section {place} of the image should be {expected}, but is {found}; it was not written by this compiler: compile it again"
    )]
    SectionOrder {
        place: u32,
        expected: String,
        found: String,
    },
    #[error(
        "{section} should have {expected} bytes, but {found} are left; it was not written by this compiler: compile it again"
    )]
    SectionCut {
        section: String,
        expected: u64,
        found: u64,
    },
    #[error(
        "sections of the image end at byte {found}, its digest starts at byte {expected}; it was not written by this compiler: compile it again"
    )]
    SectionsEnd { expected: u64, found: u64 },
    #[error(
        "rows of table `{table}` have {found} bits in the image, {expected} in this build; compile it with the compiler of this build"
    )]
    RowBits {
        table: &'static str,
        expected: u32,
        found: u32,
    },
    #[error(
        "table `{table}` has {found} rows in the image, at most {expected} in geometry `{geometry}`; compile it with the compiler of this build"
    )]
    TooManyRows {
        table: &'static str,
        geometry: &'static str,
        expected: u32,
        found: u32,
    },
    #[error(
        "table `{table}` has row {found} in the image, but says it ends before row {expected}; it was not written by this compiler: compile it again"
    )]
    RowOutOfRange {
        table: &'static str,
        expected: u32,
        found: u64,
    },
    #[error(
        "table `{table}`: {found} at row {row}, expected {expected}; it was not written by this compiler: compile it again"
    )]
    BadRun {
        table: &'static str,
        row: u32,
        expected: &'static str,
        found: &'static str,
    },
    #[error(
        "row {row} of table `{table}` has bits behind its {expected} bits; it was not written by this compiler: compile it again"
    )]
    StrayBits {
        table: &'static str,
        row: u32,
        expected: u32,
    },
    #[error(
        "{section} was altered: its SHA-256 is {found}, it says {expected}; copy or compile it again"
    )]
    SectionAltered {
        section: String,
        expected: Digest,
        found: Digest,
    },
    #[error("the names of the image are no names: {what}; compile it again")]
    NamesUnreadable { what: String },
    #[error(
        "the names of the image do not match its tables: {what} is {found}, but there are {expected}; compile it again"
    )]
    NamesMismatch {
        what: String,
        expected: u64,
        found: u64,
    },
}
