//! What a confined daemon cannot do any more, and that it goes on with what it must.

use seqnic_daemon::api::{Answer, Request};
use seqnic_daemon::client::Client;
use seqnic_daemon::{config, confine};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn text(folder: &Path, more: &str) -> String {
    format!(
        "state: {0}/state\nsocket: {0}/run/socket\n{more}\n",
        folder.display()
    )
}

/// In a process of its own, since nothing can be taken back: see the test below.
#[test]
#[ignore = "a part of another test, which starts it"]
fn confined_part() {
    let folder = std::env::var("SEQNIC_CONFINED").unwrap();
    let folder = Path::new(&folder);
    let config = config::parse(&text(
        folder,
        "card: { software: {} }\nmetrics: 127.0.0.1:9599",
    ))
    .unwrap();
    let before = fs::read("/etc/passwd").is_ok() && File::create(folder.join("free")).is_ok();
    assert!(before && Command::new("/bin/true").status().is_ok());
    println!("said {:?}", confine::confine(&config).unwrap());

    // Files.
    let state = folder.join("state");
    fs::write(state.join("part"), "x").unwrap();
    fs::rename(state.join("part"), state.join("whole")).unwrap();
    assert_eq!(fs::read_to_string(state.join("whole")).unwrap(), "x");
    let landlock = |done: std::io::Result<()>, what: &str| {
        let code = done.err().and_then(|e| e.raw_os_error());
        println!("{what} {code:?}");
    };
    landlock(fs::write(folder.join("free"), "x"), "write");
    landlock(fs::write("/tmp/seqnic-not-allowed", "x"), "create");
    landlock(fs::read("/etc/passwd").map(drop), "read");
    landlock(
        std::net::TcpListener::bind("127.0.0.1:9598").map(drop),
        "bind",
    );
    std::net::TcpListener::bind("127.0.0.1:9599").unwrap();

    // System calls.
    let call = |what: &str, done: libc::c_long| {
        let error = std::io::Error::last_os_error().raw_os_error();
        println!("{what} {:?}", (done < 0).then_some(error).flatten());
    };
    // SAFETY: system calls that fail, or that do nothing.
    unsafe {
        call("ptrace", libc::ptrace(libc::PTRACE_TRACEME));
        call("unshare", libc::unshare(libc::CLONE_NEWNS).into());
        // Not the C library's, which would ask the other threads of this test too.
        call("setuid", libc::syscall(libc::SYS_setuid, 0));
        call(
            "vsock",
            libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).into(),
        );
        let executable = libc::PROT_READ | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), 4096, executable, flags, -1, 0);
        call("execute", if memory == libc::MAP_FAILED { -1 } else { 0 });
        call(
            "packet",
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).into(),
        );
    }
    let started = Command::new("/bin/true").status();
    println!("program {:?}", started.err().and_then(|e| e.raw_os_error()));
    // Threads go on, and have no more.
    let inherited =
        std::thread::spawn(|| fs::read("/etc/passwd").err().and_then(|e| e.raw_os_error()));
    println!("thread {:?}", inherited.join().unwrap());
}

#[test]
fn what_is_given_up_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "confined_part",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("SEQNIC_CONFINED", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let of = |what: &str| {
        // The harness prints on the same line as the first of them.
        let (_, rest) = said
            .split_once(&format!("{what} "))
            .unwrap_or_else(|| panic!("{what}: {said}"));
        rest.lines().next().unwrap().to_string()
    };
    let denied = |code: i32| format!("Some({code})");
    for what in ["ptrace", "unshare", "setuid", "vsock", "execute", "program"] {
        assert_eq!(of(&format!("\n{what}")), denied(libc::EPERM), "{said}");
    }
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        assert_eq!(of("\npacket"), "None", "{said}");
    }
    let line = of("said");
    if line.contains("no landlock") {
        eprintln!("files are not tested: {line}");
        return;
    }
    for what in ["write", "create", "read", "thread"] {
        assert_eq!(of(&format!("\n{what}")), denied(libc::EACCES), "{said}");
    }
    if !line.contains("leaves some rights") {
        assert_eq!(of("\nbind"), denied(libc::EACCES), "{said}");
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn start(folder: &Path, more: &str) -> Running {
    let config = folder.join("seqnicd.yaml");
    fs::write(&config, text(folder, more)).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_seqnicd"))
        .arg("--config")
        .arg(config)
        .stderr(Stdio::inherit())
        .spawn();
    Running(daemon.unwrap())
}

fn client(folder: &Path) -> Client {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match Client::connect(&folder.join("run/socket")) {
            Ok(client) => return client,
            Err(e) => assert!(Instant::now() < until, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Value of a line of `/proc/PID/task/TID/status`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().to_string()
}

#[test]
fn every_thread_is_confined_and_the_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // SAFETY: cannot fail.
    let root = unsafe { libc::geteuid() } == 0 && Path::new("/dev/net/tun").exists();
    let prefix = format!("cf{}-", std::process::id() % 10_000);
    let more = match root {
        true => format!(
            "card: {{ software: {{ ports: {{ 0: {{ tap: {prefix}p }} }} }} }}\nlinux: {{ prefix: {prefix} }}"
        ),
        false => String::from("card: { software: {} }\nlinux: { taps: false }"),
    };
    let mut daemon = start(folder.path(), &more);
    let mut client = client(folder.path());
    let definition = fs::read_to_string("../../examples/data-centre.yaml").unwrap();
    let apply = Request::Apply {
        name: String::from("one.yaml"),
        definition: definition.clone(),
        dry_run: false,
        reload: false,
    };
    // Twice: devices of the host are made while confined, and again after a change.
    client.ask(&apply).unwrap();
    let Answer::Status(status) = client.ask(&Request::Status).unwrap() else {
        panic!();
    };
    assert!(!root || !status.taps.is_empty(), "{status:?}");
    let confined = |text: &str| text.starts_with("confined: ");
    assert!(status.log.iter().any(|l| confined(&l.text)), "{status:?}");
    let device = String::from("firewall-a");
    for request in [
        Request::Fail {
            device: device.clone(),
        },
        Request::Restore { device },
    ] {
        match client.ask(&request).unwrap() {
            Answer::Changed(changed) => assert!(changed.words > Some(0), "{changed:?}"),
            other => panic!("{other:?}"),
        }
    }
    client.ask(&Request::Counters).unwrap();

    // CAP_NET_ADMIN and CAP_NET_RAW; CAP_SYS_NICE where the limit for real-time priority could not be set.
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.0.id())).unwrap();
    let limit = field(&limits, "Max realtime priority");
    let kept = 1 << 12 | 1 << 13 | u64::from(limit.starts_with('0')) << 23;
    let tasks = format!("/proc/{}/task", daemon.0.id());
    let mut threads = 0;
    for task in fs::read_dir(tasks).unwrap() {
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        threads += 1;
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{status}");
        assert_eq!(field(&status, "Seccomp"), "2", "{status}");
        let capabilities = u64::from_str_radix(&field(&status, "CapPrm"), 16).unwrap();
        assert_eq!(capabilities & !kept, 0, "{status}");
        if root {
            let bound = u64::from_str_radix(&field(&status, "CapBnd"), 16).unwrap();
            assert_eq!(bound & !kept, 0, "{status}");
        }
    }
    assert!(threads > 4);
    // It ends as it should, and takes its socket with it.
    // SAFETY: a signal to a child of ours.
    unsafe { libc::kill(daemon.0.id().cast_signed(), libc::SIGTERM) };
    assert!(daemon.0.wait().unwrap().success());
    assert!(!folder.path().join("run/socket").exists());
}

#[test]
fn it_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(
        folder.path(),
        "card: { software: {} }\nlinux: { taps: false }\nconfine: off",
    );
    drop(client(folder.path()));
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
    // The harness itself may be filtered.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(field(&status, "Seccomp"), field(&own, "Seccomp"));
    assert!(
        config::parse("card: { software: {} }\nconfine: perhaps")
            .unwrap_err()
            .contains("perhaps")
    );
}

/// A service manager's watchdog is fed for as long as the daemon is well.
#[test]
fn the_watchdog_is_fed() {
    let folder = tempfile::tempdir().unwrap();
    let told = std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let config = folder.path().join("seqnicd.yaml");
    fs::write(
        &config,
        text(
            folder.path(),
            "card: { software: {} }\nlinux: { taps: false }",
        ),
    )
    .unwrap();
    let mut daemon = Running(
        Command::new(env!("CARGO_BIN_EXE_seqnicd"))
            .arg("--config")
            .arg(config)
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .env("WATCHDOG_USEC", "300000")
            .env_remove("WATCHDOG_PID")
            .spawn()
            .unwrap(),
    );
    let mut said = Vec::new();
    let mut bytes = [0; 256];
    while said.iter().filter(|s| *s == "WATCHDOG=1").count() < 3 {
        let n = told.recv(&mut bytes).unwrap();
        said.extend(
            String::from_utf8_lossy(&bytes[..n])
                .lines()
                .map(str::to_string),
        );
    }
    assert_eq!(said[0], "READY=1");
    // SAFETY: a signal to a child of ours.
    unsafe { libc::kill(daemon.0.id().cast_signed(), libc::SIGTERM) };
    while said.last().is_none_or(|s| s != "STOPPING=1") {
        let n = told.recv(&mut bytes).unwrap();
        said.extend(
            String::from_utf8_lossy(&bytes[..n])
                .lines()
                .map(str::to_string),
        );
    }
    assert!(daemon.0.wait().unwrap().success());
}

/// Policy and real-time priority of each thread, by name (proc_pid_stat(5), fields 41 and 40).
fn priorities(id: u32) -> std::collections::BTreeMap<String, (u32, u32)> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let stats = tasks.filter_map(|t| fs::read_to_string(t.unwrap().path().join("stat")).ok());
    let one = |stat: String| {
        let (front, rest) = stat.rsplit_once(") ").unwrap();
        let (_, name) = front.split_once('(').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The state, field 3, is the first of them.
        let of = |field: usize| fields[field - 3].parse().unwrap();
        (name.to_string(), (of(41), of(40)))
    };
    stats.map(one).collect()
}

fn log(client: &mut Client) -> Vec<String> {
    match client.ask(&Request::Status).unwrap() {
        Answer::Status(status) => status.log.into_iter().map(|l| l.text).collect(),
        other => panic!("{other:?}"),
    }
}

/// Started with all rights, it gives them up, and the threads of the probes have the lowest real-time priority.
#[test]
fn probes_have_real_time_priority() {
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not tested: needs root");
        return;
    }
    for (wanted, policy) in [(true, libc::SCHED_RR as u32), (false, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let more = format!(
            "card: {{ software: {{}} }}\nlinux: {{ taps: false }}\nhealth: {{ realtime: {wanted} }}"
        );
        let daemon = start(folder.path(), &more);
        let mut client = client(folder.path());
        assert!(log(&mut client).iter().any(|l| l.starts_with("confined: ")));
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let all = priorities(daemon.0.id());
            let ours = ["health", "exceptions"].map(|name| all.get(name).copied());
            let others = all
                .iter()
                .filter(|(n, _)| !["health", "exceptions"].contains(&&***n));
            if ours.iter().all(|o| *o == Some((policy, policy.min(1)))) {
                assert!(others.into_iter().all(|(_, p)| *p == (0, 0)), "{all:?}");
                break;
            }
            assert!(Instant::now() < until, "{all:?} {:?}", log(&mut client));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Started without the right to it, it says so and goes on.
#[test]
fn a_priority_that_is_not_allowed_is_told() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not tested: needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let config = folder.path().join("seqnicd.yaml");
    let more = "card: { software: {} }\nlinux: { taps: false }";
    fs::write(&config, text(folder.path(), more)).unwrap();
    // A copy where anybody may read it.
    let program = folder.path().join("seqnicd");
    fs::copy(env!("CARGO_BIN_EXE_seqnicd"), &program).unwrap();
    let mut daemon = Command::new(program);
    let daemon = daemon.arg("--config").arg(config).uid(65_534).gid(65_534);
    let _daemon = Running(daemon.spawn().unwrap());
    let mut client = client(folder.path());
    let until = Instant::now() + Duration::from_secs(60);
    while !log(&mut client)
        .iter()
        .any(|l| l.contains("no real-time priority"))
    {
        assert!(Instant::now() < until, "{:?}", log(&mut client));
        std::thread::sleep(Duration::from_millis(20));
    }
}
