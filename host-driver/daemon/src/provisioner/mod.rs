//! The API over TLS, for the provisioner: [`keys`] says who may log on, [`pace`] how much of the network they take.
//!
//! TLS 1.3, both sides with certificates. Whoever is not to log on is refused in the handshake, before a byte of the
//! API is read.

pub mod keys;
pub mod pace;
pub mod refusals;

use crate::api::Request;
use crate::config::provisioner::{ProvisionerConfig, UpdatesConfig};
use crate::daemon::Daemon;
use crate::lock;
use crate::server::{self, Line};
use keys::{Gate, Holder, Keys, KeysError, Looked, Refused};
use pace::{Pace, Paced, Patience};
use refusals::Refusals;
use rustls::pki_types::CertificateDer;
use rustls::{ServerConnection, StreamOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Handshakes under way at a time: from one address, and from all.
const KNOCKING_ONE: usize = 4;
const KNOCKING: usize = 32;
/// Provisioners that are remembered, so that each is told of once and not at every connection.
const KNOWN: usize = 64;
/// How old the keys of a connection may become.
const REKEY: Duration = Duration::from_secs(600);
/// The kernel takes no more from the network than about that before it is read: what is waited for is on the other side.
const BUFFER: libc::c_int = 64 << 10;
/// How often the files of the keys are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The listener goes on after an error of `accept` (too many open files, say) that long afterwards.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("cannot listen at {at} for the provisioner: {source}")]
    Bind {
        at: std::net::SocketAddr,
        source: io::Error,
    },
}

/// Who came, for the metrics.
#[derive(Debug, Default)]
pub struct Logons {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
}

/// The listener.
pub struct Provisioner {
    config: ProvisionerConfig,
    holder: Holder,
    listener: TcpListener,
    pace: Option<Pace>,
    started: Instant,
    refusals: Mutex<Refusals>,
    /// Handshakes under way, by address.
    knocking: Mutex<BTreeMap<IpAddr, usize>>,
    open: AtomicUsize,
    known: Mutex<BTreeSet<(String, IpAddr)>>,
}

/// Ends when the connection does.
struct Counted<F: FnMut()>(F);

impl<F: FnMut()> Drop for Counted<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Provisioner {
    /// Reads the keys and listens.
    ///
    /// # Errors
    /// The keys are of no use, or the address is not to be had.
    pub fn bind(
        config: ProvisionerConfig,
        updates: &UpdatesConfig,
    ) -> Result<Provisioner, ListenError> {
        let at = config.listen;
        let bind = |source| ListenError::Bind { at, source };
        let holder = Holder::new(config.clone())?;
        let listener = TcpListener::bind(at).map_err(bind)?;
        let pace = updates
            .rate
            .map(|rate| Pace::new(rate.get(), updates.burst.0));
        if pace.is_some() {
            small_buffer(&listener).map_err(bind)?;
        }
        Ok(Provisioner {
            config,
            holder,
            listener,
            pace,
            started: Instant::now(),
            refusals: Mutex::new(Refusals::new(Duration::ZERO)),
            knocking: Mutex::default(),
            open: AtomicUsize::new(0),
            known: Mutex::default(),
        })
    }

    /// Where it listens: the port it has, if any was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Looks at the files of the keys; `anyway`: reads them also if they look as before.
    pub fn look(&self, daemon: &Daemon, anyway: bool) {
        match self.holder.look(anyway) {
            Looked::Unchanged => {}
            Looked::Taken => daemon.note(String::from(
                "keys read anew: who logs on and who is logged on is judged by them",
            )),
            Looked::Kept(e) => daemon.note(format!("new keys not taken: {e}; those before go on")),
        }
    }

    /// Looks at the files of the keys now and then, for as long as the daemon goes on.
    pub fn tend(&self, daemon: &Daemon) {
        while daemon.alive() {
            std::thread::sleep(LOOK);
            self.look(daemon, false);
        }
    }

    /// Serves requests until the daemon ends.
    pub fn serve(self: &Arc<Provisioner>, daemon: &Arc<Daemon>) {
        loop {
            let (stream, peer) = match self.listener.accept() {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(_) => {
                    std::thread::sleep(AGAIN);
                    continue;
                }
            };
            if let Err(why) = self.knock(peer) {
                self.refuse(daemon, peer, &why);
                continue;
            }
            let (this, daemon) = (Arc::clone(self), Arc::clone(daemon));
            let spawned = std::thread::Builder::new()
                .name(String::from("provisioner"))
                .spawn(move || this.connection(stream, peer, &daemon));
            if spawned.is_err() {
                self.knocked(peer);
            }
        }
    }

    /// One more handshake; refused if there are enough.
    fn knock(&self, peer: IpAddr) -> Result<(), String> {
        let mut knocking = lock(&self.knocking);
        let own = knocking.get(&peer).copied().unwrap_or(0);
        if own >= KNOCKING_ONE || knocking.values().sum::<usize>() >= KNOCKING {
            return Err(String::from(
                "too many handshakes are under way already; they end by `provisioner.logon_ms`",
            ));
        }
        knocking.insert(peer, own + 1);
        Ok(())
    }

    fn knocked(&self, peer: IpAddr) {
        let mut knocking = lock(&self.knocking);
        if let Some(n) = knocking.get_mut(&peer) {
            *n -= 1;
            if *n == 0 {
                knocking.remove(&peer);
            }
        }
    }

    fn refuse(&self, daemon: &Daemon, peer: IpAddr, why: &str) {
        daemon.logons().refused.fetch_add(1, Ordering::Relaxed);
        let line = lock(&self.refusals).line(peer, why, self.started.elapsed());
        if let Some(line) = line {
            daemon.note(line);
        }
    }

    fn connection(&self, stream: TcpStream, peer: IpAddr, daemon: &Daemon) {
        let logged_on = {
            let _knocking = Counted(|| self.knocked(peer));
            self.log_on(stream)
        };
        let (mut connection, mut stream) = match logged_on {
            Ok(both) => both,
            Err(why) => return self.refuse(daemon, peer, &why),
        };
        let chain: Vec<CertificateDer<'static>> = (connection.peer_certificates())
            .unwrap_or_default()
            .iter()
            .map(|c| c.clone().into_owned())
            .collect();
        let Some(own) = chain.first() else {
            return self.refuse(daemon, peer, "it showed no certificate");
        };
        let who = keys::who(own);
        let most = usize::from(self.config.connections.get());
        if self.open.fetch_add(1, Ordering::AcqRel) >= most {
            self.open.fetch_sub(1, Ordering::AcqRel);
            connection.send_close_notify();
            // Who is gone needs no farewell.
            let _gone = connection.write_tls(&mut stream);
            let why = format!("{who}: `provisioner.connections` ({most}) are open already");
            return self.refuse(daemon, peer, &why);
        }
        let _open = Counted(|| {
            self.open.fetch_sub(1, Ordering::AcqRel);
        });
        daemon.logons().accepted.fetch_add(1, Ordering::Relaxed);
        self.welcome(daemon, &who, peer);
        stream.patience = Patience::Each(self.config.idle());
        stream.pace = self.pace.clone();
        // A client that goes away ends its own connection and nothing else.
        if let Err(e) = self.requests(StreamOwned::new(connection, stream), &chain, daemon)
            && e.kind() == io::ErrorKind::PermissionDenied
        {
            self.refuse(daemon, peer, &format!("any more: {who}: {e}"));
        }
    }

    /// Tells of a provisioner that was not seen before.
    fn welcome(&self, daemon: &Daemon, who: &str, peer: IpAddr) {
        let mut known = lock(&self.known);
        if known.len() < KNOWN && known.insert((who.to_string(), peer)) {
            daemon.note(format!("{who} logged on from {peer}"));
        }
    }

    /// The handshake, as a whole in its time.
    fn log_on(&self, stream: TcpStream) -> Result<(ServerConnection, Paced), String> {
        // An answer waits for nothing.
        let _slower = stream.set_nodelay(true);
        let mut stream = Paced {
            stream,
            patience: Patience::Until(Instant::now() + self.config.logon()),
            pace: None,
        };
        let gate = Gate::new(self.holder.keys());
        let config = gate.config().map_err(|e| e.to_string())?;
        let mut connection = ServerConnection::new(Arc::new(config)).map_err(|e| e.to_string())?;
        while connection.is_handshaking() {
            match connection.complete_io(&mut stream) {
                Ok((0, 0)) => return Err(String::from("it went away in the handshake")),
                Ok(_) => {}
                Err(e) => {
                    // The alert that says why.
                    let _gone = connection.write_tls(&mut stream);
                    return Err(why(&e, &gate));
                }
            }
        }
        Ok((connection, stream))
    }

    fn requests(
        &self,
        stream: StreamOwned<ServerConnection, Paced>,
        chain: &[CertificateDer<'static>],
        daemon: &Daemon,
    ) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let longest = self.config.request_bytes.get();
        let mut rekeyed = Instant::now();
        loop {
            let line = match server::line(&mut reader, longest)? {
                Line::End => return Ok(()),
                Line::TooLong => {
                    let why = format!(
                        "the request is longer than `provisioner.request_bytes`, {longest}; the connection ends"
                    );
                    server::reply(reader.get_mut(), &server::refuse(why))?;
                    return Ok(());
                }
                Line::Text(text) => text,
            };
            let judged = judge(&self.holder.keys(), chain);
            let response = match (&judged, serde_json::from_str::<Request>(&line)) {
                (Err(refused), _) => server::refuse(format!(
                    "this certificate may not be used any more: {refused}"
                )),
                (Ok(()), Err(e)) => server::refuse(format!("the request is none: {e}")),
                (Ok(()), Ok(request)) => daemon.answer(request),
            };
            if rekeyed.elapsed() > REKEY {
                let fresh = reader.get_mut().conn.refresh_traffic_keys();
                fresh.map_err(io::Error::other)?;
                rekeyed = Instant::now();
            }
            server::reply(reader.get_mut(), &response)?;
            if let Err(refused) = judged {
                let end = io::Error::new(io::ErrorKind::PermissionDenied, refused);
                return Err(end);
            }
        }
    }
}

fn judge(keys: &Keys, chain: &[CertificateDer<'static>]) -> Result<(), Refused> {
    let Some((own, rest)) = chain.split_first() else {
        return Err(Refused::Unlisted);
    };
    keys.judge(own, rest).map(drop)
}

/// Why a handshake failed, for people.
fn why(e: &io::Error, gate: &Gate) -> String {
    if let Some((who, Some(refused))) = gate.seen() {
        return format!("{who}: {refused}");
    }
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => String::from("it showed no certificate"),
        Some(rustls::Error::InvalidMessage(_)) => {
            String::from("it does not speak TLS (`tls://` on the other side)")
        }
        Some(rustls::Error::PeerIncompatible(why)) => {
            format!("it cannot do what is asked for, TLS 1.3 with certificates: {why:?}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it does not want this engine's certificate: {alert:?}")
        }
        Some(other) => other.to_string(),
        None if e.kind() == io::ErrorKind::TimedOut => {
            String::from("it did not finish the handshake in `provisioner.logon_ms`")
        }
        None => format!("it went away in the handshake ({e})"),
    }
}

/// Set before anybody connects: connections have it from the listener.
fn small_buffer(listener: &TcpListener) -> io::Result<()> {
    // SAFETY: pointer and length are those of `BUFFER`.
    let done = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            std::ptr::from_ref(&BUFFER).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
