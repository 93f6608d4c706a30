//! A card in memory with fig07 loaded, and the driver on it.
#![allow(dead_code)]

use seqnic_compiler::{compile, read};
use seqnic_device::{Device, Options};
use seqnic_faults::Faulty;
use seqnic_image::Image;
use seqnic_pci::Direct;
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use std::sync::Arc;
use std::time::Duration;

/// The rings of a card that is to be filled quickly.
pub const SMALL: [u32; 7] = [9, 9, 9, 9, 9, 9, 9];

pub fn definition() -> String {
    let text = include_str!("../../../../examples/fig07.yaml");
    text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1)
}

/// The same with another port inside the tunnel.
pub fn other_definition() -> String {
    definition().replacen("port: 80 }", "port: 81 }", 1)
}

pub fn image(text: &str) -> Image {
    compile(&read(text).unwrap()).unwrap()
}

pub fn options() -> Options {
    Options {
        ring_log2: SMALL,
        timeout: Duration::from_millis(300),
        ..Options::default()
    }
}

/// The card, its faults, and the driver.
pub struct Rig {
    pub card: Arc<Direct<SoftCard>>,
    pub faulty: Arc<Faulty>,
}

impl Rig {
    pub fn new() -> Rig {
        let card = Arc::new(Direct::new("memory", SoftCard::new(&EDGE)));
        let faulty = Arc::new(Faulty::new(card.clone()));
        Rig { card, faulty }
    }

    pub fn open(&self) -> seqnic_device::Result<Device> {
        Device::open(self.faulty.clone(), options())
    }

    /// Frames arrive, and the card has time for them.
    pub fn arrive<'a>(&self, frames: impl IntoIterator<Item = (u8, &'a [u8])>) {
        let mut function = self.card.lock();
        for (port, frame) in frames {
            function.card.arrive(port, frame);
        }
        while function.work() {}
    }

    /// What left the ports.
    pub fn sent(&self) -> Vec<(u8, Vec<u8>)> {
        let sent = self.card.lock().card.sent();
        sent.into_iter().map(|o| (o.port, o.frame)).collect()
    }
}

/// An ARP frame that says its number.
pub fn arp(number: u32, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes.max(42)];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    frame[12..14].copy_from_slice(&[8, 6]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    for (n, byte) in frame.iter_mut().enumerate().skip(42) {
        *byte = (n as u32 ^ number) as u8;
    }
    frame
}

/// Everything there is to receive: number in the frame, length, and whether it is as it was.
pub fn receive(device: &Device) -> seqnic_device::Result<Vec<Vec<u8>>> {
    let mut got = Vec::new();
    while device.receive(64, |p| got.push(p.frame.to_vec()))? > 0 {}
    Ok(got)
}
