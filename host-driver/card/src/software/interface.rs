//! A network interface as a port: AF_PACKET, frames in batches.
//!
//! The kernel hides two things from a packet socket, which are put back: the outermost VLAN tag
//! (PACKET_AUXDATA), and checksums the sender left to its hardware (PACKET_VNET_HDR). What it would cut
//! into segments later (TSO) comes as one long packet and cannot be put back: switch it off where such packets
//! come from (`ethtool -K NAME tso off gso off`).

use super::checksum;
use super::port::{FRAME_ROOM, Frame, Port, owned};
use crate::Link;
use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, RawFd};

/// Frames a system call.
const BATCH: usize = 32;
/// `struct virtio_net_hdr` in front of each frame.
const NET_HEADER: usize = 10;
/// VIRTIO_NET_HDR_F_NEEDS_CSUM.
const NEEDS_CHECKSUM: u8 = 1;

pub struct PacketSocket {
    socket: File,
    name: String,
}

/// Puts an interface's name into a request.
pub fn put_name(request: &mut libc::ifreq, name: &str) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
        let what = format!("`{name}` is no name of an interface: 1 to 15 characters");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok(())
}

fn option<T>(socket: &File, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: pointer and length are those of `value`.
    let done = unsafe {
        let at = std::ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, name, at, size_of::<T>() as u32)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

impl PacketSocket {
    pub fn open(name: &str) -> io::Result<PacketSocket> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // Protocol 0: nothing arrives before it is bound.
        // SAFETY: no pointers.
        let socket = owned(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: all zeros is a valid value.
        let mut request: libc::ifreq = unsafe { zeroed() };
        put_name(&mut request, name)?;
        // SAFETY: SIOCGIFINDEX reads and writes an ifreq.
        if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX as _, &mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has written the index.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        let on: c_int = 1;
        option(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &on)?;
        option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &on)?;
        option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on)?;
        let room: c_int = 8 << 20;
        // More than the system's limit needs a capability; with less it works too.
        let _as_much_as_allowed = option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &room)
            .or_else(|_| option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, &room));
        let _as_much_as_allowed = option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &room)
            .or_else(|_| option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &room));
        let member = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        option(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &member,
        )?;
        // SAFETY: all zeros is a valid value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        // SAFETY: pointer and length are those of `address`.
        let bound = unsafe {
            let at = std::ptr::from_ref(&address).cast();
            libc::bind(
                socket.as_raw_fd(),
                at,
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        quiet(name);
        Ok(PacketSocket {
            socket,
            name: name.to_string(),
        })
    }
}

/// The kernel sees the frames of a port as well, and would answer ARP for every address of this host there, those of the
/// engine's own network devices among them: with the port's MAC, which is not the engine's. Where that may not be
/// set (no root, no procfs) the host's administrator has to.
fn quiet(name: &str) {
    if !name.contains(['/', '.']) {
        // 8: no answer for any local address.
        let _as_much_as_allowed =
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/arp_ignore"), "8");
    }
}

/// Room for the one control message that is asked for.
const CONTROL: usize = 64;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct ControlRoom([u8; CONTROL]);

impl Port for PacketSocket {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn receive(&mut self, frames: &mut [Frame]) -> io::Result<usize> {
        let count = frames.len().min(BATCH);
        let mut headers = [[0u8; NET_HEADER]; BATCH];
        let mut control = [ControlRoom([0; CONTROL]); BATCH];
        // SAFETY: all zeros is a valid value of both.
        let mut parts: [[libc::iovec; 2]; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for at in 0..count {
            parts[at] = [
                libc::iovec {
                    iov_base: headers[at].as_mut_ptr().cast(),
                    iov_len: NET_HEADER,
                },
                libc::iovec {
                    iov_base: frames[at].to_read().as_mut_ptr().cast(),
                    iov_len: FRAME_ROOM,
                },
            ];
            let message = &mut messages[at].msg_hdr;
            message.msg_iov = parts[at].as_mut_ptr();
            message.msg_iovlen = 2;
            message.msg_control = control[at].0.as_mut_ptr().cast();
            message.msg_controllen = CONTROL as _;
        }
        // SAFETY: every message points to buffers of the lengths it says, which live until below.
        let got = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                count as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if got < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        for at in 0..got as usize {
            let bytes = (messages[at].msg_len as usize).saturating_sub(NET_HEADER);
            let frame = &mut frames[at];
            frame.has_read(bytes);
            let [flags, _, _, _, _, _, s0, s1, o0, o1] = headers[at];
            if flags & NEEDS_CHECKSUM != 0 {
                let start = usize::from(u16::from_ne_bytes([s0, s1]));
                let offset = usize::from(u16::from_ne_bytes([o0, o1]));
                checksum::complete(frame, start, offset);
            }
            if let Some((tpid, tci)) = tag(&messages[at].msg_hdr) {
                let [a, b] = u16::to_be_bytes(tpid);
                let [c, d] = u16::to_be_bytes(tci);
                frame.put_tag([a, b, c, d]);
            }
        }
        Ok(got as usize)
    }

    fn send(&mut self, frames: &[Frame]) -> io::Result<usize> {
        let none = [0u8; NET_HEADER];
        let mut sent = 0;
        while sent < frames.len() {
            let batch = &frames[sent..frames.len().min(sent + BATCH)];
            // SAFETY: all zeros is a valid value of both.
            let mut parts: [[libc::iovec; 2]; BATCH] = unsafe { zeroed() };
            // SAFETY: as above.
            let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
            for (at, frame) in batch.iter().enumerate() {
                // Only read from, whatever the type says.
                parts[at] = [
                    libc::iovec {
                        iov_base: none.as_ptr().cast_mut().cast(),
                        iov_len: NET_HEADER,
                    },
                    libc::iovec {
                        iov_base: frame.as_ptr().cast_mut().cast(),
                        iov_len: frame.len(),
                    },
                ];
                messages[at].msg_hdr.msg_iov = parts[at].as_mut_ptr();
                messages[at].msg_hdr.msg_iovlen = 2;
            }
            // SAFETY: every message points to buffers of the lengths it says, which live until below.
            let done = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    batch.len() as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            if done > 0 {
                sent += done as usize;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // Longer than the interface takes, or no frame for it: the next one may be.
                Some(libc::EMSGSIZE | libc::EINVAL) => sent += 1,
                _ if sent > 0 => return Ok(sent),
                Some(libc::ENOBUFS) => return Err(io::ErrorKind::WouldBlock.into()),
                _ => return Err(error),
            }
        }
        Ok(sent)
    }

    fn link(&self) -> Link {
        // SAFETY: all zeros is a valid value.
        let mut request: libc::ifreq = unsafe { zeroed() };
        if put_name(&mut request, &self.name).is_err() {
            return Link::None;
        }
        // SAFETY: SIOCGIFFLAGS reads and writes an ifreq.
        let done = unsafe {
            libc::ioctl(
                self.socket.as_raw_fd(),
                libc::SIOCGIFFLAGS as _,
                &mut request,
            )
        };
        if done < 0 {
            return Link::None;
        }
        // SAFETY: the kernel has written the flags.
        let flags = c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        match flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0 {
            true => Link::Up,
            false => Link::Down,
        }
    }
}

/// The VLAN tag the kernel took off: TPID and TCI.
fn tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the kernel has filled the control buffer and its length.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    if header.is_null() {
        return None;
    }
    // SAFETY: not null, so inside of the buffer; aligned as the buffer is.
    let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
    if (level, kind) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: this kind of message holds a tpacket_auxdata.
    let data: libc::tpacket_auxdata =
        unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast()) };
    let valid = data.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    let tpid = match data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => seqnic_spec::wire::TPID_C,
        _ => data.tp_vlan_tpid,
    };
    valid.then_some((tpid, data.tp_vlan_tci))
}
