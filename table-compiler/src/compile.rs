//! The whole way from a checked definition to an image.

use crate::definition::Definition;
use crate::diagnostic::Diagnostic;
use crate::lower::model::Model;
use crate::{lower, place};
use seqnic_image::Image;

/// What the image may depend on besides the definition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Start of the sequence hash seeds are taken from. Another one gives another placement of the
    /// same rows.
    pub seed: u64,
}

/// Compiles a definition: the same definition gives the same bytes.
///
/// # Errors
/// See [`compile_with`].
pub fn compile(definition: &Definition) -> Result<Image, Vec<Diagnostic>> {
    compile_with(definition, Options::default())
}

/// Compiles a definition.
///
/// # Errors
/// Everything that is wrong with the definition as a whole, each with its places and the way out:
/// `ambiguous_answer`, `ambiguous_look`, `indistinguishable_steps`, `too_many_ranges`,
/// `too_many_copies`, `untranslatable_ports`, `mixed_modes`, `no_nat_address`, `no_gateway`,
/// `no_end`, `does_not_fit`.
pub fn compile_with(definition: &Definition, options: Options) -> Result<Image, Vec<Diagnostic>> {
    let model = lower::lower(definition)?;
    pack(definition, model, options)
}

/// Second half of [`compile_with`]: gives the rows of [`lower::lower`] their places.
///
/// # Errors
/// `does_not_fit` for every table whose keys find no places.
pub fn pack(
    definition: &Definition,
    model: Model,
    options: Options,
) -> Result<Image, Vec<Diagnostic>> {
    place::pack::pack(definition, model, options.seed)
}
