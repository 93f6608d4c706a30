//! The Unix socket, and lines of the API over any connection.

use crate::api::{Refusal, Request, Response};
use crate::daemon::Daemon;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest line: the longest definition the compiler reads, escaped.
pub const LINE: u64 = 160 << 20;
/// Connections at a time.
const CONNECTIONS: usize = 64;

/// Binds the socket. A stale one, that nobody listens at, is replaced.
///
/// # Errors
/// Another daemon listens there, there is a file that is no socket, or the folder is not ours.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.exists() {
        if !fs::metadata(path)?.file_type().is_socket() {
            let what = "there is a file that is no socket; remove it, or name another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        if UnixStream::connect(path).is_ok() {
            let what = "another seqnicd listens there";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Who may ask is checked by the peer's credentials, which say why not.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Serves requests until the listener fails.
pub fn serve(listener: &UnixListener, daemon: &Arc<Daemon>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        if open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (daemon, open_now) = (Arc::clone(daemon), Arc::clone(&open));
        let spawned = std::thread::Builder::new()
            .name(String::from("api"))
            .spawn(move || {
                // A client that goes away ends its own connection and nothing else.
                let _gone = connection(&stream, &daemon);
                open_now.fetch_sub(1, Ordering::AcqRel);
            });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn connection(stream: &UnixStream, daemon: &Daemon) -> io::Result<()> {
    let allowed = peer(stream)?;
    let mut reader = BufReader::new(stream);
    loop {
        let line = match line(&mut reader, LINE)? {
            Line::End => return Ok(()),
            Line::TooLong => {
                let why = format!("the request is longer than {LINE} bytes; the connection ends");
                return reply(&mut &*stream, &refuse(why));
            }
            Line::Text(text) => text,
        };
        let response = match serde_json::from_str::<Request>(&line) {
            _ if !daemon.may_ask(allowed) => refuse(format!(
                "user {allowed} may not use this daemon; root may, and those in `users` of its configuration"
            )),
            Err(e) => refuse(format!("the request is none: {e}")),
            Ok(request) => daemon.answer(request),
        };
        reply(&mut &*stream, &response)?;
    }
}

/// What was read.
pub enum Line {
    Text(String),
    /// The other side has ended, in the middle of a line or not.
    End,
    TooLong,
}

/// Reads a line of at most `longest` bytes.
///
/// # Errors
/// The connection broke, or it is no text.
pub fn line(reader: &mut impl BufRead, longest: u64) -> io::Result<Line> {
    let mut line = String::new();
    // One more, for its end.
    let read = reader
        .take(longest.saturating_add(1))
        .read_line(&mut line)?;
    Ok(match line.ends_with('\n') {
        true => Line::Text(line),
        false if read as u64 > longest => Line::TooLong,
        false => Line::End,
    })
}

/// Sends an answer.
///
/// # Errors
/// The connection broke.
pub fn reply(writer: &mut impl Write, response: &Response) -> io::Result<()> {
    let mut text = serde_json::to_string(response)?;
    text.push('\n');
    writer.write_all(text.as_bytes())?;
    writer.flush()
}

/// A refusal.
pub fn refuse(message: String) -> Response {
    Response::Error(Box::new(Refusal {
        code: String::from("refused"),
        message,
        findings: None,
    }))
}

/// User at the other end, as the kernel knows it.
fn peer(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: pointer and length are those of `peer`.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &mut length,
        )
    };
    match done {
        0 => Ok(peer.uid),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_left_over_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seqnicd.sock");
        // Who is killed leaves it behind.
        drop(UnixListener::bind(&path).unwrap());
        let ours = bind(&path).unwrap();
        let refused = bind(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        drop(ours);

        let file = folder.path().join("services.yaml");
        fs::write(&file, "services: {}").unwrap();
        let refused = bind(&file).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "services: {}");
    }
}
