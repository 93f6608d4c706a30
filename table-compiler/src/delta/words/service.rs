//! Services as tables have them: what they are found by, and the ways of their packets.

use super::super::bits;
use super::super::{Delta, KeyChange};
use super::{field, rates};
use seqnic_image::Image;
use seqnic_image::names::Direction;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::references::Space;
use seqnic_spec::tables::{
    ACTION_ROW, ADDRESS_KEY, ADDRESS_VALUE, CLASS_ROW, HashSlot, PORT_KEY, PORT_VALUE, RANGE_SLOT,
    RANGE_SLOTS, STEP_KEY, STEP_VALUE, Table, position_kind, tag_kind,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    pub name: String,
    /// Address and ports that packets enter by.
    pub keys: Vec<String>,
    /// Sender and where its packets go, in the order they are met.
    pub forward: Vec<String>,
    #[serde(rename = "return")]
    pub back: Vec<String>,
    /// Priority, rate, and what rules it asks.
    pub with: Vec<String>,
}

/// A service before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceChange {
    pub before: Service,
    pub after: Service,
}

impl Service {
    pub fn lines(&self, f: &mut fmt::Formatter, indent: &str) -> fmt::Result {
        writeln!(f, "{indent}at       {}", self.keys.join(", "))?;
        writeln!(f, "{indent}forward  {}", self.forward.join(" | "))?;
        writeln!(f, "{indent}return   {}", self.back.join(" | "))?;
        match self.with.is_empty() {
            true => Ok(()),
            false => writeln!(f, "{indent}with     {}", self.with.join("; ")),
        }
    }
}

impl ServiceChange {
    pub fn lines(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (before, after) = (&self.before, &self.after);
        writeln!(f, "service {} changes", after.name)?;
        let parts = [
            ("at", ", ", &before.keys, &after.keys),
            ("forward", " | ", &before.forward, &after.forward),
            ("return", " | ", &before.back, &after.back),
            ("with", "; ", &before.with, &after.with),
        ];
        let words = |lines: &[String], between| match lines.is_empty() {
            true => String::from("nothing"),
            false => lines.join(between),
        };
        for (what, between, before, after) in parts {
            if before != after {
                writeln!(f, "  {what:<8} before  {}", words(before, between))?;
                writeln!(f, "  {:<8} after   {}", "", words(after, between))?;
            }
        }
        if before == after {
            writeln!(f, "  in what is found by senders that come or go")?;
        }
        Ok(())
    }
}

pub fn address(v6: bool, number: u128) -> IpAddr {
    match v6 {
        true => Ipv6Addr::from(number).into(),
        false => Ipv4Addr::from(number as u32).into(),
    }
}

/// Class a key leads to or belongs to.
fn class_of(change: &KeyChange, value: &Option<[u64; 2]>) -> Option<u32> {
    match change.table {
        Table::Step => Some(field(&change.key, &STEP_KEY, "class") as u32),
        table if Table::PORTS.contains(&table) => {
            Some(field(value.as_ref()?, &PORT_VALUE, "class") as u32)
        }
        _ => None,
    }
}

fn service_name(image: &Image, class: u32) -> Option<&str> {
    let class = image.names.classes.get(class as usize)?;
    let name = image.names.services.get(class.service as usize)?;
    Some(name)
}

/// Names of the services whose rows a delta changes.
pub fn touched(old: &Image, new: &Image, delta: &Delta) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |image: &Image, class: Option<u32>| {
        let name = class.filter(|c| *c >= Space::Class.first());
        names.extend(name.and_then(|c| service_name(image, c)).map(str::to_owned));
    };
    for change in &delta.keys {
        add(
            old,
            change
                .was
                .is_some()
                .then(|| class_of(change, &change.was))
                .flatten(),
        );
        add(
            new,
            change
                .now
                .is_some()
                .then(|| class_of(change, &change.now))
                .flatten(),
        );
    }
    for word in delta.words.iter().filter(|w| w.table == Table::Range) {
        for slot in 0..RANGE_SLOTS {
            let base = slot * RANGE_SLOT.width();
            let (valid, (lo, width)) = (RANGE_SLOT.offset("valid"), RANGE_SLOT.at("class"));
            for (image, words) in [(old, &word.was), (new, &word.now)] {
                let used = bits::get(words, base + valid, 1) == 1;
                add(
                    image,
                    used.then(|| bits::get(words, base + lo, width) as u32),
                );
            }
        }
    }
    names
}

/// One sender's packets.
struct Hop {
    from: String,
    to: Vec<String>,
}

/// The ways of some services.
pub struct Ways {
    keys: HashMap<String, BTreeSet<String>>,
    hops: HashMap<(String, Direction), Vec<Hop>>,
    with: HashMap<String, BTreeSet<String>>,
}

impl Ways {
    pub fn of(image: &Image, services: &BTreeSet<String>) -> Ways {
        let mut this = Ways {
            keys: HashMap::new(),
            hops: HashMap::new(),
            with: HashMap::new(),
        };
        let classes = image.names.classes.iter().enumerate().skip(1);
        let wanted: BTreeMap<u32, &str> = classes
            .filter(|(_, class)| class.place != u32::MAX)
            .filter_map(|(n, _)| Some((n as u32, service_name(image, n as u32)?)))
            .filter(|(_, name)| services.contains(*name))
            .collect();
        if wanted.is_empty() {
            return this;
        }
        this.find_keys(image, &wanted);
        for (class, name) in &wanted {
            let row = image.table(Table::Class).row(*class);
            let get = |f| row.field(&CLASS_ROW, 0, f) as u32;
            let with = settings(image, get);
            this.with
                .entry((*name).to_owned())
                .or_default()
                .extend(with);
            let entries = [
                (
                    Direction::Forward,
                    get("forward_action"),
                    get("forward_copies"),
                ),
                (
                    Direction::Return,
                    get("return_action"),
                    get("return_copies"),
                ),
            ];
            for (direction, first, count) in entries {
                this.hop(image, name, direction, "client".to_owned(), (first, count));
            }
        }
        for (key, value) in entries(image, Table::Step) {
            let get = |f| key.field(&STEP_KEY, 0, f) as u32;
            let Some(name) = wanted.get(&get("class")) else {
                continue;
            };
            let position = get("position");
            let from = match position >> 16 {
                position_kind::ATTACHMENT => attachment(image, position & 0xffff),
                kind => tagged(kind, position & 0xffff),
            };
            let get = |f| value.field(&STEP_VALUE, 0, f) as u32;
            let run = (get("action"), get("copies"));
            this.hop(
                image,
                name,
                Direction::from_bit(get_direction(&key)),
                from,
                run,
            );
        }
        this
    }

    fn hop(
        &mut self,
        image: &Image,
        service: &str,
        direction: Direction,
        from: String,
        (first, count): (u32, u32),
    ) {
        // Without copies a sender is barred: no way of anything.
        let to: Vec<String> = (first..first + count).map(|row| copy(image, row)).collect();
        if !to.is_empty() {
            let hops = self
                .hops
                .entry((service.to_owned(), direction))
                .or_default();
            hops.push(Hop { from, to });
        }
    }

    /// Addresses and labels by which packets enter.
    fn find_keys(&mut self, image: &Image, wanted: &BTreeMap<u32, &str>) {
        let mut scopes: HashMap<u128, Vec<IpAddr>> = HashMap::new();
        let mut found: Vec<(u32, IpAddr)> = Vec::new();
        for (key, value) in entries(image, Table::Address) {
            let get = |f| value.field(&ADDRESS_VALUE, 0, f);
            let at = address(
                key.field(&ADDRESS_KEY, 0, "v6") == 1,
                key.field(&ADDRESS_KEY, 0, "address"),
            );
            scopes.entry(get("scope")).or_default().push(at);
            if get("range_valid") == 0 {
                continue;
            }
            let row = image.table(Table::Range).row(get("range") as u32);
            for slot in 0..RANGE_SLOTS {
                let get = |f| row.field(&RANGE_SLOT, slot * RANGE_SLOT.width(), f);
                // Roles 0 and 3 are the forward questions.
                if get("valid") == 1 && matches!(get("role"), 0 | 3) {
                    found.push((get("class") as u32, at));
                }
            }
        }
        for table in [Table::PortDstServer, Table::PortSrcClient] {
            for (key, value) in entries(image, table) {
                let class = value.field(&PORT_VALUE, 0, "class") as u32;
                if wanted.contains_key(&class) {
                    let of = scopes.get(&key.field(&PORT_KEY, 0, "scope"));
                    found.extend(of.into_iter().flatten().map(|at| (class, *at)));
                }
            }
        }
        for (class, at) in found {
            let Some(name) = wanted.get(&class) else {
                continue;
            };
            let label = image.names.classes[class as usize].label as usize;
            let label = image.names.labels.get(label).cloned().unwrap_or_default();
            let keys = self.keys.entry((*name).to_owned()).or_default();
            keys.insert(format!("{at} {label}"));
        }
    }

    /// What is known of a service; `None` if it has nothing here.
    pub fn service(&self, name: &str) -> Option<Service> {
        let way = |direction| {
            let hops = self.hops.get(&(name.to_owned(), direction));
            hops.map(|hops| in_order(hops)).unwrap_or_default()
        };
        let keys = self.keys.get(name);
        let service = Service {
            name: name.to_owned(),
            keys: keys.into_iter().flatten().cloned().collect(),
            forward: way(Direction::Forward),
            back: way(Direction::Return),
            with: self.with.get(name).into_iter().flatten().cloned().collect(),
        };
        let empty =
            service.keys.is_empty() && service.forward.is_empty() && service.back.is_empty();
        (!empty).then_some(service)
    }
}

/// What a class row says besides ways.
fn settings(image: &Image, get: impl Fn(&'static str) -> u32) -> Vec<String> {
    let mut with = Vec::new();
    if get("priority") != 0 {
        with.push(format!("priority {}", get("priority")));
    }
    if get("meter") != 0 {
        let row = image.table(Table::Meter).row(get("meter"));
        with.push(format!("at most {}", rates::meter(&row)));
    }
    if get("set") != 0 {
        // `edge@i0+public=deny`: sets, interfaces, default.
        let set = image.names.sets.get(get("set") as usize);
        let (sets, default) = set.map_or(("?", "?"), |s| s.split_once('=').unwrap_or((s, "")));
        with.push(format!(
            "rules {}, otherwise {default}",
            sets.replace('+', " then ").replace('@', " on ")
        ));
    }
    with
}

fn get_direction(key: &Row) -> u32 {
    key.field(&STEP_KEY, 0, "direction") as u32
}

/// Each hop as text once, in the order packets meet them as far as one follows another.
fn in_order(hops: &[Hop]) -> Vec<String> {
    let device = |name: &str| name.split(['.', ' ']).next().unwrap_or(name).to_owned();
    let mut left: Vec<(String, String, String)> = Vec::new();
    for hop in hops {
        let next = device(hop.to.first().map_or("", String::as_str));
        let text = format!("{} > {}", hop.from, hop.to.join(" + "));
        if !left.iter().any(|(_, _, other)| *other == text) {
            left.push((device(&hop.from), next, text));
        }
    }
    left.sort_by(|a, b| (a.0 != "client", &a.2).cmp(&(b.0 != "client", &b.2)));
    let mut all = Vec::new();
    let mut at = 0;
    while !left.is_empty() {
        let (_, next, text) = left.remove(at);
        all.push(text);
        at = left
            .iter()
            .position(|(from, ..)| *from == next)
            .unwrap_or(0);
    }
    all
}

pub fn attachment(image: &Image, number: u32) -> String {
    let name = image.names.attachments.get(number as usize);
    name.cloned()
        .unwrap_or_else(|| format!("attachment {number}"))
}

/// A sender that is known by something else than its MAC.
fn tagged(kind: u32, number: u32) -> String {
    let what = match kind {
        position_kind::UNKNOWN => return String::from("any sender"),
        position_kind::SEGMENT => "segment",
        position_kind::DSCP => "DSCP",
        position_kind::VLAN => "VLAN",
        position_kind::MPLS => "MPLS label",
        position_kind::NSH => "NSH index",
        position_kind::VXLAN => "VNI",
        position_kind::GRE => "GRE key",
        _ => "position",
    };
    format!("{what} {number}")
}

/// Where a copy goes, and its edits.
fn copy(image: &Image, row: u32) -> String {
    let row = image.table(Table::Action).row(row);
    let get = |f| row.field(&ACTION_ROW, 0, f);
    let mut edits = Vec::new();
    if get("route") == 1 {
        edits.push(String::from("or neighbour"));
    }
    if get("nat") == 1 {
        edits.push(String::from("NAT"));
    }
    if get("rewrite_valid") == 1 {
        edits.push(String::from("source restored"));
    }
    if get("port_field") != 0 {
        let which = if get("port_field") == 1 {
            "source"
        } else {
            "destination"
        };
        edits.push(format!("{which} port {:+}", get("port_add") as u16 as i16));
    }
    if get("dscp_valid") == 1 {
        edits.push(format!("DSCP {}", get("dscp")));
    }
    let tag = match get("tag_kind") as u32 {
        tag_kind::NONE => None,
        tag_kind::VLAN => Some("VLAN"),
        tag_kind::MPLS => Some("MPLS"),
        tag_kind::NSH1 => Some("NSH"),
        tag_kind::NSH2 => Some("NSH without metadata"),
        tag_kind::VXLAN => Some("VXLAN"),
        tag_kind::GPE1 => Some("VXLAN-GPE"),
        tag_kind::GPE2 => Some("VXLAN-GPE without metadata"),
        _ => Some("GRE"),
    };
    if get("pool") != 0 {
        edits.push(format!("pool of {}", 1u32 << (get("pool") as u32).min(31)));
    }
    if let Some(tag) = tag {
        edits.push(format!("tag {} of {tag}", get("tag")));
    }
    let to = attachment(image, get("attachment") as u32);
    match edits.is_empty() {
        true => to,
        false => format!("{to} ({})", edits.join(", ")),
    }
}

/// Keys and values of a hash table that hold.
pub fn entries(image: &Image, table: Table) -> impl Iterator<Item = (Row, Row)> + '_ {
    let none: &'static Layout = &CLASS_ROW;
    let (key, value) = table.hash().unwrap_or((none, none));
    let slots = image.geometry.hash(table).map_or(0, |h| h.slots);
    let (slot, epoch) = (HashSlot { key, value }, image.epoch());
    let rows = image.table(table);
    rows.used().flat_map(move |(_, words)| {
        let row = Row::from_words(rows.row_bits, words);
        (0..slots)
            .filter_map(|s| slot.read(&row, s, epoch))
            .collect::<Vec<_>>()
    })
}
