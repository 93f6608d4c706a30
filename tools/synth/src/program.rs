//! Running yosys and nextpnr.
//!
//! Their builds on PyPI see only the folder they are started in and a few system folders, so every run
//! has a folder of its own and names files without a path.

use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    variable: &'static str,
}

impl Program {
    /// The one that `variable` names, else `name` of `tools`.
    pub fn new(variable: &'static str, tools: &Path, name: &str) -> Program {
        let path = match std::env::var_os(variable) {
            Some(path) => path.into(),
            None => tools.join("bin").join(name),
        };
        // The programs are started in other folders.
        let path = match path.components().count() {
            1 => path,
            _ => fs::canonicalize(&path).unwrap_or(path),
        };
        Program { path, variable }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// That it takes no other density than its own.
    pub fn dense(&self, setting: &'static str) -> Failure {
        Failure::Dense {
            program: self.name(),
            setting,
            variable: self.variable,
        }
    }

    fn start(&self, source: std::io::Error) -> Failure {
        Failure::Start {
            program: self.name(),
            variable: self.variable,
            source,
        }
    }

    /// The first line it says about itself.
    pub fn version(&self, folder: &Path, argument: &str) -> Result<String, Failure> {
        let said = Command::new(&self.path)
            .arg(argument)
            .current_dir(folder)
            .output()
            .map_err(|e| self.start(e))?;
        let all = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&all);
        let line = text
            .lines()
            .find(|l| l.contains("osys") && !l.contains("yowasp") || l.contains("nextpnr"));
        Ok(line.unwrap_or_default().trim_matches('"').to_string())
    }

    /// Runs it in `folder`, `what` says for what; gives all it said, and each line to `hear` when it is said.
    pub fn run(
        &self,
        what: &str,
        folder: &Path,
        arguments: &[&str],
        seconds: u64,
        hear: &mut dyn FnMut(&str),
    ) -> Result<String, Failure> {
        let log = folder.join("log");
        let file = File::create(&log).map_err(Failure::file(&log))?;
        let both = file.try_clone().map_err(Failure::file(&log))?;
        let mut child = Command::new(&self.path)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(both)
            .spawn()
            .map_err(|e| self.start(e))?;
        let begin = Instant::now();
        let reader = File::open(&log).map_err(Failure::file(&log))?;
        let (mut reader, mut line) = (BufReader::new(reader), String::new());
        let status = loop {
            // A line may be said in pieces; what is not read yet is so at the next look. Not all that is said is UTF-8.
            while reader.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                hear(line.trim_end());
                line.clear();
            }
            if let Some(status) = child.try_wait().map_err(Failure::file(&log))? {
                break status;
            }
            if begin.elapsed() > Duration::from_secs(seconds) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::Slow {
                    program: self.name(),
                    what: what.into(),
                    seconds,
                    log,
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let text = fs::read(&log).map_err(Failure::file(&log))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if !status.success() {
            let lines: Vec<_> = text.lines().collect();
            return Err(Failure::Tool {
                program: self.name(),
                what: what.into(),
                status: status.to_string(),
                log,
                tail: lines[lines.len().saturating_sub(5)..].join("\n"),
            });
        }
        Ok(text)
    }
}
