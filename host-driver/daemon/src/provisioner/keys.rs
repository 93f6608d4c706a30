//! The files keys come from, and who may log on by them.
//!
//! Keys change while connections are open: every log-on, and every request of one that is logged on, is judged by the
//! files as they are then. Files that cannot be used (one of two was replaced so far) are told, and those before go on.

use crate::config::provisioner::{Allowed, ProvisionerConfig, hexadecimal};
use crate::lock;
use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::fmt;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use webpki::EndEntityCert;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} has no {what} in it ({why})", path.display())]
    Pem {
        path: PathBuf,
        what: &'static str,
        why: String,
    },
    #[error("{} can be read by everybody (mode {mode:o}); `chmod o-r` it, and let a new key be made if this one was seen", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("the certificate in {} is of no use: {why}", path.display())]
    Certificate { path: PathBuf, why: String },
    #[error("{} is not the key of the certificate in {}", key.display(), certificate.display())]
    Pair { key: PathBuf, certificate: PathBuf },
    #[error("{} is not a list of revoked certificates that can be used: {why}", path.display())]
    Revoked { path: PathBuf, why: String },
}

impl KeysError {
    /// Key of the configuration it is about.
    pub fn of(&self, config: &ProvisionerConfig) -> Option<(&'static str, u64)> {
        let path = match self {
            KeysError::Read { path, .. }
            | KeysError::Pem { path, .. }
            | KeysError::Open { path, .. }
            | KeysError::Certificate { path, .. }
            | KeysError::Revoked { path, .. } => path,
            KeysError::Pair { key, .. } => key,
        };
        let files = config.files();
        let (key, at) = files.iter().find(|(_, file)| file.value == *path)?;
        Some((key, at.referenced.line()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, KeysError> {
    fs::read(path).map_err(|source| KeysError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// All certificates of a file, at least one.
///
/// # Errors
/// The file cannot be read, or there is none in it.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, KeysError> {
    let text = read(path)?;
    let wrong = |why: String| KeysError::Pem {
        path: path.to_path_buf(),
        what: "certificate",
        why,
    };
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| wrong(e.to_string()))?;
    match all.is_empty() {
        true => Err(wrong(String::from(
            "it needs `-----BEGIN CERTIFICATE-----`",
        ))),
        false => Ok(all),
    }
}

/// Those who are believed.
///
/// # Errors
/// As [`certificates`].
pub fn roots(path: &Path) -> Result<RootCertStore, KeysError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| KeysError::Certificate {
            path: path.to_path_buf(),
            why: e.to_string(),
        })?;
    }
    Ok(roots)
}

/// A certificate with its key.
///
/// # Errors
/// One of them cannot be read, anybody may read the key, or they do not belong together.
pub fn certified(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, KeysError> {
    let chain = certificates(certificate)?;
    let text = read(key)?;
    let mode = fs::metadata(key).map_or(0, |m| m.permissions().mode());
    if mode & 0o004 != 0 {
        return Err(KeysError::Open {
            path: key.to_path_buf(),
            mode: mode & 0o777,
        });
    }
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|e| KeysError::Pem {
        path: key.to_path_buf(),
        what: "private key",
        why: e.to_string(),
    })?;
    let bad = |e: rustls::Error| KeysError::Certificate {
        path: certificate.to_path_buf(),
        why: e.to_string(),
    };
    let signer = provider
        .key_provider
        .load_private_key(private)
        .map_err(|e| KeysError::Pem {
            path: key.to_path_buf(),
            what: "private key that can be used",
            why: e.to_string(),
        })?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(KeysError::Pair {
            key: key.to_path_buf(),
            certificate: certificate.to_path_buf(),
        }),
        Err(e) => Err(bad(e)),
    }
}

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What the files had when they were read.
pub struct Keys {
    provider: Arc<CryptoProvider>,
    own: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
    allow: Vec<Allowed>,
}

impl Keys {
    /// Reads them.
    ///
    /// # Errors
    /// One of them is of no use.
    pub fn read(config: &ProvisionerConfig) -> Result<Keys, KeysError> {
        let provider = provider();
        let own = certified(&config.certificate.value, &config.key.value, &provider)?;
        let ca = &config.ca.value;
        let roots = Arc::new(roots(ca)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let path = config.revoked.as_ref().map_or(ca, |r| &r.value);
        let builder = match &config.revoked {
            None => builder,
            Some(list) => builder
                .with_crls(revoked(&list.value)?)
                .allow_unknown_revocation_status()
                .enforce_revocation_expiration(),
        };
        let verifier = builder.build().map_err(|e| KeysError::Revoked {
            path: path.clone(),
            why: e.to_string(),
        })?;
        Ok(Keys {
            provider,
            own: Arc::new(own),
            verifier,
            allow: config.allow.clone(),
        })
    }

    /// Whether a certificate may log on now.
    ///
    /// # Errors
    /// Why not, for the peer; for the log see [`Gate::seen`].
    pub fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
    ) -> Result<ClientCertVerified, Refused> {
        let now = UnixTime::now();
        let verified = self
            .verifier
            .verify_client_cert(certificate, chain, now)
            .map_err(Refused::Certificate)?;
        let names = names(certificate);
        let mark = fingerprint(certificate);
        let allowed = self.allow.iter().any(|allowed| match allowed {
            Allowed::Name(name) => names.iter().any(|n| n.eq_ignore_ascii_case(name)),
            Allowed::Fingerprint(wanted) => *wanted == mark,
        });
        match allowed {
            true => Ok(verified),
            false => Err(Refused::Unlisted),
        }
    }
}

fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, KeysError> {
    let text = read(path)?;
    let wrong = |why: String| KeysError::Revoked {
        path: path.to_path_buf(),
        why,
    };
    let all: Result<Vec<_>, pem::Error> =
        CertificateRevocationListDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| wrong(e.to_string()))?;
    match all.is_empty() {
        true => Err(wrong(String::from("it needs `-----BEGIN X509 CRL-----`"))),
        false => Ok(all),
    }
}

/// DNS names a certificate has, as they stand there.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    match EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_dns_names().map(str::to_string).collect(),
        Err(_) => Vec::new(),
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, certificate).as_ref());
    mark
}

/// A certificate, for people.
pub fn who(certificate: &CertificateDer<'_>) -> String {
    // Names come from the peer: not more of them than a line takes, and nothing a terminal acts on.
    let names: Vec<String> = (names(certificate).iter().take(3))
        .map(|n| {
            n.chars()
                .filter(|c| c.is_ascii_graphic())
                .take(64)
                .collect()
        })
        .collect();
    let mark = hexadecimal(&fingerprint(certificate));
    match names.is_empty() {
        true => format!("a certificate without names, sha256:{mark}"),
        false => format!("{}, sha256:{mark}", names.join(" ")),
    }
}

/// Why a certificate may not log on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Certificate(rustls::Error),
    #[error("it is not in `provisioner.allow`")]
    Unlisted,
}

/// Where a connection's certificate is judged; remembers whose it was.
pub struct Gate {
    keys: Arc<Keys>,
    seen: Mutex<Option<(String, Option<Refused>)>>,
}

impl Gate {
    pub fn new(keys: Arc<Keys>) -> Arc<Gate> {
        Arc::new(Gate {
            keys,
            seen: Mutex::default(),
        })
    }

    /// Who showed a certificate, and why it was refused if it was.
    pub fn seen(&self) -> Option<(String, Option<Refused>)> {
        lock(&self.seen).clone()
    }

    /// What TLS is done by, for one connection.
    ///
    /// # Errors
    /// The provider has no TLS 1.3, which it has.
    pub fn config(self: &Arc<Gate>) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::clone(&self.keys.provider);
        let gate: Arc<dyn ClientCertVerifier> = Arc::clone(self) as _;
        let own = SingleCertAndKey::from(Arc::clone(&self.keys.own));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(gate)
            .with_cert_resolver(Arc::new(own));
        // Nobody comes in by what was found out about another connection.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl ClientCertVerifier for Gate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.keys.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let judged = self.keys.judge(certificate, chain);
        *lock(&self.seen) = Some((who(certificate), judged.as_ref().err().cloned()));
        judged.map_err(|refused| match refused {
            Refused::Certificate(e) => e,
            // The peer is told "access denied".
            Refused::Unlisted => rustls::CertificateError::ApplicationVerificationFailure.into(),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.keys.verifier;
        verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let verifier = &self.keys.verifier;
        verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.keys.verifier.supported_verify_schemes()
    }
}

/// What tells a file from the one that was there before.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

fn stamps(config: &ProvisionerConfig) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let m = fs::metadata(path).ok()?;
        Some((m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
    };
    let files = config.files();
    files.iter().map(|(_, path)| stamp(&path.value)).collect()
}

/// What came of looking at the files.
pub enum Looked {
    Unchanged,
    Taken,
    /// Those before go on.
    Kept(KeysError),
}

/// The keys that hold, read anew when their files change.
pub struct Holder {
    config: ProvisionerConfig,
    held: Mutex<(Arc<Keys>, Vec<Stamp>)>,
}

impl Holder {
    /// # Errors
    /// The files are of no use.
    pub fn new(config: ProvisionerConfig) -> Result<Holder, KeysError> {
        let stamps = stamps(&config);
        let keys = Arc::new(Keys::read(&config)?);
        Ok(Holder {
            config,
            held: Mutex::new((keys, stamps)),
        })
    }

    /// Looks whether files have changed; `anyway`: reads them also if they look as before.
    pub fn look(&self, anyway: bool) -> Looked {
        let mut held = lock(&self.held);
        // Before they are read: what is replaced meanwhile is seen next time.
        let now = stamps(&self.config);
        if now == held.1 && !anyway {
            return Looked::Unchanged;
        }
        held.1 = now;
        match Keys::read(&self.config) {
            Ok(keys) => {
                held.0 = Arc::new(keys);
                Looked::Taken
            }
            Err(e) => Looked::Kept(e),
        }
    }

    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&lock(&self.held).0)
    }
}
