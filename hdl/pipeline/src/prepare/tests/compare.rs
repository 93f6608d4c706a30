//! An edit against the plan of the software.

use super::cases::{Case, at};
use crate::header::images::Read;
use crate::testing::*;
use seqnic_model::edit::Plan;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::tag_kind;

pub fn exception(case: &Case, edit: &Read) {
    assert_ne!(case.v.reason, Reason::Directed);
    unedited(edit);
    assert_eq!(edit.get("reason"), case.v.reason as u128);
    for bit in [
        "l2",
        "src",
        "dst",
        "traffic_class",
        "ip_checksum",
        "sport",
        "dport",
        "l4_checksum",
    ] {
        assert_eq!(edit.get(&format!("{bit}_valid")), 0, "{bit}");
    }
}

pub fn unedited(edit: &Read) {
    assert_eq!(edit.get("out_port"), SMALL.host_port().into());
    assert_eq!((edit.get("strip"), edit.get("prefix")), (0, 0));
    assert_eq!(edit.get("l2_valid"), 0);
}

/// Everything in front of the packet, as the fields say.
fn headers(case: &Case, plan: &Plan, edit: &Read, out: &[u8]) {
    let (h, get) = (&case.h, |name: &str| edit.get(name));
    let l3 = out.len() - (h.length - h.l3());
    let what = format!("{h:?} {plan:?} {:02x?}", &out[..l3]);
    assert_eq!(
        (get("strip"), get("prefix")),
        (h.l3.into(), l3 as u128),
        "{what}"
    );
    let (vids, tags) = plan.vlan();
    assert_eq!(get("tags_out"), tags as u128, "{what}");
    for (name, vid) in ["vid0", "vid1"].into_iter().zip(vids).take(tags) {
        assert_eq!(get(name), vid.into(), "{what}");
    }
    let Some(tag) = plan.tag.filter(|t| t.vid().is_none()) else {
        assert_eq!(get("tag_kind"), 0);
        return;
    };
    let row = &tag.row;
    let number = |at: usize, bytes: usize| {
        let bytes = &out[at..at + bytes];
        bytes.iter().fold(0u128, |n, b| n << 8 | u128::from(*b))
    };
    let l2 = 14 + 4 * tags;
    let (ip, class) = if row.v6 {
        (40, number(l2, 2) >> 4 & 0xff)
    } else {
        (20, number(l2 + 1, 1))
    };
    let behind = if tag.kind.is_tunnel() { l2 + ip } else { l2 };
    let service = |at: usize| {
        assert_eq!(get("spi"), number(at + 4, 3), "{what}");
        assert_eq!(get("si"), number(at + 7, 1), "{what}");
    };
    match get("tag_kind") as u32 {
        tag_kind::MPLS => {
            assert_eq!(get("number") & 0xf_ffff, number(behind, 3) >> 4, "{what}")
        }
        tag_kind::NSH1 | tag_kind::NSH2 => service(behind),
        tag_kind::GRE => assert_eq!(get("number"), number(behind + 4, 4), "{what}"),
        kind => {
            assert_eq!(get("udp_source"), number(behind, 2), "{what}");
            assert_eq!(get("udp_length"), number(behind + 4, 2), "{what}");
            assert_eq!(get("number") & 0xff_ffff, number(behind + 12, 3), "{what}");
            if kind != tag_kind::VXLAN {
                service(behind + 16);
            }
        }
    }
    if tag.kind.is_tunnel() {
        assert_eq!(get("outer_v6") == 1, row.v6);
        assert_eq!((get("outer_src"), get("outer_dst")), (row.src, row.dst));
        assert_eq!(get("traffic_class"), class, "{what}");
        let at = if row.v6 { 4 } else { 2 };
        assert_eq!(get("outer_length"), number(l2 + at, 2), "{what}");
        if !row.v6 {
            assert_eq!(get("outer_checksum"), number(l2 + 10, 2), "{what}");
        }
    }
}

pub fn copy(case: &Case, plan: &Plan, edit: &Read) {
    let h = &case.h;
    let what = format!("{:02x?} {h:?} {plan:?}", case.frame);
    let (to, get) = (&plan.to, |name: &str| edit.get(name));
    if let Some(reason) = plan.unsent(h) {
        unedited(edit);
        assert_eq!(get("reason"), reason as u128, "{what}");
        assert_eq!(edit.option("class"), None);
        return;
    }
    assert_eq!(get("reason"), 0, "{what}");
    assert_eq!(get("l2_valid"), 1);
    assert_eq!(get("action"), plan.action.into(), "{what}");
    assert_eq!(get("out_attachment"), to.counts.into(), "{what}");
    assert_eq!(get("out_port"), to.port.into());
    assert_eq!(get("out_interface"), to.interface.into());
    assert_eq!(get("comes_from"), to.comes_from.into());
    assert_eq!(get("flow_in"), h.fold().into(), "{what}");
    assert_eq!(get("flow_out"), plan.fold(h).into(), "{what}");
    assert_eq!(get("opening") == 1, h.opens(), "{what}");
    assert_eq!(get("answering") == 1, h.answers(), "{what}");
    assert_eq!(
        (get("dst_mac"), get("src_mac")),
        (to.dst_mac.into(), to.src_mac.into())
    );
    assert_eq!(
        (edit.option("src"), edit.option("dst")),
        (plan.src, plan.dst),
        "{what}"
    );
    let port = |name: &str| (get(&format!("{name}_valid")) == 1).then(|| get("new_port"));
    assert_eq!(port("sport"), plan.sport.map(u128::from), "{what}");
    assert_eq!(port("dport"), plan.dport.map(u128::from), "{what}");
    let class = plan.dscp.map(|d| u128::from(d << 2 | h.traffic_class & 3));
    assert_eq!(edit.option("traffic_class"), class, "{what}");
    assert_eq!(get("traffic_class"), plan.traffic_class(h).into(), "{what}");

    // The checksums are those in the frame which the software writes.
    let mut out = vec![0; plan.length(h)];
    plan.write(h, &case.frame, &mut out).unwrap();
    headers(case, plan, edit, &out);
    let l3 = out.len() - (h.length - h.l3());
    match edit.option("ip_checksum") {
        Some(new) => assert_eq!(new, at(&out, l3 + 10), "{what}"),
        None if h.v6 => {}
        None => assert_eq!(at(&out, l3 + 10), at(&case.frame, h.l3() + 10), "{what}"),
    }
    let place = h.l4_checksum().map(|i| i - h.l3());
    match edit.option("l4_checksum") {
        Some(new) => {
            let place = place.unwrap();
            assert_eq!(
                get("l4_offset") + get("l4_checksum_at"),
                place as u128,
                "{what}"
            );
            assert_eq!(new, at(&out, l3 + place), "{what}");
        }
        None => {
            if let Some(place) = place {
                assert_eq!(
                    at(&out, l3 + place),
                    at(&case.frame, h.l3() + place),
                    "{what}"
                );
            }
        }
    }
}
