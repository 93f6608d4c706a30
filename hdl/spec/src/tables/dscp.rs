//! Table `dscp`. Priority by DSCP.

use super::width;
use crate::layout::{Layout, field};

pub const DSCP_ROW: Layout = Layout {
    name: "dscp_row",
    doc: "Priority of what comes with a DSCP on a trusted interface; row = DSCP * 2 + epoch",
    fields: &[field("priority", width::PRIORITY, "7 the highest")],
};
