//! A definition as network namespaces with real programs in them, joined to an engine.
//!
//! Each host and device of the definition is a namespace with real Linux in it. Each port of the engine is
//! a bridge in a namespace of its own, so that several devices may share a port, as behind a switch. What
//! runs in a device follows from its `function` and its place in services, or from the lab file beside
//! the definition ([`file`]); [`programs`] has a file for each program.

pub mod check;
pub mod down;
pub mod engine;
pub mod error;
pub mod file;
pub mod net;
pub mod picture;
pub mod plan;
pub mod programs;
pub mod run;
pub mod up;

pub use error::LabError;
pub use file::LabFile;
pub use plan::Plan;
pub use up::{Lab, up};

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Programs every lab needs, and the Debian package each comes from.
const PROGRAMS: [(&str, &str); 3] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ethtool", "ethtool"),
];

/// What a lab with two engines needs.
const KEEPALIVED: [(&str, &str); 1] = [("keepalived", "keepalived")];

/// What a lab with DHCP needs.
const KEA: [(&str, &str); 1] = [("kea-dhcp4", "kea-dhcp4-server")];

fn there(program: &str) -> bool {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    (folders.iter()).any(|folder| Path::new(folder).join(program).exists())
}

/// What a lab needs and this machine has not, in words; empty if all is there.
pub fn missing(plan: &Plan) -> Vec<String> {
    let mut missing = Vec::new();
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        missing.push(String::from("root (namespaces are made)"));
    }
    let of_nodes = plan.nodes.iter().flat_map(|n| n.programs.keys());
    let wanted: BTreeSet<(&str, &str)> = of_nodes
        .flat_map(|p| p.needs())
        .chain(&PROGRAMS)
        .chain(KEA.iter().filter(|_| plan.kea))
        .chain(KEEPALIVED.iter().filter(|_| plan.pair))
        .copied()
        .collect();
    for (program, package) in wanted {
        if !there(program) {
            missing.push(format!(
                "`{program}` (tools/setup-lab.sh, or apt-get install {package})"
            ));
        }
    }
    if missing.is_empty() {
        // Tests ask from several threads at once.
        static TRIES: AtomicU32 = AtomicU32::new(0);
        let number = TRIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("sq-try-{}-{number}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.is_ok_and(|o| o.status.success()) {
            missing.push(String::from(
                "network namespaces (`ip netns add` fails here)",
            ));
        }
        let _there_may_be_none = Command::new("ip").args(["netns", "del", &name]).output();
    }
    missing
}
