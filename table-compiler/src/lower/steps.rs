//! Steps and actions of one service: `docs/semantics.md` section 6, "Who may enter" to
//! "Labels of steps".

use super::Lowering;
use super::attached::role_devices;
use super::model::{ActionRow, Actions, StepRow};
use super::service::{Current, Group, Look};
use super::way::{Copy, From, Hop, To};
use crate::definition::{Alerts, HostId, KeyedBy, Role, Side};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_image::names::{ActionName, Direction};
use seqnic_spec::tables::position_kind;
use seqnic_spec::wire::MAX_COPIES;
use std::collections::BTreeMap;

const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Return];

/// Where a sender's packets go: rows in `action`, and what said so.
#[derive(Debug, Clone, Copy)]
struct Taken {
    actions: Actions,
    /// Packets start their way here.
    first: bool,
    span: Span,
}

/// By class, direction and position; in order, so that the rows are.
type Steps = BTreeMap<(u32, Direction, u32), Taken>;

impl<'d> Lowering<'d> {
    pub(super) fn steps(&mut self, current: &Current<'d>, group: &Group, looks: &[Look]) {
        let class = |stage, shift| {
            let look = looks.iter().find(|l| (l.stage, l.shift) == (stage, shift));
            look.map_or(0, |l| l.class)
        };
        let mut steps = Steps::new();
        for direction in DIRECTIONS {
            let hops = &current.ways.hops[direction.bit() as usize];
            for hop in hops {
                let class = class(hop.stage, hop.shift);
                let actions = self.hop(current, group, hop, (class, direction));
                match hop.from {
                    From::Entry => {
                        let from = current.service.from.as_ref();
                        match from.filter(|_| direction == Direction::Forward) {
                            None => {
                                let row = &mut self.model.classes[class as usize];
                                row.entry[direction.bit() as usize] = actions;
                            }
                            Some(_) => self.entry = Some((class, actions)),
                        }
                    }
                    From::Device {
                        role,
                        side,
                        entered,
                        mark,
                        is_end,
                    } => {
                        for id in role_devices(role) {
                            let tag = self.attached.returned(id, entered, side, mark);
                            let without = self.attached.device_position(id, side);
                            let without = Some(without).filter(|_| is_end || tag.is_none());
                            let taken = Taken {
                                actions,
                                first: is_end,
                                span: hop.span,
                            };
                            for position in tag.into_iter().chain(without) {
                                let key = (class, direction, position);
                                self.take(current, &mut steps, key, taken);
                            }
                        }
                    }
                }
            }
            for hop in hops {
                // The copy device saw the packet without the sender's own port.
                let class = class(hop.stage, 0);
                for copy in &hop.copies {
                    self.alert(current, group, hop, copy, (class, direction), &mut steps);
                }
            }
        }
        self.entries(current, &mut steps, looks);
        // Where nobody enters, a sender without a step is barred without a row.
        let classes = &self.model.classes;
        let enters = |class: u32, direction: Direction| {
            let row = &classes[class as usize];
            row.entry[direction.bit() as usize].copies > 0
        };
        let rows = steps
            .into_iter()
            .filter(|((class, direction, _), taken)| {
                taken.actions.copies > 0 || enters(*class, *direction)
            })
            .map(|((class, direction, position), taken)| StepRow {
                class,
                direction,
                position,
                actions: taken.actions,
                first: taken.first,
            });
        self.model.steps.extend(rows);
    }

    /// Named parties get the entry's actions; who the packets pass may not enter.
    fn entries(&mut self, current: &Current<'d>, steps: &mut Steps, looks: &[Look]) {
        let barred: Vec<u32> = current
            .ways
            .barred(current.service)
            .flat_map(role_devices)
            .flat_map(|id| self.attached.device_positions(id))
            .filter(|p| p >> 16 == position_kind::ATTACHMENT)
            .collect();
        let span = current.service.span;
        if let Some((class, actions)) = self.entry.take() {
            for party in current.service.from.iter().flatten() {
                for position in self.attached.party_positions(party) {
                    if !barred.contains(&position) {
                        let key = (class, Direction::Forward, position);
                        steps.entry(key).or_insert(Taken {
                            actions,
                            first: true,
                            span,
                        });
                    }
                }
            }
        }
        let nobody = Taken {
            actions: Actions::default(),
            first: false,
            span,
        };
        for look in looks {
            for direction in DIRECTIONS {
                let row = &self.model.classes[look.class as usize];
                if row.entry[direction.bit() as usize].copies == 0 {
                    continue;
                }
                for position in &barred {
                    let key = (look.class, direction, *position);
                    steps.entry(key).or_insert(nobody);
                }
            }
        }
    }

    /// The rows of one hop: the packet first, then its copies.
    fn hop(
        &mut self,
        current: &Current<'d>,
        group: &Group,
        hop: &Hop<'d>,
        (class, direction): (u32, Direction),
    ) -> Actions {
        let first = self.model.actions.len() as u32;
        let copies = hop.copies.len() as u32 + 1;
        if copies > MAX_COPIES {
            self.findings.push(Diagnostic::new(
                "too_many_copies",
                format!(
                    "service `{}` makes {copies} copies of a packet here, at most {MAX_COPIES} go out (the packet is one of them)",
                    current.service.name
                ),
                hop.copies[0].span,
                "move some of the copies to other places of the sequence",
            ));
            return Actions::default();
        }
        let restored = hop.restore.then(|| {
            let member = group.members[0];
            current.stages[hop.stage].addresses[member]
        });
        let rewrite = restored.map(|address| self.rewrites.insert_full(address).0 as u32);
        let from = match hop.from {
            From::Entry => None,
            From::Device { role, side, .. } => Some(self.attached.plain(role.device, side)),
        };
        let off = hop.shift.wrapping_neg();
        let edits = |row| ActionRow { rewrite, ..row };
        let packet = self.target(current, group, &hop.from, hop.to);
        let mut rows = vec![edits(moved(packet, direction, off))];
        for copy in &hop.copies {
            let side = Side::Outside;
            let attachment = self.attached.slot(copy.role, side, None);
            let (tag_kind, tag) = self.attached.sent(copy.role, attachment, side, copy.mark);
            let to = Some((copy.role, side, copy.mark));
            let row = ActionRow {
                attachment,
                pool: bucket_bits(copy.role),
                tag_kind,
                tag,
                dscp: self.attached.dscp(&hop.from, to, current.service.dscp),
                ..ActionRow::default()
            };
            rows.push(edits(moved(row, direction, off)));
        }
        for row in rows {
            self.action(row, class, direction, from);
        }
        Actions { first, copies }
    }

    /// What a copy device sends back.
    fn alert(
        &mut self,
        current: &Current<'d>,
        group: &Group,
        hop: &Hop<'d>,
        copy: &Copy<'d>,
        (class, direction): (u32, Direction),
        steps: &mut Steps,
    ) {
        let hops = &current.ways.hops[direction.bit() as usize];
        let to = match copy.alerts {
            Alerts::Next => Some(hop.to),
            Alerts::None => None,
            Alerts::To(id) => hops.iter().map(|h| h.to).find(|to| to.is_device(id)),
        };
        let side = Side::Outside;
        // Without a way for its alerts the device is barred like any other that packets pass.
        let Some(to) = to else {
            for id in role_devices(copy.role) {
                // With a tag nobody enters, so there is nothing to bar.
                if self.attached.returned(id, side, side, copy.mark).is_some() {
                    continue;
                }
                let position = self.attached.device_position(id, side);
                let key = (class, direction, position);
                if let Some(other) = steps.get(&key).filter(|t| t.actions.copies > 0) {
                    self.indistinguishable(current, other.span, copy.span, direction);
                } else if position >> 16 == position_kind::ATTACHMENT {
                    let nobody = Taken {
                        actions: Actions::default(),
                        first: false,
                        span: copy.span,
                    };
                    steps.insert(key, nobody);
                }
            }
            return;
        };
        let sender = From::Device {
            role: copy.role,
            side,
            entered: side,
            mark: copy.mark,
            is_end: false,
        };
        let row = self.target(current, group, &sender, to);
        let row = moved(row, direction, 0);
        let from = self.attached.plain(copy.role.device, side);
        let first = self.model.actions.len() as u32;
        self.action(row, class, direction, Some(from));
        let actions = Actions { first, copies: 1 };
        let taken = Taken {
            actions,
            first: false,
            span: copy.span,
        };
        let mut used = false;
        for id in role_devices(copy.role) {
            let tag = self.attached.returned(id, side, side, copy.mark);
            let position = tag.unwrap_or(self.attached.device_position(id, side));
            let key = (class, direction, position);
            used |= self.take(current, steps, key, taken);
        }
        if !used {
            // The same alert is there already, from another copy to this device.
            self.model.actions.truncate(first as usize);
            self.model.names.actions.truncate(first as usize);
        }
    }

    /// Gives a position its step; whether it is new. One position cannot have two.
    fn take(
        &mut self,
        current: &Current<'d>,
        steps: &mut Steps,
        key: (u32, Direction, u32),
        taken: Taken,
    ) -> bool {
        let Some(other) = steps.get(&key).copied() else {
            steps.insert(key, taken);
            return true;
        };
        let rows = |a: Actions| &self.model.actions[a.first as usize..][..a.copies as usize];
        if rows(other.actions) != rows(taken.actions) || other.first != taken.first {
            self.indistinguishable(current, other.span, taken.span, key.1);
        }
        false
    }

    fn indistinguishable(&mut self, current: &Current, one: Span, two: Span, direction: Direction) {
        let told_apart = "senders are told apart by segment and MAC: give the devices MACs or VLANs of their own, \
             track their interface by source MAC, or send what they send the same way";
        let finding = Diagnostic::new(
            "indistinguishable_steps",
            format!(
                "service `{}`: {} packets from two places of its sequence look the same and come from the same sender, but must go different ways",
                current.service.name,
                direction.name()
            ),
            one,
            told_apart,
        )
        .also(two, "this one comes from there too");
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// The row that sends a packet from `from` to `to`, its own port added.
    fn target(
        &mut self,
        current: &Current<'d>,
        group: &Group,
        from: &From<'d>,
        to: To<'d>,
    ) -> (ActionRow, u16) {
        let row = ActionRow::default();
        let dscp = current.service.dscp;
        match to {
            To::Device {
                role,
                side,
                leaves,
                mark,
                shift,
                nat,
            } => {
                let like = nat.then_some(group.address);
                let attachment = self.attached.slot(role, side, like);
                let (tag_kind, tag) = self.attached.sent(role, attachment, side, mark);
                (
                    ActionRow {
                        attachment,
                        pool: bucket_bits(role),
                        nat,
                        tag_kind,
                        tag,
                        dscp: self.attached.dscp(from, Some((role, leaves, mark)), dscp),
                        ..row
                    },
                    shift,
                )
            }
            To::Out(host) => {
                let attachment = self.way_out(current, host);
                let route = host.is_none();
                (
                    ActionRow {
                        attachment,
                        route,
                        dscp: self.attached.dscp(from, None, dscp),
                        ..row
                    },
                    0,
                )
            }
        }
    }

    fn way_out(&mut self, current: &Current<'d>, host: Option<HostId>) -> u32 {
        if let Some(host) = host.or(self.definition.default_gateway) {
            return self.attached.host(host);
        }
        let missing = Diagnostic::new(
            "no_gateway",
            format!(
                "packets leave service `{}`, but nothing says where to",
                current.service.name
            ),
            current.service.span,
            match current.service.keyed_by {
                KeyedBy::Destination => "define a default gateway, or name a host in `clients`",
                KeyedBy::Client => {
                    "define a default gateway, or name hosts in `exit` and `clients`"
                }
            },
        );
        if !self.findings.contains(&missing) {
            self.findings.push(missing);
        }
        0
    }

    fn action(&mut self, row: ActionRow, class: u32, direction: Direction, from: Option<u32>) {
        self.model.actions.push(row);
        self.model.names.actions.push(Some(ActionName {
            class,
            direction,
            from,
            to: row.attachment,
        }));
    }
}

fn bucket_bits(role: &Role) -> u32 {
    role.pool.as_ref().map_or(0, |pool| pool.bits)
}

/// Adds to the service's port: the destination port forward, the source port on the return way.
fn moved(target: impl Into<Target>, direction: Direction, add: u16) -> ActionRow {
    let Target(row, own) = target.into();
    let port_add = own.wrapping_add(add);
    ActionRow {
        port_field: match (port_add, direction) {
            (0, _) => 0,
            (_, Direction::Return) => 1,
            (_, Direction::Forward) => 2,
        },
        port_add,
        ..row
    }
}

/// A row and what its device's own port is more than the stage's.
struct Target(ActionRow, u16);

impl std::convert::From<(ActionRow, u16)> for Target {
    fn from((row, own): (ActionRow, u16)) -> Target {
        Target(row, own)
    }
}

impl std::convert::From<ActionRow> for Target {
    fn from(row: ActionRow) -> Target {
        Target(row, 0)
    }
}
