/* Two XDP programs that match address and port, translate the destination and rewrite the MACs.
 *
 * `dnat` does just that: the least of a load balancer. `serve` does for each packet what the software engine
 * does for it, but for what it knows of packets that are none of these: the MAC and the checksum of the IPv4
 * header are checked, the sender is looked up, and packets and bytes are counted by reason, interface of
 * arrival, service, server and interface they leave through. Counters are per-CPU arrays, whose lookups the
 * kernel compiles into the program; the engine counts in two more places (the step, and SYNs and times of
 * the server), here the first would be the service's again.
 *
 * BPF_PROG_TEST_RUN repeats one packet, so each run first becomes the next packet of a trace: the bytes that
 * differ are written over the frame (`arrive`). `receive` does that and nothing else: what the
 * test run itself and the arrival cost. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "dnat.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __type(key, struct service_key);
    __type(value, struct service_value);
} services SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, TRACE);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct arrival);
} trace SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, SERVERS);
    __type(key, struct sender_key);
    __type(value, __u32);
} senders SEC(".maps");

#define COUNTERS(name, entries)                 \
    struct {                                    \
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
        __uint(max_entries, entries);           \
        __type(key, __u32);                     \
        __type(value, struct count);            \
    } name SEC(".maps")

COUNTERS(reason, 32);
COUNTERS(interface_in, 16);
COUNTERS(interface_out, 16);
COUNTERS(server_out, SERVERS);
/* As many as services. */
COUNTERS(service, 1);

__u32 next = 0;

static __always_inline int arrive(void *data, void *end)
{
    struct ethhdr *eth = data;
    struct iphdr *ip = (void *)(eth + 1);
    struct tcphdr *tcp = (void *)(ip + 1);
    __u32 at = next++ & (TRACE - 1);
    struct arrival *a = bpf_map_lookup_elem(&trace, &at);

    const __u8 macs[2][6] = { INTERFACE_MAC, ROUTER_MAC };

    if (!a || (void *)(tcp + 1) > end)
        return -1;
    /* The last packet has left with others. */
    __builtin_memcpy(eth, macs, sizeof macs);
    ip->saddr = a->source;
    ip->daddr = a->destination;
    ip->check = a->ip_checksum;
    tcp->source = a->source_port;
    tcp->dest = a->destination_port;
    tcp->check = a->tcp_checksum;
    return 0;
}

SEC("xdp")
int receive(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

    return arrive(data, end) ? XDP_ABORTED : XDP_TX;
}

/* RFC 1624, equation 3, for an address or a port. */
static __always_inline __u16 updated(__u16 checksum, __u32 sum)
{
    sum += (__u16)~checksum;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static __always_inline __u32 change(__u32 from, __u32 to)
{
    return (~from & 0xffff) + (~from >> 16) + (to & 0xffff) + (to >> 16);
}

static __always_inline void counted(void *map, __u32 row, __u64 bytes)
{
    struct count *at = bpf_map_lookup_elem(map, &row);

    if (at) {
        at->packets++;
        at->bytes += bytes;
    }
}

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
    return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline int header_sum(const void *ip)
{
    const __u32 *w = ip;
    __u64 sum = (__u64)w[0] + w[1] + w[2] + w[3] + w[4];

    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static __always_inline int forward(struct xdp_md *ctx, int whole)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = (void *)(eth + 1);
    const __u8 mine[6] = INTERFACE_MAC;
    struct service_key key = {};
    struct service_value *to;
    struct tcphdr *tcp;
    __u32 sum, *sender;

    if (arrive(data, end))
        return XDP_ABORTED;

    if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
        return XDP_PASS;
    if (ip->ihl != 5 || ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x3fff)))
        return XDP_PASS;
    tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > end)
        return XDP_PASS;
    if (whole) {
        struct sender_key from = {};

        if (!same_mac(eth->h_dest, mine) || header_sum(ip) != 0xffff || !ip->ttl)
            return XDP_PASS;
        __builtin_memcpy(from.mac, eth->h_source, 6);
        sender = bpf_map_lookup_elem(&senders, &from);
        if (!sender)
            return XDP_PASS;
    }

    key.address = ip->daddr;
    key.port = tcp->dest;
    key.protocol = ip->protocol;
    to = bpf_map_lookup_elem(&services, &key);
    if (!to)
        return XDP_PASS;

    if (whole) {
        __u64 bytes = end - data;

        counted(&reason, 0, bytes);
        counted(&interface_in, 0, bytes);
        counted(&service, to->number, bytes);
        counted(&server_out, to->server, bytes);
        counted(&interface_out, 1, bytes);
    }
    __builtin_memcpy(eth->h_dest, to->destination_mac, 6);
    __builtin_memcpy(eth->h_source, to->source_mac, 6);
    sum = change(ip->daddr, to->address);
    ip->check = updated(ip->check, sum);
    ip->daddr = to->address;
    tcp->check = updated(tcp->check, sum + (__u16)~tcp->dest + to->port);
    tcp->dest = to->port;
    return XDP_TX;
}

SEC("xdp")
int dnat(struct xdp_md *ctx)
{
    return forward(ctx, 0);
}

SEC("xdp")
int serve(struct xdp_md *ctx)
{
    return forward(ctx, 1);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
