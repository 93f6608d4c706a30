//! What was last applied, on disk.
//!
//! `applied.json` says which definition holds; `tables-DIGEST.img` are its tables as they were written to
//! the card, with their hash seeds and numbers. A change first writes the new tables and `next.json`
//! (write-ahead), then the card, then renames `next.json` to `applied.json`. Whatever moment the daemon is
//! killed in, there is one definition that was applied whole, and at most one that was under way; the card
//! says which of the two it has.
//!
//! A change of few words, as a fail-over is, does not wait for all tables to be on disk once more: the record names the
//! file of the tables before and the rows that are other ones. Nor does it wait for the disk: `next.json` is with the kernel
//! before the card is written, which is all that a daemon that is killed needs, and on the disk behind it. If the host loses
//! its power in those milliseconds, so does the card: what was applied before is loaded, and the failure found once more.

use seqnic_compiler::delta::Word;
use seqnic_image::{Image, Names};
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A definition and what the daemon knows beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the definition was called where it came from.
    pub name: String,
    /// The definition as it was given.
    pub text: String,
    /// Devices that failed, beside those the definition says.
    pub failed: BTreeSet<String>,
    /// MACs that were learned, by attachment.
    pub macs: BTreeMap<String, String>,
    /// File of the tables.
    pub tables: String,
    /// Rows that are others than in that file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowOnDisk>,
}

/// A row of a table, lowest word first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowOnDisk {
    pub table: String,
    pub row: u32,
    pub words: Vec<u64>,
}

/// Rows in a record at most; then all tables are written anew.
const ROWS: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal cannot {doing} {}: {source}; is the disk full, or the folder another user's?", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "the journal's {} is damaged: {what}; move it away to start without a definition", path.display()
    )]
    Damaged { path: PathBuf, what: String },
}

/// The journal's folder.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
}

const APPLIED: &str = "applied.json";
const NEXT: &str = "next.json";

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> JournalError + 'a {
    move |source| JournalError::File {
        doing,
        path: path.to_path_buf(),
        source,
    }
}

impl Journal {
    /// Opens the journal; makes its folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> Result<Journal, JournalError> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        Ok(Journal {
            folder: folder.to_path_buf(),
        })
    }

    /// What was applied last.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn applied(&self) -> Result<Option<(Record, Image)>, JournalError> {
        self.load(APPLIED)
    }

    /// What was under way when the daemon ended. A record that did not get to the disk before the power failed is none: the
    /// card had not kept it either.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&self) -> Result<Option<(Record, Image)>, JournalError> {
        match self.load(NEXT) {
            Err(JournalError::Damaged { .. }) => Ok(None),
            found => found,
        }
    }

    fn load(&self, name: &str) -> Result<Option<(Record, Image)>, JournalError> {
        let path = self.folder.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", &path)(e)),
        };
        let damaged = |path: &Path, what: String| JournalError::Damaged {
            path: path.to_path_buf(),
            what,
        };
        let record: Record =
            serde_json::from_slice(&text).map_err(|e| damaged(&path, e.to_string()))?;
        let path = self.folder.join(&record.tables);
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let mut image = seqnic_image::read(&bytes).map_err(|e| damaged(&path, e.to_string()))?;
        for other in &record.rows {
            let table = Table::ALL.into_iter().find(|t| t.name() == other.table);
            let fits = table.filter(|t| other.row < image.geometry.rows(*t));
            let Some(table) = fits else {
                let what = format!("there is no row {} of `{}`", other.row, other.table);
                return Err(damaged(&self.folder.join(name), what));
            };
            let rows = image.table_mut(table);
            let row = Row::from_words(rows.row_bits, &other.words);
            rows.put(other.row, &row);
        }
        Ok(Some((record, image)))
    }

    /// Writes down what is about to be applied.
    ///
    /// # Errors
    /// The disk. Nothing is to be applied then.
    pub fn begin(&self, record: &mut Record, image: &Image) -> Result<(), JournalError> {
        let bytes = seqnic_image::write(image);
        record.tables = format!("tables-{}.img", digest(image));
        record.rows.clear();
        self.put(&record.tables, &bytes)?;
        self.announce(record)?;
        self.settled(NEXT)?;
        self.sync()
    }

    /// As [`Journal::begin`], for few words on top of the tables `record` has, names and numbers being the same. `false`:
    /// there are too many by now, nothing is written.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn begin_words(&self, record: &mut Record, words: &[Word]) -> Result<bool, JournalError> {
        for word in words {
            let table = word.table.name();
            (record.rows).retain(|r| r.row != word.row || r.table != table);
            record.rows.push(RowOnDisk {
                table: table.to_string(),
                row: word.row,
                words: word.now.clone(),
            });
        }
        if record.rows.len() > ROWS {
            return Ok(false);
        }
        self.announce(record)?;
        Ok(true)
    }

    fn announce(&self, record: &Record) -> Result<(), JournalError> {
        let text = serde_json::to_vec_pretty(record).map_err(|e| JournalError::Damaged {
            path: self.folder.join(NEXT),
            what: e.to_string(),
        })?;
        self.place(NEXT, &text, false)
    }

    /// A file is on the disk.
    fn settled(&self, name: &str) -> Result<(), JournalError> {
        let path = self.folder.join(name);
        let done = File::open(&path).and_then(|f| f.sync_all());
        done.map_err(failed("write", &path))
    }

    /// What was begun holds.
    ///
    /// # Errors
    /// The disk.
    pub fn commit(&self) -> Result<(), JournalError> {
        self.settled(NEXT)?;
        let (from, to) = (self.folder.join(NEXT), self.folder.join(APPLIED));
        fs::rename(&from, &to).map_err(failed("rename", &from))?;
        self.sync()?;
        self.sweep();
        Ok(())
    }

    /// What was begun does not hold.
    ///
    /// # Errors
    /// The disk.
    pub fn abandon(&self) -> Result<(), JournalError> {
        let path = self.folder.join(NEXT);
        match fs::remove_file(&path) {
            Ok(()) => self.sync(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("remove", &path)(e)),
        }
    }

    /// Writes a file whole or not at all, and waits until it is on the disk.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.place(name, bytes, true)?;
        self.sync()
    }

    /// Writes a file whole or not at all.
    fn place(&self, name: &str, bytes: &[u8], wait: bool) -> Result<(), JournalError> {
        let path = self.folder.join(name);
        let part = self.folder.join(format!("{name}.part"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&part)?;
            file.write_all(bytes)?;
            if wait {
                file.sync_all()?;
            }
            fs::rename(&part, &path)
        };
        write().map_err(failed("write", &path))
    }

    fn sync(&self) -> Result<(), JournalError> {
        let done = File::open(&self.folder).and_then(|f| f.sync_all());
        done.map_err(failed("write", &self.folder))
    }

    /// Removes tables no record needs. What cannot be removed is removed the next time.
    fn sweep(&self) {
        let needed: Vec<String> = [APPLIED, NEXT]
            .iter()
            .filter_map(|name| fs::read(self.folder.join(name)).ok())
            .filter_map(|text| serde_json::from_slice::<Record>(&text).ok())
            .map(|record| record.tables)
            .collect();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let tables = name.starts_with("tables-") || name.ends_with(".part");
            if tables && !needed.contains(&name) {
                let _next_time = fs::remove_file(entry.path());
            }
        }
    }
}

/// Digest of all rows of an image, whatever is called how: the same for tables read back from a card.
pub fn digest(image: &Image) -> String {
    let mut text = String::new();
    for table in seqnic_spec::tables::Table::ALL {
        for byte in image.digest(table).0 {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    // The file name stays short: a table's digest moves the whole.
    let folded = text.bytes().fold([0u64; 2], |[a, b], byte| {
        let a = (a ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        [a, b.rotate_left(7) ^ a]
    });
    format!("{:016x}{:016x}", folded[0], folded[1])
}

/// An image's rows alone: equal to those read back from a card that has them.
pub fn rows(image: &Image) -> Image {
    let mut image = image.clone();
    image.tables.iter_mut().for_each(seqnic_card::trim);
    image.names = Names::default();
    image.generation = 0;
    image
}
