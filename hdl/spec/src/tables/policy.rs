//! Table `policy`. Where a permitted packet goes instead.

use super::width;
use crate::layout::{Layout, field};

pub const POLICY_ROW: Layout = Layout {
    name: "policy_row",
    doc: "Another next hop for packets a rule permits; row = number of the rule",
    fields: &[
        field("valid", 1, "1: the packet goes there, its copies as ever"),
        field("attachment", width::ATTACHMENT, "attachment it goes to"),
    ],
};
