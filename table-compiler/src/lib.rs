//! Service definition -> checked definition -> resolved model -> placed tables -> image.

pub mod definition;
pub mod diagnostic;

pub use definition::read::{FileError, read, read_file};
