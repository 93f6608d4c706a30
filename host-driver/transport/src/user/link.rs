//! One connection: messages out, replies in, each with a time-out.
//!
//! Strict: a reply has the number, the command and the length it must have or the connection is given up. A
//! connection that was given up stays so, because a reply that comes late would be taken for the next one's.

use super::wire::{Command, ERROR, HEADER, Header, LONGEST, NO_REPLY, Payload, REPLY, TYPE};
use crate::error::{Error, Result};
use crate::interrupt::wait;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg,
    sendmsg, socket_with,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Most file descriptors of one message, whatever the other side takes.
pub const MOST_FDS: usize = 16;

/// A connection.
#[derive(Debug)]
pub struct Link {
    pub card: String,
    socket: OwnedFd,
    timeout: Duration,
    next: u16,
    /// Why it was given up.
    broken: Option<Broken>,
    /// A posted write that was refused, to be said by the next call.
    posted: Option<u32>,
}

#[derive(Debug, Clone)]
enum Broken {
    Gone(String),
    Hung(&'static str),
    Protocol(String),
}

impl Link {
    /// Connects.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Link> {
        let card = format!("unix:{}", path.display());
        let open = |reason: io::Error| Error::Open {
            card: card.clone(),
            reason,
            way_out: "Does the card's process run, and may this user write to its socket?",
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| open(e.into()))?;
        let address = SocketAddrUnix::new(path).map_err(|e| open(e.into()))?;
        let until = Instant::now() + timeout;
        // A Unix socket that is not blocking refuses at once while its queue is full.
        while let Err(e) = connect(&socket, &address) {
            if e != Errno::AGAIN {
                return Err(open(e.into()));
            }
            if Instant::now() >= until {
                return Err(Error::Hung {
                    card,
                    what: "a connection",
                    after: timeout,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Link {
            card,
            socket,
            timeout,
            next: 0,
            broken: None,
            posted: None,
        })
    }

    fn error(&self, broken: Broken) -> Error {
        let card = self.card.clone();
        match broken {
            Broken::Gone(what) => Error::Gone { card, what },
            Broken::Protocol(what) => Error::Protocol { card, what },
            Broken::Hung(what) => Error::Hung {
                card,
                what,
                after: self.timeout,
            },
        }
    }

    fn give_up(&mut self, broken: Broken) -> Error {
        self.broken = Some(broken.clone());
        // The other side sees the end at once, and ends what it had mapped.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        self.error(broken)
    }

    /// The other side has broken the protocol.
    pub fn protocol(&mut self, what: impl Into<String>) -> Error {
        self.give_up(Broken::Protocol(what.into()))
    }

    fn usable(&mut self) -> Result<()> {
        if let Some(broken) = self.broken.clone() {
            return Err(self.error(broken));
        }
        match self.posted.take() {
            Some(errno) => Err(self.refused("a posted write", errno)),
            None => Ok(()),
        }
    }

    fn refused(&self, what: &str, errno: u32) -> Error {
        // A server that says no without a reason (errno 0) is taken for EIO.
        let errno = match i32::try_from(errno) {
            Ok(e) if e > 0 => e,
            _ => Errno::IO.raw_os_error(),
        };
        Error::Refused {
            card: self.card.clone(),
            what: what.to_string(),
            reason: io::Error::from_raw_os_error(errno),
        }
    }

    /// Sends a command and waits for its reply, whose payload it gives back.
    pub fn call(
        &mut self,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd],
    ) -> Result<Vec<u8>> {
        self.usable()?;
        let until = Instant::now() + self.timeout;
        let id = self.send(command, 0, payload, fds, until)?;
        loop {
            let (header, payload) = self.receive(command.name(), until)?;
            if header.flags & TYPE != REPLY {
                return Err(self.protocol(format!(
                    "a message of type {} in place of a reply: this driver takes no commands",
                    header.flags & TYPE
                )));
            }
            let failed = header.flags & ERROR != 0;
            // A server may answer a posted write after all if it refuses it.
            if failed && header.id != id && header.command == Command::RegionWrite as u16 {
                self.posted = Some(header.error);
                continue;
            }
            if header.id != id || header.command != command as u16 {
                return Err(self.protocol(format!(
                    "the reply to message {id}, command {}, says message {}, command {}",
                    command as u16, header.id, header.command
                )));
            }
            if failed {
                return Err(self.refused(command.name(), header.error));
            }
            return Ok(payload);
        }
    }

    /// Sends a command that wants no reply.
    pub fn post(&mut self, command: Command, payload: &[u8]) -> Result<()> {
        self.usable()?;
        let until = Instant::now() + self.timeout;
        self.send(command, NO_REPLY, payload, &[], until)?;
        Ok(())
    }

    fn send(
        &mut self,
        command: Command,
        flags: u32,
        payload: &[u8],
        fds: &[BorrowedFd],
        until: Instant,
    ) -> Result<u16> {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let header = Header {
            id,
            command: command as u16,
            size: (HEADER + payload.len()) as u32,
            flags,
            error: 0,
        };
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend(header.bytes());
        bytes.extend(payload);
        let mut sent = 0;
        while sent < bytes.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            // The descriptors go with the first byte.
            if sent == 0 && !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(Error::Invalid {
                    card: self.card.clone(),
                    what: format!("{} file descriptors in one message", fds.len()),
                });
            }
            let flags = SendFlags::NOSIGNAL;
            match sendmsg(
                &self.socket,
                &[IoSlice::new(&bytes[sent..])],
                &mut control,
                flags,
            ) {
                Ok(n) => sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::OUT, command.name(), until)?,
                Err(e) => return Err(self.give_up(Broken::Gone(lost(e)))),
            }
        }
        Ok(id)
    }

    fn ready(&mut self, flags: PollFlags, what: &'static str, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let ready = match wait(&mut [PollFd::new(&self.socket, flags)], left) {
            Ok(n) => n > 0,
            Err(e) => return Err(self.give_up(Broken::Gone(e.to_string()))),
        };
        match ready {
            true => Ok(()),
            false => Err(self.give_up(Broken::Hung(what))),
        }
    }

    fn receive(&mut self, what: &'static str, until: Instant) -> Result<(Header, Vec<u8>)> {
        let mut bytes = [0; HEADER];
        self.fill(&mut bytes, what, until)?;
        let header = Header::parse(&bytes);
        let size = header.size as usize;
        if !(HEADER..=LONGEST).contains(&size) {
            return Err(self.protocol(format!("a message of {size} bytes")));
        }
        let mut payload = vec![0; size - HEADER];
        self.fill(&mut payload, what, until)?;
        Ok((header, payload))
    }

    fn fill(&mut self, to: &mut [u8], what: &'static str, until: Instant) -> Result<()> {
        let mut got = 0;
        while got < to.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut to[got..])];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(&self.socket, &mut parts, &mut control, flags) {
                Ok(message) if message.bytes == 0 => {
                    let what = "its process has closed the connection".to_string();
                    return Err(self.give_up(Broken::Gone(what)));
                }
                Ok(message) => got += message.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.ready(PollFlags::IN, what, until)?,
                Err(e) => return Err(self.give_up(Broken::Gone(lost(e)))),
            }
            // Descriptors nobody asked for (regions that could be mapped) are closed.
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    drop(fds.collect::<Vec<OwnedFd>>());
                }
            }
        }
        Ok(())
    }
}

fn lost(e: Errno) -> String {
    format!("the connection is lost: {}", io::Error::from(e))
}

/// A payload that begins with `bytes`.
pub fn starts(with: Payload, payload: &[u8]) -> bool {
    payload.starts_with(&with.0)
}
