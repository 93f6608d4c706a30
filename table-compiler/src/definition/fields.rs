//! The keys of one mapping.

use super::findings::Findings;
use super::tree::{Entry, Kind, Node};
use crate::diagnostic::Span;

/// A mapping whose keys were checked against the known ones.
pub(crate) struct Fields<'n> {
    /// Whom the mapping describes: "interface `i0`".
    pub owner: String,
    /// Where errors about the whole point to.
    pub span: Span,
    entries: &'n [Entry],
    /// Known keys that an unknown one was likely meant to be: those are not reported as missing.
    meant: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Reads `node`, reporting unknown keys; `None` if it is no mapping.
    pub fn of(
        f: &mut Findings,
        node: &'n Node,
        owner: String,
        span: Span,
        known: &[&'static str],
    ) -> Option<Fields<'n>> {
        let keys = || {
            let keys: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
            keys.join(", ")
        };
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => {
                f.error(
                    "no_value",
                    format!("{owner} says nothing"),
                    span,
                    format!("its keys are {}; write them indented below it", keys()),
                );
                return None;
            }
            _ => {
                f.error(
                    "wrong_type",
                    format!("{owner} is {}, not a mapping", node.what()),
                    node.span,
                    format!("write `key: value` lines; its keys are {}", keys()),
                );
                return None;
            }
        };
        let mut meant = Vec::new();
        for entry in entries {
            let key = entry.key.value.as_str();
            if known.contains(&key) {
                continue;
            }
            let close = f.closest(key, known.iter().copied());
            let help = match close {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("its keys are {}", keys()),
            };
            f.error(
                "unknown_key",
                format!("`{}` is no key of {owner}", super::findings::short(key)),
                entry.key.span,
                help,
            );
            meant.extend(known.iter().copied().find(|k| Some(*k) == close));
        }
        Some(Fields {
            owner,
            span,
            entries,
            meant,
        })
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|e| e.key.value == key)
    }

    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| e.value.as_ref())
    }

    /// Where `key` stands.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entry(key).map(|e| e.key.span)
    }

    /// The value of `key`, which must be there; `like` is an example of the line.
    pub fn need(&self, f: &mut Findings, key: &str, like: &str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() && !self.meant.contains(&key) {
            f.error(
                "missing_key",
                format!("{} has no `{key}`", self.owner),
                self.span,
                format!("add it, for example `{like}`"),
            );
        }
        found
    }

    /// Whether `key` stands there or was likely meant by one that does.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some() || self.meant.contains(&key)
    }
}
