//! `seqnic-card`: the verilated card as a PCI device behind a socket, until it is stopped.

use clap::Parser;
use seqnic_pci::Function;
use seqnic_pci::server::Served;
use seqnic_sim_device::port::{self, Input, Join, Links, Output};
use seqnic_sim_device::{Clock, DeviceError, SimCard};
use seqnic_spec::geometry;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// The simulated SeqNIC card: its registers, rings and interrupts over vfio-user, its ports on real interfaces
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  seqnic-card --socket /run/seqnic/card.sock --port p0=tap:sq0 --port p1=veth:sq1\n  seqnic-card --socket card.sock --geometry edge --port p0=pcap:in.pcap,out.pcap --time clocks\n\nA driver opens it as unix:/run/seqnic/card.sock; QEMU takes it as vfio-user-pci."
)]
struct Arguments {
    /// Socket to serve at; made here, and again whenever a client has left
    #[arg(long)]
    socket: PathBuf,
    /// Geometry of the card
    #[arg(long, default_value = "alveo", value_parser = geometry::ALL.map(|g| g.name).to_vec())]
    geometry: String,
    /// Joins a port: p0=tap:NAME, p0=veth:NAME or p0=pcap:IN[,OUT]
    #[arg(long = "port", value_parser = joined, value_name = "PORT=JOIN")]
    ports: Vec<(u32, Join)>,
    /// The card's time: the host's, or so many ns a clock from 0 on
    #[arg(long, value_enum, default_value = "real")]
    time: Time,
    /// What a clock takes, ns
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clock_ns: u32,
    /// Waveform to write, .vcd or .fst: slow, and it grows for as long as the card runs
    #[arg(long)]
    wave: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Time {
    Real,
    Clocks,
}

fn joined(text: &str) -> Result<(u32, Join), String> {
    let (port, join) = text
        .split_once('=')
        .ok_or("expected p0=tap:NAME or the like")?;
    let number = port.strip_prefix('p').and_then(|n| n.parse().ok());
    let number = number.ok_or_else(|| format!("`{port}` is no port; they are p0, p1 and so on"))?;
    Ok((number, join.parse()?))
}

/// Frames the card has not taken up to which more are read: the rest waits in the kernel, which drops what is too much.
const AHEAD: u64 = 64;
/// How long to wait where the card is behind, ms.
const BEHIND: i32 = 1;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("seqnic-card: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), DeviceError> {
    let geometry = geometry::by_name(&arguments.geometry).unwrap_or(&geometry::ALVEO);
    let open = |what: &str, source| DeviceError::Open {
        what: what.into(),
        source,
    };
    // Before any thread is made, so that all of them leave these signals to the one that asks for them.
    let stop = signals().map_err(|e| open("signals", e))?;
    let mut inputs: Vec<Option<Input>> = (0..geometry.ports).map(|_| None).collect();
    let mut outputs: Vec<Output> = (0..geometry.ports).map(|_| Output::None).collect();
    for (number, join) in &arguments.ports {
        let Some(input) = inputs.get_mut(*number as usize) else {
            return Err(DeviceError::NoPort {
                port: *number,
                geometry: geometry.name,
                last: geometry.ports - 1,
            });
        };
        if input.is_some() {
            return Err(DeviceError::Twice { port: *number });
        }
        let (from, to) = port::join(join)?;
        *input = Some(from);
        outputs[*number as usize] = to;
    }
    let clock = match arguments.time {
        Time::Real => Clock::Real,
        Time::Clocks => Clock::Clocks,
    };
    let mut progress = |line: &str| eprintln!("{line}");
    let card = SimCard::start(
        geometry,
        outputs,
        clock,
        arguments.clock_ns,
        arguments.wave.as_deref(),
        &mut progress,
    )?;
    let function = Arc::new(Mutex::new(Function::new(card)));
    let socket = arguments.socket.display().to_string();
    let served = Served::new(&arguments.socket, function).map_err(|e| open(&socket, e))?;
    eprintln!("card `{}` at unix:{socket}", geometry.name);

    let mut inputs: Vec<(u32, Input)> = inputs
        .into_iter()
        .enumerate()
        .filter_map(|(n, input)| Some((n as u32, input?)))
        .collect();
    let mut dropped = 0;
    let mut links = Links::new(&arguments.ports)?;
    let mut up = 0;
    loop {
        let now = links.up();
        if now != up {
            served.shared().with(|f| f.card.link(now));
            up = now;
        }
        let mut behind = served.shared().with(|f| f.card.waiting()) >= AHEAD;
        let mut more = false;
        for (number, input) in &mut inputs {
            for _ in 0..AHEAD / 4 {
                if behind {
                    break;
                }
                match input.next(&mut dropped) {
                    Ok(Some(frame)) => {
                        more = true;
                        if !frame.is_empty() {
                            behind = served.shared().with(|f| {
                                f.card.push(*number, &frame);
                                f.card.waiting() >= AHEAD
                            });
                        }
                    }
                    Ok(None) => break,
                    // The card goes on without that port's input.
                    Err(e) => {
                        eprintln!("seqnic-card: p{number}: {e}");
                        break;
                    }
                }
            }
        }
        inputs.retain(|(_, input)| !matches!(input, Input::None));
        // Where the card is behind, inputs that are ready would not let us wait.
        let waits: Vec<BorrowedFd> = match behind {
            true => vec![],
            false => inputs.iter().filter_map(|(_, i)| i.waits()).collect(),
        };
        let waits: Vec<BorrowedFd> = waits.into_iter().chain([links.waits()]).collect();
        let timeout = if behind {
            BEHIND
        } else if more {
            0
        } else {
            -1
        };
        if wait(&stop, &waits, timeout).map_err(|e| open("waiting", e))? {
            break;
        }
    }
    if dropped > 0 {
        eprintln!(
            "seqnic-card: {dropped} frames were to be segmented by hardware and were dropped: turn tso and gso off at the peer"
        );
    }
    Ok(())
}

/// SIGINT and SIGTERM as a file to wait for.
fn signals() -> std::io::Result<OwnedFd> {
    // SAFETY: a set of signals that lives as long as the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        let blocked = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        if blocked != 0 {
            return Err(std::io::Error::from_raw_os_error(blocked));
        }
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(std::io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Waits until something is there; whether it is a signal.
fn wait(stop: &OwnedFd, inputs: &[BorrowedFd], timeout: i32) -> std::io::Result<bool> {
    let poll = |fd: i32| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut all: Vec<_> = std::iter::once(poll(stop.as_raw_fd()))
        .chain(inputs.iter().map(|f| poll(f.as_raw_fd())))
        .collect();
    // SAFETY: the list lives as long as the call.
    let n = unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, timeout) };
    if n < 0 {
        let error = std::io::Error::last_os_error();
        return match error.kind() {
            std::io::ErrorKind::Interrupted => Ok(false),
            _ => Err(error),
        };
    }
    Ok(all[0].revents != 0)
}
