use std::path::PathBuf;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("`{program}` could not be started ({source}); install what the peers need: {install}")]
    Missing {
        program: String,
        install: &'static str,
        source: std::io::Error,
    },
    #[error("building the peer {peer} failed; install what the peers need: {install}\n{output}")]
    Build {
        peer: &'static str,
        install: &'static str,
        output: String,
    },
    #[error("the peer {peer}: {what}")]
    Peer { peer: &'static str, what: String },
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the definition of {services} services was refused: {what}")]
    Definition { services: u32, what: String },
    #[error("the image of {services} services was refused: {0}", .source)]
    Image {
        services: u32,
        source: seqnic_model::LoadError,
    },
    #[error("`{table}` is no hash table")]
    NoHash { table: &'static str },
    #[error("table `{table}`: {unplaced}")]
    Unplaced {
        table: &'static str,
        unplaced: seqnic_compiler::place::Unplaced,
    },
    #[error("the driver: {what}")]
    Driver { what: String },
    #[error("nothing was measured: ask for at least one round")]
    Rounds,
    #[error("packet {packet} leaves the peer as\n  {peer}\nand the software engine as\n  {ours}")]
    Differs {
        packet: usize,
        peer: String,
        ours: String,
    },
    #[error("rule {peer} decides for the peer and rule {ours} for us (0: none): {packet}")]
    Rules {
        packet: String,
        peer: u32,
        ours: u32,
    },
}
