//! Definitions on a card that may fail at any word, and a daemon that may be killed there.

use seqnic_card::software::SoftwareCard;
use seqnic_card::{Card, CardError, Event, FromHost, Identity, Link, Snapshot, ToHost};
use seqnic_compiler::delta::Word;
use seqnic_daemon::core::{ApplyError, Core, Found, bypassed, unavailable};
use seqnic_daemon::journal::{Journal, rows};
use seqnic_image::Image;
use seqnic_spec::tables::Table;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A card that takes so many words and then fails, until told otherwise.
struct Faulty {
    card: SoftwareCard,
    words: AtomicUsize,
}

const ALL: usize = usize::MAX / 2;

impl Faulty {
    fn new() -> Arc<Faulty> {
        let geometry = seqnic_spec::geometry::by_name("edge").unwrap();
        Arc::new(Faulty {
            card: SoftwareCard::start(geometry, Vec::new()).unwrap(),
            words: AtomicUsize::new(ALL),
        })
    }

    fn take(&self, words: usize) {
        self.words.store(words, Ordering::SeqCst);
    }
}

impl Card for Faulty {
    fn identity(&self) -> Identity {
        self.card.identity()
    }
    fn load(&self, image: &Image) -> Result<(), CardError> {
        match self.words.load(Ordering::SeqCst) {
            ALL => self.card.load(image),
            _ => Err(CardError::Failed(String::from("gone"))),
        }
    }
    fn write(&self, words: &[Word]) -> Result<(), CardError> {
        let left = self.words.load(Ordering::SeqCst);
        let taken = words.len().min(left);
        self.card.write(&words[..taken])?;
        if left != ALL {
            self.words.store(left - taken, Ordering::SeqCst);
        }
        match taken == words.len() {
            true => Ok(()),
            false => Err(CardError::Failed(String::from("gone"))),
        }
    }
    fn drain(&self, timeout: Duration) -> Result<(), CardError> {
        self.card.drain(timeout)
    }
    fn read(&self, table: Table, rows: Range<u32>) -> Result<Vec<u64>, CardError> {
        self.card.read(table, rows)
    }
    fn read_back(&self) -> Result<Image, CardError> {
        match self.words.load(Ordering::SeqCst) {
            0 => Err(CardError::Failed(String::from("gone"))),
            _ => self.card.read_back(),
        }
    }
    fn counters(&self) -> Result<Snapshot, CardError> {
        self.card.counters()
    }
    fn receive(&self, out: &mut Vec<ToHost>, wait: Duration) -> Result<(), CardError> {
        self.card.receive(out, wait)
    }
    fn send(&self, frames: &[FromHost]) -> Result<usize, CardError> {
        self.card.send(frames)
    }
    fn link(&self, port: u8) -> Link {
        self.card.link(port)
    }
    fn event(&self, wait: Duration) -> Option<Event> {
        self.card.event(wait)
    }
}

fn definition(extra: &str) -> String {
    format!(
        "seqnic: 1
geometry: edge
interfaces:
  i0: {{ port: 0, mac: 02:01:00:00:00:01, gateway: router }}
  i1: {{ port: 1, mac: 02:02:00:00:00:02 }}
hosts:
  router: {{ interface: i0, mac: 02:05:00:00:00:05 }}
devices:
  fw:  {{ function: firewall, attachment: {{ interface: i1, mac: 02:06:00:00:00:01 }} }}
  fw2: {{ function: firewall, attachment: {{ interface: i1, mac: 02:06:00:00:00:02 }} }}
  srv: {{ function: server, attachment: {{ interface: i1, mac: 02:06:00:00:00:03 }}, mode: loopback }}
services:
  web: {{ address: 203.0.113.13, port: 80, sequence: [{{ device: fw, alternate: fw2 }}, srv] }}
{extra}"
    )
}

const MORE: &str = "  mail: { address: 203.0.113.14, port: 25, sequence: [fw, srv] }\n";

fn start(card: &Arc<Faulty>, folder: &Path) -> (Core, Found) {
    let card: Arc<dyn Card> = Arc::<Faulty>::clone(card);
    Core::start(card, Journal::open(folder).unwrap()).unwrap()
}

/// A large card has a million rows, which take minutes to read where there is nothing to compare them with.
#[test]
fn a_card_is_not_read_back_without_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    card.take(0);
    assert!(card.read_back().is_err());
    let (core, found) = start(&card, folder.path());
    assert_eq!(found, Found::Nothing);
    card.take(ALL);
    core.apply("one", &definition(""), false).unwrap();
    drop(core);
    // With one it is.
    card.take(0);
    let journal = Journal::open(folder.path()).unwrap();
    let card: Arc<dyn Card> = card;
    assert!(Core::start(card, journal).is_err());
}

#[test]
fn a_restart_writes_nothing_and_a_new_card_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, found) = start(&card, folder.path());
    assert_eq!(found, Found::Nothing);
    let outcome = core.apply("a", &definition(""), false).unwrap();
    assert_eq!(outcome.words, None);
    let outcome = core.apply("b", &definition(MORE), false).unwrap();
    assert!(outcome.words.unwrap() > 0);
    let held = core.holding().unwrap();
    drop(core);
    // A card that refuses every word: nothing is written.
    card.take(1);
    let (core, found) = start(&card, folder.path());
    assert_eq!(found, Found::Same);
    assert_eq!(core.holding().unwrap().record, held.record);
    let (core, found) = start(&Faulty::new(), folder.path());
    assert_eq!(found, Found::Loaded);
    assert_eq!(core.card().read_back().unwrap(), rows(&held.image));
}

#[test]
fn killed_at_any_word_the_card_has_one_of_the_two_and_goes_on() {
    let (mut settled, mut cuts) = (0, 0);
    for words in 0..80 {
        let folder = tempfile::tempdir().unwrap();
        let card = Faulty::new();
        let (core, _) = start(&card, folder.path());
        core.apply("a", &definition(""), false).unwrap();
        let before = core.holding().unwrap();
        card.take(words);
        // The way back fails as well: as if the daemon were killed here.
        let Err(error) = core.apply("b", &definition(MORE), false) else {
            break;
        };
        assert!(matches!(error, ApplyError::Torn(_)), "{error}");
        assert_eq!(core.holding().unwrap().record, before.record);
        drop(core);
        card.take(ALL);
        let (core, found) = start(&card, folder.path());
        cuts += 1;
        settled += usize::from(found == Found::Settled);
        assert_ne!(found, Found::Loaded, "{words} words: traffic was stopped");
        let record = core.holding().unwrap().record;
        assert!(record.name == "a" || record.name == "b", "{}", record.name);
        let held = core.holding().unwrap();
        assert_eq!(
            core.card().read_back().unwrap(),
            rows(&held.image),
            "{words} words"
        );
        core.apply("b", &definition(MORE), false).unwrap();
        core.apply("a", &definition(""), false).unwrap();
    }
    assert!(cuts > 5 && settled >= cuts - 2, "{settled} of {cuts}");
}

#[test]
fn a_card_that_fails_once_is_brought_back() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, _) = start(&card, folder.path());
    core.apply("a", &definition(""), false).unwrap();
    let before = core.card().read_back().unwrap();
    assert!(
        core.apply("b", "seqnic: 1\ninterfaces: {}\n", false)
            .is_err()
    );
    assert_eq!(core.card().read_back().unwrap(), before);
    let findings = core.apply("b", &definition("  web2: { addres: 1.2.3.4 }\n"), false);
    assert!(matches!(findings, Err(ApplyError::Findings { .. })));
    assert_eq!(core.holding().unwrap().record.name, "a");
}

#[test]
fn a_device_that_fails_is_replaced_everywhere_until_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, _) = start(&card, folder.path());
    core.apply("a", &definition(MORE), false).unwrap();
    core.prepare();
    let outcome = core.fail("fw").unwrap();
    assert!(outcome.words.unwrap() > 0);
    let held = core.holding().unwrap();
    assert_eq!(core.card().read_back().unwrap(), rows(&held.image));
    // `mail` names no alternate.
    let gone = unavailable(&held.definition);
    assert_eq!(gone, [(String::from("mail"), String::from("fw"))]);
    drop(core);
    let (core, found) = start(&card, folder.path());
    assert_eq!(found, Found::Same);
    // It stays failed over a change and a restart.
    core.apply("b", &definition(""), false).unwrap();
    assert!(core.holding().unwrap().record.failed.contains("fw"));
    core.restore("fw").unwrap();
    assert!(core.holding().unwrap().record.failed.is_empty());
    let unknown = core.fail("fv").unwrap_err().to_string();
    assert!(unknown.contains("`fw2`"), "{unknown}");
}

#[test]
fn one_side_one_word_each_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, _) = start(&card, folder.path());
    core.apply("a", &definition(""), false).unwrap();
    core.prepare();
    assert_eq!(core.fail("fw").unwrap().words, Some(2));
}

#[test]
fn nobody_left_is_closed_or_gone_on_without() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, _) = start(&card, folder.path());
    let open = "  mail: { address: 203.0.113.14, port: 25, sequence: [{ device: fw, on_failure: open }, srv] }\n";
    core.apply("a", &definition(open), false).unwrap();
    core.fail("fw").unwrap();
    let web_and_mail = |core: &Core| {
        let definition = core.holding().unwrap().definition;
        (unavailable(&definition), bypassed(&definition))
    };
    let of = |service: &str, device: &str| (String::from(service), String::from(device));
    assert_eq!(web_and_mail(&core), (vec![], vec![of("mail", "fw")]));
    core.fail("fw2").unwrap();
    let (gone, without) = web_and_mail(&core);
    assert_eq!(
        (gone, without),
        (vec![of("web", "fw")], vec![of("mail", "fw")])
    );
    core.restore("fw").unwrap();
    core.restore("fw2").unwrap();
    assert_eq!(web_and_mail(&core), (vec![], vec![]));
    let held = core.holding().unwrap();
    assert_eq!(core.card().read_back().unwrap(), rows(&held.image));
}

#[test]
fn a_fail_over_that_is_cut_off_ends_in_one_of_the_two() {
    let mut failed = [0, 0];
    for words in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let card = Faulty::new();
        let (core, _) = start(&card, folder.path());
        core.apply("a", &definition(""), false).unwrap();
        core.prepare();
        card.take(words);
        let done = core.fail("fw").is_ok();
        drop(core);
        card.take(ALL);
        let (core, _) = start(&card, folder.path());
        let held = core.holding().unwrap();
        failed[usize::from(held.record.failed.contains("fw"))] += 1;
        assert_eq!(core.card().read_back().unwrap(), rows(&held.image));
        core.fail("fw").unwrap();
        core.restore("fw").unwrap();
        if done {
            break;
        }
    }
    assert!(failed.iter().all(|n| *n > 0), "{failed:?}");
}

#[test]
fn a_record_that_did_not_get_to_the_disk_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let card = Faulty::new();
    let (core, _) = start(&card, folder.path());
    core.apply("a", &definition(""), false).unwrap();
    core.prepare();
    core.fail("fw").unwrap();
    drop(core);
    std::fs::write(folder.path().join("next.json"), "").unwrap();
    let (core, found) = start(&card, folder.path());
    assert_eq!(found, Found::Same);
    assert!(core.holding().unwrap().record.failed.contains("fw"));
}
