//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use seqnic_spec::geometry;
use seqnic_verilated::bench::services::Length;
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

/// Say what happens to one packet, table by table
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic explain fig07.img --in i0 --tcp '198.51.100.11:40001>203.0.113.13:1194'"
    "seqnic explain fig07.yaml --in i0 --udp '[2001:db8::11]:5000>[2001:db8::13]:53' --vlan 10"
    "seqnic explain fig07.img --in i1 --pcap firewall.pcap --packet 3"
    "seqnic explain fig07.img --in i0 --hex '020100000001 020300000003 0806 0001'"
))]
pub struct Explain {
    /// Table image, or a definition to compile first
    #[arg(value_name = "TABLES_OR_DEFINITION", value_hint = ValueHint::FilePath)]
    pub tables: PathBuf,
    /// Interface the packet arrives on
    #[arg(long = "in", value_name = "INTERFACE")]
    pub interface: String,
    #[command(flatten)]
    pub packet: PacketArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Which packet. Exactly one of the sources is needed.
#[derive(Debug, Args)]
pub struct PacketArgs {
    /// A packet of this capture
    #[arg(long, value_name = "FILE", requires = "packet", group = "source", value_hint = ValueHint::FilePath)]
    pub pcap: Option<PathBuf>,
    /// Its number in the capture, from 1
    #[arg(long, value_name = "N", requires = "pcap", value_parser = clap::value_parser!(u64).range(1..))]
    pub packet: Option<u64>,
    /// The whole frame without FCS, as hexadecimal bytes; blanks and colons are skipped
    #[arg(long, value_name = "BYTES", group = "source")]
    pub hex: Option<String>,
    /// A TCP packet (SYN); IPv6 addresses in brackets
    #[arg(long, value_name = "SRC:PORT>DST:PORT", group = "source")]
    pub tcp: Option<String>,
    /// A UDP packet
    #[arg(long, value_name = "SRC:PORT>DST:PORT", group = "source")]
    pub udp: Option<String>,
    /// An ICMP or ICMPv6 echo request
    #[arg(long, value_name = "SRC>DST", group = "source")]
    pub icmp: Option<String>,
    /// Source MAC of a made packet [default: 02:00:00:00:00:fe, which should be no attachment's]
    #[arg(long, value_name = "MAC", conflicts_with_all = ["pcap", "hex"])]
    pub eth_src: Option<String>,
    /// Destination MAC of a made packet [default: the interface's]
    #[arg(long, value_name = "MAC", conflicts_with_all = ["pcap", "hex"])]
    pub eth_dst: Option<String>,
    /// VLANs of a made packet, outer first, `none` for untagged [default: the interface's]
    #[arg(long, value_name = "VID[,VID]", conflicts_with_all = ["pcap", "hex"])]
    pub vlan: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The generated hardware under Verilator
    Rtl,
    /// Software that runs the table image
    Image,
    /// Software that reads the definition and knows no tables
    Oracle,
}

/// Captures that go in.
#[derive(Debug, Args)]
pub struct Inputs {
    /// A capture (pcap or pcapng) and the interface its packets arrive on; may be repeated
    #[arg(long = "in", value_name = "INTERFACE=FILE", required = true)]
    pub inputs: Vec<String>,
    /// Use damaged captures as far as they can be read
    #[arg(long)]
    pub keep_going: bool,
}

/// Run captures through an engine and write what comes out of every interface
///
/// Packets of all captures go in by their time. DIR gets a capture for every interface, `host.pcap` with
/// the packets that went to the host, `exceptions.jsonl` with the reason for each of them, and
/// `counters.json`. Every packet keeps the time it came with.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic replay fig07.yaml --in i0=clients.pcap --in i1=firewall.pcap --out result"
    "seqnic replay --engine rtl fig07.img --in i0=clients.pcap --out result --wave run.fst"
    "seqnic replay --engine oracle fig07.yaml --in i0=clients.pcap --out result --force"
))]
pub struct Replay {
    /// Table image, or a definition
    #[arg(value_name = "TABLES_OR_DEFINITION", value_hint = ValueHint::FilePath)]
    pub tables: PathBuf,
    #[arg(long, value_enum, default_value_t = EngineName::Image)]
    pub engine: EngineName,
    #[command(flatten)]
    pub inputs: Inputs,
    /// Folder for the result: new or empty
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Write a waveform (.vcd or .fst; --engine rtl only)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub wave: Option<PathBuf>,
    /// Replace an earlier result in DIR
    #[arg(long)]
    pub force: bool,
    /// No progress and no summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Summary as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Run captures through several engines and report the first difference
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic compare fig07.yaml --in i0=clients.pcap"
    "seqnic compare --engines image,oracle fig07.yaml --in i0=clients.pcap --in i1=firewall.pcap"
))]
pub struct Compare {
    /// A definition, or a table image if the oracle is not among the engines
    #[arg(value_name = "TABLES_OR_DEFINITION", value_hint = ValueHint::FilePath)]
    pub tables: PathBuf,
    /// Engines; all are compared with the first
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [EngineName::Oracle, EngineName::Image, EngineName::Rtl])]
    pub engines: Vec<EngineName>,
    #[command(flatten)]
    pub inputs: Inputs,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Outcome as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Run captures through an engine and print every packet: in, out, and what was edited
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic legs fig07.yaml --in i0=clients.pcap --in i1=firewall.pcap"
    "seqnic legs --engine rtl fig07.img --in i0=clients.pcap --json"
))]
pub struct Legs {
    /// Table image, or a definition
    #[arg(value_name = "TABLES_OR_DEFINITION", value_hint = ValueHint::FilePath)]
    pub tables: PathBuf,
    #[arg(long, value_enum, default_value_t = EngineName::Image)]
    pub engine: EngineName,
    #[command(flatten)]
    pub inputs: Inputs,
    /// A line of JSON for every packet
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

/// The daemon that is asked.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Where seqnicd listens
    #[arg(long, value_name = "SOCKET", default_value = seqnic_daemon::config::SOCKET, value_hint = ValueHint::FilePath)]
    pub socket: PathBuf,
}

/// Make a definition hold on the card of this host
///
/// All or nothing, while packets pass: every packet meets the old definition or the new one.
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic apply fig07.yaml"
    "seqnic apply --dry-run fig07.yaml"
    "seqnic apply --reload fig07.yaml"
))]
pub struct Apply {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Load all tables instead of changing those that are loaded; packets may meet a mixture meanwhile
    #[arg(long, conflicts_with = "dry_run")]
    pub reload: bool,
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Say how the card of this host is: definition, ports, devices, what was noticed
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic status "
    "seqnic status --json | jq '.devices[] | select(.state != \"up\")'"
))]
pub struct Status {
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Show the counters of the card of this host, all at one moment
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic counters "
    "seqnic counters --json | jq '.counters[] | select(.kind == \"service\")'"
))]
pub struct Counters {
    #[command(flatten)]
    pub daemon: Daemon,
    /// As JSON: exact 64-bit numbers
    #[arg(long)]
    pub json: bool,
}

/// Show rates of services and devices as they change; q ends it
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic top "
    "seqnic top --every 500"
))]
pub struct Top {
    #[command(flatten)]
    pub daemon: Daemon,
    /// Time between two looks, ms
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..))]
    pub every: u64,
}

/// Take a device out of all services: its alternates stand in for it
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic failed firewall"))]
pub struct Failed {
    /// Device of the definition
    pub device: String,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Ask a server how it takes packets for a service address: loopback, alias or NAT mode
///
/// It is offered a connection to that address and one to its own, and asked who has the address.
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic detect web1 --address 203.0.113.13 --port 80"))]
pub struct Detect {
    /// Server of the definition
    pub device: String,
    /// Service address it is to serve; no service of the definition may have it yet
    #[arg(long)]
    pub address: std::net::IpAddr,
    /// Port
    #[arg(long)]
    pub port: u16,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Give a failed device its place back
#[derive(Debug, Args)]
#[command(after_help = examples!("seqnic restore firewall"))]
pub struct Restore {
    /// Device of the definition
    pub device: String,
    #[command(flatten)]
    pub daemon: Daemon,
}

/// Print keepalived's configuration for this engine of two: the definition's addresses are shared by VRRP
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic keepalived fig15.yaml > /etc/keepalived/keepalived.conf"
    "seqnic keepalived fig15.yaml --config ./seqnicd.yaml"
))]
pub struct Keepalived {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The daemon's configuration: `pair` in it says what is this engine's own
    #[arg(long, value_name = "FILE", default_value = seqnic_daemon::config::PATH, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
}

/// Print Kea's configuration: DHCP for the devices and hosts of a definition
#[derive(Debug, Args)]
#[command(after_help = examples!(
    "seqnic kea fig15.yaml > /etc/kea/kea-dhcp4.conf"
    "seqnic kea fig15.yaml --interface i1 --pool 10.1.0.100-10.1.0.199"
))]
pub struct Kea {
    /// Service definition (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Serve this interface; may be given again [default: all that have an IPv4 address]
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Addresses for whoever is not in the definition; may be given again
    #[arg(long, value_name = "FROM-TO")]
    pub pool: Vec<String>,
    /// What names of the engine's network devices begin with
    #[arg(long, default_value = "sq-")]
    pub prefix: String,
}

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
