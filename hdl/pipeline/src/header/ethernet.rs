//! Ethernet header and VLAN tags (IEEE 802.3, 802.1Q; `docs/semantics.md` section 1.1).

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::stage::HEADER;
use seqnic_spec::tables::{INTERFACE_KEY, width};
use seqnic_spec::wire::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_NSH, TPID_C, TPID_OLD,
    TPID_S,
};

use super::bytes::{ETHERNET_BYTES, L2_BYTES, number, one_of};

/// Takes off up to two tags: module `header_ethernet`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `header` | record `header` | 0 | |
/// | `interface_key` | record | 1 | question to table `interface` |
/// | `tags` | 2 | 1 | tags taken off |
/// | `vid` | 12 | 1 | the innermost VLAN ID that is not 0, if any |
/// | `v4`, `v6`, `arp`, `mpls`, `nsh` | 1 | 1 | what the EtherType behind them is |
/// | `runt`, `vlan_depth` | 1 | 1 | checks that failed |
/// | `packet` | 8 * 178 | 1 | the window behind them; a level of logic behind the registers |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn ethernet() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ethernet");
    m.doc("Ethernet header and VLAN tags, and what stands behind them.");
    let header = m.input_record("header", &(&HEADER).into(), Some(0));
    let window = header.field("window");
    let length = header.field("length");

    // The EtherType without tags, behind one, behind two.
    let place = |tags: u32| number(window, 12 + 4 * tags, 2);
    let is_tag = |tags: u32| one_of(place(tags), &[TPID_C, TPID_S, TPID_OLD].map(u32::from));
    wire!(one = is_tag(0));
    wire!(two = one & is_tag(1));
    let ethertype = |value: u16| {
        let is = |tags| place(tags).is(value.into());
        by_tags(one, two, [is(0), is(1), is(2)]).reg()
    };
    let short = |tags: u32| length.lt(length.lit((ETHERNET_BYTES + 4 * tags).into()));
    let runt = by_tags(one, two, [short(0), short(1), short(2)]).reg();
    let vlan_depth = (two & is_tag(2)).reg();
    let vid = |tag: u32| number(window, ETHERNET_BYTES + 4 * tag, 2).trunc(width::VID);
    let key = [
        ("port", header.field("port")),
        ("vid0", vid(0).when(one)),
        ("vid1", vid(1).when(two)),
    ];
    let key = m.pack(&Record::from(&INTERFACE_KEY), &key).reg();

    let inner = vid(1).any() & two;
    let innermost = mux(inner, vid(1), vid(0).when(one)).named("innermost");

    let tags = m.concat(&[two, one & !two]).reg();
    let (one, two) = (one.reg(), two.reg());
    let from = |tags: u32| {
        let at = ETHERNET_BYTES + 4 * tags;
        window
            .slice(at * 8, (L2_BYTES - 4 * tags) * 8)
            .zext(L2_BYTES * 8)
    };
    m.output("interface_key", key);
    m.output("tags", tags);
    m.output("vid", innermost.reg());
    m.output("v4", ethertype(ETHERTYPE_IPV4));
    m.output("v6", ethertype(ETHERTYPE_IPV6));
    m.output("arp", ethertype(ETHERTYPE_ARP));
    m.output("mpls", ethertype(ETHERTYPE_MPLS));
    m.output("nsh", ethertype(ETHERTYPE_NSH));
    m.output("runt", runt);
    m.output("vlan_depth", vlan_depth);
    m.output("packet", by_tags(one, two, [from(0), from(1), from(2)]));
    m.finish()
}

/// The choice for no tag, one, two; `one` also holds for two.
fn by_tags<'m>(one: Sig<'m>, two: Sig<'m>, choices: [Sig<'m>; 3]) -> Sig<'m> {
    mux(two, choices[2], mux(one, choices[1], choices[0]))
}
