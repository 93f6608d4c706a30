//! Why there is no delta.

use crate::diagnostic::Diagnostic;
use seqnic_spec::tables::Table;

/// Why a definition cannot be reached from an image by a delta.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    #[error("the new definition is refused: {}", first(.0))]
    Definition(Vec<Diagnostic>),

    #[error(
        "the tables are made for geometry `{old}`, the new definition asks for `{new}`; a delta \
         keeps the card: compile the new definition and load it whole"
    )]
    Geometry {
        old: &'static str,
        new: &'static str,
    },

    #[error(
        "table `{}` has no place for {keys} more keys under the hash seeds that are loaded ({used} of \
         {places} places are taken while old and new stand side by side); make the change in \
         smaller steps, or compile the new definition and load it whole", table.name()
    )]
    NoPlace {
        table: Table,
        /// Keys that found none, the first of them included.
        keys: usize,
        used: u32,
        places: u32,
    },

    #[error(
        "{needed} more numbers of `{space}` are needed while old and new stand side by side, {free} are \
         free; make the change in smaller steps, or compile the new definition and load it whole"
    )]
    NoRoom {
        space: &'static str,
        needed: usize,
        free: usize,
    },

    #[error(
        "the tables are in the middle of a delta (table `{}`, row {row}); continue it, roll it back, or \
         settle the tables first", table.name()
    )]
    Unfinished { table: Table, row: u32 },

    #[error(
        "the tables contradict themselves: {what}; they were not written by this compiler: \
         compile the definition and load it whole"
    )]
    Broken { what: String },
}

fn first(diagnostics: &[Diagnostic]) -> String {
    let more = diagnostics.len().saturating_sub(1);
    match (diagnostics.first(), more) {
        (None, _) => String::from("nothing says why"),
        (Some(d), 0) => d.message.clone(),
        (Some(d), n) => format!("{} (and {n} more)", d.message),
    }
}

/// Why a delta does not fit tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error(
        "table `{}`, row {row} is not what the delta starts from; it was made for other tables: make \
         it anew from those that are loaded", table.name()
    )]
    OtherRow { table: Table, row: u32 },

    #[error("the delta is for geometry `{delta}`, the tables are for `{tables}`")]
    Geometry {
        delta: &'static str,
        tables: &'static str,
    },
}
