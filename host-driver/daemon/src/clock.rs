//! Where the daemon's time comes from.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time since some start; it never falls.
///
/// Normally the host's. A simulation that is slower than its card gives the daemon the time the card has: all that is due
/// then is due by that, and threads that wait wake up early and look again.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The time that `now` says.
    pub fn of(now: impl Fn() -> Duration + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl Default for Clock {
    /// The host's time since now.
    fn default() -> Clock {
        let started = Instant::now();
        Clock::of(move || started.elapsed())
    }
}
