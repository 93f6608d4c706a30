//! YAML text to a tree of nodes that know their place.
//!
//! The reader wants every error of a file at once, in values as well as in shapes, so it reads a
//! tree instead of deserializing into structs, which ends at the first error. Scalars stay text:
//! what a value means is decided where it is used, so `02:01:00:00:00:01` or `1e3` never turn into
//! numbers behind the author's back. Size, depth and alias expansion are limited.

use crate::diagnostic::{Diagnostic, Span};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Longest definition that is read: room for 65,536 services of a kilobyte each.
pub const MAX_BYTES: usize = 64 << 20;
/// Most nodes of the tree, aliases counted as often as they are used.
const MAX_NODES: usize = 4_000_000;
/// Deepest nesting; a definition needs eight.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> At<T> {
    pub fn new(value: T, span: Span) -> At<T> {
        At { value, span }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    /// Of a block collection only its beginning, so that a report stays on a line.
    pub span: Span,
    size: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: At<String>,
    pub value: Rc<Node>,
}

impl Node {
    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "empty",
            Kind::Text(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// `span` cut to `text`, on character boundaries.
pub(crate) fn clamp(text: &str, span: Span) -> Span {
    let mut start = span.offset.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span
        .offset
        .saturating_add(span.len)
        .clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Span {
        offset: start,
        len: end - start,
    }
}

/// Reads `text`. Duplicate keys, tags and the like go to `errors` and reading goes on; what ends it
/// is returned.
pub(crate) fn parse(text: &str, errors: &mut Vec<Diagnostic>) -> Result<Rc<Node>, Diagnostic> {
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::new(
            "file_too_large",
            format!("the definition has more than {MAX_BYTES} bytes"),
            Span { offset: 0, len: 0 },
            "no more are read: split it into several definitions, or look whether this is the file that was meant",
        ));
    }
    Builder {
        text,
        errors,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    }
    .run()
}

struct Frame {
    /// 0: none.
    anchor: usize,
    start: Span,
    flow: bool,
    size: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, key: Key },
}

enum Key {
    /// A key comes next.
    Awaited,
    Read(At<String>),
    /// A key that was reported: its value is dropped.
    Bad,
}

struct Builder<'t> {
    text: &'t str,
    errors: &'t mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
    root: Option<Rc<Node>>,
}

impl Builder<'_> {
    fn run(mut self) -> Result<Rc<Node>, Diagnostic> {
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, place) = event.map_err(|e| syntax(self.text, &e))?;
            if place.tag_start().is_some() {
                let tag = place.tag_span().unwrap_or(place);
                let span = self.span(&tag);
                self.errors.push(Diagnostic::new(
                    "yaml_tag",
                    format!("`{}` is a YAML tag", self.slice(span)),
                    span,
                    "a definition has no tags: remove it, or quote the value if it begins with `!`",
                ));
            }
            let span = self.span(&place);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Diagnostic::new(
                            "several_documents",
                            "a second YAML document begins here",
                            span,
                            "a file holds one definition: remove the `---`, or move this to a file of its own",
                        ));
                    }
                }
                Event::Scalar(value, style, anchor, _) => {
                    let plain = style == ScalarStyle::Plain;
                    let kind = match value.as_ref() {
                        "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null,
                        _ => Kind::Text(value.into_owned()),
                    };
                    self.count(1, span)?;
                    let node = Rc::new(Node {
                        kind,
                        span,
                        size: 1,
                    });
                    self.put(node, anchor);
                }
                Event::SequenceStart(style, anchor, _) => {
                    self.open(Content::List(Vec::new()), style, anchor, span)?;
                }
                Event::MappingStart(style, anchor, _) => {
                    let content = Content::Map {
                        entries: Vec::new(),
                        key: Key::Awaited,
                    };
                    self.open(content, style, anchor, span)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(id) => {
                    let Some(node) = self.anchors.get(&id).cloned() else {
                        return Err(Diagnostic::new(
                            "alias_in_itself",
                            format!("`{}` stands inside the value it names", self.slice(span)),
                            span,
                            "write the value out",
                        ));
                    };
                    self.count(node.size, span)?;
                    self.put(node, 0);
                }
                _ => {}
            }
        }
        match self.root {
            Some(root) if !matches!(root.kind, Kind::Null) => Ok(root),
            _ => Err(Diagnostic::new(
                "empty_definition",
                "the definition is empty",
                Span { offset: 0, len: 0 },
                "begin with `seqnic: 1`, then `interfaces:`, `hosts:`, `devices:` and `services:`",
            )),
        }
    }

    fn span(&self, place: &granit_parser::Span) -> Span {
        let range = place.byte_range().unwrap_or(0..0);
        let span = clamp(
            self.text,
            Span {
                offset: range.start,
                len: range.end.saturating_sub(range.start),
            },
        );
        let trimmed = self.slice(span).trim_end().len();
        Span {
            len: trimmed,
            ..span
        }
    }

    fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.offset..span.offset + span.len)
            .unwrap_or_default()
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Diagnostic::new(
                "too_many_values",
                format!("the definition has more than {MAX_NODES} values up to here"),
                span,
                "use fewer aliases (`*name`), or split the definition",
            ));
        }
        Ok(())
    }

    fn open(
        &mut self,
        content: Content,
        style: StructureStyle,
        anchor: usize,
        start: Span,
    ) -> Result<(), Diagnostic> {
        self.count(1, start)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::new(
                "too_deep",
                format!("more than {MAX_DEPTH} lists and mappings are nested here"),
                start,
                "a definition needs no more than eight: look for a missing bracket or a wrong indentation",
            ));
        }
        self.stack.push(Frame {
            anchor,
            start,
            flow: style == StructureStyle::Flow,
            size: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Diagnostic> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let (kind, first) = match frame.content {
            Content::List(items) => {
                let first = items.first().map(|n| n.span);
                (Kind::List(items), first)
            }
            Content::Map { entries, .. } => {
                let entries = self.unique(entries)?;
                let first = entries.first().map(|e| e.key.span);
                (Kind::Map(entries), first)
            }
        };
        let span = if frame.flow {
            let end = (end.offset + end.len).max(frame.start.offset);
            Span {
                offset: frame.start.offset,
                len: end - frame.start.offset,
            }
        } else {
            first.unwrap_or(frame.start)
        };
        let node = Rc::new(Node {
            kind,
            span,
            size: frame.size,
        });
        self.put(node, frame.anchor);
        Ok(())
    }

    fn put(&mut self, node: Rc<Node>, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.size = frame.size.saturating_add(node.size);
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Read(at) => entries.push(Entry {
                    key: at,
                    value: node,
                }),
                Key::Bad => {}
                Key::Awaited => {
                    let span = node.span;
                    // Mostly nobody else has it: then its text need not be copied.
                    let text = match Rc::try_unwrap(node) {
                        Ok(Node {
                            kind: Kind::Text(text),
                            ..
                        }) => Ok(text),
                        Ok(node) => Err(node.what()),
                        Err(shared) => match &shared.kind {
                            Kind::Text(text) => Ok(text.clone()),
                            _ => Err(shared.what()),
                        },
                    };
                    *key = match text {
                        Ok(text) => Key::Read(At::new(text, span)),
                        Err(what) => {
                            self.errors.push(Diagnostic::new(
                                "bad_key",
                                format!("a key is {what}"),
                                span,
                                "keys are names: write `name: value`, with a space after the colon",
                            ));
                            Key::Bad
                        }
                    };
                }
            },
        }
    }

    /// Reports keys that stand twice and puts in what `<<` brings, behind the keys of its own.
    fn unique(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Diagnostic> {
        if plain(&entries) {
            return Ok(entries);
        }
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
        let mut own = Vec::with_capacity(entries.len());
        let mut merged: Vec<Rc<Node>> = Vec::new();
        for entry in entries {
            if entry.key.value == "<<" {
                match &entry.value.kind {
                    Kind::List(items) => merged.extend(items.iter().cloned()),
                    _ => merged.push(entry.value),
                }
                continue;
            }
            if let Some(first) = seen.get(&entry.key.value) {
                self.errors.push(
                    Diagnostic::new(
                        "duplicate_key",
                        format!("`{}` stands twice", entry.key.value),
                        entry.key.span,
                        "keep one of the two, or give them different names",
                    )
                    .also(*first, "first here"),
                );
                continue;
            }
            seen.insert(entry.key.value.clone(), entry.key.span);
            own.push(entry);
        }
        let mut names: HashSet<String> = seen.into_keys().collect();
        for node in merged {
            let Kind::Map(more) = &node.kind else {
                self.errors.push(Diagnostic::new(
                    "bad_merge",
                    format!("`<<` takes mappings, but this is {}", node.what()),
                    node.span,
                    "write `<<: *name`, where `&name` stands before a mapping",
                ));
                continue;
            };
            for entry in more {
                if names.insert(entry.key.value.clone()) {
                    self.count(entry.value.size, entry.key.span)?;
                    own.push(entry.clone());
                }
            }
        }
        Ok(own)
    }
}

/// Whether no key stands twice and nothing is merged: nearly always.
fn plain(entries: &[Entry]) -> bool {
    /// So few are compared with each other.
    const FEW: usize = 8;
    let key = |entry: &Entry| entry.key.value != "<<";
    entries.iter().all(key)
        && match entries.len() {
            ..=FEW => (entries.iter().enumerate())
                .all(|(n, a)| entries[..n].iter().all(|b| a.key.value != b.key.value)),
            _ => {
                let mut seen = HashSet::with_capacity(entries.len());
                entries
                    .iter()
                    .all(|entry| seen.insert(entry.key.value.as_str()))
            }
        }
}

fn syntax(text: &str, error: &ScanError) -> Diagnostic {
    let offset = error.marker().byte_offset().unwrap_or(text.len());
    let mut span = clamp(text, Span { offset, len: 1 });
    if text[span.offset..].starts_with(['\n', '\r']) {
        span.len = 0;
    }
    let tab = tab_near(text, span.offset);
    let help = if let Some(at) = tab {
        span = Span { offset: at, len: 1 };
        "indent with spaces: YAML takes no tabs at the beginning of a line"
    } else if text[span.offset..].starts_with(['@', '`', '%', '&', '*', '!', '|', '>']) {
        "put a value that begins with a special character in quotes"
    } else {
        "look at this line and the one above it: a colon needs a space behind it, entries of one mapping \
         stand in one column, quotes and brackets need their partner, and values with `: ` or ` #` in \
         them need quotes"
    };
    Diagnostic::new(
        "yaml_syntax",
        format!("the file is no YAML here: {}", error.kind()),
        span,
        help,
    )
}

/// A tab that indents the line of `offset` or the one after it: the parser may see it late.
fn tab_near(text: &str, offset: usize) -> Option<usize> {
    let mut start = text[..offset].rfind('\n').map_or(0, |n| n + 1);
    for line in text[start..].split_inclusive('\n').take(2) {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..blank].find('\t') {
            return Some(start + tab);
        }
        start += line.len();
    }
    None
}
