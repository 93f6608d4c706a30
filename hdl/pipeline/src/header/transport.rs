//! Transport header (RFC 9293, 768, 9260, 792, 4443; `docs/semantics.md` section 1.4).

use seqnic_gen::{Circuit, GenError, Module, Sig, mux, wire};
use seqnic_spec::stage::l4;
use seqnic_spec::wire;
use seqnic_spec::wire::{
    PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, min_l4_bytes,
    pseudo_checksum_offset,
};

use super::bytes::{L3_BYTES, L3_LENGTH_BITS, L3_WORDS, PLACE_BITS, number, one_of};

/// Ports, types and checksum: module `header_transport`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `packet` | 8 * 114 | 0 | from the IP header on, zero past the end |
/// | `v6` | 1 | 0 | IPv6 |
/// | `protocol` | 8 | 0 | |
/// | `later` | 1 | 0 | a later fragment |
/// | `place` | 7 | 0 | transport header, in words from the IP header |
/// | `limit` | 8 | 0 | bytes from the IP header to the end of packet or frame |
/// | `view` | 7 | 0 | words from the IP header on that may be read |
/// | `sport`, `dport` | 16 | 1 | ports, 0 where there are none; a gate behind the registers |
/// | `icmp_type` | 8 | 1 | first byte |
/// | `tcp_flags` | 8 | 1 | flags of TCP, 0 where there are none; a gate behind the registers |
/// | `l4` | 3 | 2 | kind of header, as the editor needs it |
/// | `checksum` | 16 | 2 | checksum of the kinds which have one, else 0 |
/// | `too_deep`, `short` | 1 | 2 | reasons `too_deep`, `l4_header` |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn transport() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_transport");
    m.doc("Transport header: is it there, ports, ICMP type, checksum.");
    let packet = m.input_at("packet", L3_BYTES * 8, 0);
    let v6 = m.input_at("v6", 1, 0);
    let protocol = m.input_at("protocol", 8, 0);
    let later = m.input_at("later", 1, 0);
    let place = m.input_at("place", PLACE_BITS, 0);
    let limit = m.input_at("limit", L3_LENGTH_BITS, 0);
    let view = m.input_at("view", PLACE_BITS, 0);

    // The word at the header's place, and those in which TCP and UDP have their checksums.
    let words: Vec<Sig> = (0..L3_WORDS).map(|i| packet.slice(i * 32, 32)).collect();
    let word = |behind: u32| {
        let from = behind as usize;
        let zeros = vec![m.lit(32, 0); 32 - (words.len() - from)];
        let words: Vec<Sig> = words[from..].iter().chain(&zeros).copied().collect();
        m.index(&words, place.trunc(5))
    };
    let half = |behind_bytes: Option<u32>| {
        let at = behind_bytes.unwrap_or(0);
        number(word(at / 4), at % 4, 2).reg()
    };
    wire!(first = word(0).reg());
    let bytes = Bytes {
        first,
        tcp_checksum: half(pseudo_checksum_offset(PROTO_TCP)),
        udp_checksum: half(pseudo_checksum_offset(PROTO_UDP)),
        icmpv6_checksum: half(pseudo_checksum_offset(PROTO_ICMPV6)),
    };
    let flags = || number(word(wire::tcp::FLAGS_AT / 4), wire::tcp::FLAGS_AT % 4, 1).reg();
    transport_of(
        &m,
        &bytes,
        &flags,
        [v6, protocol, later, place, limit, view],
    );
    m.finish()
}

/// What is read of a transport header, whatever it is.
pub(super) struct Bytes<'m> {
    /// Its first word.
    pub first: Sig<'m>,
    pub tcp_checksum: Sig<'m>,
    pub udp_checksum: Sig<'m>,
    pub icmpv6_checksum: Sig<'m>,
}

/// The outputs of [`transport`], of its inputs `[v6, protocol, later, place, limit, view]`, the header's bytes and that in which
/// TCP has its flags.
pub(super) fn transport_of<'m>(
    m: &'m Module,
    bytes: &Bytes<'m>,
    flags: &dyn Fn() -> Sig<'m>,
    inputs: [Sig<'m>; 6],
) {
    let [v6, protocol, later, place, limit, view] = inputs;
    let Bytes {
        first,
        tcp_checksum,
        udp_checksum,
        icmpv6_checksum,
    } = *bytes;
    let is = |number: u8| (protocol.is(number.into()) & !later).reg();
    let (tcp, udp, sctp) = (is(PROTO_TCP), is(PROTO_UDP), is(PROTO_SCTP));
    let icmp = (one_of(protocol, &[PROTO_ICMP.into(), PROTO_ICMPV6.into()]) & !later).reg();
    let icmpv6 = is(PROTO_ICMPV6) & v6;
    let flags = flags();
    m.output("tcp_flags", flags.when(tcp));
    let with_ports = [PROTO_TCP, PROTO_UDP, PROTO_SCTP].map(u32::from);
    let has_ports = (one_of(protocol, &with_ports) & !later).reg();
    let has_ports = has_ports.named("has_ports");
    m.output("sport", number(first, 0, 2).when(has_ports));
    m.output("dport", number(first, 2, 2).when(has_ports));
    m.output("icmp_type", first.slice(0, 8));

    let kind = |number: u32| m.lit(3, number.into());
    let kinds = [
        (tcp, kind(l4::TCP)),
        (udp, kind(l4::UDP)),
        (sctp, kind(l4::SCTP)),
        (icmpv6, kind(l4::ICMPV6)),
    ];
    m.output("l4", m.select_onehot(&kinds).reg());
    let checksums = [
        (tcp, tcp_checksum),
        (udp, udp_checksum),
        (icmpv6, icmpv6_checksum),
    ];
    m.output("checksum", m.select_onehot(&checksums).reg());

    // All places and least lengths are whole words: the end in words says the same.
    let least = |protocol: u8| m.lit(PLACE_BITS, u128::from(min_l4_bytes(protocol) / 4));
    let least = m.select_onehot(&[
        (tcp, least(PROTO_TCP)),
        (udp, least(PROTO_UDP)),
        (sctp, least(PROTO_SCTP)),
        (icmp, least(PROTO_ICMP)),
    ]);
    let end = (place + least).named("end_place");
    let words = limit.shr(2).trunc(L3_LENGTH_BITS - 2).zext(PLACE_BITS);
    let nothing = m.lit(1, 0);
    m.output("too_deep", mux(later, nothing, end.gt(view)).reg());
    m.output("short", mux(later, nothing, end.gt(words)).reg());
}
