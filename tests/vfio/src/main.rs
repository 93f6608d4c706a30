//! Two cards for a guest, and what runs in it (`tools/test-vfio.sh`):
//!
//! * `serve SOCKET` is a card whose ports are cabled, `drive ADDRESS` a driver's session with it;
//! * `world SOCKET CONTROL memory|verilated` is a card with a world at its ports, `daemon ADDRESS CONTROL FOLDER PROGRAMS
//!   SECONDS` a session of seqnicd with it, in which anything may take so long.
//!
//! A session says lines that begin with PASS or FAIL.

use seqnic_vfio_test::guest::{self, Place};
use seqnic_vfio_test::{Outcome, drive, outside, serve};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "say `serve SOCKET`, `drive ADDRESS`, `world SOCKET CONTROL memory|verilated` or `daemon ADDRESS CONTROL FOLDER PROGRAMS SECONDS`";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("FAIL {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<bool> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", socket] => {
            let served = serve(socket.as_ref())?;
            println!("serving at {socket}");
            loop {
                std::thread::park();
                let _ = &served;
            }
        }
        ["drive", address] => {
            drive(address, &mut |line| println!("{line}"))?;
            println!("PASS a driver's whole session");
            Ok(true)
        }
        ["world", socket, control, card @ ("memory" | "verilated")] => {
            outside::run(socket.as_ref(), control.as_ref(), card == "verilated")?;
            Ok(true)
        }
        ["daemon", address, control, folder, programs, seconds] => {
            let place = Place {
                address: address.parse()?,
                folder: folder.into(),
                programs: programs.into(),
                timeout_ms: 60_000,
                interval_ms: 1000,
                patience: Duration::from_secs(seconds.parse()?),
            };
            guest::run(place, control.as_ref(), &mut |line| println!("{line}"))
        }
        _ => Err(USAGE.into()),
    }
}
