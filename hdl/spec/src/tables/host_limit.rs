//! Table `host_limit`. Rates of exceptions.

use super::{time, width};
use crate::layout::{Layout, field};

pub const HOST_LIMIT_ROW: Layout = Layout {
    name: "host_limit_row",
    doc: "What the host gets of packets with a reason; row = reason code; times in 2^-16 ns",
    fields: &[
        field("limited", 1, "1: by rate"),
        field("closed", 1, "1: nothing"),
        field(
            "priority",
            width::PRIORITY,
            "priority on the way to the host",
        ),
        field("cost", time::HOST_COST_BITS, "time a packet takes"),
        field(
            "tolerance",
            time::TOLERANCE_BITS,
            "time packets may come early: that of a burst",
        ),
    ],
};
