//! Memory a card reads and writes.
//!
//! It is always a memory file: the kernel's VFIO wants its address, a vfio-user process its file. The card may
//! change it at any time, so it is read and written by copies and atomic words, and no reference to it
//! is made but [`Memory::slice`], which says what that needs.

use crate::error::{Error, Result};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// Pages the memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pages {
    #[default]
    Small,
    /// 2 MiB each, from the system's pool (`vm.nr_hugepages`): fewer entries in the IOMMU.
    Huge,
}

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a small page, as the C library was told when the process started: who asks Linux before 6.4 later reads it in `/proc`,
/// which a confined process cannot.
fn page_size() -> usize {
    // SAFETY: no memory is involved.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// A piece of memory for the card, zeroed.
pub struct Memory {
    file: File,
    map: MmapRaw,
}

impl Memory {
    /// `bytes` are rounded up to whole pages.
    ///
    /// # Errors
    /// There is not as much.
    pub fn new(bytes: usize, pages: Pages) -> Result<Memory> {
        let page = match pages {
            Pages::Small => page_size(),
            Pages::Huge => HUGE_PAGE,
        };
        let length = bytes.max(1).next_multiple_of(page);
        Memory::make(length, pages).map_err(|reason| Error::Memory {
            bytes: length,
            huge: pages == Pages::Huge,
            reason,
        })
    }

    fn make(length: usize, pages: Pages) -> io::Result<Memory> {
        let flags = match pages {
            Pages::Small => MemfdFlags::CLOEXEC,
            Pages::Huge => MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB,
        };
        let file = File::from(memfd_create("seqnic-dma", flags)?);
        ftruncate(&file, length as u64)?;
        Memory::of(file, 0, length)
    }

    /// Maps a part of a memory file of someone else.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn of(file: File, offset: u64, length: usize) -> io::Result<Memory> {
        let map = MmapOptions::new()
            .offset(offset)
            .len(length)
            .populate()
            .map_raw(&file)?;
        Ok(Memory { file, map })
    }

    pub fn length(&self) -> usize {
        self.map.len()
    }

    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where it stands in this process.
    pub fn pointer(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    #[track_caller]
    #[inline]
    fn check(&self, at: usize, bytes: usize) {
        let end = at.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end <= self.length()),
            "bytes {at}+{bytes} of {} for the card",
            self.length()
        );
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// If they are not all inside: offsets are the caller's, never the card's.
    #[track_caller]
    #[inline]
    pub fn read(&self, at: usize, to: &mut [u8]) {
        self.check(at, to.len());
        // SAFETY: inside the mapping, checked above; `to` is another piece of memory.
        unsafe {
            std::ptr::copy_nonoverlapping(self.pointer().add(at), to.as_mut_ptr(), to.len());
        }
    }

    /// Copies bytes in. Panics like [`Memory::read`].
    #[track_caller]
    #[inline]
    pub fn write(&self, at: usize, from: &[u8]) {
        self.check(at, from.len());
        // SAFETY: inside the mapping, checked above; `from` is another piece of memory.
        unsafe {
            std::ptr::copy_nonoverlapping(from.as_ptr(), self.pointer().add(at), from.len());
        }
    }

    /// Zeroes bytes. Panics like [`Memory::read`].
    #[track_caller]
    pub fn clear(&self, at: usize, bytes: usize) {
        self.check(at, bytes);
        // SAFETY: inside the mapping, checked above.
        unsafe { std::ptr::write_bytes(self.pointer().add(at), 0, bytes) };
    }

    /// A little-endian word the other side writes, in one access; what it wrote before is seen after.
    /// Panics like [`Memory::read`], and where `at` is no multiple of 4.
    #[track_caller]
    #[inline]
    pub fn word(&self, at: usize) -> u32 {
        u32::from_le(self.atomic(at).load(Ordering::Acquire))
    }

    /// Writes a word the other side looks at, behind everything written before.
    #[track_caller]
    #[inline]
    pub fn set_word(&self, at: usize, value: u32) {
        self.atomic(at).store(value.to_le(), Ordering::Release);
    }

    #[track_caller]
    #[inline]
    fn atomic(&self, at: usize) -> &AtomicU32 {
        self.check(at, 4);
        assert!(at.is_multiple_of(4), "a word at byte {at}");
        // SAFETY: inside the mapping and aligned, as pages are; atomics may change at any time.
        unsafe { AtomicU32::from_ptr(self.pointer().add(at).cast()) }
    }

    /// Bytes in place.
    ///
    /// # Safety
    /// Nobody may write them as long as the slice is used. A card keeps this for records it has published
    /// and the driver has not yet given back; from one that does not, bytes may come that change while they are
    /// looked at, but never from outside of this memory.
    #[track_caller]
    #[inline]
    pub unsafe fn slice(&self, at: usize, bytes: usize) -> &[u8] {
        self.check(at, bytes);
        // SAFETY: inside the mapping; the rest is the caller's.
        unsafe { std::slice::from_raw_parts(self.pointer().add(at), bytes) }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_one_file_are_the_same_memory() {
        let ours = Memory::new(5000, Pages::Small).unwrap();
        assert_eq!(ours.length(), 8192);
        let file = File::from(ours.file().try_clone_to_owned().unwrap());
        let theirs = Memory::of(file, 4096, 4096).unwrap();
        theirs.set_word(8, 0x0102_0304);
        assert_eq!(ours.word(4096 + 8), 0x0102_0304);
        ours.write(4096, b"record");
        let mut got = [0; 6];
        theirs.read(0, &mut got);
        assert_eq!(&got, b"record");
    }

    #[test]
    #[should_panic(expected = "bytes 4090+7 of 4096")]
    fn nothing_outside_is_touched() {
        Memory::new(1, Pages::Small)
            .unwrap()
            .read(4090, &mut [0; 7]);
    }
}
