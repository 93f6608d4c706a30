//! A transport that injects faults into another: what a card does that breaks, in every way a driver can notice
//! and some it can only survive.
//!
//! [`Faulty`] lets through what it is not told to break. A fault is set at once ([`Faulty::set`]) and
//! holds until it is taken back; lies in memory are told by [`Faulty::memory`], as the card could.

use seqnic_transport::{Error, Interrupt, Memory, Result, Transport};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything works.
    None,
    /// Each access takes as much longer.
    Slow(Duration),
    /// Off the bus: registers read as all ones, writes go nowhere, the rest is refused.
    Gone,
    /// The other process has ended: every call says so.
    Lost,
    /// No call is answered within its time.
    Silent,
    /// Register writes go nowhere, registers stay as they were when last read: its clock stands still.
    Frozen,
    /// Doorbells and other writes go nowhere; reads are right.
    Deaf,
    /// Registers that are read have this bit turned.
    Flipped(u32),
    /// Function level resets are refused.
    NoReset,
}

/// A transport with faults.
pub struct Faulty {
    inner: Arc<dyn Transport>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    frozen: BTreeMap<(u32, u64), u32>,
    /// Registers that read as something else.
    other: BTreeMap<(u32, u64), u32>,
    /// Accesses until the fault, if it does not hold at once.
    after: Option<(u64, Fault)>,
    memory: BTreeMap<u64, Arc<Memory>>,
    drop_interrupts: bool,
    dead: Vec<Interrupt>,
    /// Accesses so far.
    accesses: u64,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Transport>) -> Faulty {
        Faulty {
            inner,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is broken, and nothing else will be later.
    pub fn set(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some(fault);
        state.after = None;
    }

    /// After so many more accesses this breaks.
    pub fn set_after(&self, accesses: u64, fault: Fault) {
        self.state().after = Some((accesses, fault));
    }

    /// This register reads as something else.
    pub fn set_register(&self, bar: u32, offset: u64, value: u32) {
        self.state().other.insert((bar, offset), value);
    }

    /// Vectors that are enabled from now on fire into the void.
    pub fn drop_interrupts(&self, drop: bool) {
        self.state().drop_interrupts = drop;
    }

    /// The card is reset by someone else.
    ///
    /// # Errors
    /// The card's.
    pub fn reset_behind(&self) -> Result<()> {
        self.inner.reset()
    }

    /// Memory lent to the card, by bus address: what it may write to at any time.
    pub fn memory(&self) -> Vec<(u64, Arc<Memory>)> {
        (self.state().memory.iter())
            .map(|(iova, memory)| (*iova, memory.clone()))
            .collect()
    }

    pub fn accesses(&self) -> u64 {
        self.state().accesses
    }

    /// What is broken for this access.
    fn fault(&self) -> Fault {
        let mut state = self.state();
        state.accesses += 1;
        match state.after {
            Some((0, fault)) => {
                state.after = None;
                state.fault = Some(fault);
            }
            Some((left, fault)) => state.after = Some((left - 1, fault)),
            None => {}
        }
        let fault = state.fault.unwrap_or(Fault::None);
        drop(state);
        if let Fault::Slow(time) = fault {
            std::thread::sleep(time);
        }
        fault
    }

    /// What calls that are answered say.
    fn answer(&self, what: &'static str) -> Result<Fault> {
        let card = self.inner.address();
        match self.fault() {
            Fault::Lost => Err(Error::Gone {
                card,
                what: "its process has closed the connection".to_string(),
            }),
            Fault::Silent => Err(Error::Hung {
                card,
                what,
                after: Duration::ZERO,
            }),
            other => Ok(other),
        }
    }

    fn refused(&self, what: &str) -> Error {
        Error::Refused {
            card: self.inner.address(),
            what: what.to_string(),
            reason: std::io::ErrorKind::PermissionDenied.into(),
        }
    }
}

impl Transport for Faulty {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        match self.answer("CONFIG_READ")? {
            Fault::Gone => {
                data.fill(0xff);
                Ok(())
            }
            _ => self.inner.config_read(offset, data),
        }
    }

    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()> {
        match self.answer("CONFIG_WRITE")? {
            Fault::Gone => Ok(()),
            _ => self.inner.config_write(offset, data),
        }
    }

    fn bar_length(&self, bar: u32) -> u64 {
        self.inner.bar_length(bar)
    }

    fn read32(&self, bar: u32, offset: u64) -> Result<u32> {
        let fault = self.answer("REGION_READ")?;
        let key = (bar, offset);
        Ok(match fault {
            Fault::Gone => u32::MAX,
            Fault::Flipped(bit) => self.inner.read32(bar, offset)? ^ 1 << (bit % 32),
            Fault::Frozen => self.state().frozen.get(&key).copied().unwrap_or_default(),
            _ => {
                let value = self.inner.read32(bar, offset)?;
                let mut state = self.state();
                state.frozen.insert(key, value);
                state.other.get(&key).copied().unwrap_or(value)
            }
        })
    }

    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()> {
        match self.answer("REGION_WRITE")? {
            Fault::Gone | Fault::Frozen | Fault::Deaf => Ok(()),
            _ => self.inner.write32(bar, offset, value),
        }
    }

    fn bar_pointer(&self, _: u32) -> Option<NonNull<u8>> {
        None
    }

    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()> {
        self.answer("DMA_MAP")?;
        self.inner.dma_map(iova, memory)?;
        self.state().memory.insert(iova, memory.clone());
        Ok(())
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        self.answer("DMA_UNMAP")?;
        self.inner.dma_unmap(iova)?;
        self.state().memory.remove(&iova);
        Ok(())
    }

    fn vectors(&self) -> u32 {
        self.inner.vectors()
    }

    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()> {
        self.answer("SET_IRQS")?;
        if !self.state().drop_interrupts {
            return self.inner.enable_vectors(events);
        }
        let dead: Vec<_> = events
            .iter()
            .filter_map(|_| Interrupt::new().ok())
            .collect();
        let fds: Vec<_> = dead.iter().map(AsFd::as_fd).collect();
        self.inner.enable_vectors(&fds)?;
        drop(fds);
        self.state().dead = dead;
        Ok(())
    }

    fn disable_vectors(&self) -> Result<()> {
        self.answer("SET_IRQS")?;
        self.inner.disable_vectors()
    }

    fn reset(&self) -> Result<()> {
        match self.answer("DEVICE_RESET")? {
            Fault::Gone | Fault::NoReset | Fault::Frozen => {
                Err(self.refused("a function level reset"))
            }
            _ => self.inner.reset(),
        }
    }
}
