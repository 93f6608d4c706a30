//! Widths of numbers, and values that several tables share.

/// Widths of the numbers that name things, in bits.
pub mod width {
    pub const PORT: u32 = 4;
    pub const VID: u32 = 12;
    pub const INTERFACE: u32 = 10;
    pub const SEGMENT: u32 = 12;
    pub const ATTACHMENT: u32 = 16;
    pub const SCOPE: u32 = 20;
    pub const RANGE: u32 = 16;
    pub const CLASS: u32 = 20;
    pub const ACTION: u32 = 22;
    pub const COPIES: u32 = 4;
    pub const POSITION: u32 = 20;
    pub const REWRITE: u32 = 16;
    pub const METER: u32 = 16;
    pub const PRIORITY: u32 = 3;
    pub const ENCAP: u32 = 12;
    pub const TAG: u32 = 8;
    pub const MTU: u32 = 14;
    /// Bits of a bucket, written.
    pub const POOL: u32 = 4;
    /// Bits of a bucket at most.
    pub const BUCKET: u32 = 10;
    /// Number of a rule set.
    pub const SET: u32 = 12;
    pub const RULE: u32 = 16;
    pub const ACL: u32 = 5;
}

/// Priorities, 0 the lowest.
pub const PRIORITIES: u32 = 1 << width::PRIORITY;

/// Widest row of any table in bits: the width of the configuration port.
pub const MAX_ROW_BITS: u32 = 512;

/// Tags the engine reads on arrival: bits of `interface.accepts` and `decap.accepts`.
pub mod accepts {
    pub const BITS: u32 = 7;
    pub const DSCP: u32 = 1 << 0;
    pub const VLAN: u32 = 1 << 1;
    pub const MPLS: u32 = 1 << 2;
    /// NSH behind Ethernet, EtherType 0x894F.
    pub const NSH: u32 = 1 << 3;
    pub const VXLAN: u32 = 1 << 4;
    /// VXLAN-GPE with NSH in it.
    pub const GPE: u32 = 1 << 5;
    pub const GRE: u32 = 1 << 6;
}

/// Time of meters and limits, as [`super::METER_ROW`] and [`super::HOST_LIMIT_ROW`] have it and their states are kept in.
pub mod time {
    /// Units of a nanosecond: 2^16.
    pub const FRACTION_BITS: u32 = 16;
    /// Bits of a time since the start: nanoseconds (64) and their fraction.
    pub const BITS: u32 = 64 + FRACTION_BITS;
    /// Bits of the bytes that one packet is charged for at most.
    pub const BYTES_BITS: u32 = 14;
    pub const METER_COST_BITS: u32 = 36;
    pub const HOST_COST_BITS: u32 = 47;
    pub const TOLERANCE_BITS: u32 = 56;
}
