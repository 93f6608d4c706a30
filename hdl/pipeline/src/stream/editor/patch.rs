//! Patch: what a copy's EDIT changes in the packet, from its IP header on.
//!
//! Every place is within the first [`PATCH_BYTES`] bytes. Masks are by half bytes, as the traffic
//! class of IPv6 stands across two bytes (RFC 8200 section 3). Transport fields stand at any even
//! place (a port and a checksum never at the same one).

use super::beats;
use crate::stream::record;
use seqnic_gen::{Circuit, GenError, Module, Record, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;
use seqnic_spec::wire::VIEW_BYTES;

/// Bytes an edit can touch.
pub const PATCH_BYTES: u32 = VIEW_BYTES;

/// Clocks from the edit to its patch.
pub const LATENCY: u32 = 3;

/// Bytes of an IP header that can be edited (IPv6 without extension headers; IPv4 uses 20 of them).
const IP_BYTES: u32 = 40;

/// `data` (bytes, byte 0 lowest) and `mask` (one bit for each half byte of `data`).
pub fn layout() -> Record {
    Record::new(
        "patch",
        [("data", PATCH_BYTES * 8), ("mask", PATCH_BYTES * 2)],
    )
}

/// One byte with the masks of its halves.
#[derive(Clone, Copy)]
struct Byte<'m> {
    value: Sig<'m>,
    high: Sig<'m>,
    low: Sig<'m>,
}

/// Bytes 0 up to the highest put, with holes.
struct Bytes<'m>(Vec<Option<Byte<'m>>>);

impl<'m> Bytes<'m> {
    fn new(len: u32) -> Self {
        Bytes(vec![None; len as usize])
    }

    fn put(&mut self, at: u32, value: Sig<'m>, high: Sig<'m>, low: Sig<'m>) {
        self.0[at as usize] = Some(Byte { value, high, low });
    }

    /// A number from byte `at` on, its highest byte first, where `valid`.
    fn put_number(&mut self, at: u32, number: Sig<'m>, valid: Sig<'m>) {
        for (i, byte) in number.chunks(8).into_iter().rev().enumerate() {
            self.put(at + i as u32, byte, valid, valid);
        }
    }

    /// Data and mask as words, data zero where not masked, `clocks` later.
    fn later(&self, m: &'m Module, name: &str, clocks: u32) -> Self {
        let zero = (m.lit(8, 0), m.lit(1, 0));
        let parts = |f: &dyn Fn(&Byte<'m>) -> Sig<'m>, none: Sig<'m>| -> Sig<'m> {
            let list: Vec<_> = self
                .0
                .iter()
                .rev()
                .map(|b| b.as_ref().map_or(none, f))
                .collect();
            m.concat(&list)
        };
        let masked = |b: &Byte<'m>| b.high.repl(4).cat(b.low.repl(4)) & b.value;
        let data = parts(&masked, zero.0)
            .named(&format!("{name}_data"))
            .delay(clocks);
        let high = parts(&|b| b.high, zero.1)
            .named(&format!("{name}_high"))
            .delay(clocks);
        let low = parts(&|b| b.low, zero.1)
            .named(&format!("{name}_low"))
            .delay(clocks);
        let at = |i: usize| Byte {
            value: data.slice(i as u32 * 8, 8),
            high: high.bit(i as u32),
            low: low.bit(i as u32),
        };
        Bytes(
            self.0
                .iter()
                .enumerate()
                .map(|(i, b)| b.map(|_| at(i)))
                .collect(),
        )
    }
}

/// `edit` ([`EDIT`]) in, `patch` ([`layout`]) out, [`LATENCY`] clocks later. Without `l2_valid`
/// the patch is empty.
///
/// # Errors
/// None.
pub fn at_once() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("patch");
    m.doc(
        "The bytes an edit puts into the packet, at their places from its IP header on. Latency 3\n\
         clocks.",
    );
    let edit = m.input_record("edit", &record(&EDIT), None);
    let valid = |name: &str| edit.field(name) & edit.field("l2_valid");
    let v6 = edit.field("v6");
    let none = m.lit(1, 0);

    // Clock 0: the IP header.
    let (v4_header, v6_header) = ip_headers(edit, none, |name| [valid(name); 2]);
    let mut ip = Bytes::new(IP_BYTES);
    let nothing = Byte {
        value: m.lit(8, 0),
        high: none,
        low: none,
    };
    for (i, (v4, v6_byte)) in v4_header.0.iter().zip(&v6_header.0).enumerate() {
        if v4.is_none() && v6_byte.is_none() {
            continue;
        }
        let (a, b) = (v6_byte.unwrap_or(nothing), v4.unwrap_or(nothing));
        ip.put(
            i as u32,
            v6.mux(a.value, b.value),
            v6.mux(a.high, b.high),
            v6.mux(a.low, b.low),
        );
    }

    // Half-word numbers: all offsets are even.
    let (port_at, checksum_at) = transport_places(edit);
    let port_at = port_at.named("port_at").reg();
    let checksum_at = checksum_at.named("checksum_at").reg();
    let port_valid = (valid("sport_valid") | valid("dport_valid"))
        .named("port_valid")
        .reg();
    let checksum_valid = valid("l4_checksum_valid").named("checksum_valid").reg();
    let port = edit.field("new_port").named("port").delay(2);
    let checksum = edit.field("l4_checksum").named("checksum").delay(2);

    // Clock 1: which place each has. It is a clock of its own, or every bit gets comparators of its own.
    let port_places = places("port_places", port_valid, port_at);
    let checksum_places = places("checksum_places", checksum_valid, checksum_at);

    // Clock 2: all at their places; where nothing is there is zero, so `or` joins them.
    let ip = ip.later(&m, "ip", 2);
    let (mut data, mut mask) = (vec![], vec![]);
    for half in 0..PATCH_BYTES / 2 {
        let (port_here, checksum_here) = (port_places.bit(half), checksum_places.bit(half));
        for byte in [2 * half, 2 * half + 1] {
            let mut values = vec![];
            let (mut high, mut low) = (vec![], vec![]);
            if let Some(b) = ip.0.get(byte as usize).copied().flatten() {
                values.push(b.value);
                high.push(b.high);
                low.push(b.low);
            }
            // The first transport field is behind an IPv4 header.
            if byte >= 20 {
                let lo = if byte % 2 == 0 { 8 } else { 0 };
                values.push(port.slice(lo, 8).when(port_here));
                values.push(checksum.slice(lo, 8).when(checksum_here));
                high.extend([port_here, checksum_here]);
                low.extend([port_here, checksum_here]);
            }
            data.push(if values.is_empty() {
                m.lit(8, 0)
            } else {
                m.or(&values)
            });
            mask.push(if low.is_empty() { none } else { m.or(&low) });
            mask.push(if high.is_empty() { none } else { m.or(&high) });
        }
    }
    data.reverse();
    mask.reverse();
    let patch = m.pack(
        &layout(),
        &[
            ("data", m.concat(&data).named("placed").reg()),
            ("mask", m.concat(&mask).named("placed_mask").reg()),
        ],
    );
    m.output("patch", patch);
    m.finish()
}

/// One beat of the patch for each slot with bytes of the packet (`step`, and `starts` with the first of them): `data` and `mask`,
/// [`LATENCY`] clocks later. See [`beats`] for how long `edit` stays.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn in_turns(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("patch_beats");
    m.doc("The bytes an edit puts into the packet, beat by beat. Latency 3 clocks.");
    let edit = m.input_record("edit", &record(&EDIT), None);
    let (step, starts) = (m.input("step", 1), m.input("starts", 1));
    let slots = beats::Slots {
        step,
        first: starts,
    };
    let valid = |name: &str| edit.field(name) & edit.field("l2_valid");

    // Of the edit alone: what is edited, and where.
    let v6 = edit.field("v6");
    let edited = |name: &str| [!v6, v6].map(|family| (valid(name) & family).reg());
    let (v4_header, v6_header) = ip_headers(edit, m.lit(1, 0), edited);
    let (port_at, checksum_at) = transport_places(edit);
    let port_valid = (valid("sport_valid") | valid("dport_valid")).named("port_valid");
    let checksum_valid = valid("l4_checksum_valid").named("checksum_valid");

    // Which of it is in this beat.
    let of_beat: Vec<_> = (0..IP_BYTES.div_ceil(g.bus_bytes))
        .map(|n| slots.is("ip_beat", n))
        .collect();
    let port_places = slots.at("port_places", g, port_at, port_valid);
    let checksum_places = slots.at("checksum_places", g, checksum_at, checksum_valid);
    let (port, checksum) = (edit.field("new_port"), edit.field("l4_checksum"));

    let (mut data, mut mask) = (vec![], vec![]);
    for byte in 0..g.bus_bytes {
        let (mut values, mut high, mut low) = (vec![], vec![], vec![]);
        for (n, here) in (0..).zip(&of_beat) {
            for header in [&v4_header, &v6_header] {
                let place = (n * g.bus_bytes + byte) as usize;
                let Some(b) = header.0.get(place).copied().flatten() else {
                    continue;
                };
                let (is_high, is_low) = (*here & b.high, *here & b.low);
                values.push(is_high.repl(4).cat(is_low.repl(4)) & b.value);
                high.push(is_high);
                low.push(is_low);
            }
        }
        let at = if byte % 2 == 0 { 8 } else { 0 };
        for (places, field) in [(port_places, port), (checksum_places, checksum)] {
            let here = places.bit(byte / 2);
            values.push(field.slice(at, 8).when(here));
            high.push(here);
            low.push(here);
        }
        data.push(m.or(&values));
        mask.extend([m.or(&low), m.or(&high)]);
    }
    data.reverse();
    mask.reverse();
    m.output("data", m.concat(&data).named("placed").delay(2));
    m.output("mask", m.concat(&mask).named("placed_mask").delay(2));
    m.finish()
}

/// What is edited in the IP header, in an IPv4 and in an IPv6 one: `edited` says whether a field is, in each of them.
fn ip_headers<'m>(
    edit: Sig<'m>,
    none: Sig<'m>,
    edited: impl Fn(&str) -> [Sig<'m>; 2],
) -> (Bytes<'m>, Bytes<'m>) {
    let m = edit.module();
    let class = edit.field("traffic_class");
    let [v4_class, v6_class] = edited("traffic_class_valid");
    let (src, [v4_src, v6_src]) = (edit.field("src"), edited("src_valid"));
    let (dst, [v4_dst, v6_dst]) = (edit.field("dst"), edited("dst_valid"));
    let mut v4_header = Bytes::new(IP_BYTES);
    v4_header.put(1, class, v4_class, v4_class);
    let (checksum, [v4_checksum, _]) = (edit.field("ip_checksum"), edited("ip_checksum_valid"));
    v4_header.put_number(10, checksum, v4_checksum);
    v4_header.put_number(12, src.trunc(32), v4_src);
    v4_header.put_number(16, dst.trunc(32), v4_dst);
    let mut v6_header = Bytes::new(IP_BYTES);
    v6_header.put(0, class.slice(4, 4).zext(8), none, v6_class);
    v6_header.put(1, class.trunc(4).cat(m.lit(4, 0)), v6_class, none);
    v6_header.put_number(8, src, v6_src);
    v6_header.put_number(24, dst, v6_dst);
    (v4_header, v6_header)
}

/// Where a port and where a checksum is edited, in half-words: all offsets are even.
fn transport_places(edit: Sig<'_>) -> (Sig<'_>, Sig<'_>) {
    let l4 = edit.field("l4_offset").slice(1, 6).zext(7);
    let port_at = l4 + edit.field("dport_valid").zext(7);
    let checksum_at = l4 + edit.field("l4_checksum_at").slice(1, 4).zext(7);
    (port_at, checksum_at)
}

/// One bit for each half-word of the patch: whether `at` names it, where `valid`; a clock later.
fn places<'m>(name: &str, valid: Sig<'m>, at: Sig<'m>) -> Sig<'m> {
    let places: Vec<_> = (0..PATCH_BYTES / 2)
        .rev()
        .map(|half| valid & at.is(half.into()))
        .collect();
    at.module().concat(&places).named(name).reg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, unpacked};
    use seqnic_gen::Sim;

    /// Bytes with their masks of a patch; every edit at every place is tested with the editor.
    fn patch_of(fields: &[(&str, u128)]) -> (Vec<u8>, Vec<u8>) {
        let mut sim = Sim::new(&built(at_once()));
        sim.set_bits("edit", &packed(&record(&EDIT), fields));
        sim.step_n(LATENCY);
        let patch = sim.get_bits("patch");
        let mask = unpacked(&layout(), &patch, "mask");
        let halves = (0..PATCH_BYTES).map(|i| mask.slice(2 * i, 2).low_u64() as u8);
        (
            unpacked(&layout(), &patch, "data").to_bytes_le(),
            halves.collect(),
        )
    }

    #[test]
    fn a_traffic_class_and_a_port_are_at_their_places() {
        let fields = [
            ("l2_valid", 1),
            ("v6", 1),
            ("traffic_class_valid", 1),
            ("traffic_class", 0x9e),
            ("l4_offset", 48),
            ("dport_valid", 1),
            ("new_port", 0x1234),
        ];
        let (data, mask) = patch_of(&fields);
        assert_eq!((&data[..2], &mask[..2]), (&[0x09, 0xe0][..], &[1, 2][..]));
        assert_eq!(
            (&data[50..52], &mask[50..52]),
            (&[0x12, 0x34][..], &[3, 3][..])
        );
        assert_eq!(mask.iter().filter(|m| **m != 0).count(), 4);
    }

    #[test]
    fn a_copy_for_the_host_stays_as_it_is() {
        let valid = [
            "src_valid",
            "dst_valid",
            "sport_valid",
            "l4_checksum_valid",
            "v6",
        ];
        let mut fields: Vec<_> = valid.iter().map(|name| (*name, 1)).collect();
        fields.extend([("prefix", 22), ("src", u128::MAX), ("new_port", 0xffff)]);
        let (data, mask) = patch_of(&fields);
        assert!(data.iter().chain(&mask).all(|b| *b == 0));
    }
}
