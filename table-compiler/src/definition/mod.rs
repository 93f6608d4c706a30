//! The checked service definition: names resolved to indices, every value in range.
//!
//! Both readers start from here: the table compiler (`lower`) and the definition oracle. What the
//! parts mean is said in `docs/semantics.md` section 6; how they are written in
//! `docs/definition.md`.

mod acl;
mod back;
mod element;
mod fields;
mod findings;
mod network;
mod overlap;
mod parties;
mod places;
mod qos;
pub mod read;
mod sequence;
mod service;
mod stages;
pub(crate) mod tags;
mod tree;
mod values;

pub use acl::{CLIENT_MARK, DEFAULT as DEFAULT_RULE};

use crate::diagnostic::Span;
use seqnic_spec::geometry::Geometry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use qos::{DSCPS, HostLimit, Qos, Rate, Share, Take};

/// Index into [`Definition::interfaces`].
pub type InterfaceId = usize;
/// Index into [`Definition::hosts`].
pub type HostId = usize;
/// Index into [`Definition::devices`].
pub type DeviceId = usize;

/// A MAC address, first byte on the wire first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Stands for a MAC that is not known: a group address, another for each `number`. No frame's sender has it.
    pub fn unknown(number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        Mac([1, 0, a, b, c, d])
    }

    pub fn is_known(self) -> bool {
        self.0[0] & 1 == 0
    }

    /// As a number, first byte on the wire highest.
    pub fn value(self) -> u64 {
        self.0.iter().fold(0, |v, b| v << 8 | u64::from(*b))
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// VLAN tags of a segment, outermost first: none, one or two, each 1 to 4094.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vlan(pub Vec<u16>);

/// Where something is attached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub interface: InterfaceId,
    /// Its own VLAN, or the interface's.
    pub vlan: Vlan,
    pub mac: Mac,
    /// The definition leaves the MAC to be learned.
    pub learned: bool,
    /// Address it has here, by which the MAC is learned; `None`: those of the host or device.
    pub address: Option<IpAddr>,
    pub span: Span,
}

/// How the position of a packet arriving on an interface is known (paragraphs 92 to 96).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tracking {
    /// By source MAC (method 4).
    #[default]
    SourceMac,
    /// By the segment it arrived on (method 5).
    Segment,
    /// By a tag the engine gives the packet and the device leaves on it (methods 1 to 3).
    Tag(Tag),
}

/// A tag that says where in its sequence a packet is (`docs/semantics.md` section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// The DSCP field (method 1).
    Dscp,
    /// One more IEEE 802.1Q tag (method 3).
    Vlan,
    /// An MPLS label (method 3).
    Mpls,
    /// A network service header behind Ethernet, of this metadata type (method 3).
    Nsh(MdType),
    /// VXLAN (method 2).
    Vxlan,
    /// A network service header in VXLAN-GPE, of this metadata type (methods 2 and 3).
    Gpe(MdType),
    /// GRE with a key (method 2).
    Gre,
}

impl Tag {
    /// Whether the tag needs an outer IP header, and so tunnel addresses.
    pub fn is_tunnel(self) -> bool {
        matches!(self, Tag::Vxlan | Tag::Gpe(_) | Tag::Gre)
    }
}

/// Metadata type of a network service header (RFC 8300 sections 2.4 and 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MdType {
    /// Fixed: 16 bytes of context, sent as zero.
    One,
    /// Variable; sent without metadata.
    Two,
}

/// What is added to the number of a tag, 1 to 253, to make the number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TagBases {
    /// VLAN ID.
    pub vlan: u16,
    /// MPLS label.
    pub mpls: u16,
    /// Service path identifier of NSH: used as it is, nothing is added.
    pub spi: u32,
    /// VXLAN network identifier.
    pub vni: u16,
    /// GRE key.
    pub gre: u16,
}

impl Default for TagBases {
    fn default() -> Self {
        TagBases {
            vlan: 3800,
            mpls: 1000,
            spi: 1,
            vni: 1000,
            gre: 1000,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Interface {
    pub name: String,
    /// Port of the card.
    pub port: u8,
    pub vlan: Vlan,
    pub mac: Mac,
    /// The engine's own addresses here, with prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Next hop of what leaves here by default.
    pub gateway: Option<HostId>,
    pub promiscuous: bool,
    pub tracking: Tracking,
    /// The engine's ends of tunnels here, at most one of each family; one of each for all interfaces
    /// of a port.
    pub tunnels: Vec<IpAddr>,
    pub tag_bases: TagBases,
    /// Longest IP packet the segment takes, with all headers the engine adds.
    pub mtu: Option<u16>,
    /// The DSCP of what arrives here says its priority.
    pub trust: bool,
    /// What kind of system is attached, for people.
    pub attached: Option<String>,
    pub span: Span,
}

/// A neighbour that is no device: a router, a client on the segment.
#[derive(Debug, Clone)]
pub struct Host {
    pub name: String,
    pub place: Place,
    pub addresses: Vec<IpAddr>,
    pub span: Span,
}

/// How an end server takes packets (paragraphs 101 to 105).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Takes any destination address.
    Loopback,
    /// Has the service address as one of its own.
    Alias,
    /// Gets packets for its own address.
    Nat,
}

/// The two sides of a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    #[default]
    Outside,
    Inside,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Outside => Side::Inside,
            Side::Inside => Side::Outside,
        }
    }
}

#[derive(Debug, Clone)]
pub enum Attachments {
    One(Place),
    Two {
        outside: Place,
        inside: Place,
    },
    /// Not attached: reached by address through a host (R20). NAT mode only.
    Via(HostId),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Up,
    Failed,
}

#[derive(Debug, Clone)]
pub struct Device {
    pub name: String,
    /// `firewall`, `ids`, `server`, ...: free text.
    pub function: String,
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub attachments: Attachments,
    /// Mode as an end server; `None` for devices that are never an end.
    pub mode: Option<Mode>,
    /// Its own addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Its end of tunnels; `None`: its own address of the family of the interface's.
    pub tunnel: Option<IpAddr>,
    /// Gets copies only.
    pub promiscuous: bool,
    pub state: State,
    /// What its elements do without it, if they do not say so themselves ([`Role::open`]).
    pub open: bool,
    pub span: Span,
}

impl Device {
    /// Name of the attachment on `side`: the device's own name if it has only one.
    pub fn attachment_name(&self, side: Side) -> String {
        match (&self.attachments, side) {
            (Attachments::Two { .. }, Side::Outside) => format!("{}.outside", self.name),
            (Attachments::Two { .. }, Side::Inside) => format!("{}.inside", self.name),
            _ => self.name.clone(),
        }
    }

    /// Own address of the family of `like`.
    pub fn address_like(&self, like: IpAddr) -> Option<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .find(|a| a.is_ipv4() == like.is_ipv4())
    }
}

/// IP protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Every protocol, later fragments included.
    Any,
    /// ICMP in the family of the service address: 1 or 58.
    Icmp,
    /// An IP protocol number other than ICMP's: 6 TCP, 17 UDP, 132 SCTP, or one without ports.
    Number(u8),
}

impl Protocol {
    /// Protocol number with an address of the family of `like`; `None` is every protocol.
    pub fn number(self, like: IpAddr) -> Option<u8> {
        match self {
            Protocol::Any => None,
            Protocol::Icmp => Some(if like.is_ipv4() { 1 } else { 58 }),
            Protocol::Number(n) => Some(n),
        }
    }
}

/// Ports of a service, in the sense of its server side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Every port; also for protocols without ports.
    Any,
    /// Disjoint, rising ranges (first, last).
    Ranges(Vec<(u16, u16)>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyedBy {
    /// The service address is the destination of forward packets.
    #[default]
    Destination,
    /// The client's address is the key: source of forward packets (R15, R19).
    Client,
}

/// A device by name, with the devices that may stand in for it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub device: DeviceId,
    pub alternates: Vec<DeviceId>,
    /// With all of them failed the sequence goes on without: otherwise packets end there.
    pub open: bool,
    /// They work all at once, each for clients of its own.
    pub pool: Option<Pool>,
}

/// How clients are spread over the devices of a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Logarithm of the number of buckets: at most [`seqnic_spec::tables::width::BUCKET`].
    pub bits: u32,
    /// Of the role's devices in their order, from 1.
    pub weights: Vec<u8>,
}

impl Role {
    /// Primary and alternates.
    pub fn all(&self) -> impl Iterator<Item = DeviceId> + '_ {
        std::iter::once(self.device).chain(self.alternates.iter().copied())
    }
}

/// How packets look after a device that changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// The service (or client) addresses become these; at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// The ports become these.
    pub ports: Option<Ports>,
}

/// Where a copy device's alerts go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alerts {
    /// Where the packet it saw went.
    #[default]
    Next,
    /// To a device of the sequence.
    To(DeviceId),
    /// Nowhere: the host gets them (`wrong_sender`).
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Directions {
    #[default]
    Both,
    Forward,
    Return,
}

/// One element of a sequence.
#[derive(Debug, Clone)]
pub enum Element {
    Device {
        role: Role,
        /// Side forward packets enter by; means nothing for one attachment.
        enter: Side,
        /// First port this device sees instead of the stage's first (the stage has one range).
        port: Option<u16>,
        then: Option<Then>,
        /// How this device's packets are known, instead of as its interface says.
        tracking: Option<Tag>,
        /// DSCP of what is sent to it, instead of the service's.
        dscp: Option<u8>,
        span: Span,
    },
    Copy {
        role: Role,
        alerts: Alerts,
        directions: Directions,
        /// As for a device.
        tracking: Option<Tag>,
        dscp: Option<u8>,
        span: Span,
    },
}

#[derive(Debug, Clone, Default)]
pub enum ReturnWay {
    #[default]
    Mirror,
    Direct,
    /// In the order return packets pass them, without the end. What an element of the sequence says
    /// (`enter`, `port`, alternates, `tracking`, the change it undoes here) is filled in.
    List(Vec<Element>),
}

/// Someone who may enter a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    Host(HostId),
    Device(DeviceId),
}

/// A prefix: the bits of `address` behind the first `bits` are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    pub address: IpAddr,
    pub bits: u8,
}

impl fmt::Display for Prefix {
    /// As definitions have it: a single address without a length.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == longest {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl Prefix {
    /// The lowest address that begins as this one.
    pub fn first(self) -> IpAddr {
        self.masked(self.address)
    }

    pub fn holds(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.address
    }

    fn masked(self, address: IpAddr) -> IpAddr {
        let rest = u32::from(self.bits);
        match address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shr(rest).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(a) & !mask))
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shr(rest).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(a) & !mask))
            }
        }
    }
}

/// A rule of a rule set (`docs/semantics.md` section 7). Empty lists and `None` hold every packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its own, or its place from 1; if its clients count one by one, [`CLIENT_MARK`] and the client behind it.
    pub name: String,
    pub client: Vec<Prefix>,
    pub server: Vec<Prefix>,
    pub protocol: Protocol,
    pub client_port: Ports,
    pub port: Ports,
    /// Value and mask of TCP flags.
    pub flags: Option<(u8, u8)>,
    /// Least and most bytes of the IP packet.
    pub size: Option<(u16, u16)>,
    pub direction: Directions,
    pub permit: bool,
    /// Where packets it permits go instead.
    pub route: Option<HostId>,
    pub span: Span,
}

/// A rule set: of its rules the first that holds decides.
#[derive(Debug, Clone)]
pub struct Acl {
    pub name: String,
    pub rules: Vec<Rule>,
    pub span: Span,
}

/// A rule set a service asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AclUse {
    /// Index into [`Definition::acls`].
    pub acl: usize,
    /// Interfaces of arrival it is asked on, rising; `None`: all.
    pub interfaces: Option<Vec<InterfaceId>>,
}

#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    /// Service addresses (or client addresses, keyed by client), at least one.
    pub addresses: Vec<IpAddr>,
    pub protocol: Protocol,
    /// Ports and dynamic ports together.
    pub ports: Ports,
    pub keyed_by: KeyedBy,
    /// Who may enter; `None`: anyone not in the sequence.
    pub from: Option<Vec<Party>>,
    pub sequence: Vec<Element>,
    pub return_way: ReturnWay,
    /// Where forward packets of a client-keyed service leave; `None`: default gateway, routed.
    pub exit: Option<HostId>,
    /// Where return packets leave; `None`: default gateway, routed.
    pub clients: Option<HostId>,
    /// DSCP set on everything the service sends.
    pub dscp: Option<u8>,
    /// Of its packets, where the DSCP they come with is not trusted.
    pub priority: u8,
    /// What it may send, all its looks and both directions together.
    pub rate: Option<Rate>,
    /// Rule sets asked of its first packets, in order; none: all are permitted.
    pub acl: Vec<AclUse>,
    /// Whether a first packet no rule holds is permitted.
    pub acl_default: bool,
    pub span: Span,
}

/// A definition in which every name, value and place has been checked.
#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub geometry: &'static Geometry,
    pub generation: u64,
    pub interfaces: Vec<Interface>,
    pub hosts: Vec<Host>,
    pub devices: Vec<Device>,
    pub services: Vec<Service>,
    pub qos: Qos,
    pub acls: Vec<Acl>,
    /// Gateway of packets that leave without an `exit` or `clients` of their own.
    pub default_gateway: Option<HostId>,
}

impl Definition {
    /// Devices that an element names alone, and does not do without.
    pub fn alone(&self) -> std::collections::BTreeSet<DeviceId> {
        let mut found = std::collections::BTreeSet::new();
        for service in &self.services {
            let back: &[Element] = match &service.return_way {
                ReturnWay::List(elements) => elements,
                _ => &[],
            };
            for element in service.sequence.iter().chain(back) {
                let (Element::Device { role, .. } | Element::Copy { role, .. }) = element;
                if role.alternates.is_empty() && !role.open {
                    found.insert(role.device);
                }
            }
        }
        found
    }
}
