//! Evaluator
use crate::{Bits, Circuit};
/// Sim
pub struct Sim;
/// Handle
#[derive(Clone, Copy, Debug)]
pub struct Handle;
/// Error
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct SimError;
impl Sim {
    /// New.
    pub fn new(_c: &Circuit) -> Self { Sim }
    /// Sets.
    pub fn set(&mut self, _n: &str, _v: u64) {}
    /// Gets.
    pub fn get(&mut self, _n: &str) -> u64 { 0 }
    /// One clock.
    pub fn step(&mut self) {}
    /// n clocks.
    pub fn step_n(&mut self, _n: u32) {}
    /// Reset.
    pub fn reset(&mut self) {}
    /// Row.
    pub fn peek(&mut self, _n: &str, _row: u32) -> Bits { Bits::zero(1) }
    /// Row.
    pub fn poke(&mut self, _n: &str, _row: u32, _v: &Bits) {}
}
