//! Coverage-guided fuzzing (libFuzzer) of everything that reads what others wrote. `tools/fuzz.sh` builds and runs it.
//!
//! One program with all targets; `SEQNIC_FUZZ_TARGET` says which one runs. With `SEQNIC_FUZZ_SEEDS=FOLDER` it writes that
//! target's first inputs there instead, made from the case folders.
#![no_main]

mod cases;
mod target;

use libfuzzer_sys::{Corpus, fuzz_target};
use std::path::Path;
use std::sync::OnceLock;
use target::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("SEQNIC_FUZZ_TARGET").unwrap_or_default();
        let found = target::ALL.iter().find(|t| t.name == name);
        found.unwrap_or_else(|| {
            let names: Vec<_> = target::ALL.iter().map(|t| t.name).collect();
            eprintln!(
                "SEQNIC_FUZZ_TARGET is `{name}`; there are {}",
                names.join(", ")
            );
            std::process::exit(2)
        })
    })
}

fn write_seeds(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (n, seed) in (chosen().seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{n:05}")), seed)?;
    }
    Ok(())
}

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("SEQNIC_FUZZ_SEEDS") {
            let done = write_seeds(Path::new(&folder));
            if let Err(error) = &done {
                eprintln!("{}: {error}", Path::new(&folder).display());
            }
            std::process::exit(done.is_err().into());
        }
    },
    |input: &[u8]| -> Corpus {
        match (chosen().run)(input) {
            true => Corpus::Keep,
            false => Corpus::Reject,
        }
    }
);
