//! `iperf3` servers, one a port.

use super::{Ready, Site, Started};
use crate::LabError;
use std::collections::BTreeSet;

pub fn start(site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
    let mut started = Started::default();
    for port in ports {
        let log = site.own("iperf3.log");
        let args = ["iperf3", "-s", "-p", &port.to_string(), "--forceflush"].map(str::to_string);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        started.processes.push(site.start(&args, &log)?);
        started
            .ready
            .push(Ready::Port(site.space.to_string(), *port));
    }
    Ok(started)
}
