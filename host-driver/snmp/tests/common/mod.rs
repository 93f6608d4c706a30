//! A daemon that says what it is told to, and a master agent of a few lines.
#![allow(dead_code, reason = "each test uses a part")]

use seqnic_daemon::api::{
    Answer, Counter, Counters, DefinitionStatus, DeviceStatus, LogLine, PortStatus, Request,
    Response, Status,
};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What the daemon answers; `None`: it closes every connection.
pub type Said = Arc<Mutex<Option<(Status, Counters)>>>;

/// Serves the API at `path` until the test ends.
pub fn daemon(path: &Path, said: &Said) {
    let listener = UnixListener::bind(path).unwrap();
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, said) = (stream.unwrap(), Arc::clone(&said));
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    let Some((status, counters)) = said.lock().unwrap().clone() else {
                        return;
                    };
                    let answer = match serde_json::from_str(&line).unwrap() {
                        Request::Status => Answer::Status(Box::new(status)),
                        Request::Counters => Answer::Counters(counters),
                        Request::Definition => Answer::Definition {
                            name: String::from("one"),
                            text: String::from("a definition"),
                        },
                        other => panic!("{other:?}"),
                    };
                    let text = serde_json::to_string(&Response::Ok(answer)).unwrap();
                    if writeln!(&mut &stream, "{text}").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub fn counter(kind: &str, labels: &[(&str, &str)], packets: u64, bytes: u64) -> Counter {
    Counter {
        kind: kind.to_string(),
        labels: (labels.iter())
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect(),
        packets,
        bytes,
    }
}

/// A daemon with two devices and counters that no float holds.
pub fn example() -> (Status, Counters) {
    let devices = ["firewall", "spare"].map(|name| DeviceStatus {
        name: name.to_string(),
        function: String::from("firewall"),
        response_ns: Some(1 << 40),
        state: String::from("up"),
    });
    let status = serde_json::json!({
        "version": "0", "card": "software", "geometry": "alveo", "uptime": 5,
        "card_state": { "here": true, "away_ms": 0, "tries": 0, "next_ms": 0, "met": true },
        "definition": DefinitionStatus {
            name: String::from("one"),
            file: String::from("one.yaml"),
            generation: 7,
            digest: String::from("abc"),
            text_digest: String::from("def"),
            services: 2,
        },
        "ports": [
            PortStatus { port: 0, link: String::from("up") },
            PortStatus { port: 1, link: String::from("none") },
        ],
        "devices": devices,
        "repairs": 1u64 << 40, "bypassed": [("W2", "ids")], "unavailable": [], "taps": {}, "exceptions": { "arp kernel": 3 }, "log": [],
    });
    let a = [("attachment", "firewall.outside")];
    let look = |direction| {
        [
            ("service", "W1"),
            ("look", "tcp/80"),
            ("direction", direction),
        ]
    };
    let counters = vec![
        counter("reason", &[("reason", "directed")], u64::MAX, u64::MAX - 1),
        counter(
            "interface_in",
            &[("interface", "i0")],
            1 << 63,
            (1 << 53) + 1,
        ),
        counter("interface_out", &[("interface", "i0")], 5, 6),
        counter("attachment_in", &a, 7, 8),
        counter("attachment_seen", &a, (1 << 60) + 3, 0),
        counter("attachment_time", &[a[0], ("bucket", "2")], 4, 999),
        counter("service", &look("forward"), 11, 12),
        counter("service", &look("return"), 13, 14),
        counter("rule", &[("acl", "outside"), ("rule", "web")], 15, 16),
        counter(
            "rule",
            &[
                ("acl", "outside"),
                ("rule", "web@198.51.100.7"),
                ("client", "198.51.100.7"),
            ],
            17,
            18,
        ),
        // Too long for an index of two.
        counter(
            "rule",
            &[("acl", "outside"), ("rule", &"x".repeat(51))],
            15,
            16,
        ),
    ];
    let counters = Counters {
        time: (1 << 62) + 1,
        counters,
    };
    (serde_json::from_value(status).unwrap(), counters)
}

/// Another answer: a device has failed and a service lacks it.
pub fn failed(before: &Status) -> Status {
    let mut after = before.clone();
    after.devices[0].state = String::from("failed");
    after.unavailable = vec![(String::from("W1"), String::from("firewall"))];
    after.log.push(LogLine {
        time: 1,
        text: String::from("firewall has failed: no answer; fail-over"),
    });
    after
}

/// Values by object and instance, as `snmpwalk -OQ` prints them.
pub fn parsed(walk: &str) -> BTreeMap<String, String> {
    (walk.lines())
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| {
            let name = name.strip_prefix("SEQNIC-MIB::").unwrap_or(name);
            (name.to_string(), value.trim().to_string())
        })
        .collect()
}
