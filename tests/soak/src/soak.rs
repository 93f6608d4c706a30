//! Everything that can happen to a card, at random, under traffic; the books balance at the end.

use crate::Failure;
use crate::rig::{Rig, state};
use crate::world::{Books, FIREWALLS, probes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_daemon::api::Request;
use seqnic_faults::Fault;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::tables::Table;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How it ended.
#[derive(Debug)]
pub struct Report {
    pub seconds: u64,
    /// What was done, how often.
    pub deeds: BTreeMap<&'static str, u64>,
    pub books: Books,
    /// Fail-overs, rows that were mended.
    pub repairs: u64,
    /// Resident memory, KiB: when it had run for a fifth of the time, and at the end.
    pub memory: (u64, u64),
}

/// KiB this process may grow behind the first fifth: buffers that had never been as full.
const GROWTH: u64 = 8192;
/// Shorter runs have not had every buffer full once when they are at a fifth: their memory is shown, not judged.
const JUDGED: Duration = Duration::from_secs(240);

/// Runs for so long.
///
/// # Errors
/// Something that should happen does not, the books do not balance, or memory grows.
pub fn run(time: Duration, seed: u64, mut say: impl FnMut(&str)) -> Result<Report, Failure> {
    let rig = Rig::start(&probes(50, 400, 2), Duration::from_millis(400))?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut deeds: BTreeMap<&'static str, u64> = BTreeMap::new();
    let started = Instant::now();
    rig.world.traffic(true);
    let mut early = None;
    let mut told = Instant::now();
    while started.elapsed() < time {
        std::thread::sleep(Duration::from_millis(random.random_range(0..300)));
        let name = deed(&rig, &mut random)?;
        *deeds.entry(name).or_default() += 1;
        settle(&rig)?;
        if early.is_none() && started.elapsed() > time / 5 {
            early = Some(resident()?);
        }
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            let deeds: u64 = deeds.values().sum();
            say(&format!(
                "{} s: {deeds} deeds, {} KiB",
                started.elapsed().as_secs(),
                resident()?
            ));
        }
    }
    rig.world.traffic(false);
    std::thread::sleep(Duration::from_millis(200));
    settle(&rig)?;
    rig.verify()?;
    // Heartbeats go on until the daemon ends: books are closed behind it.
    let status = rig.status();
    let late = resident()?;
    let world = rig.world.clone();
    rig.stop();
    let books = world.books();
    let report = Report {
        seconds: started.elapsed().as_secs(),
        deeds,
        books,
        repairs: status.repairs,
        memory: (early.unwrap_or(late), late),
    };
    let mut wrong = report.books.wrong();
    let (early, late) = report.memory;
    if time >= JUDGED && late > early + GROWTH {
        wrong.push(format!(
            "resident memory: {early} KiB after a fifth of the time, {late} at the end"
        ));
    }
    match wrong.is_empty() {
        true => Ok(report),
        false => Err(format!("seed {seed}: {}\n{report:#?}", wrong.join("\n")).into()),
    }
}

/// The card is there, all devices live and take part.
fn settle(rig: &Rig) -> Result<(), Failure> {
    rig.faulty.set(Fault::None);
    rig.until("the card is there", |s| s.card_state.here)?;
    for (number, name) in FIREWALLS.into_iter().enumerate() {
        rig.world.set_alive(number, true);
        if state(&rig.status(), name) == "failed" {
            patiently(rig, |rig| {
                let device = name.to_string();
                rig.ask(Request::Restore { device }).map(drop)
            })?;
        }
    }
    Ok(())
}

/// A request that is refused while the card is away, or was lost in the middle of it.
fn patiently(rig: &Rig, what: impl Fn(&Rig) -> Result<(), String>) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let Err(e) = what(rig) else {
            return Ok(());
        };
        if Instant::now() > end {
            return Err(e.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Does something; what it was.
fn deed(rig: &Rig, random: &mut ChaCha8Rng) -> Result<&'static str, Failure> {
    let moment = Duration::from_millis(random.random_range(1..200));
    Ok(match random.random_range(0..12) {
        0..3 => {
            let number = random.random_range(0..FIREWALLS.len());
            rig.world.set_alive(number, false);
            rig.until("a dead firewall counts as failed", |s| {
                state(s, FIREWALLS[number]) == "failed"
            })?;
            "a firewall dies"
        }
        3..5 => {
            let port = random.random_range(54..60);
            patiently(rig, |rig| rig.apply(port, false))?;
            "a definition is applied"
        }
        5 => {
            let port = random.random_range(54..60);
            patiently(rig, |rig| rig.apply(port, true))?;
            "all tables are reloaded"
        }
        6 => {
            rig.world.restart_card();
            // It is noticed at the next look.
            rig.until("an empty card is noticed", |s| {
                !s.card_state.here || s.log.iter().any(|l| l.text.contains("all tables loaded"))
            })?;
            "the card restarts, empty"
        }
        7 => {
            rig.faulty.reset_behind()?;
            "the card is reset by others"
        }
        8 => {
            let faults = [Fault::Gone, Fault::Lost, Fault::Silent, Fault::Deaf];
            let fault = faults[random.random_range(0..faults.len())];
            rig.faulty.set(fault);
            std::thread::sleep(moment * 4);
            "the card is away for a while"
        }
        9 => {
            // In the middle of a change.
            let faults = [Fault::Gone, Fault::Lost, Fault::Silent];
            let fault = faults[random.random_range(0..faults.len())];
            rig.faulty.set_after(random.random_range(1..60), fault);
            let _lost = rig.apply(random.random_range(54..60), false);
            std::thread::sleep(moment);
            "the card is lost in a change"
        }
        10 => {
            let tables = [Table::Address, Table::Step, Table::Source, Table::Interface];
            let table = tables[random.random_range(0..tables.len())];
            let rows = EDGE.rows(table);
            let start = random.random_range(0..rows);
            let mut function = rig.world.card.lock();
            let data = &mut function.card.datapath;
            let free = (start..rows).find(|r| data.read(table as u8, *r).is_zero());
            if let Some(row) = free {
                // Bits nothing looks at, as long as the row is free.
                data.write(table as u8, row, &[1 << 7]);
            }
            drop(function);
            if let Some(row) = free {
                // By the scrubber; or by who looks through a card that was just reset.
                rig.until("a flipped bit is mended", |_| {
                    let function = rig.world.card.lock();
                    function.card.datapath.read(table as u8, row).is_zero()
                })?;
            }
            "a bit is flipped"
        }
        _ => {
            let port = random.random_range(0..4);
            rig.world.card.lock().card.set_link(port, false);
            std::thread::sleep(moment);
            rig.world.card.lock().card.set_link(port, true);
            "a link is down for a while"
        }
    })
}

/// Resident memory of this process, KiB.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    Ok(number.ok_or("/proc/self/status has no VmRSS")?.parse()?)
}
