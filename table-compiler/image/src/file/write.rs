//! Image -> bytes.

use super::{
    DIGEST_BYTES, Digest, FORMAT_VERSION, GEOMETRY_NAME_BYTES, MAGIC, NAMES, SECTION_BYTES,
    SECTIONS, geometry_digest, section_digest, spec_digest,
};
use crate::{Image, TableRows};
use seqnic_spec::SPEC_VERSION;

/// Writes an image; the same image gives the same bytes.
pub fn write(image: &Image) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(FORMAT_VERSION.to_le_bytes());
    let length_at = out.len();
    out.extend(0u64.to_le_bytes());
    out.extend(SPEC_VERSION.to_le_bytes());
    out.extend(spec_digest().to_le_bytes());
    let mut name = [0; GEOMETRY_NAME_BYTES];
    for (to, from) in name.iter_mut().zip(image.geometry.name.bytes()) {
        *to = from;
    }
    out.extend(name);
    out.extend(geometry_digest(image.geometry).to_le_bytes());
    out.extend(image.generation.to_le_bytes());
    out.extend(SECTIONS.to_le_bytes());
    for rows in &image.tables {
        section(
            &mut out,
            rows.table as u32,
            rows.row_bits,
            rows.rows(),
            |out| {
                runs(rows, out);
            },
        );
    }
    section(&mut out, NAMES, 0, 0, |out| {
        // Serialising into memory cannot fail: the names have no map with unknown length and no
        // type postcard does not know.
        if let Ok(names) = postcard::to_stdvec(&image.names) {
            out.extend(names);
        }
    });
    let length = (out.len() + DIGEST_BYTES) as u64;
    out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
    let digest = Digest::of(&[&out]);
    out.extend(digest.0);
    out
}

/// Appends a section whose body `write` appends.
fn section(
    out: &mut Vec<u8>,
    number: u32,
    row_bits: u32,
    rows: u32,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.resize(start + SECTION_BYTES, 0);
    write(out);
    let body = &out[start + SECTION_BYTES..];
    let length = body.len() as u64;
    let digest = section_digest(number, row_bits, body);
    let mut head = Vec::with_capacity(SECTION_BYTES);
    head.extend(number.to_le_bytes());
    head.extend(row_bits.to_le_bytes());
    head.extend(rows.to_le_bytes());
    head.extend(length.to_le_bytes());
    head.extend(digest.0);
    out[start..start + SECTION_BYTES].copy_from_slice(&head);
}

/// Appends the runs of rows that are not zero.
pub(super) fn runs(rows: &TableRows, out: &mut Vec<u8>) {
    let words_per_row = rows.words_per_row();
    // Where the count of the run in hand stands, its first row, its rows so far.
    let mut run: Option<(usize, u32, u32)> = None;
    let close = |out: &mut Vec<u8>, run: Option<(usize, u32, u32)>| {
        if let Some((at, _, count)) = run {
            out[at..at + 4].copy_from_slice(&count.to_le_bytes());
        }
    };
    for (number, words) in rows.words.chunks_exact(words_per_row).enumerate() {
        if words.iter().all(|w| *w == 0) {
            close(out, run.take());
            continue;
        }
        let open = run.get_or_insert_with(|| {
            let first = number as u32;
            out.extend(first.to_le_bytes());
            out.extend(0u32.to_le_bytes());
            (out.len() - 4, first, 0)
        });
        open.2 += 1;
        for word in words {
            out.extend(word.to_le_bytes());
        }
    }
    close(out, run);
}
