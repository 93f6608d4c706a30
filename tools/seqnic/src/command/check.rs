//! `seqnic check`

use super::{plural, print, print_json};
use crate::cli::Check;
use crate::failure::{Failure, Outcome};
use crate::load::{self, Findings, Unread};
use crate::terminal::Terminal;
use seqnic_compiler::definition::Definition;
use seqnic_compiler::{Options, report};
use serde_json::json;

pub fn run(args: &Check, terminal: Terminal) -> Outcome {
    let found = load::read_definition(&args.file).and_then(|file| {
        load::compile(file, Options::default())
            .map(|(_, definition)| definition)
            .map_err(Unread::Findings)
    });
    match found {
        Ok(definition) if args.json => print_json(&good(&definition)),
        Ok(definition) => print(&format!(
            "{}: {}\n",
            args.file.display(),
            words(&definition)
        )),
        Err(Unread::Findings(findings)) if args.json => {
            print_json(&bad(&findings))?;
            Err(Failure::Found)
        }
        Err(unread) => Err(unread.print(terminal)),
    }
}

fn good(definition: &Definition) -> serde_json::Value {
    json!({
        "ok": true,
        "name": definition.name,
        "interfaces": definition.interfaces.len(),
        "hosts": definition.hosts.len(),
        "devices": definition.devices.len(),
        "services": definition.services.len(),
        "diagnostics": [],
    })
}

fn bad(findings: &Findings) -> serde_json::Value {
    let located = report::locate(&findings.diagnostics, &findings.name, &findings.text);
    json!({ "ok": false, "diagnostics": located })
}

/// `good: 3 services, 2 devices, ...`
pub fn words(definition: &Definition) -> String {
    let count = |n: usize, what| plural(n as u64, what);
    format!(
        "good: {}, {}, {}, {}",
        count(definition.services.len(), "service"),
        count(definition.devices.len(), "device"),
        count(definition.hosts.len(), "host"),
        count(definition.interfaces.len(), "interface"),
    )
}
