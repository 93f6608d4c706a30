//! Failures and what they mean for the exit code.

use seqnic_replay::ReplayError;
use seqnic_replay::error::CaptureError;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// Why a command did not end well.
#[derive(Debug)]
pub enum Failure {
    /// What was found has been printed; exit code 1.
    Found,
    /// Two things were compared, and differ; exit code 1.
    Different,
    /// An input was refused; exit code 1.
    Refused(String),
    /// The command line is wrong in a way clap cannot see; exit code 2.
    Usage(String),
    /// An engine, the disk or this program failed; exit code 3.
    Failed(String),
    /// Whoever read the output has closed it: no fault of anyone.
    Closed,
}

pub type Outcome = Result<(), Failure>;

impl Failure {
    pub fn usage(message: impl Display) -> Failure {
        Failure::Usage(message.to_string())
    }

    pub fn refused(message: impl Display) -> Failure {
        Failure::Refused(message.to_string())
    }

    pub fn failed(message: impl Display) -> Failure {
        Failure::Failed(message.to_string())
    }

    /// Failing to write standard output.
    pub fn output(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Failed(format!("standard output: {error}")),
        }
    }

    /// Failing to write `path`.
    pub fn write(path: &Path, error: impl Display) -> Failure {
        Failure::Failed(format!("cannot write {}: {error}", path.display()))
    }

    /// What to print, without the leading `seqnic: `.
    pub fn message(&self) -> Option<&str> {
        match self {
            Failure::Found | Failure::Different | Failure::Closed => None,
            Failure::Refused(m) | Failure::Usage(m) | Failure::Failed(m) => Some(m),
        }
    }

    /// As diff(1) has it: 1 says that the inputs differ, all trouble is 2.
    pub fn code_of_diff(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Closed => 0,
            Failure::Different => 1,
            _ => 2,
        })
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Closed => 0,
            Failure::Found | Failure::Different | Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Failed(_) => 3,
        })
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Failure {
        let way_out = match error.packet {
            1 => "",
            _ => " (--keep-going uses them)",
        };
        Failure::Refused(format!("{error}{way_out}"))
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Failure {
        match error {
            ReplayError::Capture(e) => e.into(),
            ReplayError::UnknownInterface { .. }
            | ReplayError::NotEmpty { .. }
            | ReplayError::NotAFolder { .. } => Failure::usage(error),
            ReplayError::UnusableName { .. } => Failure::refused(error),
            ReplayError::Write { .. } => Failure::failed(error),
            e if e.is_engine() => Failure::failed(e),
            e => Failure::failed(e),
        }
    }
}
