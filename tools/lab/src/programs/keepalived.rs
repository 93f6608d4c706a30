//! keepalived beside an engine of two, with the configuration `seqnic keepalived` writes.

use super::{Ready, Started, write};
use crate::LabError;
use crate::plan::Engine;
use crate::run;
use seqnic_compiler::definition::Definition;
use std::path::Path;

/// Starts it in an engine's namespace; the daemon's configuration is there already.
///
/// # Errors
/// The definition or the configuration lacks an address.
pub fn start(
    definition: &Definition,
    engine: &Engine,
    space: &str,
    folder: &Path,
) -> Result<Started, LabError> {
    let own = |what: &str| folder.join(format!("{}.{what}", engine.files));
    let not_shown = |e: &dyn std::fmt::Display| LabError::NotShown(e.to_string());
    let config = seqnic_daemon::config::read(&own("yaml")).map_err(|e| not_shown(&e))?;
    let text =
        seqnic_daemon::keepalived::keepalived(definition, &config).map_err(|e| not_shown(&e))?;
    let file = own("keepalived.conf");
    write(&file, &text)?;
    let log = own("keepalived.log");
    let path = |what: &str| own(what).display().to_string();
    let args = [
        String::from("keepalived"),
        String::from("--dont-fork"),
        String::from("--log-console"),
        String::from("--log-detail"),
        String::from("--vrrp"),
        String::from("--use-file"),
        file.display().to_string(),
        String::from("--pid"),
        path("keepalived.pid"),
        String::from("--vrrp_pid"),
        path("vrrp.pid"),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = run::start(space, &args, &log)?;
    // The one that is to have the addresses has them when it says so.
    let master = Ready::Text(log, String::from("Entering MASTER STATE"));
    Ok(Started {
        processes: vec![child.id()],
        ready: if engine.first {
            vec![master]
        } else {
            Vec::new()
        },
    })
}
