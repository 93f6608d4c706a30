//! What EDIT means, byte by byte.

use crate::testing::Random;
use seqnic_spec::tables::tag_kind;
use std::collections::BTreeMap;

/// The edit of one copy: field names and values of EDIT.
pub type Edit = BTreeMap<&'static str, u128>;

pub fn get(edit: &Edit, name: &str) -> u128 {
    edit.get(name).copied().unwrap_or(0)
}

/// The headers in front of the packet.
fn prefix_of(edit: &Edit) -> Vec<u8> {
    let number = |name: &str, n: usize| get(edit, name).to_be_bytes()[16 - n..].to_vec();
    let on = |name: &str| get(edit, name) == 1;
    let mut out = number("dst_mac", 6);
    out.extend(number("src_mac", 6));
    match get(edit, "tags_out") {
        0 => {}
        1 => {
            out.extend([0x81, 0x00]);
            out.extend(number("vid0", 2));
        }
        _ => {
            out.extend([0x88, 0xa8]);
            out.extend(number("vid0", 2));
            out.extend([0x81, 0x00]);
            out.extend(number("vid1", 2));
        }
    }
    let inner = if on("v6") { [0x86, 0xdd] } else { [0x08, 0x00] };
    let kind = get(edit, "tag_kind");
    let ip = |protocol: u8, out: &mut Vec<u8>| {
        let class = get(edit, "traffic_class") as u8;
        if on("outer_v6") {
            out.extend([0x86, 0xdd, 0x60 | class >> 4, class << 4, 0, 0]);
            out.extend(number("outer_length", 2));
            out.extend([protocol, 64]);
            out.extend(number("outer_src", 16));
            out.extend(number("outer_dst", 16));
            return;
        }
        out.extend([0x08, 0x00, 0x45, class]);
        out.extend(number("outer_length", 2));
        out.extend([0, 0, 0x40, 0, 64, protocol]);
        out.extend(number("outer_checksum", 2));
        out.extend(number("outer_src", 4));
        out.extend(number("outer_dst", 4));
    };
    let udp = |port: u16, out: &mut Vec<u8>| {
        ip(17, out);
        out.extend(number("udp_source", 2));
        out.extend(port.to_be_bytes());
        out.extend(number("udp_length", 2));
        out.extend([0, 0]);
    };
    let service = |md: u8, out: &mut Vec<u8>| {
        let (words, zeros) = if md == 1 { (6, 16) } else { (2, 0) };
        out.extend([0x0f, 0xc0 | words, md, if on("v6") { 2 } else { 1 }]);
        out.extend(number("spi", 3));
        out.extend(number("si", 1));
        out.extend(vec![0; zeros]);
    };
    match kind as u32 {
        tag_kind::NONE => out.extend(inner),
        tag_kind::MPLS => {
            out.extend([0x88, 0x47]);
            let label = (get(edit, "number") as u32) << 12 | 0x140;
            out.extend(label.to_be_bytes());
        }
        tag_kind::NSH1 | tag_kind::NSH2 => {
            out.extend([0x89, 0x4f]);
            service((kind - 2) as u8, &mut out);
        }
        tag_kind::VXLAN => {
            udp(4789, &mut out);
            out.extend([8, 0, 0, 0]);
            out.extend(number("number", 3));
            out.push(0);
            out.extend(number("dst_mac", 6));
            out.extend(number("src_mac", 6));
            out.extend(inner);
        }
        tag_kind::GPE1 | tag_kind::GPE2 => {
            udp(4790, &mut out);
            out.extend([0x0c, 0, 0, 4]);
            out.extend(number("number", 3));
            out.push(0);
            service((kind - 5) as u8, &mut out);
        }
        _ => {
            ip(47, &mut out);
            out.extend([0x20, 0]);
            out.extend(inner);
            out.extend(number("number", 4));
        }
    }
    out
}

/// What EDIT means, byte by byte.
pub fn plain(frame: &[u8], edit: &Edit) -> Vec<u8> {
    let on = |name: &str| get(edit, name) == 1;
    if !on("l2_valid") {
        return frame.to_vec();
    }
    let number = |name: &str, n: usize| get(edit, name).to_be_bytes()[16 - n..].to_vec();
    let mut out = prefix_of(edit);
    assert_eq!(out.len() as u128, get(edit, "prefix"));
    let l3 = out.len();
    out.extend(&frame[get(edit, "strip") as usize..]);
    let mut put = |at: usize, bytes: Vec<u8>| out[at..at + bytes.len()].copy_from_slice(&bytes);
    let (v6, class) = (on("v6"), get(edit, "traffic_class") as u8);
    let (n, src, dst) = if v6 { (16, 8, 24) } else { (4, 12, 16) };
    if on("src_valid") {
        put(l3 + src, number("src", n));
    }
    if on("dst_valid") {
        put(l3 + dst, number("dst", n));
    }
    if on("ip_checksum_valid") && !v6 {
        put(l3 + 10, number("ip_checksum", 2));
    }
    let l4 = l3 + get(edit, "l4_offset") as usize;
    if on("sport_valid") {
        put(l4, number("new_port", 2));
    }
    if on("dport_valid") {
        put(l4 + 2, number("new_port", 2));
    }
    if on("l4_checksum_valid") {
        put(
            l4 + get(edit, "l4_checksum_at") as usize,
            number("l4_checksum", 2),
        );
    }
    if on("traffic_class_valid") {
        match v6 {
            false => out[l3 + 1] = class,
            true => {
                out[l3] = out[l3] & 0xf0 | class >> 4;
                out[l3 + 1] = out[l3 + 1] & 0x0f | class << 4;
            }
        }
    }
    out
}

/// An edit the tables could give for a frame of `length` bytes.
pub fn random_edit(random: &mut Random, length: usize) -> Edit {
    let mut edit = Edit::new();
    let mut flag = |name, one_in| edit.insert(name, random.one_in(one_in).into());
    flag("v6", 2);
    for name in [
        "src_valid",
        "dst_valid",
        "traffic_class_valid",
        "l4_checksum_valid",
    ] {
        flag(name, 2);
    }
    for name in ["last", "first"] {
        flag(name, 2);
    }
    let v6 = get(&edit, "v6") == 1;
    edit.insert("l2_valid", (!random.one_in(8)).into());
    edit.insert("ip_checksum_valid", (!v6 && random.one_in(2)).into());
    edit.insert("tags_out", random.below(3).into());
    let kinds = [0, 0, 0, 2, 3, 4, 5, 6, 7, 8];
    edit.insert("tag_kind", random.pick(&kinds));
    edit.insert("outer_v6", random.below(2).into());
    let l3 = match random.one_in(2) {
        true => 14 + 2 * random.below((length as u64 - 34).min(118) / 2 + 1) as usize,
        false => 14,
    };
    edit.insert("strip", l3 as u128);
    // The transport header and all that is edited of it is inside frame and view.
    let (shortest, longest) = (
        if v6 { 40 } else { 20 },
        (length - l3).min(114).saturating_sub(18),
    );
    match longest >= shortest {
        true => {
            let offset = shortest + 4 * random.below((longest - shortest) as u64 / 4 + 1) as usize;
            edit.insert("l4_offset", offset as u128);
            // ICMPv6, with its checksum at 2, has no ports.
            let at = random.pick(&[16, 6, 2]);
            edit.insert("l4_checksum_at", at);
            if at > 2 {
                edit.insert(random.pick(&["sport_valid", "dport_valid", "tag"]), 1);
            }
        }
        false => {
            edit.insert("l4_checksum_valid", 0);
            if v6 && length < l3 + 40 {
                edit.insert("v6", 0);
            }
        }
    }
    let numbers = [
        ("tag", 64),
        ("vid0", 12),
        ("vid1", 12),
        ("dst_mac", 48),
        ("src_mac", 48),
        ("src", 128),
        ("dst", 128),
        ("traffic_class", 8),
        ("ip_checksum", 16),
        ("new_port", 16),
        ("l4_checksum", 16),
        ("outer_src", 128),
        ("outer_dst", 128),
        ("outer_checksum", 16),
        ("outer_length", 16),
        ("udp_length", 16),
        ("udp_source", 16),
        ("number", 32),
        ("spi", 24),
        ("si", 8),
        ("action", 22),
        ("out_port", 4),
        ("sender", 16),
        ("class", 20),
    ];
    for (name, bits) in numbers {
        let value = u128::from(random.word()) << 64 | u128::from(random.word());
        edit.insert(name, value >> (128 - bits));
    }
    // Numbers are only as wide as their headers.
    let bits = match edit["tag_kind"] as u32 {
        tag_kind::MPLS => 20,
        tag_kind::GRE => 32,
        _ => 24,
    };
    let number = edit["number"] & ((1 << bits) - 1);
    edit.insert("number", number);
    let prefix = prefix_of(&edit).len() as u128;
    edit.insert("prefix", prefix);
    edit
}
