//! What Prometheus reads, and what is shipped to read it with: the dashboard, the alerts.

use seqnic_daemon::api::{Counter, Counters};
use seqnic_daemon::metrics::{Gauges, prometheus};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// Everything there is, once.
fn everything() -> String {
    let sets: [(&str, &[&str]); 11] = [
        ("reason", &["reason"]),
        ("interface_in", &["interface"]),
        ("interface_out", &["interface"]),
        ("attachment_in", &["attachment"]),
        ("attachment_out", &["attachment"]),
        ("attachment_syn", &["attachment"]),
        ("attachment_answer", &["attachment"]),
        ("attachment_seen", &["attachment"]),
        ("rule", &["acl", "rule", "client"]),
        ("service", &["service", "look", "direction"]),
        ("step", &["service", "look", "direction", "from", "to"]),
    ];
    let mut counters: Vec<Counter> = (sets.iter())
        .map(|(kind, labels)| Counter {
            kind: kind.to_string(),
            labels: labels
                .iter()
                .map(|l| (l.to_string(), format!("a \"{l}\"\\")))
                .collect(),
            packets: u64::MAX,
            bytes: 1,
        })
        .collect();
    counters.push(Counter {
        kind: String::from("attachment_time"),
        labels: [("attachment", "x"), ("bucket", "3")]
            .map(|(k, v)| (k.into(), v.into()))
            .into(),
        packets: 5,
        bytes: 9_000,
    });
    let of = |name: &str, value: bool| BTreeMap::from([(name.to_string(), value)]);
    let gauges = Gauges {
        repairs: 3,
        logons: [("accepted", 1), ("refused", 2)]
            .map(|(k, v)| (k.into(), v))
            .into(),
        bypassed: BTreeMap::from([(String::from("web"), 1)]),
        card: true,
        defined: true,
        version: String::from("0.1.0"),
        devices: of("firewall", true),
        suspected: of("firewall", false),
        unavailable: [(String::from("W1"), 1)].into(),
        links: [(0, true)].into(),
        exceptions: [((String::from("arp"), String::from("kernel")), 3)].into(),
    };
    prometheus(&Counters { time: 1, counters }, &gauges)
}

/// Names of metrics in the text, with their labels.
fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = names.entry(name.to_string()).or_default();
        // A label is what stands in front of `="`, and no value of ours has that in it.
        for part in rest
            .split("=\"")
            .collect::<Vec<_>>()
            .split_last()
            .unwrap()
            .1
        {
            let label = part.rsplit([',', '{']).next().unwrap();
            labels.insert(label.to_string());
        }
    }
    names
}

/// Names that look like our metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (text.split(|c| !word(c)))
        .filter(|w| w.starts_with("seqnic_"))
        .map(str::to_string)
        .collect()
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let exposed = exposed(&everything());
    let text = include_str!("../dist/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(text).unwrap();
    let asked = named(text);
    assert!(asked.len() >= 8, "{asked:?}");
    for name in &asked {
        assert!(
            exposed.contains_key(name),
            "the dashboard asks for {name}: {:?}",
            exposed.keys()
        );
    }
    let mut targets = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            targets += 1;
            let expression = target["expr"].as_str().unwrap();
            let known: BTreeSet<&String> = (named(expression).iter())
                .flat_map(|name| exposed.get(name).unwrap())
                .collect();
            let legend = target["legendFormat"].as_str().unwrap_or("");
            for label in legend
                .split("{{")
                .skip(1)
                .map(|l| l.split("}}").next().unwrap())
            {
                let asked = label.to_string();
                assert!(
                    known.contains(&asked),
                    "{legend} of {expression} has no label {label}"
                );
            }
        }
    }
    assert!(targets >= 8);
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let exposed = exposed(&everything());
    let asked = named(include_str!("../dist/seqnic.rules.yml"));
    assert!(asked.len() >= 8, "{asked:?}");
    for name in asked {
        assert!(exposed.contains_key(&name), "an alert asks for {name}");
    }
}

#[test]
fn reasons_are_there_before_their_first_packet_unless_the_card_is_away() {
    let zero = "seqnic_reason_packets_total{reason=\"output_full\"} 0\n";
    let here = Gauges {
        card: true,
        ..Gauges::default()
    };
    assert!(prometheus(&Counters::default(), &here).contains(zero));
    let away = prometheus(&Counters::default(), &Gauges::default());
    assert!(!away.contains("seqnic_reason") && away.contains("seqnic_card_up 0\n"));
}

#[test]
#[ignore = "needs promtool: make test-ops"]
fn promtool_finds_nothing_to_say() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; tools/setup-ops.sh installs it");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(everything().as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
