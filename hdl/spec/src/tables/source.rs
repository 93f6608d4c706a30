//! Table `source`. Who sent it: segment and source MAC to attachment.

use super::width;
use crate::layout::{Layout, field};

pub const SOURCE_KEY: Layout = Layout {
    name: "source_key",
    doc: "Who sent a packet",
    fields: &[
        field("segment", width::SEGMENT, "segment of arrival"),
        field("mac", 48, "source MAC"),
    ],
};

pub const SOURCE_VALUE: Layout = Layout {
    name: "source_value",
    doc: "The attachment with that MAC on that segment",
    fields: &[field("attachment", width::ATTACHMENT, "attachment number")],
};
