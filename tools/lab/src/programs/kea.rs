//! Kea beside the engine, with the configuration `seqnic kea` writes.

use super::{Ready, Started, write};
use crate::LabError;
use crate::run;
use seqnic_compiler::definition::Definition;
use seqnic_daemon::kea::{Options, kea};
use seqnic_daemon::linux::device;
use std::path::Path;

/// Starts it in an engine's namespace, for some interfaces.
///
/// # Errors
/// The definition has no such interface, or no address there.
pub fn start(
    definition: &Definition,
    interfaces: &[String],
    space: &str,
    folder: &Path,
) -> Result<Started, LabError> {
    let options = Options {
        prefix: String::from("sq-"),
        interfaces: interfaces.to_vec(),
        ..Options::default()
    };
    let text = kea(definition, &options).map_err(|e| LabError::NotShown(e.to_string()))?;
    let file = folder.join("kea-dhcp4.conf");
    write(&file, &text)?;
    let log = folder.join("kea-dhcp4.log");
    let folder = folder.display();
    // Kea ends at once where a device is not there yet, and those of interfaces come with the definition.
    let devices: Vec<String> = (interfaces.iter().map(|i| device(&options.prefix, i))).collect();
    let args = [
        String::from("sh"),
        String::from("-c"),
        format!(
            "n=0; for device in {}; do until ip link show dev $device >/dev/null 2>&1 || [ $n = 300 ]; do n=$((n + 1)); sleep 0.1; done; done; exec \"$@\"",
            devices.join(" ")
        ),
        String::from("sh"),
        String::from("env"),
        format!("KEA_PIDFILE_DIR={folder}"),
        format!("KEA_LOCKFILE_DIR={folder}"),
        String::from("kea-dhcp4"),
        String::from("-c"),
        file.display().to_string(),
    ];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = run::start(space, &args, &log)?;
    Ok(Started {
        processes: vec![child.id()],
        ready: vec![Ready::Text(log, String::from("DHCP4_STARTED"))],
    })
}
