//! What changed between two answers of the daemon, as notifications.

use crate::fill::{presence, unavailable};
use crate::mib::Event;
use crate::tree::{Part, index};
use seqnic_daemon::api::{LogLine, Status};
use std::collections::BTreeSet;

/// A notification to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub event: Event,
    /// Index of the row it is about; empty: of none.
    pub row: Vec<u32>,
    /// What the daemon noticed.
    pub text: String,
}

/// Everything that differs, in an order that reads well: the daemon and its card, the definition, devices, services.
pub fn between(old: Option<&Status>, new: Option<&Status>) -> Vec<Notice> {
    let plain = |event, text: &str| Notice {
        event,
        row: Vec::new(),
        text: text.to_string(),
    };
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![plain(Event::DaemonLost, "seqnicd does not answer")],
        (None, Some(_)) => return vec![plain(Event::DaemonFound, "seqnicd answers")],
        (Some(old), Some(new)) => (old, new),
    };
    let mut notices = Vec::new();
    match (presence(old), presence(new)) {
        ("up", "lost") => {
            let why = new.card_state.why.as_deref().unwrap_or("the card is lost");
            notices.push(plain(Event::CardLost, why));
        }
        ("lost", "up") => notices.push(plain(Event::CardFound, "the card is there again")),
        _ => {}
    }
    let definition = |s: &Status| {
        let d = s.definition.as_ref()?;
        Some((d.name.clone(), d.file.clone(), d.generation))
    };
    if definition(old) != definition(new) {
        let text = match &new.definition {
            Some(d) => format!("{} ({}) holds, generation {}", d.name, d.file, d.generation),
            None => String::from("no definition holds"),
        };
        notices.push(plain(Event::DefinitionChanged, &text));
    }
    devices(&mut notices, old, new);
    services(&mut notices, old, new);
    notices
}

fn devices(notices: &mut Vec<Notice>, old: &Status, new: &Status) {
    for device in &new.devices {
        let Some(before) = old.devices.iter().find(|d| d.name == device.name) else {
            continue;
        };
        let event = match (before.state == "failed", device.state == "failed") {
            (false, true) => Event::DeviceFailed,
            (true, false) => Event::DeviceRestored,
            _ => continue,
        };
        let text = said(old, new, &device.name);
        notices.push(Notice {
            event,
            row: index(&[Part::Name(&device.name)]),
            text: text.unwrap_or_else(|| format!("{} is {}", device.name, device.state)),
        });
    }
}

fn services(notices: &mut Vec<Notice>, old: &Status, new: &Status) {
    let (before, now) = (unavailable(old), unavailable(new));
    let names: BTreeSet<&str> = before.keys().chain(now.keys()).copied().collect();
    for name in names {
        let (event, text) = match (before.contains_key(name), now.contains_key(name)) {
            (false, true) => (Event::ServiceUnavailable, said(old, new, name)),
            (true, false) => (Event::ServiceAvailable, None),
            _ => continue,
        };
        let otherwise = match event {
            Event::ServiceAvailable => format!("service {name} is whole again"),
            _ => format!("service {name} is unavailable"),
        };
        notices.push(Notice {
            event,
            row: index(&[Part::Name(name)]),
            text: text.unwrap_or(otherwise),
        });
    }
}

/// The newest line of the daemon's log since `old` that has `word` in it.
fn said(old: &Status, new: &Status, word: &str) -> Option<String> {
    let known: BTreeSet<(u64, &str)> = old.log.iter().map(|l| (l.time, l.text.as_str())).collect();
    let has = |line: &&LogLine| {
        let mut words = line
            .text
            .split(|c: char| c.is_whitespace() || ":;,".contains(c));
        words.any(|w| w == word) && !known.contains(&(line.time, line.text.as_str()))
    };
    new.log.iter().rev().find(has).map(|l| l.text.clone())
}
