//! The daemon's core on the verilated card in a process of its own: what it loads stays when it ends, and is loaded again
//! when the card's process was another one.

mod common;

use common::Running;
use seqnic_card::{Card, Event, Presence};
use seqnic_compiler::compile;
use seqnic_daemon::core::{Core, Found};
use seqnic_daemon::journal::{Journal, rows};
use seqnic_device::{Device, Kept, Options};
use seqnic_spec::geometry::EDGE;
use seqnic_spec::host::registers::HEARTBEAT;
use seqnic_transport::{Address, open_with};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The simulation may share the machine with much else.
const TIMEOUT: Duration = Duration::from_secs(60);

fn kept(socket: &Path) -> Arc<Kept> {
    let address = Address::Unix(socket.to_path_buf());
    let name = address.to_string();
    let connect = move || {
        let options = Options {
            ring_log2: [9, 9, 9, 9, 11, 9, 11],
            timeout: TIMEOUT,
            ..Options::default()
        };
        Device::open(open_with(&address, TIMEOUT)?, options)
    };
    Arc::new(Kept::open(&name, &EDGE, Box::new(connect)))
}

fn event(kept: &Kept) -> Event {
    let until = Instant::now() + TIMEOUT;
    loop {
        if let Some(event) = kept.event(Duration::from_millis(20)) {
            return event;
        }
        assert!(Instant::now() < until, "nothing happens");
    }
}

#[test]
fn a_restart_writes_nothing_and_a_card_that_died_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("card.sock");
    let card = Running::start(&socket, &[]);
    let journal = || Journal::open(&dir.path().join("state")).unwrap();
    let text = include_str!("../../../examples/fig07.yaml");
    let text = text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1);
    let (core, found) = Core::start(kept(&socket), journal()).unwrap();
    assert_eq!(found, Found::Nothing);
    core.apply("fig07", &text, false).unwrap();
    drop(core);

    // Another daemon.
    let kept = kept(&socket);
    let (core, found) = Core::start(Arc::<Kept>::clone(&kept), journal()).unwrap();
    assert_eq!(found, Found::Same);
    let image = compile(&seqnic_compiler::read(&text).unwrap()).unwrap();
    assert_eq!(kept.read_back().unwrap(), rows(&image));

    // SIGKILL, and another card at the same place.
    drop(card);
    let Event::Gone { why } = event(&kept) else {
        panic!("it is not gone");
    };
    assert!(why.contains("gone"), "{why}");
    core.part();
    assert!(core.fail("ids").is_err());
    let _card = Running::start(&socket, &[]);
    assert_eq!(event(&kept), Event::Back);
    assert_eq!(kept.presence(), Presence::Here);
    assert_eq!(core.join().unwrap(), Found::Loaded);
    assert_eq!(kept.read_back().unwrap(), rows(&image));

    // A fail-over in the card's own time: from the first word to the last one read back. What the host does between is not in
    // it, as the card's clock stands still while nobody wants anything.
    core.prepare();
    let device = kept.device().unwrap();
    let clocks = || device.registers().read(&HEARTBEAT, 0).unwrap();
    let before = clocks();
    let outcome = core.fail("vpn").unwrap();
    let took = clocks().wrapping_sub(before);
    eprintln!("a fail-over of {:?} words: {took} clocks", outcome.words);
    assert!(
        outcome.words > Some(0) && outcome.delta.is_zero(),
        "{outcome:?}"
    );
    // 0.8 ms at 125 MHz.
    assert!(took < 100_000, "{took} clocks");
}
