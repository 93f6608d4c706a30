//! Lines about those who were refused: enough to see who tries what, not so many that they wash the log away.

use std::net::IpAddr;
use std::time::Duration;

/// Lines at once.
const LINES: u32 = 5;
/// One more after that.
const EVERY: Duration = Duration::from_secs(10);

/// What may be told of refusals.
#[derive(Debug)]
pub struct Refusals {
    lines: u32,
    at: Duration,
    untold: u64,
}

impl Refusals {
    pub fn new(now: Duration) -> Refusals {
        Refusals {
            lines: LINES,
            at: now,
            untold: 0,
        }
    }

    /// The line about one, if it may be told now. What was not told before is in it as a number.
    pub fn line(&mut self, peer: IpAddr, why: &str, now: Duration) -> Option<String> {
        let passed = now.saturating_sub(self.at);
        let more = passed.as_nanos() / EVERY.as_nanos();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.lines = LINES.min(self.lines.saturating_add(more));
        self.at = match self.lines == LINES {
            true => now,
            false => self.at + EVERY * more,
        };
        if self.lines == 0 {
            self.untold += 1;
            return None;
        }
        self.lines -= 1;
        let others = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            n => format!(" ({n} more were refused since the last such line)"),
        };
        Some(format!("{peer} may not log on: {why}{others}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let peer: IpAddr = "192.0.2.66".parse().unwrap();
        let mut refusals = Refusals::new(Duration::ZERO);
        let mut lines = Vec::new();
        // A thousand a second for 30 s.
        for ms in 0..30_000 {
            lines.extend(refusals.line(peer, "no certificate", Duration::from_millis(ms)));
        }
        assert_eq!(lines.len(), 5 + 2, "{lines:?}");
        assert_eq!(lines[0], "192.0.2.66 may not log on: no certificate");
        // 10,000 in the first ten seconds, five of which were told.
        assert!(lines[5].ends_with("(9995 more were refused since the last such line)"));
        let later = refusals.line(peer, "x", Duration::from_secs(300)).unwrap();
        assert!(later.contains("(9999 more"), "{later}");
        let all: Vec<_> = (0..9)
            .filter_map(|_| refusals.line(peer, "x", Duration::from_secs(400)))
            .collect();
        assert_eq!(all.len(), 5);
    }
}
