//! Peers: programs built here and asked over a pipe, a line each way.

use crate::BenchError;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What every peer needs, on Debian and Ubuntu.
const INSTALL: &str = "tools/setup-bench.sh";

/// A file of a peer, compiled into this program.
pub struct Source {
    pub name: &'static str,
    pub text: &'static str,
}

/// Writes the sources of `peer` to `folder`.
pub fn lay_out(folder: &Path, sources: &[Source]) -> Result<(), BenchError> {
    for source in sources {
        let path = folder.join(source.name);
        std::fs::write(&path, source.text).map_err(|source| BenchError::Io { path, source })?;
    }
    Ok(())
}

/// Runs a compiler in `folder`; what it writes is shown if it fails.
pub fn build(
    peer: &'static str,
    folder: &Path,
    program: &str,
    arguments: &[&str],
) -> Result<(), BenchError> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|source| BenchError::Missing {
            program: program.into(),
            install: INSTALL,
            source,
        })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(BenchError::Build {
            peer,
            install: INSTALL,
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

/// A peer that runs.
pub struct Peer {
    name: &'static str,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a peer and waits until it says it is ready.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Peer, BenchError> {
        let failed = |what: String| BenchError::Peer { peer: name, what };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let requests = child.stdin.take();
        let Some(answers) = child.stdout.take() else {
            return Err(failed("has no standard output".into()));
        };
        let mut peer = Peer {
            name,
            child,
            requests,
            answers: BufReader::new(answers),
        };
        match peer.answer()?.as_str() {
            "ready" => Ok(peer),
            other => Err(failed(format!("said `{other}` instead of `ready`"))),
        }
    }

    /// Asks a line and gives the line it answers.
    pub fn ask(&mut self, request: &str) -> Result<String, BenchError> {
        let sent = match &mut self.requests {
            Some(requests) => writeln!(requests, "{request}").and_then(|()| requests.flush()),
            None => Ok(()),
        };
        match sent {
            Ok(()) => self.answer(),
            Err(e) => Err(self.died(&e.to_string())),
        }
    }

    /// Asks for a measurement: nanoseconds of CPU and items; gives nanoseconds an item.
    pub fn measure(&mut self, request: &str) -> Result<f64, BenchError> {
        let answer = self.ask(request)?;
        let mut numbers = answer.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(ns)), Some(Ok(items))) if items > 0.0 => Ok(ns / items),
            _ => Err(BenchError::Peer {
                peer: self.name,
                what: format!("answered `{answer}` to `{request}`"),
            }),
        }
    }

    fn answer(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err(self.died("it ended")),
            Ok(_) => Ok(line.trim_end().to_string()),
            Err(e) => Err(self.died(&e.to_string())),
        }
    }

    /// What it said before it ended.
    fn died(&mut self, how: &str) -> BenchError {
        self.requests = None;
        let _ = self.child.wait();
        let mut said = String::new();
        if let Some(errors) = self.child.stderr.take() {
            let _ = std::io::read_to_string(errors).map(|text| said = text);
        }
        let what = match said.trim() {
            "" => how.to_string(),
            said => said.to_string(),
        };
        BenchError::Peer {
            peer: self.name,
            what,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Peer, BenchError> {
        Peer::start("test", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_peer_answers_line_by_line() {
        let mut peer = shell("echo ready; while read x; do echo \"$x 4\"; done").unwrap();
        assert_eq!(peer.ask("a").unwrap(), "a 4");
        assert_eq!(peer.measure("10").unwrap(), 2.5);
        assert!(
            peer.measure("word")
                .unwrap_err()
                .to_string()
                .contains("word 4")
        );
    }

    #[test]
    fn a_peer_that_ends_is_quoted() {
        let error = shell("echo no such map >&2; exit 1").err().unwrap();
        assert_eq!(error.to_string(), "the peer test: no such map");
        let mut peer = shell("echo ready; read x; echo gone >&2").unwrap();
        assert_eq!(
            peer.ask("x").unwrap_err().to_string(),
            "the peer test: gone"
        );
    }

    #[test]
    fn a_compiler_that_is_missing_is_named() {
        let folder = std::env::temp_dir();
        let error = build("test", &folder, "no-such-compiler", &[]).unwrap_err();
        assert!(
            error.to_string().contains("tools/setup-bench.sh"),
            "{error}"
        );
    }
}
