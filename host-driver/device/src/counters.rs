//! Counters, read while packets pass.

use crate::command::{Command, Commands};
use crate::error::Result;
use seqnic_engine::Count;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::Geometry;

/// Rows of a counter set that are not 0. Each row is exact; rows are read one after the other, so that of two
/// which count the same packets one may be some packets ahead.
///
/// # Errors
/// The card fails.
pub fn read(
    commands: &mut Commands,
    geometry: &Geometry,
    set: CounterSet,
) -> Result<Vec<(u32, Count)>> {
    let reads = (0..set.rows(geometry)).map(|row| Command::Read {
        table: set as u8,
        row,
    });
    let mut out = Vec::new();
    commands.run(reads, |_, row, words| {
        let count = Count {
            packets: words[0],
            bytes: words[1],
        };
        if count != Count::default() {
            out.push((row, count));
        }
    })?;
    Ok(out)
}
