//! The engines of a lab: one; two that share a definition and its addresses; two with definitions of their own.

use super::not_shown;
use crate::LabError;
use crate::file::LabFile;
use seqnic_compiler::definition::Definition;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its namespace is called so.
    pub name: String,
    /// Its files begin with this.
    pub files: String,
    /// More of its daemon's configuration.
    pub config: BTreeMap<String, serde_json::Value>,
    /// It has the shared addresses of an interface as long as it lives.
    pub first: bool,
    /// It has the other definition.
    pub another: bool,
}

/// Network device of the cable between two engines.
pub const LINK: &str = "peer0";

/// Address of an engine at its end of the cable between two.
pub fn link(number: usize) -> String {
    format!("10.99.0.{}", number + 1)
}

/// The engines of a lab. Two that share the definition's addresses have MACs and addresses of their own beside them: the
/// ones that follow.
pub(super) fn engines(
    d: &Definition,
    another: bool,
    file: &LabFile,
) -> Result<Vec<Engine>, LabError> {
    let alone = |number: &str, another| Engine {
        name: format!("engine{number}"),
        files: format!("seqnicd{number}"),
        config: file.daemon.clone(),
        first: false,
        another,
    };
    match (another, file.engines.is_empty()) {
        (false, true) => return Ok(vec![alone("", false)]),
        (true, true) => return Ok(vec![alone("1", false), alone("2", true)]),
        (true, false) => {
            return Err(not_shown(String::from(
                "the lab file has `engines`, which share a definition, and `another`, which has its own: one of the two",
            )));
        }
        (false, false) => {}
    }
    if file.engines.len() != 2 {
        return Err(not_shown(format!(
            "the lab file has {} engines: none named (one), or two",
            file.engines.len()
        )));
    }
    let highest = |name: &str| file.engines.iter().map(|e| e.priority_of(name)).max();
    let engine = |(number, engine): (usize, &crate::file::EngineFile)| {
        let interfaces: serde_json::Map<String, serde_json::Value> = (d.interfaces.iter())
            .map(|i| {
                let mut mac = i.mac.0;
                mac[3] = 0xE1 + number as u8;
                let mac = mac.map(|b| format!("{b:02x}")).join(":");
                let own = i.addresses.iter().map(|(a, bits)| {
                    let after = 1 + number as u32;
                    match a {
                        IpAddr::V4(a) => {
                            format!("{}/{bits}", Ipv4Addr::from(u32::from(*a) + after))
                        }
                        IpAddr::V6(a) => {
                            format!(
                                "{}/{bits}",
                                Ipv6Addr::from(u128::from(*a) + u128::from(after))
                            )
                        }
                    }
                });
                let own: Vec<String> = own.collect();
                let value = serde_json::json!({
                    "mac": mac, "address": own, "priority": engine.priority_of(&i.name),
                });
                (i.name.clone(), value)
            })
            .collect();
        let mut config = file.daemon.clone();
        config.extend(engine.daemon.clone());
        let pair = serde_json::json!({
            "interfaces": interfaces,
            "priority": engine.priority,
            "link": LINK,
            "listen": format!("{}:9900", link(number)),
            "peer": format!("{}:9900", link(1 - number)),
        });
        config.insert(String::from("pair"), pair);
        Engine {
            name: format!("engine{}", number + 1),
            files: format!("seqnicd{}", number + 1),
            config,
            first: (d.interfaces.iter())
                .any(|i| highest(&i.name) == Some(engine.priority_of(&i.name))),
            another: false,
        }
    };
    Ok(file.engines.iter().enumerate().map(engine).collect())
}
