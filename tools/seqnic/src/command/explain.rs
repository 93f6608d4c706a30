//! `seqnic explain`

use super::{print, print_json};
use crate::book::Book;
use crate::cli::{Explain, PacketArgs};
use crate::failure::{Failure, Outcome};
use crate::load::{self, Tables};
use crate::packet::make::{self, Flow, Link, MakeError};
use crate::terminal::Terminal;
use seqnic_compiler::definition::Mac;
use seqnic_model::ImageEngine;
use seqnic_replay::capture::Reader;
use seqnic_replay::feed;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::path::Path;

/// Source MAC of made packets: locally administered, and no attachment's unless someone chose it.
const STRANGER: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

pub fn run(args: &Explain, terminal: Terminal) -> Outcome {
    let tables = load::tables(&args.tables, terminal)?;
    let names = &tables.image.names;
    let interface = args.interface.as_str();
    let ports = feed::ports(&names.interfaces, [interface])?;
    let number = names.interfaces.iter().position(|i| i.name == interface);
    let frame = frame(&args.packet, &tables, number.unwrap_or(0))?;
    if frame.is_empty() || frame.len() > MAX_FRAME_BYTES as usize {
        return Err(Failure::refused(format!(
            "the frame has {} bytes, but a port delivers 1 to {MAX_FRAME_BYTES}",
            frame.len()
        )));
    }
    let engine = ImageEngine::load(&tables.image).map_err(Failure::refused)?;
    for port in ports {
        let explanation = seqnic_model::explain(engine.tables(), names, port, &frame);
        match args.json {
            true => print_json(&explanation)?,
            false => print(&explanation.to_string())?,
        }
    }
    Ok(())
}

fn frame(args: &PacketArgs, tables: &Tables, interface: usize) -> Result<Vec<u8>, Failure> {
    if let (Some(path), Some(number)) = (&args.pcap, args.packet) {
        return captured(path, number);
    }
    if let Some(text) = &args.hex {
        return make::hex(text).map_err(Failure::usage);
    }
    let flow = [
        args.tcp.as_deref().map(Flow::tcp),
        args.udp.as_deref().map(Flow::udp),
        args.icmp.as_deref().map(Flow::icmp),
    ];
    let Some(flow) = flow.into_iter().flatten().next() else {
        return Err(Failure::usage(
            "which packet? One of --tcp, --udp, --icmp, --hex or --pcap is needed",
        ));
    };
    made(args, flow.map_err(Failure::usage)?, tables, interface)
}

fn captured(path: &Path, number: u64) -> Result<Vec<u8>, Failure> {
    let mut reader = Reader::open(path)?;
    while let Some(record) = reader.next_record()? {
        if reader.packets() == number {
            return Ok(record.frame);
        }
    }
    Err(Failure::refused(format!(
        "{} has {}, no packet {number}",
        path.display(),
        super::plural(reader.packets(), "packet")
    )))
}

/// A packet to the interface, on its own segment or the one of the VLANs given.
fn made(
    args: &PacketArgs,
    flow: Flow,
    tables: &Tables,
    interface: usize,
) -> Result<Vec<u8>, Failure> {
    let book = Book::new(&tables.image);
    let wanted = args.vlan.as_deref().map(make::vlans).transpose();
    let wanted: Option<Vec<u16>> = wanted.map_err(Failure::usage)?;
    let own = book.arrivals(interface).next();
    let arrival = match &wanted {
        Some(vlans) => book.arrivals(interface).find(|a| a.vlans == *vlans).or(own),
        None => own,
    };
    let mac = |text: &Option<String>, or: Mac| -> Result<Mac, MakeError> {
        text.as_deref().map_or(Ok(or), make::mac)
    };
    let link = Link {
        source: mac(&args.eth_src, STRANGER).map_err(Failure::usage)?,
        destination: mac(&args.eth_dst, arrival.map_or(STRANGER, |a| a.mac))
            .map_err(Failure::usage)?,
        vlans: wanted.unwrap_or_else(|| arrival.map(|a| a.vlans.clone()).unwrap_or_default()),
    };
    make::frame(&link, flow).map_err(Failure::usage)
}
