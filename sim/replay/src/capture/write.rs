//! Writing pcap with nanoseconds.

use super::{ETHERNET, MAX_CAPTURED, pcap::NANOSECONDS};
use crate::time::Time;
use std::io::{self, Write};

/// Writes a little-endian nanosecond pcap of Ethernet.
pub struct Writer<W: Write> {
    out: W,
    packets: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the file header. A file of it alone is a capture without packets.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Writer<W>> {
        out.write_all(&NANOSECONDS.to_le_bytes())?;
        out.write_all(&2u16.to_le_bytes())?;
        out.write_all(&4u16.to_le_bytes())?;
        // Time zone and accuracy: 0, as everyone writes.
        out.write_all(&[0; 8])?;
        out.write_all(&MAX_CAPTURED.to_le_bytes())?;
        out.write_all(&u32::from(ETHERNET).to_le_bytes())?;
        Ok(Writer { out, packets: 0 })
    }

    /// Writes one frame without FCS.
    ///
    /// # Errors
    /// Those of `out`; `InvalidInput` for a frame no reader would take.
    pub fn write(&mut self, time: Time, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len())
            .ok()
            .filter(|n| *n <= MAX_CAPTURED)
            .ok_or_else(|| {
                let text = format!("a frame of {} bytes is too long for a pcap", frame.len());
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })?;
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&time.seconds().to_le_bytes());
        header[4..8].copy_from_slice(&time.nanoseconds().to_le_bytes());
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[12..16].copy_from_slice(&length.to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(frame)?;
        self.packets += 1;
        Ok(())
    }

    /// Packets written.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Hands everything written so far to the file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes and gives the file back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
