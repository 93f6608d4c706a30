/* What the XDP program and its driver agree on. */
#ifndef SEQNIC_PEERS_DNAT_H
#define SEQNIC_PEERS_DNAT_H

#include <linux/types.h>

/* A service: destination address, port (both as on the wire) and protocol. */
struct service_key {
    __u32 address;
    __u16 port;
    __u8 protocol;
    __u8 zero;
};

/* Where its packets go, and what they count as. */
struct service_value {
    __u32 address;
    __u16 port;
    __u8 destination_mac[6];
    __u8 source_mac[6];
    __u16 server;
    __u32 number;
};

/* Who may send: known by the MAC. */
struct sender_key {
    __u8 mac[6];
    __u16 interface;
};

struct count {
    __u64 packets;
    __u64 bytes;
};

/* MAC of the interface where packets arrive. */
#define INTERFACE_MAC { 2, 1, 0, 0, 0, 0 }
#define ROUTER_MAC { 2, 2, 0, 0, 0, 0 }
#define SERVERS 1024

/* One packet of the trace: what differs from the frame all packets are made of. As on the wire. */
struct arrival {
    __u32 source;
    __u32 destination;
    __u16 source_port;
    __u16 destination_port;
    __u16 ip_checksum;
    __u16 tcp_checksum;
};

/* Packets of the trace. A power of two. */
#define TRACE (1u << 20)

#endif
