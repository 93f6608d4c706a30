use seqnic_verilated::RtlError;
use std::io;

/// Why a card cannot be had, or a port of it.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error(transparent)]
    Rtl(#[from] RtlError),
    #[error("port p{port}: geometry `{geometry}` has p0 to p{last}")]
    NoPort {
        port: u32,
        geometry: &'static str,
        last: u32,
    },
    #[error("port p{port} is joined twice")]
    Twice { port: u32 },
    #[error("{what}: {source}")]
    Open { what: String, source: io::Error },
    #[error(transparent)]
    Capture(#[from] seqnic_replay::error::CaptureError),
}
