//! `seqnic-soak`.

use clap::{Parser, Subcommand};
use seqnic_soak::failover::{self, Probes, Time};
use seqnic_soak::rig::FASTER;
use seqnic_soak::{Failure, soak};
use std::process::ExitCode;
use std::time::Duration;

/// seqnicd on a card in memory, with clients, firewalls, an IDS and a server around it
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:
  seqnic-soak run --minutes 20
  seqnic-soak fail-over --times 50
  seqnic-soak fail-over --verilated --times 10",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Faults, fail-overs, reloads, restarts at random, under traffic; at the end books and memory are checked
    Run {
        #[arg(long, default_value_t = 20)]
        minutes: u64,
        /// Of what happens [default: another one each time]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kills a firewall again and again; how long until its alternate has the traffic, and what of that
    FailOver {
        #[arg(long, default_value_t = 20)]
        times: u32,
        /// How often a heartbeat goes through each firewall, ms
        #[arg(long, default_value_t = 5)]
        every: u64,
        /// How long it may take, ms
        #[arg(long, default_value_t = 5)]
        timeout: u64,
        /// Heartbeats on end that do not come through, until it has failed
        #[arg(long, default_value_t = 2)]
        probes: u32,
        /// On the verilated card, in the time of a card at 125 MHz: some minutes
        #[arg(long)]
        verilated: bool,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("seqnic-soak: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &What) -> Result<(), Failure> {
    match what {
        What::Run { minutes, seed } => {
            let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
            println!("seed {seed}");
            let time = Duration::from_secs(minutes * 60);
            let report = soak::run(time, seed, |line| println!("{line}"))?;
            for (deed, times) in &report.deeds {
                println!("{deed}: {times}");
            }
            let b = &report.books;
            println!(
                "{} s; {} frames sent = {} returned + {} at a dead firewall + {} dropped by reason; {} arrived at the card = those it counted by reason; {} left = those it counted by interface",
                report.seconds,
                b.sent,
                b.returned,
                b.dead,
                b.dropped(),
                b.arrived,
                b.left
            );
            for (reason, packets) in &b.reasons {
                println!("  {reason}: {packets}");
            }
            let (early, late) = report.memory;
            println!(
                "rows mended: {}; resident memory {early} KiB after a fifth of the time, {late} KiB at the end",
                report.repairs
            );
            Ok(())
        }
        What::FailOver {
            times,
            every,
            timeout,
            probes,
            verilated,
        } => {
            let how = Probes {
                every_ms: *every,
                timeout_ms: *timeout,
                tries: *probes,
            };
            let found = match verilated {
                false => failover::run(*times, how)?,
                true => failover::verilated(*times, how, |time| {
                    println!("{:.3} ms", time.outage.as_secs_f64() * 1000.0);
                })?,
            };
            println!(
                "{} of {times} fail-overs (others spoiled by false alarms); a heartbeat every {every} ms, {timeout} ms to come through, {probes} that do not: failed",
                found.len()
            );
            show(&found);
            if *verilated {
                println!(
                    "in the time of a card at 125 MHz; what the host works counts a {FASTER}th"
                );
            }
            println!(
                "bound by detection: up to {every} ms until the next heartbeat, then {probes} x {timeout} ms; the rest is below"
            );
            Ok(())
        }
    }
}

fn show(found: &[Time]) {
    let ms = |us: u64| us as f64 / 1000.0;
    println!("{:<44}{:>9}{:>9}{:>9}", "ms", "least", "median", "most");
    let line = |what: &str, of: &dyn Fn(&Time) -> u64| {
        let mut all: Vec<u64> = found.iter().map(of).collect();
        all.sort_unstable();
        if let (Some(least), Some(most)) = (all.first(), all.last()) {
            let median = all[all.len() / 2];
            println!(
                "{what:<44}{:>9.3}{:>9.3}{:>9.3}",
                ms(*least),
                ms(median),
                ms(*most)
            );
        }
    };
    line("last good frame to the alternate's first", &|t| {
        t.outage.as_micros() as u64
    });
    line("last answer until it counts as failed", &|t| {
        t.daemon.detect_us.unwrap_or(0)
    });
    line("working out the words (0: ready)", &|t| t.daemon.delta_us);
    line("words on disk", &|t| t.daemon.journal_us);
    line("words in the card, read back", &|t| t.daemon.words_us);
}
