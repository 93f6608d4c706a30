//! Rates and limits as a definition has them, from the times tables have.

use seqnic_spec::layout::Row;
use seqnic_spec::tables::{HOST_LIMIT_ROW, METER_ROW, time};

/// Units of a second.
const SECOND: u128 = 1_000_000_000 << time::FRACTION_BITS;

/// The rate with the fewest digits whose cost is `cost`, where `units` of it take a second: costs are
/// rounded up, so several rates have one.
fn rate(units: u128, cost: u64) -> u64 {
    let about = units * SECOND / u128::from(cost.max(1));
    for digits in (0..20).rev() {
        let step = 10u128.pow(digits);
        for near in [about / step * step, about / step * step + step] {
            if near != 0 && (units * SECOND).div_ceil(near) == u128::from(cost) {
                return near as u64;
            }
        }
    }
    about as u64
}

/// `8 Mbit/s, burst 3000 B`: a row of `meter`.
pub fn meter(row: &Row) -> String {
    let [cost, tolerance] = ["cost", "tolerance"].map(|f| row.field(&METER_ROW, 0, f) as u64);
    let bits = rate(8, cost);
    let (number, unit) = match bits {
        n if n.is_multiple_of(1_000_000_000) => (n / 1_000_000_000, "Gbit/s"),
        n if n.is_multiple_of(1_000_000) => (n / 1_000_000, "Mbit/s"),
        n if n.is_multiple_of(1000) => (n / 1000, "kbit/s"),
        n => (n, "bit/s"),
    };
    let burst = tolerance / cost.max(1);
    format!("{number} {unit}, burst {burst} B")
}

/// What the host takes of a reason: a row of `host_limit`.
pub fn host(row: &Row) -> String {
    let get = |f| row.field(&HOST_LIMIT_ROW, 0, f) as u64;
    let take = match (get("closed"), get("limited")) {
        (1, _) => String::from("nothing"),
        (_, 0) => String::from("everything"),
        _ => format!(
            "{} packets/s, burst {}",
            rate(1, get("cost")),
            get("tolerance") / get("cost").max(1) + 1
        ),
    };
    format!("{take}, priority {}", get("priority"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_that_were_written() {
        for bits in [1, 9600, 8_000_000, 2_000_000_000, 99_000_000_000] {
            let cost = (8 * SECOND).div_ceil(bits) as u64;
            assert_eq!(u128::from(rate(8, cost)), bits);
        }
        // Of several rates with one cost the shortest is said.
        let cost = (8 * SECOND).div_ceil(123_456_789) as u64;
        let found = u128::from(rate(8, cost));
        assert_eq!((8 * SECOND).div_ceil(found) as u64, cost, "{found}");
        for packets in [1, 100, 1000, 14_880_952] {
            let cost = SECOND.div_ceil(packets) as u64;
            let found = u128::from(rate(1, cost));
            assert_eq!(SECOND.div_ceil(found) as u64, cost, "{packets} {found}");
        }
    }
}
