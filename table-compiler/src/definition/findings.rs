//! Collects errors while reading goes on, with the readers of single values.

use super::tree::{At, Kind, Node};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::HashMap;
use std::fmt::Arguments;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// Searches for a name that was meant instead are slow; a file with more mistakes than this gets
/// none for the rest.
const MAX_SUGGESTIONS: usize = 50;
/// Names listed in a help text.
const MAX_LISTED: usize = 8;
/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// Names of one kind (interfaces, hosts, devices) with index and place.
#[derive(Debug, Default)]
pub(crate) struct Names {
    index: HashMap<String, (usize, Span)>,
    order: Vec<String>,
}

impl Names {
    pub fn insert(&mut self, name: &At<String>) {
        let id = self.order.len();
        self.index.insert(name.value.clone(), (id, name.span));
        self.order.push(name.value.clone());
    }

    pub fn get(&self, name: &str) -> Option<usize> {
        self.index.get(name).map(|(id, _)| *id)
    }

    pub fn span(&self, name: &str) -> Option<Span> {
        self.index.get(name).map(|(_, span)| *span)
    }

    pub fn name(&self, id: usize) -> &str {
        self.order.get(id).map_or("", String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        self.order.iter().map(String::as_str)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub list: Vec<Diagnostic>,
    suggestions: usize,
}

impl Findings {
    pub fn error(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        help: impl Into<String>,
    ) {
        self.list.push(Diagnostic::new(code, message, span, help));
    }

    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// The candidate that `word` was likely meant to be.
    pub fn closest<'c>(
        &mut self,
        word: &str,
        candidates: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        if self.suggestions >= MAX_SUGGESTIONS || word.len() > MAX_NAME {
            return None;
        }
        self.suggestions += 1;
        let lower = word.to_lowercase();
        candidates
            .filter(|c| c.len().abs_diff(word.len()) <= 4)
            .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
            .filter(|(distance, c)| *distance <= (c.len().min(word.len()) / 3).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, c)| c)
    }

    /// Help for a name that is not known.
    pub fn instead<'c>(
        &mut self,
        word: &str,
        candidates: impl Iterator<Item = &'c str> + Clone,
        otherwise: &str,
    ) -> String {
        if let Some(close) = self.closest(word, candidates.clone()) {
            return format!("did you mean `{close}`?");
        }
        let known: Vec<String> = candidates
            .clone()
            .take(MAX_LISTED)
            .map(|c| format!("`{c}`"))
            .collect();
        match known.len() {
            0 => otherwise.to_owned(),
            n if n == MAX_LISTED && candidates.count() > n => {
                format!("{otherwise}; known are {} and more", known.join(", "))
            }
            _ => format!("{otherwise}; known are {}", known.join(", ")),
        }
    }

    /// The index of the `kind` called `name`; `section` is where it would be defined.
    pub fn resolve(
        &mut self,
        kind: &str,
        section: &str,
        names: &Names,
        name: &At<&str>,
        what: Arguments,
    ) -> Option<usize> {
        let found = names.get(name.value);
        if found.is_none() {
            let help = self.instead(
                name.value,
                names.iter(),
                &format!("define it under `{section}:`"),
            );
            self.error(
                match kind {
                    "interface" => "unknown_interface",
                    "host" => "unknown_host",
                    _ => "unknown_device",
                },
                format!("{what} names {kind} `{}`, which is not defined", name.value),
                name.span,
                help,
            );
        }
        found
    }

    /// A single value.
    pub fn text<'n>(&mut self, node: &'n Node, what: Arguments) -> Option<At<&'n str>> {
        match &node.kind {
            Kind::Text(text) => Some(At::new(text, node.span)),
            Kind::Null => {
                self.error(
                    "no_value",
                    format!("{what} has no value"),
                    node.span,
                    "write a value behind the colon, or remove the key",
                );
                None
            }
            _ => {
                self.error(
                    "wrong_type",
                    format!("{what} is {}, not a single value", node.what()),
                    node.span,
                    "write one value behind the colon",
                );
                None
            }
        }
    }

    /// A number in `range`; outside of it `code` is reported.
    pub fn number(
        &mut self,
        node: &Node,
        what: Arguments,
        range: RangeInclusive<u64>,
        code: &'static str,
    ) -> Option<At<u64>> {
        let text = self.text(node, what)?;
        self.number_of(&text, what, range, code)
    }

    pub fn number_of(
        &mut self,
        text: &At<&str>,
        what: Arguments,
        range: RangeInclusive<u64>,
        code: &'static str,
    ) -> Option<At<u64>> {
        let digits = !text.value.is_empty() && text.value.bytes().all(|b| b.is_ascii_digit());
        let way_out = format!("write a number from {} to {}", range.start(), range.end());
        if !digits {
            self.error(
                "wrong_type",
                format!("{what} is `{}`, not a number", short(text.value)),
                text.span,
                way_out,
            );
            return None;
        }
        match text.value.parse::<u64>() {
            Ok(n) if range.contains(&n) => Some(At::new(n, text.span)),
            _ => {
                self.error(
                    code,
                    format!(
                        "{what} is {}, outside of {} to {}",
                        short(text.value),
                        range.start(),
                        range.end()
                    ),
                    text.span,
                    way_out,
                );
                None
            }
        }
    }

    pub fn boolean(&mut self, node: &Node, what: Arguments) -> Option<At<bool>> {
        self.choice(node, what, &[("true", true), ("false", false)])
    }

    /// One of the named values.
    pub fn choice<T: Copy>(
        &mut self,
        node: &Node,
        what: Arguments,
        options: &[(&'static str, T)],
    ) -> Option<At<T>> {
        let text = self.text(node, what)?;
        if let Some((_, value)) = options.iter().find(|(name, _)| *name == text.value) {
            return Some(At::new(*value, text.span));
        }
        let names: Vec<String> = options.iter().map(|(n, _)| format!("`{n}`")).collect();
        let help = match self.closest(text.value, options.iter().map(|(n, _)| *n)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("write {}", one_of(&names)),
        };
        self.error(
            "unknown_value",
            format!("{what} is `{}`, not {}", short(text.value), one_of(&names)),
            text.span,
            help,
        );
        None
    }

    /// Entries of a mapping from names; empty is no entries.
    pub fn map<'n>(
        &mut self,
        node: &'n Node,
        what: Arguments,
        like: &str,
    ) -> Vec<(At<String>, &'n Rc<Node>)> {
        match &node.kind {
            Kind::Map(entries) => entries.iter().map(|e| (e.key.clone(), &e.value)).collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.error(
                    "wrong_type",
                    format!("{what} is {}, not a mapping from names", node.what()),
                    node.span,
                    format!("write one entry a line, like `{like}`"),
                );
                Vec::new()
            }
        }
    }

    /// Whether `name` may name a `kind`; counters and labels carry it.
    pub fn check_name(&mut self, kind: &str, name: &At<String>) {
        let text = &name.value;
        let party = matches!(kind, "host" | "device");
        let bad = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "_:.-".contains(*c)));
        if text.is_empty() || text.len() > MAX_NAME || bad.is_some() {
            let why = match bad {
                Some(c) => format!("has the character {c:?}"),
                None if text.is_empty() => "is empty".to_owned(),
                None => format!("is longer than {MAX_NAME} characters"),
            };
            self.error(
                "bad_name",
                format!("the name `{}` of this {kind} {why}", short(text)),
                name.span,
                "use 1 to 100 letters, digits, `_`, `-`, `:` and `.`",
            );
        } else if kind == "device" && text.contains('.') {
            self.error(
                "bad_name",
                format!("the name `{text}` of this device has a dot"),
                name.span,
                "`device.outside` and `device.inside` name attachments; use `-` or `_` instead",
            );
        } else if kind == "interface" && (text == "host" || text.starts_with(['.', '-'])) {
            self.error(
                "reserved_name",
                format!("an interface is called `{text}`"),
                name.span,
                "a replay writes `<interface>.pcap`, and `host.pcap` for the host: begin with a letter, a digit, `_` or `:`, and do not use `host`",
            );
        } else if party && text == "client" {
            self.error(
                "reserved_name",
                format!("a {kind} is called `client`"),
                name.span,
                "counters call whoever enters a service `client`; use another name",
            );
        }
    }
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Text for a message: cut, control characters escaped.
pub(crate) fn short(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_debug())
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}
