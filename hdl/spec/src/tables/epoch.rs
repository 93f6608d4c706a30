//! Table `epoch`. Which of two versions of the tables holds.

use crate::layout::{Layout, field};

/// Versions of the tables that can be told apart at one time.
pub const EPOCHS: u32 = 2;

pub const EPOCH_ROW: Layout = Layout {
    name: "epoch_row",
    doc: "Row 0: the epoch of packets that enter the tables now. Row 1, only read: 1 while a packet of the other epoch is inside",
    fields: &[field("epoch", 1, "0 or 1")],
};
