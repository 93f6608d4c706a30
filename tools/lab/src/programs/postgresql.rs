//! PostgreSQL: a cluster of its own in the lab's folder. `show cluster_name` says whose it is.

use super::{Ready, Site, Started, folder, write};
use crate::LabError;
use crate::run::run;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whom it runs as: never root. Debian's package makes the user.
const USER: &str = "postgres";

/// The newest version's programs; Debian keeps them off the PATH.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let newest = (versions.flatten())
        .filter_map(|v| v.file_name().to_str()?.parse::<u32>().ok())
        .max()?;
    Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
}

pub fn start(site: &Site, ports: &BTreeSet<u16>) -> Result<Started, LabError> {
    let programs = programs().filter(|p| p.join("initdb").exists());
    let Some(programs) = programs else {
        return Err(LabError::Missing(vec![String::from(
            "PostgreSQL's server (apt-get install postgresql)",
        )]));
    };
    let Some(port) = ports.first() else {
        return Ok(Started::default());
    };
    let null = site.folder.join("null");
    let null = null.display();
    // Some containers keep `/dev/null` to root; the programs want to write there. What is mounted is so in
    // these programs' own view of the file system only.
    let script = format!(
        "if [ ! -c {null} ]; then mknod {null} c 1 3; chmod 666 {null}; fi; [ $(stat -c %a /dev/null) = 666 ] || mount --bind {null} /dev/null; exec \"$@\""
    );
    let as_user = [
        "unshare",
        "-m",
        "sh",
        "-ec",
        &script,
        "sh",
        "setpriv",
        "--reuid",
        USER,
        "--regid",
        USER,
        "--clear-groups",
        "--",
    ];
    let own = site.own("postgresql");
    folder(&own, Some(&format!("{USER}:{USER}")))?;
    // The user has to get there; names in the lab's folder stay unlisted.
    run(&["chmod", "o+x", &site.folder.display().to_string()])?;
    let data = own.join("data");
    // Making a cluster takes seconds: the second is a copy of the first.
    let first = site.folder.join("postgresql.first");
    if !first.exists() {
        let initdb = programs.join("initdb").display().to_string();
        let at = first.display().to_string();
        folder(&first, Some(&format!("{USER}:{USER}")))?;
        let mut args = as_user.to_vec();
        args.extend([&*initdb, "-D", &*at, "-A", "trust", "--no-sync", "-U", USER]);
        run(&args).map_err(|e| reachable(e, site.folder))?;
        write(
            &first.join("pg_hba.conf"),
            "local all all trust\nhost all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n",
        )?;
    }
    run(&[
        "cp",
        "-a",
        &first.display().to_string(),
        &data.display().to_string(),
    ])?;
    let server = programs.join("postgres").display().to_string();
    let settings = [
        String::from("listen_addresses=*"),
        format!("port={port}"),
        format!("unix_socket_directories={}", own.display()),
        format!("cluster_name={}", site.node.name),
        String::from("fsync=off"),
        String::from("log_connections=on"),
        String::from("log_statement=all"),
        String::from("shared_buffers=16MB"),
    ];
    let data = data.display().to_string();
    let mut args = as_user.to_vec();
    args.extend([&*server, "-D", &*data]);
    for setting in &settings {
        args.extend(["-c", setting]);
    }
    let process = site.start(&args, &site.own("postgresql.log"))?;
    Ok(Started {
        processes: vec![process],
        ready: vec![Ready::Port(site.space.to_string(), *port)],
    })
}

fn reachable(error: LabError, folder: &Path) -> LabError {
    match error {
        LabError::Command { command, what } => LabError::Command {
            command,
            what: format!(
                "{what}; user {USER} must be able to enter {}: choose another folder with --dir",
                folder.display()
            ),
        },
        e => e,
    }
}
