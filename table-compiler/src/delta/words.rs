//! What a delta changes, in words: services, rules, devices, interfaces, what holds for the whole card, and how
//! many rows are written.
//!
//! It is read from the tables before and after, so an image is enough, and whatever the compiler makes of a
//! definition is said as it will be. `tests/words.rs` changes every key of a definition and wants a line.

mod card;
mod rates;
mod rules;
mod service;

use super::bits;
use super::{Delta, KeyChange};
use crate::definition::Mac;
pub use rules::RuleChanges;
use seqnic_image::{Image, Names};
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{
    ATTACHMENT_ROW, ENCAP_ROW, INTERFACE_KEY, INTERFACE_VALUE, Table, accepts, attachment_state,
};
use serde::Serialize;
use service::Ways;
pub use service::{Service, ServiceChange};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Everything a delta changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Generation before and after, if it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generations: Option<[u64; 2]>,
    /// Name of the definition before and after, if it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<[String; 2]>,
    pub services_added: Vec<Service>,
    pub services_removed: Vec<Service>,
    pub services_changed: Vec<ServiceChange>,
    pub attachments: Vec<AttachmentChange>,
    pub interfaces: Vec<InterfaceChange>,
    pub rules: RuleChanges,
    /// What holds for the whole card: addresses, senders, DSCPs, limits, queues, tunnels of ports.
    pub card: Vec<Change>,
    /// Words written, by table.
    pub words: BTreeMap<&'static str, usize>,
    /// Keys of hash tables that come, go, or get another value, by table.
    pub keys: BTreeMap<&'static str, KeyCounts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeyCounts {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
}

/// A device or host that is elsewhere, or that another stands in for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentChange {
    pub name: String,
    /// What tells it from others of the name: the alternates it stands with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
    pub kind: AttachmentKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    Added,
    Removed,
    /// The same device in another place, or with another address.
    Moved,
    /// Another attachment takes its packets.
    TakenOverBy(String),
}

/// A segment of an interface that comes, goes or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterfaceChange {
    pub name: String,
    /// Port and VLANs.
    pub segment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Something else that comes, goes or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What `delta` makes of `old`.
pub fn changes(old: &Image, new: &Image, delta: &Delta) -> Changes {
    let mut changes = Changes {
        attachments: attachments(old, new, delta),
        interfaces: interfaces(delta),
        rules: rules::changes(old, new, delta),
        card: card::changes(old, new, delta),
        ..Changes::default()
    };
    let ((was, old_names), (now, new_names)) = (&delta.was, &delta.now);
    changes.generations = (was != now).then_some([*was, *now]);
    let names = [old_names, new_names].map(|n| n.definition.clone());
    changes.definition = (names[0] != names[1]).then_some(names);
    for word in &delta.words {
        *changes.words.entry(word.table.name()).or_default() += 1;
    }
    for key in &delta.keys {
        let counts = changes.keys.entry(key.table.name()).or_default();
        match (key.was, key.now) {
            (None, _) => counts.added += 1,
            (_, None) => counts.removed += 1,
            _ => counts.changed += 1,
        }
    }
    let touched = service::touched(old, new, delta);
    let (before, after) = (Ways::of(old, &touched), Ways::of(new, &touched));
    for name in &touched {
        match (before.service(name), after.service(name)) {
            (None, Some(after)) => changes.services_added.push(after),
            (Some(before), None) => changes.services_removed.push(before),
            (Some(before), Some(after)) => {
                changes
                    .services_changed
                    .push(ServiceChange { before, after });
            }
            (None, None) => {}
        }
    }
    changes
}

fn place(image: &Image, row: &Row) -> Option<String> {
    let field = |name| row.field(&ATTACHMENT_ROW, 0, name);
    if field("valid") == 0 {
        return None;
    }
    let vlans = ["vid0", "vid1"].map(|f| field(f) as u16);
    let vlans = &vlans[..field("tags").min(2) as usize];
    let mut text = segment(field("port") as u8, vlans);
    text += &format!(", MAC {}", mac(field("dst_mac")));
    let address = field("address");
    if address != 0 {
        text += &format!(", {}", service::address(field("v6") == 1, address));
    }
    if let Some(reason) = attachment_state::reason(field("state") as u32) {
        text += &format!(", {}", reason.name());
    }
    text += &format!(", from MAC {}", mac(field("src_mac")));
    if field("mtu") != 0 {
        text += &format!(", MTU {}", field("mtu"));
    }
    if field("encap") != 0 {
        text += &encap(&image.table(Table::Encap).row(field("encap") as u32));
    }
    Some(text)
}

/// Numbers of tags and ends of tunnels towards an attachment.
fn encap(row: &Row) -> String {
    let get = |name| row.field(&ENCAP_ROW, 0, name);
    let bases = ["vlan", "mpls", "spi", "vni", "gre"];
    let bases: Vec<String> = (bases.iter())
        .map(|name| format!("{name} {}", get(name)))
        .collect();
    let mut text = format!(", tags from {}", bases.join(", "));
    if get("dst") != 0 {
        let at = |name| service::address(get("v6") == 1, get(name));
        text += &format!(", tunnel {} > {}", at("src"), at("dst"));
    }
    text
}

/// Tags as bits of `accepts`.
fn tags(bits: u32) -> Vec<&'static str> {
    let names = [
        (accepts::DSCP, "DSCP"),
        (accepts::VLAN, "VLAN"),
        (accepts::MPLS, "MPLS"),
        (accepts::NSH, "NSH"),
        (accepts::VXLAN, "VXLAN"),
        (accepts::GPE, "VXLAN-GPE"),
        (accepts::GRE, "GRE"),
    ];
    let set = names.into_iter().filter(|(bit, _)| bits & bit != 0);
    set.map(|(_, name)| name).collect()
}

fn mac(number: u128) -> Mac {
    let [_, _, a, b, c, d, e, f] = (number as u64).to_be_bytes();
    Mac([a, b, c, d, e, f])
}

fn segment(port: u8, vlans: &[u16]) -> String {
    let vlans: Vec<String> = vlans.iter().map(u16::to_string).collect();
    match vlans.len() {
        0 => format!("port {port}"),
        _ => format!("port {port}, VLAN {}", vlans.join(" in ")),
    }
}

fn attachments(old: &Image, new: &Image, delta: &Delta) -> Vec<AttachmentChange> {
    let table = Table::Attachment;
    let rows = delta.words.iter().filter(|w| w.table == table);
    let numbers: BTreeSet<u32> = rows.map(|w| w.row / table.versions()).collect();
    let row = |image: &Image, n| image.table(table).row(image.row_of(table, n));
    let name = |names: &Names, n: u32| {
        let name = names.attachments.get(n as usize).cloned();
        let role = names.roles.get(n as usize).cloned();
        (name.unwrap_or_default(), role.unwrap_or_default())
    };
    // Who is at the place a role's packets go to.
    let who = |row: &Row| {
        let of = new.table(table);
        let plain = |n: &u32| {
            new.names
                .roles
                .get(*n as usize)
                .is_some_and(String::is_empty)
        };
        let mut numbers = 0..of.rows().div_ceil(table.versions());
        let found = numbers.find(|n| plain(n) && same_place(&of.row(new.row_of(table, *n)), row));
        found.map(|n| new.names.attachments[n as usize].clone())
    };
    let mut changes = Vec::new();
    for number in numbers {
        let (was, now) = (row(old, number), row(new, number));
        let (before, after) = (place(old, &was), place(new, &now));
        if before == after {
            continue;
        }
        let (name, role) = name(&delta.now.1, number);
        let kind = match (&before, &after) {
            // Roles come and go with the services that name them.
            (None, _) | (_, None) if !role.is_empty() => continue,
            (None, _) => AttachmentKind::Added,
            (_, None) => AttachmentKind::Removed,
            _ => match who(&now).filter(|who| !role.is_empty() && *who != name) {
                Some(other) => AttachmentKind::TakenOverBy(other),
                None => AttachmentKind::Moved,
            },
        };
        changes.push(AttachmentChange {
            name,
            role,
            kind,
            before,
            after,
        });
    }
    changes
}

/// Whether two attachments are one place, whatever the family of the address.
fn same_place(a: &Row, b: &Row) -> bool {
    let fields = ["valid", "port", "tags", "vid0", "vid1", "dst_mac"];
    fields
        .iter()
        .all(|f| a.field(&ATTACHMENT_ROW, 0, f) == b.field(&ATTACHMENT_ROW, 0, f))
}

fn field(words: &[u64], layout: &Layout, name: &str) -> u64 {
    let (lo, width) = layout.at(name);
    bits::get(words, lo, width)
}

fn interfaces(delta: &Delta) -> Vec<InterfaceChange> {
    let of_table = delta.keys.iter().filter(|k| k.table == Table::Interface);
    let describe = |names: &Names, value: &[u64; 2]| {
        let get = |name| field(value, &INTERFACE_VALUE, name);
        let mut text = format!("MAC {}", mac(get("mac").into()));
        if get("promiscuous") == 1 {
            text += ", promiscuous";
        }
        text += match get("tracking") {
            0 => ", senders known by MAC",
            _ => ", senders known by segment",
        };
        let tags = tags(get("accepts") as u32);
        if !tags.is_empty() {
            text += &format!(", tags read: {}", tags.join(", "));
        }
        if get("trust") == 1 {
            text += ", DSCP trusted";
        }
        let name = names.interfaces.get(get("interface") as usize);
        (name.map(|n| n.name.clone()).unwrap_or_default(), text)
    };
    let change = |key: &KeyChange| {
        let get = |name| field(&key.key, &INTERFACE_KEY, name) as u16;
        let vlans: Vec<u16> = ["vid0", "vid1"]
            .map(get)
            .into_iter()
            .filter(|v| *v != 0)
            .collect();
        let before = key.was.as_ref().map(|v| describe(&delta.was.1, v));
        let after = key.now.as_ref().map(|v| describe(&delta.now.1, v));
        let name = after.as_ref().or(before.as_ref()).map(|(n, _)| n.clone());
        InterfaceChange {
            name: name.unwrap_or_default(),
            segment: segment(get("port") as u8, &vlans),
            before: before.map(|(_, text)| text),
            after: after.map(|(_, text)| text),
        }
    };
    of_table.map(change).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => writeln!(f, "{} is new: {after}", self.what),
            (Some(before), None) => writeln!(f, "{} goes: {before}", self.what),
            (Some(before), Some(after)) => writeln!(
                f,
                "{} changes\n  before  {before}\n  after   {after}",
                self.what
            ),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some([before, after]) = &self.definition {
            writeln!(f, "definition `{before}` becomes `{after}`")?;
        }
        if let Some([before, after]) = self.generations {
            writeln!(f, "generation {before} becomes {after}")?;
        }
        for service in &self.services_added {
            writeln!(f, "service {} is new", service.name)?;
            service.lines(f, "  ")?;
        }
        for service in &self.services_removed {
            writeln!(f, "service {} goes", service.name)?;
        }
        for change in &self.services_changed {
            change.lines(f)?;
        }
        for a in &self.attachments {
            let role = match a.role.as_str() {
                "" => String::new(),
                role => format!(" (role {})", role.trim_end()),
            };
            let place = |p: &Option<String>| p.clone().unwrap_or_default();
            match &a.kind {
                AttachmentKind::Added => writeln!(f, "{} is new: {}", a.name, place(&a.after))?,
                AttachmentKind::Removed => writeln!(f, "{} goes: {}", a.name, place(&a.before))?,
                AttachmentKind::Moved => {
                    writeln!(f, "{}{role} moves", a.name)?;
                    writeln!(
                        f,
                        "  before  {}\n  after   {}",
                        place(&a.before),
                        place(&a.after)
                    )?;
                }
                AttachmentKind::TakenOverBy(other) => {
                    writeln!(f, "{}{role}: packets go to {other} now", a.name)?;
                }
            }
        }
        for i in &self.interfaces {
            match (&i.before, &i.after) {
                (None, Some(after)) => {
                    writeln!(f, "interface {}: {} is new ({after})", i.name, i.segment)?;
                }
                (_, None) => writeln!(f, "interface {}: {} goes", i.name, i.segment)?,
                (Some(before), Some(after)) => {
                    writeln!(f, "interface {}: {} changes", i.name, i.segment)?;
                    writeln!(f, "  before  {before}\n  after   {after}")?;
                }
            }
        }
        write!(f, "{}", self.rules)?;
        for change in &self.card {
            write!(f, "{change}")?;
        }
        let total: usize = self.words.values().sum();
        let tables: Vec<String> = self.words.iter().map(|(t, n)| format!("{t} {n}")).collect();
        match total {
            0 => writeln!(f, "no word is written"),
            1 => writeln!(f, "1 word is written: {}", tables.join(", ")),
            n => writeln!(f, "{n} words are written: {}", tables.join(", ")),
        }
    }
}
