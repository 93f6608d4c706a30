//! Table `address`. Which service: an address, asked for destination and source.

use super::width;
use crate::layout::{Layout, field};

pub const ADDRESS_KEY: Layout = Layout {
    name: "address_key",
    doc: "An IP address, asked for destination and for source",
    fields: &[
        field("v6", 1, "1: IPv6"),
        field(
            "address",
            128,
            "the address as a number; IPv4 in the low 32 bits",
        ),
    ],
};

pub const ADDRESS_VALUE: Layout = Layout {
    name: "address_value",
    doc: "What the engine knows of an address",
    fields: &[
        field(
            "scope",
            width::SCOPE,
            "scope of its port questions, 0 when it is no service address",
        ),
        field("range_valid", 1, "1: the scope has a row in `range`"),
        field("range", width::RANGE, "row in `range`"),
        field(
            "neighbour_valid",
            1,
            "1: a host or device the engine reaches directly",
        ),
        field("neighbour", width::ATTACHMENT, "its attachment"),
        field("local", 1, "1: an address of the engine itself"),
        field(
            "acl",
            width::ACL,
            "row in `acl` for first packets of this scope, 0: no rules",
        ),
        field("salted", 1, "1: the scope is part of the key of its rules"),
    ],
};
