//! `seqnic lab`: a definition with real programs.

use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

/// A definition as network namespaces with real programs, joined to the software engine
///
/// Needs root and the programs, which tools/setup-lab.sh installs.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic lab up examples/fig07.yaml"
    "seqnic lab up examples/fig07.yaml --card     (on the verilated card: slow, and the real RTL)"
    "seqnic lab check "
    "seqnic lab exec client curl http://203.0.113.13/"
    "seqnic lab down "
))]
pub struct Lab {
    #[command(subcommand)]
    pub what: LabWhat,
}

#[derive(Debug, Subcommand)]
pub enum LabWhat {
    Up(LabUp),
    Check(LabCheck),
    Exec(LabExec),
    Down(LabDown),
}

/// Where a lab's logs, captures and its socket are.
#[derive(Debug, Args)]
pub struct LabFolder {
    #[arg(long, value_name = "DIR", default_value = "out/lab", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// Make the namespaces, start the programs and seqnicd, apply the definition
#[derive(Debug, Args)]
pub struct LabUp {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub folder: LabFolder,
    /// Lab file [default: x.lab.yaml beside x.yaml, if there is one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub lab: Option<PathBuf>,
    /// What the namespaces' names begin with
    #[arg(long, default_value = "lab")]
    pub name: String,
    /// The daemon [default: beside this program, or on the PATH]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::FilePath)]
    pub seqnicd: Option<PathBuf>,
    /// The simulated card (RTL under Verilator) as the engine, in place of the software engine
    #[arg(long)]
    pub card: bool,
    /// The simulated card's program [default: beside this program, or on the PATH]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::FilePath, requires = "card")]
    pub seqnic_card: Option<PathBuf>,
}

/// Ask what the lab file asks; compare every node's own counts with the engine's, hop by hop
#[derive(Debug, Args)]
pub struct LabCheck {
    /// Draw what passed, and what each device's log says, into this file (SVG)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub folder: LabFolder,
}

/// Run a program in a namespace of the lab
#[derive(Debug, Args)]
pub struct LabExec {
    /// `client`, `engine`, a host or device of the definition, or a machine of the lab file
    pub node: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<String>,
    #[command(flatten)]
    pub folder: LabFolder,
}

/// End the programs and remove the namespaces
#[derive(Debug, Args)]
pub struct LabDown {
    #[command(flatten)]
    pub folder: LabFolder,
}
