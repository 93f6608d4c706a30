//! Image files: refused, or loaded and run. Digests and the length are made right first, as otherwise nothing would get
//! past them; one input in so many is left as it is.

use super::Target;
use crate::cases;
use seqnic_engine::{Engine, FrameIn};
use seqnic_model::ImageEngine;
use sha2::{Digest, Sha256};

pub const TARGET: Target = Target {
    name: "image",
    seeds,
    run,
};

/// Frames an image is tried with: enough for every kind of packet of the cases.
const FRAMES: usize = 24;

fn seeds() -> Vec<Vec<u8>> {
    cases::all()
        .iter()
        .map(|c| seqnic_image::write(&c.image))
        .collect()
}

/// Makes the digests and the length of an image file right again, as far as its sections can be followed.
pub fn seal(file: &mut [u8]) {
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
        let next = usize::try_from(size).ok().and_then(|s| body.checked_add(s));
        let Some(next) = next.filter(|next| *next <= end) else {
            break;
        };
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

fn run(input: &[u8]) -> bool {
    let mut file = input.to_vec();
    seal(&mut file);
    let Ok(image) = seqnic_image::read(&file) else {
        return true;
    };
    assert_eq!(
        seqnic_image::read(&seqnic_image::write(&image)).as_ref(),
        Ok(&image),
        "written and read again"
    );
    seqnic_image::inspect(&image);
    let Ok(mut engine) = ImageEngine::load(&image) else {
        return true;
    };
    let mut out = Vec::new();
    let frames = cases::all().iter().flat_map(|c| c.frames.iter().step_by(7));
    let step = cases::all().len().div_ceil(8).max(1);
    for (id, frame) in (1..).zip(frames.step_by(step).take(FRAMES)) {
        let frame = FrameIn {
            id,
            time: id,
            port: frame.port,
            frame: &frame.bytes,
        };
        // An error is a word on the tables; a panic is none.
        let _said = engine.push(frame, &mut out);
    }
    let _said = engine.drain(&mut out);
    let _said = engine.counters();
    true
}
