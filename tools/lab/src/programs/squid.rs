//! Squid as a proxy: takes requests for the service's address, asks from its own.

use super::{Ready, Site, Started, folder, write};
use crate::LabError;
use std::collections::BTreeSet;

/// Whom squid becomes; Debian's package makes the user.
const USER: &str = "proxy";

pub fn start(site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
    let own = site.own("squid");
    folder(&own, Some(USER))?;
    let mut config = String::new();
    for port in ports {
        config.push_str(&format!("http_port {port}\n"));
    }
    for address in site.node.cables.iter().flat_map(|c| &c.addresses) {
        config.push_str(&format!("tcp_outgoing_address {address}\n"));
    }
    let at = own.display();
    config.push_str(&format!(
        "http_access allow all
cache deny all
cache_effective_user {USER}
access_log stdio:{at}/access.log
cache_log {at}/cache.log
pid_filename none
coredump_dir {at}
netdb_filename none
visible_hostname {}
shutdown_lifetime 0 seconds
",
        site.node.name
    ));
    let file = own.join("squid.conf");
    write(&file, &config)?;
    // Its shared memory has this name; letters and digits only.
    let name: String = site
        .space
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let args = [
        "squid",
        "-N",
        "-n",
        &name,
        "-f",
        &file.display().to_string(),
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = site.start(&args, &site.own("squid.log"))?;
    let ready = |port: &u16| Ready::Port(site.space.to_string(), *port);
    Ok(Started {
        processes: vec![process],
        ready: ports.iter().map(ready).collect(),
    })
}
