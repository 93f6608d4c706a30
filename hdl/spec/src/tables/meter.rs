//! Table `meter`. Rates of services.

use super::time;
use crate::layout::{Layout, field};

pub const METER_ROW: Layout = Layout {
    name: "meter_row",
    doc: "Rate of a service, all its looks together; times in 2^-16 ns. Its state is no part of the row",
    fields: &[
        field("cost", time::METER_COST_BITS, "time a byte takes"),
        field(
            "tolerance",
            time::TOLERANCE_BITS,
            "time packets may come early: that of a burst",
        ),
    ],
};
