//! What a port of the card is joined to: a TAP interface, an interface through AF_PACKET, or captures.
//!
//! | written | frames arrive from | frames leave to |
//! | --- | --- | --- |
//! | `tap:NAME` | a TAP interface that is made (or taken over) | the same |
//! | `veth:NAME` | what the interface receives (its peer sends) | the same |
//! | `pcap:IN[,OUT]` | the capture, as fast as the card takes it | a capture that is made; nowhere without |
//!
//! Frames have no FCS. A kernel may leave checksums and segmentation to the hardware it thinks is there: of TAP
//! it does not, of AF_PACKET checksums are finished here, and frames that were to be segmented are dropped and counted
//! (turn that off at the peer: `ethtool -K PEER tso off gso off`).

use crate::error::DeviceError;
use seqnic_replay::Time;
use seqnic_replay::capture::{Reader, Writer};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::SystemTime;

/// Longest frame that is taken: the card cuts longer ones off itself.
const LONGEST: usize = 65_536 + 64;
/// `struct virtio_net_hdr`, in front of every frame of AF_PACKET.
const VNET: usize = 10;

/// What a port is to be joined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    Tap(String),
    Packet(String),
    Capture {
        input: PathBuf,
        output: Option<PathBuf>,
    },
}

impl FromStr for Join {
    type Err = String;

    fn from_str(text: &str) -> Result<Join, String> {
        let wrong = || format!("`{text}`: expected tap:NAME, veth:NAME or pcap:IN[,OUT]");
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        let name = || match rest.len() {
            1..16 if !rest.contains(['/', ' ']) => Ok(rest.to_string()),
            _ => Err(format!("`{rest}` cannot be the name of an interface")),
        };
        match kind {
            "tap" => Ok(Join::Tap(name()?)),
            "veth" => Ok(Join::Packet(name()?)),
            "pcap" => {
                let (input, output) = match rest.split_once(',') {
                    Some((input, output)) => (input, Some(output.into())),
                    None => (rest, None),
                };
                Ok(Join::Capture {
                    input: input.into(),
                    output,
                })
            }
            _ => Err(wrong()),
        }
    }
}

/// Where a port's frames come from.
pub enum Input {
    Tap(Arc<File>),
    Packet(Arc<OwnedFd>),
    Capture(Box<Reader>),
    /// Nothing (more) comes.
    None,
}

/// Where a port's frames go. What cannot be sent is dropped, as on a wire.
pub enum Output {
    Tap(Arc<File>),
    Packet(Arc<OwnedFd>),
    Capture(Writer<BufWriter<File>>),
    /// Somewhere in this process.
    Memory(Sender<Vec<u8>>),
    None,
}

fn opened<T>(what: &str, result: io::Result<T>) -> Result<T, DeviceError> {
    result.map_err(|source| DeviceError::Open {
        what: what.into(),
        source,
    })
}

/// Joins a port.
///
/// # Errors
/// The interface or the file cannot be opened; interfaces need CAP_NET_ADMIN (TAP) or CAP_NET_RAW.
pub fn join(join: &Join) -> Result<(Input, Output), DeviceError> {
    match join {
        Join::Tap(name) => {
            let file = Arc::new(opened(&format!("TAP interface {name}"), tap(name))?);
            Ok((Input::Tap(file.clone()), Output::Tap(file)))
        }
        Join::Packet(name) => {
            let socket = Arc::new(opened(&format!("interface {name}"), packet(name))?);
            Ok((Input::Packet(socket.clone()), Output::Packet(socket)))
        }
        Join::Capture { input, output } => {
            let reader = Input::Capture(Box::new(Reader::open(input)?));
            let Some(path) = output else {
                return Ok((reader, Output::None));
            };
            let what = path.display().to_string();
            let file = opened(&what, File::create(path))?;
            let writer = opened(&what, Writer::new(BufWriter::new(file)))?;
            Ok((reader, Output::Capture(writer)))
        }
    }
}

/// Links of the ports: which of the interfaces they are joined to have a carrier. A capture always has one.
pub struct Links {
    joins: Vec<(u32, Join)>,
    /// Told by the kernel whenever an interface changes (rtnetlink(7), RTMGRP_LINK).
    told: OwnedFd,
    /// For SIOCGIFFLAGS.
    asks: OwnedFd,
    known: Option<u32>,
}

impl Links {
    /// # Errors
    /// The kernel gives no socket.
    pub fn new(joins: &[(u32, Join)]) -> Result<Links, DeviceError> {
        let socket = |family, kind, protocol| {
            let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: plain numbers; the result is owned by nobody yet.
            match unsafe { libc::socket(family, kind, protocol) } {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            }
        };
        let netlink = || {
            let told = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
            // SAFETY: zeros are a valid sockaddr_nl; pointer and length are its.
            let bound = unsafe {
                let mut address: libc::sockaddr_nl = zeroed();
                address.nl_family = libc::AF_NETLINK as u16;
                address.nl_groups = libc::RTMGRP_LINK as u32;
                let length = size_of_val(&address) as u32;
                libc::bind(told.as_raw_fd(), (&raw const address).cast(), length)
            };
            match bound {
                0 => Ok(told),
                _ => Err(io::Error::last_os_error()),
            }
        };
        Ok(Links {
            joins: joins.to_vec(),
            told: opened("netlink", netlink())?,
            asks: opened(
                "a socket for interfaces",
                socket(libc::AF_INET, libc::SOCK_DGRAM, 0),
            )?,
            known: None,
        })
    }

    /// What to wait for: something may have changed.
    pub fn waits(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.told.as_fd()
    }

    /// Which ports have a link now, a bit a port.
    pub fn up(&mut self) -> u32 {
        let mut message = [0u8; 8192];
        let mut told = self.known.is_none();
        // SAFETY: pointer and length are those of the buffer. What is said does not matter, only that.
        while unsafe {
            libc::recv(
                self.told.as_raw_fd(),
                message.as_mut_ptr().cast(),
                message.len(),
                0,
            )
        } > 0
        {
            told = true;
        }
        if let Some(known) = self.known.filter(|_| !told) {
            return known;
        }
        let up = self.joins.iter().filter(|(_, join)| match join {
            Join::Tap(name) | Join::Packet(name) => self.carrier(name),
            Join::Capture { .. } => true,
        });
        let up = up.fold(0, |all, (port, _)| all | 1 << port);
        self.known = Some(up);
        up
    }

    fn carrier(&self, name: &str) -> bool {
        // SAFETY: zeros are a valid ifreq; the name is shorter than its place, and the kernel writes the flags.
        unsafe {
            let mut request: libc::ifreq = zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = from as libc::c_char;
            }
            let done = libc::ioctl(self.asks.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request);
            let wanted = libc::IFF_UP | libc::IFF_RUNNING;
            done == 0 && i32::from(request.ifr_ifru.ifru_flags) & wanted == wanted
        }
    }
}

impl Input {
    /// What to wait for; `None` where there is no waiting.
    pub fn waits(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        match self {
            Input::Tap(file) => Some(file.as_fd()),
            Input::Packet(socket) => Some(socket.as_fd()),
            _ => None,
        }
    }

    /// The next frame; `None` if none is there now.
    ///
    /// # Errors
    /// A capture that is damaged; an interface that is gone. The input is at its end then.
    pub fn next(&mut self, dropped: &mut u64) -> Result<Option<Vec<u8>>, DeviceError> {
        let frame = match self {
            Input::None => return Ok(None),
            Input::Tap(file) => {
                let mut frame = vec![0; LONGEST];
                match (&**file).read(&mut frame) {
                    Ok(n) => {
                        frame.truncate(n);
                        Some(frame)
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(source) => return self.gone("reading a TAP interface", source),
                }
            }
            Input::Packet(socket) => match receive(socket, dropped) {
                Ok(frame) => frame,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // The interface is down: it may come up again.
                Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => return Ok(None),
                Err(source) => return self.gone("reading an interface", source),
            },
            Input::Capture(reader) => match reader.next_record() {
                Ok(Some(record)) => Some(record.frame),
                Ok(None) => {
                    *self = Input::None;
                    return Ok(None);
                }
                Err(e) => {
                    *self = Input::None;
                    return Err(e.into());
                }
            },
        };
        // Frames of nothing there are none; those dropped here are counted and the next is looked at later.
        Ok(Some(frame.unwrap_or_default()))
    }

    fn gone(&mut self, what: &str, source: io::Error) -> Result<Option<Vec<u8>>, DeviceError> {
        *self = Input::None;
        opened(what, Err(source))
    }
}

impl Output {
    pub fn send(&mut self, frame: &[u8]) {
        match self {
            Output::Tap(file) => drop((&**file).write(frame)),
            Output::Packet(socket) => {
                let mut with_header = vec![0; VNET + frame.len()];
                with_header[VNET..].copy_from_slice(frame);
                // SAFETY: the buffer lives as long as the call.
                unsafe {
                    libc::send(
                        socket.as_raw_fd(),
                        with_header.as_ptr().cast(),
                        with_header.len(),
                        0,
                    );
                }
            }
            Output::Capture(writer) => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let time = since
                    .ok()
                    .and_then(|t| Time::from_nanoseconds(t.as_nanos() as i128));
                if let Some(time) = time {
                    // A full disk is no reason to stop the card.
                    let _ = writer.write(time, frame);
                    let _ = writer.flush();
                }
            }
            // Nobody takes them any more: they are gone.
            Output::Memory(to) => drop(to.send(frame.to_vec())),
            Output::None => {}
        }
    }
}

fn name_of(name: &str) -> [libc::c_char; libc::IFNAMSIZ] {
    let mut to = [0; libc::IFNAMSIZ];
    for (to, from) in to.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    to
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}

/// A TAP interface of that name, up, without waiting.
fn tap(name: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // SAFETY: a structure of plain numbers; the kernel reads it in the calls, and writes flags in one.
    unsafe {
        let mut request: libc::ifreq = zeroed();
        request.ifr_name = name_of(name);
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
        checked(libc::ioctl(
            file.as_raw_fd(),
            libc::TUNSETIFF as _,
            &mut request,
        ))?;
        let socket = OwnedFd::from_raw_fd(checked(libc::socket(
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        ))?);
        checked(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS as _,
            &mut request,
        ))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        checked(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &mut request,
        ))?;
    }
    Ok(file)
}

/// All frames an interface receives, without those sent through this socket.
fn packet(name: &str) -> io::Result<OwnedFd> {
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: structures of plain numbers that live as long as the calls that read them.
    unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_PACKET, kind, 0))?);
        let fd = socket.as_raw_fd();
        let text = name_of(name);
        let index = libc::if_nametoindex(text.as_ptr());
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let set = |what: libc::c_int, value: *const libc::c_void, bytes: usize| {
            checked(libc::setsockopt(
                fd,
                libc::SOL_PACKET,
                what,
                value,
                bytes as u32,
            ))
        };
        let on: libc::c_int = 1;
        for what in [
            libc::PACKET_IGNORE_OUTGOING,
            libc::PACKET_AUXDATA,
            libc::PACKET_VNET_HDR,
        ] {
            set(what, (&raw const on).cast(), size_of_val(&on))?;
        }
        let mut address: libc::sockaddr_ll = zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        address.sll_ifindex = index as i32;
        checked(libc::bind(
            fd,
            (&raw const address).cast(),
            size_of_val(&address) as u32,
        ))?;
        let mut member: libc::packet_mreq = zeroed();
        member.mr_ifindex = index as i32;
        member.mr_type = libc::PACKET_MR_PROMISC as u16;
        set(
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const member).cast(),
            size_of_val(&member),
        )?;
        Ok(socket)
    }
}

/// One frame: its VLAN tag put back, its checksum finished. `None`: dropped.
fn receive(socket: &OwnedFd, dropped: &mut u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0u8; VNET + LONGEST];
    let mut control = [0u64; 16];
    let mut aux: Option<libc::tpacket_auxdata> = None;
    // SAFETY: all buffers live as long as the call; control messages are walked as CMSG_* say.
    let length = unsafe {
        let mut part = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let n = libc::recvmsg(socket.as_raw_fd(), &mut message, 0);
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut at = libc::CMSG_FIRSTHDR(&message);
        while !at.is_null() {
            let header = &*at;
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA)
                && header.cmsg_len as usize
                    >= libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) as usize
            {
                aux = Some(
                    libc::CMSG_DATA(at)
                        .cast::<libc::tpacket_auxdata>()
                        .read_unaligned(),
                );
            }
            at = libc::CMSG_NXTHDR(&message, at);
        }
        n as usize
    };
    bytes.truncate(length);
    if bytes.len() < VNET + 14 {
        return Ok(None);
    }
    let header: [u8; VNET] = bytes[..VNET].try_into().unwrap_or_default();
    let mut frame = bytes.split_off(VNET);
    let word = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    let (needs_checksum, segments) = (header[0] & 1 == 1, header[1] != 0);
    if segments {
        *dropped += 1;
        return Ok(None);
    }
    if needs_checksum {
        finish_checksum(&mut frame, word(6), word(8));
    }
    if let Some(aux) = aux
        && aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0
    {
        let known = aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tpid = if known { aux.tp_vlan_tpid } else { 0x8100 };
        let tag = [tpid.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes()].concat();
        frame.splice(12..12, tag);
    }
    Ok(Some(frame))
}

/// The sum from `start` on goes to `start + offset`, where that of the pseudo header stands.
fn finish_checksum(frame: &mut [u8], start: usize, offset: usize) {
    let Some(covered) = frame.get(start..) else {
        return;
    };
    let mut sum = 0u64;
    for pair in covered.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // 0 says "none" in UDP; its twin says the same sum.
    let sum = match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(to) = frame.get_mut(start + offset..start + offset + 2) {
        to.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_are_read() {
        assert_eq!("tap:x0".parse(), Ok(Join::Tap("x0".into())));
        assert_eq!("veth:x0".parse(), Ok(Join::Packet("x0".into())));
        let capture = Join::Capture {
            input: "a".into(),
            output: Some("b".into()),
        };
        assert_eq!("pcap:a,b".parse(), Ok(capture));
        for wrong in [
            "x0",
            "tap:",
            "tap:a/b",
            "tap:a-name-too-long-for-it",
            "ring:a",
        ] {
            assert!(wrong.parse::<Join>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_checksum_is_finished_as_rfc_1071_says() {
        // UDP over IPv4, 192.0.2.1:1 to 192.0.2.2:2, two bytes "ab".
        let pseudo = 0xc000u32 + 0x0201 + 0xc000 + 0x0202 + 17 + 10;
        let pseudo = ((pseudo & 0xffff) + (pseudo >> 16)) as u16;
        let mut frame = vec![0; 34];
        frame.extend([0, 1, 0, 2, 0, 10]);
        frame.extend(pseudo.to_be_bytes());
        frame.extend(*b"ab");
        finish_checksum(&mut frame, 34, 6);
        let sum: u32 = frame[34..]
            .chunks(2)
            .map(|p| u32::from(p[0]) << 8 | u32::from(p[1]))
            .sum();
        let sum = sum + u32::from(pseudo);
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
