//! Commands about definitions and tables.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// Check a service definition; all errors at once, each at its line
///
/// Reads and compiles the definition and writes nothing.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic check fig07.yaml"
    "seqnic check --json fig07.yaml | jq '.diagnostics[].code'"
))]
pub struct Check {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Findings as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Compile a service definition to a table image
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic compile fig07.yaml -o fig07.img"
    "seqnic compile --seed 7 --json fig07.yaml -o fig07.img"
))]
pub struct Compile {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Image to write; replaced if it exists
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Where to start looking for hash seeds; the same seed gives the same image
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What was compiled as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Say what a new definition changes, and how to get there while packets pass
///
/// The words are written one a clock; every packet meets the old definition or the new one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  seqnic diff old.yaml new.yaml
  seqnic diff loaded.img new.yaml --delta words.json --image next.img
  seqnic diff --json old.yaml new.yaml | jq '.services_changed[].after'

Exit codes:
  0  the tables stay as they are
  1  something changes
  2  the command line is wrong, an input was refused, or there is no way without a full reload")]
pub struct Diff {
    /// Tables that are loaded (an image), or the definition they were compiled from
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: PathBuf,
    /// Definition to get to (YAML)
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Every word in the order they are written
    #[arg(long)]
    pub words: bool,
    /// File to write the ordered words to (JSON); replaced if it exists
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub delta: Option<PathBuf>,
    /// Image to write: the tables after the change, for the next one
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub image: Option<PathBuf>,
}

/// Show what is in a table image, and how full its tables are
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic inspect fig07.img"
    "seqnic inspect fig07.img --table step --rows"
    "seqnic inspect fig07.img --json"
))]
pub struct Inspect {
    /// Table image, or a definition to compile first
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub tables: PathBuf,
    /// Only this table
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Every row that is in use, field by field
    #[arg(long)]
    pub rows: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Draw the sequence of a service as SVG
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic draw fig07.yaml -o fig07.svg"
    "seqnic draw fig07.yaml --service W1 -o w1.svg"
))]
pub struct Draw {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Only this service; may be repeated
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,
    /// SVG file to write; replaced if it exists
    #[arg(short, long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
}
