//! No more bytes than a set rate, by waiting.
//!
//! What is not read stays in the kernel's buffer, and TCP tells the sender to wait: nothing is dropped.

use crate::clock::Clock;
use crate::lock;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// So many at once at most are granted, so that several connections take turns.
const TURN: u64 = 16 << 10;
/// Less than that is waited for, unless less is wanted: a crumb costs a system call like a loaf.
const CRUMB: u64 = 1 << 10;
const SECOND: u128 = 1_000_000_000;

/// A token bucket, exact: `granted <= burst + rate * time` over any time.
#[derive(Debug)]
pub struct Bucket {
    rate: u64,
    burst: u64,
    /// Bytes there are, times 10^9: a nanosecond brings `rate` of that.
    level: u128,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: u64, burst: u64, now: Duration) -> Bucket {
        Bucket {
            rate: rate.max(1),
            burst: burst.max(1),
            level: u128::from(burst.max(1)) * SECOND,
            at: now,
        }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at);
        let full = u128::from(self.burst) * SECOND;
        let more = passed.as_nanos().saturating_mul(u128::from(self.rate));
        self.level = full.min(self.level.saturating_add(more));
        self.at = self.at.max(now);
    }

    /// Up to `want` of what there is; or how long to wait before there is enough to be worth it.
    ///
    /// # Errors
    /// As said.
    pub fn take(&mut self, want: u64, now: Duration) -> Result<u64, Duration> {
        self.fill(now);
        let least = u128::from(want.min(CRUMB).min(self.burst)) * SECOND;
        if self.level < least {
            let wait = (least - self.level).div_ceil(u128::from(self.rate));
            let wait = u64::try_from(wait).unwrap_or(u64::MAX);
            return Err(Duration::from_nanos(wait));
        }
        let whole = u64::try_from(self.level / SECOND).unwrap_or(u64::MAX);
        let granted = want.min(whole);
        self.level -= u128::from(granted) * SECOND;
        Ok(granted)
    }

    /// Gives back what was not used.
    pub fn put_back(&mut self, bytes: u64) {
        let full = u128::from(self.burst) * SECOND;
        self.level = full.min(self.level + u128::from(bytes) * SECOND);
    }
}

type Sleep = dyn Fn(Duration) + Send + Sync;

/// A bucket that connections share.
#[derive(Clone)]
pub struct Pace {
    bucket: Arc<Mutex<Bucket>>,
    clock: Clock,
    sleep: Arc<Sleep>,
}

impl Pace {
    pub fn new(rate: u64, burst: u64) -> Pace {
        Pace::by(rate, burst, Clock::default(), std::thread::sleep)
    }

    /// By another time than the host's.
    pub fn by(
        rate: u64,
        burst: u64,
        clock: Clock,
        sleep: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Pace {
        Pace {
            bucket: Arc::new(Mutex::new(Bucket::new(rate, burst, clock.now()))),
            clock,
            sleep: Arc::new(sleep),
        }
    }

    /// Waits for some of `want` (more than 0).
    pub fn take(&self, want: u64) -> u64 {
        loop {
            let taken = lock(&self.bucket).take(want.min(TURN), self.clock.now());
            match taken {
                Ok(granted) => return granted,
                Err(wait) => (self.sleep)(wait),
            }
        }
    }

    pub fn put_back(&self, bytes: u64) {
        lock(&self.bucket).put_back(bytes);
    }
}

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// For all of it.
    Until(Instant),
    /// For every sign of life.
    Each(Duration),
}

/// A connection whose peer may not take for ever, nor more than its share.
pub struct Paced {
    pub stream: TcpStream,
    pub patience: Patience,
    pub pace: Option<Pace>,
}

impl Paced {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = match self.patience {
            Patience::Each(time) => time,
            Patience::Until(end) => end.saturating_duration_since(Instant::now()),
        };
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(Some(left)),
        }
    }

    /// Up to how many of `want` bytes may move now.
    fn grant(&self, want: usize) -> usize {
        match &self.pace {
            None => want,
            Some(pace) => pace.take(want as u64) as usize,
        }
    }

    fn moved(&self, granted: usize, done: &io::Result<usize>) {
        let used = done.as_ref().map_or(0, |n| *n);
        if let Some(pace) = &self.pace {
            pace.put_back(granted.saturating_sub(used) as u64);
        }
    }
}

/// The kernel calls a time-out "would block".
fn timed_out(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => e,
    }
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.stream.set_read_timeout(self.left()?)?;
        // Nothing is taken from the others for a peer that is silent.
        if self.stream.peek(&mut [0]).map_err(timed_out)? == 0 {
            return Ok(0);
        }
        let granted = self.grant(buffer.len());
        let done = self.stream.read(&mut buffer[..granted]).map_err(timed_out);
        self.moved(granted, &done);
        done
    }
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.stream.set_write_timeout(self.left()?)?;
        let granted = self.grant(bytes.len());
        let done = self.stream.write(&bytes[..granted]).map_err(timed_out);
        self.moved(granted, &done);
        done
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Time that passes by sleeping only, ns.
    fn still(rate: u64, burst: u64) -> (Arc<AtomicU64>, Pace) {
        let time = Arc::new(AtomicU64::new(0));
        let (now, slept) = (Arc::clone(&time), Arc::clone(&time));
        let clock = Clock::of(move || Duration::from_nanos(now.load(Ordering::Relaxed)));
        let pace = Pace::by(rate, burst, clock, move |wait| {
            slept.fetch_add(wait.as_nanos() as u64, Ordering::Relaxed);
        });
        (time, pace)
    }

    #[test]
    fn a_million_bytes_take_exactly_their_time() {
        for (rate, burst, bytes) in [
            (100_000, 65_536, 1_000_000),
            (1, 16_384, 20_000),
            (7_777, 16_384, 123_456),
        ] {
            let (time, pace) = still(rate, burst);
            let mut left: u64 = bytes;
            while left > 0 {
                left -= pace.take(left);
            }
            // What the bucket had at first needs no time; the rest comes at the rate.
            let nanoseconds = u128::from(bytes - burst) * SECOND;
            let exact = nanoseconds.div_ceil(u128::from(rate)) as u64;
            let waits = (bytes - burst).div_ceil(CRUMB);
            let took = time.load(Ordering::Relaxed);
            // Every wait is rounded up to a nanosecond, and none is longer than it must be.
            assert!(took >= exact && took <= exact + waits, "{took} {exact}");
        }
    }

    #[test]
    fn what_was_put_back_costs_nothing() {
        let (time, pace) = still(1_000, 20_000);
        for _ in 0..1_000 {
            let granted = pace.take(20_000);
            pace.put_back(granted);
        }
        assert_eq!(pace.take(16_384) + pace.take(3_616), 20_000);
        assert_eq!(time.load(Ordering::Relaxed), 0);
        assert_eq!(pace.take(1), 1);
        assert_eq!(time.load(Ordering::Relaxed), 1_000_000);
    }

    proptest! {
        /// Over any time that begins and ends with a grant.
        #[test]
        fn never_more_than_burst_and_rate(
            rate in 1u64..1_000_000,
            burst in 1u64..100_000,
            steps in proptest::collection::vec((0u64..2_000_000_000, 1u64..200_000), 1..60),
        ) {
            let mut bucket = Bucket::new(rate, burst, Duration::ZERO);
            let mut now = Duration::ZERO;
            let mut grants: Vec<(Duration, u64)> = Vec::new();
            for (passes, want) in steps {
                now += Duration::from_nanos(passes);
                match bucket.take(want, now) {
                    Ok(granted) => {
                        prop_assert!(granted >= 1 && granted <= want);
                        grants.push((now, granted));
                    }
                    Err(wait) => {
                        // Not a nanosecond longer than needed, and then there is some.
                        prop_assert!(bucket.take(want, now + wait - Duration::from_nanos(1)).is_err());
                        now += wait;
                        let granted = bucket.take(want, now);
                        prop_assert!(granted.is_ok());
                        grants.push((now, granted.unwrap()));
                    }
                }
            }
            for from in 0..grants.len() {
                let mut sum = 0u128;
                for (at, granted) in &grants[from..] {
                    sum += u128::from(*granted);
                    let passed = (*at - grants[from].0).as_nanos();
                    prop_assert!(sum * SECOND <= u128::from(burst) * SECOND + passed * u128::from(rate));
                }
            }
        }
    }
}
