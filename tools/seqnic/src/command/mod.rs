//! One file a command.

pub mod bench;
pub mod check;
pub mod compare;
pub mod compile;
pub mod daemon;
pub mod diff;
pub mod draw;
pub mod explain;
pub mod inspect;
pub mod kea;
pub mod keepalived;
pub mod lab;
pub mod legs;
pub mod replay;
pub mod shell;
pub mod spec;
pub mod top;

use crate::failure::{Failure, Outcome};
use serde::Serialize;
use std::io::Write;

/// Writes text to standard output.
pub fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// Writes a value to standard output as JSON for people to read and programs to parse.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    print(&(text + "\n"))
}

/// Writes a value to standard output as a line of JSON.
pub fn print_json_line(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    print(&(text + "\n"))
}

/// `1 packet`, `2 packets`.
pub fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// Writes `bytes` to `path` whole or not at all.
pub fn write_file(path: &std::path::Path, bytes: &[u8]) -> Outcome {
    let failed = |e: std::io::Error| Failure::write(path, e);
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => std::path::Path::new("."),
    };
    // A device or a pipe is written, not replaced.
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        return std::fs::write(path, bytes).map_err(failed);
    }
    let mut file = tempfile::Builder::new()
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Those of any new file: the umask takes off what is not wanted.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
