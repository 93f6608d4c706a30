//! The other end of the API: of the socket, or over TLS.

use crate::api::{Answer, Refusal, Request, Response};
use crate::provisioner::keys::{self, KeysError};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an answer: a large definition is compiled meanwhile, a simulated card loaded; an engine may take requests slowly.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest wait for a connection, and for the handshake.
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach seqnicd at {}: {source}; is it running, and may you use it?", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot reach the engine at {at}: {source}")]
    Engine { at: String, source: io::Error },
    #[error(
        "the engine at {at} does not let this certificate log on ({why}); its log says who was refused and why"
    )]
    LogOn { at: String, why: String },
    #[error(
        "the engine at {at} is not believed: {why}; is `--ca` the one that certifies engines, and is its certificate for this name?"
    )]
    Unbelieved { at: String, why: String },
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the connection to seqnicd broke: {0}")]
    Broken(io::Error),
    #[error(
        "seqnicd gave an answer this command does not understand ({0}); are both of one version?"
    )]
    Strange(String),
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
}

/// Where an engine is: `tls://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAddress {
    pub host: String,
    pub port: u16,
}

impl std::str::FromStr for EngineAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<EngineAddress, String> {
        let wrong = || format!("`{text}` is no engine: tls://host:port, as tls://192.0.2.1:7367");
        let rest = text.strip_prefix("tls://").ok_or_else(wrong)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(six) => six.strip_suffix(']').ok_or_else(wrong)?,
            None => host,
        };
        let port = port.parse().map_err(|_| wrong())?;
        match host.is_empty() || ServerName::try_from(host).is_err() {
            true => Err(wrong()),
            false => Ok(EngineAddress {
                host: host.to_string(),
                port,
            }),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "tls://[{}]:{}", self.host, self.port),
            false => write!(f, "tls://{}:{}", self.host, self.port),
        }
    }
}

/// An engine, and how to log on to it.
#[derive(Debug, Clone)]
pub struct Engine {
    pub address: EngineAddress,
    /// This side's certificate and its key (PEM).
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who certifies engines (PEM).
    pub ca: PathBuf,
}

trait Channel: Read + Write + Send {}
impl<T: Read + Write + Send> Channel for T {}

/// A connection to the daemon.
pub struct Client {
    stream: BufReader<Box<dyn Channel>>,
    /// The engine, over TLS.
    engine: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Client")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
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
            stream: BufReader::new(Box::new(stream)),
            engine: None,
        })
    }

    /// Logs on to an engine.
    ///
    /// # Errors
    /// Nobody listens there, keys are of no use, or one of the two does not believe the other.
    pub fn log_on(engine: &Engine) -> Result<Client, ClientError> {
        let at = engine.address.to_string();
        let provider = keys::provider();
        let own = keys::certified(&engine.certificate, &engine.key, &provider)?;
        let roots = keys::roots(&engine.ca)?;
        let tls = |e: rustls::Error| ClientError::Broken(io::Error::other(e));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(engine.address.host.clone());
        let name = name.map_err(|e| ClientError::Broken(io::Error::other(e)))?;
        let mut stream = reach(&engine.address).map_err(|source| ClientError::Engine {
            at: at.clone(),
            source,
        })?;
        let mut connection = ClientConnection::new(Arc::new(config), name).map_err(tls)?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut stream);
            done.map_err(|e| judged(e, &at))?;
        }
        let set = stream.set_read_timeout(Some(PATIENCE));
        set.map_err(ClientError::Broken)?;
        Ok(Client {
            stream: BufReader::new(Box::new(StreamOwned::new(connection, stream))),
            engine: Some(at),
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
        let sent = stream
            .write_all(line.as_bytes())
            .and_then(|()| stream.flush());
        let mut answer = String::new();
        // What was said before the connection was closed is there to read: a refusal of the certificate.
        let bytes = match (self.stream.read_line(&mut answer), sent) {
            (Ok(0) | Err(_), Err(e)) | (Err(e), Ok(())) => return Err(self.broken(e)),
            (Ok(bytes), _) => bytes,
        };
        if bytes == 0 {
            let closed = io::Error::other("it was closed; see the daemon's log");
            return Err(ClientError::Broken(closed));
        }
        match serde_json::from_str(&answer).map_err(strange)? {
            Response::Ok(answer) => Ok(answer),
            Response::Error(refusal) => Err(ClientError::Refused(refusal)),
        }
    }

    fn broken(&self, e: io::Error) -> ClientError {
        match &self.engine {
            Some(at) => judged(e, at),
            None => ClientError::Broken(e),
        }
    }
}

fn reach(address: &EngineAddress) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for at in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(CONNECT))?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Which side does not believe the other.
fn judged(e: io::Error, at: &str) -> ClientError {
    let at = at.to_string();
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(alert)) => ClientError::LogOn {
            at,
            why: format!("{alert:?}"),
        },
        Some(rustls::Error::InvalidCertificate(why)) => ClientError::Unbelieved {
            at,
            why: why.to_string(),
        },
        Some(rustls::Error::InvalidMessage(_)) => ClientError::Unbelieved {
            at,
            why: String::from("it does not speak TLS"),
        },
        _ => ClientError::Broken(e),
    }
}

#[cfg(test)]
mod tests {
    use super::EngineAddress;

    #[test]
    fn engines_are_named_by_host_and_port() {
        for text in [
            "tls://engine.example:7367",
            "tls://192.0.2.1:1",
            "tls://[2001:db8::1]:7367",
        ] {
            let address: EngineAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "engine.example:7367",
            "tls://engine.example",
            "tls://:7367",
            "tls://[2001:db8::1:7367",
            "tls://a b:7367",
            "tls://x:70000",
        ] {
            let wrong = text.parse::<EngineAddress>().unwrap_err();
            assert!(wrong.contains("tls://host:port"), "{wrong}");
        }
    }
}
