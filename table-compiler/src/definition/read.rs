//! Definition text to [`Definition`], with every error at once.

use super::acl::Acls;
use super::element::{RawElement, RawKind, RawRole};
use super::fields::Fields;
use super::findings::Findings;
use super::network::Network;
use super::service::{self, RawReturn, RawService};
use super::tree::{self, At, Node};
use super::values::NOWHERE;
use super::{Definition, HostId, KeyedBy, overlap, places, qos, sequence, tags};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_spec::geometry::{self, Geometry};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Version of the definition format.
pub const FORMAT: u64 = 1;

const KEYS: [&str; 11] = [
    "seqnic",
    "name",
    "geometry",
    "generation",
    "default_gateway",
    "interfaces",
    "hosts",
    "devices",
    "services",
    "qos",
    "acls",
];

/// Reads a definition. The errors come in the order of their places; there is at least one.
pub fn read(text: &str) -> Result<Definition, Vec<Diagnostic>> {
    let mut f = Findings::default();
    let definition = match tree::parse(text, &mut f.list) {
        Ok(root) => {
            let definition = top(&mut f, &root);
            // Tags mean something only in a definition of which all else is known.
            if let Some(definition) = &definition
                && f.list.is_empty()
            {
                tags::check(&mut f, definition);
            }
            definition
        }
        Err(fatal) => {
            f.push(fatal);
            None
        }
    };
    match definition {
        Some(definition) if f.list.is_empty() => Ok(definition),
        _ => {
            let mut errors = f.list;
            for error in &mut errors {
                for label in &mut error.labels {
                    label.span = tree::clamp(text, label.span);
                }
            }
            errors.sort_by_key(|e| e.labels.first().map_or(NOWHERE, |l| l.span));
            errors.dedup();
            Err(errors)
        }
    }
}

/// Why a definition file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read the definition `{path}`: {source}", path = path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It has errors; `text` is what their places refer to.
    #[error("the definition `{path}` has {n} error{s}", path = path.display(), n = diagnostics.len(),
            s = if diagnostics.len() == 1 { "" } else { "s" })]
    Rejected {
        path: PathBuf,
        text: String,
        diagnostics: Vec<Diagnostic>,
    },
}

/// Bytes of a definition that are read at most.
pub const MAX_DEFINITION: usize = tree::MAX_BYTES;

/// Reads the definition in the file at `path`.
pub fn read_file(path: &Path) -> Result<Definition, FileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(tree::MAX_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|source| FileError::Io {
            path: path.to_owned(),
            source,
        })?;
    let (text, result) = match String::from_utf8(bytes) {
        Ok(text) => {
            let result = read(&text);
            (text, result)
        }
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let diagnostic = Diagnostic::new(
                "not_utf8",
                "the file is not UTF-8 from here on",
                tree::clamp(&text, Span { offset, len: 1 }),
                "save it as UTF-8 text; names and values need only ASCII",
            );
            (text, Err(vec![diagnostic]))
        }
    };
    result.map_err(|diagnostics| FileError::Rejected {
        path: path.to_owned(),
        text,
        diagnostics,
    })
}

fn top(f: &mut Findings, root: &Node) -> Option<Definition> {
    let fields = Fields::of(f, root, "the definition".to_owned(), root.span, &KEYS)?;
    version(f, &fields)?;
    let name = fields.get("name").map_or_else(
        || Some("unnamed".to_owned()),
        |node| {
            let text = f.text(node, format_args!("`name` of the definition"))?;
            Some(text.value.to_owned())
        },
    );
    let geometry = which_geometry(f, &fields);
    let generation = match fields.get("generation") {
        None => Some(0),
        Some(node) => {
            let what = format_args!("`generation`");
            f.number(node, what, 0..=u64::MAX, "generation_range")
                .map(|at| at.value)
        }
    };
    let mut network = Network::read(f, &fields, geometry.map(|g| (g.name, g.ports)));
    places::check(f, &network);
    let qos = qos::read(f, &fields);
    let acls = Acls::read(f, &network, &fields);
    let mut raw = Vec::new();
    if let Some(node) = fields.get("services") {
        let like = "web: { address: 203.0.113.13, port: 80, sequence: [server] }";
        for (name, node) in f.map(node, format_args!("`services`"), like) {
            raw.push(service::read(f, &network, &acls, name, node));
        }
    }
    promiscuous_by_use(&mut network, &raw);
    let default_gateway = default_gateway(f, &fields, &network, &raw);
    let mut looks = Vec::new();
    let services: Vec<_> = raw
        .iter()
        .map(|raw| sequence::build(f, &network, raw.as_ref()?, &mut looks))
        .collect();
    overlap::check(f, &looks);
    Some(Definition {
        name: name?,
        geometry: geometry?,
        generation: generation?,
        interfaces: network.interfaces.into_iter().map(|d| d.value).collect(),
        hosts: network.hosts.into_iter().map(|d| d.value).collect(),
        devices: network.devices.into_iter().map(|d| d.value).collect(),
        services: services.into_iter().collect::<Option<_>>()?,
        qos,
        acls: acls.list,
        default_gateway,
    })
}

/// The format version. Another one means other rules, so nothing else is read then.
fn version(f: &mut Findings, fields: &Fields) -> Option<()> {
    let Some(node) = fields.need(f, "seqnic", "seqnic: 1") else {
        return Some(());
    };
    let text = f.text(node, format_args!("`seqnic`, the format version,"))?;
    if text.value == "1" {
        return Some(());
    }
    f.error(
        "wrong_version",
        format!(
            "the definition has format version `{}`",
            super::findings::short(text.value)
        ),
        text.span,
        format!("this program reads version {FORMAT}: write `seqnic: {FORMAT}`, or use the program this was written for"),
    );
    None
}

fn which_geometry(f: &mut Findings, fields: &Fields) -> Option<&'static Geometry> {
    let Some(node) = fields.get("geometry") else {
        return Some(&geometry::ALVEO);
    };
    let text = f.text(node, format_args!("`geometry`"))?;
    let found = geometry::by_name(text.value);
    if found.is_none() {
        let names: Vec<&str> = geometry::KNOWN.iter().map(|g| g.name).collect();
        let help = f.instead(
            text.value,
            names.into_iter(),
            "name a geometry that is built",
        );
        f.error(
            "unknown_geometry",
            format!(
                "no build of the card is called `{}`",
                super::findings::short(text.value)
            ),
            text.span,
            help,
        );
    }
    found
}

/// A device that only gets copies is promiscuous unless it says otherwise.
fn promiscuous_by_use(network: &mut Network, services: &[Option<RawService>]) {
    let mut copied = vec![false; network.devices.len()];
    let mut passed = vec![false; network.devices.len()];
    let mut note = |list: &[RawElement]| {
        for element in list {
            let uses = match element.kind {
                RawKind::Device { .. } => &mut passed,
                RawKind::Copy { .. } => &mut copied,
                RawKind::Unknown => continue,
            };
            for id in element.role.iter().flat_map(RawRole::all) {
                uses[id] = true;
            }
        }
    };
    for service in services.iter().flatten() {
        if let Some(sequence) = &service.sequence {
            note(&sequence.value);
        }
        if let Some(RawReturn::List(list, _)) = &service.return_way {
            note(list);
        }
    }
    for (id, device) in network.devices.iter_mut().enumerate() {
        device.value.promiscuous = match network.notes[id].promiscuous {
            Some(said) => said.value,
            None => copied[id] && !passed[id],
        };
    }
}

/// The default gateway: named, or the only one an interface has. Reports services that need one.
fn default_gateway(
    f: &mut Findings,
    fields: &Fields,
    network: &Network,
    services: &[Option<RawService>],
) -> Option<HostId> {
    if let Some(node) = fields.get("default_gateway") {
        let name = f.text(node, format_args!("`default_gateway`"))?;
        return network.find_host(f, &name, format_args!("`default_gateway`"));
    }
    let mut gateways: Vec<At<HostId>> = Vec::new();
    for interface in &network.interfaces {
        if let Some(host) = interface.value.gateway
            && gateways.iter().all(|g| g.value != host)
        {
            gateways.push(At::new(host, interface.value.span));
        }
    }
    let broken = network.unknown_gateway
        || network.interfaces.iter().any(|i| i.broken)
        || fields.has("default_gateway");
    let needy = services.iter().flatten().filter(|s| {
        let out = s.keyed_by == Some(KeyedBy::Client) && s.says_exit.is_none();
        s.keyed_by.is_some() && (out || !s.says_clients)
    });
    match &gateways[..] {
        [one] => return Some(one.value),
        _ if broken => {}
        [] => {
            for service in needy {
                f.error(
                    "no_way_out",
                    format!(
                        "packets of service `{}` have no way out",
                        service.name.value
                    ),
                    service.name.span,
                    "say `gateway: <host>` at an interface or `default_gateway: <host>` for all, or name the \
                     host with `clients` (and `exit` if it is keyed by client) here",
                );
            }
        }
        [first, second, ..] => {
            if let Some(service) = { needy }.next() {
                f.push(
                    Diagnostic::new(
                        "which_gateway",
                        "several interfaces have a gateway, and none is the default",
                        second.span,
                        "add `default_gateway: <host>` at the top",
                    )
                    .also(first.span, "one gateway")
                    .also(service.name.span, "leaves by the default gateway"),
                );
            }
        }
    }
    None
}
