//! `seqnic-snmp`.

use clap::{CommandFactory, Parser};
use seqnic_daemon::config::SOCKET;
use seqnic_snmp::session::{Agent, Settings};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long to wait before another try to reach the master agent.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows seqnicd's health, counters and failures over SNMP, as a sub-agent of snmpd
#[derive(Debug, Parser)]
#[command(
    name = "seqnic-snmp",
    version,
    after_help = "Examples:
  seqnic-snmp                              (snmpd has `master agentx` in its configuration)
  seqnic-snmp --mib > SEQNIC-MIB.txt
  snmpwalk -v2c -c public -m +SEQNIC-MIB localhost seqnicMIB",
    max_term_width = 100
)]
struct Cli {
    /// Socket of the master agent
    #[arg(long, value_name = "SOCKET", default_value = "/var/agentx/master")]
    master: PathBuf,
    /// Socket of seqnicd
    #[arg(long, value_name = "SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// How often seqnicd is asked whether something happened, ms
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    poll: u64,
    /// How old the counters may be that are given out, ms
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    age: u64,
    /// Let devices and definitions be set; who may is for snmpd to say
    #[arg(long)]
    writable: bool,
    /// Print the module SEQNIC-MIB and end
    #[arg(long)]
    mib: bool,
    /// Print the manual page
    #[arg(long, hide = true)]
    man: bool,
}

/// The manual page, for the package.
fn man() -> std::io::Result<()> {
    let page = clap_mangen::Man::new(Cli::command()).section("8");
    page.render(&mut std::io::stdout())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.mib {
        print!("{}", seqnic_snmp::text::module());
        return ExitCode::SUCCESS;
    }
    if cli.man {
        return match man() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let mut agent = Agent::new(Settings {
        master: cli.master,
        daemon: cli.socket,
        poll: Duration::from_millis(cli.poll),
        age: Duration::from_millis(cli.age),
        writable: cli.writable,
    });
    // The same trouble is said once, not every second.
    let mut said = String::new();
    loop {
        let Err(why) = agent.serve();
        let what = why.to_string();
        if what != said {
            eprintln!("seqnic-snmp: {what}");
            said = what;
        }
        std::thread::sleep(AGAIN);
    }
}
