//! The block format (draft-ietf-opsawg-pcapng).

use super::source::{Fields, Order, Source};
use super::{MAX_CAPTURED, Record, ethernet};
use crate::error::Problem;
use crate::time::{SECOND, Time};

/// Block type of a section header; the same bytes in both byte orders.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, still found in old captures.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Longest block that is read into memory: a packet with generous options.
const MAX_BLOCK: u32 = 16 << 20;
/// Type, length and the length again at the end.
const FRAMING: u32 = 12;

mod option {
    pub const END: u16 = 0;
    pub const TIME_RESOLUTION: u16 = 9;
    pub const FCS_LENGTH: u16 = 13;
    pub const TIME_OFFSET: u16 = 14;
    /// Of packets.
    pub const FLAGS: u16 = 2;
}

const SECTION: &str = "section header block";
const INTERFACE: &str = "interface description block";
const PACKET_BLOCK: &str = "packet block";

struct Interface {
    link_type: u16,
    /// Most bytes of a packet, 0 for no bound.
    snap: u32,
    /// Raw `if_tsresol`: units in a second are 10 or (bit 7) 2 to that power.
    resolution: u8,
    /// Seconds added to every time.
    offset: i64,
    /// Bytes of FCS at the end of each packet.
    fcs: u32,
}

pub struct Pcapng {
    order: Order,
    /// Of this section.
    interfaces: Vec<Interface>,
}

impl Pcapng {
    /// Reads the first section header, whose type has been read.
    pub fn open(source: &mut Source) -> Result<Pcapng, Problem> {
        let mut format = Pcapng {
            order: Order::Little,
            interfaces: Vec::new(),
        };
        format.section(source)?;
        Ok(format)
    }

    pub fn next_record(&mut self, source: &mut Source) -> Result<Option<Record>, Problem> {
        loop {
            source.mark();
            let mut kind = [0; 4];
            if !source.exactly_or_end("block header", &mut kind)? {
                return Ok(None);
            }
            // Comes before the byte order is known, so it reads the same in both.
            if u32::from_le_bytes(kind) == SECTION_HEADER {
                self.section(source)?;
                continue;
            }
            let mut length = [0; 4];
            source.exactly("block header", &mut length)?;
            let length = self.order.u32(length);
            check_length(length)?;
            match self.order.u32(kind) {
                INTERFACE_DESCRIPTION => {
                    let body = self.body(source, INTERFACE, length)?;
                    let interface = self.interface(&body)?;
                    self.interfaces.push(interface);
                }
                kind @ (PACKET | SIMPLE_PACKET | ENHANCED_PACKET) => {
                    let body = self.body(source, PACKET_BLOCK, length)?;
                    return match kind {
                        SIMPLE_PACKET => self.simple(&body),
                        _ => self.packet(kind, &body),
                    }
                    .map(Some);
                }
                _ => {
                    source.skip("block", u64::from(length - FRAMING))?;
                    self.trailer(source, length)?;
                }
            }
        }
    }

    /// Reads a section header after its type; sets the byte order.
    fn section(&mut self, source: &mut Source) -> Result<(), Problem> {
        let mut head = [0; 8];
        source.exactly(SECTION, &mut head)?;
        let [l0, l1, l2, l3, m0, m1, m2, m3] = head;
        self.order = match [m0, m1, m2, m3] {
            m if u32::from_le_bytes(m) == BYTE_ORDER => Order::Little,
            m if u32::from_be_bytes(m) == BYTE_ORDER => Order::Big,
            magic => return Err(Problem::NotACapture { magic }),
        };
        let length = self.order.u32([l0, l1, l2, l3]);
        check_length(length)?;
        if length < 28 {
            return Err(Problem::Overrun { what: SECTION });
        }
        let mut versions = [0; 4];
        source.exactly(SECTION, &mut versions)?;
        let mut fields = Fields::new(&versions, self.order);
        let (major, minor) = (fields.u16(SECTION)?, fields.u16(SECTION)?);
        if major != 1 {
            return Err(Problem::Format(format!("pcapng version {major}.{minor}")));
        }
        source.skip(SECTION, u64::from(length - FRAMING - 8))?;
        self.trailer(source, length)?;
        self.interfaces.clear();
        Ok(())
    }

    /// The block between its two lengths.
    fn body(
        &self,
        source: &mut Source,
        what: &'static str,
        length: u32,
    ) -> Result<Vec<u8>, Problem> {
        if length > MAX_BLOCK {
            return Err(Problem::TooLong { bytes: length });
        }
        let mut body = vec![0; (length - FRAMING) as usize];
        source.exactly(what, &mut body)?;
        self.trailer(source, length)?;
        Ok(body)
    }

    fn trailer(&self, source: &mut Source, length: u32) -> Result<(), Problem> {
        let mut again = [0; 4];
        source.exactly("block", &mut again)?;
        let again = self.order.u32(again);
        if again != length {
            return Err(Problem::Lengths {
                first: length,
                last: again,
            });
        }
        Ok(())
    }

    fn interface(&self, body: &[u8]) -> Result<Interface, Problem> {
        let mut fields = Fields::new(body, self.order);
        let link_type = fields.u16(INTERFACE)?;
        fields.u16(INTERFACE)?;
        let mut interface = Interface {
            link_type,
            snap: fields.u32(INTERFACE)?,
            resolution: 6,
            offset: 0,
            fcs: 0,
        };
        self.options(fields.rest(), |code, value| {
            match (code, value) {
                (option::TIME_RESOLUTION, [r]) => interface.resolution = *r,
                (option::FCS_LENGTH, [n]) => interface.fcs = u32::from(*n),
                (option::TIME_OFFSET, value) if value.len() == 8 => {
                    interface.offset = Fields::new(value, self.order).u64(INTERFACE)? as i64;
                }
                (option::TIME_RESOLUTION | option::FCS_LENGTH | option::TIME_OFFSET, _) => {
                    return Err(Problem::Overrun { what: INTERFACE });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(interface)
    }

    /// Calls `each` with code and value of every option.
    fn options(
        &self,
        bytes: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        const OPTION: &str = "option";
        let mut fields = Fields::new(bytes, self.order);
        while !fields.rest().is_empty() {
            let (code, length) = (fields.u16(OPTION)?, fields.u16(OPTION)?);
            if code == option::END {
                break;
            }
            let length = usize::from(length);
            each(code, fields.bytes(OPTION, length)?)?;
            fields.bytes(OPTION, length.next_multiple_of(4) - length)?;
        }
        Ok(())
    }

    fn of(&self, number: u32) -> Result<&Interface, Problem> {
        let interface = self
            .interfaces
            .get(number as usize)
            .ok_or(Problem::NoInterface {
                number,
                known: self.interfaces.len(),
            })?;
        // Here and not at its description: an interface nothing was captured on does no harm.
        ethernet(interface.link_type)?;
        Ok(interface)
    }

    fn packet(&self, kind: u32, body: &[u8]) -> Result<Record, Problem> {
        let mut fields = Fields::new(body, self.order);
        let number = if kind == PACKET {
            let number = u32::from(fields.u16(PACKET_BLOCK)?);
            fields.u16(PACKET_BLOCK)?;
            number
        } else {
            fields.u32(PACKET_BLOCK)?
        };
        let high = fields.u32(PACKET_BLOCK)?;
        let low = fields.u32(PACKET_BLOCK)?;
        let captured = fields.u32(PACKET_BLOCK)?;
        let wire = fields.u32(PACKET_BLOCK)?;
        let interface = self.of(number)?;
        if captured > MAX_CAPTURED {
            return Err(Problem::TooLong { bytes: captured });
        }
        let captured = captured as usize;
        let data = fields.bytes(PACKET_BLOCK, captured)?;
        fields.bytes(PACKET_BLOCK, captured.next_multiple_of(4) - captured)?;
        let mut fcs = interface.fcs;
        self.options(fields.rest(), |code, value| {
            if code == option::FLAGS && value.len() == 4 {
                let flags = Fields::new(value, self.order).u32(PACKET_BLOCK)?;
                // Bits 5 to 8: bytes of FCS, 0 if the packet does not say.
                match flags >> 5 & 0xf {
                    0 => {}
                    bytes => fcs = bytes,
                }
            }
            Ok(())
        })?;
        let units = u64::from(high) << 32 | u64::from(low);
        let (time, finer) = time(units, interface)?;
        Ok(Record::new(Some(time), finer, data.to_vec(), wire, fcs))
    }

    /// A simple packet is of the section's first interface.
    fn simple(&self, body: &[u8]) -> Result<Record, Problem> {
        let mut fields = Fields::new(body, self.order);
        let wire = fields.u32(PACKET_BLOCK)?;
        let interface = self.of(0)?;
        let captured = match interface.snap {
            0 => wire,
            snap => wire.min(snap),
        };
        if captured > MAX_CAPTURED {
            return Err(Problem::TooLong { bytes: captured });
        }
        let data = fields.bytes(PACKET_BLOCK, captured as usize)?;
        Ok(Record::new(None, false, data.to_vec(), wire, interface.fcs))
    }
}

fn check_length(length: u32) -> Result<(), Problem> {
    if length < FRAMING || !length.is_multiple_of(4) {
        return Err(Problem::BlockLength { length });
    }
    Ok(())
}

/// Time of `units` on an interface, and whether digits below the nanosecond were cut off.
fn time(units: u64, interface: &Interface) -> Result<(Time, bool), Problem> {
    let power = u32::from(interface.resolution & 0x7f);
    // Below 2^94.
    let scaled = u128::from(units) * u128::from(SECOND);
    let (nanoseconds, rest) = if interface.resolution & 0x80 != 0 {
        let nanoseconds = scaled >> power;
        (nanoseconds, nanoseconds << power != scaled)
    } else {
        match 10u128.checked_pow(power) {
            Some(resolution) => (scaled / resolution, scaled % resolution != 0),
            None => (0, units != 0),
        }
    };
    let nanoseconds = nanoseconds as i128 + i128::from(interface.offset) * i128::from(SECOND);
    Time::from_nanoseconds(nanoseconds)
        .map(|t| (t, rest))
        .ok_or(Problem::Time { nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(units: u64, resolution: u8, offset: i64) -> Result<(String, bool), String> {
        let interface = Interface {
            link_type: 1,
            snap: 0,
            resolution,
            offset,
            fcs: 0,
        };
        time(units, &interface)
            .map(|(t, finer)| (t.to_string(), finer))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn every_resolution() {
        let exact = |s: &str| Ok((s.to_string(), false));
        assert_eq!(at(7, 0, 0), exact("7.000000000"));
        assert_eq!(at(1_500, 3, 0), exact("1.500000000"));
        assert_eq!(
            at(1_700_000_000_123_456, 6, 0),
            exact("1700000000.123456000")
        );
        assert_eq!(
            at(1_700_000_000_123_456_789, 9, 0),
            exact("1700000000.123456789")
        );
        assert_eq!(
            at(1_000_000_000_001, 12, 0),
            Ok(("1.000000000".into(), true))
        );
        assert_eq!(at(u64::MAX, 127, 0), Ok(("0.000000000".into(), true)));
        // Half a second in units of 2^-32 s, as NTP counts.
        assert_eq!(at(1 << 31 | 5 << 32, 0x80 | 32, 0), exact("5.500000000"));
        assert_eq!(at(1, 0x80 | 32, 0), Ok(("0.000000000".into(), true)));
        assert_eq!(at(u64::MAX, 0xff, 0), Ok(("0.000000000".into(), true)));
    }

    #[test]
    fn offsets_and_the_ends_of_time() {
        assert_eq!(at(1_000_000, 6, -1), Ok(("0.000000000".into(), false)));
        assert_eq!(
            at(5, 9, 1_700_000_000),
            Ok(("1700000000.000000005".into(), false))
        );
        for (units, resolution, offset) in [(0, 6, -1), (u64::MAX, 0, i64::MAX), (0, 9, 1 << 32)] {
            let error = at(units, resolution, offset).unwrap_err();
            assert!(error.contains("1970 to 2106"), "{error}");
        }
    }
}
