//! Kea's configuration for devices and hosts of a definition: each gets the address the definition gives it, by its MAC,
//! over the engine's network device of the interface it is attached to.

use crate::linux::device;
use seqnic_compiler::definition::{Attachments, Definition, Mac, Place};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// What is not in the definition.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What names of network devices begin with (`linux.prefix` of the daemon).
    pub prefix: String,
    /// Interfaces to serve; empty: all that have an IPv4 address.
    pub interfaces: Vec<String>,
    /// Addresses for whoever is not in the definition: `10.1.0.100-10.1.0.199`, in the subnet they fit.
    pub pools: Vec<String>,
    /// Leases are kept on disk.
    pub persist: bool,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoDhcp {
    #[error("the definition has no interface `{0}`")]
    NoInterface(String),
    #[error(
        "interface `{0}` has no IPv4 address: Kea gives addresses of the engine's own subnet there"
    )]
    NoAddress(String),
    #[error("no interface has an IPv4 address")]
    Nothing,
    #[error(
        "pool `{0}` is no range of IPv4 addresses (10.1.0.100-10.1.0.199) of one served subnet"
    )]
    Pool(String),
}

/// Subnet of an interface.
struct Subnet {
    engine: Ipv4Addr,
    bits: u8,
}

impl Subnet {
    fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.engine) & self.mask())
    }

    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    fn has(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == u32::from(self.first())
    }

    fn has_range(&self, range: &str) -> bool {
        let Some((from, to)) = range.split_once('-') else {
            return false;
        };
        let parse = |text: &str| text.trim().parse::<Ipv4Addr>().ok();
        matches!((parse(from), parse(to)), (Some(a), Some(b)) if a <= b && self.has(a) && self.has(b))
    }
}

/// Who is attached to an interface, by MAC, with its IPv4 address in the subnet.
fn attached(d: &Definition, interface: usize, subnet: &Subnet) -> Vec<(String, Mac, Ipv4Addr)> {
    let own = |addresses: &[IpAddr]| {
        addresses.iter().find_map(|a| match a {
            IpAddr::V4(a) if subnet.has(*a) => Some(*a),
            _ => None,
        })
    };
    let mut all = Vec::new();
    let mut add = |name: &str, place: &Place, addresses: &[IpAddr]| {
        if let (true, Some(address)) = (place.interface == interface, own(addresses)) {
            all.push((name.to_string(), place.mac, address));
        }
    };
    for host in &d.hosts {
        add(&host.name, &host.place, &host.addresses);
    }
    for device in &d.devices {
        match &device.attachments {
            Attachments::One(place) => add(&device.name, place, &device.addresses),
            Attachments::Two { outside, inside } => {
                add(&device.name, outside, &device.addresses);
                add(&device.name, inside, &device.addresses);
            }
            Attachments::Via(_) => {}
        }
    }
    all
}

/// Writes the configuration of `kea-dhcp4`.
///
/// # Errors
/// What the definition lacks, or an option that does not fit it.
pub fn kea(d: &Definition, options: &Options) -> Result<String, NoDhcp> {
    for name in &options.interfaces {
        if !d.interfaces.iter().any(|i| i.name == *name) {
            return Err(NoDhcp::NoInterface(name.clone()));
        }
    }
    let (mut subnets, mut devices) = (Vec::new(), Vec::new());
    let mut pools: Vec<(&String, bool)> = options.pools.iter().map(|p| (p, false)).collect();
    for (number, interface) in d.interfaces.iter().enumerate() {
        let named = options.interfaces.contains(&interface.name);
        if !named && !options.interfaces.is_empty() {
            continue;
        }
        let subnet = interface.addresses.iter().find_map(|(a, bits)| match a {
            IpAddr::V4(engine) => Some(Subnet {
                engine: *engine,
                bits: *bits,
            }),
            IpAddr::V6(_) => None,
        });
        let Some(subnet) = subnet else {
            match named {
                true => return Err(NoDhcp::NoAddress(interface.name.clone())),
                false => continue,
            }
        };
        let reservations: Vec<Value> = (attached(d, number, &subnet).into_iter())
            .map(|(name, mac, address)| {
                json!({ "hw-address": mac.to_string(), "ip-address": address.to_string(), "hostname": name })
            })
            .collect();
        let mut here = Vec::new();
        for (pool, used) in &mut pools {
            if subnet.has_range(pool) {
                here.push(json!({ "pool": pool }));
                *used = true;
            }
        }
        let device = device(&options.prefix, &interface.name);
        subnets.push(json!({
            "id": number + 1,
            "subnet": format!("{}/{}", subnet.first(), subnet.bits),
            "interface": device,
            "option-data": [ { "name": "routers", "data": subnet.engine.to_string() } ],
            "pools": here,
            "reservations": reservations,
        }));
        devices.push(device);
    }
    if subnets.is_empty() {
        return Err(NoDhcp::Nothing);
    }
    if let Some((pool, _)) = pools.iter().find(|(_, used)| !used) {
        return Err(NoDhcp::Pool((*pool).clone()));
    }
    let config = json!({ "Dhcp4": {
        // The devices come with seqnicd: Kea waits for them.
        "interfaces-config": {
            "interfaces": devices,
            "dhcp-socket-type": "raw",
            "service-sockets-max-retries": 1_000_000,
            "service-sockets-retry-wait-time": 1000,
        },
        "lease-database": { "type": "memfile", "persist": options.persist },
        "valid-lifetime": 3600,
        "host-reservation-identifiers": [ "hw-address" ],
        "subnet4": subnets,
        "loggers": [ { "name": "kea-dhcp4", "severity": "INFO", "output_options": [ { "output": "stdout" } ] } ],
    } });
    Ok(serde_json::to_string_pretty(&config).unwrap_or_default() + "\n")
}

#[cfg(test)]
mod tests {
    use super::{NoDhcp, Options, kea};

    const DEFINITION: &str = "seqnic: 1
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01 }
  i1: { port: 1, mac: 02:02:00:00:00:02, address: 10.1.0.1/24 }
devices:
  near: { function: scanner, attachment: { interface: i1, mac: 02:06:00:00:00:06 }, address: 10.1.0.6 }
  far: { function: scanner, attachment: { interface: i1, mac: 02:06:00:00:00:07 }, address: 10.9.0.6 }
services: {}
";

    #[test]
    fn who_is_attached_gets_its_address_and_nothing_else_is_given() {
        let d = seqnic_compiler::read(DEFINITION).unwrap();
        let options = Options {
            prefix: String::from("sq-"),
            ..Options::default()
        };
        let text = kea(&d, &options).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let subnet = &json["Dhcp4"]["subnet4"][0];
        assert_eq!(subnet["subnet"], "10.1.0.0/24");
        assert_eq!(subnet["interface"], "sq-i1");
        assert_eq!(subnet["option-data"][0]["data"], "10.1.0.1");
        assert_eq!(subnet["reservations"].as_array().unwrap().len(), 1);
        assert_eq!(subnet["reservations"][0]["hw-address"], "02:06:00:00:00:06");
        assert_eq!(json["Dhcp4"]["subnet4"].as_array().unwrap().len(), 1);
        let with = |interfaces: &[&str], pools: &[&str]| {
            let strings = |s: &[&str]| s.iter().map(|s| s.to_string()).collect();
            kea(
                &d,
                &Options {
                    interfaces: strings(interfaces),
                    pools: strings(pools),
                    ..options.clone()
                },
            )
        };
        assert!(
            with(&["i1"], &["10.1.0.100-10.1.0.199"])
                .unwrap()
                .contains("10.1.0.199")
        );
        assert_eq!(
            with(&["i0"], &[]),
            Err(NoDhcp::NoAddress(String::from("i0")))
        );
        assert_eq!(
            with(&["i7"], &[]),
            Err(NoDhcp::NoInterface(String::from("i7")))
        );
        for wrong in ["10.1.0.199-10.1.0.100", "10.2.0.1-10.2.0.9", "x"] {
            assert_eq!(with(&[], &[wrong]), Err(NoDhcp::Pool(wrong.to_string())));
        }
    }
}
