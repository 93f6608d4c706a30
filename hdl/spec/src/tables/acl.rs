//! Table `acl`. What of a packet finds its rules.

use crate::layout::{Layout, field};

pub const ACL_SLOT: Layout = Layout {
    name: "acl_slot",
    doc: "Which bits of a packet's rule key find its row in one bank of `rule`; the IP version and the salt always do",
    fields: &[
        field(
            "client",
            6,
            "of the client's address the first so many times 4 bits",
        ),
        field("server", 6, "of the other address"),
        field(
            "client_port",
            3,
            "of the client's port the first so many times 4 bits",
        ),
        field("port", 3, "of the other port"),
        field("protocol", 1, "1: the IP protocol"),
        field("arrival", 1, "1: the interface of arrival"),
    ],
};
