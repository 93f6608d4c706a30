//! An event file descriptor an interrupt vector signals.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// An event file descriptor: a counter that vectors raise and a reader takes back to 0.
#[derive(Debug)]
pub struct Interrupt(OwnedFd);

impl Interrupt {
    /// # Errors
    /// No file descriptors left.
    pub fn new() -> io::Result<Interrupt> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Interrupt(eventfd(0, flags)?))
    }

    /// How often it was signalled since it was last taken.
    pub fn take(&self) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&self.0, &mut count) {
            Ok(8) => u64::from_ne_bytes(count),
            _ => 0,
        }
    }

    /// Signals it, as the card does.
    pub fn signal(&self) {
        // It can only fail where the counter is full: then it is signalled already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits until one of `interrupts` is signalled or the time is over; which of them are. None is taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(interrupts: &[&Interrupt], timeout: Duration) -> io::Result<Vec<bool>> {
        let mut fds: Vec<PollFd> = (interrupts.iter())
            .map(|i| PollFd::new(&i.0, PollFlags::IN))
            .collect();
        wait(&mut fds, timeout)?;
        Ok((fds.iter())
            .map(|fd| fd.revents().contains(PollFlags::IN))
            .collect())
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Polls; a signal to the process is no reason to return early with an error.
pub(crate) fn wait(fds: &mut [PollFd], timeout: Duration) -> io::Result<usize> {
    let until = std::time::Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let spec = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(fds, Some(&spec)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signalled_is_seen_once() {
        let (a, b) = (Interrupt::new().unwrap(), Interrupt::new().unwrap());
        let now = Duration::ZERO;
        assert_eq!(Interrupt::wait(&[&a, &b], now).unwrap(), [false, false]);
        b.signal();
        b.signal();
        assert_eq!(Interrupt::wait(&[&a, &b], now).unwrap(), [false, true]);
        assert_eq!((a.take(), b.take(), b.take()), (0, 2, 0));
    }
}
