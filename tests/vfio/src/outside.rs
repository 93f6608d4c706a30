//! The outside of the card that a daemon in a guest has: a world at its ports, and a line to whoever checks.

use crate::Outcome;
use crate::router::{OWN6, Router, Seen, Watched};
use seqnic_daemon::clock::Clock;
use seqnic_pci::server::Served;
use seqnic_pci::{Direct, Function};
use seqnic_sim_device::Clock as CardClock;
use seqnic_soak::ports::{Ports, Verilated};
use seqnic_soak::world::{World, definition};
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What whoever checks asks: a line of JSON, answered by [`Told`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Ask {
    /// How things are.
    Tell,
    /// Clients send, or do not.
    Traffic { on: bool },
    /// The router asks for the engine's addresses and pings them, or does not.
    Router { on: bool },
    /// A function level reset from outside, as another program of the host may do one.
    Reset,
    /// The card's power fails and comes back.
    Restart,
}

/// How things are outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Clients' frames: sent, back at them, at a server or device nobody has.
    pub sent: u64,
    pub returned: u64,
    pub stray: u64,
    pub copies: u64,
    /// That passed each firewall, once each way.
    pub through: [u64; 2],
    /// All frames that arrived at ports; clients' frames that left from some.
    pub arrived: u64,
    pub left: u64,
    pub router: Seen,
}

/// The definition the daemon is given: the world's, with addresses the kernel answers for.
pub fn service() -> String {
    let addresses = format!("[192.0.2.1/24, {}/64]", OWN6[0]);
    definition(54).replacen("192.0.2.1/24", &addresses, 1)
}

/// Serves a card with a world at its ports, and whoever comes to `control`, until the process ends.
///
/// # Errors
/// A socket cannot be made, or the simulator not be built.
pub fn run(socket: &Path, control: &Path, verilated: bool) -> Outcome {
    match verilated {
        false => around(SoftCard::new(&EDGE), socket, control),
        true => around(
            Verilated::start(&EDGE, CardClock::Real, CLOCK_NS)?,
            socket,
            control,
        ),
    }
}

/// Of the small card.
const CLOCK_NS: u32 = 8;

fn around<C: Ports + 'static>(card: C, socket: &Path, control: &Path) -> Outcome {
    let function = Arc::new(Mutex::new(Function::new(card)));
    let card = Arc::new(Direct::of("memory", function.clone()));
    let router = Router::default();
    let watched = router.watched();
    let world = World::around(card, Clock::default(), Some(Box::new(router)));
    let _served = Served::new(socket, function)?;
    let moving = Arc::clone(&world);
    std::thread::Builder::new()
        .name("world".into())
        .spawn(move || moving.run())?;
    let listener = UnixListener::bind(control)?;
    println!("serving at {}", socket.display());
    for stream in listener.incoming() {
        // Who asked may be gone.
        let _gone = answer(&world, &watched, stream?);
    }
    Ok(())
}

fn answer<C: Ports>(world: &World<C>, router: &Watched, stream: UnixStream) -> Outcome {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        // A guest's serial line may begin with what its firmware says.
        if let Ok(ask) = serde_json::from_str::<Ask>(line.trim()) {
            match ask {
                Ask::Tell => {}
                Ask::Traffic { on } => world.traffic(on),
                Ask::Router { on } => router.ask(on),
                Ask::Reset => world.card.lock().reset(),
                Ask::Restart => {
                    let mut function = world.card.lock();
                    function.reset();
                    function.card.restart()?;
                }
            }
            let books = world.seen();
            let told = Told {
                sent: books.sent,
                returned: books.returned,
                stray: books.stray,
                copies: books.copies,
                through: books.through,
                arrived: books.arrived,
                left: books.left,
                router: router.seen(),
            };
            let told = serde_json::to_string(&told)? + "\n";
            lines.get_mut().write_all(told.as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

/// The line to the outside.
pub struct Control {
    from: BufReader<Box<dyn Read>>,
    to: Box<dyn Write>,
}

impl Control {
    /// A socket, or a serial line (raw, without echo).
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Outcome<Control> {
        let (from, to): (Box<dyn Read>, Box<dyn Write>) = match UnixStream::connect(path) {
            Ok(stream) => (Box::new(stream.try_clone()?), Box::new(stream)),
            Err(_) => {
                let line = File::options().read(true).write(true).open(path)?;
                (Box::new(line.try_clone()?), Box::new(line))
            }
        };
        Ok(Control {
            from: BufReader::new(from),
            to,
        })
    }

    /// # Errors
    /// The line is broken.
    pub fn ask(&mut self, ask: Ask) -> Outcome<Told> {
        let line = serde_json::to_string(&ask)? + "\n";
        self.to.write_all(line.as_bytes())?;
        let mut told = String::new();
        if self.from.read_line(&mut told)? == 0 {
            return Err("nobody is outside".into());
        }
        Ok(serde_json::from_str(&told)?)
    }

    /// How things are when nothing moves any more.
    ///
    /// # Errors
    /// The line is broken, or it does not come to rest.
    pub fn at_rest(&mut self) -> Outcome<Told> {
        let mut was = self.ask(Ask::Traffic { on: false })?;
        for _ in 0..300 {
            std::thread::sleep(Duration::from_millis(200));
            let now = self.ask(Ask::Tell)?;
            if now == was {
                return Ok(now);
            }
            was = now;
        }
        Err(format!("frames do not come to rest: {was:?}").into())
    }
}
