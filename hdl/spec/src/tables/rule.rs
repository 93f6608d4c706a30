//! Table `rule`. Rules: what they compare, and what becomes of the packet.

use super::{EPOCHS, width};
use crate::layout::{Layout, field};

/// Rules in one row of `rule`: two, or one with long IPv6 prefixes.
pub const RULE_SLOTS: u32 = 2;

/// The key whose bits choose rows of `rule`, before the masks of `acl`.
pub const RULE_KEY: Layout = Layout {
    name: "rule_key",
    doc: "What of a packet may find its rules",
    fields: &[
        field(
            "salt",
            width::SCOPE,
            "scope of the service's address if that is salted, else 0",
        ),
        field("v6", 1, "1: IPv6"),
        field(
            "client",
            128,
            "the client's address: source forward, destination on the return way; IPv4 in the high 32 bits",
        ),
        field("server", 128, "the other address"),
        field("client_port", 16, "the client's port, 0 without ports"),
        field("port", 16, "the other port"),
        field("protocol", 8, "IP protocol number"),
        field("arrival", width::INTERFACE, "interface of arrival"),
    ],
};

/// Kinds of a slot of `rule`.
pub mod rule_kind {
    /// Packets of either IP version; prefixes are empty.
    pub const ANY: u32 = 0;
    pub const V4: u32 = 1;
    /// Prefixes of at most 32 bits.
    pub const V6: u32 = 2;
    /// The other slot of the row has the rest of the prefixes.
    pub const V6_LONG: u32 = 3;
}

pub const RULE_SLOT: Layout = Layout {
    name: "rule_slot",
    doc: "A rule; row = bank * rows of a bank + what the key gives. Of those of the class's set that hold the lowest order wins",
    fields: &[
        field(
            "epochs",
            EPOCHS,
            "a bit for each epoch it holds in; 0: empty",
        ),
        field(
            "kind",
            2,
            "IP version (`rule_kind`); with 3, in slot 0 only, slot 1 has the rest",
        ),
        field(
            "client",
            32,
            "prefix of the client's address, from the highest bit; IPv6: its first 32 bits",
        ),
        field("client_bits", 6, "bits of it, at most 32"),
        field("server", 32, "prefix of the other address"),
        field("server_bits", 6, "bits of it, at most 32"),
        field("any_protocol", 1, "1: every IP protocol"),
        field("protocol", 8, "IP protocol number"),
        field("client_port_first", 16, "lowest port of the client"),
        field(
            "client_port_last",
            16,
            "highest; 0 to 65535 holds later fragments, too",
        ),
        field("port_first", 16, "lowest other port"),
        field(
            "port_last",
            16,
            "highest; 0 to 65535 holds later fragments, too",
        ),
        field("flags", 8, "TCP flags, those of `flags_mask` only"),
        field("flags_mask", 8, "TCP flags that are compared"),
        field(
            "size_first",
            14,
            "least bytes of the IP packet by its own header",
        ),
        field("size_last", 14, "most bytes; all ones: no limit"),
        field("forward", 1, "1: holds forward"),
        field("back", 1, "1: holds on the return way"),
        field("any_arrival", 1, "1: whatever interface it arrived on"),
        field("arrival", width::INTERFACE, "interface of arrival"),
        field("set", width::SET, "rule set it is of"),
        field("order", 16, "place in its set"),
        field("rule", width::RULE, "number it counts under"),
        field("permit", 1, "1: permits, 0: denies"),
    ],
};

pub const RULE_REST: Layout = Layout {
    name: "rule_rest",
    doc: "Slot 1 of a row whose slot 0 has long IPv6 prefixes",
    fields: &[
        field("epochs", EPOCHS, "0"),
        field(
            "client",
            96,
            "the client's address behind its first 32 bits",
        ),
        field("client_bits", 7, "bits of the prefix that lie there"),
        field("server", 96, "the other address"),
        field("server_bits", 7, "bits of the prefix that lie there"),
    ],
};
