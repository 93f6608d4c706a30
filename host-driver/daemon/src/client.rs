//! The other end of the socket.

use crate::api::{Answer, Refusal, Request, Response};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for an answer: a large definition is compiled meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach seqnicd at {}: {source}; is it running, and may you use it?", path.display())]
    Connect {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the connection to seqnicd broke: {0}")]
    Broken(std::io::Error),
    #[error(
        "seqnicd gave an answer this command does not understand ({0}); are both of one version?"
    )]
    Strange(String),
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// # Errors
    /// Nobody listens there, or it is not allowed.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Connect {
            path: path.to_path_buf(),
            source,
        })?;
        let set = stream.set_read_timeout(Some(PATIENCE));
        set.map_err(ClientError::Broken)?;
        Ok(Client {
            stream: BufReader::new(stream),
        })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The daemon refuses, or the connection breaks.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let strange = |e: serde_json::Error| ClientError::Strange(e.to_string());
        let line = serde_json::to_string(request).map_err(strange)? + "\n";
        let stream = self.stream.get_mut();
        stream
            .write_all(line.as_bytes())
            .map_err(ClientError::Broken)?;
        let mut answer = String::new();
        let bytes = self
            .stream
            .read_line(&mut answer)
            .map_err(ClientError::Broken)?;
        if bytes == 0 {
            let closed = std::io::Error::other("it was closed; see the daemon's log");
            return Err(ClientError::Broken(closed));
        }
        match serde_json::from_str(&answer).map_err(strange)? {
            Response::Ok(answer) => Ok(answer),
            Response::Error(refusal) => Err(ClientError::Refused(refusal)),
        }
    }
}
