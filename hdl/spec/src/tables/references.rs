//! Which field of which record names what: numbers as references between tables.
//!
//! Whoever changes tables while packets pass must know what a row is reached by. A new table says
//! here what its fields refer to and how its own rows are known from one definition to the next
//! ([`Space::life`]); nothing else of the compiler's deltas names a table.

use super::{
    ACTION_ROW, ADDRESS_VALUE, ATTACHMENT_ROW, CLASS_ROW, INTERFACE_VALUE, POLICY_ROW, PORT_KEY,
    PORT_VALUE, RANGE_SLOT, RULE_KEY, RULE_SLOT, SOURCE_KEY, SOURCE_VALUE, STEP_KEY, STEP_VALUE,
    Table, position_kind, width,
};
use crate::layout::Layout;

/// Something that numbers are given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    Interface,
    Segment,
    Decap,
    Encap,
    Attachment,
    Scope,
    Rewrite,
    Action,
    Meter,
    Acl,
    Set,
    Rule,
    Class,
    Range,
    HostLimit,
    Dscp,
    Queue,
}

/// How a number lives on when the definition changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Known by a name in the image; a number without rows of its own.
    Name,
    /// Known by a name; its row changes under the number, which has one for each epoch.
    Versions,
    /// Known by a name as long as its row stays: another row takes another number.
    NameAndRow,
    /// Known by the key of the hash table whose value gives the number out.
    Key { table: Table, field: &'static str },
    /// A row that nothing but its content is known by; another content takes another number.
    Row,
    /// A row that is known by who refers to it; nobody else gets its number, and another content takes another.
    Own,
    /// A row of something the card itself numbers (a port). It has one for each epoch, or one whose word takes effect
    /// by itself, behind the flip.
    Fixed,
    /// Rows side by side, named by the first and how many; known by who refers to them.
    Run,
}

impl Space {
    /// Every space, so that what a space's rows refer to comes before it.
    pub const ALL: [Space; 17] = [
        Space::Interface,
        Space::Segment,
        Space::Decap,
        Space::Encap,
        Space::Attachment,
        Space::Scope,
        Space::Rewrite,
        Space::Action,
        Space::Meter,
        Space::Acl,
        Space::Set,
        Space::Rule,
        Space::Class,
        Space::Range,
        Space::HostLimit,
        Space::Dscp,
        Space::Queue,
    ];

    /// The table whose rows have these numbers.
    pub const fn table(self) -> Option<Table> {
        match self {
            Space::Interface | Space::Segment | Space::Scope | Space::Set => None,
            Space::Decap => Some(Table::Decap),
            Space::Encap => Some(Table::Encap),
            Space::Attachment => Some(Table::Attachment),
            Space::Rewrite => Some(Table::Rewrite),
            Space::Action => Some(Table::Action),
            Space::Class => Some(Table::Class),
            Space::Range => Some(Table::Range),
            Space::Meter => Some(Table::Meter),
            Space::HostLimit => Some(Table::HostLimit),
            Space::Dscp => Some(Table::Dscp),
            Space::Queue => Some(Table::Queue),
            Space::Acl => Some(Table::Acl),
            Space::Rule => Some(Table::Policy),
        }
    }

    pub const fn life(self) -> Life {
        match self {
            Space::Interface | Space::Set => Life::Name,
            Space::Attachment => Life::Versions,
            Space::Class | Space::Rule => Life::NameAndRow,
            Space::Meter => Life::Own,
            Space::Segment => Life::Key {
                table: Table::Interface,
                field: "segment",
            },
            Space::Scope => Life::Key {
                table: Table::Address,
                field: "scope",
            },
            Space::Decap | Space::HostLimit | Space::Dscp | Space::Queue => Life::Fixed,
            Space::Encap | Space::Rewrite | Space::Range | Space::Acl => Life::Row,
            Space::Action => Life::Run,
        }
    }

    /// The lowest number that is given out; those below mean "none".
    pub const fn first(self) -> u32 {
        match self {
            Space::Segment
            | Space::Encap
            | Space::Scope
            | Space::Action
            | Space::Meter
            | Space::Class
            | Space::Acl
            | Space::Set
            | Space::Rule => 1,
            Space::Interface
            | Space::Decap
            | Space::Attachment
            | Space::Rewrite
            | Space::Range
            | Space::HostLimit
            | Space::Dscp
            | Space::Queue => 0,
        }
    }

    /// Bits of a number.
    pub const fn bits(self) -> u32 {
        match self {
            Space::Interface => width::INTERFACE,
            Space::Segment => width::SEGMENT,
            Space::Decap => width::PORT,
            Space::Encap => width::ENCAP,
            Space::Attachment => width::ATTACHMENT,
            Space::Scope => width::SCOPE,
            Space::Rewrite => width::REWRITE,
            Space::Action => width::ACTION,
            Space::Class => width::CLASS,
            Space::Range => width::RANGE,
            Space::Meter => width::METER,
            Space::HostLimit => crate::reason::REASON_BITS,
            Space::Dscp => 6,
            Space::Queue => width::PORT + 3,
            Space::Acl => width::ACL,
            Space::Set => width::SET,
            Space::Rule => width::RULE,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Space::Interface => "interface",
            Space::Segment => "segment",
            Space::Decap => "decap",
            Space::Encap => "encap",
            Space::Attachment => "attachment",
            Space::Scope => "scope",
            Space::Rewrite => "rewrite",
            Space::Action => "action",
            Space::Class => "class",
            Space::Range => "range",
            Space::Meter => "meter",
            Space::HostLimit => "host_limit",
            Space::Dscp => "dscp",
            Space::Queue => "queue",
            Space::Acl => "acl",
            Space::Set => "set",
            Space::Rule => "rule",
        }
    }
}

/// When a field is a reference: some bits of a field of the same record have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    pub field: &'static str,
    /// Lowest bit in the field, and how many.
    pub bits: (u32, u32),
    pub is: u32,
}

/// A field of a record that holds a number of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    pub field: &'static str,
    /// Bits of the number, from bit 0 of the field.
    pub bits: u32,
    pub space: Space,
    pub when: When,
    /// Field that says how many rows are meant ([`Life::Run`]).
    pub count: Option<&'static str>,
}

const fn flag(field: &'static str) -> When {
    When {
        field,
        bits: (0, 1),
        is: 1,
    }
}

/// A field that is always a reference.
const fn always(field: &'static str, space: Space) -> Reference {
    let when = When {
        field,
        bits: (0, 0),
        is: 0,
    };
    Reference {
        field,
        bits: space.bits(),
        space,
        when,
        count: None,
    }
}

const fn when(field: &'static str, space: Space, when: When) -> Reference {
    Reference {
        field,
        bits: space.bits(),
        space,
        when,
        count: None,
    }
}

const fn run(field: &'static str, count: &'static str) -> Reference {
    Reference {
        field,
        bits: Space::Action.bits(),
        space: Space::Action,
        when: When {
            field,
            bits: (0, 0),
            is: 0,
        },
        count: Some(count),
    }
}

const fn of_kind(kind: u32) -> When {
    When {
        field: "position",
        bits: (16, width::POSITION - 16),
        is: kind,
    }
}

/// What the fields of a record refer to.
pub fn references(layout: &Layout) -> &'static [Reference] {
    const INTERFACE: &[Reference] = &[
        always("interface", Space::Interface),
        always("segment", Space::Segment),
    ];
    const SEGMENT: &[Reference] = &[always("segment", Space::Segment)];
    const SENDER: &[Reference] = &[always("attachment", Space::Attachment)];
    const ADDRESS: &[Reference] = &[
        always("scope", Space::Scope),
        when("range", Space::Range, flag("range_valid")),
        when("neighbour", Space::Attachment, flag("neighbour_valid")),
        always("acl", Space::Acl),
    ];
    const SCOPE: &[Reference] = &[always("scope", Space::Scope)];
    const CLASS: &[Reference] = &[always("class", Space::Class)];
    const SLOT: &[Reference] = &[when("class", Space::Class, flag("valid"))];
    const ENTRY: &[Reference] = &[
        always("meter", Space::Meter),
        run("forward_action", "forward_copies"),
        run("return_action", "return_copies"),
        always("set", Space::Set),
        always("rule", Space::Rule),
    ];
    const KEY: &[Reference] = &[
        always("salt", Space::Scope),
        always("arrival", Space::Interface),
    ];
    const RULE: &[Reference] = &[
        always("set", Space::Set),
        always("rule", Space::Rule),
        Reference {
            when: When {
                field: "any_arrival",
                bits: (0, 1),
                is: 0,
            },
            ..always("arrival", Space::Interface)
        },
    ];
    const HOP: &[Reference] = &[when("attachment", Space::Attachment, flag("valid"))];
    const STEP: &[Reference] = &[
        always("class", Space::Class),
        Reference {
            bits: 16,
            ..when(
                "position",
                Space::Attachment,
                of_kind(position_kind::ATTACHMENT),
            )
        },
        Reference {
            bits: 16,
            ..when("position", Space::Segment, of_kind(position_kind::SEGMENT))
        },
    ];
    const NEXT: &[Reference] = &[run("action", "copies")];
    const COPY: &[Reference] = &[
        always("attachment", Space::Attachment),
        when("rewrite", Space::Rewrite, flag("rewrite_valid")),
    ];
    const PLACE: &[Reference] = &[
        when("interface", Space::Interface, flag("valid")),
        when("encap", Space::Encap, flag("valid")),
        when("comes_from", Space::Attachment, flag("valid")),
        when("counts", Space::Attachment, flag("valid")),
    ];
    const ALL: [(&str, &[Reference]); 15] = [
        (INTERFACE_VALUE.name, INTERFACE),
        (SOURCE_KEY.name, SEGMENT),
        (SOURCE_VALUE.name, SENDER),
        (ADDRESS_VALUE.name, ADDRESS),
        (PORT_KEY.name, SCOPE),
        (PORT_VALUE.name, CLASS),
        (RANGE_SLOT.name, SLOT),
        (CLASS_ROW.name, ENTRY),
        (STEP_KEY.name, STEP),
        (STEP_VALUE.name, NEXT),
        (ACTION_ROW.name, COPY),
        (ATTACHMENT_ROW.name, PLACE),
        (RULE_KEY.name, KEY),
        (RULE_SLOT.name, RULE),
        (POLICY_ROW.name, HOP),
    ];
    let of = ALL.iter().find(|(name, _)| *name == layout.name);
    of.map_or(&[], |(_, references)| references)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Kind;

    fn layouts() -> impl Iterator<Item = &'static Layout> {
        Table::ALL.into_iter().flat_map(|t| match t.kind() {
            Kind::Hash { key, value } => vec![key, value],
            Kind::Direct { row } => vec![row],
            Kind::Slots { slot } => vec![slot],
            Kind::Rules { slot, .. } => vec![slot],
        })
    }

    #[test]
    fn every_field_that_is_called_like_a_space_refers_to_it() {
        for layout in layouts() {
            for field in layout.fields {
                let space = Space::ALL.into_iter().find(|s| {
                    field.name == s.name() || field.name.ends_with(&format!("_{}", s.name()))
                });
                let expected = space.or(match field.name {
                    "neighbour" => Some(Space::Attachment),
                    _ => None,
                });
                // A DSCP that is set is no row of the table of those that come.
                let Some(space) = expected.filter(|s| *s != Space::Dscp) else {
                    continue;
                };
                let known = references(layout);
                assert!(
                    known
                        .iter()
                        .any(|r| r.field == field.name && r.space == space),
                    "`{}` of `{}` is a number of {space:?}, or is called like one",
                    field.name,
                    layout.name
                );
            }
        }
    }

    #[test]
    fn references_fit_their_fields_and_their_order() {
        for layout in layouts() {
            for r in references(layout) {
                assert!(r.bits <= layout.at(r.field).1, "{r:?}");
                assert!(r.when.bits.0 + r.when.bits.1 <= layout.at(r.when.field).1);
                assert_eq!(r.count.is_some(), r.space.life() == Life::Run);
            }
        }
        let place = |s: Space| Space::ALL.iter().position(|o| *o == s);
        for space in Space::ALL {
            let Some(table) = space.table() else { continue };
            let layout = match table.kind() {
                Kind::Direct { row } => row,
                Kind::Slots { slot } => slot,
                Kind::Hash { .. } | Kind::Rules { .. } => panic!("{space:?} has rows in {table:?}"),
            };
            for r in references(layout) {
                // Attachments refer to attachments; their numbers are known by name before any row is compared.
                let itself = r.space == space && space.life() == Life::Versions;
                assert!(
                    place(r.space) < place(space) || itself,
                    "{space:?} before {:?}",
                    r.space
                );
            }
            match space.life() {
                Life::Versions => assert!(table.versions() > 1),
                Life::Fixed => {}
                _ => assert_eq!(table.versions(), 1),
            }
        }
        // Every direct table's rows are numbers of a space, but for registers.
        for table in Table::ALL {
            // Rules stand where their keys say, as in a hash table.
            let register = matches!(table, Table::Seed | Table::Epoch | Table::Rule);
            let of_space = Space::ALL.iter().any(|s| s.table() == Some(table));
            assert_eq!(
                table.hash().is_none() && !register,
                of_space,
                "{}",
                table.name()
            );
        }
    }
}
