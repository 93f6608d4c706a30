//! Rules of services: `docs/semantics.md` section 7.
//!
//! Services that ask the same rule sets on the same interfaces with the same default share a *set*
//! of rules, which their classes name. A rule stands where bits of the packet say
//! (`crate::place::rules`), and those bits may include the scope of the service's address: its
//! *salt*. Scopes whose classes share sets belong together, and are asked the same way.

use super::Lowering;
use super::model::{RuleGroup, RuleRow, SetRow};
use crate::definition::{
    AclUse, DEFAULT_RULE, Definition, Directions, InterfaceId, Ports, Prefix, Protocol, Rule,
};
use crate::diagnostic::{Diagnostic, Span};
use crate::place::rules::{Banks, NoPlace, covers, is_long, lay_out, shape};
use seqnic_image::names::RuleName;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{RULE_SLOTS, Table, width};
use std::collections::HashMap;
use std::net::IpAddr;

/// Most rules of scopes that belong together which get a copy for each of them.
const MAX_SALTED: usize = 512;
/// Rules from which scopes get a way of their own to find them, while there are any.
const OWN_WAY: usize = 32;

/// What services share that ask the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SetKey {
    uses: Vec<AclUse>,
    permit: bool,
}

impl SetKey {
    /// The definition's rule sets, joined.
    fn acls(&self, definition: &Definition) -> String {
        let names = self
            .uses
            .iter()
            .map(|u| definition.acls[u.acl].name.as_str());
        names.collect::<Vec<_>>().join("+")
    }

    /// What the set is known by from one definition to the next.
    fn label(&self, definition: &Definition) -> String {
        let used = |u: &AclUse| {
            let mut text = definition.acls[u.acl].name.clone();
            for (n, id) in u.interfaces.iter().flatten().enumerate() {
                text.push(if n == 0 { '@' } else { ',' });
                text.push_str(&definition.interfaces[*id].name);
            }
            text
        };
        let uses: Vec<String> = self.uses.iter().map(used).collect();
        let default = if self.permit { "permit" } else { "deny" };
        format!("{}={default}", uses.join("+"))
    }
}

impl Lowering<'_> {
    /// Number of the rule set of service `number` and what its classes say, 0 for none.
    pub(super) fn set_of(&mut self, number: usize) -> SetRow {
        let service = &self.definition.services[number];
        if service.acl.is_empty() {
            return SetRow::default();
        }
        let key = SetKey {
            uses: service.acl.clone(),
            permit: service.acl_default,
        };
        let (place, new) = self.sets.insert_full(key);
        if new {
            self.number_rules(place);
        }
        self.set_rows[place]
    }

    /// Gives a new set its number, and its rules theirs: the default first.
    fn number_rules(&mut self, place: usize) {
        let key = &self.sets[place];
        let set = place as u32 + 1;
        let (acls, label) = (key.acls(self.definition), key.label(self.definition));
        let names = &mut self.model.names;
        names.sets.resize(1.max(names.sets.len()), String::new());
        names.rules.resize(1.max(names.rules.len()), None);
        names.sets.push(label);
        let policies = &mut self.model.policies;
        policies.resize(names.rules.len(), None);
        let first = names.rules.len() as u32;
        let mut name = |acl: &str, rule: &str, hop| {
            names.rules.push(Some(RuleName {
                acl: acl.to_owned(),
                rule: rule.to_owned(),
                set,
            }));
            policies.push(hop);
        };
        name(&acls, DEFAULT_RULE, None);
        let mut next = first + 1;
        let mut firsts: Vec<u32> = Vec::new();
        for (at, used) in key.uses.iter().enumerate() {
            // A set that is asked twice (on other interfaces) counts under one name.
            let before = key.uses[..at].iter().position(|u| u.acl == used.acl);
            if let Some(before) = before {
                firsts.push(firsts[before]);
                continue;
            }
            firsts.push(next);
            let acl = &self.definition.acls[used.acl];
            for rule in &acl.rules {
                let hop = rule.route.map(|host| self.attached.host(host));
                name(&acl.name, &rule.name, hop);
                next += 1;
            }
        }
        self.rule_firsts.push(firsts);
        self.set_rows.push(SetRow {
            set,
            permit: key.permit,
            rule: first,
        });
    }

    /// Rows of every rule; the row in `acl`, and whether it is salted, of every scope. `set_of`
    /// gives the set of a class.
    pub(super) fn rules(&mut self, asked: &[(u32, u32)]) -> Vec<(u32, bool)> {
        let mut ways = vec![(0, false); self.scopes.len() + 1];
        if self.sets.is_empty() {
            return ways;
        }
        let geometry = self.definition.geometry;
        let mut groups = together(asked, self.scopes.len(), self.sets.len());
        for group in &mut groups {
            self.expand(group);
        }
        // The largest first: they need a way of their own most.
        groups.sort_by_key(|g| std::cmp::Reverse(g.rules.len()));
        let own = geometry.numbers(Table::Acl).saturating_sub(2) as usize;
        let own = groups
            .iter()
            .take(own)
            .take_while(|g| g.rules.len() >= OWN_WAY);
        let own = own.count();
        let mut rest = RuleGroup::default();
        for (place, group) in groups.into_iter().enumerate() {
            let row = place.min(own) as u32 + 1;
            for scope in &group.scopes {
                ways[*scope as usize] = (row, group.salted);
            }
            match place < own {
                true => self.model.rules.push(group.into_group(self)),
                false => {
                    let group = group.into_group(self);
                    rest.rules.extend(group.rules);
                    rest.sets.extend(group.sets);
                }
            }
        }
        if !rest.sets.is_empty() {
            rest.sets.sort_unstable();
            rest.sets.dedup();
            self.model.rules.push(rest);
        }
        self.too_many_rules(geometry);
        ways
    }

    /// The rows of a group's rules, without salt.
    fn expand(&self, group: &mut Together) {
        let families = |v6: bool| {
            let mut scopes = group.scopes.iter();
            scopes.any(|s| self.scopes[*s as usize - 1].is_ipv6() == v6)
        };
        let families = [families(false), families(true)];
        for set in &group.sets {
            let key = &self.sets[*set as usize - 1];
            let firsts = &self.rule_firsts[*set as usize - 1];
            let mut order = 0;
            for (used, first) in key.uses.iter().zip(firsts) {
                for (number, rule) in (*first..).zip(&self.definition.acls[used.acl].rules) {
                    let row = RuleRow {
                        set: *set,
                        order,
                        rule: number,
                        permit: rule.permit,
                        ..RuleRow::default()
                    };
                    spell_out(rule, used.interfaces.as_deref(), row, &mut group.rules);
                    order += 1;
                }
            }
        }
        group.rules.retain(|r| families[usize::from(r.v6)]);
        // With one scope a family nothing is stored twice.
        let scopes = |v6: bool| {
            let scopes = group.scopes.iter();
            scopes
                .filter(|s| self.scopes[**s as usize - 1].is_ipv6() == v6)
                .count()
        };
        let most = scopes(false).max(scopes(true));
        group.salted = most <= 1 || group.rules.len() * most <= MAX_SALTED;
    }

    /// Gives every rule its place.
    pub(super) fn place_rules(&mut self) {
        let geometry = self.definition.geometry;
        let banks = Banks::of(geometry);
        let groups: Vec<&[RuleRow]> = (self.model.rules.iter())
            .map(|group| group.rules.as_slice())
            .collect();
        match lay_out(banks, &groups) {
            Ok(layout) => self.model.layout = layout,
            Err(unplaced) => self.findings.push(self.unplaced(unplaced)),
        }
    }

    fn unplaced(&self, unplaced: NoPlace) -> Diagnostic {
        let geometry = self.definition.geometry;
        let sets = &self.model.rules[unplaced.group].sets;
        let mut acls: Vec<usize> = (sets.iter())
            .flat_map(|set| &self.sets[*set as usize - 1].uses)
            .map(|used| used.acl)
            .collect();
        acls.sort_unstable();
        acls.dedup();
        // The longest first: it is the likeliest to be the cause.
        acls.sort_by_key(|acl| std::cmp::Reverse(self.definition.acls[*acl].rules.len()));
        let acl = |id: &usize| &self.definition.acls[*id];
        let names: Vec<String> = acls
            .iter()
            .take(3)
            .map(|id| format!("`{}`", acl(id).name))
            .collect();
        let more = if acls.len() > 3 { " and more" } else { "" };
        let first = acls.first().map(|id| acl(id).span).unwrap_or_default();
        let capacity = geometry.rows(Table::Rule) * RULE_SLOTS;
        let crowd = self.crowd(&unplaced);
        let always = match geometry.rule_always {
            0 => String::new(),
            rows => format!(" and {rows} that every packet asks"),
        };
        let mut finding = Diagnostic::new(
            "rules_do_not_fit",
            format!(
                "of the {} rows the rules of rule set {}{more} are stored as, {} find no place: {}; a packet asks {} rows of \
                 {RULE_SLOTS} rules{always}, geometry `{}` has room for {capacity}",
                unplaced.rules,
                names.join(", "),
                unplaced.without.len(),
                crowd.words,
                geometry.rule_banks,
                geometry.name
            ),
            first,
            "rules that leave the same fields open crowd together: give some of them prefixes, ports or a protocol, let fewer services \
             of one address ask them, join rules of neighbouring prefixes, or take a larger geometry",
        );
        if let Some(span) = crowd.span {
            finding = finding.also(span, "this one, for example");
        }
        acls.iter().skip(1).take(2).fold(finding, |f, id| {
            f.also(acl(id).span, "asked together with it")
        })
    }

    /// Which rules have no place, and what they have in common with those in their way.
    fn crowd(&self, unplaced: &NoPlace) -> Crowd {
        let rows = &self.model.rules[unplaced.group].rules;
        let mut numbers: Vec<u32> = unplaced.without.iter().map(|at| rows[*at].rule).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let name = |number: &u32| self.model.names.rules[*number as usize].as_ref();
        let names: Vec<String> = (numbers.iter().take(3).filter_map(name))
            .map(|name| format!("`{}/{}`", name.acl, name.rule))
            .collect();
        let more = match numbers.len() - names.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let which = if numbers.len() == 1 { "rule" } else { "rules" };
        let least = unplaced.without.iter().map(|at| shape(&rows[*at])).min();
        let least = least.unwrap_or_default();
        let alike = rows.iter().filter(|row| covers(&least, &shape(row)));
        let fields = [
            ("client", least.client == 0),
            ("server", least.server == 0),
            ("client_port", least.client_port == 0),
            ("port", least.port == 0),
            ("protocol", !least.protocol),
        ];
        let open: Vec<&str> = fields.iter().filter(|f| f.1).map(|f| f.0).collect();
        let open = match open.is_empty() {
            true => String::from("are alike in every field that finds rules"),
            false => format!("leave {} open or nearly", open.join(", ")),
        };
        let of = numbers.first().and_then(name);
        let rule = of.and_then(|name| {
            let acl = self.definition.acls.iter().find(|a| a.name == name.acl)?;
            acl.rules.iter().find(|r| r.name == name.rule)
        });
        Crowd {
            words: format!(
                "of {which} {}{more}; {} rows {open}",
                names.join(", "),
                alike.count()
            ),
            span: rule.map(|rule| rule.span),
        }
    }

    fn too_many_rules(&mut self, geometry: &Geometry) {
        let numbers = self.model.names.rules.len();
        let room = geometry.numbers(Table::Policy) as usize;
        let orders = self.model.rules.iter().flat_map(|g| &g.rules);
        let order = orders.map(|r| r.order).max().unwrap_or(0);
        let sets = self.sets.len() as u32;
        let rows = self.model.rules.iter().flat_map(|g| &g.rules);
        let (stored, long) = rows.fold((0usize, 0usize), |(all, long), row| {
            (all + 1, long + usize::from(is_long(row)))
        });
        let slots = (geometry.rows(Table::Rule) * RULE_SLOTS) as usize;
        let over = match () {
            () if numbers > room => format!(
                "{} rules and defaults, geometry `{}` has {}",
                numbers - 1,
                geometry.name,
                room - 1
            ),
            () if stored + long > slots => format!(
                "{} places for rules, geometry `{}` has {slots}: its rules are stored as {stored} rows, and {long} of them, with IPv6 \
                 prefixes of more than 32 bits, take two places",
                stored + long,
                geometry.name
            ),
            () if sets >= 1 << width::SET => format!(
                "{sets} rule sets of services, at most {} have numbers",
                (1 << width::SET) - 1
            ),
            () if order > u32::from(u16::MAX) => format!(
                "{} rules in one rule set, at most 65536 have places",
                order + 1
            ),
            () => return,
        };
        let span = self.definition.acls.last().map(|acl| acl.span);
        self.findings.push(Diagnostic::new(
            "too_many_rules",
            format!("the definition needs {over}"),
            span.unwrap_or_default(),
            "join rules (lists of prefixes and ports are one rule), let services share rule sets, or take a larger geometry",
        ));
    }
}

/// Rules in one another's way, in words, and one of them that has no place.
struct Crowd {
    words: String,
    span: Option<Span>,
}

/// Scopes and sets that belong together, with the rows of their rules.
#[derive(Debug, Default)]
struct Together {
    scopes: Vec<u32>,
    sets: Vec<u32>,
    rules: Vec<RuleRow>,
    salted: bool,
}

impl Together {
    fn into_group(self, lowering: &Lowering) -> RuleGroup {
        let rules = match self.salted {
            false => self.rules,
            true => {
                let of_scope = |scope: &u32| {
                    let v6 = lowering.scopes[*scope as usize - 1].is_ipv6();
                    let rules = self.rules.iter().filter(move |r| r.v6 == v6);
                    let salt = *scope;
                    rules.map(move |r| RuleRow { salt, ..*r })
                };
                self.scopes.iter().flat_map(of_scope).collect()
            }
        };
        RuleGroup {
            rules,
            sets: self.sets,
        }
    }
}

/// Joins scopes that share sets, in the order of their first scope. `asked` has scope and set of
/// every class that is found by an address.
fn together(asked: &[(u32, u32)], scopes: usize, sets: usize) -> Vec<Together> {
    // Union-find over scopes, then sets.
    let mut parent: Vec<u32> = (0..=(scopes + sets) as u32).collect();
    fn root(parent: &mut [u32], of: u32) -> u32 {
        let mut at = of;
        while parent[at as usize] != at {
            parent[at as usize] = parent[parent[at as usize] as usize];
            at = parent[at as usize];
        }
        at
    }
    for (scope, set) in asked {
        let (a, b) = (
            root(&mut parent, *scope),
            root(&mut parent, scopes as u32 + set),
        );
        parent[a.max(b) as usize] = a.min(b);
    }
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut groups: Vec<Together> = Vec::new();
    for (scope, set) in asked {
        let root = root(&mut parent, *scope);
        let place = *places.entry(root).or_insert_with(|| {
            groups.push(Together::default());
            groups.len() - 1
        });
        groups[place].scopes.push(*scope);
        groups[place].sets.push(*set);
    }
    for group in &mut groups {
        for list in [&mut group.scopes, &mut group.sets] {
            list.sort_unstable();
            list.dedup();
        }
    }
    groups
}

/// The rows of `rules` alone, as set 1, with rule numbers from 1.
pub fn rows(rules: &[Rule]) -> Vec<RuleRow> {
    let mut rows = Vec::new();
    for (order, rule) in (0..).zip(rules) {
        let row = RuleRow {
            set: 1,
            order,
            rule: order + 1,
            permit: rule.permit,
            ..RuleRow::default()
        };
        spell_out(rule, None, row, &mut rows);
    }
    rows
}

/// The rows of one rule: one for each pair of prefixes, ranges of ports and interface.
fn spell_out(
    rule: &Rule,
    interfaces: Option<&[InterfaceId]>,
    row: RuleRow,
    rows: &mut Vec<RuleRow>,
) {
    let all = (0, u16::MAX);
    let ports = |ports: &Ports| match ports {
        Ports::Any => vec![all],
        Ports::Ranges(ranges) => ranges.clone(),
    };
    let (client_ports, service_ports) = (ports(&rule.client_port), ports(&rule.port));
    let arrivals: Vec<Option<u32>> = match interfaces {
        None => vec![None],
        Some(list) => list.iter().map(|i| Some(*i as u32)).collect(),
    };
    for v6 in [false, true] {
        let (client, server) = (of_family(&rule.client, v6), of_family(&rule.server, v6));
        let protocol = match rule.protocol {
            Protocol::Any => None,
            Protocol::Icmp => Some(if v6 { 58 } else { 1 }),
            Protocol::Number(n) => Some(n),
        };
        for client in &client {
            for server in &server {
                for client_port in &client_ports {
                    for port in &service_ports {
                        for arrival in &arrivals {
                            rows.push(RuleRow {
                                v6,
                                client: *client,
                                server: *server,
                                protocol,
                                client_port: *client_port,
                                port: *port,
                                flags: rule.flags.unwrap_or((0, 0)),
                                size: rule.size,
                                forward: rule.direction != Directions::Return,
                                back: rule.direction != Directions::Forward,
                                arrival: *arrival,
                                ..row
                            });
                        }
                    }
                }
            }
        }
    }
}

/// Prefixes of one IP version, from the highest bit; none stands for every address.
fn of_family(prefixes: &[Prefix], v6: bool) -> Vec<(u128, u8)> {
    if prefixes.is_empty() {
        return vec![(0, 0)];
    }
    let of = prefixes.iter().filter(|p| p.address.is_ipv6() == v6);
    of.map(|p| (from_the_top(p.address), p.bits)).collect()
}

/// An address such that prefixes of both IP versions begin at the highest bit.
pub(crate) fn from_the_top(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}
