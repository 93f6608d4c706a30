//! Service definition -> checked definition -> resolved model -> placed tables -> image.

pub mod compile;
pub mod definition;
pub mod delta;
pub mod diagnostic;
pub mod lower;
pub mod place;
pub mod report;

pub use compile::{Options, compile, compile_with};
pub use definition::read::{FileError, MAX_DEFINITION, read, read_file};
