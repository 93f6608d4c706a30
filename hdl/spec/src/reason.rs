//! Why a packet was not directed. Everything not directed goes to the host with its reason.

use serde::Serialize;

macro_rules! reasons {
    ($($variant:ident = $code:literal, $name:literal, $doc:literal;)*) => {
        /// Why a packet went to the host, or why a copy was dropped. Codes are stable.
        ///
        /// A packet has exactly one reason: the first that holds in the order of the codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $doc] $variant = $code,)* }

        impl Reason {
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// Name in counters, logs and `exceptions.jsonl`.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            pub const fn doc(self) -> &'static str {
                match self { $(Reason::$variant => $doc,)* }
            }

            pub const fn from_code(code: u8) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    Directed = 0, "directed", "The packet was directed; not an exception.";
    Runt = 1, "runt", "The frame ends before its Ethernet header and tags do.";
    VlanDepth = 2, "vlan_depth", "More VLAN tags than the parser takes off.";
    NoInterface = 3, "no_interface", "No interface is defined for this port and VLAN.";
    NotMine = 4, "not_mine", "Unicast to another MAC than the interface's.";
    Arp = 5, "arp", "An ARP packet.";
    Encapsulation = 6, "encapsulation", "A tag or tunnel header the interface does not take, or that cannot be right.";
    NotIp = 7, "not_ip", "Neither ARP nor IPv4 nor IPv6.";
    Ipv4Header = 8, "ipv4_header", "IPv4 version, header length or total length cannot be right.";
    Ipv4Checksum = 9, "ipv4_checksum", "The IPv4 header checksum is wrong.";
    Ipv6Header = 10, "ipv6_header", "IPv6 version, payload length or an extension header cannot be right.";
    TooDeep = 11, "too_deep", "The transport header lies behind more extension headers than the parser walks, or outside its window.";
    L4Header = 12, "l4_header", "The packet ends inside its transport header.";
    NeighbourDiscovery = 13, "nd", "ICMPv6 router or neighbour discovery.";
    IcmpError = 14, "icmp_error", "An ICMP error about another packet.";
    Dhcp = 15, "dhcp", "DHCP or DHCPv6 that is no service's.";
    Multicast = 16, "multicast", "Broadcast or multicast frame.";
    Ttl = 17, "ttl", "TTL or hop limit is zero.";
    Local = 18, "local", "Addressed to the engine itself.";
    Fragment = 19, "fragment", "A later fragment, and its service is chosen by port.";
    NoPort = 20, "no_port", "The address is a service's, the port is not.";
    NoService = 21, "no_service", "Neither address is a service's.";
    WrongSender = 22, "wrong_sender", "The service is known, but its sequence has no step for packets from this sender.";
    Denied = 23, "denied", "A rule of the service's ACL, or its default, denies it.";
    Policed = 24, "policed", "The service sends more than its rate; dropped.";
    TooBig = 25, "too_big", "This copy, with the headers the engine adds, is longer than the MTU towards its attachment; the host gets the packet instead.";
    OutputFull = 26, "output_full", "The output queue had no room; this copy was dropped whole.";
    HostLimited = 27, "host_limited", "More exceptions of one reason than the host takes; dropped.";
    Oversize = 28, "oversize", "Longer than the pipeline takes; cut off at the port.";
    Unavailable = 29, "unavailable", "This copy has nobody to go to: the device has failed, and nobody stands in for it.";
    Unresolved = 30, "unresolved", "The MAC this copy goes to is not known yet.";
    Skipped = 31, "skipped", "This copy was for a device that has failed and is done without; dropped.";
}

impl Reason {
    /// Whether it is a copy's that is not sent, whose packet has none: the host gets the packet in its place.
    pub const fn is_of_copy(self) -> bool {
        matches!(
            self,
            Reason::TooBig | Reason::Unavailable | Reason::Unresolved | Reason::Skipped
        )
    }
}

/// Bits of a reason code.
pub const REASON_BITS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_fit() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert_eq!(Reason::from_code(i as u8), Some(*reason));
            assert!((*reason as u32) < 1 << REASON_BITS);
        }
    }
}
