//! Copies and edits (`docs/semantics.md` section 4), written into a buffer of the caller.

use crate::bytes::{be16 as get16, put};
use crate::checksum::Update;
use crate::encap::Tag;
use crate::memory::prefetch;
use crate::parse::Headers;
use crate::tables::{Attachment, PortEdit, Tables};
use crate::verdict::Verdict;
use seqnic_image::names::Direction;
use seqnic_spec::hash;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire;

/// One copy to be made: where it goes and every value that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Row of `action`.
    pub action: u32,
    /// Attachment it goes to, the neighbour's if `routed`; of a pool the bucket, which counts as `to.counts`.
    pub attachment: u16,
    pub routed: bool,
    pub to: Attachment,
    /// New values; `None` leaves what is there.
    pub src: Option<u128>,
    pub dst: Option<u128>,
    pub sport: Option<u16>,
    pub dport: Option<u16>,
    pub dscp: Option<u8>,
    pub tag: Option<Tag>,
    /// Of its packet: which queue it goes to.
    pub priority: u8,
}

/// A copy that cannot be written. The frame is the caller's, so this is the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the copy has {need} bytes, the buffer {have}; give a larger one")]
    Buffer { need: usize, have: usize },
    #[error("the headers are those of a frame of {headers} bytes, the frame has {frame}")]
    OtherFrame { headers: usize, frame: usize },
}

const ETHERTYPE: usize = 12;
const TAG: usize = 4;

/// Copy `number` of a directed packet, or `None` if it has fewer.
#[inline(always)]
pub fn plan(tables: &Tables, h: &Headers, verdict: &Verdict, number: u8) -> Option<Plan> {
    if number >= verdict.step.copies {
        return None;
    }
    let row = verdict.step.action + u32::from(number);
    let action = tables.action(row);
    let neighbour = verdict.neighbour.filter(|_| action.route);
    // A rule's next hop is the packet's, not its copies'.
    let policy = verdict.rule.filter(|_| number == 0);
    let policy = policy.and_then(|rule| tables.policy(rule));
    let attachment = policy
        .or(neighbour)
        .unwrap_or_else(|| match action.buckets {
            0 => action.attachment,
            mask => action.attachment + (client_digest(h, verdict) as u16 & mask),
        });
    let to = tables.attachment(attachment);
    let (mut sport, mut dport) = (None, None);
    if h.has_ports() {
        match action.port {
            Some(PortEdit::Source(add)) => sport = Some(h.sport.wrapping_add(add)),
            Some(PortEdit::Destination(add)) => dport = Some(h.dport.wrapping_add(add)),
            None => {}
        }
    }
    Some(Plan {
        action: row,
        attachment,
        routed: neighbour.is_some() && policy.is_none(),
        to,
        src: action.rewrite.map(|row| tables.rewrite(row).value),
        dst: (action.nat && policy.is_none()).then_some(to.address.value),
        sport,
        dport,
        dscp: action.dscp,
        tag: action
            .tag
            .filter(|_| policy.is_none())
            .map(|(kind, number)| Tag {
                kind,
                number,
                row: tables.encap(to.encap),
            }),
        priority: verdict.priority,
    })
}

/// Digest of the client's address, as it arrived.
fn client_digest(h: &Headers, verdict: &Verdict) -> u32 {
    let client = match verdict.class {
        Some((_, Direction::Return)) => h.dst,
        _ => h.src,
    };
    hash::client_digest(h.v6, client)
}

/// Asks for the memory [`plan`] will read.
#[inline(always)]
pub fn expect(tables: &Tables, verdict: &Verdict) {
    for row in verdict.rows() {
        prefetch(&tables.attachment, tables.action(row).attachment.into());
    }
}

/// All copies of a directed packet, in order; none otherwise.
#[inline(always)]
pub fn plans<'a>(
    tables: &'a Tables,
    h: &'a Headers,
    verdict: &'a Verdict,
) -> impl Iterator<Item = Plan> + 'a {
    (0..verdict.step.copies).filter_map(|number| plan(tables, h, verdict, number))
}

impl Plan {
    /// Bytes of the copy.
    #[inline(always)]
    pub fn length(&self, h: &Headers) -> usize {
        self.head() + h.length.saturating_sub(h.l3())
    }

    /// Bytes of the copy in front of its IP header.
    #[inline(always)]
    fn head(&self) -> usize {
        let (_, tags) = self.vlan();
        ETHERTYPE + TAG * tags + 2 + self.tag.map_or(0, |tag| tag.bytes())
    }

    /// Why the copy is not sent, and the host gets the packet instead: its attachment is not there, or it
    /// is longer than the MTU towards it.
    #[inline(always)]
    pub fn unsent(&self, h: &Headers) -> Option<Reason> {
        let size = h.ip_length + self.tag.map_or(0, |tag| tag.bytes() as u32);
        let too_big = self.to.mtu != 0 && size > self.to.mtu.into();
        self.to.absent.or(too_big.then_some(Reason::TooBig))
    }

    /// VLAN IDs of the copy, outermost first, and how many there are.
    #[inline(always)]
    pub fn vlan(&self) -> ([u16; 2], usize) {
        let own = usize::from(self.to.tags);
        let mut vids = [self.to.vid0, self.to.vid1];
        match self.tag.and_then(|tag| tag.vid()) {
            // An attachment with two tags takes no third.
            Some(vid) if let Some(free) = vids.get_mut(own) => {
                *free = vid;
                (vids, own + 1)
            }
            _ => (vids, own),
        }
    }

    /// Writes the copy of `frame`, whose headers are `h`, to the start of `out`; gives its length.
    ///
    /// # Errors
    /// A buffer shorter than [`Plan::length`]; headers of another frame.
    #[inline(always)]
    pub fn write(&self, h: &Headers, frame: &[u8], out: &mut [u8]) -> Result<usize, EditError> {
        let other = EditError::OtherFrame {
            headers: h.length,
            frame: frame.len(),
        };
        if h.length != frame.len() {
            return Err(other);
        }
        let rest = frame.get(h.l3()..).ok_or(other)?;
        let (need, have) = (self.length(h), out.len());
        let out = out
            .get_mut(..need)
            .ok_or(EditError::Buffer { need, have })?;

        let (head, ip) = out.split_at_mut_checked(self.head()).ok_or(other)?;
        if ip.len() != rest.len() {
            return Err(other);
        }
        ip.copy_from_slice(rest);
        if h.is_ip() {
            self.write_ip(h, ip);
        }
        let at = write_ethernet(&self.to, self.vlan(), head);
        match self.tag {
            Some(tag) => tag.write(self, h, head, at),
            None => put(head, at, &h.ethertype.to_be_bytes()),
        }
        Ok(need)
    }

    /// TOS or traffic class as it leaves.
    #[inline(always)]
    pub fn traffic_class(&self, h: &Headers) -> u8 {
        match self.dscp {
            Some(dscp) => dscp << 2 | h.traffic_class & 3,
            None => h.traffic_class,
        }
    }

    /// Addresses, ports, DSCP and the checksums that cover them, in an IP packet.
    #[inline(always)]
    fn write_ip(&self, h: &Headers, ip: &mut [u8]) {
        // What the IPv4 header's and the transport's checksums cover.
        let (mut header, mut transport) = (Update::default(), Update::default());
        let (src_at, dst_at) = if h.v6 { (8, 24) } else { (12, 16) };
        for (new, old, at) in [(self.src, h.src, src_at), (self.dst, h.dst, dst_at)] {
            let Some(new) = new else { continue };
            header.address(h.v6, old, new);
            transport.address(h.v6, old, new);
            if h.v6 {
                put(ip, at, &new.to_be_bytes());
            } else {
                put(ip, at, &(new as u32).to_be_bytes());
            }
        }
        // A frame's transport header lies behind its IP header; both are in `ip`.
        let l4 = usize::from(h.l4).saturating_sub(h.l3());
        for (new, old, at) in [(self.sport, h.sport, l4), (self.dport, h.dport, l4 + 2)] {
            let Some(new) = new else { continue };
            transport.word(old, new);
            put(ip, at, &new.to_be_bytes());
        }
        if self.dscp.is_some() {
            let class = self.traffic_class(h);
            let old = get16(ip, 0);
            let new = if h.v6 {
                old & 0xf00f | u16::from(class) << 4
            } else {
                old & 0xff00 | u16::from(class)
            };
            header.word(old, new);
            put(ip, 0, &new.to_be_bytes());
        }
        if !h.v6
            && let Some(new) = header.apply(get16(ip, 10))
        {
            put(ip, 10, &new.to_be_bytes());
        }
        if let Some(at) = h.l4_checksum() {
            update_transport(h, ip, at - h.l3().min(at), transport);
        }
    }
}

/// MACs of what goes to `to`, and VLAN tags; gives the place of the EtherType behind them.
#[inline(always)]
pub(crate) fn write_ethernet(
    to: &Attachment,
    (vids, tags): ([u16; 2], usize),
    head: &mut [u8],
) -> usize {
    put(head, 0, &to.dst_mac.to_be_bytes()[2..]);
    put(head, 6, &to.src_mac.to_be_bytes()[2..]);
    let outer = if tags == 2 {
        wire::TPID_S
    } else {
        wire::TPID_C
    };
    let tpids = [outer, wire::TPID_C];
    let mut at = ETHERTYPE;
    for (tpid, vid) in tpids.iter().zip(vids).take(tags) {
        put(head, at, &tpid.to_be_bytes());
        put(head, at + 2, &vid.to_be_bytes());
        at += TAG;
    }
    at
}

/// Updates the transport checksum at `at` of the IP packet.
#[inline(always)]
fn update_transport(h: &Headers, ip: &mut [u8], at: usize, update: Update) {
    let old = get16(ip, at);
    let udp = h.protocol == wire::PROTO_UDP;
    // RFC 768: 0 is no checksum. In IPv6 there is no such thing (RFC 8200 section 8.1): there 0 is
    // a wrong checksum, updated like any.
    if udp && !h.v6 && old == 0 {
        return;
    }
    let Some(new) = update.apply(old) else {
        return;
    };
    let new = if udp && new == 0 { 0xffff } else { new };
    put(ip, at, &new.to_be_bytes());
}
