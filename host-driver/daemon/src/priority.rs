//! Real-time priority for the threads that tell living devices from dead ones.
//!
//! A heartbeat that is sent late, or whose answer is taken late because the host is busy with other things, is a false alarm. The
//! lowest real-time priority is above all that has none, and below all else of real time. It is taken by a limit
//! (`RLIMIT_RTPRIO`), so that no capability has to be kept for it where that limit can be set.

use std::io;

/// Of all real-time priorities the lowest.
const LOWEST: libc::c_int = 1;

/// Lets threads of this process take the priority later, with fewer rights. To be called while it has those it was started with.
/// `false`: the limit is lower, and only `CAP_SYS_NICE` helps.
pub fn allow() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let wanted = LOWEST as libc::rlim_t;
    // SAFETY: `limit` lives as long as the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_RTPRIO, &mut limit) != 0 {
            return false;
        }
        if limit.rlim_cur >= wanted {
            return true;
        }
        limit.rlim_cur = wanted;
        limit.rlim_max = limit.rlim_max.max(wanted);
        libc::setrlimit(libc::RLIMIT_RTPRIO, &limit) == 0
    }
}

/// Takes it for the calling thread. Those with the same priority take turns.
///
/// # Errors
/// The system does not allow it.
pub fn take() -> io::Result<()> {
    let priority = libc::sched_param {
        sched_priority: LOWEST,
    };
    // SAFETY: `priority` lives as long as the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &priority) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
