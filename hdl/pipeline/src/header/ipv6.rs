//! IPv6 header and extension headers (RFC 8200; `docs/semantics.md` section 1.3).

use seqnic_gen::{Circuit, GenError, Module, Record, Reg, Sig, mux, wire};
use seqnic_spec::wire::{EXT_AH, EXT_FRAGMENT, EXT_GENERIC, MAX_EXTENSION_HEADERS};

use super::bytes::{
    IPV6_BYTES, L3_BYTES, L3_LENGTH_BITS, L3_WORDS, PLACE_BITS, number, one_of, smaller,
};

/// Where the first extension header stands, and where the second does at the earliest, in words.
const FIRST: u32 = IPV6_BYTES / 4;
pub(super) const SECOND: u32 = FIRST + 2;
const _: () = assert!(SECOND.is_multiple_of(4), "places keep their lower bits");
/// Last place of an extension header whose first 8 bytes are in the window.
const LAST: u32 = L3_WORDS - 2;
/// Bits of a place counted from [`SECOND`]: 63 stands for everything too far.
const AT_BITS: u32 = 6;

/// Walks the extension headers, one a stage: module `header_ipv6`. What it says of other packets
/// means nothing.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `packet` | 8 * 114 | 0 | from the IP header on, zero past the end |
/// | `available` | 8 | 0 | bytes of the frame there |
/// | `more` | 1 | 0 | the frame goes on behind the window |
/// | `view` | 7 | 0 | words from the IP header on that may be read |
/// | `v6`, `v4_words` | 1, 4 | 0 | it is IPv6; words of its header if it is IPv4 |
/// | `limit` | 8 | 1 | bytes up to the end of packet or frame, whichever is first |
/// | `header_bad` | 1 | 4 | reason `ipv6_header` |
/// | `too_deep` | 1 | 4 | reason `too_deep`, of the walk |
/// | `protocol` | 8 | 4 | |
/// | `later` | 1 | 4 | a later fragment |
/// | `place` | 7 | 4 | transport header, in words from the IP header, of a packet of either family: chosen where it costs no level |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn ipv6() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ipv6");
    m.doc("IPv6 header: checks, extension headers one a stage, transport header's place.");
    let packet = m.input_at("packet", L3_BYTES * 8, 0);
    let available = m.input_at("available", L3_LENGTH_BITS, 0);
    let more = m.input_at("more", 1, 0);
    let view = m.input_at("view", PLACE_BITS, 0);
    let (v6, v4_words) = (m.input_at("v6", 1, 0), m.input_at("v4_words", 4, 0));

    let Fixed {
        bad,
        limit,
        payload,
        first,
    } = Fixed::of(packet, available, more);
    // The first extension header has a fixed place, so it needs no table.
    let first_bytes = m.lit(L3_LENGTH_BITS, u128::from(IPV6_BYTES + 8));
    let short = available.lt(first_bytes) | payload.lt(payload.lit(8));
    let mut state = first.step(entry(packet, FIRST), m.lit(1, 0), short).reg();

    let table: Vec<Sig> = (SECOND..=LAST).map(|place| entry(packet, place)).collect();
    let mut table = m
        .concat(&table.into_iter().rev().collect::<Vec<_>>())
        .reg()
        .named("headers");
    // In words, as every place is: place * 4 + 8 > limit if and only if place + 2 > limit / 4. What is compared with a place
    // is worked out beside the header before it.
    let words = limit.shr(2).trunc(L3_LENGTH_BITS - 2);
    let view = places_in(view).reg();
    // The first of them is compared in the clock in which the limit is known: a table, of one level.
    let places: Vec<Sig> = (0..1u128 << words.width())
        .map(|n| m.lit(PLACE_BITS, n.saturating_sub(u128::from(SECOND + 1))))
        .collect();
    let words = m.index(&places, words);
    for _ in 1..MAX_EXTENSION_HEADERS {
        let entries = table.chunks(Entry::BITS);
        let entries: Vec<Sig> = entries.into_iter().chain([m.lit(Entry::BITS, 0)]).collect();
        let header = m
            .index(&entries, state.at.trunc(4))
            .with_record(&Entry::record());
        let at = state.at.zext(PLACE_BITS);
        let (deep, short) = (at.ge(view), at.ge(words));
        state = state.step(header, deep, short).reg();
        table = table.reg();
    }
    let place = mux(v6, state.place(), v4_words.zext(PLACE_BITS));
    m.output("limit", limit);
    m.output("header_bad", bad | state.short);
    m.output("too_deep", state.deep | state.kind.any());
    m.output("protocol", state.protocol);
    m.output("later", state.later);
    m.output("place", place);
    m.finish()
}

/// How many places from [`SECOND`] on have the first 8 bytes of a header within so many words.
fn places_in(words: Sig<'_>) -> Sig<'_> {
    let before = words.lit(u128::from(SECOND + 1));
    (words - before).when(words.gt(before))
}

/// What the fixed header says.
pub(super) struct Fixed<'m> {
    /// A check has failed; a clock behind the header.
    pub bad: Sig<'m>,
    /// Bytes up to the end of packet or frame, whichever is first; a clock behind the header.
    pub limit: Sig<'m>,
    payload: Sig<'m>,
    /// The walk before its first header.
    pub first: Walk<'m>,
}

impl<'m> Fixed<'m> {
    pub fn of(packet: Sig<'m>, available: Sig<'m>, more: Sig<'m>) -> Fixed<'m> {
        let m = packet.module();
        let version = packet.slice(4, 4);
        let payload = number(packet, 4, 2);
        wire!(total = payload.zext(17) + m.lit(17, IPV6_BYTES.into()));
        let wide = available.zext(17);
        let bad = [
            available.lt(available.lit(IPV6_BYTES.into())),
            version.ne(version.lit(6)),
            !more & total.gt(wide),
        ];
        let bad = m.or(&bad).reg();
        let limit = smaller(total, wide)
            .trunc(L3_LENGTH_BITS)
            .reg()
            .named("limit_bytes");
        let next_header = number(packet, 6, 1);
        let kind = Kind::of(next_header);
        let first = Walk {
            at: m.lit(AT_BITS, 0),
            moved: m.lit(1, 0),
            kind,
            protocol: next_header,
            later: m.lit(1, 0),
            short: m.lit(1, 0),
            deep: m.lit(1, 0),
        };
        Fixed {
            bad,
            limit,
            payload,
            first,
        }
    }
}

/// The extension headers, by how their length is told; none for a protocol.
#[derive(Clone, Copy)]
pub(super) struct Kind<'m> {
    generic: Sig<'m>,
    fragment: Sig<'m>,
    ah: Sig<'m>,
}

impl<'m> Kind<'m> {
    fn of(next_header: Sig<'m>) -> Kind<'m> {
        Kind {
            generic: one_of(next_header, &EXT_GENERIC.map(u32::from)),
            fragment: next_header.is(EXT_FRAGMENT.into()),
            ah: next_header.is(EXT_AH.into()),
        }
    }

    pub fn any(&self) -> Sig<'m> {
        self.generic | self.fragment | self.ah
    }

    fn map(&self, f: impl Fn(Sig<'m>) -> Sig<'m>) -> Kind<'m> {
        Kind {
            generic: f(self.generic),
            fragment: f(self.fragment),
            ah: f(self.ah),
        }
    }
}

/// What a header of any kind would say if it stood at one place.
struct Entry;

impl Entry {
    /// A power of two, so that an entry is chosen by a part select.
    const BITS: u32 = 32;

    fn record() -> Record {
        Record::new(
            "extension_header",
            [
                ("generic_end", AT_BITS),
                ("ah_end", AT_BITS),
                ("fragment_end", AT_BITS),
                ("next_header", 8),
                ("generic", 1),
                ("fragment", 1),
                ("ah", 1),
                ("offset_not_zero", 1),
                ("spare", 2),
            ],
        )
    }
}

/// The entry of `place` in words; ends are counted from [`SECOND`].
fn entry<'m>(packet: Sig<'m>, place: u32) -> Sig<'m> {
    let base = |m: &'m Module| m.lit(AT_BITS, u128::from(place + 2 - SECOND));
    entry_of(packet, place * 4, &base)
}

/// The entry of the header that begins with `word`, which stands `at` words behind [`SECOND`], and has done so for a clock.
pub(super) fn entry_at<'m>(word: Sig<'m>, at: Sig<'m>) -> Sig<'m> {
    entry_of(word, 0, &|_| (at + at.lit(2)).reg())
}

fn entry_of<'m>(packet: Sig<'m>, at: u32, base: &dyn Fn(&'m Module) -> Sig<'m>) -> Sig<'m> {
    let m = packet.module();
    let next_header = number(packet, at, 1);
    let length = number(packet, at + 1, 1);
    let base = base(m);
    // A length that leads out of every window gives the place 63.
    let far = |from: u32| length.slice(from, 8 - from).any().repl(AT_BITS);
    let doubled = length.trunc(4).cat(m.lit(1, 0)).zext(AT_BITS);
    let generic_end = (base + doubled) | far(4);
    let ah_end = (base + length.trunc(5).zext(AT_BITS)) | far(5);
    let kind = Kind::of(next_header);
    let fields = [
        ("generic_end", generic_end),
        ("ah_end", ah_end),
        ("fragment_end", base),
        ("next_header", next_header),
        ("generic", kind.generic),
        ("fragment", kind.fragment),
        ("ah", kind.ah),
        (
            "offset_not_zero",
            number(packet, at + 2, 2).slice(3, 13).any(),
        ),
        ("spare", m.lit(2, 0)),
    ];
    m.pack(&Entry::record(), &fields)
}

/// State of the walk before a header.
#[derive(Clone, Copy)]
pub(super) struct Walk<'m> {
    /// Place of the header, in words from [`SECOND`], once one was walked.
    pub at: Sig<'m>,
    moved: Sig<'m>,
    /// Kind of the header there: none when the walk has ended.
    pub kind: Kind<'m>,
    /// Its number.
    pub protocol: Sig<'m>,
    pub later: Sig<'m>,
    /// The packet ends inside of a header.
    pub short: Sig<'m>,
    /// The window does.
    pub deep: Sig<'m>,
}

impl<'m> Walk<'m> {
    /// The state behind the header `header`, of which the first 8 bytes are not in the window
    /// (`deep`) or not in the packet (`short`).
    pub fn step(&self, header: Sig<'m>, deep: Sig<'m>, short: Sig<'m>) -> Walk<'m> {
        let m = header.module();
        let is = self.kind.any();
        let walk = is & !deep & !short;
        let ends = [
            (self.kind.generic, header.field("generic_end")),
            (self.kind.ah, header.field("ah_end")),
            (self.kind.fragment, header.field("fragment_end")),
        ];
        let later = walk & self.kind.fragment & header.field("offset_not_zero");
        let next = Kind {
            generic: header.field("generic"),
            fragment: header.field("fragment"),
            ah: header.field("ah"),
        };
        Walk {
            at: mux(walk, m.select_onehot(&ends), self.at),
            moved: self.moved | walk,
            kind: next.map(|k| k & walk & !later),
            protocol: mux(walk, header.field("next_header"), self.protocol),
            later: self.later | later,
            short: self.short | (is & short & !deep),
            deep: self.deep | (is & deep),
        }
    }

    fn reg(&self) -> Walk<'m> {
        self.map(Sig::reg)
    }

    pub fn map(&self, f: impl Fn(Sig<'m>) -> Sig<'m>) -> Walk<'m> {
        Walk {
            at: f(self.at),
            moved: f(self.moved),
            kind: self.kind.map(&f),
            protocol: f(self.protocol),
            later: f(self.later),
            short: f(self.short),
            deep: f(self.deep),
        }
    }

    /// Place of the header in words from the IP header.
    pub fn place(&self) -> Sig<'m> {
        let m = self.at.module();
        // The sum as a table of its upper bits: less than a carry chain, as the lower two stay.
        let upper = (0..16).map(|upper| m.lit(PLACE_BITS - 2, (upper + SECOND / 4).into()));
        let upper = m.index(&upper.collect::<Vec<_>>(), self.at.slice(2, AT_BITS - 2));
        let place = upper.cat(self.at.trunc(2));
        mux(self.moved, place, m.lit(PLACE_BITS, FIRST.into()))
    }

    /// This one, before the first header: its place counted as those of the others are.
    pub fn before_the_first(&self) -> Walk<'m> {
        let at = u128::from((1 << AT_BITS) + FIRST - SECOND);
        Walk {
            at: self.at.lit(at),
            ..*self
        }
    }

    /// The parts, and what each is called.
    fn parts(&self) -> [(&'static str, Sig<'m>); 9] {
        [
            ("at", self.at),
            ("moved", self.moved),
            ("generic", self.kind.generic),
            ("fragment", self.kind.fragment),
            ("ah", self.kind.ah),
            ("protocol", self.protocol),
            ("later", self.later),
            ("walk_short", self.short),
            ("walk_deep", self.deep),
        ]
    }

    fn of_parts(parts: [Sig<'m>; 9]) -> Walk<'m> {
        let [
            at,
            moved,
            generic,
            fragment,
            ah,
            protocol,
            later,
            short,
            deep,
        ] = parts;
        let kind = Kind {
            generic,
            fragment,
            ah,
        };
        Walk {
            at,
            moved,
            kind,
            protocol,
            later,
            short,
            deep,
        }
    }

    /// This one where `chosen`, else the `other`.
    pub fn or_else(&self, chosen: Sig<'m>, other: &Walk<'m>) -> Walk<'m> {
        let (ours, others) = (self.parts(), other.parts());
        Walk::of_parts(std::array::from_fn(|n| mux(chosen, ours[n].1, others[n].1)))
    }

    /// Registers for a state, one of which is this.
    pub fn hold(&self, m: &'m Module) -> Held<'m> {
        let registers = self
            .parts()
            .map(|(name, part)| m.reg_no_reset(&format!("{name}_q"), part.width()));
        Held(registers)
    }
}

/// A state of the walk that is kept.
pub(super) struct Held<'m>([Reg<'m>; 9]);

impl<'m> Held<'m> {
    pub fn q(&self) -> Walk<'m> {
        Walk::of_parts(std::array::from_fn(|n| self.0[n].q()))
    }

    pub fn set_when(&self, when: Sig<'m>, state: &Walk<'m>) {
        for (register, (_, part)) in self.0.iter().zip(state.parts()) {
            register.set_when(when, part);
        }
    }
}
