//! haproxy: spreads connections over servers, which it looks after itself. Those of a device are the machines behind it, those
//! of a machine in front of the engine the addresses of the services. With two engines each service has a back end of its own,
//! in which the other engine stands by.

use super::{Ready, Site, Started, write};
use crate::LabError;
use std::collections::BTreeSet;
use std::net::SocketAddr;

pub fn start(site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
    if site.node.spreads_over.is_empty() {
        return Err(LabError::NotShown(format!(
            "haproxy in `{}` has no servers: machines `behind` it, or services",
            site.node.name
        )));
    }
    let mut config = String::from(
        "global
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option redispatch
  retries 3
  timeout connect 500ms
  timeout client 30s
  timeout server 30s
  timeout check 500ms
",
    );
    for port in ports {
        config.push_str(&format!(
            "frontend in{port}
  bind :::{port} v4v6
  default_backend out{port}
backend out{port}
  balance roundrobin
"
        ));
        if site.node.spreads_over.iter().any(|c| c.instead.is_some()) {
            // Whether anybody is behind a socket only an answer says.
            config.push_str("  option httpchk HEAD /\n");
        }
        let look = "check inter 200ms fall 2 rise 2";
        for (number, choice) in site.node.spreads_over.iter().enumerate() {
            let at = SocketAddr::new(choice.at, *port);
            match &choice.instead {
                None => config.push_str(&format!("  server s{number} {at} {look}\n")),
                // Sockets of this namespace, by which one part of haproxy speaks to another.
                Some(_) => {
                    config.push_str(&format!("  server s{number} abns@{port}-{number} {look}\n"))
                }
            }
        }
        for (number, choice) in site.node.spreads_over.iter().enumerate() {
            let Some(instead) = &choice.instead else {
                continue;
            };
            let at = SocketAddr::new(choice.at, *port);
            let other = SocketAddr::new(instead.at, *port);
            let from = (instead.from).map_or_else(String::new, |a| format!("source {a} "));
            config.push_str(&format!(
                "listen each{port}-{number}
  bind abns@{port}-{number}
  server first {at} {look}
  server other {other} {from}{look} backup
"
            ));
        }
    }
    let file = site.own("haproxy.cfg");
    write(&file, &config)?;
    let args = ["haproxy", "-db", "-f", &file.display().to_string()].map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = site.start(&args, &site.own("haproxy.log"))?;
    let ready = |port: &u16| Ready::Port(site.space.to_string(), *port);
    Ok(Started {
        processes: vec![process],
        ready: ports.iter().map(ready).collect(),
    })
}
