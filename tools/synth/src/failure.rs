//! What can go wrong.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("generating geometry `{geometry}`: {what}")]
    Generate {
        geometry: &'static str,
        what: String,
    },
    #[error(
        "`{program}` does not start ({source}); `make synth` installs it, or name yours with {variable}"
    )]
    Start {
        program: String,
        variable: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{what}: `{program}` failed ({status}); what it said is in {}\n{tail}", log.display())]
    Tool {
        program: String,
        what: String,
        status: String,
        log: PathBuf,
        tail: String,
    },
    #[error("{what}: `{program}` took more than {seconds} s; what it said is in {}", log.display())]
    Slow {
        program: String,
        what: String,
        seconds: u64,
        log: PathBuf,
    },
    #[error(
        "`{program}` passes the setting `{setting}` by and lays the cells so densely that no router comes to an end; \
         routing wants one with tools/synth/nextpnr-target-util.patch (docs/synth.md, \"Routing\"), named with {variable}"
    )]
    Dense {
        program: String,
        setting: &'static str,
        variable: &'static str,
    },
    #[error("{}: not what was expected: {what}", path.display())]
    Format { path: PathBuf, what: String },
    #[error("deeper than their neighbours, without a row in section Reasons of docs/synth.md: {0}")]
    Reasons(String),
    #[error("a path of logic without a register in it, through {0}")]
    Loop(String),
}

impl Failure {
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Failure {
        let path = path.into();
        move |source| Failure::File { path, source }
    }

    pub fn format(path: impl Into<PathBuf>, what: impl ToString) -> Failure {
        Failure::Format {
            path: path.into(),
            what: what.to_string(),
        }
    }
}
