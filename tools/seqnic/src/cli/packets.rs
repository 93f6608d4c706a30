//! Commands that let packets pass an engine.

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

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
