//! `cases build [name...]` makes the captures of cases from their `legs.json`;
//! `cases bless [name...]` then writes their exceptions and counters from the oracle, for review.

use seqnic_oracle::Oracle;
use seqnic_tests::{Case, CaseError, legs};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let names: Vec<String> = arguments.collect();
    let run = match verb.as_str() {
        "build" => build,
        "bless" => bless,
        _ => {
            eprintln!("usage: cases build|bless [name...]");
            return ExitCode::from(2);
        }
    };
    match run(&names) {
        Ok(count) => {
            println!("{count} cases");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn build(names: &[String]) -> Result<usize, CaseError> {
    let root = Case::root();
    let entries = std::fs::read_dir(&root).map_err(|source| CaseError::File {
        path: root.clone(),
        source,
    })?;
    let mut count = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted = names.is_empty() || names.contains(&name);
        if wanted && entry.path().join("legs.json").is_file() {
            legs::build(&entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}

fn bless(names: &[String]) -> Result<usize, CaseError> {
    let mut count = 0;
    for case in Case::all(&Case::root())? {
        if names.is_empty() || names.contains(&case.name) {
            case.bless(&mut Oracle::new(&case.definition))?;
            count += 1;
        }
    }
    Ok(count)
}
