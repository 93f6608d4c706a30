//! Counters for programs: exact ones over the API, and text for Prometheus.

use crate::api::{Counter, Counters};
use seqnic_card::Snapshot;
use seqnic_compiler::definition::{CLIENT_MARK, Definition, Prefix};
use seqnic_engine::CounterKey;
use seqnic_image::Names;
use seqnic_spec::counters::TIME_BUCKETS;
use seqnic_spec::reason::Reason;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Prometheus names of the kinds, with what they count.
const KINDS: [(&str, &str, &str); 8] = [
    (
        "reason",
        "reason",
        "Packets by what became of them: directed, or why not",
    ),
    (
        "interface_in",
        "interface_in",
        "Frames that arrived on an interface",
    ),
    (
        "interface_out",
        "interface_out",
        "Frames sent on an interface",
    ),
    (
        "attachment_in",
        "attachment_in",
        "Frames a device or host sent",
    ),
    (
        "attachment_out",
        "attachment_out",
        "Frames sent to a device or host",
    ),
    (
        "service",
        "service",
        "Directed packets of a service, as they arrived",
    ),
    ("step", "step", "Copies a step of a service sent"),
    ("rule", "rule", "First packets a rule of an ACL decided"),
];

/// A snapshot by name, exact. `definition` knows which clients a rule is about.
pub fn counters(snapshot: &Snapshot, names: &Names, definition: Option<&Definition>) -> Counters {
    let named = snapshot.named(names);
    let clients = clients(definition);
    let counters = (named.0.into_iter())
        .map(|(key, count)| {
            let (kind, mut labels) = labels(key);
            if kind == "rule" {
                labels.extend(client(&labels, &clients).map(|c| ("client", c)));
            }
            Counter {
                kind: kind.to_string(),
                labels: labels
                    .into_iter()
                    .map(|(k, v)| (k.to_string(), v))
                    .collect(),
                packets: count.packets,
                bytes: count.bytes,
            }
        })
        .collect();
    Counters {
        time: snapshot.time,
        counters,
    }
}

/// The client of each rule that names exactly one, by rule set and rule.
fn clients(definition: Option<&Definition>) -> BTreeMap<(&str, &str), &Prefix> {
    let acls = definition.into_iter().flat_map(|d| &d.acls);
    acls.flat_map(|acl| {
        acl.rules.iter().filter_map(|rule| match &rule.client[..] {
            [one] => Some(((acl.name.as_str(), rule.name.as_str()), one)),
            _ => None,
        })
    })
    .collect()
}

/// Whose packets a rule counts, if it is one client's. A rule that is no more says it in its name.
fn client(
    labels: &[(&'static str, String)],
    clients: &BTreeMap<(&str, &str), &Prefix>,
) -> Option<String> {
    let [(_, acl), (_, rule)] = labels else {
        return None;
    };
    match clients.get(&(acl.as_str(), rule.as_str())) {
        Some(prefix) => Some(prefix.to_string()),
        None => (rule.split_once(CLIENT_MARK)).map(|(_, client)| client.to_string()),
    }
}

fn labels(key: CounterKey) -> (&'static str, Vec<(&'static str, String)>) {
    match key {
        CounterKey::Reason(r) => ("reason", vec![("reason", r.name().to_string())]),
        CounterKey::InterfaceIn(i) => ("interface_in", vec![("interface", i)]),
        CounterKey::InterfaceOut(i) => ("interface_out", vec![("interface", i)]),
        CounterKey::AttachmentIn(a) => ("attachment_in", vec![("attachment", a)]),
        CounterKey::AttachmentOut(a) => ("attachment_out", vec![("attachment", a)]),
        CounterKey::AttachmentSyn(a) => ("attachment_syn", vec![("attachment", a)]),
        CounterKey::AttachmentAnswer(a) => ("attachment_answer", vec![("attachment", a)]),
        CounterKey::AttachmentSeen(a) => ("attachment_seen", vec![("attachment", a)]),
        CounterKey::AttachmentTime(a, bucket) => (
            "attachment_time",
            vec![("attachment", a), ("bucket", bucket.to_string())],
        ),
        CounterKey::Rule { acl, rule } => ("rule", vec![("acl", acl), ("rule", rule)]),
        CounterKey::Service {
            service,
            label,
            direction,
        } => (
            "service",
            vec![
                ("service", service),
                ("look", label),
                ("direction", direction.name().to_string()),
            ],
        ),
        CounterKey::Step {
            service,
            label,
            direction,
            from,
            to,
        } => (
            "step",
            vec![
                ("service", service),
                ("look", label),
                ("direction", direction.name().to_string()),
                ("from", from),
                ("to", to),
            ],
        ),
    }
}

/// What Prometheus gets beside the card's counters.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// The card can be used.
    pub card: bool,
    /// Rows of its tables that were mended.
    pub repairs: u64,
    /// 1: a definition holds.
    pub defined: bool,
    /// Version of the daemon.
    pub version: String,
    /// By device: 1 it takes part, 0 it failed.
    pub devices: BTreeMap<String, bool>,
    /// By device: 1 it is suspected.
    pub suspected: BTreeMap<String, bool>,
    /// Roles with nobody left, by service.
    pub unavailable: BTreeMap<String, u64>,
    /// Roles that are done without, by service.
    pub bypassed: BTreeMap<String, u64>,
    /// By port: 1 the link is up.
    pub links: BTreeMap<u8, bool>,
    /// By reason and deed.
    pub exceptions: BTreeMap<(String, String), u64>,
    /// Over TLS, by outcome: `accepted`, `refused`.
    pub logons: BTreeMap<String, u64>,
}

/// Text in the exposition format of Prometheus. Its numbers are floats: above 2^53 they are rounded by
/// whoever reads them, so nothing is charged by them.
pub fn prometheus(counters: &Counters, gauges: &Gauges) -> String {
    let mut out = String::new();
    connections(&mut out, counters);
    // A rate needs a value before the first packet: reasons are there from the start.
    let unseen: Vec<Counter> = (Reason::ALL.iter())
        .map(|r| Counter {
            kind: String::from("reason"),
            labels: [(String::from("reason"), r.name().to_string())].into(),
            ..Counter::default()
        })
        // A card that is away counts nothing, not zero.
        .filter(|zero| {
            let same = |c: &Counter| c.kind == zero.kind && c.labels == zero.labels;
            gauges.card && !counters.counters.iter().any(same)
        })
        .collect();
    for (kind, name, help) in KINDS {
        let mut of: Vec<&Counter> = counters
            .counters
            .iter()
            .chain(&unseen)
            .filter(|c| c.kind == kind)
            .collect();
        of.sort();
        if of.is_empty() {
            continue;
        }
        for (unit, value) in [
            ("packets", (|c| c.packets) as fn(&Counter) -> u64),
            ("bytes", |c| c.bytes),
        ] {
            let name = format!("seqnic_{name}_{unit}_total");
            head(&mut out, &name, "counter", &format!("{help}, {unit}."));
            for c in &of {
                let labels: Vec<(&str, &str)> = c
                    .labels
                    .iter()
                    .map(|(k, v)| (k.as_str(), v.as_str()))
                    .collect();
                line(&mut out, &name, &labels, value(c));
            }
        }
    }
    head(
        &mut out,
        "seqnic_card_up",
        "gauge",
        "Whether the card can be used.",
    );
    line(&mut out, "seqnic_card_up", &[], u64::from(gauges.card));
    let name = "seqnic_repaired_rows_total";
    let help = "Rows of the card's tables that were not what was written, and were mended.";
    head(&mut out, name, "counter", help);
    line(&mut out, name, &[], gauges.repairs);
    let name = "seqnic_logons_total";
    let help = "Connections of provisioners, by what became of them.";
    if !gauges.logons.is_empty() {
        head(&mut out, name, "counter", help);
    }
    for (outcome, n) in &gauges.logons {
        line(&mut out, name, &[("outcome", outcome)], *n);
    }
    head(
        &mut out,
        "seqnic_defined",
        "gauge",
        "Whether a definition holds.",
    );
    line(&mut out, "seqnic_defined", &[], u64::from(gauges.defined));
    gauge(
        &mut out,
        "seqnic_device_up",
        "Whether a device takes part in services.",
        "device",
        gauges
            .devices
            .iter()
            .map(|(n, up)| (n.clone(), u64::from(*up))),
    );
    gauge(
        &mut out,
        "seqnic_device_suspected",
        "Whether a device is suspected of having failed.",
        "device",
        gauges
            .suspected
            .iter()
            .map(|(n, is)| (n.clone(), u64::from(*is))),
    );
    let build = "seqnic_build_info";
    head(&mut out, build, "gauge", "Version of the daemon; always 1.");
    line(&mut out, build, &[("version", &gauges.version)], 1);
    gauge(
        &mut out,
        "seqnic_service_unavailable_roles",
        "Roles of a service in which every device failed.",
        "service",
        gauges
            .unavailable
            .iter()
            .map(|(n, roles)| (n.clone(), *roles)),
    );
    gauge(
        &mut out,
        "seqnic_service_bypassed_roles",
        "Roles of a service in which every device failed, and that it goes on without.",
        "service",
        gauges.bypassed.iter().map(|(n, roles)| (n.clone(), *roles)),
    );
    gauge(
        &mut out,
        "seqnic_port_up",
        "Whether the link of a port is up.",
        "port",
        gauges
            .links
            .iter()
            .map(|(n, up)| (n.to_string(), u64::from(*up))),
    );
    if !gauges.exceptions.is_empty() {
        let name = "seqnic_host_packets_total";
        head(
            &mut out,
            name,
            "counter",
            "Packets the card gave to the host, by reason and what was done.",
        );
        for ((reason, deed), packets) in &gauges.exceptions {
            line(
                &mut out,
                name,
                &[("reason", reason), ("deed", deed)],
                *packets,
            );
        }
    }
    out
}

/// Connections opened, their answers, and response times: a histogram in seconds.
fn connections(out: &mut String, counters: &Counters) {
    let of = |kind: &'static str| counters.counters.iter().filter(move |c| c.kind == kind);
    let attachment = |c: &Counter| c.labels.get("attachment").cloned().unwrap_or_default();
    for (kind, name, help) in [
        (
            "attachment_syn",
            "seqnic_attachment_syns_total",
            "TCP connections opened towards a device.",
        ),
        (
            "attachment_answer",
            "seqnic_attachment_answers_total",
            "Answers and refusals of TCP connections from it.",
        ),
    ] {
        let mut first = true;
        for c in of(kind) {
            if std::mem::take(&mut first) {
                head(out, name, "counter", help);
            }
            line(out, name, &[("attachment", &attachment(c))], c.packets);
        }
    }
    let mut times: BTreeMap<String, (BTreeMap<u32, u64>, u64)> = BTreeMap::new();
    for c in of("attachment_time") {
        let bucket = c.labels.get("bucket").and_then(|b| b.parse().ok());
        let (buckets, sum) = times.entry(attachment(c)).or_default();
        *buckets.entry(bucket.unwrap_or(0)).or_default() += c.packets;
        *sum += c.bytes;
    }
    if times.is_empty() {
        return;
    }
    let name = "seqnic_attachment_response_seconds";
    head(
        out,
        name,
        "histogram",
        "Time until a packet of a flow came back from a device.",
    );
    for (attachment, (buckets, sum)) in times {
        let mut below = 0;
        for bucket in 0..TIME_BUCKETS {
            below += buckets.get(&bucket).copied().unwrap_or(0);
            // Bucket b holds times below 2^(b + 11) ns, the last one all.
            let end = match bucket + 1 == TIME_BUCKETS {
                true => String::from("+Inf"),
                false => format!("{}", f64::from(1u32 << (bucket + 11)) / 1e9),
            };
            let labels = [("attachment", attachment.as_str()), ("le", end.as_str())];
            line(out, &format!("{name}_bucket"), &labels, below);
        }
        let seconds = sum as f64 / 1e9;
        let labels = format!("{{attachment=\"{}\"}}", escaped(&attachment));
        let _never = writeln!(
            out,
            "{name}_sum{labels} {seconds}\n{name}_count{labels} {below}"
        );
    }
}

fn gauge(
    out: &mut String,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (String, u64)>,
) {
    let mut first = true;
    for (of, value) in values {
        if std::mem::take(&mut first) {
            head(out, name, "gauge", help);
        }
        line(out, name, &[(label, &of)], value);
    }
}

// Writing to a String cannot fail.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _never = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: u64) {
    let labels: Vec<String> = (labels.iter())
        .map(|(k, v)| format!("{k}=\"{}\"", escaped(v)))
        .collect();
    let _never = match labels.is_empty() {
        true => writeln!(out, "{name} {value}"),
        false => writeln!(out, "{name}{{{}}} {value}", labels.join(",")),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_counts_is_shown_by_client() {
        let text = include_str!("../../../tests/cases/acl-client/definition.yaml");
        let definition = seqnic_compiler::read(text).unwrap();
        let image = seqnic_compiler::compile(&definition).unwrap();
        let one = |row: u32| {
            let count = seqnic_engine::Count {
                packets: u64::MAX - u64::from(row),
                bytes: u64::from(row),
            };
            ((seqnic_spec::counters::CounterSet::Rule as u8, row), count)
        };
        let snapshot = Snapshot {
            time: 1,
            rows: (1..image.names.rules.len() as u32).map(one).collect(),
        };
        let all = super::counters(&snapshot, &image.names, Some(&definition));
        let client = |all: &Counters, rule: &str| {
            let of = |c: &&Counter| c.labels["rule"] == rule;
            let found = all.counters.iter().find(of).unwrap();
            found.labels.get("client").cloned()
        };
        let some = |text: &str| Some(text.to_string());
        assert_eq!(all.counters.len(), image.names.rules.len() - 1);
        assert_eq!(client(&all, "customers@198.51.100.7"), some("198.51.100.7"));
        assert_eq!(
            client(&all, "customers@198.51.100.0/24"),
            some("198.51.100.0/24")
        );
        assert_eq!(client(&all, "3@192.0.2.64/26"), some("192.0.2.64/26"));
        assert_eq!(
            (client(&all, "together"), client(&all, "default")),
            (None, None)
        );
        // A rule that is no more says it by its name; one of a single client is known by the definition.
        let gone = super::counters(&snapshot, &image.names, None);
        assert_eq!(client(&gone, "blocked@192.0.2.1"), some("192.0.2.1"));
        let single = text.replace("[192.0.2.65, 198.51.100.0/24]", "192.0.2.65");
        let definition = seqnic_compiler::read(&single).unwrap();
        let all = super::counters(&snapshot, &image.names, Some(&definition));
        assert_eq!(client(&all, "together"), some("192.0.2.65"));
        let text = prometheus(&all, &Gauges::default());
        let line = "seqnic_rule_packets_total{acl=\"W\",client=\"198.51.100.7\",rule=\"customers@198.51.100.7\"} ";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn every_metric_has_its_head_once_and_values_are_exact() {
        let labels = |l: &[(&str, &str)]| {
            l.iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        };
        let counters = Counters {
            time: 1,
            counters: vec![
                Counter {
                    kind: String::from("reason"),
                    labels: labels(&[("reason", "arp")]),
                    packets: u64::MAX,
                    bytes: 1 << 60 | 1,
                },
                Counter {
                    kind: String::from("service"),
                    labels: labels(&[
                        ("service", "a\"b\\c"),
                        ("look", "tcp/80"),
                        ("direction", "forward"),
                    ]),
                    packets: 2,
                    bytes: 3,
                },
            ],
        };
        let mut counters = counters;
        for (bucket, packets) in [(0, 3), (2, 4), (15, 1)] {
            counters.counters.push(Counter {
                kind: String::from("attachment_time"),
                labels: labels(&[("attachment", "fw"), ("bucket", &bucket.to_string())]),
                packets,
                bytes: 500,
            });
        }
        let text = prometheus(&counters, &Gauges::default());
        for line in [
            "seqnic_attachment_response_seconds_bucket{attachment=\"fw\",le=\"0.000002048\"} 3\n",
            "seqnic_attachment_response_seconds_bucket{attachment=\"fw\",le=\"0.000008192\"} 7\n",
            "seqnic_attachment_response_seconds_bucket{attachment=\"fw\",le=\"+Inf\"} 8\n",
            "seqnic_attachment_response_seconds_sum{attachment=\"fw\"} 0.0000015\n",
            "seqnic_attachment_response_seconds_count{attachment=\"fw\"} 8\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(
            text.contains("seqnic_reason_packets_total{reason=\"arp\"} 18446744073709551615\n")
        );
        assert!(text.contains("seqnic_reason_bytes_total{reason=\"arp\"} 1152921504606846977\n"));
        assert!(text.contains("service=\"a\\\"b\\\\c\""));
        let heads: Vec<&str> = text.lines().filter(|l| l.starts_with("# TYPE")).collect();
        let mut once = heads.clone();
        once.dedup();
        assert_eq!(heads, once);
        assert_eq!(heads.len(), 9);
    }
}
