//! Tags and tunnels: their values, and what must hold of elements that are tracked by them.

use super::fields::Fields;
use super::findings::Findings;
use super::tree::Node;
use super::values;
use super::{
    Attachments, Definition, Device, DeviceId, Directions, Element, Interface, KeyedBy, MdType,
    Place, ReturnWay, Role, Service, Side, Tag, TagBases, Tracking,
};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::HashSet;
use std::net::IpAddr;

/// Tags by the names they have in a definition.
pub(crate) const TAGS: [(&str, Tag); 9] = [
    ("dscp", Tag::Dscp),
    ("vlan", Tag::Vlan),
    ("mpls", Tag::Mpls),
    ("nsh", Tag::Nsh(MdType::One)),
    ("nsh-md2", Tag::Nsh(MdType::Two)),
    ("vxlan", Tag::Vxlan),
    ("vxlan-gpe", Tag::Gpe(MdType::One)),
    ("vxlan-gpe-md2", Tag::Gpe(MdType::Two)),
    ("gre", Tag::Gre),
];

/// Name of a tag in a definition.
fn name(tag: Tag) -> &'static str {
    let found = TAGS.iter().find(|(_, t)| *t == tag);
    found.map_or("", |(name, _)| name)
}

/// Last number of an element that DSCP tells: six bits, of which two say that it is one.
const LAST_DSCP: u32 = 15;
/// Last number of an element: a service index of NSH counts down from 255 and is never 0.
const LAST: u32 = 253;
/// Last VLAN ID there is (IEEE 802.1Q).
const LAST_VID: u32 = 4094;

/// `tags` of an interface.
pub(crate) fn bases(f: &mut Findings, node: &Node, owner: &str) -> Option<TagBases> {
    let keys = ["vlan", "mpls", "spi", "vni", "gre"];
    let owner = format!("`tags` of {owner}");
    let fields = Fields::of(f, node, owner, node.span, &keys)?;
    let mut bases = TagBases::default();
    let mut number = |key: &str, range| {
        let node = fields.get(key)?;
        let what = format_args!("`{key}` in {}", fields.owner);
        f.number(node, what, range, "tag_range").map(|at| at.value)
    };
    if let Some(vlan) = number("vlan", 0..=u64::from(LAST_VID) - 1) {
        bases.vlan = vlan as u16;
    }
    // Labels 0 to 15 are reserved (RFC 3032 section 2.1).
    if let Some(mpls) = number("mpls", 15..=65534) {
        bases.mpls = mpls as u16;
    }
    if let Some(spi) = number("spi", 0..=0xff_ffff) {
        bases.spi = spi as u32;
    }
    if let Some(vni) = number("vni", 0..=65534) {
        bases.vni = vni as u16;
    }
    if let Some(gre) = number("gre", 0..=65534) {
        bases.gre = gre as u16;
    }
    Some(bases)
}

/// `tunnel` of an interface: at most one address of each family.
pub(crate) fn tunnels(f: &mut Findings, node: &Node, owner: &str) -> Vec<IpAddr> {
    let what = format_args!("`tunnel` of {owner}");
    let (found, _) = values::addresses(f, node, what);
    values::one_of_each_family(f, &found, what);
    found.into_iter().map(|a| a.value).collect()
}

/// `tunnel` of a device: one address.
pub(crate) fn tunnel(f: &mut Findings, node: &Node, owner: &str) -> Option<IpAddr> {
    let (found, _) = values::addresses(f, node, format_args!("`tunnel` of {owner}"));
    if let Some(second) = found.get(1) {
        f.error(
            "two_tunnel_ends",
            format!("{owner} has several tunnel addresses"),
            second.span,
            "a device has one end of tunnels: write its address alone",
        );
    }
    found.first().map(|at| at.value)
}

impl Device {
    /// Where it is on `side`; `None` if it is not attached.
    pub(crate) fn place(&self, side: Side) -> Option<&Place> {
        match (&self.attachments, side) {
            (Attachments::One(place), _) => Some(place),
            (Attachments::Two { outside, .. }, Side::Outside) => Some(outside),
            (Attachments::Two { inside, .. }, Side::Inside) => Some(inside),
            (Attachments::Via(_), _) => None,
        }
    }

    /// Ends of a tunnel from `interface` to it, the engine's first.
    pub(crate) fn tunnel_ends(&self, interface: &Interface) -> Option<(IpAddr, IpAddr)> {
        let mut ends = interface.tunnels.iter();
        match self.tunnel {
            Some(end) => {
                let own = ends.find(|a| a.is_ipv4() == end.is_ipv4())?;
                Some((*own, end))
            }
            None => ends.find_map(|own| Some((*own, self.address_like(*own)?))),
        }
    }
}

/// How packets from an element are known, as its own `tracking` says, else as the interface.
pub(crate) fn tag_on(own: Option<Tag>, interface: &Interface) -> Option<Tag> {
    own.or(match interface.tracking {
        Tracking::Tag(tag) => Some(tag),
        Tracking::SourceMac | Tracking::Segment => None,
    })
}

/// An element as packets of one direction meet it.
struct Passage<'d> {
    role: &'d Role,
    entering: Side,
    leaving: Side,
    own: Option<Tag>,
    number: u32,
    span: Span,
}

/// Every passage of a service.
fn passages(service: &Service) -> Vec<Passage<'_>> {
    let end = service
        .sequence
        .iter()
        .rposition(|e| matches!(e, Element::Device { .. }))
        .filter(|_| service.keyed_by == KeyedBy::Destination);
    let mirrored = matches!(service.return_way, ReturnWay::Mirror);
    let list: &[Element] = match &service.return_way {
        ReturnWay::List(list) => list,
        _ => &[],
    };
    let forward = service.sequence.iter().enumerate();
    let back = list.iter().enumerate();
    let forward = forward.map(|(at, e)| (at, e, true, mirrored, Some(at) == end));
    let back = back.map(|(at, e)| (service.sequence.len() + at, e, false, true, false));
    let mut all = Vec::new();
    for (at, element, goes, comes_back, is_end) in forward.chain(back) {
        let passage = |role, entering, leaving, own, span| Passage {
            role,
            entering,
            leaving,
            own,
            number: at as u32 + 1,
            span,
        };
        match element {
            Element::Copy {
                role,
                directions,
                tracking,
                span,
                ..
            } => {
                let made = match directions {
                    Directions::Both => goes || comes_back,
                    Directions::Forward => goes,
                    Directions::Return => comes_back,
                };
                if made {
                    let side = Side::Outside;
                    all.push(passage(role, side, side, *tracking, *span));
                }
            }
            Element::Device {
                role,
                enter,
                tracking,
                span,
                ..
            } => {
                let there = if is_end { *enter } else { enter.other() };
                if goes {
                    all.push(passage(role, *enter, there, *tracking, *span));
                }
                if comes_back && !is_end {
                    all.push(passage(role, there, *enter, *tracking, *span));
                }
            }
        }
    }
    all
}

/// Checks a definition of which everything else is right.
pub(crate) fn check(f: &mut Findings, definition: &Definition) {
    ports(f, definition);
    let mut vids = HashSet::new();
    for service in &definition.services {
        for passage in passages(service) {
            let devices =
                std::iter::once(passage.role.device).chain(passage.role.alternates.clone());
            for id in devices {
                one(f, definition, service, &passage, id, &mut vids);
            }
        }
    }
}

/// The engine has one tunnel address of a family on a port.
fn ports(f: &mut Findings, definition: &Definition) {
    for (at, interface) in definition.interfaces.iter().enumerate() {
        for own in &interface.tunnels {
            let other = definition.interfaces[..at].iter().find(|other| {
                let like = |a: &&IpAddr| a.is_ipv4() == own.is_ipv4();
                other.port == interface.port
                    && other.tunnels.iter().find(like).is_some_and(|a| a != own)
            });
            if let Some(other) = other {
                f.push(
                    Diagnostic::new(
                        "tunnels_of_a_port",
                        format!(
                            "interfaces `{}` and `{}` are on port {} and have different tunnel addresses",
                            other.name, interface.name, interface.port
                        ),
                        interface.span,
                        "tunnels are recognised by the port they arrive on: give both the same `tunnel` address \
                         of a family, or move one to another port",
                    )
                    .also(other.span, "the other interface"),
                );
            }
        }
    }
}

/// One device of a passage.
fn one(
    f: &mut Findings,
    definition: &Definition,
    service: &Service,
    passage: &Passage,
    id: DeviceId,
    vids: &mut HashSet<(u8, Vec<u16>, u16)>,
) {
    let device = &definition.devices[id];
    let service = format!("service `{}`", service.name);
    let (Some(enters), Some(leaves)) = (
        device.place(passage.entering),
        device.place(passage.leaving),
    ) else {
        if let Some(own) = passage.own {
            f.push(
                Diagnostic::new(
                    "via_with_tag",
                    format!(
                        "{service} tracks `{}` by `{}`, but it is reached through a host",
                        device.name,
                        name(own)
                    ),
                    passage.span,
                    "what comes from behind a router is known by the router: remove `tracking`, or attach the device",
                )
                .also(device.span, "reached with `via`"),
            );
        }
        return;
    };
    let (to, from) = (
        &definition.interfaces[enters.interface],
        &definition.interfaces[leaves.interface],
    );
    let (put_on, expected) = (tag_on(passage.own, to), tag_on(passage.own, from));
    let header = |tag: Option<Tag>| tag.filter(|t| *t != Tag::Dscp);
    if header(put_on) != header(expected) {
        let words =
            |tag: Option<Tag>| tag.map_or("no tag".to_owned(), |t| format!("`{}`", name(t)));
        push(
            f,
            Diagnostic::new(
                "sides_tracked_apart",
                format!(
                    "{service} sends packets to `{}` with {}, but where they come back {} is awaited",
                    device.name,
                    words(header(put_on)),
                    words(header(expected))
                ),
                passage.span,
                "a device leaves on a packet what it came with: give both interfaces the same `tracking`, or say \
                 `tracking` at this element",
            )
            .also(to.span, "where it is sent to")
            .also(from.span, "where it comes back"),
        );
        return;
    }
    alternates(f, definition, passage, id);
    let number = passage.number;
    let last = match expected {
        Some(Tag::Dscp) => LAST_DSCP,
        Some(_) => LAST,
        None => return,
    };
    if number > last {
        f.error(
            "too_many_tags",
            format!(
                "{service}: `{}` is element {number}, tracked by `{}`",
                device.name,
                expected.map_or("", name)
            ),
            passage.span,
            format!(
                "elements are counted through `sequence` and `return`, and tags of this kind number {last}: track \
                 this one by another tag or by source MAC, or move it to the front"
            ),
        );
    }
    let Some(tag) = header(put_on) else { return };
    let bases = &to.tag_bases;
    let (base, last) = match tag {
        Tag::Vlan => (bases.vlan, LAST_VID),
        Tag::Mpls => (bases.mpls, 65535),
        Tag::Vxlan => (bases.vni, 65535),
        // The index of NSH is not counted from a base; the VNI of GPE takes 24 bits.
        Tag::Nsh(_) | Tag::Gpe(_) | Tag::Dscp => (0, u32::MAX),
        Tag::Gre => (bases.gre, 65535),
    };
    if u32::from(base) + number > last {
        push(
            f,
            Diagnostic::new(
                "tag_beyond_range",
                format!(
                    "{service}: `{}` would get the `{}` tag {}, beyond {last}",
                    device.name,
                    name(tag),
                    u32::from(base) + number
                ),
                passage.span,
                "tags are the base in `tags` of the interface and the number of the element: lower the base",
            )
            .also(to.span, format!("its base is {base}")),
        );
    }
    if tag == Tag::Vlan {
        vlan(
            f,
            definition,
            device,
            (enters, leaves),
            base + number as u16,
            passage.span,
            vids,
        );
    }
    if tag.is_tunnel() && device.tunnel_ends(to).is_none() {
        tunnel_end(f, &service, device, to, tag, passage.span);
    }
}

/// Reports a finding once, though packets of both directions meet it.
fn push(f: &mut Findings, finding: Diagnostic) {
    if !f.list.contains(&finding) {
        f.push(finding);
    }
}

/// Fail-over changes where a packet goes, not how it is tagged.
fn alternates(f: &mut Findings, definition: &Definition, passage: &Passage, id: DeviceId) {
    if id == passage.role.device || passage.own.is_some() {
        return;
    }
    let primary = &definition.devices[passage.role.device];
    let alternate = &definition.devices[id];
    let tags = |device: &Device| {
        [passage.entering, passage.leaving].map(|side| {
            let interface = device
                .place(side)
                .map(|p| &definition.interfaces[p.interface]);
            interface.and_then(|i| tag_on(None, i))
        })
    };
    if tags(primary) != tags(alternate) {
        push(
            f,
            Diagnostic::new(
                "unlike_alternate",
                format!(
                    "`{}` cannot stand in for `{}`: the tracking of their interfaces differs",
                    alternate.name, primary.name
                ),
                passage.span,
                "an alternate takes over the very place of its device: track their interfaces alike, or say \
                 `tracking` at this element",
            )
            .also(primary.span, "the device")
            .also(alternate.span, "its alternate"),
        );
    }
}

fn vlan(
    f: &mut Findings,
    definition: &Definition,
    device: &Device,
    (enters, leaves): (&Place, &Place),
    vid: u16,
    span: Span,
    vids: &mut HashSet<(u8, Vec<u16>, u16)>,
) {
    for place in [enters, leaves] {
        if place.vlan.0.len() == 2 {
            push(
                f,
                Diagnostic::new(
                    "vlan_tag_too_deep",
                    format!(
                        "`{}` is tracked by a VLAN tag behind the two VLANs of its attachment",
                        device.name
                    ),
                    span,
                    "at most two VLAN tags are read: track it by another tag, or attach it with one VLAN",
                )
                .also(place.span, "this attachment"),
            );
            continue;
        }
        let port = definition.interfaces[place.interface].port;
        let mut tagged = place.vlan.0.clone();
        if !vids.insert((port, tagged.clone(), vid)) {
            continue;
        }
        tagged.push(vid);
        let interfaces = definition.interfaces.iter();
        let interfaces = interfaces.map(|i| (i.port, &i.vlan, i.span, i.name.as_str()));
        let of = |place: &Place| definition.interfaces[place.interface].port;
        let hosts = definition.hosts.iter();
        let hosts = hosts.map(|h| (of(&h.place), &h.place.vlan, h.place.span, h.name.as_str()));
        let devices = definition.devices.iter().flat_map(|d| {
            let places = super::sequence::places_of(&d.attachments).into_iter();
            places.map(|p| (of(p), &p.vlan, p.span, d.name.as_str()))
        });
        let mut all = interfaces.chain(hosts).chain(devices);
        if let Some((_, _, there, whose)) = all.find(|(p, v, ..)| *p == port && v.0 == tagged) {
            push(
                f,
                Diagnostic::new(
                    "tag_is_vlan",
                    format!(
                        "`{}` would get the VLAN tag {vid}, which is the VLAN of `{whose}`",
                        device.name
                    ),
                    span,
                    "a frame with that tag would be on both: set another base with `tags: { vlan: ... }` at the \
                     interface",
                )
                .also(there, "has that VLAN"),
            );
        }
    }
}

fn tunnel_end(
    f: &mut Findings,
    service: &str,
    device: &Device,
    interface: &Interface,
    tag: Tag,
    span: Span,
) {
    let (code, what, help) = if interface.tunnels.is_empty() {
        (
            "no_tunnel",
            format!("interface `{}` has no `tunnel` address", interface.name),
            "say `tunnel: <address>` at the interface: the engine's end of its tunnels",
        )
    } else if device.tunnel.is_none() && device.addresses.is_empty() {
        (
            "no_tunnel_end",
            format!("`{}` has no address a tunnel could end at", device.name),
            "say `tunnel: <address>` at the device, or give it an `address`",
        )
    } else {
        (
            "no_tunnel_end",
            format!(
                "`{}` and interface `{}` have no tunnel addresses of one family",
                device.name, interface.name
            ),
            "a tunnel has two ends of one family: give the device a `tunnel` of the family of the interface's, or \
             the interface one more",
        )
    };
    push(
        f,
        Diagnostic::new(
            code,
            format!(
                "{service} tracks `{}` by `{}`, but {what}",
                device.name,
                name(tag)
            ),
            span,
            help,
        )
        .also(device.span, "the device")
        .also(interface.span, "the interface"),
    );
}
