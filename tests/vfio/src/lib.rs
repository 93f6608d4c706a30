//! A card whose ports are joined by a cable, and a driver's whole session with it; a card with a world at its ports
//! ([`outside`]), and the daemon's ([`guest`]).

pub mod guest;
pub mod outside;
pub mod router;

use seqnic_compiler::delta::delta;
use seqnic_compiler::{compile, read};
use seqnic_device::{Device, Error, Options, Way};
use seqnic_image::Image;
use seqnic_pci::Function;
use seqnic_pci::server::Served;
use seqnic_softcard::SoftCard;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use seqnic_transport::Address;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// An emulated machine is slow, and so may be the one it runs on.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Frames of a session.
const FRAMES: u32 = 300;

/// A card in memory at a socket. What leaves port 0 arrives at port 1 and the other way round; 2 and 3 are alike.
pub struct Cabled {
    _served: Arc<Served<SoftCard>>,
}

/// Serves a card.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(socket: &Path) -> Outcome<Cabled> {
    let function = Arc::new(Mutex::new(Function::new(SoftCard::new(&EDGE))));
    let served = Arc::new(Served::new(socket, function)?);
    let cable = Arc::downgrade(&served);
    std::thread::Builder::new()
        .name("cable".into())
        .spawn(move || {
            while let Some(served) = cable.upgrade() {
                let any = served.shared().with(|f| {
                    let sent = f.card.sent();
                    for out in &sent {
                        f.card.arrive(out.port ^ 1, &out.frame);
                    }
                    !sent.is_empty()
                });
                drop(served);
                if !any {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        })?;
    Ok(Cabled { _served: served })
}

fn image(text: &str) -> Outcome<Image> {
    let definition = read(text).map_err(|e| format!("the definition: {e:?}"))?;
    Ok(compile(&definition).map_err(|e| format!("the definition: {e:?}"))?)
}

fn open(address: &Address) -> Outcome<(Arc<dyn seqnic_transport::Transport>, Device)> {
    let transport = seqnic_transport::open_with(address, TIMEOUT)?;
    let options = Options {
        ring_log2: [10; 7],
        timeout: TIMEOUT,
        ..Options::default()
    };
    Ok((transport.clone(), Device::open(transport, options)?))
}

fn must(holds: bool, what: &str) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(what.into()),
    }
}

fn arp(number: u32) -> Vec<u8> {
    let bytes = [60, 128, 129, 1514, 9000][number as usize % 5];
    let mut frame: Vec<u8> = (0..bytes).map(|n| (n as u32 * 7 + number) as u8).collect();
    frame[..6].fill(0xff);
    frame[6] = 2;
    frame[12..14].copy_from_slice(&[8, 6]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

/// Sends frames out of port 0 and takes what comes in at port 1: each once, whole, in order.
fn packets(device: &Device) -> Outcome<u32> {
    let frames: Vec<_> = (0..FRAMES).map(arp).collect();
    let (mut sent, mut got, mut waits) = (0, 0, 0);
    let mut wrong = None;
    let since = Instant::now();
    while got < frames.len() {
        // Few at a time: the ring to the host has room for so many of the longest.
        let until = frames.len().min(got + 4);
        if sent < until {
            sent += device.send(frames[sent..until].iter().map(|f| (Way::Out, 0, &f[..])))?;
        }
        let count = device.receive(64, |p| {
            let right = frames.get(got).is_some_and(|f| f[..] == *p.frame);
            if !right || (p.reason, p.port) != (Reason::Arp, 1) {
                wrong.get_or_insert(format!(
                    "packet {got} is another: {:?} at port {}",
                    p.reason, p.port
                ));
            }
            got += 1;
        })?;
        if count == 0 {
            device.wait(TIMEOUT)?;
            waits += 1;
        }
        must(since.elapsed() < TIMEOUT, "packets do not come back")?;
    }
    match wrong {
        Some(wrong) => Err(wrong.into()),
        None => Ok(waits),
    }
}

/// Interrupts of VFIO vectors this system has counted; nothing where it says nothing of them.
fn interrupts() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/interrupts").ok()?;
    let of = |line: &str| -> u64 {
        let numbers = line.split_whitespace().skip(1);
        numbers.map_while(|n| n.parse::<u64>().ok()).sum()
    };
    Some(text.lines().filter(|l| l.contains("vfio")).map(of).sum())
}

/// The session: identity, load, packets both ways, interrupts, counters, delta, scrub, reset, and again.
///
/// # Errors
/// What does not hold.
pub fn drive(address: &str, say: &mut dyn FnMut(&str)) -> Outcome {
    let address: Address = address.parse()?;
    let text = include_str!("../../../examples/fig07.yaml");
    let text = text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1);
    let old = image(&text)?;
    let since = Instant::now();
    let mut at = |what: &str| say(&format!("{:>6} ms  {what}", since.elapsed().as_millis()));

    let (transport, device) = open(&address)?;
    at(&format!(
        "opened, geometry {}",
        device.identity().geometry.name
    ));
    let rows = device.load(&old)?;
    must(rows > 0, "nothing was loaded")?;
    at(&format!("{rows} rows loaded and read back"));

    let before = interrupts();
    let waits = packets(&device)?;
    let fired = interrupts().zip(before).map(|(now, before)| now - before);
    at(&format!(
        "{FRAMES} packets out and in, {waits} waits, interrupts {fired:?}"
    ));
    if matches!(address, Address::Pci(_)) {
        must(fired.is_some_and(|n| n > 0), "no interrupt arrived")?;
    }
    must(device.lost() == 0, "packets were dropped")?;
    let row = (CounterSet::Reason as u8, Reason::Arp as u32);
    let snapshot = device.snapshot()?;
    let arps = (snapshot.rows.iter()).find(|(set, number, _)| (*set, *number) == row);
    let counted = arps.map_or(0, |(_, _, count)| count.packets);
    must(
        counted == u64::from(FRAMES),
        &format!("{counted} ARP packets counted of {FRAMES}"),
    )?;
    at("counted");

    let new = read(&text.replacen("port: 80 }", "port: 81 }", 1)).map_err(|e| format!("{e:?}"))?;
    let delta = delta(&old, &new)?;
    device.apply(&delta)?;
    let mut want = old.clone();
    delta.apply(&mut want)?;
    let found = device.adopt()?;
    for table in Table::ALL {
        let same = found.digest(table) == want.digest(table);
        must(same, &format!("table {} is not the delta's", table.name()))?;
    }
    at(&format!(
        "{} words changed while it runs",
        delta.words.len()
    ));
    must(
        device.scrub(4000)?.is_empty(),
        "rows differ from what was written",
    )?;
    device.check()?;

    transport.reset()?;
    let error = device.check().err().ok_or("a reset was not noticed")?;
    let reset = matches!(
        error,
        Error::Transport(seqnic_transport::Error::Reset { .. })
    );
    must(reset, &format!("a reset is called: {error}"))?;
    drop(device);
    drop(transport);
    at("reset, noticed and closed");

    let (_transport, device) = open(&address)?;
    must(
        device.load(&want)? == 0,
        "the tables did not outlive the reset",
    )?;
    packets(&device)?;
    device.check()?;
    at("opened anew: tables are there, packets pass");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The session the guest has, over vfio-user.
    #[test]
    fn a_whole_session_over_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("card");
        let _card = serve(&socket).unwrap();
        let mut lines = Vec::new();
        let address = format!("unix:{}", socket.display());
        let done = drive(&address, &mut |line| lines.push(line.to_string()));
        assert!(done.is_ok(), "{done:?} behind {lines:#?}");
    }
}
