//! IPv4 header (RFC 791; `docs/semantics.md` section 1.2).

use seqnic_gen::{Circuit, GenError, Module, Sig, wire};

use super::bytes::{IPV4_BYTES, IPV4_MAX_BYTES, L3_LENGTH_BITS, PLACE_BITS, number, smaller};

/// Checks an IPv4 header: module `header_ipv4`. What it says of other packets means nothing.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `packet` | 8 * 60 | 0 | from the IP header on, zero past the end |
/// | `available` | 8 | 0 | bytes of the frame there |
/// | `more` | 1 | 0 | the frame goes on behind the window |
/// | `protocol` | 8 | 0 | |
/// | `later` | 1 | 0 | a later fragment |
/// | `place` | 7 | 0 | transport header, in words from the IP header |
/// | `limit` | 8 | 1 | bytes up to the end of packet or frame, whichever is first |
/// | `header_bad` | 1 | 1 | reason `ipv4_header` |
/// | `checksum_bad` | 1 | 4 | reason `ipv4_checksum` |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn ipv4() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ipv4");
    m.doc("IPv4 header: checks, transport header's place, header checksum.");
    let packet = m.input_at("packet", IPV4_MAX_BYTES * 8, 0);
    let available = m.input_at("available", L3_LENGTH_BITS, 0);
    let more = m.input_at("more", 1, 0);

    let version = packet.slice(4, 4);
    wire!(ihl = packet.slice(0, 4));
    wire!(total = number(packet, 2, 2));
    wire!(header_bytes = ihl.cat(m.lit(2, 0)));
    let wide = available.zext(16);
    let bad = [
        available.lt(available.lit(IPV4_BYTES.into())),
        version.ne(version.lit(4)),
        ihl.lt(ihl.lit(5)),
        header_bytes.zext(L3_LENGTH_BITS).gt(available),
        total.lt(header_bytes.zext(16)),
        !more & total.gt(wide),
    ];
    m.output("header_bad", m.or(&bad).reg());
    m.output("limit", smaller(total, wide).trunc(L3_LENGTH_BITS).reg());
    m.output("protocol", number(packet, 9, 1));
    m.output("later", number(packet, 6, 2).trunc(13).any());
    m.output("place", ihl.zext(PLACE_BITS));
    m.output("checksum_bad", checksum_bad(&m, packet, ihl));
    m.finish()
}

/// Whether the sum over the header's words is not 0xFFFF, 4 clocks later. The sum of swapped
/// words is the swapped sum (RFC 1071 section 2 B), so no bytes are swapped here.
fn checksum_bad<'m>(m: &'m Module, packet: Sig<'m>, ihl: Sig<'m>) -> Sig<'m> {
    let words: Vec<Sig> = packet
        .chunks(32)
        .into_iter()
        .enumerate()
        .map(|(i, word)| match i {
            0..5 => word,
            _ => word.when(ihl.gt(ihl.lit(i as u128))),
        })
        .flat_map(|word| word.chunks(16))
        .collect();
    // 30 words, 10 sums, 4 sums, 1 sum; each level a clock.
    let level = |terms: &[Sig<'m>], by: usize, width: u32| -> Vec<Sig<'m>> {
        terms
            .chunks(by)
            .map(|c| {
                c.iter()
                    .map(|t| t.zext(width))
                    .reduce(|a, b| a + b)
                    .unwrap_or(m.lit(width, 0))
                    .reg()
            })
            .collect()
    };
    let sums = level(&level(&level(&words, 3, 18), 3, 20), 4, 21);
    wire!(sum = sums[0]);
    // 30 * 0xFFFF: the carry is at most 29 and added once; a second one could not give 0xFFFF.
    let folded = sum.trunc(16).zext(17) + sum.slice(16, 5).zext(17);
    folded.ne(folded.lit(0xffff)).reg()
}
