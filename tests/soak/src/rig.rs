//! The daemon beside the card, in this process.

use crate::Failure;
use crate::ports::{Ports, Verilated};
use crate::world::{World, definition};
use seqnic_card::Card;
use seqnic_daemon::api::{Answer, Request, Response, Status};
use seqnic_daemon::clock::Clock;
use seqnic_daemon::config;
use seqnic_daemon::core::{Core, Found};
use seqnic_daemon::daemon::Daemon;
use seqnic_daemon::journal::Journal;
use seqnic_device::{Device, Kept, Options};
use seqnic_faults::Faulty;
use seqnic_pci::Direct;
use seqnic_sim_device::{CardTime, Clock as CardClock};
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Rig<C = SoftCard> {
    pub world: Arc<World<C>>,
    pub faulty: Arc<Faulty>,
    pub daemon: Arc<Daemon>,
    pub kept: Arc<Kept>,
    threads: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// Starts everything; the definition is applied and nobody sends yet. `timeout`: how long the card may do nothing.
    ///
    /// # Errors
    /// Something fails.
    pub fn start(health: &str, timeout: Duration) -> Result<Rig, Failure> {
        Rig::around(World::new(), Clock::default(), health, 100_000, timeout)
    }
}

/// What a clock of the small card takes, ns: 125 MHz.
const CLOCK_NS: u32 = 8;
/// How many times faster than it is the host is taken to be: it shares its processors with the simulation and whatever else.
pub const FASTER: u32 = 50;
/// How long a simulation may take for what a card does at once.
const SLOW: Duration = Duration::from_secs(120);

impl Rig<Verilated> {
    /// As [`Rig::start`], around the verilated card, and all of it in the time of a card at 125 MHz: it stands still while clocks are
    /// simulated, and goes [`FASTER`] times slower than the host's otherwise. The card's tables are not scrubbed, which would take most of the simulation.
    ///
    /// # Errors
    /// Something fails.
    pub fn verilated(health: &str) -> Result<Rig<Verilated>, Failure> {
        let time = Arc::new(CardTime::new(FASTER));
        let card = Verilated::start(&EDGE, CardClock::Shared(time.clone()), CLOCK_NS)?;
        let clock = Clock::of(move || time.now());
        let card = Arc::new(Direct::new("verilated", card));
        let world = World::around(card, clock.clone(), None);
        Rig::around(world, clock, health, 0, SLOW)
    }
}

impl<C: Ports + 'static> Rig<C> {
    fn around(
        world: Arc<World<C>>,
        clock: Clock,
        health: &str,
        scrub: u32,
        timeout: Duration,
    ) -> Result<Rig<C>, Failure> {
        let folder = tempfile::tempdir()?;
        let text = format!(
            "card: {{ address: \"unix:/memory\", scrub: {scrub} }}\nlinux: {{ taps: false }}\n{health}"
        );
        let config = config::parse(&text)?;
        let faulty = Arc::new(Faulty::new(world.card.clone()));
        let transport = faulty.clone();
        let connect = move || {
            let options = Options {
                timeout,
                ..Options::default()
            };
            Device::open(transport.clone(), options)
        };
        let kept = Arc::new(Kept::open("memory", &EDGE, Box::new(connect)));
        let journal = Journal::open(&folder.path().join("state"))?;
        let (core, found) = Core::start(Arc::<Kept>::clone(&kept), journal)?;
        let core = core.with_clock(clock);
        if found != Found::Nothing {
            return Err(format!("a new card and an empty journal were found as {found:?}").into());
        }
        let daemon = Daemon::new(core, config, found);
        let mut threads = daemon.run()?;
        let wires = Arc::clone(&world);
        threads.push(std::thread::spawn(move || wires.run()));
        let rig = Rig {
            world,
            faulty,
            daemon,
            kept,
            threads,
            _folder: folder,
        };
        rig.apply(54, false)?;
        Ok(rig)
    }

    /// # Errors
    /// The daemon refuses.
    pub fn ask(&self, request: Request) -> Result<Answer, String> {
        match self.daemon.answer(request) {
            Response::Ok(answer) => Ok(answer),
            Response::Error(refusal) => Err(refusal.message),
        }
    }

    /// The definition with this port of the second service.
    ///
    /// # Errors
    /// The daemon refuses.
    pub fn apply(&self, port: u16, reload: bool) -> Result<(), String> {
        let request = Request::Apply {
            name: String::from("soak.yaml"),
            definition: definition(port),
            dry_run: false,
            reload,
        };
        self.ask(request).map(drop)
    }

    pub fn status(&self) -> Status {
        self.daemon.status()
    }

    /// # Errors
    /// It does not happen.
    pub fn until(&self, what: &str, done: impl Fn(&Status) -> bool) -> Result<Status, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if done(&status) {
                return Ok(status);
            }
            if Instant::now() > end {
                let log: Vec<_> = status.log.iter().rev().take(20).map(|l| &l.text).collect();
                return Err(
                    format!("{what}: it does not happen; the newest lines: {log:#?}").into(),
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What the card should have and has.
    ///
    /// # Errors
    /// They differ.
    pub fn verify(&self) -> Result<(), Failure> {
        let digest = |s: &Status| s.definition.as_ref().map(|d| d.digest.clone());
        let wanted = digest(&self.status());
        let found = Some(seqnic_daemon::journal::digest(&self.kept.read_back()?));
        match wanted == found {
            true => Ok(()),
            false => Err(format!("the card has tables {found:?}, {wanted:?} should hold").into()),
        }
    }

    /// Ends everything.
    pub fn stop(self) {
        self.daemon.stop();
        self.world.stop();
        for thread in self.threads {
            // One that panicked has said why.
            let _ended = thread.join();
        }
    }
}

pub fn state(status: &Status, device: &str) -> String {
    let device = status.devices.iter().find(|d| d.name == device);
    device.map(|d| d.state.clone()).unwrap_or_default()
}
