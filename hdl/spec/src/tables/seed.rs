//! Table `seed`. Which hash.

use crate::layout::{Layout, field};

pub const SEED_ROW: Layout = Layout {
    name: "seed_row",
    doc: "Hash seed of one way; row = table number * 4 + way",
    fields: &[field("seed", 32, "odd")],
};
