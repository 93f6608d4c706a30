//! Every way an image can be wrong is refused by name. The list, with the messages people see, is
//! `tests/broken-images/messages.txt`; `UPDATE_GOLDEN=1 cargo test` writes it anew.

mod common;

use common::{Parts, open, sample, seal};
use seqnic_image::{Image, ImageError, read, read_for, write};
use seqnic_spec::geometry::{ALVEO, EDGE};
use seqnic_spec::tables::Table;
use std::fmt::Write as _;
use std::path::Path;

type Damage = (&'static str, fn(&mut Vec<u8>));

/// A change of the file taken apart, put together again with digests that hold.
fn sealed(change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::of(&sample());
    change(&mut parts);
    parts.sealed()
}

fn named(change: impl FnOnce(&mut Image)) -> Vec<u8> {
    let mut image = sample();
    change(&mut image);
    write(&image)
}

const STEP: usize = Table::Step as usize;

fn damages() -> Vec<Damage> {
    vec![
        ("an empty file", |b| b.clear()),
        ("a PNG picture", |b| {
            *b = b"\x89PNG\r\n\x1a\n and so on".to_vec();
        }),
        ("a copy that ends in the header", |b| b.truncate(40)),
        ("the last byte is missing", |b| b.truncate(b.len() - 1)),
        ("a line end behind the image", |b| b.push(b'\n')),
        ("another version of the file format", |b| b[8] = 3),
        ("another version of the specification", |b| b[20] = 9),
        ("another layout of the tables", |b| b[24] ^= 0x10),
        ("a geometry nobody knows", |b| {
            b[28..34].copy_from_slice(b"stratx");
        }),
        ("a name of a geometry that is no text", |b| b[28] = 0xff),
        ("a geometry of the same name with other sizes", |b| {
            b[44] ^= 1
        }),
        ("a bit of a row has flipped", |b| {
            let middle = b.len() / 2;
            b[middle] ^= 4;
        }),
        ("a bit of the digest has flipped", |b| {
            let last = b.len() - 1;
            b[last] ^= 1;
        }),
        ("a generation other than it was made with", |b| b[48] ^= 1),
        ("fewer sections than tables", |b| {
            *b = sealed(|p| p.header[56] = 3);
        }),
        ("two sections in the wrong order", |b| {
            *b = sealed(|p| p.sections.swap(STEP, STEP + 1));
        }),
        ("a section of no table", |b| {
            *b = sealed(|p| p.sections[STEP].number = 77);
        }),
        ("the names are missing", |b| {
            *b = sealed(|p| drop(p.sections.pop()));
        }),
        ("a section longer than the file", |b| {
            let at = open(b).len() - Parts::of(&sample()).names().body.len() - 52;
            b[at + 12..at + 20].copy_from_slice(&u64::MAX.to_le_bytes());
            *b = seal(open(b));
        }),
        (
            "a section that was altered, the file's digest set right",
            |b| {
                b[60 + 52 * (STEP + 1) + 20] ^= 1;
                *b = seal(open(b));
            },
        ),
        ("bytes between the names and the digest", |b| {
            let mut bytes = open(b);
            bytes.extend([0; 8]);
            *b = seal(bytes);
        }),
        ("rows of another width", |b| {
            *b = sealed(|p| p.section(Table::Step).row_bits = 64);
        }),
        ("more rows than the geometry has", |b| {
            *b = sealed(|p| p.section(Table::Step).rows = 2049);
        }),
        ("a row behind the last", |b| {
            *b = sealed(|p| p.section(Table::Step).rows = 2000);
        }),
        ("a row number that overflows", |b| {
            *b = sealed(|p| p.section(Table::Step).body[..8].fill(0xff));
        }),
        ("a run of no rows", |b| {
            *b = sealed(|p| p.section(Table::Step).body[4] = 0);
        }),
        ("runs that touch", |b| {
            *b = sealed(|p| {
                // The last run: its head of 8 bytes, and its row.
                let row = EDGE.row_bits(Table::Step).div_ceil(64) as usize * 8;
                let last = p.section(Table::Step).body.len() - (8 + row);
                p.section(Table::Step).body[last..last + 4].copy_from_slice(&7u32.to_le_bytes());
            });
        }),
        ("a run with half a row", |b| {
            *b = sealed(|p| {
                let body = &mut p.section(Table::Step).body;
                body.truncate(body.len() - 12);
            });
        }),
        ("a run with half a head", |b| {
            *b = sealed(|p| p.section(Table::Step).body.extend([0; 5]));
        }),
        ("a row of zeroes in a run", |b| {
            *b = sealed(|p| p.section(Table::Action).body[8..].fill(0));
        }),
        ("bits behind the end of a row", |b| {
            *b = sealed(|p| *p.section(Table::Step).body.last_mut().unwrap() = 0x80);
        }),
        ("names that are something else", |b| {
            *b = sealed(|p| p.names().body = b"\x04{}\xff\xff\xff\xff\xff".to_vec());
        }),
        ("names with something behind them", |b| {
            *b = sealed(|p| p.names().body.push(0));
        }),
        ("names not in their shortest form", |b| {
            *b = sealed(|p| {
                p.names().body[0] |= 0x80;
                p.names().body.insert(1, 0);
            });
        }),
        ("names with rows", |b| {
            *b = sealed(|p| p.names().rows = 1);
        }),
        ("an interface on a port the card has not", |b| {
            *b = named(|i| i.names.interfaces[0].port = 4);
        }),
        ("more interfaces than the card has counters for", |b| {
            *b = named(|i| {
                let one = i.names.interfaces[0].clone();
                i.names.interfaces.resize(65, one);
            });
        }),
        ("a class of a service without a name", |b| {
            *b = named(|i| i.names.classes[2].service = 1);
        }),
        ("a class with a label that is missing", |b| {
            *b = named(|i| i.names.labels.clear());
        }),
        ("an action of a class without a name", |b| {
            *b = named(|i| i.names.actions[1].as_mut().unwrap().class = 3);
        }),
        ("an action from nowhere", |b| {
            *b = named(|i| i.names.actions[1].as_mut().unwrap().from = Some(2));
        }),
        ("an action to nowhere", |b| {
            *b = named(|i| i.names.actions[1].as_mut().unwrap().to = 2);
        }),
        ("a row that nobody has named", |b| {
            *b = named(|i| drop(i.names.attachments.pop()));
        }),
        ("an attachment without a role", |b| {
            *b = named(|i| drop(i.names.roles.pop()));
        }),
        ("more names than rows", |b| {
            *b = named(|i| i.names.attachments.resize(257, String::new()));
        }),
    ]
}

/// What changes with every field of a table or every table is shown by name.
fn shown(message: &str, length: usize) -> String {
    let words = message.split_inclusive([' ', ',', ';', ':']).map(|word| {
        let bare = word.trim_end_matches([' ', ',', ';', ':']);
        let hex = bare.len() == 8 || bare.len() == 64;
        let rest = &word[bare.len()..];
        match () {
            () if hex && bare.bytes().all(|b| b.is_ascii_hexdigit()) => format!("DIGEST{rest}"),
            () if bare == length.to_string() => format!("LENGTH{rest}"),
            () if bare == (length - 1).to_string() => format!("LENGTH-1{rest}"),
            () if bare == (length + 1).to_string() => format!("LENGTH+1{rest}"),
            () if bare == (length - 32).to_string() => format!("LENGTH-32{rest}"),
            () if bare == (length - 24).to_string() => format!("LENGTH-24{rest}"),
            () => word.to_owned(),
        }
    });
    let text: String = words.collect();
    let step = Table::Step.slot_bits() * EDGE.step.slots;
    text.replace(&format!(" {step} bits"), " STEP bits")
        .replace(
            &format!("reads {};", Table::ALL.len() + 1),
            "reads SECTIONS;",
        )
}

#[test]
fn every_kind_of_damage_is_refused_by_name() {
    let good = write(&sample());
    assert_eq!(read(&good).unwrap(), sample());
    let mut text = String::from(
        "# What is wrong with an image, and what people read then. Written by\n\
         # table-compiler/image/tests/broken.rs.\n",
    );
    let mut kinds = std::collections::HashSet::new();
    let mut list = damages();
    list.push(("an image for another card", |_| {}));
    for (name, damage) in list {
        let mut bytes = good.clone();
        damage(&mut bytes);
        let error = match name {
            "an image for another card" => read_for(&bytes, &ALVEO).unwrap_err(),
            _ => match read(&bytes) {
                Err(error) => error,
                Ok(_) => panic!("{name}: the image was taken"),
            },
        };
        kinds.insert(std::mem::discriminant(&error));
        let _ = write!(
            text,
            "\n{name}:\n    {}\n",
            shown(&error.to_string(), good.len())
        );
    }
    // Every kind of `ImageError` is shown: 22 at the time of writing.
    assert_eq!(kinds.len(), 22);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/broken-images/messages.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "see {}", path.display());
}

#[test]
fn an_error_says_both_values() {
    let mut bytes = write(&sample());
    bytes[8..12].copy_from_slice(&7u32.to_le_bytes());
    assert_eq!(
        read(&bytes),
        Err(ImageError::FormatVersion {
            expected: 2,
            found: 7
        })
    );
}
