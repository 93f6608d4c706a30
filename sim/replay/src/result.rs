//! The folder a replay leaves: all of it or nothing.
//!
//! Everything is written to a folder inside the target and moved out at the end, so that a replay
//! that fails leaves what was there before.

use crate::capture::Writer;
use crate::counters::Report;
use crate::error::ReplayError;
use crate::merge::{Input, Packet};
use seqnic_engine::{Host, Output};
use seqnic_image::names::InterfaceName;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub const HOST: &str = "host.pcap";
pub const EXCEPTIONS: &str = "exceptions.jsonl";
pub const COUNTERS: &str = "counters.json";

/// Begin of the name of the folder results are written to first; the process number follows.
const STAGING: &str = ".replay-";

/// Whether `path` was left by a replay that was killed.
fn is_abandoned(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    let process = name.and_then(|n| n.strip_prefix(STAGING)?.parse::<u32>().ok());
    process.is_some_and(|p| path.is_dir() && !Path::new(&format!("/proc/{p}")).exists())
}

/// One line of `exceptions.jsonl`: a packet that went to the host.
#[derive(Debug, Serialize)]
struct Exception<'a> {
    /// Number of the packet over all inputs, from 1.
    id: u64,
    time: crate::Time,
    /// Capture it came from, the interface given with it, and its number there, from 1.
    file: String,
    input: &'a str,
    packet: u64,
    reason: &'static str,
    /// Interface it arrived on, if the reason has one.
    interface: Option<&'a str>,
    /// Who sent it, if known.
    attachment: Option<&'a str>,
    service: Option<&'a str>,
    direction: Option<&'static str>,
    /// Bytes of the frame.
    length: usize,
}

/// A folder being filled.
pub struct ResultFolder {
    target: PathBuf,
    /// The target did not exist before.
    created: bool,
    staging: PathBuf,
    done: bool,
    interfaces: Vec<String>,
    captures: Vec<Writer<BufWriter<File>>>,
    host: Writer<BufWriter<File>>,
    exceptions: BufWriter<File>,
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> ReplayError + '_ {
    |error| ReplayError::Write {
        path: path.to_path_buf(),
        error,
    }
}

fn pcap_name(interface: &str) -> String {
    format!("{interface}.pcap")
}

fn create(folder: &Path, name: &str) -> Result<BufWriter<File>, ReplayError> {
    let path = folder.join(name);
    File::create(&path)
        .map(BufWriter::new)
        .map_err(write_error(&path))
}

fn create_capture(folder: &Path, name: &str) -> Result<Writer<BufWriter<File>>, ReplayError> {
    Writer::new(create(folder, name)?).map_err(write_error(&folder.join(name)))
}

impl ResultFolder {
    /// Checks what [`ResultFolder::create`] checks, and writes nothing.
    ///
    /// # Errors
    /// The folder has something in it, or an interface cannot name a file.
    pub fn check(
        target: &Path,
        interfaces: &[InterfaceName],
        force: bool,
    ) -> Result<(), ReplayError> {
        for InterfaceName { name, .. } in interfaces {
            let bad = name.is_empty()
                || name.starts_with('.')
                || name.contains(['/', '\0'])
                || pcap_name(name) == HOST;
            if bad {
                return Err(ReplayError::UnusableName { name: name.clone() });
            }
        }
        if !target.exists() {
            return Ok(());
        }
        if !target.is_dir() {
            return Err(ReplayError::NotAFolder {
                path: target.to_path_buf(),
            });
        }
        if !force {
            let entries = fs::read_dir(target).map_err(write_error(target))?;
            let mut paths = entries.flatten().map(|e| e.path());
            if paths.any(|path| !is_abandoned(&path)) {
                return Err(ReplayError::NotEmpty {
                    path: target.to_path_buf(),
                });
            }
        }
        Ok(())
    }

    /// Prepares `target`, which must be new or empty; with `force` the files of an earlier replay in it
    /// are replaced when [`ResultFolder::finish`] is called, and no others are touched.
    ///
    /// # Errors
    /// The folder has something in it, cannot be written, or an interface cannot name a file.
    pub fn create(
        target: &Path,
        interfaces: &[InterfaceName],
        force: bool,
    ) -> Result<ResultFolder, ReplayError> {
        ResultFolder::check(target, interfaces, force)?;
        let created = !target.exists();
        if !created {
            let entries = fs::read_dir(target).map_err(write_error(target))?;
            for path in entries.flatten().map(|e| e.path()) {
                if is_abandoned(&path) {
                    fs::remove_dir_all(&path).map_err(write_error(&path))?;
                }
            }
        }
        let staging = target.join(format!("{STAGING}{}", std::process::id()));
        fs::create_dir_all(&staging).map_err(write_error(&staging))?;
        let open = || -> Result<_, ReplayError> {
            let captures = interfaces
                .iter()
                .map(|i| create_capture(&staging, &pcap_name(&i.name)))
                .collect::<Result<Vec<_>, _>>()?;
            let host = create_capture(&staging, HOST)?;
            Ok((captures, host, create(&staging, EXCEPTIONS)?))
        };
        match open() {
            Ok((captures, host, exceptions)) => Ok(ResultFolder {
                target: target.to_path_buf(),
                created,
                interfaces: interfaces.iter().map(|i| i.name.clone()).collect(),
                captures,
                host,
                exceptions,
                staging,
                done: false,
            }),
            Err(e) => {
                discard(target, &staging, created);
                Err(e)
            }
        }
    }

    /// Writes what became of `packet`.
    ///
    /// # Errors
    /// The disk is full or the like.
    pub fn put(
        &mut self,
        inputs: &[Input],
        packet: &Packet,
        output: &Output,
    ) -> Result<(), ReplayError> {
        match output {
            Output::Sent(sent) => {
                let at = sent.interface as usize;
                self.captures[at]
                    .write(packet.time, &sent.frame)
                    .map_err(|error| self.error(&pcap_name(&self.interfaces[at]), error))
            }
            Output::Host(host) => {
                self.host
                    .write(packet.time, &host.frame)
                    .map_err(|error| self.error(HOST, error))?;
                self.exception(&inputs[packet.input], packet, host)
                    .map_err(|error| self.error(EXCEPTIONS, error))
            }
        }
    }

    fn error(&self, name: &str, error: io::Error) -> ReplayError {
        ReplayError::Write {
            path: self.target.join(name),
            error,
        }
    }

    fn exception(&mut self, input: &Input, packet: &Packet, host: &Host) -> io::Result<()> {
        let line = Exception {
            id: packet.id,
            time: packet.time,
            file: input.path.display().to_string(),
            input: &input.interface,
            packet: packet.number,
            reason: host.reason.name(),
            interface: host
                .interface
                .and_then(|i| self.interfaces.get(i as usize))
                .map(String::as_str),
            attachment: host.attachment.as_deref(),
            service: host.service.as_ref().map(|(s, _)| s.as_str()),
            direction: host.service.as_ref().map(|(_, d)| d.name()),
            length: host.frame.len(),
        };
        serde_json::to_writer(&mut self.exceptions, &line)?;
        self.exceptions.write_all(b"\n")
    }

    /// Frames sent and frames to the host so far.
    pub fn written(&self) -> (u64, u64) {
        let sent = self.captures.iter().map(Writer::packets).sum();
        (sent, self.host.packets())
    }

    /// Writes the counters and moves everything into place.
    ///
    /// # Errors
    /// The disk is full or the like; the folder is as it was before, unless moving itself failed.
    pub fn finish(mut self, report: &Report) -> Result<(), ReplayError> {
        let mut names = Vec::new();
        for (interface, capture) in self.interfaces.iter().zip(self.captures.drain(..)) {
            let name = pcap_name(interface);
            close(capture.finish(), &self.target.join(&name))?;
            names.push(name);
        }
        self.exceptions
            .flush()
            .map_err(write_error(&self.target.join(EXCEPTIONS)))?;
        self.host
            .flush()
            .map_err(write_error(&self.target.join(HOST)))?;
        let mut counters = create(&self.staging, COUNTERS)?;
        serde_json::to_writer_pretty(&mut counters, report)
            .map_err(io::Error::from)
            .and_then(|()| counters.write_all(b"\n"))
            .and_then(|()| counters.flush())
            .map_err(write_error(&self.target.join(COUNTERS)))?;
        names.extend([HOST, EXCEPTIONS, COUNTERS].map(String::from));
        for stale in self.earlier() {
            if !names.contains(&stale) {
                let path = self.target.join(stale);
                fs::remove_file(&path).map_err(write_error(&path))?;
            }
        }
        for name in &names {
            let path = self.target.join(name);
            fs::rename(self.staging.join(name), &path).map_err(write_error(&path))?;
        }
        self.done = true;
        fs::remove_dir(&self.staging).map_err(write_error(&self.staging))
    }

    /// Captures an earlier replay left here for interfaces: its counters name them all.
    fn earlier(&self) -> Vec<String> {
        let Ok(text) = fs::read(self.target.join(COUNTERS)) else {
            return Vec::new();
        };
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&text) else {
            return Vec::new();
        };
        let interfaces = value.get("interfaces").and_then(|i| i.as_object());
        interfaces
            .into_iter()
            .flat_map(|i| i.keys())
            .filter(|name| !name.contains('/'))
            .map(|name| pcap_name(name))
            .filter(|name| self.target.join(name).is_file())
            .collect()
    }
}

fn close(finished: io::Result<BufWriter<File>>, path: &Path) -> Result<(), ReplayError> {
    finished.map(drop).map_err(write_error(path))
}

/// Takes an unfinished result away. Failing is of no consequence: the name says what it is.
fn discard(target: &Path, staging: &Path, created: bool) {
    let _ = fs::remove_dir_all(staging);
    if created {
        let _ = fs::remove_dir(target);
    }
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        if !self.done {
            discard(&self.target, &self.staging, self.created);
        }
    }
}
