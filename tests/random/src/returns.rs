//! Devices that send back what they got: what times and answers are counted by, and chance hardly makes.

use crate::compare::Observed;
use crate::packets::Frame;
use seqnic_compiler::definition::Definition;
use seqnic_engine::Output;

/// Frames that are sent back for one definition, at most.
const MOST: usize = 12;

/// Frames that were directed, again, each followed by what the engine sent of it coming back from where it
/// went: on the same port, with its MACs exchanged.
pub fn returns(definition: &Definition, frames: &[Frame], observed: &Observed) -> Vec<Frame> {
    let mut found = Vec::new();
    for (id, frame) in (0_u64..).zip(frames) {
        let first = observed
            .outputs
            .get(&id)
            .and_then(|outputs| outputs.first());
        let Some(Output::Sent(sent)) = first else {
            continue;
        };
        let Some(interface) = definition.interfaces.get(sent.interface as usize) else {
            continue;
        };
        let mut bytes = sent.frame.clone();
        if bytes.len() < 12 {
            continue;
        }
        bytes[..12].rotate_left(6);
        found.push(frame.clone());
        found.push(Frame {
            port: interface.port,
            bytes,
        });
        if found.len() >= 2 * MOST {
            break;
        }
    }
    found
}
