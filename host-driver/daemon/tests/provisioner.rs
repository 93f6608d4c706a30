//! Who may log on: the daemon as it is started, confined, with certificates made here.

use rcgen::{
    CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, KeyIdMethod,
    KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use seqnic_daemon::api::{Answer, Request, Status};
use seqnic_daemon::client::{Client, ClientError, Engine};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes as whoever replaces keys should: all of it, or nothing of it.
fn put(path: &Path, text: &str) {
    let part = path.with_extension("part");
    fs::write(&part, text).unwrap();
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(part, path).unwrap();
}

/// Makes `NAME.pem` and `NAME.key` in a folder.
fn issue(folder: &Path, file: &str, ca: &Ca, change: impl FnOnce(&mut CertificateParams)) {
    let mut params = CertificateParams::new(vec![format!("{file}.example")]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    put(&folder.join(format!("{file}.key")), &key.serialize_pem());
    put(&folder.join(format!("{file}.pem")), &certificate.pem());
}

struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    provisioners: Ca,
}

impl Daemon {
    /// With keys in `keys`: `engine`, `provisioner`, and the CAs `engines.pem` and `provisioners.pem`.
    fn start(more: &str) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let (engines, provisioners) = (ca("engines"), ca("provisioners"));
        put(&keys.join("engines.pem"), &engines.pem());
        put(&keys.join("provisioners.pem"), &provisioners.pem());
        issue(&keys, "engine", &engines, |p| {
            p.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
        });
        issue(&keys, "provisioner", &provisioners, |_| {});
        // Whoever takes it in between makes the test fail, not pass.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = folder.path().join("seqnicd.yaml");
        fs::write(&config, text(folder.path(), port, more)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_seqnicd"))
            .arg("--config")
            .arg(&config)
            .spawn()
            .unwrap();
        let daemon = Daemon {
            child,
            folder,
            port,
            provisioners,
        };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn engine(&self, who: &str) -> Engine {
        let keys = self.keys();
        Engine {
            address: format!("tls://127.0.0.1:{}", self.port).parse().unwrap(),
            certificate: keys.join(format!("{who}.pem")),
            key: keys.join(format!("{who}.key")),
            ca: keys.join("engines.pem"),
        }
    }

    /// Logs on and asks: over TLS 1.3 a client learns of a refusal with the first answer.
    fn ask(&self, who: &str) -> Result<Answer, ClientError> {
        Client::log_on(&self.engine(who))?.ask(&Request::Status)
    }

    fn status(&self) -> Status {
        let mut client = Client::connect(&self.folder.path().join("socket")).unwrap();
        match client.ask(&Request::Status).unwrap() {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for a line in the log.
    fn said(&self, what: &[&str]) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.status().log;
            let has = |text: &str| what.iter().all(|w| text.contains(w));
            if let Some(line) = log.iter().find(|l| has(&l.text)) {
                return line.text.clone();
            }
            assert!(Instant::now() < until, "{what:?}: {log:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
        stream
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn text(folder: &Path, port: u16, more: &str) -> String {
    let at = folder.display();
    format!(
        "card: {{ software: {{ geometry: alveo }} }}
state: {at}/state
socket: {at}/socket
linux: {{ taps: false }}
health: {{ enabled: false }}
provisioner:
  listen: 127.0.0.1:{port}
  certificate: {at}/keys/engine.pem
  key: {at}/keys/engine.key
  ca: {at}/keys/provisioners.pem
{more}
"
    )
}

const ALLOW: &str = "  allow: [provisioner.example]\n  logon_ms: 700\n  request_bytes: 200000";

/// Until the other side ends the connection, however it does that.
fn until_closed(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(e) => panic!("it was not closed: {e}"),
        }
    }
}

#[test]
fn its_provisioner_logs_on_and_does_everything() {
    let daemon = Daemon::start(ALLOW);
    let mut client = Client::log_on(&daemon.engine("provisioner")).unwrap();
    let definition = fs::read_to_string("../../examples/fig05.yaml").unwrap();
    let apply = Request::Apply {
        name: String::from("fig05.yaml"),
        definition: definition.clone(),
        dry_run: false,
        reload: false,
    };
    let Answer::Changed(_) = client.ask(&apply).unwrap() else {
        panic!();
    };
    match client.ask(&Request::Definition).unwrap() {
        Answer::Definition { text, .. } => assert_eq!(text, definition),
        other => panic!("{other:?}"),
    }
    let Answer::Counters(_) = client.ask(&Request::Counters).unwrap() else {
        panic!();
    };
    let refused = client.ask(&Request::Fail {
        device: String::from("nobody"),
    });
    assert!(matches!(refused, Err(ClientError::Refused(_))));
    // The connection goes on after a refusal; who came is told once.
    for _ in 0..3 {
        client.ask(&Request::Status).unwrap();
        daemon.ask("provisioner").unwrap();
    }
    daemon.said(&["provisioner.example, sha256:", "logged on from 127.0.0.1"]);
    let log = daemon.status().log;
    let told = log.iter().filter(|l| l.text.contains("logged on"));
    assert_eq!(told.count(), 1, "{log:?}");
    // Confined as always, or this shows little.
    assert!(
        log.iter().any(|l| l.text.starts_with("confined: ")),
        "{log:?}"
    );
}

/// Certificates that look right but for one thing.
fn wrong_ones(daemon: &Daemon) {
    let keys = daemon.keys();
    let named = |name: &str, from: i32, to: i32| {
        let name = name.to_string();
        move |p: &mut CertificateParams| {
            let name = name.as_str().try_into().unwrap();
            p.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
            p.not_before = date_time_ymd(from, 1, 1);
            p.not_after = date_time_ymd(to, 1, 1);
        }
    };
    let right = "provisioner.example";
    let ours = &daemon.provisioners;
    issue(
        &keys,
        "stranger",
        &ca("strangers"),
        named(right, 2001, 2902),
    );
    // Another CA of the same name.
    issue(
        &keys,
        "forged",
        &ca("provisioners"),
        named(right, 2001, 2902),
    );
    issue(&keys, "unlisted", ours, |_| {});
    issue(&keys, "wild", ours, named("*.example", 2001, 2902));
    issue(&keys, "expired", ours, named(right, 2001, 2002));
    issue(&keys, "early", ours, named(right, 2901, 2902));
    // A server's certificate is none of a client's.
    issue(&keys, "server", ours, |p| {
        named(right, 2001, 2902)(p);
        p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
}

#[test]
fn nobody_else_logs_on() {
    let right = "provisioner.example";
    let cases = [
        ("stranger", "UnknownCA", [right, "UnknownIssuer"]),
        ("forged", "", [right, "BadSignature"]),
        (
            "unlisted",
            "AccessDenied",
            ["unlisted.example", "`provisioner.allow`"],
        ),
        (
            "wild",
            "AccessDenied",
            ["without names", "`provisioner.allow`"],
        ),
        ("expired", "CertificateExpired", [right, "expired"]),
        ("early", "CertificateExpired", [right, "not valid yet"]),
        ("server", "", [right, "usage"]),
    ];
    // Lines about refusals are few at a time.
    for cases in cases.chunks(4) {
        let daemon = Daemon::start(ALLOW);
        wrong_ones(&daemon);
        for (who, alert, line) in cases {
            match daemon.ask(who) {
                Err(ClientError::LogOn { why, .. }) => {
                    assert!(why.contains(alert), "{who}: {why}");
                }
                other => panic!("{who}: {other:?}"),
            }
            daemon.said(&["127.0.0.1 may not log on", line[0], line[1]]);
        }
        daemon.ask("provisioner").unwrap();
    }
}

#[test]
fn what_is_no_log_on_is_ended() {
    let daemon = Daemon::start(ALLOW);
    // An open connection, which goes on through all of it.
    let mut client = Client::log_on(&daemon.engine("provisioner")).unwrap();
    let mut plain = daemon.raw();
    plain.write_all(b"{\"do\":\"status\"}\n").unwrap();
    until_closed(plain);
    daemon.said(&["does not speak TLS"]);

    // Says nothing; says a little again and again.
    let begun = Instant::now();
    let silent = daemon.raw();
    let mut slow = daemon.raw();
    let hello = [22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3];
    for byte in hello {
        slow.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(40));
    }
    until_closed(silent);
    until_closed(slow);
    assert!(begun.elapsed() < Duration::from_secs(10));
    daemon.said(&["`provisioner.logon_ms`"]);

    // Without a certificate: openssl, another's TLS.
    let mut s_client = Command::new("openssl");
    s_client.args(["s_client", "-ign_eof", "-connect"]);
    s_client.arg(format!("127.0.0.1:{}", daemon.port));
    let output = s_client.stdin(std::process::Stdio::null()).output();
    match output {
        Ok(Output { stderr, .. }) => {
            let said = String::from_utf8_lossy(&stderr);
            assert!(said.contains("certificate required"), "{said}");
            daemon.said(&["it showed no certificate"]);
        }
        Err(e) => eprintln!("not tested without openssl: {e}"),
    }

    // One address holds no more than its handshakes.
    let many: Vec<TcpStream> = (0..40).map(|_| daemon.raw()).collect();
    client.ask(&Request::Status).unwrap();
    many.into_iter().for_each(until_closed);
    daemon.ask("provisioner").unwrap();

    // Too long a line: an answer, then the end.
    let request = |bytes: usize| Request::Apply {
        name: String::from("long.yaml"),
        definition: "#".repeat(bytes),
        dry_run: true,
        reload: false,
    };
    match client.ask(&request(300_000)) {
        Err(ClientError::Refused(refusal)) => {
            assert!(
                refusal
                    .message
                    .contains("`provisioner.request_bytes`, 200000")
            );
        }
        // It was ended while this side still wrote.
        Err(ClientError::Broken(_)) => {}
        other => panic!("{other:?}"),
    }
    assert!(client.ask(&Request::Status).is_err());
    let mut client = Client::log_on(&daemon.engine("provisioner")).unwrap();
    match client.ask(&request(150_000)) {
        Err(ClientError::Refused(refusal)) => assert!(refusal.findings.is_some()),
        other => panic!("{other:?}"),
    }
    client.ask(&Request::Status).unwrap();
}

#[test]
fn a_silent_connection_ends_and_there_are_so_many() {
    let daemon = Daemon::start("  allow: [provisioner.example]\n  connections: 2\n  idle_ms: 1500");
    let engine = daemon.engine("provisioner");
    let mut one = Client::log_on(&engine).unwrap();
    let mut two = Client::log_on(&engine).unwrap();
    one.ask(&Request::Status).unwrap();
    two.ask(&Request::Status).unwrap();
    assert!(daemon.ask("provisioner").is_err());
    daemon.said(&["`provisioner.connections` (2)"]);
    // Who speaks stays, who does not makes room.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        one.ask(&Request::Status).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(two.ask(&Request::Status).is_err());
    daemon.ask("provisioner").unwrap();
}

#[test]
fn keys_change_under_an_open_connection() {
    let daemon = Daemon::start("  allow: [provisioner.example]");
    let keys = daemon.keys();
    let mut open = Client::log_on(&daemon.engine("provisioner")).unwrap();
    open.ask(&Request::Status).unwrap();

    // The engine's certificate, of another CA: who believes the old one only is left out, who is inside stays.
    let newer = ca("engines, newer");
    issue(&keys, "engine", &newer, |p| {
        p.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
    });
    daemon.said(&["keys read anew"]);
    assert!(matches!(
        daemon.ask("provisioner"),
        Err(ClientError::Unbelieved { .. })
    ));
    open.ask(&Request::Status).unwrap();
    put(&keys.join("engines.pem"), &newer.pem());
    daemon.ask("provisioner").unwrap();

    // Half of a pair is not taken, and nothing breaks meanwhile.
    let whole = fs::read_to_string(keys.join("engine.key")).unwrap();
    put(
        &keys.join("engine.key"),
        &KeyPair::generate().unwrap().serialize_pem(),
    );
    daemon.said(&["new keys not taken", "is not the key of the certificate"]);
    daemon.ask("provisioner").unwrap();
    put(&keys.join("engine.key"), &whole);
    // SAFETY: a signal to a child of ours.
    unsafe { libc::kill(daemon.child.id().cast_signed(), libc::SIGHUP) };
    daemon.ask("provisioner").unwrap();

    // The provisioners' CA is replaced: the one that is inside is cut at its next request.
    let again = ca("provisioners, newer");
    put(&keys.join("provisioners.pem"), &again.pem());
    let until = Instant::now() + Duration::from_secs(30);
    let refusal = loop {
        match open.ask(&Request::Status) {
            Ok(_) => assert!(Instant::now() < until, "it is still inside"),
            Err(ClientError::Refused(refusal)) => break refusal,
            Err(e) => panic!("{e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(refusal.message.contains("may not be used any more"));
    assert!(open.ask(&Request::Status).is_err());
    daemon.said(&["may not log on: any more: provisioner.example"]);
    assert!(daemon.ask("provisioner").is_err());
    issue(&keys, "provisioner", &again, |_| {});
    daemon.ask("provisioner").unwrap();
}

#[test]
fn a_revoked_certificate_is_cut_off() {
    let daemon = Daemon::start("  allow: [provisioner.example]");
    let keys = daemon.keys();
    let serial = SerialNumber::from(77);
    let list = |revoked: Vec<RevokedCertParams>| {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2900, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&daemon.provisioners).unwrap().pem().unwrap()
    };
    put(&keys.join("revoked.pem"), &list(vec![]));
    issue(&keys, "provisioner", &daemon.provisioners, |p| {
        p.serial_number = Some(serial.clone());
    });
    // Another daemon of the same folder, with the list.
    let more = format!(
        "  allow: [provisioner.example]\n  revoked: {}/revoked.pem",
        keys.display()
    );
    let second = Daemon::start(&more);
    for file in ["provisioners.pem", "provisioner.pem", "provisioner.key"] {
        fs::copy(keys.join(file), second.keys().join(file)).unwrap();
    }
    second.said(&["keys read anew"]);
    let mut open = Client::log_on(&second.engine("provisioner")).unwrap();
    open.ask(&Request::Status).unwrap();
    let one = RevokedCertParams {
        serial_number: serial,
        revocation_time: date_time_ymd(2021, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    put(&keys.join("revoked.pem"), &list(vec![one]));
    let until = Instant::now() + Duration::from_secs(30);
    while open.ask(&Request::Status).is_ok() {
        assert!(Instant::now() < until, "it is still inside");
        std::thread::sleep(Duration::from_millis(50));
    }
    match second.ask("provisioner") {
        Err(ClientError::LogOn { why, .. }) => assert!(why.contains("Revoked"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fingerprint_lets_one_certificate_in() {
    let daemon = Daemon::start(ALLOW);
    let keys = daemon.keys();
    // Not before it is in the configuration.
    issue(&keys, "pinned", &daemon.provisioners, |_| {});
    assert!(daemon.ask("pinned").is_err());
    let line = daemon.said(&["pinned.example, sha256:"]);
    let (_, mark) = line.split_once("sha256:").unwrap();
    let pinned = Daemon::start(&format!("  allow: [\"sha256:{}\"]", &mark[..64]));
    for file in ["provisioners.pem", "pinned.pem", "pinned.key"] {
        fs::copy(keys.join(file), pinned.keys().join(file)).unwrap();
    }
    pinned.said(&["keys read anew"]);
    pinned.ask("pinned").unwrap();
    // The same names, another key.
    issue(&pinned.keys(), "pinned", &daemon.provisioners, |_| {});
    assert!(pinned.ask("pinned").is_err());
}

/// What the provisioner sends takes no more than its share, and nothing is lost.
#[test]
fn requests_come_at_the_rate_that_is_set() {
    let more = "  allow: [provisioner.example]\nupdates: { rate: 400000, burst: 20000 }";
    let daemon = Daemon::start(more);
    let definition = fs::read_to_string("../../examples/fig05.yaml").unwrap();
    let bytes = 800_000;
    let apply = Request::Apply {
        name: String::from("padded.yaml"),
        definition: definition + &"#".repeat(bytes),
        dry_run: false,
        reload: false,
    };
    let mut client = Client::log_on(&daemon.engine("provisioner")).unwrap();
    let begun = Instant::now();
    client.ask(&apply).unwrap();
    let took = begun.elapsed();
    // The definition alone, less what the bucket had: 1.95 s. Less than twice that, or the rest of it is too slow.
    assert!(took >= Duration::from_millis(1950), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    // Back with it, as slowly.
    let begun = Instant::now();
    match client.ask(&Request::Definition).unwrap() {
        Answer::Definition { text, .. } => assert!(text.len() > bytes && text.ends_with('#')),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() >= Duration::from_millis(1950));
    // Whoever asks at the socket does not wait for it.
    let begun = Instant::now();
    daemon.status();
    assert!(begun.elapsed() < Duration::from_millis(1000));
}

#[test]
fn keys_that_are_of_no_use_are_told_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let engines = ca("engines");
    let check = || {
        let config = folder.path().join("seqnicd.yaml");
        fs::write(&config, text(folder.path(), 7367, "  allow: [x]")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_seqnicd"))
            .arg("--check")
            .arg(config)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let refused = |line: u32, what: &str| {
        let (code, said) = check();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("line {line}: ")), "{said}");
        assert!(said.contains(what), "{said}");
    };
    refused(8, "engine.pem");
    issue(&keys, "engine", &engines, |_| {});
    refused(10, "provisioners.pem");
    fs::write(keys.join("provisioners.pem"), "nothing\n").unwrap();
    refused(10, "BEGIN CERTIFICATE");
    put(&keys.join("provisioners.pem"), &engines.pem());
    assert_eq!(check(), (Some(0), String::new()));
    let key = keys.join("engine.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(9, "chmod");
    put(&key, &KeyPair::generate().unwrap().serialize_pem());
    refused(9, "is not the key of");
}
