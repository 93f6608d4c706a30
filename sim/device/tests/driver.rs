//! The driver (`host-driver/device`) on the verilated card, both in this process.

use seqnic_compiler::{compile, read};
use seqnic_device::{Device, Options, Way};
use seqnic_image::Image;
use seqnic_pci::Direct;
use seqnic_sim_device::port::Output;
use seqnic_sim_device::{Clock, SimCard};
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The card, and what left each port.
fn card() -> (Arc<Direct<SimCard>>, Vec<Receiver<Vec<u8>>>) {
    let (outputs, sent) = (0..EDGE.ports)
        .map(|_| {
            let (to, from) = channel();
            (Output::Memory(to), from)
        })
        .unzip();
    let card = SimCard::start(&EDGE, outputs, Clock::Clocks, 8, None, &mut |line| {
        eprintln!("{line}")
    });
    (Arc::new(Direct::new("rtl", card.unwrap())), sent)
}

fn open(card: &Arc<Direct<SimCard>>) -> Device {
    let options = Options {
        ring_log2: [9; 7],
        // The simulation may share the machine with much else.
        timeout: Duration::from_secs(60),
        ..Options::default()
    };
    Device::open(card.clone(), options).unwrap()
}

fn image() -> Image {
    let text = include_str!("../../../examples/fig07.yaml");
    let text = text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1);
    compile(&read(&text).unwrap()).unwrap()
}

/// Frames arrive, and the card has time for them.
fn arrive(card: &Direct<SimCard>, frames: &[(u32, &[u8])]) {
    let mut function = card.lock();
    for (port, frame) in frames {
        function.card.push(*port, frame);
    }
    while function.work() {}
}

fn arp(number: u8, bytes: usize) -> Vec<u8> {
    let mut frame = vec![number; bytes];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    frame[12..14].copy_from_slice(&[8, 6]);
    frame
}

/// A TCP packet of a client to the service of fig07.
fn tcp() -> Vec<u8> {
    let mut f = vec![2, 1, 0, 0, 0, 1, 2, 5, 0, 0, 0, 5, 8, 0];
    f.extend([
        0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 11, 203, 0, 113, 13,
    ]);
    let sum: u32 = f[14..34]
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    f[24..26].copy_from_slice(&sum.to_be_bytes());
    f.extend([
        0x9c, 0x41, 0x04, 0xaa, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
    ]);
    f
}

#[test]
fn the_driver_loads_the_card_and_packets_pass_both_ways() {
    let (card, sent) = card();
    let device = open(&card);
    let image = image();
    assert!(device.load(&image).unwrap() > 10);
    let back = device.adopt().unwrap();
    for table in Table::ALL {
        assert_eq!(back.digest(table), image.digest(table), "{}", table.name());
    }

    // What the tables direct, and what they leave to the host.
    let (request, question) = (arp(7, 60), tcp());
    arrive(&card, &[(0, &request), (0, &question), (3, &request)]);
    assert!(sent[1].try_recv().is_ok(), "the firewall gets the packet");
    let mut got = vec![];
    while device
        .receive(64, |p| got.push((p.reason, p.port, p.frame.to_vec())))
        .unwrap()
        > 0
    {}
    let mut ports: Vec<u8> = got.iter().map(|g| g.1).collect();
    ports.sort_unstable();
    assert_eq!(ports, [0, 3]);
    assert!(got.iter().all(|g| g.0 == Reason::Arp && g.2 == request));
    let reasons = device.counters(CounterSet::Reason).unwrap();
    let named: Vec<_> = reasons.iter().map(|(row, c)| (*row, c.packets)).collect();
    assert_eq!(
        named,
        [(Reason::Directed as u32, 1), (Reason::Arp as u32, 2)]
    );

    // From the host: out of a port, and as if it had arrived.
    let out = arp(9, 1500);
    assert_eq!(
        device
            .send([(Way::Out, 2, &out[..]), (Way::In, 0, &question[..])])
            .unwrap(),
        2
    );
    device.flush().unwrap();
    arrive(&card, &[]);
    assert_eq!(sent[2].try_recv().unwrap(), out);
    assert!(sent[1].try_recv().is_ok());

    // Rings go round, and nothing is lost.
    for round in 0..60u8 {
        let frame = arp(round, [42, 64, 65, 128, 1500, 9216][usize::from(round) % 6]);
        arrive(&card, &[(0, &frame)]);
        let mut got = vec![];
        while device.receive(64, |p| got.push(p.frame.to_vec())).unwrap() > 0 {}
        assert!(got == [frame], "{round}");
    }
    assert_eq!(device.lost(), 0);
    device.check().unwrap();

    // Another driver, after one that left without a word: tables are as they were.
    drop(device);
    let device = open(&card);
    assert_eq!(
        device.adopt().unwrap().digest(Table::Step),
        image.digest(Table::Step)
    );
}
