//! Patch: all bytes a copy's EDIT puts in, at their places in the frame as it leaves.
//!
//! Every place is within the first [`PATCH_BYTES`] bytes. Masks are by half bytes, as the traffic
//! class of IPv6 stands across two bytes (RFC 8200 section 3). Tags, IP header and MACs have three
//! possible places, by the number of tags; transport fields stand at any even
//! place (a port and a checksum never at the same one).

use super::record;
use seqnic_gen::{Circuit, GenError, Module, Record, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;
use seqnic_spec::wire::{MAX_VLAN_TAGS, TPID_C, TPID_S, WINDOW_BYTES};

/// Bytes an edit can touch: the window, shifted by the tags that are put on.
pub const PATCH_BYTES: u32 = WINDOW_BYTES + 4 * MAX_VLAN_TAGS;

/// Clocks from the edit to its patch.
pub const LATENCY: u32 = 2;

/// Where the IP header starts without tags.
const L3: u32 = 14;
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

    /// Data and mask as two words, data zero where not masked, both a clock later.
    fn registered(&self, m: &'m Module, name: &str) -> Self {
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
        let data = parts(&masked, zero.0).named(&format!("{name}_data")).reg();
        let high = parts(&|b| b.high, zero.1)
            .named(&format!("{name}_high"))
            .reg();
        let low = parts(&|b| b.low, zero.1)
            .named(&format!("{name}_low"))
            .reg();
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
pub fn build(_: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("patch");
    m.doc(
        "The bytes an edit puts in, at their places in the frame as it leaves. Latency 2 clocks.",
    );
    let edit = m.input_record("edit", &record(&EDIT), None);
    let valid = |name: &str| edit.field(name) & edit.field("l2_valid");
    let (v6, l2) = (edit.field("v6"), edit.field("l2_valid"));
    let none = m.lit(1, 0);

    // Clock 0: the pieces, each from its own byte 0.
    let mut mac = Bytes::new(12);
    mac.put_number(0, edit.field("dst_mac"), l2);
    mac.put_number(6, edit.field("src_mac"), l2);

    let two = edit.field("tags_out").bit(1);
    let tagged = l2 & edit.field("tags_out").any();
    let mut tags = Bytes::new(8);
    let outer = two.mux(m.lit(16, TPID_S.into()), m.lit(16, TPID_C.into()));
    tags.put_number(0, outer.cat(edit.field("vid0").zext(16)), tagged);
    let inner = m.lit(16, TPID_C.into()).cat(edit.field("vid1").zext(16));
    tags.put_number(4, inner, l2 & two);

    let class = edit.field("traffic_class");
    let class_valid = valid("traffic_class_valid");
    let (src, src_valid) = (edit.field("src"), valid("src_valid"));
    let (dst, dst_valid) = (edit.field("dst"), valid("dst_valid"));
    let mut v4_header = Bytes::new(IP_BYTES);
    v4_header.put(1, class, class_valid, class_valid);
    v4_header.put_number(10, edit.field("ip_checksum"), valid("ip_checksum_valid"));
    v4_header.put_number(12, src.trunc(32), src_valid);
    v4_header.put_number(16, dst.trunc(32), dst_valid);
    let mut v6_header = Bytes::new(IP_BYTES);
    v6_header.put(0, class.slice(4, 4).zext(8), none, class_valid);
    v6_header.put(1, class.trunc(4).cat(m.lit(4, 0)), class_valid, none);
    v6_header.put_number(8, src, src_valid);
    v6_header.put_number(24, dst, dst_valid);
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

    // Half-word numbers: L3 and all offsets are even.
    let l4 = m.lit(7, u128::from(L3 / 2))
        + edit.field("tags_out").cat(m.lit(1, 0)).zext(7)
        + edit.field("l4_offset").slice(1, 6).zext(7);
    let port_at = l4 + edit.field("dport_valid").zext(7);
    let checksum_at = l4 + edit.field("l4_checksum_at").slice(1, 4).zext(7);
    let port_at = port_at.named("port_at").reg();
    let checksum_at = checksum_at.named("checksum_at").reg();
    let port_valid = (valid("sport_valid") | valid("dport_valid"))
        .named("port_valid")
        .reg();
    let checksum_valid = valid("l4_checksum_valid").named("checksum_valid").reg();
    let port = edit.field("new_port").named("port").reg();
    let checksum = edit.field("l4_checksum").named("checksum").reg();
    let places: Vec<_> = (0..=MAX_VLAN_TAGS)
        .map(|n| {
            edit.field("tags_out")
                .is(n.into())
                .named(&format!("place_{n}"))
                .reg()
        })
        .collect();

    // Clock 1: the pieces at their places; where no piece is there is zero, so `or` joins them.
    let mac = mac.registered(&m, "mac");
    let tags = tags.registered(&m, "tag");
    let ip = ip.registered(&m, "ip");
    let (mut data, mut mask) = (vec![], vec![]);
    for half in 0..PATCH_BYTES / 2 {
        let port_here = (port_valid & port_at.is(half.into())).named(&format!("port_here_{half}"));
        let checksum_here =
            (checksum_valid & checksum_at.is(half.into())).named(&format!("checksum_here_{half}"));
        for byte in [2 * half, 2 * half + 1] {
            let mut values = vec![];
            let (mut high, mut low) = (vec![], vec![]);
            for (piece, base) in [(&mac, 0), (&tags, 12)] {
                let found = byte
                    .checked_sub(base)
                    .and_then(|i| piece.0.get(i as usize))
                    .copied();
                if let Some(b) = found.flatten() {
                    values.push(b.value);
                    high.push(b.high);
                    low.push(b.low);
                }
            }
            for (n, place) in places.iter().enumerate() {
                let i = byte.checked_sub(L3 + 4 * n as u32);
                if let Some(b) = i.and_then(|i| ip.0.get(i as usize)).copied().flatten() {
                    values.push(b.value.when(*place));
                    high.push(b.high & *place);
                    low.push(b.low & *place);
                }
            }
            // The first transport field is behind L3 + 20, its last byte inside the window.
            if byte >= L3 + 20 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, small, unpacked};
    use seqnic_gen::Sim;

    /// Bytes with their masks of a patch; every edit at every place is tested with the editor.
    fn patch_of(fields: &[(&str, u128)]) -> (Vec<u8>, Vec<u8>) {
        let mut sim = Sim::new(&built(build(&small(64))));
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
    fn a_tag_and_a_traffic_class_are_at_their_places() {
        let fields = [
            ("l2_valid", 1),
            ("tags_out", 1),
            ("vid0", 0xabc),
            ("dst_mac", 0x0102_0304_0506),
            ("v6", 1),
            ("traffic_class_valid", 1),
            ("traffic_class", 0x9e),
        ];
        let (data, mask) = patch_of(&fields);
        assert_eq!(data[..6], [1, 2, 3, 4, 5, 6]);
        assert_eq!(data[12..20], [0x81, 0x00, 0x0a, 0xbc, 0, 0, 0x09, 0xe0]);
        // The EtherType stays; of the IP header only the class does not.
        assert_eq!(mask[..20], [[3; 16].as_slice(), &[0, 0, 1, 2]].concat());
        assert!(mask[20..].iter().all(|m| *m == 0) && data[20..].iter().all(|d| *d == 0));
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
        fields.extend([("tags_out", 2), ("src", u128::MAX), ("new_port", 0xffff)]);
        let (data, mask) = patch_of(&fields);
        assert!(data.iter().chain(&mask).all(|b| *b == 0));
    }
}
