//! The classic format (draft-ietf-opsawg-pcap).

use super::source::{Fields, Order, Source};
use super::{MAX_CAPTURED, Record, ethernet};
use crate::error::Problem;
use crate::time::{SECOND, Time};

/// Magic of files with microseconds.
pub const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Magic of files with nanoseconds.
pub const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Magic of a Linux patch of the nineties with longer record headers.
const MODIFIED: u32 = 0xa1b2_cd34;
/// "FCS length present" in the link type field; the length in the upper four bits counts 2 bytes.
const FCS_PRESENT: u32 = 1 << 26;

const FILE_HEADER: &str = "file header";
const RECORD_HEADER: &str = "packet header";

pub struct Pcap {
    order: Order,
    /// Units of a record's fraction in a second.
    resolution: u32,
    /// Bytes of FCS at the end of each packet.
    fcs: u32,
}

impl Pcap {
    /// Reads the rest of the file header, or `None` if `magic` is not of this format.
    pub fn open(magic: [u8; 4], source: &mut Source) -> Result<Option<Pcap>, Problem> {
        let little = u32::from_le_bytes(magic);
        let big = u32::from_be_bytes(magic);
        let (order, resolution) = match (little, big) {
            (MICROSECONDS, _) => (Order::Little, 1_000_000),
            (NANOSECONDS, _) => (Order::Little, 1_000_000_000),
            (_, MICROSECONDS) => (Order::Big, 1_000_000),
            (_, NANOSECONDS) => (Order::Big, 1_000_000_000),
            (MODIFIED, _) | (_, MODIFIED) => {
                return Err(Problem::Format("modified pcap (magic 0xa1b2cd34)".into()));
            }
            _ => return Ok(None),
        };
        let mut rest = [0; 20];
        source.exactly(FILE_HEADER, &mut rest)?;
        let mut fields = Fields::new(&rest, order);
        let (major, minor) = (fields.u16(FILE_HEADER)?, fields.u16(FILE_HEADER)?);
        if major != 2 {
            return Err(Problem::Format(format!("pcap version {major}.{minor}")));
        }
        // Time zone, accuracy and snap length: nobody sets the first two, and the last is only
        // an upper bound.
        fields.bytes(FILE_HEADER, 12)?;
        let link = fields.u32(FILE_HEADER)?;
        ethernet(link as u16)?;
        let fcs = if link & FCS_PRESENT == 0 {
            0
        } else {
            (link >> 28) * 2
        };
        Ok(Some(Pcap {
            order,
            resolution,
            fcs,
        }))
    }

    pub fn next_record(&mut self, source: &mut Source) -> Result<Option<Record>, Problem> {
        let mut header = [0; 16];
        if !source.exactly_or_end(RECORD_HEADER, &mut header)? {
            return Ok(None);
        }
        let mut fields = Fields::new(&header, self.order);
        let seconds = fields.u32(RECORD_HEADER)?;
        let fraction = fields.u32(RECORD_HEADER)?;
        let captured = fields.u32(RECORD_HEADER)?;
        let wire = fields.u32(RECORD_HEADER)?;
        if captured > MAX_CAPTURED {
            return Err(Problem::TooLong { bytes: captured });
        }
        if fraction >= self.resolution {
            return Err(Problem::Fraction {
                fraction,
                resolution: self.resolution,
            });
        }
        let mut data = vec![0; captured as usize];
        source.exactly("packet", &mut data)?;
        let nanoseconds = u64::from(seconds) * SECOND
            + u64::from(fraction) * (SECOND / u64::from(self.resolution));
        let time = Time::from_nanoseconds(i128::from(nanoseconds));
        Ok(Some(Record::new(time, false, data, wire, self.fcs)))
    }
}
