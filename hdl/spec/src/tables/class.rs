//! Table `class`. Where packets enter the sequence.

use super::width;
use crate::layout::{Layout, field};

pub const CLASS_ROW: Layout = Layout {
    name: "class_row",
    doc: "Where packets enter the sequence of a class: the step of senders that are not of the sequence",
    fields: &[
        field(
            "forward_action",
            width::ACTION,
            "first row in `action` for a packet entering forward",
        ),
        field(
            "forward_copies",
            width::COPIES,
            "rows there; 0: nobody enters forward",
        ),
        field(
            "return_action",
            width::ACTION,
            "first row in `action` for a packet entering on the return way",
        ),
        field(
            "return_copies",
            width::COPIES,
            "rows there; 0: nobody enters on the return way",
        ),
        field(
            "priority",
            width::PRIORITY,
            "priority where the DSCP is not trusted, 7 the highest",
        ),
        field("meter", width::METER, "row in `meter`, 0: not metered"),
        field(
            "set",
            width::SET,
            "rule set of its first packets, 0: none is asked",
        ),
        field(
            "permit",
            1,
            "1: a first packet that no rule holds is permitted",
        ),
        field("rule", width::RULE, "number such packets count under"),
    ],
};
