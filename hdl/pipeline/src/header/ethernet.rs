//! Ethernet header and VLAN tags (IEEE 802.3, 802.1Q; `docs/semantics.md` section 1.1).

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{INTERFACE_KEY, width};
use seqnic_spec::wire::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_NSH, TPID_C, TPID_OLD,
    TPID_S,
};

use super::bytes::{ETHERNET_BYTES, L2_BYTES, L3_LENGTH_BITS, number, one_of};
use super::{PART_BYTES, PARTS, comes_in_parts, part_stage, parts};

/// Bytes behind the VLAN tags that do not need the last part of the window.
pub const NEAR_BYTES: u32 = 2 * PART_BYTES - ETHERNET_BYTES - 2 * 4;

/// Takes off up to two tags: module `header_ethernet`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `part0`, `part1`, `part2` | 8 * 64 | [`part_stage`] | the window |
/// | `length` | 8 | with `part2` | bytes of the frame in the window |
/// | `port` | 4 | 0 | |
/// | `interface_key` | record | 1 | question to table `interface` |
/// | `tags` | 2 | 1 | tags taken off |
/// | `vid` | 12 | 1 | the innermost VLAN ID that is not 0, if any |
/// | `v4`, `v6`, `arp`, `mpls`, `nsh` | 1 | 1 | what the EtherType behind them is; a level of logic behind the registers, as `vid` |
/// | `runt`, `vlan_depth` | 1 | 1, behind `length` | checks that failed |
/// | `near`, `far` | 8 * 106, 8 * 72 | 1, with `part2` | the window behind them; a level of logic behind the registers |
/// | `near` | 8 * 106 | 1 | alone, where headers are some clocks apart, and there is no `part2` |
///
/// # Errors
/// None for a geometry that passes its check.
pub fn ethernet(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ethernet");
    m.doc("Ethernet header and VLAN tags, and what stands behind them.");
    let part = |n: u32| m.input_at(&format!("part{n}"), PART_BYTES * 8, part_stage(g, n));
    let [window, middle] = [0, 1].map(part);
    let back = (parts(g) == PARTS).then(|| part(2));
    let length = m.input_at("length", L3_LENGTH_BITS, part_stage(g, PARTS - 1));
    let port = m.input_at("port", width::PORT, 0);

    // The EtherType without tags, behind one, behind two.
    let place = |tags: u32| number(window, 12 + 4 * tags, 2);
    let is_tag = |tags: u32| one_of(place(tags), &[TPID_C, TPID_S, TPID_OLD].map(u32::from));
    wire!(one = is_tag(0));
    wire!(two = one & is_tag(1));
    let short = |tags: u32| length.lt(length.lit((ETHERNET_BYTES + 4 * tags).into()));
    let runt = by_tags(one, two, [short(0), short(1), short(2)]).reg();
    let vlan_depth = (two & is_tag(2)).reg();
    let vid = |tag: u32| number(window, ETHERNET_BYTES + 4 * tag, 2).trunc(width::VID);
    let key = [
        ("port", port),
        ("vid0", vid(0).when(one)),
        ("vid1", vid(1).when(two)),
    ];
    let key = m.pack(&Record::from(&INTERFACE_KEY), &key).reg();
    let key = key.with_record(&Record::from(&INTERFACE_KEY));
    let (outer, inner) = (key.field("vid0"), key.field("vid1"));
    let innermost = mux(inner.any(), inner, outer).named("innermost");

    let tags = m.concat(&[two, one & !two]).reg();
    let (one, two) = (one.reg(), two.reg());
    // Compared at each place, and chosen behind the registers.
    let ethertype = |name: &str, value: u16| {
        let is = |tags| place(tags).is(value.into());
        let places = m
            .concat(&[is(2), is(1), is(0)])
            .named(&format!("{name}_at"));
        let places = places.reg();
        by_tags(one, two, [0, 1, 2].map(|tags| places.bit(tags)))
    };
    let both = middle.cat(window);
    let near = |tags: u32| both.slice((ETHERNET_BYTES + 4 * tags) * 8, NEAR_BYTES * 8);
    m.output("interface_key", key);
    m.output("tags", tags);
    m.output("vid", innermost);
    for (name, value) in [
        ("v4", ETHERTYPE_IPV4),
        ("v6", ETHERTYPE_IPV6),
        ("arp", ETHERTYPE_ARP),
        ("mpls", ETHERTYPE_MPLS),
        ("nsh", ETHERTYPE_NSH),
    ] {
        m.output(name, ethertype(name, value));
    }
    m.output("runt", runt);
    m.output("vlan_depth", vlan_depth);
    m.output("near", by_tags(one, two, [near(0), near(1), near(2)]));
    if let Some(back) = back {
        m.output("far", by_tags(one, two, far(g, middle, back)));
    }
    m.finish()
}

/// What is behind `near`, for no tag, one, two.
fn far<'m>(g: &Geometry, middle: Sig<'m>, back: Sig<'m>) -> [Sig<'m>; 3] {
    const FAR_BYTES: u32 = L2_BYTES - NEAR_BYTES;
    let end = middle.slice(
        (2 * PART_BYTES - FAR_BYTES) * 8,
        (FAR_BYTES - PART_BYTES) * 8,
    );
    // Registers of its own, where it waits for the last part.
    let end = match comes_in_parts(g) {
        true => end.named("end_of_middle"),
        false => end,
    };
    let rest = back.cat(end);
    [0, 1, 2].map(|tags| {
        rest.slice(4 * tags * 8, (FAR_BYTES - 4 * tags) * 8)
            .zext(FAR_BYTES * 8)
    })
}

/// The choice for no tag, one, two; `one` also holds for two.
fn by_tags<'m>(one: Sig<'m>, two: Sig<'m>, choices: [Sig<'m>; 3]) -> Sig<'m> {
    mux(two, choices[2], mux(one, choices[1], choices[0]))
}
