//! Packets between card and host.

use crate::error::Error;
use crate::ring::{Line, Record};
use seqnic_image::names::Direction;
use seqnic_spec::host::rings::{META_AT, mode};
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::HOST_META;

/// A packet that went to the host; the frame is in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub reason: Reason,
    /// When it arrived, ns by the card's clock.
    pub time: u64,
    /// Port of arrival.
    pub port: u8,
    /// Interface of arrival, where one is defined for port and VLAN.
    pub interface: Option<u16>,
    /// Attachment of the sender.
    pub sender: Option<u16>,
    /// Class and direction, where the service is known and matters.
    pub class: Option<(u32, Direction)>,
    /// As it arrived, without FCS.
    pub frame: &'a [u8],
}

/// Where a frame of the host goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Out of a port, as it is.
    Out,
    /// Into the pipeline, as if it had arrived on the port.
    In,
}

/// Where the fields of HOST_META stand, in bits behind its first 64, which are the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    reason: (u32, u32),
    port: (u32, u32),
    interface_valid: (u32, u32),
    interface: (u32, u32),
    sender_valid: (u32, u32),
    sender: (u32, u32),
    class_valid: (u32, u32),
    class: (u32, u32),
    direction: (u32, u32),
}

/// Byte of a header line at which what is behind the time starts.
const BEHIND_TIME: usize = META_AT as usize / 8 + 8;

impl Meta {
    pub fn new() -> Meta {
        debug_assert_eq!(HOST_META.at("tag"), (0, 64));
        let at = |name| {
            let (at, width) = HOST_META.at(name);
            (at - 64, width)
        };
        Meta {
            reason: at("reason"),
            port: at("port"),
            interface_valid: at("interface_valid"),
            interface: at("interface"),
            sender_valid: at("sender_valid"),
            sender: at("sender"),
            class_valid: at("class_valid"),
            class: at("class"),
            direction: at("direction"),
        }
    }

    /// The packet of a record; nothing if its reason is none.
    #[inline]
    pub fn packet<'a>(&self, record: &Record<'a>) -> Option<Packet<'a>> {
        let header = record.header;
        let time = header[BEHIND_TIME - 8..BEHIND_TIME].try_into();
        let bits = header[BEHIND_TIME..BEHIND_TIME + 16].try_into();
        let bits = u128::from_le_bytes(bits.unwrap_or_default());
        let get = |(at, width): (u32, u32)| (bits >> at) as u64 & ((1 << width) - 1);
        let if_valid = |valid, field| (get(valid) == 1).then(|| get(field) as u16);
        let direction = || Direction::from_bit(get(self.direction) as u32);
        Some(Packet {
            reason: Reason::from_code(get(self.reason) as u8)?,
            time: u64::from_le_bytes(time.unwrap_or_default()),
            port: get(self.port) as u8,
            interface: if_valid(self.interface_valid, self.interface),
            sender: if_valid(self.sender_valid, self.sender),
            class: (get(self.class_valid) == 1).then(|| (get(self.class) as u32, direction())),
            frame: record.payload,
        })
    }
}

/// Header line of a frame from the host.
pub(crate) fn header(way: Way, port: u8, bytes: usize) -> Line {
    let mut line = [0; 64];
    let mode = match way {
        Way::Out => mode::OUT,
        Way::In => mode::IN,
    };
    line[0..2].copy_from_slice(&(bytes as u16).to_le_bytes());
    line[2] = mode as u8;
    line[3] = port;
    line
}

pub(crate) fn check(port: u8, bytes: usize, ports: u32) -> Result<(), Error> {
    if u32::from(port) >= ports {
        return Err(Error::NoPort { port, ports });
    }
    if !(14..=seqnic_spec::wire::MAX_FRAME_BYTES as usize).contains(&bytes) {
        return Err(Error::FrameLength { bytes });
    }
    Ok(())
}

/// Ring by reason: what a network stands still without, then what concerns services and their senders, then
/// what may be many, then what is none of the card's.
pub fn queue(reason: Reason) -> u32 {
    match reason {
        Reason::Arp | Reason::NeighbourDiscovery | Reason::Dhcp => 0,
        Reason::Local | Reason::IcmpError | Reason::Ttl | Reason::TooBig => 1,
        Reason::NoService
        | Reason::NotMine
        | Reason::Multicast
        | Reason::NoInterface
        | Reason::NotIp => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::host::rings::{TRANSMIT, write};

    #[test]
    fn metadata_and_headers_stand_where_the_spec_says() {
        let mut line = [0; 64];
        for (field, value) in [
            ("tag", 0xfedc_ba98_7654_3210),
            ("reason", Reason::WrongSender as u64),
            ("port", 3),
            ("interface_valid", 1),
            ("interface", 0x2aa),
            ("sender_valid", 1),
            ("sender", 0xa5a5),
            ("class_valid", 1),
            ("class", 0xf_0f0f),
            ("direction", 1),
        ] {
            write(&mut line, &HOST_META, META_AT, field, value);
        }
        let record = Record {
            header: &line,
            payload: b"frame",
        };
        let packet = Packet {
            reason: Reason::WrongSender,
            time: 0xfedc_ba98_7654_3210,
            port: 3,
            interface: Some(0x2aa),
            sender: Some(0xa5a5),
            class: Some((0xf_0f0f, Direction::Return)),
            frame: b"frame",
        };
        assert_eq!(Meta::new().packet(&record), Some(packet));

        let mut line = [0; 64];
        for (field, value) in [("length", 9216), ("mode", 1), ("port", 7)] {
            write(&mut line, &TRANSMIT, 0, field, value);
        }
        assert_eq!(header(Way::In, 7, 9216), line);
    }
}
