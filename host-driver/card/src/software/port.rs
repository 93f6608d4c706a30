//! Where frames of a port come from and go to.

use super::interface::PacketSocket;
use crate::{CardError, Link};
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

/// Room for a frame: longer ones are told by their length and are no frame for the engine.
pub const FRAME_ROOM: usize = MAX_FRAME_BYTES as usize + 64;

/// Room in front of a frame that is received: for a VLAN tag the kernel took off.
const FRONT: usize = 4;

/// A frame in a buffer that is used again: nothing is cleared for the next one, and nothing but what is
/// written moves.
#[derive(Debug, Default)]
pub struct Frame {
    buffer: Vec<u8>,
    first: usize,
    end: usize,
}

impl Frame {
    /// Where a frame is read to: [`FRAME_ROOM`] bytes.
    pub fn to_read(&mut self) -> &mut [u8] {
        if self.buffer.len() < FRONT + FRAME_ROOM {
            self.buffer.resize(FRONT + FRAME_ROOM, 0);
        }
        &mut self.buffer[FRONT..FRONT + FRAME_ROOM]
    }

    /// So many bytes of [`Frame::to_read`] are the frame, all of them at most.
    pub fn has_read(&mut self, bytes: usize) {
        self.first = FRONT;
        self.end = FRONT + bytes.min(FRAME_ROOM);
    }

    /// Puts a VLAN tag behind the MACs of a frame that was read; a shorter one stays as it is.
    pub fn put_tag(&mut self, tag: [u8; FRONT]) {
        /// Bytes of both MACs.
        const MACS: usize = 12;
        if self.first == FRONT && self.end >= FRONT + MACS {
            self.buffer.copy_within(FRONT..FRONT + MACS, 0);
            self.buffer[MACS..MACS + FRONT].copy_from_slice(&tag);
            self.first = 0;
        }
    }

    /// Makes it a frame of `bytes`, to be written whole.
    pub fn to_write(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
        (self.first, self.end) = (0, bytes);
        &mut self.buffer[..bytes]
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.first..self.end]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.first..self.end]
    }
}

/// What a port is connected to.
#[derive(Debug)]
pub enum PortConfig {
    /// A network interface, taken whole: its frames go to the engine, also those to other MACs.
    Interface(String),
    /// A TAP device of this name; made if there is none.
    Tap(String),
    /// A socket, a frame a datagram: for tests and programs that bring their own.
    Socket(UnixDatagram),
}

/// Frames in and out of a port, without waiting.
pub trait Port: Send {
    fn fd(&self) -> RawFd;

    /// Reads frames until there are none or `frames` is full (a longer one than [`FRAME_ROOM`] is as long as
    /// that).
    ///
    /// # Errors
    /// The port is down or gone.
    fn receive(&mut self, frames: &mut [Frame]) -> io::Result<usize>;

    /// Sends frames in order; returns how many are done with: sent, or impossible to send.
    ///
    /// # Errors
    /// The port is down or gone. [`io::ErrorKind::WouldBlock`] if it has no room now.
    fn send(&mut self, frames: &[Frame]) -> io::Result<usize>;

    fn link(&self) -> Link;
}

/// Opens a port.
///
/// # Errors
/// [`CardError::Port`] says what failed and what helps.
pub fn open(port: u8, config: PortConfig) -> Result<Box<dyn Port>, CardError> {
    let failed = |name: &str, doing, source: io::Error| {
        let help = match source.raw_os_error() {
            Some(libc::EPERM) => {
                "; it needs CAP_NET_RAW and CAP_NET_ADMIN: start it as root or by its unit"
            }
            Some(libc::ENODEV) => "; there is no such interface here: see `ip link`",
            Some(libc::EBUSY) => "; another program has it",
            _ => "",
        };
        CardError::Port {
            port,
            name: name.to_string(),
            doing,
            source,
            help,
        }
    };
    Ok(match config {
        PortConfig::Interface(name) => {
            Box::new(PacketSocket::open(&name).map_err(|e| failed(&name, "open the interface", e))?)
        }
        PortConfig::Tap(name) => {
            let file = tap(&name).map_err(|e| failed(&name, "open the TAP device", e))?;
            Box::new(Frames { file })
        }
        PortConfig::Socket(socket) => {
            (socket.set_nonblocking(true)).map_err(|e| failed("socket", "use the socket", e))?;
            Box::new(Frames {
                file: File::from(OwnedFd::from(socket)),
            })
        }
    })
}

/// A TAP device by name, without packet information; reads do not wait.
///
/// # Errors
/// The name is too long, there is no `/dev/net/tun`, or it is not allowed.
pub fn tap(name: &str) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    super::interface::put_name(&mut request, name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    // SAFETY: TUNSETIFF reads an ifreq; the descriptor is open.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: no pointers.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Gives a network device of this host its MAC and MTU and brings it up; returns its index.
///
/// # Errors
/// There is no such device, or it is not allowed.
pub fn configure(name: &str, mac: &[u8; 6], mtu: u16) -> io::Result<u32> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    let call = |number, change: &dyn Fn(&mut libc::ifreq)| {
        // SAFETY: all zeros is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        super::interface::put_name(&mut request, name)?;
        change(&mut request);
        // SAFETY: all of these read and write an ifreq.
        match unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &mut request) } {
            0.. => Ok(request),
            _ => Err(io::Error::last_os_error()),
        }
    };
    call(libc::SIOCSIFHWADDR, &|r| {
        let mut data = [0; 14];
        for (to, from) in data.iter_mut().zip(mac) {
            *to = *from as libc::c_char;
        }
        r.ifr_ifru.ifru_hwaddr = libc::sockaddr {
            sa_family: libc::ARPHRD_ETHER,
            sa_data: data,
        };
    })?;
    call(libc::SIOCSIFMTU, &|r| r.ifr_ifru.ifru_mtu = mtu.into())?;
    let flags = call(libc::SIOCGIFFLAGS, &|_| {})?;
    // SAFETY: the kernel has written the flags.
    let up = unsafe { flags.ifr_ifru.ifru_flags } | libc::IFF_UP as i16;
    call(libc::SIOCSIFFLAGS, &|r| r.ifr_ifru.ifru_flags = up)?;
    let index = call(libc::SIOCGIFINDEX, &|_| {})?;
    // SAFETY: the kernel has written the index.
    let index = unsafe { index.ifr_ifru.ifru_ifindex };
    u32::try_from(index).map_err(io::Error::other)
}

/// A descriptor that gives a frame a read and takes one a write: TAP devices and datagram sockets.
struct Frames {
    file: File,
}

impl Port for Frames {
    fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn receive(&mut self, frames: &mut [Frame]) -> io::Result<usize> {
        for (at, frame) in frames.iter_mut().enumerate() {
            match self.file.read(frame.to_read()) {
                Ok(bytes) => frame.has_read(bytes),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(at),
                Err(_) if at > 0 => return Ok(at),
                Err(e) => return Err(e),
            }
        }
        Ok(frames.len())
    }

    fn send(&mut self, frames: &[Frame]) -> io::Result<usize> {
        for (at, frame) in frames.iter().enumerate() {
            match self.file.write(frame) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => {}
                Err(_) if at > 0 => return Ok(at),
                // A full datagram socket.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(frames.len())
    }

    fn link(&self) -> Link {
        Link::Up
    }
}

/// Gives a file of a descriptor that was just opened.
pub(super) fn owned(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: an open descriptor nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again() {
        let mut frame = Frame::default();
        for bytes in [60, 14, FRAME_ROOM, 5, 12] {
            let read: Vec<u8> = (0..bytes).map(|n| n as u8).collect();
            frame.to_read()[..bytes].copy_from_slice(&read);
            frame.has_read(bytes);
            assert_eq!(&frame[..], read);
            frame.put_tag([0x81, 0, 0, 7]);
            match bytes {
                12.. => {
                    let tagged = [&read[..12], &[0x81, 0, 0, 7], &read[12..]].concat();
                    assert_eq!(&frame[..], tagged);
                }
                _ => assert_eq!(&frame[..], read),
            }
            frame.to_write(bytes).fill(9);
            assert_eq!(&frame[..], vec![9; bytes]);
            assert_eq!(frame.to_read().len(), FRAME_ROOM);
        }
        frame.has_read(usize::MAX);
        assert_eq!(frame.len(), FRAME_ROOM);
    }
}
