//! What the host does with packets the card gives it: errors, fragments, answers.

use etherparse::{Icmpv4Slice, PacketBuilder, SlicedPacket};
use seqnic_card::ToHost;
use seqnic_compiler::definition::Definition;
use seqnic_compiler::{compile, read};
use seqnic_daemon::exceptions::words::checksum;
use seqnic_daemon::exceptions::{Deed, Known};
use seqnic_model::Tables;
use seqnic_model::parse::parse;
use seqnic_model::verdict::decide;

const DEFINITION: &str = "seqnic: 1
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, gateway: router, address: 192.0.2.1/24 }
  i1: { port: 1, mac: 02:02:00:00:00:02, mtu: 1400, address: 10.0.0.1/24 }
hosts:
  router: { interface: i0, mac: 02:05:00:00:00:05 }
devices:
  fw:  { function: firewall, attachment: { interface: i1, mac: 02:06:00:00:00:01 } }
  srv: { function: server, attachment: { interface: i1, mac: 02:06:00:00:00:03 }, mode: nat, address: 10.0.0.12 }
services:
  web: { address: 203.0.113.13, port: 80, sequence: [fw, { device: srv, port: 8080 }] }
";

const ENGINE: [[u8; 6]; 2] = [[2, 1, 0, 0, 0, 1], [2, 2, 0, 0, 0, 2]];
const ROUTER: [u8; 6] = [2, 5, 0, 0, 0, 5];
const FW: [u8; 6] = [2, 6, 0, 0, 0, 1];
const SRV: [u8; 6] = [2, 6, 0, 0, 0, 3];
const CLIENT: [u8; 4] = [198, 51, 100, 11];
const SERVICE: [u8; 4] = [203, 0, 113, 13];
const SERVER: [u8; 4] = [10, 0, 0, 12];

struct World {
    tables: Tables,
    definition: Definition,
}

fn world() -> World {
    let definition = read(DEFINITION).unwrap();
    let tables = Tables::load(&compile(&definition).unwrap()).unwrap();
    World { tables, definition }
}

impl World {
    /// What is done with a frame, which must be an exception.
    fn deed(&self, port: u8, frame: Vec<u8>) -> Deed {
        let h = parse(&frame, self.tables.decap(port));
        let verdict = decide(&self.tables, port, &h, &mut ());
        let reason = match verdict.step.copies {
            0 => verdict.reason,
            _ => seqnic_spec::reason::Reason::TooBig,
        };
        let packet = ToHost {
            reason,
            time: 0,
            port,
            interface: verdict.interface,
            sender: verdict.sender,
            class: verdict.class,
            frame,
        };
        let known = Known {
            tables: &self.tables,
            definition: &self.definition,
        };
        known.deed(&packet)
    }
}

fn sent(deed: Deed) -> (u8, Vec<u8>) {
    let Deed::Sent(mut frames) = deed else {
        panic!("{deed:?}");
    };
    assert_eq!(frames.len(), 1);
    let frame = frames.remove(0);
    (frame.port, frame.frame)
}

fn tcp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: usize) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(from.0, to.0, 60)
        .tcp(from.1, to.1, 7, 1000)
        .write(&mut packet, &vec![0x5A; payload])
        .unwrap();
    packet
}

fn ethernet(from: [u8; 6], to: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend(from);
    frame.extend([0x08, 0]);
    frame.extend(packet);
    frame
}

/// `from` tells about `packet`, of which `kept` bytes are shown.
fn error(from: [u8; 4], to: [u8; 4], packet: &[u8], kept: usize) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4(from, to, 60)
        .icmpv4_raw(3, 4, [0, 0, 5, 0])
        .write(&mut out, &packet[..kept])
        .unwrap();
    out
}

/// Checks the frame's outer checksums, and gives its addresses and the packet inside.
fn opened(frame: &[u8]) -> ([u8; 4], [u8; 4], Vec<u8>) {
    let ip = &frame[14..];
    assert_eq!(checksum(&ip[..20], 0), 0, "IP");
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    assert_eq!(checksum(&ip[20..total], 0), 0, "ICMP");
    let inside = ip[28..total].to_vec();
    let header = usize::from(inside[0] & 0xF) * 4;
    assert_eq!(checksum(&inside[..header], 0), 0, "IP inside");
    (
        ip[12..16].try_into().unwrap(),
        ip[16..20].try_into().unwrap(),
        inside,
    )
}

#[test]
fn an_error_from_outside_goes_the_clients_way_and_is_translated_at_the_server() {
    let world = world();
    // What the server sent left as the service; a router of the Internet tells about it.
    let answer = tcp((SERVICE, 80), (CLIENT, 40_000), 100);
    let told = error([192, 0, 2, 77], SERVICE, &answer, answer.len());
    let (port, frame) = sent(world.deed(0, ethernet(ROUTER, ENGINE[0], &told)));
    assert_eq!((port, &frame[..6]), (1, &FW[..]), "first to the firewall");
    let (from, to, inside) = opened(&frame);
    assert_eq!((from, to), ([192, 0, 2, 77], SERVICE));
    assert_eq!(inside, answer, "nothing is translated there");
    // From the firewall it goes on to the server, which knows itself by its own address and port.
    let (port, frame) = sent(world.deed(1, ethernet(FW, ENGINE[1], &told)));
    assert_eq!((port, &frame[..6]), (1, &SRV[..]));
    let (from, to, inside) = opened(&frame);
    assert_eq!((from, to), ([192, 0, 2, 77], SERVER));
    assert_eq!(
        inside,
        tcp((SERVER, 8080), (CLIENT, 40_000), 100),
        "with right checksums"
    );
}

#[test]
fn an_error_with_the_least_inside_is_translated_too() {
    let world = world();
    let answer = tcp((SERVICE, 80), (CLIENT, 40_000), 100);
    let told = error([192, 0, 2, 77], SERVICE, &answer, 28);
    let (_, frame) = sent(world.deed(1, ethernet(FW, ENGINE[1], &told)));
    let (_, to, inside) = opened(&frame);
    assert_eq!(to, SERVER);
    assert_eq!(inside[12..16], SERVER);
    assert_eq!(inside[20..22], 8080u16.to_be_bytes());
}

#[test]
fn an_error_of_the_server_leaves_as_the_services() {
    let world = world();
    let request = tcp((CLIENT, 40_000), (SERVER, 8080), 0);
    let told = error(SERVER, CLIENT, &request, request.len());
    let (_, frame) = sent(world.deed(1, ethernet(SRV, ENGINE[1], &told)));
    assert_eq!(frame[..6], FW);
    let (from, to, inside) = opened(&frame);
    assert_eq!((from, to), (SERVICE, CLIENT));
    assert_eq!(inside, tcp((CLIENT, 40_000), (SERVICE, 80), 0));
}

#[test]
fn an_error_about_nothing_known_is_dropped() {
    let world = world();
    let strange = tcp(([8, 8, 8, 8], 80), (CLIENT, 40_000), 0);
    let told = error([192, 0, 2, 77], [8, 8, 8, 8], &strange, 28);
    assert!(matches!(
        world.deed(0, ethernet(ROUTER, ENGINE[0], &told)),
        Deed::Dropped(_)
    ));
    let service = tcp((SERVICE, 80), (CLIENT, 40_000), 0);
    for kept in 0..28 {
        let told = error([192, 0, 2, 77], SERVICE, &service, kept);
        let _anything_but_a_panic = world.deed(0, ethernet(ROUTER, ENGINE[0], &told));
    }
}

#[test]
fn an_error_for_the_engine_itself_is_the_kernels() {
    let world = world();
    let own = tcp(([192, 0, 2, 1], 179), (CLIENT, 40_000), 0);
    let told = error([192, 0, 2, 77], [192, 0, 2, 1], &own, 28);
    assert_eq!(
        world.deed(0, ethernet(ROUTER, ENGINE[0], &told)),
        Deed::Kernel(0)
    );
}

#[test]
fn a_later_fragment_goes_where_its_first_part_went() {
    let world = world();
    let mut fragment = tcp((CLIENT, 40_000), (SERVICE, 80), 64);
    fragment[6..8].copy_from_slice(&100u16.to_be_bytes());
    fragment[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum(&fragment[..20], 0);
    fragment[10..12].copy_from_slice(&sum.to_be_bytes());
    let (port, frame) = sent(world.deed(0, ethernet(ROUTER, ENGINE[0], &fragment)));
    assert_eq!((port, &frame[..6]), (1, &FW[..]));
    assert_eq!(frame[14..], fragment);
    // To the server with its address, and nothing of the payload taken for a port.
    let (_, frame) = sent(world.deed(1, ethernet(FW, ENGINE[1], &fragment)));
    assert_eq!(frame[..6], SRV);
    assert_eq!(frame[30..34], SERVER);
    assert_eq!(frame[34..], fragment[20..]);
    assert_eq!(checksum(&frame[14..34], 0), 0);
}

#[test]
fn too_big_is_told_to_the_sender() {
    let world = world();
    let packet = tcp((CLIENT, 40_000), (SERVICE, 80), 1400);
    let (port, frame) = sent(world.deed(0, ethernet(ROUTER, ENGINE[0], &packet)));
    assert_eq!((port, &frame[..6]), (0, &ROUTER[..]));
    let ip = &frame[14..];
    assert_eq!(checksum(&ip[..20], 0), 0);
    assert_eq!(ip[12..20], [192, 0, 2, 1, 198, 51, 100, 11]);
    let icmp = Icmpv4Slice::from_slice(&ip[20..]).unwrap();
    assert_eq!((icmp.type_u8(), icmp.code_u8()), (3, 4));
    assert_eq!(icmp.bytes5to8(), [0, 0, 5, 0x78], "1400");
    assert_eq!(checksum(&ip[20..], 0), 0);
    assert_eq!(frame.len(), 14 + 576);
    assert!(SlicedPacket::from_ethernet(&frame).is_ok());
    assert_eq!(ip[28..], packet[..548]);
}
