//! Registers by the names of `hdl/spec`.

use crate::error::Result;
use seqnic_spec::host::pci::BAR_REGISTERS;
use seqnic_spec::host::registers::Register;
use seqnic_transport::Transport;
use std::sync::Arc;

/// The registers of a card.
#[derive(Clone)]
pub struct Registers {
    transport: Arc<dyn Transport>,
}

impl Registers {
    pub fn new(transport: Arc<dyn Transport>) -> Registers {
        Registers { transport }
    }

    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Name of the card for messages.
    pub fn card(&self) -> String {
        self.transport.address()
    }

    /// The `i`-th of a kind.
    ///
    /// # Errors
    /// The card is not reached.
    pub fn read(&self, register: &Register, i: u32) -> Result<u32> {
        Ok((self.transport).read32(BAR_REGISTERS, register.at(i).into())?)
    }

    /// One field of it.
    ///
    /// # Errors
    /// The card is not reached.
    pub fn field(&self, register: &Register, i: u32, name: &str) -> Result<u32> {
        Ok(register.get(self.read(register, i)?, name))
    }

    /// Writes the `i`-th of a kind; posted.
    ///
    /// # Errors
    /// The card is not reached, or a write before was refused.
    pub fn write(&self, register: &Register, i: u32, value: u32) -> Result<()> {
        Ok((self.transport).write32(BAR_REGISTERS, register.at(i).into(), value)?)
    }
}
