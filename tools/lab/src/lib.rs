//! A definition as network namespaces with real programs in them, joined to the software engine.
//!
//! Each host and device of the definition is a namespace with real Linux in it. Each port of the engine is
//! a bridge in a namespace of its own, so that several devices may share a port, as behind a switch.
//!
//! | what the definition says | what runs |
//! | --- | --- |
//! | a host | forwards; behind a gateway there is a client |
//! | `function: firewall`, or two attachments | nftables: forwards new connections from its enter side, counts |
//! | a device of a sequence with `then: { port }` | nftables translates the port, both ways by its connection table |
//! | any other device packets pass | forwards, counts |
//! | a device that gets copies | tcpdump writes what it sees |
//! | an end | nginx on the service's ports, by its `mode` |
//!
//! It needs root, `ip`, `nft`, `nginx`, `tcpdump`, `ethtool`; [`missing`] says what of it there is not.

pub mod down;
pub mod engine;
pub mod error;
pub mod nodes;
pub mod plan;
pub mod run;
pub mod up;

pub use error::LabError;
pub use plan::Plan;
pub use up::{Lab, up};

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Programs a lab needs, and the Debian package each comes from.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("tcpdump", "tcpdump"),
    ("ethtool", "ethtool"),
];

/// What a lab needs and this machine has not, in words; empty if all is there.
pub fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        missing.push(String::from("root (namespaces are made)"));
    }
    for (program, package) in PROGRAMS {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        if !found
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
        {
            missing.push(format!("`{program}` (apt-get install {package})"));
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
