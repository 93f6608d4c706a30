//! An eventfd: wakes the datapath from its wait for packets.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

pub struct Wake(File);

impl Wake {
    pub fn new() -> io::Result<Wake> {
        // SAFETY: no pointers; the descriptor is ours alone from here on.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: an open descriptor nobody else owns.
        Ok(Wake(unsafe { File::from_raw_fd(fd) }))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Fails only if 2^64 - 2 wakes are pending, and then it is awake.
    pub fn wake(&self) {
        let _pending = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Takes all wakes that are pending, if any.
    pub fn clear(&self) {
        let _count = (&self.0).read(&mut [0; 8]);
    }
}
