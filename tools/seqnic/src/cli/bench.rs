//! `seqnic bench`: figures.

use clap::{Args, Subcommand, ValueHint};
use seqnic_spec::geometry;
use seqnic_verilated::bench::services::Length;
use std::path::PathBuf;

/// Count clocks on the generated hardware
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench rtl --lengths 64,1518,mix --frames 10000"
    "sudo seqnic bench soft"
    "seqnic bench compile"
    "seqnic bench acl"
    "seqnic bench placement"
))]
pub struct Bench {
    #[command(subcommand)]
    pub what: BenchWhat,
}

#[derive(Debug, Subcommand)]
pub enum BenchWhat {
    Rtl(BenchRtl),
    Soft(BenchSoft),
    Driver(BenchDriver),
    Compile(BenchCompile),
    Acl(BenchAcl),
    Placement(BenchPlacement),
}

/// Compare the software engine with XDP programs
///
/// All match address and port, translate the destination and rewrite the MACs of the same packets, one
/// million of random services, in turns in one run; CPU time a packet. One XDP program also checks MAC, checksum
/// and sender and counts, as the software engine does, the other does neither. Needs clang, libbpf and root
/// (tools/setup-bench.sh; BPF_PROG_TEST_RUN needs CAP_BPF and CAP_NET_ADMIN); `--alone` leaves XDP out.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "sudo seqnic bench soft"
    "sudo seqnic bench soft --services 1000,65536 --rounds 21 --chart soft.svg"
))]
pub struct BenchSoft {
    /// Without XDP
    #[arg(long)]
    pub alone: bool,
    /// Services in the tables
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1000,65536,1000000",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub services: Vec<u32>,
    /// Measurements of each side
    #[arg(long, default_value_t = 11, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Write a chart of the best times (SVG)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub chart: Option<PathBuf>,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Compare the building of hash tables with DPDK's rte_hash and libcuckoo, and time a whole image
///
/// The same random keys for all, in turns in one run, one core; CPU time a key. Then a definition of 64K
/// services is compiled, by phases. Needs a C and a C++ compiler, DPDK and libcuckoo (tools/setup-bench.sh);
/// `--alone` leaves the peers out.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench compile"
    "seqnic bench compile --rounds 21 --chart compile.svg"
    "seqnic bench compile --alone --json | jq '.image.phases'"
))]
pub struct BenchCompile {
    /// Measurements of each side
    #[arg(long, default_value_t = 11, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Only the image, no peers
    #[arg(long)]
    pub alone: bool,
    /// Write a chart of the best times (SVG)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub chart: Option<PathBuf>,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Compare the compiling of rule sets with DPDK's rte_acl
///
/// Sets with the shapes of ClassBench (acl, fw, ipc), IPv4 and IPv6, for geometry `alveo`, in turns with
/// rte_acl in one run, one core: time, how often rules are stored, bytes a rule. Both are asked the same
/// packets; an answer that differs ends the run with an error. Needs a C compiler and DPDK
/// (tools/setup-bench.sh).
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench acl"
    "seqnic bench acl --rules 1000 --rounds 21"
    "seqnic bench acl --json | jq '.sets[] | {shape, rules, over_rte_acl}'"
))]
pub struct BenchAcl {
    /// Rules of a set
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1000,10000",
        value_parser = clap::value_parser!(u32).range(1..=65_000))]
    pub rules: Vec<u32>,
    /// Measurements of each side
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Packets both are asked
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub packets: u32,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Measure what a packet costs the driver between the card's rings and a program
///
/// The card is in memory; its own work is not counted. CPU time a packet, best and median.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench driver"
    "seqnic bench driver --lengths 60,1514 --rounds 1000 --json"
))]
pub struct BenchDriver {
    /// Bytes of the frames, without FCS
    #[arg(long, value_delimiter = ',', value_name = "BYTES", default_value = "60,128,512,1514,9216",
        value_parser = clap::value_parser!(u16).range(60..=9216))]
    pub lengths: Vec<u16>,
    /// Measurements of each length
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: u32,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Fill tables of every size with random keys and count what does not place
///
/// Exits with 1 if a run failed.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench placement"
    "seqnic bench placement --seeds 100 --largest 10000000"
))]
pub struct BenchPlacement {
    /// Runs of each size, each with keys and hash seeds of its own
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub seeds: u32,
    /// Keys, in percent of a table's slots
    #[arg(long, default_value_t = 97, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub load: u32,
    /// Leave out tables of more slots
    #[arg(long, default_value_t = 400_000, value_name = "SLOTS")]
    pub largest: u32,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Count clocks on the verilated card: rate, latency, loss and order, full load and overload
///
/// Compiles a definition of many services and offers packets of them to all ports back to back, forward
/// and return, for each frame length; then more frames to one output than it takes. All figures are counts
/// of clocks of the simulated card: exact, the same in every run and on every machine, and no
/// measurement of silicon; only the speed of the simulation depends on the machine. Exits with 0 whether
/// rules are met or missed: the table says which.
///
/// A length is met if the card sends a beat every clock: from the first beat that leaves to the last there
/// are as many clocks as beats (length / bus width, rounded up, of every packet), and in the whole run at
/// most as many more as 192 bytes have beats, less one; and nothing is lost.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic bench rtl"
    "seqnic bench rtl --lengths 64,1518,mix --frames 10000"
    "seqnic bench rtl --geometry edge --json | jq '.loads[] | {length, clocks_per_packet, met}'"
))]
pub struct BenchRtl {
    /// Build of the card
    #[arg(long, default_value = "alveo", value_name = "NAME", value_parser = geometries())]
    pub geometry: String,
    /// Services in the tables [default: 20000, or 150 for edge]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=200_000))]
    pub services: Option<u32>,
    /// Frames of each length
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub frames: u32,
    /// Frame lengths in bytes without FCS, 60 to 9216; `mix` is random from 60 to 1518
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LENGTHS",
        default_value = "60,63,64,65,127,128,129,191,192,193,256,512,1024,1518,4096,9216,mix"
    )]
    pub lengths: Vec<Length>,
    /// Every length from 60 to 9216 besides, this many frames of each (minutes): what is not as it should be is printed
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub every_length: Option<u32>,
    /// Fill every table at least so far, in percent, with rows that no packet asks; 0: only what the services need
    #[arg(long, default_value_t = 95, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=97))]
    pub fill: u32,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

fn geometries() -> clap::builder::PossibleValuesParser {
    geometry::ALL.map(|g| g.name).into()
}
