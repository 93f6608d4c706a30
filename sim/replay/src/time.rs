//! Time stamps of packets.

use serde::{Serialize, Serializer};
use std::fmt;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since 1970-01-01 UTC, within the 32 bits of seconds a pcap record has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// A time of `nanoseconds`, or `None` before 1970 or past 2106-02-07, the last second of a pcap.
    pub fn from_nanoseconds(nanoseconds: i128) -> Option<Time> {
        let end = (i128::from(u32::MAX) + 1) * i128::from(SECOND);
        (0..end)
            .contains(&nanoseconds)
            .then_some(Time(nanoseconds as u64))
    }

    /// All of it.
    pub fn total_nanoseconds(self) -> u64 {
        self.0
    }

    /// Seconds, as a pcap record has them.
    pub fn seconds(self) -> u32 {
        (self.0 / SECOND) as u32
    }

    /// Nanoseconds within the second.
    pub fn nanoseconds(self) -> u32 {
        (self.0 % SECOND) as u32
    }
}

/// Seconds with nine decimals: exact.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds(), self.nanoseconds())
    }
}

/// As text: a JSON number is read as a double by most programs, which has not enough digits.
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_what_a_pcap_can_say() {
        assert_eq!(Time::from_nanoseconds(-1), None);
        let last = (1i128 << 32) * 1_000_000_000 - 1;
        let time = Time::from_nanoseconds(last).unwrap();
        assert_eq!(time.to_string(), "4294967295.999999999");
        assert_eq!(Time::from_nanoseconds(last + 1), None);
        assert_eq!(
            Time::from_nanoseconds(1).unwrap().to_string(),
            "0.000000001"
        );
    }
}
