//! Two engines with definitions of their own beside each other: what both are attached to, and who chooses between them
//! (figures 17I and 17J).

use super::{Node, Role, not_shown};
use crate::LabError;
use crate::file::LabFile;
use crate::programs::Program;
use seqnic_compiler::definition::{Definition, Service};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a node has to do with the other engine, besides the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Also {
    /// Its network device on the other engine's segment, and that engine's MAC there.
    pub device: String,
    pub engine: String,
    /// What comes from these addresses goes to the other engine: of a server the services it has from it, of a host what
    /// the machines behind it have for that.
    pub sources: BTreeSet<IpAddr>,
    /// A host: services of the other engine. Of an end everything goes back, wherever to.
    pub services: BTreeSet<IpAddr>,
}

/// What a load balancer may choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub at: IpAddr,
    /// When that does not answer: the same by the other engine.
    pub instead: Option<Instead>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    pub at: IpAddr,
    /// The balancer's address that its host gives to the other engine.
    pub from: Option<IpAddr>,
}

fn addresses(d: &Definition) -> impl Iterator<Item = IpAddr> {
    let of = |s: &Service| s.addresses.clone();
    d.services.iter().flat_map(of)
}

/// Adds what the other definition is attached to; who has the same name in both is one node.
pub(super) fn join(
    nodes: &mut Vec<Node>,
    others: Vec<Node>,
    other: &Definition,
    file: &LabFile,
) -> Result<(), LabError> {
    for theirs in others {
        match nodes.iter_mut().find(|n| n.name == theirs.name) {
            None => nodes.push(theirs),
            Some(ours) => both(ours, theirs, other, file)?,
        }
    }
    Ok(())
}

fn both(ours: &mut Node, theirs: Node, other: &Definition, file: &LabFile) -> Result<(), LabError> {
    let name = &ours.name;
    let ([cable], [same]) = (&ours.cables[..], &theirs.cables[..]) else {
        return Err(not_shown(format!(
            "`{name}` is in both definitions: it needs one attachment in each"
        )));
    };
    if (cable.port, &cable.mac) != (same.port, &same.mac) {
        return Err(not_shown(format!(
            "`{name}` is {} at port {} in one definition and {} at port {} in the other: give it another name, or the same place",
            cable.mac, cable.port, same.mac, same.port
        )));
    }
    if cable.engine == same.engine {
        return Err(not_shown(format!(
            "both engines have {} where `{name}` is: the other engine needs a MAC of its own",
            cable.engine
        )));
    }
    let mut also = Also {
        device: cable.device.clone(),
        engine: same.engine.clone(),
        sources: BTreeSet::new(),
        services: BTreeSet::new(),
    };
    match (&mut ours.role, theirs.role) {
        (Role::Host, Role::Host) => {
            let behind = file.behind.values().filter(|b| b.host == *name);
            also.sources = behind.flat_map(|b| b.by_another.iter().copied()).collect();
            also.services = addresses(other).collect();
        }
        (Role::Copies, Role::Copies) => {}
        (
            Role::End {
                on_loopback,
                on_device,
            },
            Role::End {
                on_loopback: more_on_loopback,
                on_device: more_on_device,
            },
        ) => {
            let theirs = more_on_loopback.iter().chain(&more_on_device);
            also.sources = theirs.copied().collect();
            if let Some(twice) = (on_loopback.iter().chain(on_device.iter()))
                .find(|address| also.sources.contains(address))
            {
                return Err(not_shown(format!(
                    "`{name}` has {twice} from both engines and could not tell by which to answer"
                )));
            }
            if also.sources.is_empty() {
                return Err(not_shown(format!(
                    "`{name}` is in both definitions and answers from its own address: it could not tell by which engine"
                )));
            }
            on_loopback.extend(more_on_loopback);
            on_device.extend(more_on_device);
        }
        _ => {
            return Err(not_shown(format!(
                "packets pass `{name}`, which is in both definitions: it could not tell by which engine to go on"
            )));
        }
    }
    ours.also = Some(also);
    Ok(())
}

/// Says each load balancer what it has behind it, or in front of it.
pub(super) fn spread(
    d: &Definition,
    other: Option<&Definition>,
    file: &LabFile,
    nodes: &mut [Node],
) -> Result<(), LabError> {
    for at in 0..nodes.len() {
        if !nodes[at].programs.contains_key(&Program::Haproxy) {
            continue;
        }
        let name = nodes[at].name.clone();
        let behind = nodes.iter().filter_map(|n| n.behind.as_ref());
        let own: Vec<IpAddr> = behind
            .filter(|(host, _)| *host == name)
            .flat_map(|(_, addresses)| addresses.iter().copied())
            .collect();
        let choice = |at| Choice { at, instead: None };
        nodes[at].spreads_over = match (own.is_empty(), other) {
            (false, _) => own.into_iter().map(choice).collect(),
            (true, None) => addresses(d).map(choice).collect(),
            (true, Some(other)) => choices(&name, d, other, file)?,
        };
    }
    Ok(())
}

/// The services by the first engine, and each by the other instead.
fn choices(
    name: &str,
    d: &Definition,
    other: &Definition,
    file: &LabFile,
) -> Result<Vec<Choice>, LabError> {
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) =
        (addresses(d).collect(), addresses(other).collect());
    if first.len() != second.len() {
        return Err(not_shown(format!(
            "one engine has {} service addresses, the other {}: each is to stand in for one",
            first.len(),
            second.len()
        )));
    }
    let own = file.behind.get(name).map_or(&[][..], |b| &b.by_another);
    let choice = |(at, instead): (IpAddr, IpAddr)| {
        let from = (own.iter()).find(|a| a.is_ipv6() == instead.is_ipv6());
        if from.is_none() && first.contains(&instead) {
            return Err(not_shown(format!(
                "both engines have {instead}: `{name}` needs an address in `by_another`, by which its host knows the other engine's"
            )));
        }
        let from = from.copied();
        Ok(Choice {
            at,
            instead: Some(Instead { at: instead, from }),
        })
    };
    first.iter().copied().zip(second).map(choice).collect()
}

#[cfg(test)]
mod tests {
    use crate::file::parse;
    use crate::plan::Plan;
    use seqnic_compiler::definition::Definition;
    use std::path::Path;

    fn example(name: &str) -> String {
        std::fs::read_to_string(Path::new("../../examples").join(name)).unwrap()
    }

    fn read(text: &str) -> Definition {
        seqnic_compiler::read(text).unwrap()
    }

    fn refused(first: &str, other: &str, lab: &str) -> String {
        let lab = parse(lab, Path::new("x.lab.yaml")).unwrap();
        let plan = Plan::of(&read(first), Some(&read(other)), &lab);
        plan.unwrap_err().to_string()
    }

    #[test]
    fn what_nobody_could_route_is_refused_by_name() {
        let (first, other) = (example("fig17j.yaml"), example("fig17j-other.yaml"));
        let lab = example("fig17j.lab.yaml");
        let e = refused(
            &first,
            &other,
            &lab.replace("by_another: [198.51.100.81], ", ""),
        );
        assert!(
            e.contains("203.0.113.11") && e.contains("`balancer`"),
            "{e}"
        );
        let e = refused(&first, &other.replace("firewall2", "firewall"), &lab);
        assert!(e.contains("`firewall`"), "{e}");
        let e = refused(
            &first,
            &other.replace("02:05:00:00:00:05", "02:05:00:00:00:06"),
            &lab,
        );
        assert!(
            e.contains("`router`") && e.contains("02:05:00:00:00:06"),
            "{e}"
        );
        let e = refused(
            &first,
            &other.replace("02:01:00:00:00:11", "02:01:00:00:00:01"),
            &lab,
        );
        assert!(e.contains("02:01:00:00:00:01"), "{e}");
        let (first, other) = (example("fig17i.yaml"), example("fig17i-other.yaml"));
        let lab = example("fig17i.lab.yaml");
        let e = refused(&first, &other.replace("203.0.113.17", "203.0.113.11"), &lab);
        assert!(
            e.contains("`server1775`") && e.contains("203.0.113.11"),
            "{e}"
        );
        let e = refused(
            &first,
            &other,
            &format!("{lab}engines: [{{ priority: 1 }}, {{ priority: 2 }}]\n"),
        );
        assert!(e.contains("`another`"), "{e}");
    }
}
