//! Writes down what a device gets.

use super::{Ready, Site, Started};
use crate::LabError;
use crate::run::run;

pub fn start(site: &Site) -> Result<Started, LabError> {
    let Some(cable) = site.node.cables.first() else {
        return Ok(Started::default());
    };
    let log = site.own("tcpdump.log");
    let args = [
        "tcpdump",
        "-i",
        &cable.device,
        "-n",
        "-U",
        "--immediate-mode",
        "-Z",
        "root",
        "-w",
        &site.own("pcap").display().to_string(),
        // What the switch floods, before it knows a MAC, is no copy.
        "ether",
        "dst",
        &cable.mac,
    ];
    let process = site.start(&args, &log)?;
    Ok(Started {
        processes: vec![process],
        ready: vec![Ready::Text(log, String::from("listening on"))],
    })
}

pub fn log(site: &Site) -> Result<String, LabError> {
    let file = site.own("pcap").display().to_string();
    let said = run(&["tcpdump", "-n", "-r", &file])?;
    Ok(format!(
        "{} frames, the last: {}",
        said.lines().count(),
        said.lines().last().unwrap_or("none")
    ))
}
