//! Making a difference small: few frames, and a definition with nothing in it that is not needed.

use crate::packets::Frame;
use crate::tree::Node;

/// Takes frames and parts of the definition away while `differs` still holds. A definition that
/// the compiler refuses does not differ.
pub fn shrink(
    definition: Node,
    frames: Vec<Frame>,
    mut differs: impl FnMut(&Node, &[Frame]) -> bool,
) -> (Node, Vec<Frame>) {
    let frames = fewer_frames(frames, |frames| differs(&definition, frames));
    let definition = smaller(definition, |node| differs(node, &frames));
    (definition, frames)
}

/// Delta debugging (Zeller, Hildebrandt 2002): drops ever smaller runs of frames.
pub fn fewer_frames(
    mut frames: Vec<Frame>,
    mut differs: impl FnMut(&[Frame]) -> bool,
) -> Vec<Frame> {
    let mut run = frames.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at < frames.len() && frames.len() > 1 {
            let mut fewer = frames.clone();
            fewer.drain(at..(at + run).min(frames.len()));
            if !fewer.is_empty() && differs(&fewer) {
                frames = fewer;
                dropped = true;
            } else {
                at += run;
            }
        }
        run = match (run, dropped) {
            (1, true) => 1,
            _ => run / 2,
        };
    }
    frames
}

/// Drops every part of the tree that is not needed, largest first, until none is left.
fn smaller(mut root: Node, mut differs: impl FnMut(&Node) -> bool) -> Node {
    loop {
        let mut paths = Vec::new();
        collect(&root, &mut Vec::new(), &mut paths);
        paths.sort_by_key(Vec::len);
        let smaller = paths.into_iter().find_map(|path| {
            let mut candidate = root.clone();
            cut(&mut candidate, &path);
            differs(&candidate).then_some(candidate)
        });
        match smaller {
            Some(smaller) => root = smaller,
            None => return root,
        }
    }
}

/// Paths of all parts, the last of a list first so that names stay where they are.
fn collect(node: &Node, path: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
    for at in (0..node.len()).rev() {
        path.push(at);
        paths.push(path.clone());
        let child = match node {
            Node::Scalar(_) => None,
            Node::List(items) => items.get(at),
            Node::Map(entries) => entries.get(at).map(|(_, node)| node),
        };
        if let Some(child) = child {
            collect(child, path, paths);
        }
        path.pop();
    }
}

fn cut(root: &mut Node, path: &[usize]) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let mut node = root;
    for at in way {
        match node.child_mut(*at) {
            Some(child) => node = child,
            None => return,
        }
    }
    node.remove(*last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Map, scalar};

    fn frame(n: u8) -> Frame {
        Frame {
            port: 0,
            bytes: vec![n],
        }
    }

    #[test]
    fn two_frames_that_need_each_other_are_left() {
        let frames: Vec<Frame> = (0..50).map(frame).collect();
        let has = |frames: &[Frame], n| frames.contains(&frame(n));
        let left = fewer_frames(frames, |f| has(f, 7) && has(f, 41));
        assert_eq!(left, [frame(7), frame(41)]);
    }

    #[test]
    fn a_definition_keeps_what_the_difference_needs() {
        let entry = |n: u8| {
            Map::new()
                .with("port", scalar(n))
                .with("dscp", scalar(1))
                .done()
        };
        let services = (0..9).fold(Map::new(), |m, n| m.with(&format!("W{n}"), entry(n)));
        let root = Map::new().with("services", services.done()).done();
        let (left, frames) = shrink(root, vec![frame(1), frame(2)], |node, frames| {
            node.yaml().contains("port: 5") && frames.contains(&frame(2))
        });
        assert_eq!(left.yaml(), "services:\n  W5:\n    port: 5\n");
        assert_eq!(frames, [frame(2)]);
    }
}
