//! Ports on interfaces of the kernel, in a network namespace of the test's own.

mod common;

use common::{Driver, Running, until};
use seqnic_sim_device::port::{Input, Join, Output, join};
use seqnic_spec::host::rings::{self, META_AT, Ring, mode};
use seqnic_spec::stage::HOST_META;
use std::process::Command;

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

/// Frames without what the kernel says by itself.
fn next(input: &mut Input) -> Option<Vec<u8>> {
    let frame = input.next(&mut 0).unwrap()?;
    (frame.get(12..14) == Some(&[0x88, 0xb5]) || frame.get(12..14) == Some(&[0x81, 0x00]))
        .then_some(frame)
}

fn frame(tagged: bool, fill: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, fill, 2, 0, 0, 0, 0, 1];
    if tagged {
        frame.extend([0x81, 0x00, 0x60, 0x05]);
    }
    // EtherType for local experiments (IEEE 802).
    frame.extend([0x88, 0xb5]);
    frame.resize(length, fill);
    frame
}

#[test]
fn frames_pass_between_interfaces_and_the_card() {
    let me = std::env::current_exe().unwrap();
    // As root of a user namespace where one is not root already.
    let root = rustix::process::geteuid().is_root();
    let status = Command::new("unshare")
        .args(if root {
            &["--net"][..]
        } else {
            &["--map-root-user", "--net"]
        })
        .arg(me)
        .args(["--exact", "inside", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "in a network namespace only: `frames_pass_between_interfaces_and_the_card` starts it there"]
fn inside() {
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    ip("link add port1 type veth peer name peer1");
    ip("link set port1 up");
    ip("link set peer1 up");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let ports = [
        "--port=p0=tap:port0".to_string(),
        "--port=p1=veth:port1".to_string(),
    ];
    let _card = Running::start(&socket, &ports);
    let mut driver = Driver::open(&socket);
    driver.start(Ring::Packets0);
    driver.start(Ring::Transmit);
    for (port, peer) in [(0, "port0"), (1, "peer1")] {
        let (mut from, mut to): (Input, Output) = join(&Join::Packet(peer.into())).unwrap();
        for (tagged, length) in [(false, 60), (true, 64), (false, 1514), (true, 1518)] {
            let sent = frame(tagged, length as u8, length);
            to.send(&sent);
            let (header, found) = loop {
                let (header, found) = driver.packet(Ring::Packets0);
                if found.get(0..6) == sent.get(0..6) {
                    break (header, found);
                }
            };
            assert!(
                found == sent,
                "port {port}, tagged {tagged}, {length} bytes"
            );
            assert_eq!(rings::read(&header, &HOST_META, META_AT, "port"), port);

            let sent = frame(tagged, 0x80 | port as u8, length);
            driver.transmit(mode::OUT, port as u32, &sent);
            let mut found = None;
            until("the frame at the interface", || {
                found = next(&mut from);
                found.is_some()
            });
            assert!(
                found == Some(sent),
                "port {port}, tagged {tagged}, {length} bytes"
            );
        }
    }
}
