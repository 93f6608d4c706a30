//! Ethernet header and VLAN tags (IEEE 802.3, 802.1Q; `docs/semantics.md` section 1.1).

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::stage::HEADER;
use seqnic_spec::tables::{ADDRESS_KEY, INTERFACE_KEY, width};
use seqnic_spec::wire::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, TPID_C, TPID_OLD, TPID_S};

use super::bytes::{ETHERNET_BYTES, L3_BYTES, L3_LENGTH_BITS, number, one_of};

/// Takes off up to two tags: module `header_ethernet`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `header` | record `header` | 0 | |
/// | `interface_key` | record | 1 | question to table `interface` |
/// | `tags` | 2 | 1 | tags taken off |
/// | `v4`, `v6`, `arp` | 1 | 1 | what the EtherType behind them is |
/// | `runt`, `vlan_depth` | 1 | 1 | checks that failed |
/// | `l3` | 8 * 114 | 2 | the window from the IP header on |
/// | `available` | 8 | 2 | bytes of the frame there; meaningless for a runt |
/// | `dst_key`, `src_key` | record | 2 | questions to table `address` |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn ethernet() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_ethernet");
    m.doc("Ethernet header and VLAN tags: where IP starts, and the addresses.");
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

    let tags = m.concat(&[two, one & !two]).reg();
    let (one, two) = (one.reg(), two.reg());
    let (v4, v6) = (ethertype(ETHERTYPE_IPV4), ethertype(ETHERTYPE_IPV6));
    let from = |tags: u32| {
        let at = ETHERNET_BYTES + 4 * tags;
        window.slice(at * 8, L3_BYTES * 8)
    };
    wire!(packet = by_tags(one, two, [from(0), from(1), from(2)]));
    let left = |tags: u32| {
        let at = length.lit((ETHERNET_BYTES + 4 * tags).into());
        (length - at).trunc(L3_LENGTH_BITS).reg()
    };
    let available = by_tags(one, two, [left(0), left(1), left(2)]);
    // The bytes are put in the order of a number only once, behind the choice of the family.
    let address_key = |v6_at: u32, v4_at: u32| {
        let short = packet.slice(v4_at * 8, 32).cat(m.lit(96, 0));
        let address = number(mux(v6, packet.slice(v6_at * 8, 128), short), 0, 16);
        m.pack(
            &Record::from(&ADDRESS_KEY),
            &[("v6", v6), ("address", address)],
        )
        .reg()
    };
    m.output("interface_key", key);
    m.output("tags", tags);
    m.output("v4", v4);
    m.output("v6", v6);
    m.output("arp", ethertype(ETHERTYPE_ARP));
    m.output("runt", runt);
    m.output("vlan_depth", vlan_depth);
    m.output("l3", packet.reg());
    m.output("available", available.reg());
    m.output("dst_key", address_key(24, 16));
    m.output("src_key", address_key(8, 12));
    m.finish()
}

/// The choice for no tag, one, two; `one` also holds for two.
fn by_tags<'m>(one: Sig<'m>, two: Sig<'m>, choices: [Sig<'m>; 3]) -> Sig<'m> {
    mux(two, choices[2], mux(one, choices[1], choices[0]))
}
