//! The compiler: building hash tables beside two hash tables of others, a whole image by phases, and
//! placement at the load that is promised.

pub mod image;
pub mod placement;

use crate::peer::{build, lay_out};
use crate::{BenchError, Peer, Source, Times, cpu_ns};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::place::rows;
use seqnic_spec::geometry::{ALVEO, Geometry, SOFT};
use seqnic_spec::hasher::KeyWords;
use seqnic_spec::tables::Table;
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

const DPDK: &str = "rte_hash";
const LIBCUCKOO: &str = "libcuckoo";

/// How much quicker than the peers we want to be.
pub const DPDK_TARGET: f64 = 2.0;
pub const LIBCUCKOO_TARGET: f64 = 4.0;

/// One table to be built.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub geometry: &'static Geometry,
    pub table: Table,
    pub keys: u32,
}

/// 64K and 1M keys, short and long, each in the smallest geometry with room.
pub const CASES: [Case; 4] = [
    case(&ALVEO, Table::PortDstServer, 1 << 16),
    case(&ALVEO, Table::Address, 1 << 16),
    case(&SOFT, Table::PortDstServer, 1 << 20),
    case(&SOFT, Table::Address, 1 << 20),
];

const fn case(geometry: &'static Geometry, table: Table, keys: u32) -> Case {
    Case {
        geometry,
        table,
        keys,
    }
}

/// Builds of one case, nanoseconds of CPU a key.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub geometry: &'static str,
    pub table: &'static str,
    pub keys: u32,
    pub key_bytes: u32,
    /// Keys by slots of our table, in percent.
    pub load: f64,
    /// From keys and values to the rows of the image.
    pub seqnic: Times,
    /// Of it, wall time of the best round: digests, places, rows.
    pub digest: f64,
    pub place: f64,
    pub write: f64,
    pub rte_hash: Times,
    pub libcuckoo: Times,
    /// Best of the peer by best of ours.
    pub over_rte_hash: f64,
    pub over_libcuckoo: f64,
}

/// Measures one case, `rounds` times each in turns.
///
/// # Errors
/// A peer that cannot be built or fails; keys that find no place.
pub fn run(case: Case, rounds: u32, progress: &mut dyn FnMut(&str)) -> Result<Row, BenchError> {
    let Case {
        geometry,
        table,
        keys: count,
    } = case;
    let (Some((key, value)), Some(size)) = (table.hash(), geometry.hash(table)) else {
        return Err(BenchError::NoHash {
            table: table.name(),
        });
    };
    let bytes = key.width().div_ceil(8);
    progress(&format!(
        "{count} keys of {bytes} bytes: building the peers"
    ));
    let keys = keys(count, key.width());
    let values: Vec<rows::ValueWords> = (0..u64::from(count))
        .map(|n| [n & (u64::MAX >> (64 - value.width().min(64))), 0])
        .collect();
    let folder = tempfile::tempdir().map_err(|source| BenchError::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let folder = folder.path();
    let file = folder.join("keys");
    let all = keys.iter().flat_map(|key| {
        let words = key.iter().flat_map(|word| word.to_le_bytes());
        words.take(bytes as usize)
    });
    std::fs::write(&file, all.collect::<Vec<u8>>())
        .map_err(|source| BenchError::Io { path: file, source })?;
    let mut rte_hash = rte_hash(folder, bytes, count)?;
    let mut libcuckoo = libcuckoo(folder, bytes)?;

    keep_memory();
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut parts = Vec::new();
    for round in 1..=rounds {
        progress(&format!(
            "{count} keys of {bytes} bytes: round {round} of {rounds}"
        ));
        times[0].push(rte_hash.measure("build")?);
        times[1].push(libcuckoo.measure("build")?);
        let before = cpu_ns();
        let built = rows::build(geometry, table, &keys, &values, round.into());
        let took = (cpu_ns() - before) as f64 / f64::from(count);
        let built = built.map_err(|unplaced| BenchError::Unplaced {
            table: table.name(),
            unplaced,
        })?;
        times[2].push(took);
        parts.push((took, built.times));
    }
    parts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let best = parts.first().map(|(_, times)| *times).unwrap_or_default();
    let each = |part: std::time::Duration| part.as_nanos() as f64 / f64::from(count);
    let [rte_hash, libcuckoo, seqnic] = times.map(Times::of);
    Ok(Row {
        geometry: geometry.name,
        table: table.name(),
        keys: count,
        key_bytes: bytes,
        load: f64::from(count) * 100.0 / f64::from(size.capacity()),
        seqnic,
        digest: each(best.digest),
        place: each(best.place),
        write: each(best.write),
        rte_hash,
        libcuckoo,
        over_rte_hash: rte_hash.ratio(seqnic),
        over_libcuckoo: libcuckoo.ratio(seqnic),
    })
}

/// Memory that was freed stays with this process, as the peers' tables are there before their clock
/// runs: what is measured is the building and not the system's clearing of pages.
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: changes where later allocations come from, nothing about those there are.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Distinct random keys of `bits` bits.
fn keys(count: u32, bits: u32) -> Vec<KeyWords> {
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(count) << 8 | u64::from(bits));
    let mut seen = HashSet::with_capacity(count as usize);
    let mut keys = Vec::with_capacity(count as usize);
    while keys.len() < count as usize {
        let key = std::array::from_fn(|word| {
            let left = bits.saturating_sub(64 * word as u32).min(64);
            random.next_u64().checked_shr(64 - left).unwrap_or(0)
        });
        if seen.insert(key) {
            keys.push(key);
        }
    }
    keys
}

fn rte_hash(folder: &Path, bytes: u32, keys: u32) -> Result<Peer, BenchError> {
    let source = Source {
        name: "rte_hash.c",
        text: include_str!("../../peers/rte_hash.c"),
    };
    lay_out(folder, &[source])?;
    // Flags as its own packages give them; of its libraries those a table needs.
    let script = "cc -O3 -march=native $(pkg-config --cflags libdpdk) rte_hash.c -o rte_hash \
                  -lrte_hash -lrte_eal -lrte_ring";
    build(DPDK, folder, "sh", &["-c", script])?;
    let mut command = Command::new(folder.join("rte_hash"));
    // Room for twice the keys: as a user would who wants no failure.
    let entries = (2 * keys).next_power_of_two();
    command.args(["keys", &bytes.to_string(), &entries.to_string()]);
    Peer::start(DPDK, command.current_dir(folder))
}

fn libcuckoo(folder: &Path, bytes: u32) -> Result<Peer, BenchError> {
    let source = Source {
        name: "libcuckoo.cpp",
        text: include_str!("../../peers/libcuckoo.cpp"),
    };
    lay_out(folder, &[source])?;
    let arguments = [
        "-O3",
        "-march=native",
        "libcuckoo.cpp",
        "-o",
        "cuckoo",
        "-lpthread",
    ];
    build(LIBCUCKOO, folder, "c++", &arguments)?;
    let mut command = Command::new(folder.join("cuckoo"));
    command.args(["keys", &bytes.to_string()]);
    Peer::start(LIBCUCKOO, command.current_dir(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_as_wide_as_asked() {
        for bits in [44, 60, 129] {
            let keys = keys(3000, bits);
            assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 3000);
            let all = keys.iter().fold([0; 3], |all: KeyWords, key| {
                std::array::from_fn(|i| all[i] | key[i])
            });
            let set: u32 = all.iter().map(|w| w.count_ones()).sum();
            let top: u32 = 192
                - (all[2].leading_zeros()
                    + if all[2] == 0 {
                        all[1].leading_zeros()
                    } else {
                        0
                    }
                    + if all[2] | all[1] == 0 {
                        all[0].leading_zeros()
                    } else {
                        0
                    });
            assert_eq!((set, top), (bits, bits));
        }
    }
}
