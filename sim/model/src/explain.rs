//! What was asked of the tables for one packet, what they answered, and what became of it, in
//! words: for `seqnic explain`. Asks through the same [`decide`] as the datapath.

mod copies;
mod render;
mod words;

use crate::index::Stored;
use crate::keys::Key;
use crate::lookup::HashTable;
use crate::parse::{Headers, parse};
use crate::tables::{Known, Step, Tables};
use crate::verdict::{Asked, End, Observer, Verdict, decide};
use seqnic_image::names::Names;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use serde::Serialize;
use words::Words;

/// Everything about one packet. `Display` gives it as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Port of arrival.
    pub port: u8,
    /// Bytes of the frame without FCS.
    pub length: usize,
    pub packet: PacketWords,
    /// In packet order; every table is there.
    pub questions: Vec<Question>,
    pub verdict: VerdictWords,
    pub copies: Vec<CopyWords>,
}

/// The headers as they were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PacketWords {
    pub ethernet: String,
    /// Tag header or tunnel that was taken off.
    pub taken_off: Option<String>,
    /// `None` if there is no IP header, or it was not read to its end.
    pub ip: Option<String>,
    pub transport: Option<String>,
    /// Name of the failing check.
    pub fault: Option<&'static str>,
}

/// One question to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    pub table: &'static str,
    /// The table's question in words.
    pub question: &'static str,
    /// The key or row asked; `None` if the table was not asked.
    pub asked: Option<String>,
    /// The answer, `no row`, or why the table was not asked.
    pub answer: String,
    /// How the key was looked for; hash tables only.
    pub hash: Option<HashWords>,
}

/// How a key was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashWords {
    /// Key bits, hexadecimal, highest first.
    pub key: String,
    pub digest: String,
    pub ways: Vec<WayWords>,
    pub hit: Option<HitWords>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayWords {
    pub seed: String,
    pub bucket: u32,
    /// Row of the table.
    pub row: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HitWords {
    pub way: u32,
    pub row: u32,
    pub slot: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictWords {
    /// Name of the reason; `directed` if there is none.
    pub reason: &'static str,
    pub meaning: &'static str,
    pub interface: Option<String>,
    pub sender: Option<String>,
    pub service: Option<String>,
    /// Label of the class, e.g. `tcp/80`.
    pub label: Option<String>,
    pub direction: Option<&'static str>,
}

/// One copy that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyWords {
    /// Row of `action`.
    pub action: u32,
    pub attachment: String,
    /// It goes to the neighbour that has the destination address, not to the row's attachment.
    pub routed: bool,
    pub interface: String,
    /// Port of the card.
    pub port: u8,
    /// Bytes as sent, or as they would be.
    pub length: usize,
    /// Longer than the MTU towards the attachment: the host gets the packet instead.
    pub unsent: Option<&'static str>,
    pub edits: Vec<EditWords>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EditWords {
    pub field: &'static str,
    pub old: String,
    pub new: String,
}

/// Explains what happens to `frame` (without FCS) arriving on `port`.
pub fn explain(tables: &Tables, names: &Names, port: u8, frame: &[u8]) -> Explanation {
    let headers = parse(frame, tables.decap(port));
    let words = Words { names };
    let decap = (u32::from(port) < tables.geometry.ports).then(|| {
        let answer = words::decap(tables.decap(port));
        question(Table::Decap, Some(format!("port {port}")), answer)
    });
    let mut recorder = Recorder {
        tables,
        words,
        questions: decap.into_iter().collect(),
    };
    let verdict = decide(tables, port, &headers, &mut recorder);
    let mut questions = recorder.questions;
    let copies = copies::explain(tables, words, &headers, &verdict, frame, &mut questions);
    if let (Reason::Directed, Some(rule)) = (verdict.reason, verdict.rule) {
        let answer = match tables.policy(rule) {
            Some(attachment) => words.attachment(attachment),
            None => "no next hop of its own".to_string(),
        };
        questions.push(question(
            Table::Policy,
            Some(format!("rule {rule}")),
            answer,
        ));
    }
    add_unasked(&mut questions, verdict.reason);
    questions.sort_by_key(|(table, _)| *table);
    Explanation {
        port,
        length: frame.len(),
        packet: packet(words, &headers),
        questions: questions.into_iter().map(|(_, q)| q).collect(),
        verdict: verdict_words(words, &verdict),
        copies,
    }
}

type Questions = Vec<(Table, Question)>;

fn question(table: Table, asked: Option<String>, answer: impl Into<String>) -> (Table, Question) {
    let question = Question {
        table: table.name(),
        question: table.question(),
        asked,
        answer: answer.into(),
        hash: None,
    };
    (table, question)
}

fn add_unasked(questions: &mut Questions, reason: Reason) {
    for table in Table::ALL {
        // Seeds are shown with every key that is looked for.
        if table == Table::Seed || questions.iter().any(|(t, _)| *t == table) {
            continue;
        }
        let why = match (table, reason) {
            (Table::Range, _) => "not asked: no question needed a row of ranges".to_string(),
            (Table::Policy, Reason::Directed) => "not asked: no rule decided it".to_string(),
            (Table::Encap, Reason::Directed) => "not asked: no copy gets a tag".to_string(),
            (Table::Rewrite, Reason::Directed) => {
                "not asked: no copy gets another source address".to_string()
            }
            _ => format!("not asked: {} was decided without it", reason.name()),
        };
        questions.push(question(table, None, why));
    }
}

/// Writes down what [`decide`] asks.
struct Recorder<'a> {
    tables: &'a Tables,
    words: Words<'a>,
    questions: Questions,
}

impl Observer for Recorder<'_> {
    fn asked(&mut self, asked: Asked) {
        let (t, w) = (self.tables, self.words);
        let entry = match asked {
            Asked::Interface(key) => hashed(&t.interface, key, w.interface_key(key), |i| {
                let mac = words::mac(i.mac);
                let promiscuous = if i.promiscuous { ", any MAC" } else { "" };
                let tracking = if i.by_segment {
                    "segment"
                } else {
                    "source MAC"
                };
                let accepts = match words::tags(i.accepts) {
                    tags if tags.is_empty() => String::new(),
                    tags => format!(", accepts {tags}"),
                };
                format!(
                    "{}, segment {}, MAC {mac}{promiscuous}, tracked by {tracking}{accepts}",
                    w.interface(i.interface),
                    i.segment
                )
            }),
            Asked::Source(key) => {
                let asked = format!("segment {}, {}", key.segment, words::mac(key.mac));
                hashed(&t.source, key, asked, |n| w.attachment(*n))
            }
            Asked::Address(end, address) => {
                let end = match end {
                    End::Destination => "destination",
                    End::Source => "source",
                };
                let asked = format!("{end} {}", words::address(address));
                hashed(&t.address, address, asked, |known| w.known(known))
            }
            Asked::Port(number, key) => {
                let protocol = words::protocol(key.protocol);
                let asked = format!("scope {}, {protocol}, port {}", key.scope, key.port);
                hashed(&t.ports[number], key, asked, |class| w.class(*class))
            }
            Asked::Range {
                question: number,
                row,
                protocol,
                port,
            } => {
                let asked = format!(
                    "row {row} for {}: {}, port {}",
                    Table::PORTS[number].name(),
                    words::protocol(protocol),
                    port.map_or("unknown".to_string(), |p| p.to_string())
                );
                let answer = self.range(number, row, protocol, port);
                question(Table::Range, Some(asked), answer)
            }
            Asked::Step(key) => {
                let asked = w.step_key(key);
                hashed(&t.step, key, asked, words::step)
            }
            Asked::Rules(asked, decision) => {
                let masks = question(
                    Table::Acl,
                    Some(format!("row {}", asked.acl)),
                    rows_asked(t.geometry),
                );
                self.questions.push(masks);
                let size = asked.size;
                let what = format!(
                    "set {}, {}, {size} bytes",
                    asked.set,
                    asked.direction.name()
                );
                question(Table::Rule, Some(what), w.rule(decision))
            }
            Asked::Class(class, direction) => question(
                Table::Class,
                Some(format!("{}, {}", w.class(class), direction.name())),
                match t.class(class).entry(direction) {
                    Step { copies: 0, .. } => "nobody enters here".to_string(),
                    step => words::step(&step),
                },
            ),
        };
        self.questions.push(entry);
    }

    fn skipped(&mut self, table: Table, why: &'static str) {
        let entry = question(table, None, format!("not asked: {why}"));
        self.questions.push(entry);
    }
}

impl Recorder<'_> {
    fn range(&self, number: usize, row: u16, protocol: u8, port: Option<u16>) -> String {
        let slots = self.tables.range(row);
        let held = slots.iter().position(|s| s.holds(number, protocol, port));
        match held.and_then(|slot| Some((slot, slots.get(slot)?))) {
            None => "no slot holds it".to_string(),
            Some((slot, range)) => format!(
                "slot {slot}, {} ports {} to {}: {}",
                range
                    .protocol
                    .map_or("every protocol".to_string(), words::protocol),
                range.first,
                range.last,
                self.words.class(range.class)
            ),
        }
    }
}

/// A question to a hash table; the table is asked again for the details.
fn hashed<K: Key, V: Stored + PartialEq>(
    table: &HashTable<K, V>,
    key: K,
    asked: String,
    answer: impl FnOnce(&V) -> String,
) -> (Table, Question) {
    let probe = table.probe(key);
    let rows = table.size().rows;
    let ways = table.seeds().iter().zip(probe.buckets).enumerate();
    let hash = HashWords {
        key: words::bits::<K>(key),
        digest: format!("{:#010x}", probe.digest),
        ways: ways
            .map(|(way, (seed, bucket))| WayWords {
                seed: format!("{seed:#010x}"),
                bucket,
                row: way as u32 * rows + bucket,
            })
            .collect(),
        hit: probe.hit.map(|hit| HitWords {
            way: hit.way,
            row: hit.row,
            slot: hit.slot,
        }),
    };
    let answer = table
        .get(key)
        .map_or("no row".to_string(), |value| answer(&value));
    let (number, mut entry) = question(table.table(), Some(asked), answer);
    entry.hash = Some(hash);
    (number, entry)
}

fn packet(words: Words, h: &Headers) -> PacketWords {
    let read = h.is_ip() && h.fault.is_none();
    PacketWords {
        ethernet: words.ethernet(h),
        taken_off: h.taken.map(words::taken),
        ip: read.then(|| words.ip(h)),
        transport: read.then(|| words.transport(h)),
        fault: h.fault.map(Reason::name),
    }
}

fn verdict_words(words: Words, verdict: &Verdict) -> VerdictWords {
    let class = verdict.class.map(|(class, _)| class);
    VerdictWords {
        reason: verdict.reason.name(),
        meaning: verdict.reason.doc(),
        interface: verdict.interface.map(|n| words.interface(n)),
        sender: verdict.sender.map(|n| words.attachment(n)),
        service: class.and_then(|class| words.service(class)),
        label: class.and_then(|class| words.label(class)),
        direction: verdict.class.map(|(_, direction)| direction.name()),
    }
}

impl Words<'_> {
    fn known(&self, known: &Known) -> String {
        let mut parts = Vec::new();
        match known.scope {
            0 => parts.push("no service address".to_string()),
            scope => parts.push(format!("scope {scope}")),
        }
        parts.extend(known.range.map(|row| format!("ranges in row {row}")));
        parts.extend(
            known
                .neighbour
                .map(|n| format!("neighbour {}", self.attachment(n))),
        );
        if known.local {
            parts.push("an address of the engine".to_string());
        }
        parts.join(", ")
    }
}

/// Which rows of `rule` a packet with rules asks.
fn rows_asked(g: &Geometry) -> String {
    let banks = format!("one row of each of {} banks", g.rule_banks);
    match g.rule_always {
        0 => banks,
        rows => format!("{banks}, and the {rows} rows that all ask"),
    }
}
