//! The header path.
