//! Images come back from their files as they were, and nothing else does.

mod common;

use common::sample;
use seqnic_image::{Image, inspect, read, read_for, write};
use seqnic_spec::geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;

#[test]
fn what_is_written_is_read() {
    for geometry in geometry::ALL {
        let mut image = Image::empty(geometry);
        assert_eq!(read(&write(&image)).unwrap(), image);
        // The first and last row of every table, all bits set.
        for table in Table::ALL {
            let bits = geometry.row_bits(table);
            let ones = Row::from_words(bits, &[u64::MAX; 8]);
            image.table_mut(table).put(geometry.rows(table) - 1, &ones);
            image.table_mut(table).put(0, &ones);
        }
        let n = |table| geometry.rows(table) as usize;
        image.names = sample().names;
        let class = image.names.classes[1].clone();
        image.names.classes.resize(n(Table::Class), class);
        image.names.actions.resize(n(Table::Action), None);
        image
            .names
            .attachments
            .resize(geometry.attachment_rows as usize, "a".into());
        let attachments = image.names.attachments.len();
        image.names.roles.resize(attachments, String::new());
        image.generation = u64::MAX;
        let bytes = write(&image);
        assert_eq!(read_for(&bytes, geometry).unwrap(), image);
        assert_eq!(bytes, write(&image), "the same image, the same bytes");
    }
}

#[test]
fn a_digest_is_that_of_the_rows_not_of_how_they_are_kept() {
    let image = sample();
    let mut padded = sample();
    padded.table_mut(Table::Step).words.extend([0; 30]);
    assert_eq!(image.digest(Table::Step), padded.digest(Table::Step));
    let mut moved = sample();
    let row = moved.table(Table::Step).row(5);
    let zero = Row::zero(row.width());
    moved.table_mut(Table::Step).put(5, &zero);
    moved.table_mut(Table::Step).put(4, &row);
    assert_ne!(image.digest(Table::Step), moved.digest(Table::Step));
    let empty = Image::empty(image.geometry);
    assert_ne!(
        empty.digest(Table::PortDstServer),
        empty.digest(Table::PortSrcServer)
    );
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let good = write(&sample());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(read(&bytes).is_err(), "byte {at}");
        assert!(read(&good[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn inspect_says_what_is_in_it() {
    let image = sample();
    let summary = inspect(&image);
    let step = &summary.tables[Table::Step as usize];
    let keys = step.keys.as_ref().unwrap();
    // The slot of rows 5, 6 and 2000.
    assert_eq!((step.rows_used, keys.used, keys.fullest_bucket), (3, 3, 1));
    assert_eq!(keys.seeds, [0x1234_5679, 0x9e37_79b9, 0, 0]);
    assert_eq!(keys.capacity, 2048);
    assert_eq!(summary.names.classes, 2);
    let text = summary.to_string();
    assert!(text.starts_with("sample, generation 42\n"), "{text}");
    let digest = image.digest(Table::Step).to_string();
    let line = text.lines().find(|l| l.starts_with("step ")).unwrap();
    assert!(line.contains(&digest[..12]) && line.ends_with("12345679 9e3779b9 00000000 00000000"));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["tables"][Table::Step as usize]["digest"], digest);
}
