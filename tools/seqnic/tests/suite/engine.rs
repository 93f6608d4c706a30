//! Commands that ask an engine over TLS.

use crate::{refused, seqnic, stdout};
use assert_cmd::Command;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use seqnic_daemon::core::Core;
use seqnic_daemon::daemon::Daemon;
use seqnic_daemon::journal::Journal;
use seqnic_daemon::provisioner::Provisioner;
use seqnic_daemon::{card, config};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Keys of both sides, `NAME.pem` and `NAME.key`, by one CA.
fn keys(folder: &Path) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "ca");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    put(&folder.join("ca.pem"), &ca.pem());
    for (file, name) in [
        ("engine", "127.0.0.1"),
        ("me", "me.example"),
        ("other", "other.example"),
    ] {
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        put(&folder.join(format!("{file}.key")), &key.serialize_pem());
        put(&folder.join(format!("{file}.pem")), &certificate.pem());
    }
}

/// The daemon's own parts, in this process. Its address.
fn engine(folder: &Path) -> String {
    let at = folder.display();
    let text = format!(
        "card: software\nstate: {at}/state\nsocket: {at}/socket\nlinux: {{ taps: false }}\nhealth: {{ enabled: false }}
provisioner: {{ listen: 127.0.0.1:0, certificate: {at}/engine.pem, key: {at}/engine.key, ca: {at}/ca.pem, allow: [me.example] }}"
    );
    let config = config::parse(&text).unwrap();
    let journal = Journal::open(&config.state).unwrap();
    let card = card::open(&config.card, &journal).unwrap();
    let (core, found) = Core::start(card, journal).unwrap();
    let own = config.provisioner.clone().unwrap();
    let provisioner = Arc::new(Provisioner::bind(own, &config.updates).unwrap());
    let address = provisioner.address().unwrap();
    let daemon = Daemon::new(core, config, found);
    std::thread::spawn(move || provisioner.serve(&daemon));
    format!("tls://{address}")
}

#[test]
fn every_command_can_ask_another_engine() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    keys(at);
    let address = engine(at);
    let by_options = |who: &str| {
        let mut command = seqnic();
        let file = |end: &str| at.join(format!("{who}.{end}"));
        command.args(["status", "--engine", &address]);
        command.arg("--cert").arg(file("pem"));
        command.arg("--key").arg(file("key"));
        command.arg("--ca").arg(at.join("ca.pem"));
        command
    };
    let by_environment = |command: &[&str]| -> Command {
        let mut asked = seqnic();
        asked.args(command).env("SEQNIC_ENGINE", &address);
        asked.env("SEQNIC_CERT", at.join("me.pem"));
        asked.env("SEQNIC_KEY", at.join("me.key"));
        asked.env("SEQNIC_CA", at.join("ca.pem"));
        asked
    };
    let done = |command: &[&str]| stdout(&by_environment(command).assert().success());
    assert!(stdout(&by_options("me").assert().success()).contains("no definition"));
    let fig07 = "../../examples/fig07.yaml";
    assert!(done(&["apply", "--dry-run", fig07]).contains("would be"));
    assert!(done(&["apply", fig07]).contains("loaded"));
    assert!(done(&["status"]).contains("fig07"));
    assert!(done(&["counters", "--json"]).contains("\"counters\""));
    assert!(done(&["failed", "ids"]).contains("written"));
    assert!(done(&["status", "--json"]).contains("\"failed\""));
    assert!(done(&["restore", "ids"]).contains("written"));
    refused(by_environment(&["failed", "nobody"]).assert(), 1, "nobody");

    refused(by_options("other").assert(), 3, "log on (AccessDenied)");
    // Another CA is not this engine's.
    let strangers = tempfile::tempdir().unwrap();
    keys(strangers.path());
    let mut command = by_environment(&["status"]);
    command.env("SEQNIC_CA", strangers.path().join("ca.pem"));
    refused(command.assert(), 3, "is not believed");
    // Options that lack others.
    let lacking = ["status", "--engine", &address];
    refused(seqnic().args(lacking).assert(), 2, "--cert <FILE>");
    let wrong = ["status", "--engine", "http://x"];
    refused(seqnic().args(wrong).assert(), 2, "tls://host:port");
}
