//! `seqnic-vfio-test serve SOCKET` is a card; `seqnic-vfio-test drive ADDRESS` a driver's session with it, which
//! ends with `PASS` or says what failed. `tools/test-vfio.sh` runs the second in a guest, over /dev/vfio.

use seqnic_vfio_test::{drive, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", socket] => serve(socket.as_ref()).map(|served| {
            println!("serving at {socket}");
            loop {
                std::thread::park();
                let _ = &served;
            }
        }),
        ["drive", address] => drive(address, &mut |line| println!("{line}")),
        _ => Err("say `serve SOCKET` or `drive ADDRESS`".into()),
    };
    match done {
        Ok(()) => {
            println!("PASS");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAIL {why}");
            ExitCode::FAILURE
        }
    }
}
