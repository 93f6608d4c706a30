//! Images that contradict themselves are refused, with the place named; none makes the engine
//! panic.

use crate::frames::*;
use crate::images::*;
use proptest::prelude::*;
use seqnic_engine::{Engine, FrameIn};
use seqnic_image::{Image, TableRows};
use seqnic_model::{ImageEngine, LoadError, Tables};
use seqnic_spec::geometry::{ALVEO, EDGE};
use seqnic_spec::tables::*;

fn refused(change: impl FnOnce(&mut Image)) -> String {
    let mut image = sample();
    change(&mut image);
    Tables::load(&image).unwrap_err().to_string()
}

/// The sample's row with one field changed.
fn with(image: &mut Image, table: Table, row: u32, name: &str, value: u128) {
    let Kind::Direct { row: layout } = table.kind() else {
        panic!("not direct")
    };
    let row = image.row_of(table, row);
    let mut bits = image.table(table).row(row);
    bits.set_field(layout, 0, name, value);
    image.table_mut(table).put(row, &bits);
}

#[test]
fn sound_images_load() {
    Tables::load(&empty()).unwrap();
    Tables::load(&Image::empty(&ALVEO)).unwrap();
    ImageEngine::load(&sample()).unwrap();
}

#[test]
fn numbers_out_of_range_are_named() {
    let again = "; compile the definition again";
    for (table, row, field, value, must) in [
        (Table::Action, 1, "attachment", 256, "below 256"),
        (Table::Action, 3, "rewrite", 64, "below 64"),
        (Table::Action, 2, "port_field", 3, "0, 1 or 2"),
        (Table::Attachment, 1, "port", 4, "below 4"),
        (Table::Attachment, 1, "interface", 64, "below 64"),
        (Table::Attachment, 2, "tags", 3, "0, 1 or 2"),
        (
            Table::Attachment,
            1,
            "address",
            1 << 32,
            "below 2^32 in IPv4",
        ),
        (
            Table::Class,
            1,
            "forward_action",
            2047,
            "such that its 2 copies end before row 2048 of `action`",
        ),
        (Table::Rewrite, 7, "address", 1 << 100, "below 2^32 in IPv4"),
    ] {
        let error = refused(|i| with(i, table, row, field, value));
        // An attachment has a row for each epoch; the first is altered.
        let row = if table == Table::Attachment {
            row * 2
        } else {
            row
        };
        let place = format!("table `{}`, row {row}", table.name());
        assert_eq!(
            error,
            format!("{place}: field `{field}` is {value}, but must be {must}{again}")
        );
    }
    let error = refused(|i| put_range(i, 5, 3, &[("last", 9), ("class", 512)]));
    assert!(
        error.contains("table `range`, row 5, slot 3: field `class` is 512, but must be below 512"),
        "{error}"
    );
    let error = refused(|i| put_range(i, 5, 3, &[("first", 10), ("last", 9)]));
    assert!(
        error.contains("field `first` is 10, but must be at most the last port, 9"),
        "{error}"
    );
    let error = refused(|i| put_step(i, 1, 0, from(9), &[("action", 4094), ("copies", 3)]));
    assert!(error.contains("table `step`, row "), "{error}");
    let error = refused(|i| {
        put_hash(i, Table::Interface, &[("port", 4)], &[]);
    });
    assert!(
        error.contains("field `port` is 4, but must be below 4"),
        "{error}"
    );
    let error = refused(|i| {
        put_hash(i, Table::PortDstServer, &[("scope", 9)], &[("class", 5000)]);
    });
    assert!(
        error.contains("table `port_dst_server`, row ") && error.contains("class"),
        "{error}"
    );
    let rows = EDGE.range_rows;
    let ranges = [("range_valid", 1), ("range", rows.into())];
    let error = refused(|i| put_address(i, "10.9.9.9", &ranges));
    let expected = format!("field `range` is {rows}, but must be below {rows}");
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn attachments_that_are_not_in_use_are_named() {
    let error = refused(|i| with(i, Table::Attachment, 2, "valid", 0));
    assert!(
        error.contains("field `neighbour` is 2") || error.contains("field `attachment` is 2"),
        "{error}"
    );
    let error = refused(|i| with(i, Table::Action, 2, "attachment", 200));
    assert_eq!(
        error,
        "table `action`, row 2: field `attachment` is 200, but must be an attachment that is in \
         use (`valid`); compile the definition again"
    );
    // Copies past the stored rows are zero rows: attachment 0, which is in use here.
    let error = refused(|i| {
        with(i, Table::Attachment, 0, "valid", 0);
        with(i, Table::Class, 1, "forward_action", 2000);
    });
    assert!(error.contains("table `action`, row 2000"), "{error}");
}

#[test]
fn misplaced_and_doubled_keys_are_named() {
    // The row of the first used slot moved one bucket on.
    let mut image = sample();
    let table = image.table_mut(Table::Source);
    let (row, words) = table.used().map(|(r, w)| (r, w.to_vec())).next().unwrap();
    let width = table.row_bits;
    table.put(row, &seqnic_spec::layout::Row::zero(width));
    let moved = seqnic_spec::layout::Row::from_words(width, &words);
    table.put(row ^ 1, &moved);
    let error = Tables::load(&image).unwrap_err();
    assert!(
        matches!(error, LoadError::Misplaced { bucket, expected, .. } if bucket == expected ^ 1),
        "{error}"
    );

    let key = [("segment", 1), ("mac", u128::from(ROUTER_MAC))];
    let twice = |attachment| {
        let mut image = sample();
        put_hash(
            &mut image,
            Table::Source,
            &key,
            &[("attachment", attachment)],
        );
        Tables::load(&image)
    };
    assert!(
        twice(u128::from(ROUTER)).is_ok(),
        "what a move leaves for a moment"
    );
    assert!(matches!(twice(2).unwrap_err(), LoadError::Twice { .. }));
}

#[test]
fn seeds_are_odd() {
    let error = refused(|i| {
        // An empty way: the others' keys stay where they are.
        let used = i
            .table(Table::PortDstClient)
            .used()
            .map(|(row, _)| row)
            .max()
            .unwrap();
        assert!(used < EDGE.port_dst_client.rows);
        with(
            i,
            Table::Seed,
            Table::PortDstClient as u32 * 4 + 2,
            "seed",
            8,
        );
    });
    assert_eq!(
        error,
        "table `seed`, row 18: field `seed` is 8, but must be odd; compile the definition again"
    );
}

#[test]
fn families_do_not_mix() {
    let error = refused(|i| with(i, Table::Action, 1, "attachment", SERVER6.into()));
    assert!(error.contains("table `action`, row 1: packets of IPv4 get the IPv6 address of table `attachment`, row 6"), "{error}");
    let error = refused(|i| with(i, Table::Action, 6, "rewrite", 7));
    assert!(
        error.contains(
            "table `action`, row 6: packets of IPv6 get the IPv4 address of table `rewrite`, row 7"
        ),
        "{error}"
    );
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let error = refused(|i| i.tables.truncate(5));
    assert_eq!(
        error,
        "the image has no table `port_src_server` in place 5; write it again"
    );
    let error = refused(|i| i.tables.swap(1, 2));
    assert!(error.contains("no table `source` in place 1"), "{error}");
    let error = refused(|i| {
        i.tables[8] = TableRows {
            row_bits: 7,
            ..i.tables[8].clone()
        }
    });
    let bits = seqnic_spec::tables::CLASS_ROW.width();
    let said = format!("table `class` has bits in a row: 7, but geometry `edge` has {bits}");
    assert!(error.contains(&said), "{error}");
    let error = refused(|i| i.table_mut(Table::Attachment).words.push(0));
    assert!(
        error.contains("table `attachment` has a last row cut off"),
        "{error}"
    );
    let error = refused(|i| i.table_mut(Table::Class).words.resize(1026, 0));
    assert!(
        error.contains(
            "table `class` has more rows than there are: 513, but geometry `edge` has 512"
        ),
        "{error}"
    );
}

#[test]
fn numbers_without_a_name_are_named() {
    let refused = |change: fn(&mut Image)| {
        let mut image = sample();
        change(&mut image);
        ImageEngine::load(&image).unwrap_err().to_string()
    };
    let error = refused(|i| i.names.interfaces.truncate(2));
    assert!(
        error.contains("table `interface`, row ") && error.contains("interface 2 has no name"),
        "{error}"
    );
    let error = refused(|i| i.names.attachments.truncate(3));
    assert!(
        error.contains("table `attachment`, row 6: attachment 3 has no name"),
        "{error}"
    );
    let error = refused(|i| i.names.labels.truncate(2));
    assert!(error.contains("class 4 has no name"), "{error}");
    let error = refused(|i| i.names.actions[5] = None);
    assert!(
        error.contains("table `action`, row 5: action row 5 has no name"),
        "{error}"
    );
}

/// An image that differs from the sample in some words, at random.
fn spoiled() -> impl Strategy<Value = Image> {
    let change = (0..Table::ALL.len(), any::<prop::sample::Index>(), 0u32..64);
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        let mut image = sample();
        for (table, at, bit) in changes {
            let words = &mut image.tables[table].words;
            if !words.is_empty() {
                let at = at.index(words.len());
                words[at] ^= 1 << bit;
            }
        }
        image
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Either the image is refused, or every packet comes out once, as one frame to the host or
    /// as copies; nothing panics.
    #[test]
    fn spoiled_images(image in spoiled()) {
        let Ok(mut engine) = ImageEngine::load(&image) else { return Ok(()) };
        for (id, (port, frame)) in crate::engine::traffic().into_iter().enumerate() {
            let mut out = Vec::new();
            engine.push(FrameIn { id: id as u64, time: id as u64, port, frame: &frame }, &mut out).unwrap();
            prop_assert!(!out.is_empty());
            let text = seqnic_model::explain(engine.tables(), engine.names(), port, &frame);
            prop_assert!(text.to_string().contains("verdict"));
        }
        engine.counters().unwrap();
    }
}

#[test]
fn ports_of_the_geometry_are_a_bound() {
    let tables = Tables::load(&sample()).unwrap();
    let frame = Packet::new("192.0.2.1", SERVICE, TCP, tcp(1, 80, &[])).frame(&[]);
    let h = parse(&frame);
    for port in [EDGE.ports as u8, 16, 32, 255] {
        let verdict = seqnic_model::verdict::decide(&tables, port, &h, &mut ());
        assert_eq!(verdict.reason, seqnic_spec::reason::Reason::NoInterface);
    }
}
