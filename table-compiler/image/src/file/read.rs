//! Bytes -> image. Every length is compared with what is there before anything is done with it.

use super::{
    DIGEST_BYTES, Digest, FORMAT_VERSION, GEOMETRY_NAME_BYTES, HEADER_BYTES, ImageError, MAGIC,
    NAMES, RUN_BYTES, SECTION_BYTES, SECTIONS, geometry_digest, section_digest, spec_digest,
};
use crate::{Image, Names, TableRows};
use seqnic_spec::SPEC_VERSION;
use seqnic_spec::geometry::{self, Geometry};
use seqnic_spec::tables::Table;

/// Reads an image.
///
/// # Errors
/// [`ImageError`] for everything that is not exactly what [`write`](super::write) makes of an image of
/// this build.
pub fn read(bytes: &[u8]) -> Result<Image, ImageError> {
    let mut header = Cursor { bytes, at: 0 };
    let geometry = check_header(&mut header, bytes)?;
    let generation = header.u64();
    let end = bytes.len() - DIGEST_BYTES;
    check_digest(bytes, end)?;
    let sections = header.u32();
    if sections != SECTIONS {
        return Err(ImageError::SectionCount {
            expected: SECTIONS,
            found: sections,
        });
    }
    let mut body = Cursor {
        bytes: &bytes[..end],
        at: HEADER_BYTES,
    };
    let mut image = Image::empty(geometry);
    image.generation = generation;
    for table in Table::ALL {
        *image.table_mut(table) = read_table(&mut body, geometry, table)?;
    }
    image.names = read_names(&mut body)?;
    if body.left() > 0 {
        return Err(ImageError::SectionsEnd {
            expected: end as u64,
            found: body.at as u64,
        });
    }
    check_names(&image)?;
    Ok(image)
}

/// Reads an image for a card of `geometry`.
///
/// # Errors
/// As [`read`], and [`ImageError::OtherGeometry`] if it is made for another.
pub fn read_for(bytes: &[u8], geometry: &Geometry) -> Result<Image, ImageError> {
    let image = read(bytes)?;
    match image.geometry.name == geometry.name {
        true => Ok(image),
        false => Err(ImageError::OtherGeometry {
            expected: geometry.name,
            found: image.geometry.name,
        }),
    }
}

/// Takes numbers off the front; the caller has made sure they are there.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> &'b [u8] {
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N));
        array
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
}

/// Checks everything up to the digest of the geometry.
fn check_header(header: &mut Cursor, bytes: &[u8]) -> Result<&'static Geometry, ImageError> {
    let found = bytes.len() as u64;
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(start) {
        return Err(ImageError::NotAnImage {
            found: format!("`{}`", start.escape_ascii()),
        });
    }
    let least = HEADER_BYTES + DIGEST_BYTES;
    if bytes.len() < least {
        return Err(match start.is_empty() {
            true => ImageError::NotAnImage {
                found: String::from("nothing"),
            },
            false => ImageError::Truncated {
                expected: least as u64,
                found,
            },
        });
    }
    header.take(MAGIC.len());
    let format = header.u32();
    if format != FORMAT_VERSION {
        return Err(ImageError::FormatVersion {
            expected: FORMAT_VERSION,
            found: format,
        });
    }
    let expected = header.u64();
    if found < expected {
        return Err(ImageError::Truncated { expected, found });
    }
    if found > expected {
        return Err(ImageError::TrailingBytes { expected, found });
    }
    let spec = header.u32();
    if spec != SPEC_VERSION {
        return Err(ImageError::SpecVersion {
            expected: SPEC_VERSION,
            found: spec,
        });
    }
    let found = header.u32();
    if found != spec_digest() {
        return Err(ImageError::SpecDigest {
            expected: spec_digest(),
            found,
        });
    }
    let name: [u8; GEOMETRY_NAME_BYTES] = header.array();
    let length = name
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    let name = name[..length].escape_ascii().to_string();
    let geometry = geometry::by_name(&name).ok_or_else(|| {
        let known = geometry::KNOWN.map(|g| format!("`{}`", g.name));
        ImageError::UnknownGeometry {
            known: known.join(", "),
            found: name.clone(),
        }
    })?;
    let (expected, found) = (geometry_digest(geometry), header.u32());
    match expected == found {
        true => Ok(geometry),
        false => Err(ImageError::GeometryDigest {
            name,
            expected,
            found,
        }),
    }
}

fn check_digest(bytes: &[u8], end: usize) -> Result<(), ImageError> {
    let (content, said) = bytes.split_at(end);
    let mut expected = Digest([0; DIGEST_BYTES]);
    expected.0.copy_from_slice(said);
    let found = Digest::of(&[content]);
    match expected == found {
        true => Ok(()),
        false => Err(ImageError::Altered { expected, found }),
    }
}

/// Head of a section with its body, digest checked.
struct Section<'b> {
    row_bits: u32,
    rows: u32,
    body: &'b [u8],
}

fn section_name(number: u32) -> String {
    let table = u8::try_from(number).ok().and_then(Table::from_number);
    match table {
        Some(table) => format!("table `{}`", table.name()),
        None if number == NAMES => String::from("the names"),
        None => format!("section number {number}"),
    }
}

fn read_section<'b>(
    from: &mut Cursor<'b>,
    place: u32,
    number: u32,
) -> Result<Section<'b>, ImageError> {
    let section = section_name(number);
    let cut = |expected, found: usize| ImageError::SectionCut {
        section: section.clone(),
        expected,
        found: found as u64,
    };
    if from.left() < SECTION_BYTES {
        return Err(cut(SECTION_BYTES as u64, from.left()));
    }
    let found = from.u32();
    if found != number {
        return Err(ImageError::SectionOrder {
            place,
            expected: section,
            found: section_name(found),
        });
    }
    let (row_bits, rows, length) = (from.u32(), from.u32(), from.u64());
    let expected = Digest(from.array());
    if length > from.left() as u64 {
        return Err(cut(length, from.left()));
    }
    let body = from.take(length as usize);
    let found = section_digest(number, row_bits, body);
    if expected != found {
        return Err(ImageError::SectionAltered {
            section,
            expected,
            found,
        });
    }
    Ok(Section {
        row_bits,
        rows,
        body,
    })
}

fn read_table(
    from: &mut Cursor,
    geometry: &'static Geometry,
    table: Table,
) -> Result<TableRows, ImageError> {
    let section = read_section(from, table as u32, table as u32)?;
    let mut rows = TableRows::new(geometry, table);
    if section.row_bits != rows.row_bits {
        return Err(ImageError::RowBits {
            table: table.name(),
            expected: rows.row_bits,
            found: section.row_bits,
        });
    }
    if section.rows > geometry.rows(table) {
        return Err(ImageError::TooManyRows {
            table: table.name(),
            geometry: geometry.name,
            expected: geometry.rows(table),
            found: section.rows,
        });
    }
    rows.words = vec![0; section.rows as usize * rows.words_per_row()];
    let mut runs = Cursor {
        bytes: section.body,
        at: 0,
    };
    // The first row the next run may start at: behind a run there is a row that is zero.
    let mut free = 0;
    while runs.left() > 0 {
        free = read_run(&mut runs, &mut rows, section.rows, free)?;
    }
    Ok(rows)
}

/// Reads one run into `rows`; the first row another may start at.
fn read_run(
    runs: &mut Cursor,
    rows: &mut TableRows,
    stored: u32,
    free: u32,
) -> Result<u32, ImageError> {
    let table = rows.table.name();
    let words_per_row = rows.words_per_row();
    let bad = |row, expected, found| ImageError::BadRun {
        table,
        row,
        expected,
        found,
    };
    if runs.left() < RUN_BYTES {
        return Err(bad(free, "its first row and length", "the end of a run"));
    }
    let (first, count) = (runs.u32(), runs.u32());
    if first < free {
        return Err(bad(
            first,
            "a row behind the run before it",
            "a run that does not rise",
        ));
    }
    let end = u64::from(first) + u64::from(count);
    if count == 0 {
        return Err(bad(first, "at least one row", "an empty run"));
    }
    if end > u64::from(stored) {
        return Err(ImageError::RowOutOfRange {
            table,
            expected: stored,
            found: end - 1,
        });
    }
    if (runs.left() / 8 / words_per_row) < count as usize {
        return Err(bad(
            first,
            "as many rows as it says",
            "a run that is cut off",
        ));
    }
    let at = first as usize * words_per_row;
    let into = &mut rows.words[at..at + count as usize * words_per_row];
    for word in into.iter_mut() {
        *word = runs.u64();
    }
    let row_bits = rows.row_bits;
    let spare = words_per_row as u32 * 64 - row_bits;
    for (row, words) in (first..).zip(into.chunks_exact(words_per_row)) {
        if words.iter().all(|w| *w == 0) {
            return Err(bad(row, "a row that is not zero", "a zero row"));
        }
        if spare > 0 && words[words_per_row - 1] >> (64 - spare) != 0 {
            return Err(ImageError::StrayBits {
                table,
                row,
                expected: row_bits,
            });
        }
    }
    Ok(first + count + 1)
}

fn read_names(from: &mut Cursor) -> Result<Names, ImageError> {
    let section = read_section(from, SECTIONS - 1, NAMES)?;
    let unreadable = |what: String| ImageError::NamesUnreadable { what };
    if (section.row_bits, section.rows) != (0, 0) {
        return Err(unreadable(format!(
            "they say they have {} rows of {} bits",
            section.rows, section.row_bits
        )));
    }
    let (names, left) = postcard::take_from_bytes::<Names>(section.body)
        .map_err(|e| unreadable(format!("reading their {} bytes: {e}", section.body.len())))?;
    if !left.is_empty() {
        return Err(unreadable(format!("{} bytes are left over", left.len())));
    }
    // Numbers can be written longer than needed; an image has one file only.
    match postcard::to_stdvec(&names) {
        Ok(shortest) if shortest == section.body => Ok(names),
        _ => Err(unreadable(String::from(
            "they are not in their shortest form",
        ))),
    }
}

/// Whether every number in the names names something, and every row that is counted has a name.
fn check_names(image: &Image) -> Result<(), ImageError> {
    let (names, geometry) = (&image.names, image.geometry);
    let mismatch = |what: String, expected: usize, found: usize| {
        Err(ImageError::NamesMismatch {
            what,
            expected: expected as u64,
            found: found as u64,
        })
    };
    if names.interfaces.len() > geometry.interfaces as usize {
        let room = geometry.interfaces as usize;
        return mismatch("number of interfaces".into(), room, names.interfaces.len());
    }
    for i in &names.interfaces {
        if u32::from(i.port) >= geometry.ports {
            let what = format!("port of interface `{}`", i.name.escape_debug());
            return mismatch(what, geometry.ports as usize, i.port.into());
        }
    }
    for (table, named) in [
        (Table::Class, names.classes.len()),
        (Table::Action, names.actions.len()),
        (Table::Attachment, names.attachments.len()),
    ] {
        let stored = image.table(table).rows().div_ceil(table.versions()) as usize;
        if named < stored {
            let what = format!("number of names of rows in table `{}`", table.name());
            return mismatch(what, stored, named);
        }
        let room = geometry.numbers(table) as usize;
        if named > room {
            let what = format!("number of names of rows in table `{}`", table.name());
            return mismatch(what, room, named);
        }
    }
    if names.roles.len() != names.attachments.len() {
        let what = String::from("number of roles of attachments");
        return mismatch(what, names.attachments.len(), names.roles.len());
    }
    // Row 0 of `class` and `action` is unused.
    for (number, class) in names.classes.iter().enumerate().skip(1) {
        if class.service as usize >= names.services.len() {
            let what = format!("service of class {number}");
            return mismatch(what, names.services.len(), class.service as usize);
        }
        if class.label as usize >= names.labels.len() {
            let what = format!("label of class {number}");
            return mismatch(what, names.labels.len(), class.label as usize);
        }
    }
    for (number, action) in names.actions.iter().enumerate() {
        let Some(action) = action else { continue };
        if action.class as usize >= names.classes.len() {
            let what = format!("class of action {number}");
            return mismatch(what, names.classes.len(), action.class as usize);
        }
        let attachments = [("sender", action.from), ("target", Some(action.to))];
        for (what, attachment) in attachments {
            let attachment = attachment.unwrap_or(0) as usize;
            if attachment >= names.attachments.len() {
                let what = format!("{what} of action {number}");
                return mismatch(what, names.attachments.len(), attachment);
            }
        }
    }
    Ok(())
}
