//! Suricata on the copies a device gets: `fast.log` and `eve.json` show each connection.

use super::{Ready, Site, Started, folder, write};
use crate::LabError;

const RULES: &str = r#"alert tcp any any -> any any (msg:"seqnic: a connection is opened"; flags:S; sid:1000001; rev:1;)
alert http any any -> any any (msg:"seqnic: a request"; flow:established,to_server; http.method; content:"GET"; sid:1000002; rev:1;)
alert tls any any -> any any (msg:"seqnic: TLS"; flow:established,to_client; ssl_state:server_hello; sid:1000003; rev:1;)
alert udp any any -> any any (msg:"seqnic: a datagram"; threshold:type limit, track by_src, count 1, seconds 60; sid:1000004; rev:1;)
"#;

pub fn start(site: &Site) -> Result<Started, LabError> {
    let Some(cable) = site.node.cables.first() else {
        return Ok(Started::default());
    };
    let own = site.own("suricata");
    folder(&own, None)?;
    write(&own.join("lab.rules"), RULES)?;
    let at = own.display().to_string();
    let device = &cable.device;
    let config = format!(
        "%YAML 1.1
---
vars:
  address-groups: {{ HOME_NET: any, EXTERNAL_NET: any }}
default-log-dir: {at}
outputs:
  - fast: {{ enabled: yes, filename: fast.log, append: yes }}
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [ alert, http, tls, flow ]
logging:
  default-log-level: notice
  outputs:
    - console: {{ enabled: yes }}
af-packet:
  - {{ interface: {device}, threads: 1, cluster-id: 99, cluster-type: cluster_flow, defrag: yes }}
app-layer:
  protocols:
    http: {{ enabled: yes }}
    tls: {{ enabled: yes, detection-ports: {{ dp: 443 }} }}
stream: {{ checksum-validation: no, midstream: true, async-oneside: true }}
unix-command: {{ enabled: no }}
default-rule-path: {at}
rule-files: [ lab.rules ]
"
    );
    let file = own.join("suricata.yaml");
    write(&file, &config)?;
    let log = site.own("suricata.log");
    let args = [
        "suricata",
        "-c",
        &file.display().to_string(),
        &format!("--af-packet={device}"),
        "--runmode",
        "workers",
        "-l",
        &at,
    ]
    .map(str::to_string);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let process = site.start(&args, &log)?;
    Ok(Started {
        processes: vec![process],
        ready: vec![Ready::Text(log, String::from("Engine started"))],
    })
}
