//! Tables `port_*`. Which of its ports: the four port questions, one record.

use super::width;
use crate::layout::{Layout, field};

pub const PORT_KEY: Layout = Layout {
    name: "port_key",
    doc: "A service port within a scope",
    fields: &[
        field("scope", width::SCOPE, "scope of the address"),
        field("protocol", 8, "IP protocol number"),
        field("port", 16, "port; 0 for protocols without ports"),
    ],
};

pub const PORT_VALUE: Layout = Layout {
    name: "port_value",
    doc: "The class of the packet",
    fields: &[field("class", width::CLASS, "class number")],
};
