//! `seqnic keepalived`: the configuration of VRRP for one of two engines.

use super::print;
use crate::cli::Keepalived;
use crate::failure::{Failure, Outcome};
use crate::load::read_definition;
use crate::terminal::Terminal;

pub fn run(args: &Keepalived, terminal: Terminal) -> Outcome {
    let file = read_definition(&args.file).map_err(|e| e.print(terminal))?;
    let config = seqnic_daemon::config::read(&args.config).map_err(Failure::refused)?;
    let text = seqnic_daemon::keepalived::keepalived(&file.definition, &config);
    print(&text.map_err(Failure::refused)?)
}
