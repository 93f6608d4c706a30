//! `seqnic lab`: a definition as network namespaces with real programs.

use super::daemon::ask;
use super::print;
use crate::cli::{Lab, LabDown, LabExec, LabUp, LabWhat};
use crate::failure::{Failure, Outcome};
use crate::load::read_definition;
use crate::terminal::Terminal;
use seqnic_daemon::api::Request;
use seqnic_lab::up::{Options, up};
use seqnic_lab::{LabError, down};
use std::path::PathBuf;
use std::process::Command;

pub fn run(args: &Lab, terminal: Terminal) -> Outcome {
    match &args.what {
        LabWhat::Up(args) => lab_up(args, terminal),
        LabWhat::Exec(args) => exec(args),
        LabWhat::Down(args) => lab_down(args),
    }
}

fn failure(error: LabError) -> Failure {
    match error {
        LabError::NotShown(_) | LabError::Up(_) => Failure::refused(error),
        _ => Failure::failed(error),
    }
}

/// A program of ours: beside this one, or wherever the PATH has it.
fn program(name: &str) -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name(name));
    beside
        .filter(|p| p.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

fn lab_up(args: &LabUp, terminal: Terminal) -> Outcome {
    let file = read_definition(&args.file).map_err(|e| e.print(terminal))?;
    let seqnicd = args.seqnicd.clone().unwrap_or_else(|| program("seqnicd"));
    let card = (args.seqnic_card.clone()).or_else(|| args.card.then(|| program("seqnic-card")));
    if card.is_some() {
        eprintln!(
            "starting the simulated card; the first time its simulator is built, which takes minutes"
        );
    }
    let options = Options {
        name: &args.name,
        folder: &args.folder.dir,
        seqnicd: &seqnicd,
        card: card.as_deref(),
        config: "",
    };
    let lab = up(&file.definition, &options).map_err(failure)?;
    let request = Request::Apply {
        name: file.name,
        definition: file.text,
        dry_run: false,
        reload: false,
    };
    if let Err(e) = ask(&lab.socket(), &request) {
        down::down(&lab);
        return Err(e);
    }
    let mut out = String::new();
    for (node, work) in &lab.nodes {
        out.push_str(&format!("{node}: {work}\n"));
    }
    out.push_str(&format!(
        "logs and captures: {}\ntry: seqnic lab exec client curl http://ADDRESS:PORT/; seqnic status --socket {}; seqnic lab down\n",
        lab.folder.display(),
        lab.socket().display()
    ));
    print(&out)
}

fn exec(args: &LabExec) -> Outcome {
    let lab = down::read(&args.folder.dir).map_err(failure)?;
    let status = Command::new("ip")
        .args(["netns", "exec", &lab.space(&args.node)])
        .args(&args.program)
        .status()
        .map_err(Failure::failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{}: {status}",
            args.program.join(" ")
        ))),
    }
}

fn lab_down(args: &LabDown) -> Outcome {
    let lab = down::read(&args.folder.dir).map_err(failure)?;
    down::down(&lab);
    Ok(())
}
