//! The image engine against `docs/semantics.md`, section by section.

mod edit;
mod engine;
mod explain;
mod fast;
mod frames;
mod images;
mod load;
mod lookup;
mod parse;
mod tags;
mod verdict;
