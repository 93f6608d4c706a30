//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;

/// Help behind the options: examples, then the exit codes, which are the same for every command.
macro_rules! examples {
    ($($line:literal)+) => {
        concat!(
            "Examples:\n",
            $("  ", $line, "\n",)+
            "\n\
Exit codes:
  0  all is well
  1  a finding, or an input was refused: the definition, image or capture is at fault
  2  the command line is wrong
  3  an engine or this program failed"
        )
    };
}

mod bench;
mod daemon;
mod definition;
mod lab;
mod packets;

pub use bench::*;
pub use daemon::*;
pub use definition::*;
pub use lab::*;
pub use packets::*;

/// Directs packets through sequences of devices: compiles service definitions to tables and runs
/// captures through them
#[derive(Debug, Parser)]
#[command(name = "seqnic", version, after_help = examples!(
    "seqnic check fig07.yaml"
    "seqnic compile fig07.yaml -o fig07.img"
    "seqnic explain fig07.img --in i0 --tcp '198.51.100.11:40001>203.0.113.13:1194'"
    "seqnic replay --engine rtl fig07.img --in i0=clients.pcap --out result"
    "seqnic help replay"
), max_term_width = 100)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(Check),
    Compile(Compile),
    Diff(Diff),
    Inspect(Inspect),
    Explain(Explain),
    Replay(Replay),
    Compare(Compare),
    Legs(Legs),
    Draw(Draw),
    Apply(Apply),
    Status(Status),
    Counters(Counters),
    Top(Top),
    Failed(Failed),
    Restore(Restore),
    Detect(Detect),
    Keepalived(Keepalived),
    Kea(Kea),
    Lab(Lab),
    Bench(Bench),
    Spec(Spec),
    Completions(Completions),
    Man(Man),
}

/// Print the specification of tables, records, counters and reasons
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic spec --markdown > tables.md"
    "seqnic spec --registers > registers.md"
    "seqnic spec --json | jq '.reasons[].name'"
))]
#[group(required = true, multiple = false)]
pub struct Spec {
    #[arg(long)]
    pub json: bool,
    /// Tables and records
    #[arg(long)]
    pub markdown: bool,
    /// What a driver needs: registers, rings, PCI
    #[arg(long)]
    pub registers: bool,
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic completions bash > /etc/bash_completion.d/seqnic"
    "seqnic completions zsh > ~/.zfunc/_seqnic"
))]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Print the manual, or write a page for every command into a folder
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic man | man -l -"
    "seqnic man --out man1"
))]
pub struct Man {
    /// Folder to write pages into; made if it does not exist
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_examples() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let example = format!("  seqnic {} ", command.get_name());
            let examples = help.unwrap_or_default();
            assert!(examples.contains(&example), "{}", command.get_name());
            assert!(examples.contains("\n  2  the command line is wrong"));
        }
    }
}
