//! `seqnic completions` and `seqnic man`

use super::print;
use crate::cli::{Cli, Completions, Man};
use crate::failure::{Failure, Outcome};
use clap::CommandFactory;

pub fn completions(args: &Completions) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "seqnic", &mut text);
    print(&String::from_utf8_lossy(&text))
}

pub fn man(args: &Man) -> Outcome {
    let Some(folder) = &args.out else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut text)
            .map_err(Failure::failed)?;
        return print(&String::from_utf8_lossy(&text));
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|e| Failure::write(folder, e))
}
