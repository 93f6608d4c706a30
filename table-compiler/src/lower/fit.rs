//! Whether the geometry has room for a model.

use super::model::Model;
use crate::definition::Definition;
use crate::diagnostic::{Diagnostic, Span};
use seqnic_spec::geometry::{self, Geometry};
use seqnic_spec::tables::{Table, width};
use std::net::IpAddr;

/// Load a hash table of three ways and two slots takes whatever the keys are.
const SURE_LOAD_PERCENT: u64 = 97;

/// Place of the element that is the first without room, by number of the row.
type FirstWithout<'a> = Box<dyn Fn(&Definition, &Model, usize) -> Span + 'a>;

/// One thing a geometry has a number of.
struct Need<'a> {
    what: String,
    needed: u64,
    /// Bits of the number that names it.
    bits: u32,
    room: fn(&Geometry, Table) -> u64,
    table: Table,
    first_without: FirstWithout<'a>,
}

fn rows(geometry: &Geometry, table: Table) -> u64 {
    match geometry.hash(table) {
        Some(size) => u64::from(size.capacity()),
        None => u64::from(geometry.numbers(table)),
    }
}

fn service_of_class(definition: &Definition, model: &Model, class: u32) -> Span {
    let name = model.names.classes.get(class as usize);
    let service = name.and_then(|n| definition.services.get(n.service as usize));
    service.map(|s| s.span).unwrap_or_default()
}

fn service_of_address(definition: &Definition, address: IpAddr) -> Option<Span> {
    let mut services = definition.services.iter();
    let service = services.find(|s| s.addresses.contains(&address))?;
    Some(service.span)
}

/// Host or device that has attachment number `at`; slots of roles have none of their own.
fn attached(definition: &Definition, model: &Model, at: usize) -> Span {
    let name = model.names.attachments.get(at).map(String::as_str);
    let host = definition.hosts.get(at).map(|h| h.span);
    host.or_else(|| {
        let device = |n: &str| n.split('.').next().map(str::to_owned);
        let name = name.and_then(device)?;
        let device = definition.devices.iter().find(|d| d.name == name)?;
        Some(device.span)
    })
    .unwrap_or_default()
}

fn needs(definition: &Definition, model: &Model) -> Vec<Need<'static>> {
    let need = |table: Table, needed: usize, bits, first_without: FirstWithout<'static>| Need {
        what: match table.hash() {
            Some(_) => format!("keys of table `{}`", table.name()),
            None => format!("rows of table `{}`", table.name()),
        },
        needed: needed as u64,
        bits,
        room: rows,
        table,
        first_without,
    };
    let any = 32;
    let mut needs = vec![
        need(
            Table::Interface,
            model.interfaces.len(),
            any,
            Box::new(|d, m, at| {
                let row = m.interfaces.get(at);
                row.map(|r| d.interfaces[r.interface as usize].span)
                    .unwrap_or_default()
            }),
        ),
        need(
            Table::Source,
            model.sources.len(),
            any,
            Box::new(|d, m, at| {
                let row = m.sources.get(at);
                row.map(|r| attached(d, m, r.attachment as usize))
                    .unwrap_or_default()
            }),
        ),
        need(
            Table::Address,
            model.addresses.len(),
            any,
            Box::new(|d, m, at| {
                let Some(row) = m.addresses.get(at) else {
                    return Span::default();
                };
                let neighbour = row.neighbour.map(|n| attached(d, m, n as usize));
                let own = || d.interfaces.first().map(|i| i.span);
                service_of_address(d, row.address)
                    .or(neighbour)
                    .or_else(own)
                    .unwrap_or_default()
            }),
        ),
        need(
            Table::Range,
            model.ranges.len(),
            width::RANGE,
            Box::new(|d, m, at| {
                let class = m.ranges.get(at).and_then(|r| r.first()).map(|s| s.class);
                service_of_class(d, m, class.unwrap_or(0))
            }),
        ),
        need(
            Table::Class,
            model.classes.len(),
            width::CLASS,
            Box::new(|d, m, at| service_of_class(d, m, at as u32)),
        ),
        need(
            Table::Step,
            model.steps.len(),
            any,
            Box::new(|d, m, at| service_of_class(d, m, m.steps.get(at).map_or(0, |s| s.class))),
        ),
        need(
            Table::Action,
            model.actions.len(),
            width::ACTION,
            Box::new(|d, m, at| {
                let name = m.names.actions.get(at).copied().flatten();
                service_of_class(d, m, name.map_or(0, |n| n.class))
            }),
        ),
        need(
            Table::Attachment,
            model.attachments.len(),
            width::ATTACHMENT,
            Box::new(attached),
        ),
        need(
            Table::Rewrite,
            model.rewrites.len(),
            width::REWRITE,
            Box::new(|d, m, at| {
                let address = m.rewrites.get(at);
                address
                    .and_then(|a| service_of_address(d, *a))
                    .unwrap_or_default()
            }),
        ),
        need(
            Table::Meter,
            model.meters.len(),
            width::METER,
            Box::new(|d, m, at| {
                let class = m.classes.iter().position(|c| c.meter as usize == at);
                service_of_class(d, m, class.unwrap_or(0) as u32)
            }),
        ),
        need(
            Table::Encap,
            model.encaps.len(),
            width::ENCAP,
            Box::new(|d, m, at| {
                let mut rows = m.attachments.iter();
                let slot = rows.position(|row| row.encap as usize == at);
                slot.map(|slot| attached(d, m, slot)).unwrap_or_default()
            }),
        ),
    ];
    for (question, table) in Table::PORTS.into_iter().enumerate() {
        let ports = model.ports[question].len();
        needs.push(need(
            table,
            ports,
            any,
            Box::new(move |d, m, at| {
                let class = m.ports[question].get(at).map(|r| r.class);
                service_of_class(d, m, class.unwrap_or(0))
            }),
        ));
    }
    needs.push(Need {
        what: String::from("interfaces with counters"),
        needed: definition.interfaces.len() as u64,
        bits: width::INTERFACE,
        room: |g, _| u64::from(g.interfaces),
        table: Table::Interface,
        first_without: Box::new(|d, _, at| {
            d.interfaces.get(at).map(|i| i.span).unwrap_or_default()
        }),
    });
    let highest = definition.interfaces.iter().map(|i| i.port).max();
    needs.push(Need {
        what: String::from("Ethernet ports (the highest number in use, from 0)"),
        needed: highest.map_or(0, |p| u64::from(p) + 1),
        bits: width::PORT,
        room: |g, _| u64::from(g.ports),
        table: Table::Interface,
        first_without: Box::new(|d, _, at| {
            let over = d.interfaces.iter().find(|i| usize::from(i.port) >= at);
            over.map(|i| i.span).unwrap_or_default()
        }),
    });
    needs.push(Need {
        what: String::from("segment numbers (a port and VLAN each, one unused)"),
        needed: model
            .interfaces
            .iter()
            .map(|r| r.segment)
            .max()
            .unwrap_or(0) as u64
            + 1,
        bits: width::SEGMENT,
        room: |_, _| u64::MAX,
        table: Table::Interface,
        first_without: Box::new(|d, _, _| d.interfaces.last().map(|i| i.span).unwrap_or_default()),
    });
    needs.push(Need {
        what: String::from("scope numbers (an address with ports each, one unused)"),
        needed: u64::from(model.scopes) + 1,
        bits: width::SCOPE,
        room: |_, _| u64::MAX,
        table: Table::Address,
        first_without: Box::new(|d, _, _| d.services.last().map(|s| s.span).unwrap_or_default()),
    });
    needs
}

impl Need<'_> {
    fn room(&self, geometry: &Geometry) -> u64 {
        (self.room)(geometry, self.table).min(1 << self.bits)
    }

    fn fits_surely(&self, geometry: &Geometry) -> bool {
        let room = self.room(geometry);
        let hashed = self.table.hash().is_some() && self.what.starts_with("keys");
        match hashed {
            true => self.needed * 100 <= room * SURE_LOAD_PERCENT,
            false => self.needed <= room,
        }
    }
}

/// Smallest other geometry with room for everything.
fn bigger(definition: &Definition, needs: &[Need]) -> String {
    let other = geometry::ALL
        .into_iter()
        .filter(|g| g.name != definition.geometry.name)
        .filter(|g| needs.iter().all(|n| n.fits_surely(g)))
        .min_by_key(|g| g.action_rows);
    match other {
        Some(g) => format!("use geometry `{}`, which has room for all of it", g.name),
        None => String::from(
            "no geometry has room for all of it: share the services among several engines",
        ),
    }
}

/// Everything the definition's geometry has not enough of, one finding each.
pub(super) fn check(definition: &Definition, model: &Model) -> Vec<Diagnostic> {
    let geometry = definition.geometry;
    let needs = needs(definition, model);
    let over: Vec<&Need> = needs
        .iter()
        .filter(|n| n.needed > n.room(geometry))
        .collect();
    if over.is_empty() {
        return Vec::new();
    }
    let help = bigger(definition, &needs);
    over.into_iter()
        .map(|need| {
            let room = need.room(geometry);
            Diagnostic::new(
                "does_not_fit",
                format!(
                    "the definition needs {} {}, geometry `{}` has {room}",
                    need.needed, need.what, geometry.name
                ),
                (need.first_without)(definition, model, room as usize),
                help.clone(),
            )
        })
        .collect()
}

/// A table whose keys found no places although there are enough.
pub(crate) fn does_not_place(
    definition: &Definition,
    model: &Model,
    table: Table,
    keys: usize,
    placed: usize,
    attempts: u32,
) -> Diagnostic {
    let geometry = definition.geometry;
    let needs = needs(definition, model);
    let span = needs.iter().find(|n| n.table == table);
    let span = span.map(|n| (n.first_without)(definition, model, placed));
    Diagnostic::new(
        "does_not_fit",
        format!(
            "table `{}` of geometry `{}` has {} places, but of {keys} keys at most {placed} could be placed with {attempts} choices of hash seeds",
            table.name(),
            geometry.name,
            rows(geometry, table)
        ),
        span.unwrap_or_default(),
        format!(
            "tables are sure to take {SURE_LOAD_PERCENT} % of their places: {}",
            bigger(definition, &needs)
        ),
    )
}
