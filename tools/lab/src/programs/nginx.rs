//! nginx: says who it is, has a file to download; with TLS on port 443.

use super::{Ready, Site, Started, certificate, folder, write};
use crate::LabError;
use std::collections::BTreeSet;

pub fn start(site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
    let own = site.own("nginx");
    let failed = |source| LabError::File {
        path: own.clone(),
        source,
    };
    folder(&own.join("www"), None)?;
    write(
        &own.join("www/index.html"),
        &format!("this is {}\n", site.node.name),
    )?;
    let block: Vec<u8> = (0..1u32 << 20).flat_map(|n| n.to_be_bytes()).collect();
    std::fs::write(own.join("www/big"), block.repeat(4)).map_err(failed)?;
    let v6 = site.families.contains(&true);
    let mut listen = String::new();
    for port in ports {
        let tls = if *port == 443 { " ssl" } else { "" };
        listen.push_str(&format!("    listen {port}{tls};\n"));
        if v6 {
            listen.push_str(&format!("    listen [::]:{port}{tls};\n"));
        }
    }
    let at = own.display();
    if ports.contains(&443) {
        certificate(&site.node.name, &own.join("key"), &own.join("crt"))?;
        listen.push_str(&format!(
            "    ssl_certificate {at}/crt;\n    ssl_certificate_key {at}/key;\n"
        ));
    }
    let config = format!(
        "user root;
daemon off;
worker_processes 1;
pid {at}/pid;
error_log {at}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {at}/access.log;
  client_body_temp_path {at}/body;
  proxy_temp_path {at}/proxy;
  fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi;
  scgi_temp_path {at}/scgi;
  sendfile on;
  server {{
{listen}    root {at}/www;
  }}
}}
"
    );
    let file = own.join("nginx.conf");
    write(&file, &config)?;
    let args = [
        "nginx",
        "-c",
        &file.display().to_string(),
        "-e",
        &own.join("error.log").display().to_string(),
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = site.start(&args, &site.own("nginx.log"))?;
    let ready = |port: &u16| Ready::Port(site.space.to_string(), *port);
    Ok(Started {
        processes: vec![process],
        ready: ports.iter().map(ready).collect(),
    })
}
