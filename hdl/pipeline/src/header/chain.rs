//! Extension headers and transport header, where headers are some clocks apart.
//!
//! The packet's first bytes pass in beats and are kept in a small memory, those of two packets. So what the walk
//! looks at next, and where the transport header is, are reads of a few words, where [`super::ipv6`] and
//! [`super::transport`] work out what a header would say at every place, and choose.

use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, Sig, clog2, mux, wire};
use seqnic_spec::wire::{MAX_EXTENSION_HEADERS, pseudo_checksum_offset, tcp};
use seqnic_spec::wire::{PROTO_ICMPV6, PROTO_TCP, PROTO_UDP};

use super::bytes::{IPV6_BYTES, L3_LENGTH_BITS, PLACE_BITS, number};
use super::ipv6::{Fixed, SECOND, entry_at};
use super::moved::{BEAT_BYTES, BEATS, HEAD_BYTES};
use super::transport::{Bytes, transport_of};

/// Words of four bytes in a beat, each in a memory of its own: four in a row are read together, wherever they begin.
const WORDS: u32 = BEAT_BYTES / 4;
/// The stage at which [`HEAD_BYTES`] have passed.
const HEAD: u32 = HEAD_BYTES / BEAT_BYTES;
/// The walk's first header is read behind it, and then one in every second clock.
const WALK: u32 = HEAD + 2;
const STEP: u32 = 2;
/// The stage of the last step.
const WALKED: u32 = WALK + STEP * MAX_EXTENSION_HEADERS - 1;
/// The transport header's words are read, and a clock later the one behind them. That is as long behind the walk's first read
/// that the next header may be there, so it has a memory of its own.
const READ: u32 = WALKED + 2;

// A walk's state is there for the next header when it has ended; its first header stands in the bytes that have passed,
// the second may be in any.
const _: () = assert!(WALKED - HEAD <= BEATS + 1 && WALK >= HEAD && WALK + STEP >= BEATS - 1);
// The second beat, in which a transport header may begin, and the third, in which it goes on, are still there.
const _: () = assert!(READ <= 2 * BEATS + 1);

/// Walks the extension headers and reads the transport header: module `header_chain`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `beat` | 8 * 16 | 0 | the packet's first bytes, in the clocks behind it the next ones |
/// | `head` | 8 * 40 | [`HEAD`] | its first bytes, once they have passed |
/// | `available`, `more`, `view`, `v6` | 8, 1, 7, 1 | [`HEAD`] | as of [`super::ipv6`] |
/// | `v4_protocol`, `v4_later`, `v4_place`, `v4_limit` | 8, 1, 7, 8 | [`HEAD`] + 1 | what [`super::ipv4`] says |
/// | `header_bad` | 1 | [`WALKED`] + 1 | reason `ipv6_header`, of an IPv6 packet |
/// | `walk_deep` | 1 | [`WALKED`] + 1 | reason `too_deep`, of the walk |
/// | `protocol`, `later`, `place` | 8, 1, 7 | [`WALKED`] + 1 | of the packet, IPv4 or IPv6 |
/// | `sport`, `dport`, `icmp_type`, `tcp_flags`, `l4`, `checksum`, `too_deep`, `short` | | to [`READ`] + 4 | as of [`super::transport`] |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn chain() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_chain");
    m.doc("Extension headers one after the other, then the transport header, of words kept in a small memory.");
    let valid = m.spaced_valid();
    let beat = m.input_at("beat", BEAT_BYTES * 8, 0).unstaged();
    let head = m.input_at("head", IPV6_BYTES * 8, HEAD);
    let available = m.input_at("available", L3_LENGTH_BITS, HEAD);
    let more = m.input_at("more", 1, HEAD);
    let view = m.input_at("view", PLACE_BITS, HEAD);
    let v6 = m.input_at("v6", 1, HEAD);
    let four = |name: &str, bits| m.input_at(&format!("v4_{name}"), bits, HEAD + 1);
    let (v4_protocol, v4_later) = (four("protocol", 8), four("later", 1));
    let (v4_place, v4_limit) = (four("place", PLACE_BITS), four("limit", L3_LENGTH_BITS));
    let at = |stage: u32| valid.delay(stage).unstaged();
    let kept = |name: &str, stage: u32, value: Sig<'_>| {
        let kept = m.reg_no_reset(name, value.width());
        kept.set_when(at(stage), value.to_stage(stage).unstaged());
        kept.q()
    };

    // Beats of two packets, the packet's number above the beat's.
    let passes: Vec<Sig> = (0..BEATS).map(at).collect();
    let passes = m.or(&passes).named("passes");
    let number_bits = clog2(BEATS);
    let row = m.reg("row", number_bits + 1, 0);
    row.set_when(passes, row.q() + row.q().lit(1));
    // Which of the two it is, while the walk reads, and then the transport header is read.
    let slot = m.reg_no_reset("slot", 1);
    slot.set_when(at(WALK - 1), row.q().msb());
    let slot_behind = m.reg_no_reset("slot_behind", 1);
    slot_behind.set_when(at(READ - 2), slot.q());

    let fixed = Fixed::of(head, available, more);
    let (bad, limit, first) = (fixed.bad, fixed.limit, fixed.first);
    let words = kept("words", WALK - 1, limit.shr(2).trunc(L3_LENGTH_BITS - 2));
    let seen = kept("view_q", WALK - 1, view);
    let begin = first
        .before_the_first()
        .map(|sig| sig.to_stage(WALK - 1).unstaged());
    let begins = at(WALK - 1);
    let steps: Vec<Sig> = (1..=MAX_EXTENSION_HEADERS)
        .map(|n| at(WALK + STEP * n - 1))
        .collect();
    let changes = m.or(&[begins, m.or(&steps)]).named("step");
    let hold = begin.hold(&m);
    let state = hold.q();
    let place = state.place();

    let written = Written {
        passes,
        row: row.q(),
        beat,
    };
    let headers = written.read("headers", slot.q(), place);
    // All that does not depend on the word is known when it comes, as the state stands still meanwhile.
    let end = (place + m.lit(PLACE_BITS, 2)).named("end_place");
    let deep = end.gt(seen).reg().named("is_deep");
    let short = end.gt(words.zext(PLACE_BITS)).reg().named("is_short");
    // Places are counted from the begin of a beat.
    const { assert!(SECOND.is_multiple_of(WORDS)) };
    let header = entry_at(m.index(&headers, state.at.trunc(2)), state.at);
    let next = state.step(header, deep, short);
    hold.set_when(changes, &begin.or_else(begins, &next));
    let walk = next.map(|sig| sig.at_stage(WALKED).reg());
    m.output("header_bad", bad | walk.short);
    m.output("walk_deep", walk.deep | walk.kind.any());

    wire!(protocol = mux(v6, walk.protocol, v4_protocol));
    wire!(later = mux(v6, walk.later, v4_later));
    wire!(place = mux(v6, walk.place(), v4_place));
    // What is read first, and what is behind that.
    let behind = m.reg_no_reset("transport_place", PLACE_BITS);
    let further = behind.q() + behind.q().lit(WORDS.into());
    let (comes, goes_on) = (at(WALKED + 1), at(READ));
    behind.set_when(comes | goes_on, comes.mux(place.unstaged(), further));
    let transport = written.read("transport", slot_behind.q(), behind.q());
    m.output("protocol", protocol);
    m.output("later", later);
    m.output("place", place);

    // All words but that of the checksum of TCP are read at once.
    let word = |n: u32| m.index(&transport, behind.q().trunc(2) + m.lit(2, n.into()));
    let half = |at: u32, stage: u32| {
        let word = word(at / 4 % WORDS);
        let name = format!("half_{at}");
        kept(&name, stage, number(word, at % 4, 2)).at_stage(stage + 1)
    };
    let (now, then) = (READ + 1, READ + 2);
    let offset = |protocol: u8| pseudo_checksum_offset(protocol).unwrap_or(0);
    let flags = || {
        let flags = number(word(tcp::FLAGS_AT / 4), tcp::FLAGS_AT % 4, 1);
        kept("flags", now, flags).at_stage(now + 1)
    };
    let bytes = Bytes {
        first: kept("first", now, word(0)).at_stage(now + 1),
        tcp_checksum: half(offset(PROTO_TCP), then),
        udp_checksum: half(offset(PROTO_UDP), now),
        icmpv6_checksum: half(offset(PROTO_ICMPV6), now),
    };
    let limit = mux(v6, limit, v4_limit);
    transport_of(
        &m,
        &bytes,
        &flags,
        [v6, protocol, later, place, limit, view],
    );
    m.finish()
}

/// What is written to the memories.
struct Written<'m> {
    passes: Sig<'m>,
    row: Sig<'m>,
    beat: Sig<'m>,
}

impl<'m> Written<'m> {
    /// Four words from a place on, of the packet that is asked for, a clock later; from a memory of its own.
    fn read(&self, name: &str, which: Sig<'m>, place: Sig<'m>) -> Vec<Sig<'m>> {
        let m = self.beat.module();
        let (beat, word) = (place.slice(2, clog2(BEATS)), place.trunc(clog2(WORDS)));
        let bank = |bank: u32| {
            let spec = RamSpec::new(2 * BEATS, 32)
                .style(RamStyle::Distributed)
                .latency(1);
            let ram = m.ram(&format!("{name}_{bank}"), spec);
            ram.write(self.passes, self.row, self.beat.slice(32 * bank, 32));
            // Words in front of the first one asked for are in the next beat.
            let next = word.gt(word.lit(bank.into())).zext(beat.width());
            ram.read(which.cat(beat + next))
        };
        (0..WORDS).map(bank).collect()
    }
}
