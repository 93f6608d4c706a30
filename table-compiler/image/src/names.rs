//! The names behind the numbers of an image, for counters, exceptions and `inspect`.

use serde::{Deserialize, Serialize};

/// Direction of a packet in its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Forward,
    Return,
}

impl Direction {
    #[inline]
    pub const fn bit(self) -> u32 {
        match self {
            Direction::Forward => 0,
            Direction::Return => 1,
        }
    }

    pub const fn from_bit(bit: u32) -> Direction {
        if bit == 0 {
            Direction::Forward
        } else {
            Direction::Return
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::Return => "return",
        }
    }
}

/// An interface; its number is its place in [`Names::interfaces`], the order of the definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceName {
    pub name: String,
    /// Port of the card.
    pub port: u8,
}

/// A class: what packets of a service look like on a part of their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassName {
    /// Index into [`Names::services`].
    pub service: u32,
    /// Protocol and ports, e.g. `tcp/80`; index into [`Names::labels`].
    pub label: u32,
    /// Its place among the classes of its service: with the service's name what a class is known
    /// by from one definition to the next.
    pub place: u32,
}

/// A row of `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionName {
    /// Class whose packets take it.
    pub class: u32,
    pub direction: Direction,
    /// Sender: index into [`Names::attachments`]; `None` is a client entering.
    pub from: Option<u32>,
    /// Index into [`Names::attachments`] of where it goes (the primary's name).
    pub to: u32,
}

/// A rule, or the default of a rule set of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleName {
    /// Rule set of the definition; of a default all of them, joined by `+`.
    pub acl: String,
    pub rule: String,
    /// Index into [`Names::sets`]: with the names what a rule is known by from one definition to the
    /// next.
    pub set: u32,
}

/// All names of an image. A number that a change has retired keeps its name until it is used again, so
/// that what it has counted can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Name of the definition.
    pub definition: String,
    pub interfaces: Vec<InterfaceName>,
    /// By attachment number: `device`, `device.outside`, `device.inside` or a host's name. Several
    /// numbers may have one name (alternates, address families).
    pub attachments: Vec<String>,
    /// By attachment number: what tells numbers of one name apart (`alternates`, address family), empty
    /// for the attachment itself. With the name what a number is known by from one definition to
    /// the next.
    pub roles: Vec<String>,
    pub services: Vec<String>,
    pub labels: Vec<String>,
    /// By class number; class 0 is unused.
    pub classes: Vec<ClassName>,
    /// By row of `action`; row 0 is unused.
    pub actions: Vec<Option<ActionName>>,
    /// By number of a rule set of services: which of the definition's rule sets, where, and the default. Set 0
    /// is none.
    pub sets: Vec<String>,
    /// By rule number; rule 0 is unused.
    pub rules: Vec<Option<RuleName>>,
}
