//! `seqnic apply`, `status`, `counters`, `failed`, `restore`: what the daemon of this host, or of another, is asked.

use super::{plural, print, print_json};
use crate::cli::{Apply, Counters, Daemon, Detect, Failed, Restore, Status};
use crate::failure::{Failure, Outcome};
use comfy_table::{Cell, CellAlignment, Table, presets};
use seqnic_daemon::api::{Answer, Changed, Request};
use seqnic_daemon::client::{Client, ClientError, Engine};
use std::fmt::Write;

/// Reaches the daemon that the command line names.
pub fn reach(daemon: &Daemon) -> Result<Client, Failure> {
    let client = match (&daemon.engine, &daemon.cert, &daemon.key, &daemon.ca) {
        (Some(address), Some(certificate), Some(key), Some(ca)) => Client::log_on(&Engine {
            address: address.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
            ca: ca.clone(),
        }),
        _ => Client::connect(&daemon.socket),
    };
    client.map_err(failure)
}

/// Asks the daemon that the command line names.
pub fn ask(daemon: &Daemon, request: &Request) -> Result<Answer, Failure> {
    reach(daemon)?.ask(request).map_err(failure)
}

pub fn failure(e: ClientError) -> Failure {
    match e {
        ClientError::Refused(refusal) => {
            let failed = refusal.code == "failed";
            match refusal.findings {
                Some(findings) => {
                    eprint!("{findings}");
                    Failure::Found
                }
                None if failed => Failure::failed(refusal.message),
                None => Failure::refused(refusal.message),
            }
        }
        e => Failure::failed(e),
    }
}

fn strange(answer: &Answer) -> Failure {
    Failure::failed(format!("seqnicd answered something else: {answer:?}"))
}

pub fn apply(args: &Apply) -> Outcome {
    let name = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file);
    let definition = text.map_err(|e| Failure::refused(format!("cannot read {name}: {e}")))?;
    let request = Request::Apply {
        name,
        definition,
        dry_run: args.dry_run,
        reload: args.reload,
    };
    match ask(&args.daemon, &request)? {
        Answer::Changed(changed) if args.json => print_json(&changed),
        Answer::Changed(changed) => print(&(said(&changed) + "\n")),
        other => Err(strange(&other)),
    }
}

fn said(changed: &Changed) -> String {
    let what = match (changed.words, changed.dry_run) {
        (Some(0), _) => return String::from("the tables are as they should be"),
        (Some(words), true) => return format!("{} would be written", plural(words as u64, "word")),
        (None, true) => return String::from("all tables would be loaded"),
        (Some(words), false) => format!("{} written", plural(words as u64, "word")),
        (None, false) => String::from("all tables loaded"),
    };
    let us = changed.microseconds;
    format!("{what} in {}.{:03} ms", us / 1000, us % 1000)
}

fn change(daemon: &Daemon, request: &Request) -> Outcome {
    match ask(daemon, request)? {
        Answer::Changed(changed) => print(&(said(&changed) + "\n")),
        other => Err(strange(&other)),
    }
}

pub fn failed(args: &Failed) -> Outcome {
    let device = args.device.clone();
    change(&args.daemon, &Request::Fail { device })
}

pub fn restore(args: &Restore) -> Outcome {
    let device = args.device.clone();
    change(&args.daemon, &Request::Restore { device })
}

pub fn detect(args: &Detect) -> Outcome {
    let request = Request::Detect {
        device: args.device.clone(),
        address: args.address,
        port: args.port,
    };
    let found = match ask(&args.daemon, &request)? {
        Answer::Detected(found) => found,
        other => return Err(strange(&other)),
    };
    if args.json {
        return print_json(&found);
    }
    let mut out = match &found.mode {
        Some(mode) => format!("{} is in {mode} mode\n", args.device),
        None => format!("{} does not answer\n", args.device),
    };
    for (to, answer) in [
        (
            format!("a connection to {}", args.address),
            &found.to_service,
        ),
        (
            String::from("a connection to its own address"),
            &found.to_own,
        ),
        (format!("who has {}", args.address), &found.who_has),
    ] {
        out += &format!("  {to}: {}\n", answer.as_deref().unwrap_or("no answer"));
    }
    print(&out)
}

pub fn status(args: &Status) -> Outcome {
    let status = match ask(&args.daemon, &Request::Status)? {
        Answer::Status(status) => status,
        other => return Err(strange(&other)),
    };
    if args.json {
        return print_json(&status);
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |text: String| {
        let _never = writeln!(out, "{text}");
    };
    let known = status.card_state.here || status.card_state.met;
    line(format!(
        "{}, geometry {}, seqnicd {} up {} s",
        status.card,
        if known { &status.geometry } else { "not known" },
        status.version,
        status.uptime
    ));
    let state = &status.card_state;
    if let Some(why) = &state.why {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms / 100 % 10);
        line(format!(
            "THE CARD IS AWAY, for {}: {why}; tried {}, next in {}",
            seconds(state.away_ms),
            plural(state.tries.into(), "time"),
            seconds(state.next_ms)
        ));
    }
    match &status.definition {
        None => line(String::from("no definition: `seqnic apply FILE`")),
        Some(d) => line(format!(
            "{} ({}), generation {}, {}, text {}, tables {}",
            d.name,
            d.file,
            d.generation,
            plural(d.services as u64, "service"),
            d.text_digest,
            d.digest
        )),
    }
    for p in status.ports.iter().filter(|p| p.link != "none") {
        line(format!("port {}: {}", p.port, p.link));
    }
    for (interface, tap) in &status.taps {
        line(format!("interface {interface}: {tap}"));
    }
    for d in &status.devices {
        line(format!("device {} ({}): {}", d.name, d.function, d.state));
    }
    for (service, device) in &status.unavailable {
        line(format!(
            "service {service} is unavailable: nobody stands in for {device}"
        ));
    }
    if let Some(peer) = &status.peer {
        line(format!(
            "other engine {}: {} {}",
            peer.address, peer.state, peer.what
        ));
    }
    for f in status.fail_overs.iter().rev().take(5).rev() {
        let ms = |us: u64| format!("{}.{:03} ms", us / 1000, us % 1000);
        let known = |us: Option<u64>| us.map_or_else(|| String::from("not known"), ms);
        line(format!(
            "fail-over of {}: {} from its last sign of life; {} until it counted as failed, {} delta, {} disk, {} card",
            f.device,
            known(f.whole_us),
            known(f.detect_us),
            ms(f.delta_us),
            ms(f.journal_us),
            ms(f.words_us)
        ));
    }
    if status.repairs > 0 {
        line(format!(
            "{} of the tables mended",
            plural(status.repairs, "row")
        ));
    }
    for (service, device) in &status.bypassed {
        line(format!("service {service} goes on without {device}"));
    }
    for n in &status.neighbours {
        let mac = n.mac.as_deref().unwrap_or("not known");
        line(format!("neighbour {}: {mac}, {}", n.attachment, n.state));
    }
    for d in &status.discovered {
        let addresses: Vec<String> = d.addresses.iter().map(ToString::to_string).collect();
        line(format!(
            "discovered on {}: {} {}, {}",
            d.interface,
            d.mac,
            addresses.join(" "),
            plural(d.packets, "packet")
        ));
    }
    for (what, packets) in &status.exceptions {
        line(format!("host: {what}: {packets}"));
    }
    for l in status.log.iter().rev().take(10).rev() {
        line(format!("{}: {}", l.time, l.text));
    }
    print(&out)
}

pub fn counters(args: &Counters) -> Outcome {
    let counters = match ask(&args.daemon, &Request::Counters)? {
        Answer::Counters(counters) => counters,
        other => return Err(strange(&other)),
    };
    if args.json {
        return print_json(&counters);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["counter", "of", "packets", "bytes"]);
    let number = |n: u64| Cell::new(n).set_alignment(CellAlignment::Right);
    for c in &counters.counters {
        let labels: Vec<&str> = c.labels.values().map(String::as_str).collect();
        table.add_row([
            Cell::new(&c.kind),
            Cell::new(labels.join(" ")),
            number(c.packets),
            number(c.bytes),
        ]);
    }
    print(&format!("{table}\n"))
}
