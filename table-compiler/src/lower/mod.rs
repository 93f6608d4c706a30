//! Definition -> resolved model, as `docs/semantics.md` section 6 says.
//!
//! * [`model`]: the rows, without places;
//! * `attached`: segments, senders, attachment slots;
//! * `look`, `way`: how packets look on their way, and the way itself;
//! * `service`: the classes of a service;
//! * `spread`: which member of a pool has which clients;
//! * `steps`: its steps and actions, `tags`: the tags they send with and wait for;
//! * `qos`: rates and priorities;
//! * `keys`: which (address, port) finds which class; conflicts between them;
//! * `fit`: whether the geometry has room for it all.

pub mod acl;
mod attached;
mod fit;
mod keys;
mod look;
pub mod model;
mod qos;
mod service;
mod spread;
mod steps;
mod tags;
mod way;

use crate::definition::Definition;
use crate::diagnostic::Diagnostic;
use acl::SetKey;
use attached::Attached;
use indexmap::{IndexMap, IndexSet};
use keys::Claim;
use model::{ActionRow, Actions, AddressRow, ClassRow, MeterRow, Model, SetRow};
use seqnic_image::names::{ClassName, InterfaceName};
use std::net::IpAddr;

pub(crate) use fit::does_not_place;

/// Stands in the names for the class that is unused.
const NO_NAME: u32 = u32::MAX;

struct Lowering<'d> {
    definition: &'d Definition,
    attached: Attached<'d>,
    model: Model,
    labels: IndexSet<String>,
    rewrites: IndexSet<IpAddr>,
    /// Addresses with a scope; its number is the place plus 1.
    scopes: IndexSet<IpAddr>,
    claims: Vec<Claim>,
    /// Rule sets of services; the number is the place plus 1.
    sets: IndexSet<SetKey>,
    set_rows: Vec<SetRow>,
    /// Of each set, the number of the first rule of each of the definition's rule sets it asks.
    rule_firsts: Vec<Vec<u32>>,
    /// Entry of the service in hand if only named parties may take it.
    entry: Option<(u32, Actions)>,
    findings: Vec<Diagnostic>,
}

/// Resolves a checked definition to table rows.
///
/// # Errors
/// Every conflict the definition has only as a whole: answers or looks that could belong to two
/// services, senders that cannot be told apart, more of something than the geometry has room for.
pub fn lower(definition: &Definition) -> Result<Model, Vec<Diagnostic>> {
    let mut this = Lowering {
        definition,
        attached: Attached::of(definition),
        model: Model::default(),
        labels: IndexSet::new(),
        rewrites: IndexSet::new(),
        scopes: IndexSet::new(),
        claims: Vec::new(),
        sets: IndexSet::new(),
        set_rows: Vec::new(),
        rule_firsts: Vec::new(),
        entry: None,
        findings: Vec::new(),
    };
    this.model.classes.push(ClassRow::default());
    this.model.names.classes.push(ClassName {
        service: NO_NAME,
        label: NO_NAME,
        place: 0,
    });
    this.model.meters.push(MeterRow::default());
    this.model.actions.push(ActionRow::default());
    this.model.names.actions.push(None);
    for service in 0..definition.services.len() {
        this.service(service);
    }
    this.place_keys();
    this.finish();
    if this.findings.is_empty() {
        this.findings = fit::check(definition, &this.model);
    }
    if this.findings.is_empty() {
        this.place_rules();
    }
    match this.findings.is_empty() {
        true => Ok(this.model),
        false => Err(this.findings),
    }
}

impl Lowering<'_> {
    fn finish(&mut self) {
        let model = &mut self.model;
        model.interfaces = self.attached.interface_rows();
        model.sources = self.attached.source_rows();
        qos::rows(self.definition, model);
        model.decaps = self.attached.decaps();
        model.encaps = self.attached.encaps();
        model.attachments = std::mem::take(&mut self.attached.rows);
        model.pools = std::mem::take(&mut self.attached.pools);
        model.rewrites = self.rewrites.iter().copied().collect();
        let names = &mut model.names;
        names.definition = self.definition.name.clone();
        let interfaces = self.definition.interfaces.iter();
        names.interfaces = interfaces
            .map(|i| InterfaceName {
                name: i.name.clone(),
                port: i.port,
            })
            .collect();
        names.attachments = std::mem::take(&mut self.attached.names);
        names.roles = std::mem::take(&mut self.attached.roles);
        names.labels = self.labels.iter().cloned().collect();
    }

    /// Joins what is known of each address: its scope, its neighbour, whether it is the engine's.
    fn address_rows(&mut self, range_of: &[Option<u32>], rules_of: &[(u32, bool)]) {
        let mut rows: IndexMap<IpAddr, AddressRow> = IndexMap::with_capacity(self.scopes.len());
        let nothing = |address| AddressRow {
            address,
            scope: 0,
            range: None,
            neighbour: None,
            local: false,
            acl: 0,
            salted: false,
        };
        for (at, address) in self.scopes.iter().enumerate() {
            let row = rows.entry(*address).or_insert_with(|| nothing(*address));
            row.scope = at as u32 + 1;
            row.range = range_of[at];
            (row.acl, row.salted) = rules_of[row.scope as usize];
        }
        for (address, attachment) in self.attached.neighbours() {
            let row = rows.entry(address).or_insert_with(|| nothing(address));
            row.neighbour.get_or_insert(attachment);
        }
        let own = self.definition.interfaces.iter().flat_map(|i| &i.addresses);
        for (address, _) in own {
            let row = rows.entry(*address).or_insert_with(|| nothing(*address));
            row.local = true;
        }
        self.model.scopes = self.scopes.len() as u32;
        self.model.addresses = rows.into_values().collect();
    }
}
