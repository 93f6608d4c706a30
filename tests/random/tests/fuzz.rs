//! Mutated inputs for everything that reads what others wrote: images, definitions, frames. Nothing may panic, what an
//! image file's reader lets through must load or be refused and run, and the engines agree on whatever a frame holds.
//!
//! Each target runs `SEQNIC_FUZZ_INPUTS` inputs from `SEQNIC_FUZZ_SEED` on (`make fuzz-random`: many). An input that fails is kept
//! in the target folder and named. The mutator knows the forms, not the code: it has no coverage to go by.

use seqnic_engine::{Engine, FrameIn};
use seqnic_image::Image;
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_random::rng::Random;
use seqnic_random::{Case, Frame, compare, definition, packets, shrink};
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")),
        Err(_) => otherwise,
    }
}

/// Runs `one` for each seed; an input on which it panics is kept, as `input` makes it.
fn each(target: &str, inputs: u64, mut one: impl FnMut(&mut Random, &mut Vec<u8>)) {
    let first = number("SEQNIC_FUZZ_SEED", 0);
    for seed in first..first + number("SEQNIC_FUZZ_INPUTS", inputs) {
        let mut input = Vec::new();
        let run = catch_unwind(AssertUnwindSafe(|| one(&mut Random::new(seed), &mut input)));
        if run.is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{seed}"));
            std::fs::write(&path, &input).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            panic!("{target}, seed {seed}: kept in {}", path.display());
        }
    }
}

/// Bytes that mean something in frames and files.
const WORDS: [&[u8]; 20] = [
    &[0x08, 0x00],
    &[0x86, 0xdd],
    &[0x81, 0x00],
    &[0x88, 0xa8],
    &[0x88, 0x47],
    &[0x89, 0x4f],
    &[0x12, 0xb5],
    &[0x12, 0xb6],
    &[0x45],
    &[0x60],
    &[0x11],
    &[0x2f],
    &[0x2c],
    &[0x20, 0x00],
    &[0x08, 0x00, 0x00, 0x00],
    &[0x0c, 0x00, 0x00, 0x04],
    &[0x00, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x80],
];

/// One to eight changes among the first `reach` bytes.
fn havoc(r: &mut Random, bytes: &mut Vec<u8>, other: &[u8], reach: usize) {
    for _ in 0..r.number(1..=8) {
        let end = bytes.len().min(reach);
        if end == 0 {
            bytes.push(r.u8());
            continue;
        }
        let at = r.number(0..=end - 1);
        match r.number(0..=8) {
            0 => bytes[at] ^= 1 << r.number(0..=7),
            1 => bytes[at] = r.u8(),
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes[at] = bytes[at].wrapping_sub(1),
            4 => {
                let word = r.pick(&WORDS).copied().unwrap_or(&[0]);
                let fits = word.len().min(bytes.len() - at);
                bytes[at..at + fits].copy_from_slice(&word[..fits]);
            }
            5 => bytes.truncate(at),
            6 => {
                let length = r.number(0..=16).min(bytes.len() - at);
                bytes.drain(at..at + length);
            }
            7 => {
                let length = r.number(0..=16);
                let piece = r.bytes(length);
                bytes.splice(at..at, piece);
            }
            _ => {
                // The rest of another one.
                let from = r.number(0..=other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
}

/// The first random definition from `seed` on that compiles, as text and image.
fn compiled(seed: u64) -> (String, Image) {
    (seed..)
        .find_map(|seed| {
            let yaml = definition(seed).yaml();
            let read = seqnic_compiler::read(&yaml).ok()?;
            Some((yaml, seqnic_compiler::compile(&read).ok()?))
        })
        .expect("most definitions compile")
}

/// Makes the digests and the length of an image file right again, as far as its sections can be followed.
fn seal(file: &mut [u8]) {
    const HEADER: usize = 60;
    const SECTION: usize = 52;
    if file.len() < HEADER + 32 {
        return;
    }
    let length = file.len() as u64;
    file[12..20].copy_from_slice(&length.to_le_bytes());
    let end = file.len() - 32;
    let mut at = HEADER + 4;
    while at + SECTION <= end {
        let size: [u8; 8] = std::array::from_fn(|i| file[at + 12 + i]);
        let size = u64::from_le_bytes(size);
        let body = at + SECTION;
        let Some(next) = usize::try_from(size).ok().and_then(|s| body.checked_add(s)) else {
            break;
        };
        if next > end {
            break;
        }
        let digest = Sha256::new()
            .chain_update(&file[at..at + 8])
            .chain_update(&file[body..next])
            .finalize();
        file[at + 20..at + 52].copy_from_slice(&digest);
        at = next;
    }
    let digest = Sha256::digest(&file[..end]);
    file[end..].copy_from_slice(&digest);
}

/// Whatever it is: refused, or it runs frames.
fn runs(file: &[u8], frames: &[Frame]) -> bool {
    let Ok(image) = seqnic_image::read(file) else {
        return false;
    };
    let Ok(mut engine) = ImageEngine::load(&image) else {
        return false;
    };
    let mut out = Vec::new();
    for (id, frame) in (1..).zip(frames) {
        let frame = FrameIn {
            id,
            time: id,
            port: frame.port,
            frame: &frame.bytes,
        };
        // An error is a word on the tables; a panic is none.
        let _ = engine.push(frame, &mut out);
    }
    let _ = engine.drain(&mut out);
    let _ = engine.counters();
    true
}

#[test]
fn image_files() {
    let made: Vec<(Vec<u8>, Vec<Frame>)> = (0..6)
        .map(|n| {
            let (yaml, image) = compiled(n * 7);
            let read = seqnic_compiler::read(&yaml).expect("it was read before");
            (seqnic_image::write(&image), packets(&read, n, 30))
        })
        .collect();
    let (mut sealed, mut ran) = (0u64, 0u64);
    each("image", 300, |r, input| {
        let (file, frames) = r.pick(&made).cloned().unwrap_or_default();
        let other = r.pick(&made).map(|m| m.0.clone()).unwrap_or_default();
        *input = file;
        let reach = if r.chance(30) { 256 } else { input.len() };
        havoc(r, input, &other, reach);
        if r.chance(90) {
            seal(input);
            sealed += 1;
        }
        ran += u64::from(runs(input, &frames));
    });
    println!("{sealed} files with right digests, {ran} were loaded and ran");
    assert!(
        ran > 0,
        "no mutated file was ever loaded: the digests are not made right"
    );
}

/// Rows with anything in them, as a file with right digests could have.
#[test]
fn rows_of_images() {
    let made: Vec<(Image, Vec<Frame>)> = (0..6)
        .map(|n| {
            let (yaml, image) = compiled(n * 5 + 100);
            let read = seqnic_compiler::read(&yaml).expect("it was read before");
            (image, packets(&read, n, 30))
        })
        .collect();
    let mut ran = 0u64;
    each("rows", 300, |r, input| {
        let (mut image, frames) = r.pick(&made).cloned().expect("some are made");
        for _ in 0..r.number(1..=6) {
            let at = r.number(0..=image.tables.len() - 1);
            let table = &mut image.tables[at];
            let used: Vec<u32> = table.used().map(|(row, _)| row).collect();
            let Some(row) = r.pick(&used).copied() else {
                continue;
            };
            let mut words = table.words(row).map(<[u64]>::to_vec).unwrap_or_default();
            for _ in 0..r.number(1..=4) {
                let bit = r.number(0..=table.row_bits as usize - 1);
                words[bit / 64] ^= 1 << (bit % 64);
            }
            let row_bits = table.row_bits;
            let value = seqnic_spec::layout::Row::from_words(row_bits, &words);
            table.put(row, &value);
        }
        *input = seqnic_image::write(&image);
        ran += u64::from(runs(input, &frames));
    });
    assert!(ran > 0, "no changed image was ever loaded");
}

#[test]
fn definitions() {
    let made: Vec<String> = (0..20).map(|n| definition(n).yaml()).collect();
    let words = [
        "~",
        "null",
        "[]",
        "{}",
        "[",
        "}",
        "&a",
        "*a",
        "<<",
        "!x",
        "0",
        "-1",
        "65536",
        "4294967296",
        "1e9",
        "none",
        "any",
        "client",
        "gre",
        "vxlan",
        "dscp",
        "::",
        "0.0.0.0/0",
        "\u{0}",
        "\u{feff}",
        "\t",
        "...",
        "---",
        "\"",
        "'",
    ];
    let (mut read, mut refused) = (0u64, 0u64);
    each("definition", 2000, |r, input| {
        let text = r.pick(&made).cloned().unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..r.number(1..=5) {
            let at = r.number(0..=lines.len().saturating_sub(1));
            match r.number(0..=6) {
                0 => {
                    lines.remove(at);
                }
                1 => lines.insert(at, lines[at].clone()),
                2 => {
                    let other = r.number(0..=lines.len() - 1);
                    lines.swap(at, other);
                }
                3 => lines[at].insert_str(0, "  "),
                4 => {
                    let word = r.pick(&words).copied().unwrap_or("~");
                    let line = &mut lines[at];
                    let cut = line.find(": ").map_or(0, |colon| colon + 2);
                    line.truncate(cut);
                    line.push_str(word);
                }
                5 => {
                    let other = r.pick(&made).cloned().unwrap_or_default();
                    let from = r.number(0..=other.lines().count());
                    lines.truncate(at);
                    lines.extend(other.lines().skip(from).map(str::to_owned));
                }
                _ => {
                    let mut bytes = lines[at].clone().into_bytes();
                    havoc(r, &mut bytes, b": {", usize::MAX);
                    lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
            if lines.is_empty() {
                lines.push(String::new());
            }
        }
        let text = lines.join("\n");
        *input = text.clone().into_bytes();
        match seqnic_compiler::read(&text) {
            Ok(definition) => {
                // Errors have places in the text, which rendering looks up.
                if let Err(errors) = seqnic_compiler::compile(&definition) {
                    seqnic_compiler::report::render(&errors, "fuzz.yaml", &text, false);
                }
                read += 1;
            }
            Err(errors) => {
                assert!(!errors.is_empty(), "refused without an error");
                seqnic_compiler::report::render(&errors, "fuzz.yaml", &text, false);
                refused += 1;
            }
        }
    });
    println!("{read} definitions read, {refused} refused");
}

/// Oracle and image engine on frames that hold anything.
#[test]
fn frames() {
    let made: Vec<_> = (0..40)
        .map(|n| {
            let (yaml, image) = compiled(n * 3 + 500);
            let read = seqnic_compiler::read(&yaml).expect("it was read before");
            let frames = packets(&read, n, 60);
            (yaml, read, image, frames)
        })
        .collect();
    let first = number("SEQNIC_FUZZ_SEED", 0);
    for seed in first..first + number("SEQNIC_FUZZ_INPUTS", 300) {
        let r = &mut Random::new(seed);
        let Some((yaml, read, image, frames)) = r.pick(&made) else {
            return;
        };
        let mutated: Vec<Frame> = frames
            .iter()
            .map(|frame| {
                let mut frame = frame.clone();
                let other = r.pick(frames).map(|f| f.bytes.clone()).unwrap_or_default();
                havoc(r, &mut frame.bytes, &other, 160);
                frame.bytes.truncate(9216);
                if frame.bytes.is_empty() {
                    frame.bytes.push(0);
                }
                frame
            })
            .collect();
        let differs = |frames: &[Frame]| {
            let model = ImageEngine::load(image).expect("loaded before");
            let mut pair: Vec<Box<dyn Engine>> = vec![Box::new(Oracle::new(read)), Box::new(model)];
            compare(&mut pair, frames).expect("engines take every frame")
        };
        let Some(_) = differs(&mutated) else { continue };
        let (_, small) = shrink(
            seqnic_random::tree::scalar("the definition stays"),
            mutated,
            |_, frames| differs(frames).is_some(),
        );
        let difference = differs(&small).map_or_else(String::new, |d| d.to_string());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-frames-{seed}"));
        let case = Case {
            definition: yaml.clone(),
            frames: small,
            note: format!("fuzz seed {seed}\n\n{difference}"),
        };
        case.save(&folder).unwrap_or_else(|e| panic!("{e}"));
        panic!("seed {seed}: kept in {}\n{difference}", folder.display());
    }
}
