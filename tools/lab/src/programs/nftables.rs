//! A firewall between two sides (or on one cable) by nftables.

use super::{Site, Started};
use crate::LabError;
use crate::plan::Role;

pub fn start(site: &Site) -> Result<Started, LabError> {
    let Role::Pass(pass) = &site.node.role else {
        return Err(LabError::NotShown(format!(
            "nothing passes `{}`, so it is no firewall",
            site.node.name
        )));
    };
    let (enter, leave) = (&pass.enter, &pass.leave);
    // Of a pool each takes over connections that another has seen begin.
    let (forth, back) = match pass.pool {
        true => (
            format!(
                "    iifname \"{enter}\" ct state new tcp flags & (syn | ack) == ack counter name requests accept\n"
            ),
            format!(
                "    iifname \"{leave}\" ct state new tcp flags & ack == ack counter name answers accept\n"
            ),
        ),
        false => (String::new(), String::new()),
    };
    let back = if enter == leave { String::new() } else { back };
    let mut nat = String::new();
    for address in &pass.source {
        let family = if address.is_ipv4() { "ip" } else { "ip6" };
        nat.push_str(&format!(
            "    oifname \"{leave}\" meta nfproto {} snat {family} to {address}\n",
            if address.is_ipv4() { "ipv4" } else { "ipv6" }
        ));
    }
    if !nat.is_empty() {
        nat =
            format!("  chain source {{\n    type nat hook postrouting priority 100;\n{nat}  }}\n");
    }
    site.rules(&format!(
        "table inet seqnic {{
  counter requests {{}}
  counter answers {{}}
  counter refused {{}}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct direction original ct state established,related counter name requests accept
    ct direction reply ct state established,related counter name answers accept
    iifname \"{enter}\" ct state new tcp flags & (syn | ack) == syn counter name requests accept
    iifname \"{enter}\" ct state new meta l4proto != tcp counter name requests accept
{forth}{back}    counter name refused
  }}
{nat}}}
"
    ))?;
    Ok(Started::default())
}
