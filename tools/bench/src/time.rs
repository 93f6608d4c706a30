//! CPU time, best and median.

use serde::Serialize;

/// CPU time of this thread in nanoseconds.
pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours, and the clock exists on every Linux. If it failed, 0 remains.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Repeated measurements of one thing, in nanoseconds an item.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    pub best: f64,
    pub median: f64,
}

impl Times {
    /// Of at least one measurement; of none, both are 0.
    pub fn of(mut measured: Vec<f64>) -> Times {
        measured.sort_by(f64::total_cmp);
        Times {
            best: measured.first().copied().unwrap_or_default(),
            median: measured
                .get(measured.len() / 2)
                .copied()
                .unwrap_or_default(),
        }
    }

    /// What is left when `part` is taken off.
    pub fn less(self, part: Times) -> Times {
        Times {
            best: self.best - part.best,
            median: self.median - part.median,
        }
    }

    /// Ratio of the best.
    pub fn ratio(self, of: Times) -> f64 {
        self.best / of.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_and_median() {
        let times = Times::of(vec![3.0, 1.0, 2.0, 9.0, 2.5]);
        assert_eq!((times.best, times.median), (1.0, 2.5));
    }

    #[test]
    fn cpu_time_passes_while_working() {
        let before = cpu_ns();
        let mut x = 1u64;
        while cpu_ns() == before {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(cpu_ns() > before);
    }
}
