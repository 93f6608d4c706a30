//! A definition as a tree, so that the shrinker can take parts away, and its YAML.

use std::fmt::Write;

/// One value of a definition file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Text or a number, as written.
    Scalar(String),
    List(Vec<Node>),
    /// Keys in the order they are written, which decides who comes first.
    Map(Vec<(String, Node)>),
}

/// A scalar of anything that prints.
pub fn scalar(value: impl ToString) -> Node {
    Node::Scalar(value.to_string())
}

/// A list; a single value stands alone.
pub fn one_or_list(mut values: Vec<Node>) -> Node {
    match values.len() {
        1 => values.remove(0),
        _ => Node::List(values),
    }
}

/// A mapping being written.
#[derive(Debug, Clone, Default)]
pub struct Map(Vec<(String, Node)>);

impl Map {
    pub fn new() -> Map {
        Map::default()
    }

    /// Adds a key.
    pub fn with(mut self, key: &str, value: Node) -> Map {
        self.0.push((key.to_string(), value));
        self
    }

    /// Adds a key if there is a value for it.
    pub fn maybe(self, key: &str, value: Option<Node>) -> Map {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub fn done(self) -> Node {
        Node::Map(self.0)
    }
}

impl Node {
    /// The file: sections and their entries in block style, what is in an entry on one line a key.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        block(self, 0, &mut out);
        out
    }

    /// Parts below this one that can be taken away.
    pub fn len(&self) -> usize {
        match self {
            Node::Scalar(_) => 0,
            Node::List(items) => items.len(),
            Node::Map(entries) => entries.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Part `at` of this node.
    pub fn child_mut(&mut self, at: usize) -> Option<&mut Node> {
        match self {
            Node::Scalar(_) => None,
            Node::List(items) => items.get_mut(at),
            Node::Map(entries) => entries.get_mut(at).map(|(_, node)| node),
        }
    }

    /// Takes part `at` away; nothing happens if it is not there.
    pub fn remove(&mut self, at: usize) {
        match self {
            Node::List(items) if at < items.len() => {
                items.remove(at);
            }
            Node::Map(entries) if at < entries.len() => {
                entries.remove(at);
            }
            _ => {}
        }
    }
}

const BLOCK_DEPTH: usize = 3;

fn block(node: &Node, depth: usize, out: &mut String) {
    let Node::Map(entries) = node else {
        flow(node, out);
        return;
    };
    for (key, value) in entries {
        let _ = write!(out, "{:1$}{key}:", "", depth * 2);
        match value {
            Node::Map(below) if depth + 1 < BLOCK_DEPTH && !below.is_empty() => {
                out.push('\n');
                block(value, depth + 1, out);
            }
            Node::List(items) if items.iter().any(|i| !i.is_empty()) => {
                out.push('\n');
                for item in items {
                    let _ = write!(out, "{:1$}- ", "", depth * 2 + 2);
                    flow(item, out);
                    out.push('\n');
                }
            }
            _ => {
                out.push(' ');
                flow(value, out);
                out.push('\n');
            }
        }
    }
}

fn flow(node: &Node, out: &mut String) {
    match node {
        Node::Scalar(text) => plain_or_quoted(text, out),
        Node::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                flow(item, out);
            }
            out.push(']');
        }
        Node::Map(entries) => {
            out.push_str("{ ");
            for (i, (key, value)) in entries.iter().enumerate() {
                let _ = write!(out, "{}{key}: ", if i == 0 { "" } else { ", " });
                flow(value, out);
            }
            out.push_str(" }");
        }
    }
}

fn plain_or_quoted(text: &str, out: &mut String) {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".:/-_".contains(&b))
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && !text.ends_with(':');
    if plain {
        out.push_str(text);
    } else {
        let _ = write!(out, "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_the_hand_written_style() {
        let place = Map::new()
            .with("interface", scalar("i1"))
            .with("mac", scalar("02:06:00:00:00:06"))
            .done();
        let ids = Map::new()
            .with("function", scalar("ids"))
            .with("attachment", place)
            .done();
        let copy = Map::new().with("copy", scalar("ids")).done();
        let service = Map::new()
            .with("address", one_or_list(vec![scalar("2001:db8::")]))
            .with("sequence", Node::List(vec![copy]))
            .done();
        let node = Map::new()
            .with("seqnic", scalar(1))
            .with("devices", Map::new().with("ids", ids).done())
            .with("services", Map::new().with("W1", service).done())
            .done();
        assert_eq!(
            node.yaml(),
            "seqnic: 1\n\
             devices:\n  ids:\n    function: ids\n    \
             attachment: { interface: i1, mac: 02:06:00:00:00:06 }\n\
             services:\n  W1:\n    address: \"2001:db8::\"\n    sequence:\n      - { copy: ids }\n"
        );
    }
}
