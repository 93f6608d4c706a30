//! `seqnic kea`: the configuration of DHCP for devices and hosts.

use super::print;
use crate::cli::Kea;
use crate::failure::{Failure, Outcome};
use crate::load::read_definition;
use crate::terminal::Terminal;
use seqnic_daemon::kea::{Options, kea};

pub fn run(args: &Kea, terminal: Terminal) -> Outcome {
    let file = read_definition(&args.file).map_err(|e| e.print(terminal))?;
    let options = Options {
        prefix: args.prefix.clone(),
        interfaces: args.interface.clone(),
        pools: args.pool.clone(),
        persist: true,
    };
    let text = kea(&file.definition, &options);
    print(&text.map_err(Failure::refused)?)
}
