//! IPv4 header (RFC 791; `docs/semantics.md` section 1.2).

use seqnic_gen::{Circuit, GenError, Module, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;

use super::bytes::{IPV4_BYTES, IPV4_MAX_BYTES, L3_LENGTH_BITS, PLACE_BITS, number, smaller};
use super::moved::{BEAT, BEAT_BYTES, HEAD};

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
/// Where headers are some clocks apart, `packet` has 20 bytes and comes with `available` and `more` at [`HEAD`] - [`BEAT`],
/// what is said of it is as much later, `checksum_bad` at 9, and there is
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `beat` | 8 * 16 | 0 | the packet's first bytes, in the clocks behind it the next ones |
///
/// # Errors
/// None for a geometry that passes its check.
pub fn ipv4(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ipv4");
    m.doc("IPv4 header: checks, transport header's place, header checksum.");
    let turns = g.clocks_per_header > 1;
    let (bytes, at) = match turns {
        true => (IPV4_BYTES, HEAD - BEAT),
        false => (IPV4_MAX_BYTES, 0),
    };
    let packet = m.input_at("packet", bytes * 8, at);
    let available = m.input_at("available", L3_LENGTH_BITS, at);
    let more = m.input_at("more", 1, at);

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
    let checksum_bad = match turns {
        true => checksum_bad_in_turns(&m, m.input_at("beat", BEAT_BYTES * 8, 0)),
        false => checksum_bad(&m, packet, ihl),
    };
    m.output("checksum_bad", checksum_bad);
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
    not_all_ones(sums[0])
}

/// The same of a beat a clock, the first at stage 0.
fn checksum_bad_in_turns<'m>(m: &'m Module, beat: Sig<'m>) -> Sig<'m> {
    let valid = m.spaced_valid();
    let at = |stage: u32| valid.delay(stage).unstaged();
    let beat = beat.unstaged();
    let ihl = m.reg_no_reset("words", 4);
    ihl.set_when(at(0), beat.trunc(4));
    // A beat's words of 32 bits, each as the sum of its halves; those behind the header count nothing.
    let words: Vec<Sig> = (beat.reg().named("beat_q").chunks(32).into_iter())
        .map(|word| (word.trunc(16).zext(17) + word.slice(16, 16).zext(17)).reg())
        .collect();
    let counts = |place: u32| match place {
        0..5 => m.lit(1, 1),
        _ => ihl.q().gt(ihl.q().lit(place.into())),
    };
    let beats = IPV4_MAX_BYTES.div_ceil(BEAT_BYTES);
    let first = 2;
    let words: Vec<Sig> = (0u32..)
        .zip(words)
        .map(|(n, word)| {
            let places = (0..beats).map(|beat| at(first + beat) & counts(4 * beat + n));
            word.when(m.or(&places.collect::<Vec<_>>())).zext(19)
        })
        .collect();
    let pairs = [words[0] + words[1], words[2] + words[3]].map(|pair| pair.reg());
    let beat_sum = (pairs[0] + pairs[1]).reg().named("beat_sum");
    let sum = m.reg_no_reset("sum", 21);
    let begins = at(first + 2);
    let before = mux(begins, m.lit(21, 0), sum.q());
    sum.set(before + beat_sum.zext(21));
    not_all_ones(sum.q().at_stage(first + 2 + beats))
}

/// Whether the sum of all words is not 0xFFFF, a clock later.
fn not_all_ones(sum: Sig<'_>) -> Sig<'_> {
    wire!(sum = sum);
    // 30 * 0xFFFF: the carry is at most 29 and added once; a second one could not give 0xFFFF.
    let folded = sum.trunc(16).zext(17) + sum.slice(16, 5).zext(17);
    folded.ne(folded.lit(0xffff)).reg()
}
