//! One service: its classes, and what is checked of it alone.

use super::Lowering;
use super::attached::role_devices;
use super::look::{Stage, label, shifted, stages};
use super::model::{ClassRow, SetRow};
use super::qos;
use super::way::{Ways, check_variants, is_nat};
use crate::definition::{Ports, Service};
use crate::diagnostic::Diagnostic;
use seqnic_image::names::ClassName;
use std::net::IpAddr;

/// A class of the service being lowered.
#[derive(Debug)]
pub(super) struct Look {
    pub stage: usize,
    pub shift: u16,
    /// Ports as on the wire.
    pub ports: Ports,
    pub class: u32,
}

/// Addresses of a service that share their classes: all of them, or those whose packets get the
/// same address back from a NAT mode end.
#[derive(Debug)]
pub(super) struct Group {
    /// Address at the end.
    pub address: IpAddr,
    /// Places in the service's addresses.
    pub members: Vec<usize>,
}

/// A service on its way through the lowering.
pub(super) struct Current<'d> {
    pub number: u32,
    pub service: &'d Service,
    pub stages: Vec<Stage>,
    pub ways: Ways<'d>,
}

impl<'d> Lowering<'d> {
    pub(super) fn service(&mut self, number: usize) {
        let service = &self.definition.services[number];
        let stages = stages(service);
        let ways = Ways::of(self.definition, service, &stages, &mut self.findings);
        let current = Current {
            number: number as u32,
            service,
            stages,
            ways,
        };
        let before = self.findings.len();
        self.check(&current);
        if self.findings.len() > before {
            return;
        }
        self.model.names.services.push(service.name.clone());
        let set = self.set_of(number);
        let meter = service.rate.map_or(0, |rate| {
            self.model.meters.push(qos::meter(rate));
            self.model.meters.len() as u32 - 1
        });
        let first = self.model.classes.len() as u32;
        for group in groups(&current) {
            let looks = self.looks(&current, first, meter, set);
            self.keys(&current, &group, &looks);
            self.steps(&current, &group, &looks);
        }
    }

    /// What would give rows that mean something else than the definition says.
    fn check(&mut self, current: &Current<'d>) {
        let (service, ways) = (current.service, &current.ways);
        let of_stops = ways.stops.iter().map(|s| (s.stage, s.shift, s.span));
        let of_hops = ways.hops.iter().flatten();
        let of_hops = of_hops.map(|h| (h.stage, h.shift, h.span));
        let mut shifts: Vec<_> = of_stops.chain(of_hops).collect();
        shifts.sort();
        shifts.dedup_by_key(|(stage, shift, _)| (*stage, *shift));
        check_variants(
            service,
            &current.stages,
            shifts.into_iter(),
            &mut self.findings,
        );
        let Some(end) = &ways.end else { return };
        for id in role_devices(end.role) {
            let device = &self.definition.devices[id];
            if is_nat(self.definition, id) != ways.nat {
                self.findings.push(
                    Diagnostic::new(
                        "mixed_modes",
                        format!(
                            "service `{}`: `{}` and its alternate `{}` differ in NAT mode",
                            service.name, self.definition.devices[end.role.device].name, device.name
                        ),
                        end.span,
                        "give both mode `nat`, or neither: fail-over does not change what packets look like",
                    )
                    .also(device.span, "the alternate"),
                );
            } else if ways.nat {
                let like = current.stages[end.stage].addresses.iter();
                if let Some(missing) = like.copied().find(|a| device.address_like(*a).is_none()) {
                    self.findings.push(
                        Diagnostic::new(
                            "no_nat_address",
                            format!(
                                "service `{}`: NAT mode server `{}` has no address of the family of {missing}",
                                service.name, device.name
                            ),
                            end.span,
                            "give the server an address of that family, or take the service address away",
                        )
                        .also(device.span, "the server"),
                    );
                }
            }
        }
    }

    /// Makes the classes of a group: each stage, then its variants. `first` is the service's first,
    /// `meter` and `set` those of all of them.
    fn looks(&mut self, current: &Current<'d>, first: u32, meter: u32, set: SetRow) -> Vec<Look> {
        let mut looks: Vec<Look> = Vec::new();
        for (stage, Stage { ports, .. }) in current.stages.iter().enumerate() {
            let stops = current.ways.stops.iter().map(|s| (s.stage, s.shift));
            let hops = current.ways.hops.iter().flatten();
            let hops = hops.map(|h| (h.stage, h.shift));
            let here = stops.chain(hops).filter(|(s, _)| *s == stage);
            for shift in std::iter::once(0).chain(here.map(|(_, shift)| shift)) {
                if looks.iter().any(|l| l.stage == stage && l.shift == shift) {
                    continue;
                }
                let Some(ports) = shifted(ports, shift) else {
                    continue;
                };
                let label = label(current.service.protocol, &ports);
                let class = self.model.classes.len() as u32;
                let label = self.label(label);
                self.model.classes.push(ClassRow {
                    priority: current.service.priority,
                    meter,
                    set,
                    ..ClassRow::default()
                });
                self.model.names.classes.push(ClassName {
                    service: current.number,
                    label,
                    place: class - first,
                });
                looks.push(Look {
                    stage,
                    shift,
                    ports,
                    class,
                });
            }
        }
        looks
    }

    fn label(&mut self, text: String) -> u32 {
        self.labels.insert_full(text).0 as u32
    }
}

/// Groups of a service's addresses, in the order of the addresses.
fn groups(current: &Current) -> Vec<Group> {
    let end = current.ways.end.as_ref().filter(|_| current.ways.nat);
    let mut groups: Vec<Group> = Vec::new();
    for (member, address) in current.service.addresses.iter().enumerate() {
        let at_end = end.map(|e| current.stages[e.stage].addresses[member]);
        let known = groups
            .iter_mut()
            .find(|g| at_end.is_none_or(|address| g.address == address));
        match known {
            Some(group) => group.members.push(member),
            None => groups.push(Group {
                address: at_end.unwrap_or(*address),
                members: vec![member],
            }),
        }
    }
    groups
}
