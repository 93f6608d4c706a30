//! Which definition holds, and how another one comes to hold.
//!
//! All or nothing: a definition is read, checked and turned into words before anything is touched, written
//! to the journal before the card, and rolled back if the card fails. Failed devices and learned MACs are
//! laid over the text, so a fail-over is a change like any other: the same text, one device more that
//! is failed.

use crate::clock::Clock;
use crate::journal::{Journal, JournalError, Record, rows};
use crate::pair::Own;
use crate::{lock, neighbours};
use seqnic_card::{Card, CardError, Presence};
use seqnic_compiler::definition::{Definition, Element, ReturnWay, Role, State};
use seqnic_compiler::delta::{self, Delta, DeltaError};
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_image::Image;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Why a definition was not applied. Nothing has changed then, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the definition is refused")]
    Findings {
        name: String,
        text: String,
        diagnostics: Vec<Diagnostic>,
    },
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error(transparent)]
    Card(#[from] CardError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "the card was lost in the middle of the change ({0}); when it is there again it gets the old definition or the new one, whole: see `seqnic status`"
    )]
    Lost(CardError),
    #[error("no definition is applied yet: `seqnic apply FILE`")]
    Nothing,
    #[error("the definition has no device `{name}`; it has {known}")]
    NoDevice { name: String, known: String },
    #[error(
        "the card failed in a change and the tables could not be made whole again: {0}; apply the definition with --reload"
    )]
    Torn(String),
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Words that were written; `None`: all tables were loaded.
    pub words: Option<usize>,
    /// How long the card was written, until the change held.
    pub took: Duration,
    /// How long it took to work out what to write, and to write that down on disk, before.
    pub delta: Duration,
    pub journal: Duration,
}

impl Outcome {
    fn dry(words: Option<usize>) -> Outcome {
        Outcome {
            words,
            took: Duration::ZERO,
            delta: Duration::ZERO,
            journal: Duration::ZERO,
        }
    }
}

/// What holds now.
#[derive(Debug, Clone)]
pub struct Holding {
    pub record: Record,
    /// With failed devices and learned MACs in it.
    pub definition: Arc<Definition>,
    pub image: Arc<Image>,
    /// Another one for whatever holds next.
    version: u64,
}

impl Holding {
    /// Another number for whatever holds next, also if it has the same tables.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// How the daemon found the card when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Neither card nor journal have anything.
    Nothing,
    /// The card had the tables of the journal: nothing was written, traffic went on.
    Same,
    /// The card was in the middle of the change that was under way; it was ended, traffic went on.
    Settled,
    /// The card had other tables or none: all were loaded.
    Loaded,
    /// The card is not there. What the journal says holds as soon as it is ([`Core::join`]).
    Away,
}

impl Found {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Found::Nothing => "no definition yet",
            Found::Same => "has the tables of the journal, nothing written",
            Found::Settled => "was in the middle of a change, which was ended",
            Found::Loaded => "all tables loaded from the journal",
            Found::Away => "the card is away",
        }
    }
}

pub struct Core {
    card: Arc<dyn Card>,
    journal: Journal,
    own: Own,
    clock: Clock,
    /// One change at a time. Whether the card's tables are known to be those of `holding`: after the card was away they
    /// are not until [`Core::join`] has looked.
    changing: Mutex<bool>,
    holding: Mutex<Option<Holding>>,
    /// Changes that were prepared: the device that fails, when this version holds.
    prepared: Mutex<BTreeMap<String, (u64, Delta)>>,
    versions: AtomicU64,
}

impl Core {
    /// Makes the card hold what was applied last. What it has already is left alone. A card that is away is no
    /// error: it will be joined when it is there.
    ///
    /// # Errors
    /// The journal cannot be read, or the card fails.
    pub fn start(card: Arc<dyn Card>, journal: Journal) -> Result<(Core, Found), ApplyError> {
        Core::start_as(card, journal, Own::default())
    }

    /// As [`Core::start`], with what is this engine's own of every definition.
    ///
    /// # Errors
    /// As [`Core::start`].
    pub fn start_as(
        card: Arc<dyn Card>,
        journal: Journal,
        own: Own,
    ) -> Result<(Core, Found), ApplyError> {
        let core = Core {
            card,
            journal,
            own,
            clock: Clock::default(),
            changing: Mutex::default(),
            holding: Mutex::default(),
            prepared: Mutex::default(),
            versions: AtomicU64::new(0),
        };
        let found = match core.join() {
            Err(ApplyError::Card(_)) if core.is_away() => {
                if let Some((record, image)) = core.journal.applied()? {
                    let definition = core.laid_over(&record)?;
                    core.hold(record, definition, image);
                }
                Found::Away
            }
            found => found?,
        };
        Ok((core, found))
    }

    /// Takes the time from somewhere else. To be done before a [`crate::daemon::Daemon`] is made of it.
    pub fn with_clock(mut self, clock: Clock) -> Core {
        self.clock = clock;
        self
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The card's tables are not known any more: it was lost. Nothing is changed until [`Core::join`].
    pub fn part(&self) {
        *lock(&self.changing) = false;
    }

    /// Makes a card that is there (again) hold what was applied last, whatever it has now.
    ///
    /// # Errors
    /// The journal cannot be read, or the card fails: it stays parted.
    pub fn join(&self) -> Result<Found, ApplyError> {
        let mut joined = lock(&self.changing);
        *joined = false;
        let found = self.find()?;
        *joined = true;
        Ok(found)
    }

    fn is_away(&self) -> bool {
        self.card.presence() != Presence::Here
    }

    /// The lock for a change; refused while the card is away.
    fn one(&self) -> Result<MutexGuard<'_, bool>, ApplyError> {
        let joined = lock(&self.changing);
        if let Presence::Away(away) = self.card.presence() {
            return Err(CardError::Away { why: away.why }.into());
        }
        match *joined {
            true => Ok(joined),
            false => Err(CardError::Away {
                why: String::from("it is there again, and its tables are being looked at"),
            }
            .into()),
        }
    }

    fn find(&self) -> Result<Found, ApplyError> {
        let (applied, next) = (self.journal.applied()?, self.journal.next()?);
        if applied.is_none() && next.is_none() {
            // Nothing to compare the card with; a large one has a million rows to read.
            self.journal.abandon()?;
            return Ok(Found::Nothing);
        }
        let on_card = self.card.read_back()?;
        // A change under way is over if the card has it all.
        for (is_next, candidate) in [(false, &applied), (true, &next)] {
            let Some((record, image)) = candidate else {
                continue;
            };
            if rows(image) == on_card {
                self.adopt(record.clone(), image.clone(), is_next)?;
                return Ok(Found::Same);
            }
        }
        // In the middle of it: the tables alone say which way is out.
        let words = delta::settle(&on_card);
        for candidate in [&applied, &next] {
            let Some((record, image)) = candidate else {
                continue;
            };
            if same_meaning(image, &on_card, &words) {
                self.card.drain(seqnic_card::DRAIN_TIMEOUT)?;
                self.card.apply(&words)?;
                let mut image = image.clone();
                let mut after = on_card.clone();
                // Rows nothing refers to may stay: the card's tables are what the next change starts from.
                if words.apply(&mut after).is_ok() {
                    image.tables = after.tables;
                }
                let mut record = record.clone();
                self.journal.begin(&mut record, &image)?;
                self.adopt(record, image, true)?;
                return Ok(Found::Settled);
            }
        }
        let Some((record, image)) = applied else {
            self.journal.abandon()?;
            return Ok(Found::Nothing);
        };
        self.card.load(&image)?;
        self.adopt(record, image, false)?;
        Ok(Found::Loaded)
    }

    fn adopt(&self, record: Record, image: Image, commit: bool) -> Result<(), ApplyError> {
        let definition = self.laid_over(&record)?;
        match commit {
            true => self.journal.commit()?,
            false => self.journal.abandon()?,
        }
        self.hold(record, definition, image);
        Ok(())
    }

    fn hold(&self, record: Record, definition: Definition, image: Image) {
        *lock(&self.holding) = Some(Holding {
            record,
            definition: Arc::new(definition),
            image: Arc::new(image),
            version: self.versions.fetch_add(1, Ordering::Relaxed),
        });
    }

    fn laid_over(&self, record: &Record) -> Result<Definition, ApplyError> {
        let mut definition = laid_over(record)?;
        self.own.lay_over(&mut definition);
        Ok(definition)
    }

    pub fn card(&self) -> &Arc<dyn Card> {
        &self.card
    }

    pub fn holding(&self) -> Option<Holding> {
        lock(&self.holding).clone()
    }

    /// Applies a definition. Failed devices stay failed if it still has them, learned MACs stay known.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(&self, name: &str, text: &str, reload: bool) -> Result<Outcome, ApplyError> {
        let mut one = self.one()?;
        let mut record = self.holding().map(|h| h.record).unwrap_or_default();
        record.name = name.to_string();
        record.text = text.to_string();
        self.change(&mut one, record, reload)
    }

    /// Says what [`Core::apply`] would do, and does nothing.
    ///
    /// # Errors
    /// As [`Core::apply`].
    pub fn dry_run(&self, name: &str, text: &str) -> Result<Outcome, ApplyError> {
        let holding = self.holding();
        let mut record = holding
            .as_ref()
            .map(|h| h.record.clone())
            .unwrap_or_default();
        record.name = name.to_string();
        record.text = text.to_string();
        let definition = self.laid_over(&record)?;
        let words = match &holding {
            None => {
                compile(&record, &definition)?;
                None
            }
            Some(h) => Some(
                delta::delta(&h.image, &definition)
                    .map_err(|e| refused(&record, e))?
                    .words
                    .len(),
            ),
        };
        Ok(Outcome::dry(words))
    }

    /// Takes a device out of all services: its alternates stand in.
    ///
    /// # Errors
    /// There is no such device, or the card fails.
    pub fn fail(&self, device: &str) -> Result<Outcome, ApplyError> {
        let mut one = self.one()?;
        let mut record = self.known(device)?;
        if let Some(holding) = self.holding()
            && let Some(change) = self.take_prepared(&holding, device)
            && let Some(outcome) = self.quickly(&mut one, &holding, device, &change)?
        {
            return Ok(outcome);
        }
        record.failed.insert(device.to_string());
        self.change(&mut one, record, false)
    }

    /// Gives a failed device its place back: on order only.
    ///
    /// # Errors
    /// As [`Core::fail`].
    pub fn restore(&self, device: &str) -> Result<Outcome, ApplyError> {
        let mut one = self.one()?;
        let mut record = self.known(device)?;
        record.failed.remove(device);
        self.change(&mut one, record, false)
    }

    /// Takes MACs that were learned, by attachment. `None`: nothing that was not known.
    ///
    /// # Errors
    /// Two have one MAC and cannot be told apart, or the card fails.
    pub fn learn(&self, macs: &BTreeMap<String, String>) -> Result<Option<Outcome>, ApplyError> {
        let mut one = self.one()?;
        let mut record = self.holding().ok_or(ApplyError::Nothing)?.record;
        let before = record.macs.clone();
        record
            .macs
            .extend(macs.iter().map(|(a, m)| (a.clone(), m.clone())));
        if record.macs == before {
            return Ok(None);
        }
        self.change(&mut one, record, false).map(Some)
    }

    fn known(&self, device: &str) -> Result<Record, ApplyError> {
        let holding = self.holding().ok_or(ApplyError::Nothing)?;
        let devices = &holding.definition.devices;
        if devices.iter().any(|d| d.name == device) {
            return Ok(holding.record);
        }
        let names: Vec<String> = devices.iter().map(|d| format!("`{}`", d.name)).collect();
        Err(ApplyError::NoDevice {
            name: device.to_string(),
            known: names.join(", "),
        })
    }

    /// Looks at some rows of the card's tables and mends them. Not while a change is under way, nor before a card that was away
    /// was joined: what it should have is not known then.
    ///
    /// # Errors
    /// The card fails or is away.
    pub fn scrub(&self, rows: u32) -> Result<Vec<seqnic_card::Repair>, CardError> {
        let Ok(joined) = self.changing.try_lock() else {
            return Ok(Vec::new());
        };
        match *joined {
            true => self.card.scrub(rows),
            false => Ok(Vec::new()),
        }
    }

    /// Works out what every single failure would write, so that a fail-over only writes.
    pub fn prepare(&self) {
        let Some(holding) = self.holding() else {
            return;
        };
        for device in &holding.definition.devices {
            let version = holding.version;
            let ready =
                matches!(lock(&self.prepared).get(&device.name), Some((v, _)) if *v == version);
            if ready || holding.record.failed.contains(&device.name) {
                continue;
            }
            let definition = failed(&holding.definition, &device.name);
            if let Ok(change) = delta::delta(&holding.image, &definition) {
                lock(&self.prepared).insert(device.name.clone(), (version, change));
            }
        }
    }

    fn take_prepared(&self, holding: &Holding, device: &str) -> Option<Delta> {
        let (version, change) = lock(&self.prepared).remove(device)?;
        (version == holding.version).then_some(change)
    }

    /// Takes a device out by a change that was prepared: disk, then card, then everything else. `None`: it is no change of few
    /// words, take the usual way.
    fn quickly(
        &self,
        joined: &mut bool,
        holding: &Holding,
        device: &str,
        change: &Delta,
    ) -> Result<Option<Outcome>, ApplyError> {
        if change.was != change.now {
            return Ok(None);
        }
        let mut record = holding.record.clone();
        record.failed.insert(device.to_string());
        let started = self.clock.now();
        if !self.journal.begin_words(&mut record, &change.words)? {
            return Ok(None);
        }
        let journal = self.clock.now() - started;
        self.write(joined, holding, change)?;
        let took = self.clock.now() - started - journal;
        self.journal.commit()?;
        let mut image = Image::clone(&holding.image);
        change
            .apply(&mut image)
            .map_err(|e| ApplyError::Torn(e.to_string()))?;
        self.hold(record, failed(&holding.definition, device), image);
        Ok(Some(Outcome {
            words: Some(change.words.len()),
            took,
            delta: Duration::ZERO,
            journal,
        }))
    }

    /// Writes a change to the card; what cannot be written to the end is taken back.
    fn write(
        &self,
        joined: &mut bool,
        holding: &Holding,
        change: &Delta,
    ) -> Result<(), ApplyError> {
        let Err(e) = self.card.apply(change) else {
            return Ok(());
        };
        if self.is_away() {
            // The journal has both; the card says which it is when it is back.
            *joined = false;
            return Err(ApplyError::Lost(e));
        }
        self.back(&holding.image)?;
        Err(e.into())
    }

    fn change(
        &self,
        joined: &mut bool,
        mut record: Record,
        reload: bool,
    ) -> Result<Outcome, ApplyError> {
        let holding = self.holding();
        let definition = self.laid_over(&record)?;
        let names: BTreeSet<&str> = definition.devices.iter().map(|d| d.name.as_str()).collect();
        record.failed.retain(|f| names.contains(f.as_str()));
        let wanted: BTreeSet<String> = neighbours::wanted(&definition)
            .into_iter()
            .map(|w| w.attachment)
            .collect();
        record
            .macs
            .retain(|attachment, _| wanted.contains(attachment));
        let Some(holding) = holding.filter(|_| !reload) else {
            let image = compile(&record, &definition)?;
            self.journal.begin(&mut record, &image)?;
            let started = self.clock.now();
            if let Err(e) = self.card.load(&image) {
                // A card that was lost may have any part of it: what it is to have is found out when it is back.
                *joined = !self.is_away();
                self.journal.abandon()?;
                return Err(e.into());
            }
            let took = self.clock.now() - started;
            self.journal.commit()?;
            self.hold(record, definition, image);
            let outcome = Outcome::dry(None);
            return Ok(Outcome { took, ..outcome });
        };
        let started = self.clock.now();
        let change = delta::delta(&holding.image, &definition).map_err(|e| refused(&record, e))?;
        let mut image = Image::clone(&holding.image);
        change
            .apply(&mut image)
            .map_err(|e| ApplyError::Torn(e.to_string()))?;
        let delta = self.clock.now() - started;
        self.journal.begin(&mut record, &image)?;
        let journal = self.clock.now() - started - delta;
        self.write(joined, &holding, &change)?;
        let took = self.clock.now() - started - delta - journal;
        self.journal.commit()?;
        self.hold(record, definition, image);
        Ok(Outcome {
            words: Some(change.words.len()),
            took,
            delta,
            journal,
        })
    }

    /// After a change that failed half-way: back to the tables before it.
    fn back(&self, image: &Image) -> Result<(), ApplyError> {
        let torn = |e: CardError| ApplyError::Torn(e.to_string());
        if self.card.read_back().map_err(torn)? != rows(image) {
            self.card.load(image).map_err(torn)?;
        }
        Ok(self.journal.abandon()?)
    }
}

/// The definition of a record, failed devices in it.
fn laid_over(record: &Record) -> Result<Definition, ApplyError> {
    let mut definition = seqnic_compiler::read(&record.text).map_err(|d| findings(record, d))?;
    for device in &mut definition.devices {
        if record.failed.contains(&device.name) {
            device.state = State::Failed;
        }
    }
    neighbours::put(&mut definition, &record.macs);
    Ok(definition)
}

/// A definition with one device more that is failed.
fn failed(definition: &Definition, device: &str) -> Definition {
    let mut definition = definition.clone();
    for d in &mut definition.devices {
        if d.name == device {
            d.state = State::Failed;
        }
    }
    definition
}

fn findings(record: &Record, diagnostics: Vec<Diagnostic>) -> ApplyError {
    ApplyError::Findings {
        name: record.name.clone(),
        text: record.text.clone(),
        diagnostics,
    }
}

fn refused(record: &Record, error: DeltaError) -> ApplyError {
    match error {
        DeltaError::Definition(diagnostics) => findings(record, diagnostics),
        other => ApplyError::Delta(other),
    }
}

fn compile(record: &Record, definition: &Definition) -> Result<Image, ApplyError> {
    seqnic_compiler::compile(definition).map_err(|d| findings(record, d))
}

/// Whether the tables of the card, settled, are those of `image` but for rows nothing refers to.
fn same_meaning(image: &Image, on_card: &Image, words: &Delta) -> bool {
    let mut after = on_card.clone();
    if words.apply(&mut after).is_err() || after.geometry != image.geometry {
        return false;
    }
    let (after, image) = (rows(&after), rows(image));
    seqnic_spec::tables::Table::ALL.into_iter().all(|table| {
        let (card, file) = (after.table(table), image.table(table));
        match table {
            seqnic_spec::tables::Table::Epoch => true,
            _ if table.hash().is_some() => card.words == file.words,
            _ => file
                .used()
                .all(|(row, words)| card.row(row).words() == words),
        }
    })
}

/// Services in which a role has nobody left and packets end: every device of it is failed.
pub fn unavailable(definition: &Definition) -> Vec<(String, String)> {
    nobody_left(definition, false)
}

/// Services that go on without a role, every device of which is failed.
pub fn bypassed(definition: &Definition) -> Vec<(String, String)> {
    nobody_left(definition, true)
}

fn nobody_left(definition: &Definition, open: bool) -> Vec<(String, String)> {
    let failed = |device: usize| definition.devices[device].state == State::Failed;
    let dead = |role: &Role| role.open == open && role.all().all(failed);
    let mut found = Vec::new();
    for service in &definition.services {
        let back: &[Element] = match &service.return_way {
            ReturnWay::List(elements) => elements,
            _ => &[],
        };
        let mut devices = BTreeSet::new();
        for element in service.sequence.iter().chain(back) {
            let (Element::Device { role, .. } | Element::Copy { role, .. }) = element;
            // A copy that is missing stops nothing.
            let stops = open || matches!(element, Element::Device { .. });
            if stops && dead(role) && devices.insert(role.device) {
                let device = definition.devices[role.device].name.clone();
                found.push((service.name.clone(), device));
            }
        }
    }
    found
}
