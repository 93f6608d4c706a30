//! Rules that come, go, change, or are asked in another order.

use super::super::Delta;
use super::super::rules::{Standing, standing};
use super::service::attachment;
use seqnic_image::Image;
use seqnic_spec::tables::{POLICY_ROW, Table, rule_kind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Rules as text in [`fmt::Display`] at most; a set may have ten thousand.
const MOST_LINES: usize = 50;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RuleChanges {
    pub changed: Vec<RuleChange>,
    /// Of each set of services in which rules that stay are asked in another order: the set, a rule, and
    /// the one that stood in its place.
    pub orders: Vec<[String; 3]>,
}

/// A rule by the names of the definition, in words of what is stored: one line for each pair of prefixes,
/// range of ports and interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    pub acl: String,
    pub rule: String,
    pub before: BTreeSet<String>,
    pub after: BTreeSet<String>,
}

type Name = (String, String);

/// Rules of an image.
#[derive(Default)]
struct Rules {
    texts: BTreeMap<Name, BTreeSet<String>>,
    /// Of each set of services, by its label: rules by order.
    orders: BTreeMap<String, BTreeMap<u32, Name>>,
}

pub fn changes(old: &Image, new: &Image, delta: &Delta) -> RuleChanges {
    let touched = |w: &super::super::Word| matches!(w.table, Table::Rule | Table::Policy);
    if !delta.words.iter().any(touched) {
        return RuleChanges::default();
    }
    let (before, after) = (Rules::of(old), Rules::of(new));
    let names: BTreeSet<&Name> = before.texts.keys().chain(after.texts.keys()).collect();
    let of = |rules: &Rules, name: &Name| rules.texts.get(name).cloned().unwrap_or_default();
    let change = |name: &Name| RuleChange {
        acl: name.0.clone(),
        rule: name.1.clone(),
        before: of(&before, name),
        after: of(&after, name),
    };
    let changed = names.into_iter().map(change);
    let changed = changed.filter(|c| c.before != c.after).collect();
    let orders = before.orders.iter().filter_map(|(set, before)| {
        let after = after.orders.get(set)?;
        let known = |all: &BTreeMap<u32, Name>| all.values().cloned().collect::<BTreeSet<_>>();
        let (a, b) = (known(before), known(after));
        let stay = |all: &BTreeMap<u32, Name>| -> Vec<Name> {
            let stays = all.values().filter(|n| a.contains(n) && b.contains(n));
            stays.cloned().collect()
        };
        let (before, after) = (stay(before), stay(after));
        let mut pairs = before.into_iter().zip(after);
        let (was, now) = pairs.find(|(was, now)| was != now)?;
        let name = |(acl, rule): Name| format!("{acl}/{rule}");
        Some([set.clone(), name(now), name(was)])
    });
    RuleChanges {
        changed,
        orders: orders.collect(),
    }
}

impl Rules {
    fn of(image: &Image) -> Rules {
        let mut this = Rules::default();
        for rule in standing(image) {
            let number = rule.field("rule");
            let Some(Some(name)) = image.names.rules.get(number as usize) else {
                continue;
            };
            let name: Name = (name.acl.clone(), name.rule.clone());
            let set = image.names.sets.get(rule.field("set") as usize);
            let orders = this.orders.entry(set.cloned().unwrap_or_default());
            orders
                .or_default()
                .insert(rule.field("order"), name.clone());
            let text = text(image, &rule);
            this.texts.entry(name).or_default().insert(text);
        }
        this
    }
}

/// TCP flags, lowest bit first.
const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

fn text(image: &Image, rule: &Standing) -> String {
    let get = |name: &str| rule.field(name);
    let kind = get("kind");
    let prefix = |side: &str| {
        let (high, bits) = (get(side), get(&format!("{side}_bits")));
        if kind == rule_kind::V4 {
            return match bits {
                0 => String::from("any IPv4"),
                32 => Ipv4Addr::from(high).to_string(),
                _ => format!("{}/{bits}", Ipv4Addr::from(high)),
            };
        }
        let (rest, more) = rule.rest(side);
        let bits = bits + more;
        let at: IpAddr = Ipv6Addr::from(u128::from(high) << 96 | rest).into();
        match (kind == rule_kind::ANY, bits) {
            (true, _) => String::from("any"),
            (_, 0) => String::from("any IPv6"),
            (_, 128) => at.to_string(),
            _ => format!("{at}/{bits}"),
        }
    };
    let mut text = format!("{} > {}", prefix("client"), prefix("server"));
    if get("any_protocol") == 0 {
        text += &match get("protocol") as u8 {
            6 => String::from(", tcp"),
            17 => String::from(", udp"),
            132 => String::from(", sctp"),
            1 | 58 => String::from(", icmp"),
            n => format!(", protocol {n}"),
        };
    }
    for (side, what) in [("client_port", "client port"), ("port", "port")] {
        let range = (get(&format!("{side}_first")), get(&format!("{side}_last")));
        text += &match range {
            (0, 0xffff) => String::new(),
            (a, b) if a == b => format!(", {what} {a}"),
            (a, b) => format!(", {what} {a}-{b}"),
        };
    }
    let (flags, mask) = (get("flags"), get("flags_mask"));
    let named = FLAGS.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1);
    let named: Vec<String> = named
        .map(|(n, flag)| format!("{}{flag}", if flags >> n & 1 == 1 { "" } else { "!" }))
        .collect();
    if !named.is_empty() {
        text += &format!(", {}", named.join(" "));
    }
    text += &match (get("size_first"), get("size_last")) {
        (0, 0x3fff) => String::new(),
        (least, 0x3fff) => format!(", size from {least}"),
        (least, most) => format!(", size {least}-{most}"),
    };
    text += match (get("forward"), get("back")) {
        (1, 1) => "",
        (1, _) => ", forward",
        _ => ", return",
    };
    if get("any_arrival") == 0 {
        let interface = image.names.interfaces.get(get("arrival") as usize);
        text += &format!(", on {}", interface.map_or("?", |i| i.name.as_str()));
    }
    let policy = image.table(Table::Policy).row(get("rule"));
    let hop = |f| policy.field(&POLICY_ROW, 0, f) as u32;
    let action = match (get("permit"), hop("valid")) {
        (_, 1) => format!("to {}", attachment(image, hop("attachment"))),
        (1, _) => String::from("permit"),
        _ => String::from("deny"),
    };
    format!("{text}: {action}")
}

impl fmt::Display for RuleChanges {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for change in self.changed.iter().take(MOST_LINES) {
            let name = format!("rule {}/{}", change.acl, change.rule);
            let lines = |lines: &BTreeSet<String>| {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                lines.join(" | ")
            };
            match (change.before.is_empty(), change.after.is_empty()) {
                (true, _) => writeln!(f, "{name} is new: {}", lines(&change.after))?,
                (_, true) => writeln!(f, "{name} goes: {}", lines(&change.before))?,
                _ => {
                    let (before, after) = (lines(&change.before), lines(&change.after));
                    writeln!(f, "{name} changes\n  before  {before}\n  after   {after}")?;
                }
            }
        }
        if self.changed.len() > MOST_LINES {
            writeln!(f, "and {} rules more", self.changed.len() - MOST_LINES)?;
        }
        for [set, now, was] in &self.orders {
            writeln!(
                f,
                "rules of {set} are asked in another order: {now} where {was} was"
            )?;
        }
        Ok(())
    }
}
