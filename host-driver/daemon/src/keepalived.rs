//! keepalived's configuration for one of two engines: the definition's addresses of each interface are shared by
//! VRRP (RFC 9568). Whoever has them says so by gratuitous ARP and unsolicited neighbour advertisements.
//!
//! VRRP speaks over a cable of its own between the engines. An engine whose `seqnicd` ends loses its network devices, which
//! keepalived tracks: it gives the addresses up at once. One that falls silent altogether is missed after three
//! adverts.

use crate::config::Config;
use crate::linux::device;
use seqnic_compiler::definition::{Definition, Interface};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoPair {
    #[error(
        "interface `{0}` has no address in the definition: what is attached there could not learn which engine to send to; give it one"
    )]
    NoAddress(String),
    #[error(
        "`pair.interfaces.{0}` has no address: the engine needs one of its own there, or both engines would have the shared one"
    )]
    NoOwn(String),
    #[error("`pair.link` is not given: the network device of the cable between the engines")]
    NoLink,
    #[error("`linux.taps` is off: keepalived needs the interfaces' network devices")]
    NoTaps,
    #[error(
        "`pair.group` is {group} and there are {groups} groups of interfaces with one priority: 255 is the last"
    )]
    Groups { group: u8, groups: usize },
}

/// Link-local address that goes with shared IPv6 ones (RFC 9568 section 5.2.9: the first must be one).
fn link_local(group: u8) -> String {
    format!("fe80::200:5eff:fe00:2{group:02x}/64")
}

/// Writes the configuration for a definition and this engine's part of it (as the daemon's configuration says).
///
/// # Errors
/// The definition or the configuration lacks something that is needed.
pub fn keepalived(definition: &Definition, config: &Config) -> Result<String, NoPair> {
    if !config.linux.taps {
        return Err(NoPair::NoTaps);
    }
    let pair = &config.pair;
    let link = pair.link.as_ref().ok_or(NoPair::NoLink)?;
    // Interfaces with one priority go together: what an engine loses on one side it must not keep on the other. Both
    // engines number the groups by their first interface.
    let mut groups: Vec<(u8, Vec<&Interface>)> = Vec::new();
    for interface in &definition.interfaces {
        if interface.addresses.is_empty() {
            return Err(NoPair::NoAddress(interface.name.clone()));
        }
        let own = pair.interfaces.get(&interface.name);
        if own.is_none_or(|own| own.address.is_empty()) {
            return Err(NoPair::NoOwn(interface.name.clone()));
        }
        let priority = own.and_then(|own| own.priority).unwrap_or(pair.priority);
        match groups.iter_mut().find(|(p, _)| *p == priority) {
            Some((_, all)) => all.push(interface),
            None => groups.push((priority, vec![interface])),
        }
    }
    if usize::from(pair.group) + groups.len() > 256 {
        return Err(NoPair::Groups {
            group: pair.group,
            groups: groups.len(),
        });
    }
    let mut out = String::from(
        "# Written by `seqnic keepalived`: write it anew when the definition's interfaces change.
global_defs {
    vrrp_version 3
    # The engine's network devices come and go with seqnicd.
    dynamic_interfaces allow_if_changes
    vrrp_garp_master_repeat 3
    vrrp_garp_master_delay 1
    vrrp_garp_master_refresh 10
}
",
    );
    for (number, (priority, interfaces)) in groups.iter().enumerate() {
        let id = pair.group + number as u8;
        let device = |i: &Interface| device(&config.linux.prefix, &i.name);
        // Of the other family keepalived wants them in a list of their own.
        let mut addresses: BTreeMap<bool, Vec<String>> = BTreeMap::new();
        for interface in interfaces {
            for (address, bits) in &interface.addresses {
                let line = format!("{address}/{bits} dev {}", device(interface));
                addresses.entry(address.is_ipv6()).or_default().push(line);
            }
        }
        let four = addresses.remove(&false).unwrap_or_default();
        let six = addresses.remove(&true).unwrap_or_default();
        let (first, others) = match four.is_empty() {
            false => (four, six),
            true => {
                let local = format!("{} dev {}", link_local(id), device(interfaces[0]));
                ([vec![local], six].concat(), Vec::new())
            }
        };
        let tracked: Vec<String> = interfaces.iter().map(|i| device(i)).collect();
        let block = |name: &str, lines: &[String]| match lines.is_empty() {
            true => String::new(),
            false => format!(
                "    {name} {{\n        {}\n    }}\n",
                lines.join("\n        ")
            ),
        };
        let family = if first[0].contains("fe80") {
            "    native_ipv6\n"
        } else {
            ""
        };
        // Writing to a String cannot fail.
        let _never = write!(
            out,
            "
vrrp_instance seqnic_{} {{
    state BACKUP
    interface {link}
{family}    virtual_router_id {id}
    priority {priority}
    advert_int {}.{:02}
{}{}{}}}
",
            interfaces[0].name,
            pair.advert_ms / 1000,
            pair.advert_ms % 1000 / 10,
            block("virtual_ipaddress", &first),
            block("virtual_ipaddress_excluded", &others),
            block("track_interface", &tracked),
        );
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const DEFINITION: &str = "seqnic: 1
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, address: [192.0.2.1/24, \"2001:db8::1/64\"] }
  i1: { port: 1, mac: 02:01:00:00:00:02, address: 10.0.0.1/24 }
services: {}
";

    #[test]
    fn every_address_is_shared_and_what_is_lacking_is_said() {
        let definition = seqnic_compiler::read(DEFINITION).unwrap();
        let config = |i0: &str, more: &str| {
            parse(&format!(
                "card: software\npair: {{ priority: 150, {more} interfaces: {{ i0: {{ address: [{i0}] }}, i1: {{ address: [10.0.0.2/24], priority: 90 }} }} }}"
            ))
            .unwrap()
        };
        let text = keepalived(&definition, &config("192.0.2.2/24", "link: eth9,")).unwrap();
        for part in [
            "vrrp_instance seqnic_i0 {\n    state BACKUP\n    interface eth9\n    virtual_router_id 51\n    priority 150\n    advert_int 0.10",
            "virtual_ipaddress {\n        192.0.2.1/24 dev sq-i0\n    }\n    virtual_ipaddress_excluded {\n        2001:db8::1/64 dev sq-i0\n    }\n    track_interface {\n        sq-i0\n",
            "vrrp_instance seqnic_i1 {\n    state BACKUP\n    interface eth9\n    virtual_router_id 52\n    priority 90\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let lacks = |definition: &str, config: &Config| {
            keepalived(&seqnic_compiler::read(definition).unwrap(), config).unwrap_err()
        };
        assert_eq!(
            lacks(DEFINITION, &config("192.0.2.2/24", "")),
            NoPair::NoLink
        );
        assert_eq!(
            lacks(DEFINITION, &config("", "link: a,")),
            NoPair::NoOwn(String::from("i0"))
        );
        let bare = DEFINITION.replace(", address: 10.0.0.1/24", "");
        assert_eq!(
            lacks(&bare, &config("192.0.2.2/24", "link: a,")),
            NoPair::NoAddress(String::from("i1"))
        );
        assert_eq!(
            lacks(DEFINITION, &config("192.0.2.2/24", "link: a, group: 255,")),
            NoPair::Groups {
                group: 255,
                groups: 2
            }
        );
    }
}
