//! Bytes of a capture with their offset.

use super::Position;
use crate::error::Problem;
use std::io::{BufReader, ErrorKind, Read};
use std::sync::atomic::Ordering;

/// Bytes read from the operating system at once.
const BUFFER: usize = 1 << 18;

pub struct Source {
    input: BufReader<Box<dyn Read + Send>>,
    offset: u64,
    mark: u64,
    position: Position,
}

impl Source {
    pub fn new(input: Box<dyn Read + Send>) -> Source {
        Source {
            input: BufReader::with_capacity(BUFFER, input),
            offset: 0,
            mark: 0,
            position: Position::default(),
        }
    }

    pub fn position(&self) -> Position {
        self.position.clone()
    }

    /// Remembers this place as the one errors name.
    pub fn mark(&mut self) {
        self.mark = self.offset;
        self.position.0.store(self.offset, Ordering::Relaxed);
    }

    pub fn marked(&self) -> u64 {
        self.mark
    }

    /// Fills `buffer` as far as the file goes; returns the bytes read.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Problem> {
        let mut have = 0;
        while have < buffer.len() {
            match self.input.read(&mut buffer[have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Problem::Read(e)),
            }
        }
        self.offset += have as u64;
        Ok(have)
    }

    /// Fills all of `buffer`, which is a `what`.
    pub fn exactly(&mut self, what: &'static str, buffer: &mut [u8]) -> Result<(), Problem> {
        let have = self.fill(buffer)?;
        if have < buffer.len() {
            return Err(Problem::Ends {
                what,
                need: buffer.len() as u64,
                have: have as u64,
            });
        }
        Ok(())
    }

    /// Like [`Source::exactly`], but `false` if the file ends before the first byte.
    pub fn exactly_or_end(
        &mut self,
        what: &'static str,
        buffer: &mut [u8],
    ) -> Result<bool, Problem> {
        let have = self.fill(buffer)?;
        if have != 0 && have < buffer.len() {
            return Err(Problem::Ends {
                what,
                need: buffer.len() as u64,
                have: have as u64,
            });
        }
        Ok(have != 0)
    }

    /// Reads over `count` bytes of a `what`.
    pub fn skip(&mut self, what: &'static str, count: u64) -> Result<(), Problem> {
        let mut rest = (&mut self.input).take(count);
        let have = std::io::copy(&mut rest, &mut std::io::sink()).map_err(Problem::Read)?;
        self.offset += have;
        if have < count {
            return Err(Problem::Ends {
                what,
                need: count,
                have,
            });
        }
        Ok(())
    }
}

/// Byte order of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    pub fn u16(self, b: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(b),
            Order::Big => u16::from_be_bytes(b),
        }
    }

    pub fn u32(self, b: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(b),
            Order::Big => u32::from_be_bytes(b),
        }
    }

    pub fn u64(self, b: [u8; 8]) -> u64 {
        match self {
            Order::Little => u64::from_le_bytes(b),
            Order::Big => u64::from_be_bytes(b),
        }
    }
}

/// Takes fields off the front of a block.
pub struct Fields<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8], order: Order) -> Fields<'a> {
        Fields { rest: bytes, order }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes, which belong to `what`.
    pub fn bytes(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], Problem> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Problem::Overrun { what })?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Problem> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Problem::Overrun { what })?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Problem> {
        Ok(self.order.u16(self.array(what)?))
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Problem> {
        Ok(self.order.u32(self.array(what)?))
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Problem> {
        Ok(self.order.u64(self.array(what)?))
    }
}
