//! The time of a host whose card is simulated as if it were as fast as a real one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The host's time without what the simulation takes: it stands still while clocks are simulated, and then goes on by
/// what those clocks take in a card. So whoever goes by it sees a host beside a card that is as fast as a real one.
///
/// The host may be taken for some times faster than it is, so that what else it is busy with does not show: what is measured then
/// is the card and what waits for a time, not the host's own work. What the host does beside a simulation that is going on takes
/// no time in any case.
#[derive(Debug)]
pub struct CardTime {
    started: Instant,
    faster: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How much later the host's clock is than this one, ns.
    late: i64,
    /// The time it stands at, while clocks are simulated.
    stands: Option<Duration>,
}

impl CardTime {
    /// Starts at 0. `faster`: how many times faster than it is the host is taken to be.
    pub fn new(faster: u32) -> CardTime {
        CardTime {
            started: Instant::now(),
            faster: faster.max(1),
            state: Mutex::default(),
        }
    }

    fn host(&self) -> i64 {
        (self.started.elapsed() / self.faster).as_nanos() as i64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, state: &State) -> Duration {
        let moving = || Duration::from_nanos((self.host() - state.late).max(0) as u64);
        state.stands.unwrap_or_else(moving)
    }

    /// The time now. It never falls.
    pub fn now(&self) -> Duration {
        self.of(&self.state())
    }

    /// Clocks are simulated from now on; the time at which.
    pub(crate) fn stand(&self) -> Duration {
        let mut state = self.state();
        let now = self.of(&state);
        state.stands = Some(now);
        now
    }

    /// They have been, and take so long in a card.
    pub(crate) fn go_on(&self, took: Duration) {
        let mut state = self.state();
        if let Some(stood) = state.stands.take() {
            let now = (stood + took).as_nanos() as i64;
            state.late = self.host() - now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CardTime;
    use std::time::{Duration, Instant};

    #[test]
    fn time_stands_while_clocks_are_simulated_and_goes_on_by_what_they_take() {
        let time = CardTime::new(1);
        let at = time.stand();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(time.now(), at);
        time.go_on(Duration::from_micros(3));
        assert!(time.now() - at >= Duration::from_micros(3));
        // Clocks that take longer in the card than in the simulation.
        let at = time.stand();
        time.go_on(Duration::from_secs(5));
        assert!(time.now() - at >= Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
        assert!(time.now() - at >= Duration::from_millis(5020));
    }

    #[test]
    fn a_faster_host_has_less_time() {
        let time = CardTime::new(1000);
        let started = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let now = time.now();
        assert!(
            now >= Duration::from_micros(20) && now <= started.elapsed() / 900,
            "{now:?}"
        );
        // What clocks take is the card's.
        let at = time.stand();
        time.go_on(Duration::from_millis(7));
        assert!(time.now() - at >= Duration::from_millis(7));
    }
}
