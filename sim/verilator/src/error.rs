use std::path::PathBuf;

/// Why the RTL could not be built or started.
#[derive(Debug, thiserror::Error)]
pub enum RtlError {
    #[error("generating the RTL for geometry `{geometry}`: {what}")]
    Generate {
        geometry: &'static str,
        what: String,
    },
    #[error("`{program}` could not be started ({source}); install it: {install}")]
    Missing {
        program: &'static str,
        install: &'static str,
        source: std::io::Error,
    },
    #[error("`{program}` failed building the simulator; its output is in {log}:\n{tail}")]
    Build {
        program: &'static str,
        log: PathBuf,
        tail: String,
    },
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("loading {path}: {what}; remove that folder to have it built again")]
    Load { path: PathBuf, what: String },
    #[error("waveform {path}: the name must end in .vcd or .fst")]
    Wave { path: PathBuf },
    #[error(
        "no folder for the simulator's cache: neither SEQNIC_CACHE nor XDG_CACHE_HOME nor HOME is set; set SEQNIC_CACHE"
    )]
    NoCache,
    #[error(
        "the simulator answers {found} ports of {found_bytes} bytes, geometry `{geometry}` has {ports} of {bytes}"
    )]
    Shape {
        geometry: &'static str,
        ports: u32,
        bytes: u32,
        found: u32,
        found_bytes: u32,
    },
    #[error("table `{table}` row {row} reads back as {found:x?}, written was {written:x?}")]
    Verify {
        table: &'static str,
        row: u32,
        written: Vec<u64>,
        found: Vec<u64>,
    },
    #[error(
        "the configuration port did not answer a read of {set} row {row} within {clocks} clocks"
    )]
    NoAnswer {
        set: &'static str,
        row: u32,
        clocks: u32,
    },
}
