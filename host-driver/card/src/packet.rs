//! Packets between card and host.

use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;

/// A packet that went to the host, with what the card says of it (`HOST_META` of `hdl/spec`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToHost {
    pub reason: Reason,
    /// When it arrived, ns by the card's clock.
    pub time: u64,
    /// Port of arrival.
    pub port: u8,
    /// Number of the interface of arrival, where one is defined for port and VLAN.
    pub interface: Option<u16>,
    /// Number of the sender's attachment.
    pub sender: Option<u16>,
    /// Class and direction, where reason and service are known.
    pub class: Option<(u32, Direction)>,
    /// As it arrived, without FCS.
    pub frame: Vec<u8>,
}

/// Where a frame of the host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Out of a port, as it is.
    Out,
    /// Into the pipeline, as if it had arrived on the port.
    In,
}

/// A frame of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromHost {
    pub way: Way,
    pub port: u8,
    /// Without FCS, 14 to 9,216 bytes.
    pub frame: Vec<u8>,
}
