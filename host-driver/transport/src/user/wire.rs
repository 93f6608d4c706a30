//! Messages of the vfio-user protocol (QEMU `docs/interop/vfio-user.rst`), written and read byte by byte: nothing
//! the other side says is taken for a length or a number before it was checked.

/// Commands a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Command {
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    DeviceGetInfo = 4,
    RegionInfo = 5,
    IrqInfo = 7,
    SetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    DeviceReset = 13,
}

impl Command {
    pub const fn name(self) -> &'static str {
        match self {
            Command::Version => "VERSION",
            Command::DmaMap => "DMA_MAP",
            Command::DmaUnmap => "DMA_UNMAP",
            Command::DeviceGetInfo => "DEVICE_GET_INFO",
            Command::RegionInfo => "DEVICE_GET_REGION_INFO",
            Command::IrqInfo => "DEVICE_GET_IRQ_INFO",
            Command::SetIrqs => "DEVICE_SET_IRQS",
            Command::RegionRead => "REGION_READ",
            Command::RegionWrite => "REGION_WRITE",
            Command::DeviceReset => "DEVICE_RESET",
        }
    }
}

/// Bytes of a header.
pub const HEADER: usize = 16;
/// Longest message taken; the longest there is here is a region's information with its capabilities.
pub const LONGEST: usize = 4096;

/// Low four bits of the flags: the type; 0 is a command.
pub const TYPE: u32 = 0xf;
pub const REPLY: u32 = 1;
pub const NO_REPLY: u32 = 1 << 4;
pub const ERROR: u32 = 1 << 5;

/// Start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub id: u16,
    pub command: u16,
    /// Bytes, this header included.
    pub size: u32,
    pub flags: u32,
    pub error: u32,
}

impl Header {
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..2].copy_from_slice(&self.id.to_ne_bytes());
        out[2..4].copy_from_slice(&self.command.to_ne_bytes());
        out[4..8].copy_from_slice(&self.size.to_ne_bytes());
        out[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        out[12..16].copy_from_slice(&self.error.to_ne_bytes());
        out
    }

    pub fn parse(b: &[u8; HEADER]) -> Header {
        Header {
            id: u16::from_ne_bytes([b[0], b[1]]),
            command: u16::from_ne_bytes([b[2], b[3]]),
            size: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            flags: u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            error: u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        }
    }
}

/// A payload, field by field.
#[derive(Debug, Default, Clone)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    pub fn u16(mut self, value: u16) -> Payload {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Payload {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Payload {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Payload {
        self.0.extend(bytes);
        self
    }
}

/// The word at byte `at` of a payload, if it has one there.
pub fn u16_at(payload: &[u8], at: usize) -> Option<u16> {
    let bytes = payload.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

pub fn u32_at(payload: &[u8], at: usize) -> Option<u32> {
    let bytes = payload.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

pub fn u64_at(payload: &[u8], at: usize) -> Option<u64> {
    let bytes = payload.get(at..at + 8)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// Offset of a region access, its region, its count: what a reply repeats.
pub fn access(region: u32, offset: u64, count: u32) -> Payload {
    Payload::default().u64(offset).u32(region).u32(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let header = Header {
            id: 0xfffe,
            command: Command::SetIrqs as u16,
            size: 36,
            flags: REPLY | ERROR,
            error: 22,
        };
        assert_eq!(Header::parse(&header.bytes()), header);
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        assert_eq!(u32_at(&[1, 0, 0], 0), None);
        assert_eq!(u64_at(&[0; 12], 8), None);
        assert_eq!(u16_at(&[0, 0, 2, 1], 2), Some(u16::from_ne_bytes([2, 1])));
    }
}
