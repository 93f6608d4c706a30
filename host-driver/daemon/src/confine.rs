//! What the process may still do once it has read its configuration, whoever started it.
//!
//! * Capabilities: those for network devices and packet sockets stay (a new definition makes new TAP devices), and
//!   for a card in the kernel's VFIO the one to lock memory, and the one for real-time priority where no limit allows that.
//!   The others go, also from the bounding set.
//! * Files (landlock): the journal's folder, the socket's, `/dev/net/tun`, and the card's. No program can be
//!   started, no TCP port bound but those of the metrics and for the other engine of a pair, none connected to but the other's.
//! * System calls (seccomp): those of a list, with arguments where they matter; others fail with `EPERM`.
//!
//! All of it holds for the calling thread and those it starts.

use crate::config::{CardConfig, Config, Confine};
use crate::priority;
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use seqnic_transport::Address;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Newest rights of landlock that are asked for; older kernels have fewer.
const RIGHTS: ABI = ABI::V6;

/// Why the process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("cannot make {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot give up capabilities: {0}; `confine: off` does without")]
    Capabilities(#[from] caps::errors::CapsError),
    #[error("landlock: {0}; `confine: off` does without")]
    Landlock(#[from] RulesetError),
    #[error("the filter of system calls: {0}; `confine: off` does without")]
    Seccomp(String),
    #[error("`confine: must`, but {0}")]
    Missing(String),
}

/// Gives up what is not needed. Returns what there is to say about it.
///
/// # Errors
/// It cannot be done, or `must` wants more than this kernel has.
pub fn confine(config: &Config) -> Result<Vec<String>, ConfineError> {
    let hurries = config.health.enabled && config.health.realtime;
    let nice = hurries && !priority::allow();
    if config.confine == Confine::Off {
        return Ok(vec![String::from("not confined, as configured")]);
    }
    let kept = capabilities(config, nice)?;
    let mut missing = Vec::new();
    let landlock = files(config)?;
    match landlock {
        RulesetStatus::FullyEnforced => {}
        RulesetStatus::PartiallyEnforced => {
            missing.push("this kernel's landlock is older than Linux 6.12 and leaves some rights")
        }
        RulesetStatus::NotEnforced => {
            missing.push("this kernel has no landlock: files are not confined");
        }
    }
    if !calls()? {
        missing.push("this kernel has no seccomp filters: system calls are not confined");
    }
    if config.confine == Confine::Must && !missing.is_empty() {
        return Err(ConfineError::Missing(missing.join("; ")));
    }
    let names: Vec<String> = kept.iter().map(|c| c.to_string().to_lowercase()).collect();
    let mut lines = vec![format!(
        "confined: capabilities {}; files and system calls by list",
        match names.is_empty() {
            true => String::from("none"),
            false => names.join(", "),
        }
    )];
    lines.extend(missing.into_iter().map(str::to_string));
    Ok(lines)
}

/// Returns those that stay, in order. `nice`: real-time priority is to be had by a capability only.
fn capabilities(config: &Config, nice: bool) -> Result<Vec<Capability>, ConfineError> {
    let mut needed = vec![Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];
    if nice {
        needed.push(Capability::CAP_SYS_NICE);
    }
    if let CardConfig::At(at) = &config.card
        && matches!(at.address, Address::Pci(_))
    {
        needed.push(Capability::CAP_IPC_LOCK);
    }
    let had = caps::read(None, CapSet::Permitted)?;
    needed.retain(|c| had.contains(c));
    let keep: CapsHashSet = needed.iter().copied().collect();
    // Only who may set capabilities may take them from the bounding set; nobody else can get them back either.
    if had.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)?.difference(&keep) {
            caps::drop(None, CapSet::Bounding, *capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)?;
    caps::clear(None, CapSet::Inheritable)?;
    Ok(needed)
}

/// A path and what may be done beneath it.
type Rule = (PathBuf, BitFlags<AccessFs>);

fn rules(config: &Config) -> Vec<Rule> {
    let use_it = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut rules = vec![
        (
            config.state.clone(),
            AccessFs::from_read(RIGHTS) & !AccessFs::Execute
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir,
        ),
        (PathBuf::from("/dev/net/tun"), use_it),
    ];
    if let Some(folder) = config.socket.parent() {
        rules.push((
            folder.to_path_buf(),
            AccessFs::ReadDir | AccessFs::MakeSock | AccessFs::RemoveFile,
        ));
    }
    if let CardConfig::At(at) = &config.card
        && matches!(at.address, Address::Pci(_))
    {
        rules.push((PathBuf::from("/dev/vfio"), use_it | AccessFs::ReadDir));
        rules.push((
            PathBuf::from("/sys"),
            AccessFs::from_read(RIGHTS) & !AccessFs::Execute,
        ));
    }
    // Keys are read anew when they change.
    for folder in config.provisioner.iter().flat_map(|p| p.folders()) {
        rules.push((folder, AccessFs::ReadFile | AccessFs::ReadDir));
    }
    rules
}

fn make(folder: &Path) -> Result<(), ConfineError> {
    fs::create_dir_all(folder).map_err(|source| ConfineError::Folder {
        path: folder.to_path_buf(),
        source,
    })
}

fn files(config: &Config) -> Result<RulesetStatus, ConfineError> {
    // A rule is about what is there.
    make(&config.state)?;
    if let Some(folder) = config.socket.parent().filter(|f| !f.as_os_str().is_empty()) {
        make(folder)?;
    }
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .scope(Scope::Signal)?
        .create()?;
    for (path, access) in rules(config) {
        // What is not there (a host without VFIO, a container without TUN) is not to be opened either.
        let Ok(at) = PathFd::new(&path) else {
            continue;
        };
        // Rights to a folder's contents mean nothing for a file.
        let access = match path.is_dir() {
            true => access,
            false => access & AccessFs::from_file(RIGHTS),
        };
        ruleset = ruleset.add_rule(PathBeneath::new(at, access))?;
    }
    if let Some(metrics) = config.metrics {
        ruleset = ruleset.add_rule(NetPort::new(metrics.port(), AccessNet::BindTcp))?;
    }
    if let Some(provisioner) = &config.provisioner {
        let port = provisioner.listen.port();
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
    }
    // The other engine of a pair.
    if let Some(listen) = config.pair.listen {
        ruleset = ruleset.add_rule(NetPort::new(listen.port(), AccessNet::BindTcp))?;
    }
    if let Some(peer) = config.pair.peer {
        ruleset = ruleset.add_rule(NetPort::new(peer.port(), AccessNet::ConnectTcp))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// System calls of a process with threads, files, sockets and devices. None that starts a program, takes another
/// identity, looks into another process, or changes the system.
fn allowed() -> Vec<libc::c_long> {
    let mut calls = vec![
        // Memory.
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_mlock,
        libc::SYS_munlock,
        libc::SYS_memfd_create,
        // Threads and time.
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_setaffinity,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_tgkill,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_prctl,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_getcwd,
        libc::SYS_uname,
        libc::SYS_sysinfo,
        libc::SYS_prlimit64,
        libc::SYS_umask,
        // Files.
        libc::SYS_openat,
        libc::SYS_close,
        libc::SYS_close_range,
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_readv,
        libc::SYS_writev,
        libc::SYS_pread64,
        libc::SYS_pwrite64,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_ftruncate,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_flock,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_unlinkat,
        libc::SYS_mkdirat,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fcntl,
        libc::SYS_ioctl,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_pipe2,
        libc::SYS_eventfd2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        // Sockets.
        libc::SYS_socketpair,
        libc::SYS_bind,
        libc::SYS_connect,
        libc::SYS_listen,
        libc::SYS_accept4,
        libc::SYS_accept,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_sendmsg,
        libc::SYS_recvmsg,
        libc::SYS_sendmmsg,
        libc::SYS_recvmmsg,
        libc::SYS_shutdown,
    ];
    // Older forms of some, which the C library uses on some machines.
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_rename,
        libc::SYS_unlink,
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_chmod,
        libc::SYS_poll,
        libc::SYS_select,
        libc::SYS_epoll_wait,
        libc::SYS_dup2,
        libc::SYS_pipe,
        libc::SYS_time,
    ]);
    calls
}

/// Families of sockets that are used.
const FAMILIES: [libc::c_int; 5] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
    libc::AF_PACKET,
];

type Filter = BTreeMap<i64, Vec<SeccompRule>>;

fn filter() -> Result<Filter, seccompiler::BackendError> {
    let when = |argument: u8, compare: SeccompCmpOp, value: u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?;
        SeccompRule::new(vec![condition])
    };
    // An empty list: whatever its arguments are.
    let mut filter: Filter = (allowed().into_iter()).map(|call| (call, vec![])).collect();
    let thread = libc::CLONE_THREAD as u64;
    filter.insert(
        libc::SYS_clone,
        vec![when(0, SeccompCmpOp::MaskedEq(thread), thread)?],
    );
    // No memory that can be executed.
    let execute = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        filter.insert(call, vec![when(2, SeccompCmpOp::MaskedEq(execute), 0)?]);
    }
    // Real-time priority for the calling thread.
    let equal = |argument: u8, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let turns = SeccompRule::new(vec![equal(0, 0)?, equal(1, libc::SCHED_RR as u64)?])?;
    filter.insert(libc::SYS_sched_setscheduler, vec![turns]);
    let families: Result<Vec<SeccompRule>, _> = (FAMILIES.iter())
        .map(|family| when(0, SeccompCmpOp::Eq, *family as u64))
        .collect();
    filter.insert(libc::SYS_socket, families?);
    Ok(filter)
}

/// Installs the filters. `false`: the kernel has none.
fn calls() -> Result<bool, ConfineError> {
    let wrong = |e: seccompiler::BackendError| ConfineError::Seccomp(e.to_string());
    let arch: TargetArch = (std::env::consts::ARCH.try_into()).map_err(wrong)?;
    let program = |rules: Filter, otherwise: SeccompAction, matched: SeccompAction| {
        let filter = SeccompFilter::new(rules, otherwise, matched, arch)?;
        BpfProgram::try_from(filter)
    };
    let errno = |e: libc::c_int| SeccompAction::Errno(e as u32);
    // A new way to start threads has its flags in memory, where no filter sees them: it is said not to be there, and
    // the C library takes the old one.
    let no_clone3 = program(
        Filter::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        errno(libc::ENOSYS),
    );
    let list = program(
        filter().map_err(wrong)?,
        errno(libc::EPERM),
        SeccompAction::Allow,
    );
    for program in [no_clone3, list] {
        match seccompiler::apply_filter(&program.map_err(wrong)?) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(e)) if e.raw_os_error() == Some(libc::EINVAL) => {
                return Ok(false);
            }
            Err(e) => return Err(ConfineError::Seccomp(e.to_string())),
        }
    }
    Ok(true)
}
