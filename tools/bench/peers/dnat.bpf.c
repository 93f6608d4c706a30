/* Match address and port, translate the destination, rewrite the MACs: what an XDP load balancer does
 * at the least. No counters, no check of the sender, no check of the IPv4 header's checksum.
 *
 * BPF_PROG_TEST_RUN repeats one packet, so each run first becomes the next packet of a trace: the twenty
 * bytes that differ are written over the frame (`arrive`). `receive` does that and nothing else: what the
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

__u32 next = 0;

static __always_inline int arrive(void *data, void *end)
{
    struct ethhdr *eth = data;
    struct iphdr *ip = (void *)(eth + 1);
    struct tcphdr *tcp = (void *)(ip + 1);
    __u32 at = next++ & (TRACE - 1);
    struct arrival *a = bpf_map_lookup_elem(&trace, &at);

    if (!a || (void *)(tcp + 1) > end)
        return -1;
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

SEC("xdp")
int dnat(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = (void *)(eth + 1);
    struct tcphdr *tcp;
    struct service_key key = {};
    struct service_value *to;
    __u32 sum;

    if (arrive(data, end))
        return XDP_ABORTED;

    if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
        return XDP_PASS;
    if (ip->ihl != 5 || ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x3fff)))
        return XDP_PASS;
    tcp = (void *)(ip + 1);
    if ((void *)(tcp + 1) > end)
        return XDP_PASS;

    key.address = ip->daddr;
    key.port = tcp->dest;
    key.protocol = ip->protocol;
    to = bpf_map_lookup_elem(&services, &key);
    if (!to)
        return XDP_PASS;

    __builtin_memcpy(eth->h_dest, to->destination_mac, 6);
    __builtin_memcpy(eth->h_source, to->source_mac, 6);
    sum = change(ip->daddr, to->address);
    ip->check = updated(ip->check, sum);
    ip->daddr = to->address;
    tcp->check = updated(tcp->check, sum + (__u16)~tcp->dest + to->port);
    tcp->dest = to->port;
    return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
