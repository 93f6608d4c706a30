//! The host as the card sees it: memory that was mapped for it, and interrupt vectors.

use rustix::fs::fstat;
use seqnic_transport::Memory;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

/// A transfer that was answered with an error: nothing is mapped there, or not for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} of {bytes} bytes at bus address {iova:#x}: not mapped", if *write { "write" } else { "read" })]
pub struct Fault {
    pub iova: u64,
    pub bytes: usize,
    pub write: bool,
}

/// Mapped memory and vectors.
#[derive(Debug, Default)]
pub struct Host {
    ranges: BTreeMap<u64, Range>,
    /// Each file is mapped once, whole, however many pieces of it are: a guest has thousands of them.
    files: HashMap<(u64, u64), Weak<Memory>>,
    vectors: Vec<Option<OwnedFd>>,
    /// Interrupts sent, also those of vectors nobody listens to.
    pub interrupts: u64,
}

#[derive(Debug)]
struct Range {
    memory: Arc<Memory>,
    /// Where it starts in the memory.
    at: usize,
    bytes: usize,
    readable: bool,
    writable: bool,
}

/// What a mapping is for.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    pub read: bool,
    pub write: bool,
}

impl Host {
    /// Maps memory of this process.
    ///
    /// # Errors
    /// Something is mapped there already.
    pub fn map(&mut self, iova: u64, memory: Arc<Memory>) -> io::Result<()> {
        let bytes = memory.length();
        let rights = Rights {
            read: true,
            write: true,
        };
        self.add(iova, memory, 0, bytes, rights)
    }

    /// Maps a part of a memory file of another process.
    ///
    /// # Errors
    /// It is no memory file, it is shorter, or something is mapped there already.
    pub fn map_file(
        &mut self,
        iova: u64,
        file: File,
        offset: u64,
        bytes: u64,
        rights: Rights,
    ) -> io::Result<()> {
        let stat = fstat(&file)?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let end = offset.checked_add(bytes);
        if bytes == 0 || end.is_none_or(|end| end > length) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let key = (stat.st_dev, stat.st_ino);
        let known = self.files.get(&key).and_then(Weak::upgrade);
        let memory = match known {
            Some(memory) if memory.length() as u64 == length => memory,
            _ => {
                let memory = Arc::new(Memory::of(file, 0, length as usize)?);
                self.files.insert(key, Arc::downgrade(&memory));
                memory
            }
        };
        self.add(iova, memory, offset as usize, bytes as usize, rights)
    }

    fn add(
        &mut self,
        iova: u64,
        memory: Arc<Memory>,
        at: usize,
        bytes: usize,
        rights: Rights,
    ) -> io::Result<()> {
        let end = iova
            .checked_add(bytes as u64)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let before = self.ranges.range(..end).next_back();
        if before.is_some_and(|(start, r)| start + r.bytes as u64 > iova) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let range = Range {
            memory,
            at,
            bytes,
            readable: rights.read,
            writable: rights.write,
        };
        self.ranges.insert(iova, range);
        Ok(())
    }

    /// Ends all mappings that begin inside of the range.
    pub fn unmap(&mut self, iova: u64, bytes: u64) {
        let end = iova.saturating_add(bytes);
        self.ranges.retain(|start, _| !(iova..end).contains(start));
        self.files.retain(|_, memory| memory.strong_count() > 0);
    }

    /// Ends all mappings.
    pub fn unmap_all(&mut self) {
        self.ranges.clear();
        self.files.clear();
    }

    /// Pieces that are mapped.
    pub fn mappings(&self) -> usize {
        self.ranges.len()
    }

    /// Calls `with` for the pieces a transfer is made of: memory, place in it, bytes of the transfer.
    fn pieces(
        &self,
        iova: u64,
        bytes: usize,
        write: bool,
        mut with: impl FnMut(&Memory, usize, std::ops::Range<usize>),
    ) -> Result<(), Fault> {
        let fault = Fault { iova, bytes, write };
        let mut done = 0;
        while done < bytes {
            let at = iova.checked_add(done as u64).ok_or(fault)?;
            let (start, range) = self.ranges.range(..=at).next_back().ok_or(fault)?;
            let inside = (at - start) as usize;
            let allowed = if write {
                range.writable
            } else {
                range.readable
            };
            if inside >= range.bytes || !allowed {
                return Err(fault);
            }
            let take = (range.bytes - inside).min(bytes - done);
            with(&range.memory, range.at + inside, done..done + take);
            done += take;
        }
        Ok(())
    }

    /// Reads memory of the host.
    ///
    /// # Errors
    /// It is not mapped; a part may have been read.
    pub fn read(&self, iova: u64, to: &mut [u8]) -> Result<(), Fault> {
        let bytes = to.len();
        self.pieces(iova, bytes, false, |memory, at, part| {
            memory.read(at, &mut to[part]);
        })
    }

    /// Writes memory of the host. What was written before is seen before the last word of this.
    ///
    /// # Errors
    /// It is not mapped; a part may have been written.
    pub fn write(&self, iova: u64, from: &[u8]) -> Result<(), Fault> {
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        self.pieces(iova, from.len(), true, |memory, at, part| {
            memory.write(at, &from[part]);
        })
    }

    /// Writes bytes whose first word says that the rest, and all written before, is there.
    ///
    /// # Errors
    /// As [`Host::write`].
    pub fn publish(&self, iova: u64, from: &[u8]) -> Result<(), Fault> {
        let (first, rest) = from.split_at(4.min(from.len()));
        self.write(iova + 4, rest)?;
        let word = u32::from_le_bytes(first.try_into().unwrap_or_default());
        self.pieces(iova, 4, true, |memory, at, _| memory.set_word(at, word))
    }

    /// Connects vectors from `start` on; `None` disconnects one.
    pub fn connect(&mut self, start: usize, events: impl IntoIterator<Item = Option<OwnedFd>>) {
        for (n, event) in events.into_iter().enumerate() {
            if self.vectors.len() <= start + n {
                self.vectors.resize_with(start + n + 1, || None);
            }
            self.vectors[start + n] = event;
        }
    }

    /// Disconnects all vectors.
    pub fn disconnect(&mut self) {
        self.vectors.clear();
    }

    /// Signals a vector.
    pub fn interrupt(&mut self, vector: u32) {
        self.interrupts += 1;
        if let Some(Some(event)) = self.vectors.get(vector as usize) {
            // Only fails where the counter is full, which is as good as signalled.
            let _ = rustix::io::write(event, &1u64.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_transport::Pages;

    fn file(memory: &Memory) -> File {
        File::from(memory.file().try_clone_to_owned().unwrap())
    }

    const ALL: Rights = Rights {
        read: true,
        write: true,
    };

    #[test]
    fn a_transfer_may_cross_mappings_but_not_leave_them() {
        let memory = Memory::new(3 * 4096, Pages::Small).unwrap();
        let mut host = Host::default();
        // Two pages of the file, in turned order, side by side on the bus.
        host.map_file(0x10000, file(&memory), 8192, 4096, ALL)
            .unwrap();
        host.map_file(0x11000, file(&memory), 0, 4096, ALL).unwrap();
        assert_eq!((host.mappings(), host.files.len()), (2, 1));
        host.write(0x11000 - 3, b"abcdef").unwrap();
        let (mut a, mut b) = ([0; 3], [0; 3]);
        memory.read(8192 + 4093, &mut a);
        memory.read(0, &mut b);
        assert_eq!((&a, &b), (b"abc", b"def"));
        for (iova, bytes) in [(0xffff, 2), (0x12000 - 1, 2), (u64::MAX, 2), (0, 1)] {
            let fault = host.write(iova, &vec![0; bytes]).unwrap_err();
            assert_eq!(
                fault,
                Fault {
                    iova,
                    bytes,
                    write: true
                }
            );
        }
    }

    #[test]
    fn rights_and_overlaps_are_looked_at() {
        let memory = Memory::new(8192, Pages::Small).unwrap();
        let mut host = Host::default();
        let only_read = Rights {
            read: true,
            write: false,
        };
        host.map_file(0x1000, file(&memory), 0, 4096, only_read)
            .unwrap();
        host.read(0x1000, &mut [0; 4]).unwrap();
        host.write(0x1000, &[0; 4]).unwrap_err();
        host.map_file(0x1800, file(&memory), 0, 4096, ALL)
            .unwrap_err();
        host.map_file(0x800, file(&memory), 0, 4096, ALL)
            .unwrap_err();
        host.map_file(0x4000, file(&memory), 4096, 8192, ALL)
            .unwrap_err();
        host.unmap(0x1000, 4096);
        host.read(0x1000, &mut [0; 4]).unwrap_err();
    }
}
