//! What the tables say about packets of the services people build.

mod common;

use common::reader::{Packet, walk};
use common::*;
use seqnic_compiler::compile;
use seqnic_compiler::definition::*;

const U1: &str = "198.51.100.11:40001";

#[test]
fn nat_server_gets_its_own_address_and_answers_as_the_service() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let server = n.server("server", 1, 4, Mode::Nat, &["10.0.0.12"]);
    n.service("W1", &["203.0.113.13"], &[(80, 80)], vec![pass(server)]);
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: String| walk(&image, Packet::tcp(port, mac, &text));
    assert_eq!(
        go(0, 3, format!("{U1} > 203.0.113.13:80")),
        ["client>server#4 dst=10.0.0.12"]
    );
    assert_eq!(
        go(1, 4, format!("10.0.0.12:80 > {U1}")),
        ["server>router#3 route src=203.0.113.13"]
    );
    assert_eq!(go(1, 5, format!("10.0.0.12:80 > {U1}")), ["wrong_sender"]);
    assert_eq!(go(0, 3, format!("{U1} > 203.0.113.13:81")), ["no_port"]);
    assert_eq!(go(0, 3, format!("{U1} > 10.0.0.12:80")), ["no_port"]);
    assert_eq!(go(0, 3, format!("{U1} > 203.0.113.1:80")), ["no_service"]);
}

#[test]
fn a_vpn_changes_the_port_and_the_ids_sees_what_is_inside() {
    let mut n = Network::new(4);
    n.router(0, 5);
    let firewall = n.two("firewall", (1, 6), (2, 7));
    let vpn = n.one("vpn", 2, 8);
    let ids = n.one("ids", 1, 9);
    let server = n.server("server", 3, 10, Mode::Loopback, &["10.0.0.12"]);
    n.service(
        "W1",
        &["203.0.113.13"],
        &[(1194, 1194)],
        vec![
            pass(firewall),
            then(pass(vpn), &[], Some(&[(80, 80)])),
            copy(ids, Alerts::Next),
            pass(server),
        ],
    );
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: String| walk(&image, Packet::tcp(port, mac, &text));
    let (outer, inner) = ("203.0.113.13:1194", "203.0.113.13:80");
    assert_eq!(
        go(0, 5, format!("{U1} > {outer}")),
        ["client>firewall.outside#6"]
    );
    assert_eq!(
        go(2, 7, format!("{U1} > {outer}")),
        ["firewall.inside>vpn#8"]
    );
    assert_eq!(
        go(2, 8, format!("{U1} > {inner}")),
        ["vpn>server#10", "vpn>ids#9"]
    );
    assert_eq!(go(1, 9, format!("{U1} > {inner}")), ["ids>server#10"]);
    assert_eq!(
        go(3, 10, format!("{inner} > {U1}")),
        ["server>vpn#8", "server>ids#9"]
    );
    assert_eq!(go(1, 9, format!("{inner} > {U1}")), ["ids>vpn#8"]);
    assert_eq!(
        go(2, 8, format!("{outer} > {U1}")),
        ["vpn>firewall.inside#7"]
    );
    assert_eq!(
        go(1, 6, format!("{outer} > {U1}")),
        ["firewall.outside>router#5 route"]
    );
    // Who is in the sequence does not enter it anew; the end may; nobody enters inside.
    assert_eq!(go(1, 6, format!("{U1} > {outer}")), ["wrong_sender"]);
    assert_eq!(go(1, 9, format!("{U1} > {outer}")), ["wrong_sender"]);
    assert_eq!(
        go(3, 10, format!("10.0.0.12:9 > {outer}")),
        ["client>firewall.outside#6"]
    );
    assert_eq!(go(0, 5, format!("{U1} > {inner}")), ["wrong_sender"]);
}

#[test]
fn a_port_of_its_own_is_seen_by_the_server_only() {
    let mut n = Network::new(4);
    n.router(0, 5);
    let firewall = n.two("firewall", (1, 6), (2, 7));
    let ids = n.one("ids", 1, 8);
    let server = n.server("server", 3, 9, Mode::Loopback, &[]);
    n.service(
        "W1",
        &["203.0.113.13"],
        &[(20, 29)],
        vec![
            pass(firewall),
            copy(ids, Alerts::Next),
            on_port(pass(server), 2020),
        ],
    );
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: String| walk(&image, Packet::tcp(port, mac, &text));
    assert_eq!(
        go(2, 7, format!("{U1} > 203.0.113.13:23")),
        [
            "firewall.inside>server#9 dport=2023",
            "firewall.inside>ids#8"
        ]
    );
    assert_eq!(
        go(1, 8, format!("{U1} > 203.0.113.13:23")),
        ["ids>server#9 dport=2023"]
    );
    assert_eq!(
        go(3, 9, format!("203.0.113.13:2023 > {U1}")),
        ["server>firewall.inside#7 sport=23", "server>ids#8 sport=23"]
    );
    assert_eq!(
        go(1, 8, format!("203.0.113.13:23 > {U1}")),
        ["ids>firewall.inside#7"]
    );
    let labels: Vec<&str> = image.names.labels.iter().map(String::as_str).collect();
    assert_eq!(labels, ["tcp/20-29", "tcp/2020-2029"]);
}

#[test]
fn a_proxys_own_traffic_is_keyed_by_its_address() {
    let mut n = Network::new(3);
    n.router(0, 4);
    let proxy = n.server("proxy", 2, 5, Mode::Loopback, &["10.0.0.13"]);
    let firewall = n.two("firewall", (1, 6), (2, 7));
    n.service("W1", &["203.0.113.14"], &[(8080, 8080)], vec![pass(proxy)]);
    let through = then(pass(firewall), &["203.0.113.15"], None);
    n.service(
        "PROXY",
        &["10.0.0.13"],
        &[(80, 80)],
        vec![entered(through, Side::Inside)],
    )
    .keyed_by = KeyedBy::Client;
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: &str| walk(&image, Packet::tcp(port, mac, text));
    assert_eq!(
        go(2, 5, "10.0.0.13:41001 > 192.0.2.12:80"),
        ["client>firewall.inside#7"]
    );
    assert_eq!(
        go(1, 6, "203.0.113.15:42001 > 192.0.2.12:80"),
        ["firewall.outside>router#4 route"]
    );
    assert_eq!(
        go(0, 4, "192.0.2.12:80 > 203.0.113.15:42001"),
        ["client>firewall.outside#6"]
    );
    // Routed to the proxy, which is a neighbour.
    assert_eq!(
        go(2, 7, "192.0.2.12:80 > 10.0.0.13:41001"),
        ["firewall.inside>proxy#5 route"]
    );
    assert_eq!(
        go(2, 5, "203.0.113.14:8080 > 198.51.100.11:1"),
        ["proxy>router#4 route"]
    );
}

#[test]
fn fail_over_changes_the_attachment_row_and_nothing_else() {
    let mut n = Network::new(4);
    n.router(0, 5);
    let one = n.two("fw1", (1, 6), (2, 7));
    let two = n.two("fw2", (1, 8), (2, 9));
    let server = n.server("server", 3, 10, Mode::Loopback, &[]);
    n.service(
        "W1",
        &["203.0.113.13"],
        &[(80, 80)],
        vec![pool(one, &[two]), pass(server)],
    );
    let before = compile(&n.definition).unwrap();
    n.definition.devices[one].state = State::Failed;
    let after = compile(&n.definition).unwrap();
    let packet = Packet::tcp(0, 5, &format!("{U1} > 203.0.113.13:80"));
    assert_eq!(walk(&before, packet), ["client>fw1.outside#6"]);
    assert_eq!(walk(&after, packet), ["client>fw1.outside#8"]);
    for image in [&before, &after] {
        for mac in [7, 9] {
            let packet = Packet::tcp(2, mac, &format!("{U1} > 203.0.113.13:80"));
            assert_eq!(walk(image, packet), ["fw1.inside>server#10"]);
        }
    }
    use seqnic_spec::tables::Table;
    for table in Table::ALL {
        let same = before.table(table) == after.table(table);
        assert_eq!(same, table != Table::Attachment, "{}", table.name());
    }
    // Only the two slots of the pool, one for each side, in both epochs.
    let rows = before.table(Table::Attachment).rows();
    let row = |image: &seqnic_image::Image, r| image.table(Table::Attachment).row(r);
    let changed = (0..rows).filter(|r| row(&before, *r) != row(&after, *r));
    assert_eq!(changed.count(), 4);
}

#[test]
fn client_keyed_services_choose_their_upstream() {
    let mut n = Network::new(4);
    let access = n.host("access", 0, 6);
    let nsp = n.host("nsp1", 3, 7);
    let virus = n.two("virus", (1, 9), (2, 10));
    let firewall = n.two("firewall", (2, 11), (1, 12));
    let service = n.service(
        "C1",
        &["198.51.100.12"],
        &[],
        vec![pass(virus), pass(firewall)],
    );
    service.keyed_by = KeyedBy::Client;
    service.exit = Some(nsp);
    service.clients = Some(access);
    let image = compile(&n.definition).unwrap();
    let out = "198.51.100.12:40001 > 192.0.2.11:443";
    let back = "192.0.2.11:443 > 198.51.100.12:40001";
    let go = |port, mac, text| walk(&image, Packet::tcp(port, mac, text));
    assert_eq!(go(0, 6, out), ["client>virus.outside#9"]);
    assert_eq!(go(2, 10, out), ["virus.inside>firewall.outside#11"]);
    assert_eq!(go(1, 12, out), ["firewall.inside>nsp1#7"]);
    assert_eq!(go(3, 7, back), ["client>firewall.inside#12"]);
    assert_eq!(go(2, 11, back), ["firewall.outside>virus.inside#10"]);
    assert_eq!(go(1, 9, back), ["virus.outside>access#6"]);
    // Later fragments are of a service with every port.
    let fragment = Packet {
        fragment: true,
        ..Packet::tcp(0, 6, "198.51.100.12:0 > 192.0.2.11:0")
    };
    assert_eq!(walk(&image, fragment), ["client>virus.outside#9"]);
}

#[test]
fn both_families_behind_one_nat_server_keep_their_addresses() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let one = n.server("s1", 1, 4, Mode::Nat, &["10.0.0.12", "fd00::12"]);
    let two = n.server("s2", 1, 5, Mode::Nat, &["fd00::13", "10.0.0.13"]);
    n.service(
        "W1",
        &["203.0.113.13", "2001:db8::13"],
        &[(80, 80)],
        vec![pool(one, &[two])],
    )
    .dscp = Some(46);
    let go = |d: &Definition, port, mac, text: &str| {
        walk(&compile(d).unwrap(), Packet::tcp(port, mac, text))
    };
    let four = "198.51.100.11:4 > 203.0.113.13:80";
    let six = "[2001:db8::99]:4 > [2001:db8::13]:80";
    let mut d = n.definition;
    assert_eq!(go(&d, 0, 3, four), ["client>s1#4 dst=10.0.0.12 dscp=46"]);
    assert_eq!(go(&d, 0, 3, six), ["client>s1#4 dst=fd00::12 dscp=46"]);
    assert_eq!(
        go(&d, 1, 5, "[fd00::13]:80 > [2001:db8::99]:4"),
        ["s1>router#3 route src=2001:db8::13 dscp=46"]
    );
    d.devices[one].state = State::Failed;
    assert_eq!(go(&d, 0, 3, four), ["client>s1#5 dst=10.0.0.13 dscp=46"]);
    assert_eq!(go(&d, 0, 3, six), ["client>s1#5 dst=fd00::13 dscp=46"]);
}

#[test]
fn only_named_parties_enter() {
    let mut n = Network::new(3);
    n.router(0, 3);
    let friend = n.host("friend", 0, 4);
    let firewall = n.two("firewall", (1, 6), (2, 7));
    let server = n.server("server", 2, 8, Mode::Alias, &["10.0.0.1"]);
    n.service(
        "W1",
        &["203.0.113.13"],
        &[(80, 80)],
        vec![pass(firewall), pass(server)],
    )
    .from = Some(vec![Party::Host(friend), Party::Device(firewall)]);
    let image = compile(&n.definition).unwrap();
    let text = format!("{U1} > 203.0.113.13:80");
    let go = |port, mac| walk(&image, Packet::tcp(port, mac, &text));
    assert_eq!(go(0, 4), ["client>firewall.outside#6"]);
    assert_eq!(go(0, 3), ["wrong_sender"]);
    assert_eq!(go(2, 8), ["wrong_sender"]);
    assert_eq!(go(1, 6), ["wrong_sender"], "named, but packets pass it");
    assert_eq!(go(2, 7), ["firewall.inside>server#8"]);
}

#[test]
fn vlans_and_tracked_segments_tell_devices_apart() {
    let mut n = Network::new(3);
    n.router(0, 3);
    n.definition.interfaces[2].tracking = Tracking::Segment;
    let ids = n.one("ids", 1, 9);
    if let Attachments::One(place) = &mut n.definition.devices[ids].attachments {
        place.vlan = Vlan(vec![101]);
    }
    let server = n.server("server", 2, 9, Mode::Loopback, &[]);
    n.service(
        "W1",
        &["203.0.113.13"],
        &[(80, 80)],
        vec![copy(ids, Alerts::To(server)), pass(server)],
    );
    let image = compile(&n.definition).unwrap();
    let text = format!("{U1} > 203.0.113.13:80");
    let packet = |port, vid, mac| Packet {
        vids: [vid, 0],
        ..Packet::tcp(port, mac, &text)
    };
    assert_eq!(walk(&image, packet(1, 101, 9)), ["ids>server#9"]);
    assert_eq!(
        walk(&image, packet(1, 0, 9)),
        ["client>server#9", "client>ids#9"],
        "the same MAC on another segment is somebody else"
    );
    assert_eq!(walk(&image, packet(1, 102, 9)), ["no_interface"]);
    let answer = Packet::tcp(2, 77, &format!("203.0.113.13:80 > {U1}"));
    assert_eq!(
        walk(&image, answer),
        ["server>router#3 route", "server>ids#9"],
        "whoever sends there is the server"
    );
}

#[test]
fn a_server_behind_a_router_takes_part_by_address() {
    let mut n = Network::new(1);
    let router = n.router(0, 3);
    let far = n.via("far", router, &["192.0.2.80"]);
    n.service("W1", &["203.0.113.13"], &[(80, 80)], vec![pass(far)]);
    let image = compile(&n.definition).unwrap();
    let go = |text: &str| walk(&image, Packet::tcp(0, 3, text));
    assert_eq!(
        go("198.51.100.1:9 > 203.0.113.13:80"),
        ["client>far#3 dst=192.0.2.80"]
    );
    assert_eq!(
        go("192.0.2.80:80 > 198.51.100.1:9"),
        ["far>router#3 route src=203.0.113.13"]
    );
}

#[test]
fn the_more_specific_service_of_an_address_has_the_packet() {
    let mut n = Network::new(4);
    n.router(0, 3);
    let [ranges, tcp, all] = [("ranges", 1), ("tcp", 2), ("all", 3)].map(|(name, interface)| {
        n.server(name, interface, 3 + interface as u8, Mode::Loopback, &[])
    });
    let address = ["203.0.113.1"];
    n.service("all", &address, &[], vec![pass(all)]).protocol = Protocol::Any;
    n.service("tcp", &address, &[], vec![pass(tcp)]);
    n.service(
        "ranges",
        &address,
        &[(1000, 2000), (80, 80)],
        vec![pass(ranges)],
    );
    let image = compile(&n.definition).unwrap();
    let go = |port: u16, protocol, fragment| {
        let packet = Packet {
            protocol,
            fragment,
            ..Packet::tcp(0, 3, &format!("198.51.100.1:9 > 203.0.113.1:{port}"))
        };
        walk(&image, packet).join(" ")
    };
    assert_eq!(go(80, 6, false), "client>ranges#4");
    assert_eq!(go(1500, 6, false), "client>ranges#4");
    assert_eq!(go(2001, 6, false), "client>tcp#5");
    assert_eq!(go(1500, 17, false), "client>all#6");
    assert_eq!(
        go(0, 6, true),
        "client>tcp#5",
        "a later fragment has no port"
    );
    assert_eq!(go(0, 17, true), "client>all#6");
    // A protocol that is named wins over ports that are.
    n.service("some", &address, &[(1200, 1300)], vec![pass(all)])
        .protocol = Protocol::Any;
    n.definition.services.remove(0);
    let image = compile(&n.definition).unwrap();
    let to = |port: u16, protocol| {
        let packet = Packet::tcp(0, 3, &format!("198.51.100.1:9 > 203.0.113.1:{port}"));
        walk(&image, Packet { protocol, ..packet }).join(" ")
    };
    assert_eq!(to(1250, 6), "client>ranges#4");
    assert_eq!(to(1250, 17), "client>all#6");
    assert_eq!(to(1350, 17), "no_port");
    // The answers as well.
    let answer = Packet::tcp(1, 4, "203.0.113.1:1500 > 198.51.100.1:9");
    assert_eq!(walk(&image, answer), ["ranges>router#3 route"]);
}

#[test]
fn every_named_port_is_not_every_port() {
    let mut n = Network::new(2);
    n.router(0, 3);
    let server = n.server("server", 1, 4, Mode::Loopback, &[]);
    n.service("W", &["203.0.113.1"], &[(0, 65535)], vec![pass(server)]);
    let image = compile(&n.definition).unwrap();
    let packet = |port: u16| Packet::tcp(0, 3, &format!("198.51.100.1:9 > 203.0.113.1:{port}"));
    for port in [0, 1, 65534, 65535] {
        assert_eq!(walk(&image, packet(port)), ["client>server#4"]);
    }
    let fragment = Packet {
        fragment: true,
        ..packet(0)
    };
    assert_eq!(walk(&image, fragment), ["fragment"]);
}

#[test]
fn neighbours_and_the_engines_own_addresses_are_known() {
    let mut n = Network::new(2);
    let router = n.router(0, 3);
    let client = n.host("client-on-site", 0, 9);
    n.definition.hosts[client].addresses = vec![ip("192.0.2.9")];
    n.definition.interfaces[0].addresses = vec![(ip("192.0.2.1"), 24)];
    let server = n.server("server", 1, 4, Mode::Nat, &["10.0.0.1"]);
    n.via("far", router, &["192.0.2.77"]);
    n.service("W", &["203.0.113.1"], &[(80, 80)], vec![pass(server)]);
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text| walk(&image, Packet::tcp(port, mac, text)).join(" ");
    let answer = "server>client-on-site#9 route src=203.0.113.1";
    assert_eq!(go(1, 4, "10.0.0.1:80 > 192.0.2.9:5"), answer);
    let routed = "server>router#3 route src=203.0.113.1";
    assert_eq!(
        go(1, 4, "10.0.0.1:80 > 192.0.2.77:5"),
        routed,
        "not attached"
    );
    assert_eq!(go(0, 3, "192.0.2.9:5 > 192.0.2.1:80"), "local");
    assert_eq!(go(0, 3, "192.0.2.9:5 > 192.0.2.2:80"), "no_service");
}

#[test]
fn return_ways_other_than_the_mirror() {
    let build = |way: fn(usize, usize, usize) -> ReturnWay| {
        let mut n = Network::new(4);
        n.router(0, 3);
        let vpn = n.one("vpn", 1, 4);
        let cache = n.two("cache", (2, 5), (2, 6));
        let ids = n.one("ids", 2, 7);
        let server = n.server("server", 3, 8, Mode::Loopback, &[]);
        let inside = then(pass(vpn), &[], Some(&[(80, 80)]));
        n.service(
            "W",
            &["203.0.113.1"],
            &[(1194, 1194)],
            vec![inside, pass(server)],
        )
        .return_way = way(vpn, cache, ids);
        compile(&n.definition).unwrap()
    };
    let go = |image: &_, port, mac, from| {
        let text = format!("203.0.113.1:{from} > {U1}");
        walk(image, Packet::tcp(port, mac, &text)).join(" ")
    };
    let direct = build(|_, _, _| ReturnWay::Direct);
    assert_eq!(go(&direct, 3, 8, 80), "server>router#3 route");
    assert_eq!(go(&direct, 1, 4, 1194), "wrong_sender");
    let list = build(|vpn, cache, ids| {
        ReturnWay::List(vec![
            pass(cache),
            copy(ids, Alerts::None),
            pass(vpn),
            copy(ids, Alerts::Next),
        ])
    });
    // Return packets enter a device where forward packets would leave it.
    assert_eq!(go(&list, 3, 8, 80), "server>cache.inside#6");
    assert_eq!(
        go(&list, 2, 5, 80),
        "cache.outside>vpn#4 cache.outside>ids#7"
    );
    assert_eq!(go(&list, 2, 7, 80), "wrong_sender");
    assert_eq!(go(&list, 1, 4, 1194), "vpn>router#3 route vpn>ids#7");
    assert_eq!(go(&list, 2, 7, 1194), "ids>router#3 route");
}

#[test]
fn whoever_sends_from_a_tracked_segment_without_a_step_enters() {
    let mut n = Network::new(3);
    n.router(0, 3);
    n.definition.interfaces[1].tracking = Tracking::Segment;
    let firewall = n.two("firewall", (1, 6), (2, 7));
    let server = n.server("server", 2, 8, Mode::Loopback, &[]);
    n.service(
        "W",
        &["203.0.113.1"],
        &[(80, 80)],
        vec![pass(firewall), pass(server)],
    );
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: &str| walk(&image, Packet::tcp(port, mac, text)).join(" ");
    let (out, back) = (
        "198.51.100.1:9 > 203.0.113.1:80",
        "203.0.113.1:80 > 198.51.100.1:9",
    );
    for sender in [6, 99] {
        assert_eq!(go(1, sender, out), "client>firewall.outside#6");
        assert_eq!(go(1, sender, back), "firewall.outside>router#3 route");
    }
    assert_eq!(go(2, 99, back), "wrong_sender");
}

#[test]
fn a_port_of_its_own_lies_in_front_of_a_device_that_changes_packets() {
    let mut n = Network::new(3);
    n.router(0, 3);
    let gate = n.one("gate", 1, 4);
    let server = n.server("server", 2, 5, Mode::Loopback, &[]);
    let gate = then(on_port(pass(gate), 2020), &["203.0.113.2"], None);
    n.service("W", &["203.0.113.1"], &[(80, 80)], vec![gate, pass(server)]);
    let image = compile(&n.definition).unwrap();
    let go = |port, mac, text: &str| walk(&image, Packet::tcp(port, mac, text)).join(" ");
    let (a, b) = ("203.0.113.1", "203.0.113.2");
    assert_eq!(
        go(0, 3, &format!("{U1} > {a}:80")),
        "client>gate#4 dport=2020"
    );
    assert_eq!(go(1, 4, &format!("{U1} > {b}:80")), "gate>server#5");
    assert_eq!(go(2, 5, &format!("{b}:80 > {U1}")), "server>gate#4");
    assert_eq!(
        go(1, 4, &format!("{a}:2020 > {U1}")),
        "gate>router#3 route sport=80"
    );
}
