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
    NotIp = 6, "not_ip", "Neither ARP nor IPv4 nor IPv6.";
    Ipv4Header = 7, "ipv4_header", "IPv4 version, header length or total length cannot be right.";
    Ipv4Checksum = 8, "ipv4_checksum", "The IPv4 header checksum is wrong.";
    Ipv6Header = 9, "ipv6_header", "IPv6 version, payload length or an extension header cannot be right.";
    TooDeep = 10, "too_deep", "The transport header lies behind more extension headers than the parser walks, or outside its window.";
    L4Header = 11, "l4_header", "The packet ends inside its transport header.";
    NeighbourDiscovery = 12, "nd", "ICMPv6 router or neighbour discovery.";
    IcmpError = 13, "icmp_error", "An ICMP error about another packet.";
    Dhcp = 14, "dhcp", "DHCP or DHCPv6 that is no service's.";
    Multicast = 15, "multicast", "Broadcast or multicast frame.";
    Ttl = 16, "ttl", "TTL or hop limit is zero.";
    Local = 17, "local", "Addressed to the engine itself.";
    Fragment = 18, "fragment", "A later fragment, and its service is chosen by port.";
    NoPort = 19, "no_port", "The address is a service's, the port is not.";
    NoService = 20, "no_service", "Neither address is a service's.";
    WrongSender = 21, "wrong_sender", "The service is known, but its sequence has no step for packets from this sender.";
    OutputFull = 22, "output_full", "The output queue had no room; this copy was dropped whole.";
    Oversize = 23, "oversize", "Longer than the pipeline takes; cut off at the port.";
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
