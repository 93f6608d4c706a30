//! `seqnic lab`: a definition as network namespaces with real programs.

use super::daemon::failure as daemon_failure;
use super::print;
use crate::cli::{Lab, LabCheck, LabDown, LabExec, LabUp, LabWhat};
use crate::failure::{Failure, Outcome};
use crate::load::read_definition;
use crate::terminal::Terminal;
use comfy_table::{Cell, CellAlignment, Table, presets};
use seqnic_daemon::api::Request;
use seqnic_daemon::client::Client;
use seqnic_lab::up::{Options, up};
use seqnic_lab::{LabError, down};
use seqnic_spec::geometry::ALVEO;
use std::path::PathBuf;
use std::process::Command;

pub fn run(args: &Lab, terminal: Terminal) -> Outcome {
    match &args.what {
        LabWhat::Up(args) => lab_up(args, terminal),
        LabWhat::Exec(args) => exec(args),
        LabWhat::Check(args) => check(args),
        LabWhat::Down(args) => lab_down(args),
    }
}

fn failure(error: LabError) -> Failure {
    match error {
        LabError::NotShown(_) | LabError::Up(_) | LabError::Wrong { .. } => Failure::refused(error),
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
    let lab_file = match &args.lab {
        None => seqnic_lab::file::read_beside(&args.file),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| LabError::File {
                path: path.clone(),
                source,
            })
            .and_then(|text| seqnic_lab::file::parse(&text, path)),
    };
    let lab_file = lab_file.map_err(failure)?;
    let beside = args.lab.as_deref().unwrap_or(&args.file);
    let another = (seqnic_lab::file::another(&lab_file, beside))
        .map(|path| read_definition(&path).map_err(|e| e.print(terminal)))
        .transpose()?;
    let seqnicd = args.seqnicd.clone().unwrap_or_else(|| program("seqnicd"));
    let card = (args.seqnic_card.clone()).or_else(|| args.card.then(|| program("seqnic-card")));
    if card.is_some() {
        eprintln!(
            "starting the simulated card; the first time its simulator is built, which takes minutes"
        );
        if file.definition.geometry.name == ALVEO.name {
            eprintln!(
                "its tables have a million rows, which takes minutes to load into a simulation: with `geometry: edge` in the definition it is seconds"
            );
        }
    }
    let options = Options {
        name: &args.name,
        folder: &args.folder.dir,
        seqnicd: &seqnicd,
        card: card.as_deref(),
        file: &lab_file,
        another: another.as_ref().map(|a| &a.definition),
        config: "",
    };
    let lab = up(&file.definition, &options).map_err(failure)?;
    for (number, socket) in lab.sockets().enumerate() {
        let file = (another.as_ref().filter(|_| number == 1)).unwrap_or(&file);
        let request = Request::Apply {
            name: file.name.clone(),
            definition: file.text.clone(),
            dry_run: false,
            reload: false,
        };
        let applied = Client::connect(&socket).and_then(|mut c| c.ask(&request));
        if let Err(e) = applied.map_err(daemon_failure) {
            down::down(&lab);
            return Err(e);
        }
    }
    if let Err(e) = lab.wait() {
        eprintln!("seqnic: {e}");
    }
    let mut out = String::new();
    for node in &lab.nodes {
        let programs: Vec<String> = node.programs.keys().map(|p| p.name()).collect();
        let place = match &node.behind {
            Some((host, _)) => format!("behind {host}"),
            None => node.function.clone(),
        };
        out.push_str(&format!(
            "{} ({place}) {}\n",
            node.name,
            programs.join(", ")
        ));
    }
    out.push_str(&format!(
        "logs and captures: {}\ntry: seqnic lab check; seqnic lab exec client curl http://ADDRESS:PORT/; seqnic status --socket {}; seqnic lab down\n",
        lab.folder.display(),
        lab.socket().display()
    ));
    print(&out)
}

fn check(args: &LabCheck) -> Outcome {
    let lab = down::read(&args.folder.dir).map_err(failure)?;
    let report = seqnic_lab::check::check(&lab).map_err(failure)?;
    let mut out = String::new();
    for asked in &report.asked {
        let (mark, said) = match (&asked.said, asked.as_wanted) {
            (Ok(said), true) => ("ok", said.trim().lines().last().unwrap_or_default()),
            (Ok(said), false) => ("WRONG", said.trim()),
            (Err(e), _) => ("FAILED", e.as_str()),
        };
        out.push_str(&format!(
            "{mark}: {}$ {}\n    {said}\n",
            asked.node, asked.run
        ));
    }
    out.push_str("\nwhat each device's own log says\n");
    for (node, program, log) in &report.logs {
        out.push_str(&format!("  {node}, {}: {log}\n", program.name()));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "packets",
        "sent to it",
        "it got",
        "it sent",
        "came from it",
        "",
    ]);
    let machines = report.behind.iter();
    for hop in machines.chain(&report.hops) {
        let number = |n: u64| Cell::new(n).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&hop.attachment),
            number(hop.to.0),
            number(hop.to.1),
            number(hop.from.0),
            number(hop.from.1),
            Cell::new(if hop.adds_up() { "adds up" } else { "DIFFERS" }),
        ]);
    }
    out.push_str(&format!("\n{table}\n"));
    print(&out)?;
    if let Some(path) = &args.svg {
        let picture = seqnic_lab::picture::svg(&lab, &report);
        std::fs::write(path, picture)
            .map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
    }
    match report.passes() {
        true => Ok(()),
        false => Err(Failure::Found),
    }
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
