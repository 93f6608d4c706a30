//! A device that asks for its address by DHCP, as one out of the box does.

use super::{Ready, Site, Started, write};
use crate::LabError;
use crate::run::run;

pub fn start(site: &Site) -> Result<Started, LabError> {
    let Some(cable) = site.node.cables.first() else {
        return Ok(Started::default());
    };
    // The package's own script would write this machine's resolv.conf.
    let script = site.own("udhcpc.sh");
    write(
        &script,
        "#!/bin/sh
case $1 in
deconfig) ip addr flush dev $interface scope global ;;
bound | renew) ip addr replace $ip/32 dev $interface ;;
esac
",
    )?;
    run(&["chmod", "+x", &script.display().to_string()])?;
    let log = site.own("udhcpc.log");
    let args = [
        "udhcpc",
        "-f",
        "-i",
        &cable.device,
        "-t",
        "60",
        "-T",
        "1",
        "-s",
        &script.display().to_string(),
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = site.start(&args, &log)?;
    Ok(Started {
        processes: vec![process],
        ready: vec![Ready::Text(log, String::from("obtained"))],
    })
}
