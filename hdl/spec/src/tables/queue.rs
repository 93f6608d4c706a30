//! Table `queue`. How the queues of an output are served.

use crate::layout::{Layout, field};

/// Rows of `queue` an output has: queues at most.
pub const OUTPUT_QUEUES: u32 = 8;

pub const QUEUE_ROW: Layout = Layout {
    name: "queue_row",
    doc: "How a queue of an output is served; row = port * 8 + queue, queues of higher priorities have higher numbers",
    fields: &[
        field("strict", 1, "1: before all below it"),
        field("weight", 8, "share among the others, 0 is 1"),
    ],
};
