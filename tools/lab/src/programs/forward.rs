//! A device that passes everything; one that changes a port on the way, by the kernel's connection table.

use super::{Site, Started};
use crate::LabError;
use crate::plan::Role;

pub fn start(site: &Site, translate: bool) -> Result<Started, LabError> {
    let change = match &site.node.role {
        Role::Pass(pass) if translate => match pass.port {
            Some((from, to)) => format!(
                "  chain in {{
    type nat hook prerouting priority -100;
    meta l4proto {{ tcp, udp }} th dport {from} dnat to :{to}
  }}
"
            ),
            None => {
                return Err(LabError::NotShown(format!(
                    "`{}` is to translate, and no service says `then: {{ port }}` of it",
                    site.node.name
                )));
            }
        },
        _ => String::new(),
    };
    site.rules(&format!(
        "table inet seqnic {{
  counter passed {{}}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    counter name passed
  }}
{change}}}
"
    ))?;
    Ok(Started::default())
}
