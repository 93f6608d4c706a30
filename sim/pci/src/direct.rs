//! A card in the driver's own process.

use crate::function::bar_bytes;
use crate::{Card, Function};
use seqnic_spec::host::rings;
use seqnic_transport::{Error, Memory, Result, Transport};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A card as a transport. The card works inside of the calls: when a register access returns, what it set
/// off is done.
#[derive(Debug)]
pub struct Direct<C> {
    name: String,
    function: Arc<Mutex<Function<C>>>,
}

impl<C: Card> Direct<C> {
    pub fn new(name: &str, card: C) -> Direct<C> {
        Direct::of(name, Arc::new(Mutex::new(Function::new(card))))
    }

    /// For a function others work with too.
    pub fn of(name: &str, function: Arc<Mutex<Function<C>>>) -> Direct<C> {
        Direct {
            name: name.to_string(),
            function,
        }
    }

    pub fn function(&self) -> &Arc<Mutex<Function<C>>> {
        &self.function
    }

    /// The function, for the other side of the card: its ports.
    pub fn lock(&self) -> MutexGuard<'_, Function<C>> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, what: String, reason: io::Error) -> Error {
        Error::Refused {
            card: self.name.clone(),
            what,
            reason,
        }
    }

    fn inside(&self, bar: u32, offset: u64) -> Result<()> {
        match offset.is_multiple_of(4) && offset < bar_bytes(bar) {
            true => Ok(()),
            false => Err(Error::Invalid {
                card: self.name.clone(),
                what: format!("no 32-bit word at {offset:#x} of BAR {bar}"),
            }),
        }
    }
}

impl<C: Card> Transport for Direct<C> {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        self.lock().config.read(offset, data);
        Ok(())
    }

    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.lock().config_write(offset, data);
        Ok(())
    }

    fn bar_length(&self, bar: u32) -> u64 {
        bar_bytes(bar)
    }

    fn read32(&self, bar: u32, offset: u64) -> Result<u32> {
        self.inside(bar, offset)?;
        let mut function = self.lock();
        while function.work() {}
        let mut word = [0; 4];
        function.bar_read(bar, offset, &mut word);
        Ok(u32::from_le_bytes(word))
    }

    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()> {
        self.inside(bar, offset)?;
        let mut function = self.lock();
        function.bar_write(bar, offset, &value.to_le_bytes());
        while function.work() {}
        Ok(())
    }

    fn bar_pointer(&self, _: u32) -> Option<NonNull<u8>> {
        None
    }

    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()> {
        (self.lock().host.map(iova, memory.clone()))
            .map_err(|e| self.refused(format!("mapping {} bytes at {iova:#x}", memory.length()), e))
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        self.lock().host.unmap(iova, 1);
        Ok(())
    }

    fn vectors(&self) -> u32 {
        rings::VECTORS
    }

    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()> {
        let fds: io::Result<Vec<_>> = (events.iter())
            .map(|fd| fd.try_clone_to_owned().map(Some))
            .collect();
        let fds = fds.map_err(|e| self.refused("enabling vectors".to_string(), e))?;
        self.lock().host.connect(0, fds);
        Ok(())
    }

    fn disable_vectors(&self) -> Result<()> {
        self.lock().host.disconnect();
        Ok(())
    }

    fn reset(&self) -> Result<()> {
        self.lock().reset();
        Ok(())
    }
}

impl<C> Drop for Direct<C> {
    fn drop(&mut self) {
        let mut function = self.function.lock().unwrap_or_else(PoisonError::into_inner);
        function.host.disconnect();
        function.host.unmap_all();
    }
}
