//! The software engine as a card, its ports datagram sockets: what the daemon does with a card.

use etherparse::PacketBuilder;
use seqnic_card::software::{PortConfig, SoftwareCard};
use seqnic_card::{Card, CardError, FromHost, Way};
use seqnic_compiler::delta::delta;
use seqnic_compiler::{compile, read};
use seqnic_engine::CounterKey;
use seqnic_image::Image;
use seqnic_spec::reason::Reason;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);
const ENGINE: [[u8; 6]; 4] = [
    [2, 1, 0, 0, 0, 1],
    [2, 2, 0, 0, 0, 2],
    [2, 3, 0, 0, 0, 3],
    [2, 4, 0, 0, 0, 4],
];
const ROUTER: [u8; 6] = [2, 5, 0, 0, 0, 5];
const FW1_OUTSIDE: [u8; 6] = [2, 6, 0, 0, 0, 6];
const FW2_OUTSIDE: [u8; 6] = [2, 16, 0, 0, 0, 6];

fn definition(state: &str) -> String {
    let text = std::fs::read_to_string("../../examples/fig07.yaml").unwrap();
    let second = format!(
        "{state}\n  firewall2:\n    function: firewall\n    attachments:\n      outside: {{ interface: i1, mac: 02:10:00:00:00:06 }}\n      inside: {{ interface: i2, mac: 02:10:00:00:00:07 }}\n  vpn:"
    );
    text.replacen("\n  vpn:", &second, 1).replace(
        "      - firewall\n",
        "      - { device: firewall, alternate: firewall2 }\n",
    )
}

fn image(text: &str) -> Image {
    compile(&read(text).unwrap()).unwrap()
}

fn start() -> (SoftwareCard, Vec<UnixDatagram>) {
    let mut ports = Vec::new();
    let mut ends = Vec::new();
    for port in 0..4 {
        let (ours, cards) = UnixDatagram::pair().unwrap();
        ours.set_read_timeout(Some(SOON)).unwrap();
        ends.push(ours);
        ports.push((port, PortConfig::Socket(cards)));
    }
    let geometry = seqnic_spec::geometry::by_name("alveo").unwrap();
    (SoftwareCard::start(geometry, ports).unwrap(), ends)
}

fn syn(from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from, to)
        .ipv4([198, 51, 100, 11], [203, 0, 113, 13], 64)
        .tcp(40_001, 1194, 1, 1000)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

fn receive(port: &UnixDatagram) -> Vec<u8> {
    let mut frame = vec![0; 10_000];
    let bytes = port.recv(&mut frame).unwrap();
    frame.truncate(bytes);
    frame
}

#[test]
fn packets_go_through_and_count() {
    let (card, ports) = start();
    let image = image(&definition(""));
    card.load(&image).unwrap();
    ports[0].send(&syn(ROUTER, ENGINE[0])).unwrap();
    let frame = receive(&ports[1]);
    assert_eq!(frame[..6], FW1_OUTSIDE);
    assert_eq!(frame[6..12], ENGINE[1]);
    let counters = card.counters().unwrap().named(&image.names);
    let out = CounterKey::AttachmentOut(String::from("firewall.outside"));
    assert_eq!(counters.0[&out].packets, 1);
    assert_eq!(counters.0[&CounterKey::Reason(Reason::Directed)].packets, 1);
}

#[test]
fn what_is_not_directed_comes_to_the_host_and_its_frames_leave() {
    let (card, ports) = start();
    card.load(&image(&definition(""))).unwrap();
    let mut arp = vec![0xFF; 6];
    arp.extend(ROUTER);
    arp.extend([0x08, 0x06]);
    arp.resize(60, 0);
    ports[0].send(&arp).unwrap();
    let mut got = Vec::new();
    card.receive(&mut got, SOON).unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].reason, got[0].port), (Reason::Arp, 0));
    assert_eq!(got[0].interface, Some(0));
    assert_eq!(got[0].frame, arp);

    let out = |way, port, frame| FromHost { way, port, frame };
    let frames = [
        out(Way::Out, 2, arp.clone()),
        out(Way::In, 0, syn(ROUTER, ENGINE[0])),
    ];
    assert_eq!(card.send(&frames).unwrap(), 2);
    assert_eq!(receive(&ports[2]), arp);
    assert_eq!(receive(&ports[1])[..6], FW1_OUTSIDE);
    let short = [out(Way::Out, 0, vec![0; 13])];
    assert!(matches!(
        card.send(&short),
        Err(CardError::FrameLength { bytes: 13 })
    ));
    let nowhere = [out(Way::Out, 200, arp)];
    assert!(matches!(card.send(&nowhere), Err(CardError::NoPort { .. })));
}

#[test]
fn a_delta_leads_to_the_tables_of_the_new_definition_and_back() {
    let (card, ports) = start();
    let mut loaded = image(&definition(""));
    card.load(&loaded).unwrap();
    let read_back = card.read_back().unwrap();
    assert_eq!(read_back.tables, trimmed(&loaded).tables);
    for (state, to) in [("\n    state: failed", FW2_OUTSIDE), ("", FW1_OUTSIDE)] {
        let next = read(&definition(state)).unwrap();
        let change = delta(&loaded, &next).unwrap();
        assert!(!change.is_empty());
        card.apply(&change).unwrap();
        change.apply(&mut loaded).unwrap();
        assert_eq!(card.read_back().unwrap().tables, trimmed(&loaded).tables);
        ports[0].send(&syn(ROUTER, ENGINE[0])).unwrap();
        assert_eq!(receive(&ports[1])[..6], to);
    }
}

fn trimmed(image: &Image) -> Image {
    let mut image = image.clone();
    image.tables.iter_mut().for_each(seqnic_card::trim);
    image
}

#[test]
fn a_flood_of_one_reason_leaves_the_others_their_place() {
    let (card, ports) = start();
    card.load(&image(&definition(""))).unwrap();
    let mut miss = syn(ROUTER, ENGINE[0]);
    miss[12..14].copy_from_slice(&[0x12, 0x34]);
    let frames: Vec<FromHost> = (0..3000)
        .map(|_| FromHost {
            way: Way::In,
            port: 0,
            frame: miss.clone(),
        })
        .collect();
    assert_eq!(card.send(&frames).unwrap(), frames.len());
    let mut arp = miss.clone();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let arp = FromHost {
        way: Way::In,
        port: 0,
        frame: arp,
    };
    assert_eq!(card.send(&[arp]).unwrap(), 1);
    card.drain(SOON).unwrap();
    card.drain(SOON).unwrap();
    let mut got = Vec::new();
    card.receive(&mut got, SOON).unwrap();
    let of = |reason| got.iter().filter(|p| p.reason == reason).count();
    assert_eq!((of(Reason::NotIp), of(Reason::Arp)), (1024, 1));
    let counters = card.counters().unwrap();
    let row = Reason::HostLimited as u32;
    let limited = counters.get(seqnic_spec::counters::CounterSet::Reason, row);
    assert_eq!(limited.packets, 3000 - 1024);
    drop(ports);
}
