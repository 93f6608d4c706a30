//! The `seqnic` command.

mod book;
mod cli;
mod command;
mod draw;
mod engines;
mod failure;
mod load;
mod packet;
mod rows;
mod terminal;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use terminal::Terminal;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.color);
    let outcome = match &cli.command {
        Command::Check(args) => command::check::run(args, terminal),
        Command::Compile(args) => command::compile::run(args, terminal),
        Command::Diff(args) => command::diff::run(args, terminal),
        Command::Inspect(args) => command::inspect::run(args, terminal),
        Command::Explain(args) => command::explain::run(args, terminal),
        Command::Replay(args) => command::replay::run(args, terminal),
        Command::Compare(args) => command::compare::run(args, terminal),
        Command::Legs(args) => command::legs::run(args, terminal),
        Command::Draw(args) => command::draw::run(args, terminal),
        Command::Apply(args) => command::daemon::apply(args),
        Command::Status(args) => command::daemon::status(args),
        Command::Counters(args) => command::daemon::counters(args),
        Command::Top(args) => command::top::run(args),
        Command::Failed(args) => command::daemon::failed(args),
        Command::Restore(args) => command::daemon::restore(args),
        Command::Detect(args) => command::daemon::detect(args),
        Command::Keepalived(args) => command::keepalived::run(args, terminal),
        Command::Kea(args) => command::kea::run(args, terminal),
        Command::Lab(args) => command::lab::run(args, terminal),
        Command::Bench(args) => command::bench::run(args),
        Command::Spec(args) => command::spec::run(args),
        Command::Completions(args) => command::shell::completions(args),
        Command::Man(args) => command::shell::man(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                match terminal.errors() {
                    true => eprintln!("seqnic: \x1b[31merror\x1b[0m: {message}"),
                    false => eprintln!("seqnic: error: {message}"),
                }
            }
            match cli.command {
                Command::Diff(_) => failure.code_of_diff(),
                _ => failure.code(),
            }
        }
    }
}
