//! Safe layer over the C ABI of `shim.cpp`.

use libloading::Library;
use seqnic_pci::Host;
use seqnic_verilated::RtlError;
use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

type ReadHost = unsafe extern "C" fn(*mut c_void, u64, *mut u8, u32) -> u32;
type WriteHost = unsafe extern "C" fn(*mut c_void, u64, *const u8, u32) -> u32;

macro_rules! abi {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        struct Abi { $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)* }
        impl Abi {
            /// # Safety
            /// The library is built from `shim.cpp`, whose signatures these are.
            unsafe fn load(library: &Library) -> Result<Abi, libloading::Error> {
                // SAFETY: by the caller's promise.
                unsafe { Ok(Abi { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* }) }
            }
        }
    };
}

abi! {
    sc_new: fn(*const c_char, *const u8) -> *mut c_void;
    sc_free: fn(*mut c_void);
    sc_ports: fn() -> u32;
    sc_clock: fn(*mut c_void) -> u64;
    sc_time: fn(*mut c_void, u64, u32);
    sc_link: fn(*mut c_void, u32);
    sc_host: fn(*mut c_void, *mut c_void, ReadHost, WriteHost);
    sc_read: fn(*mut c_void, u32, *mut u32, u32) -> u32;
    sc_write: fn(*mut c_void, u32, u32, u32) -> u32;
    sc_flr: fn(*mut c_void);
    sc_push: fn(*mut c_void, u32, *const u8, u32);
    sc_waiting: fn(*mut c_void) -> u64;
    sc_run: fn(*mut c_void, u64) -> u32;
    sc_front: fn(*mut c_void, *mut u32, *mut *const u8, *mut u32) -> u32;
    sc_pop: fn(*mut c_void);
    sc_vector: fn(*mut c_void, *mut u32) -> u32;
}

/// Clocks after which a register access counts as not answered.
const PATIENCE: u32 = 10_000;

/// A running card.
pub struct Shim {
    handle: *mut c_void,
    abi: Abi,
    /// Keeps the code of `abi` mapped; dropped after the handle.
    _library: Library,
}

// SAFETY: the model is used by one thread at a time (`&mut self`) and has nothing that belongs to a thread.
unsafe impl Send for Shim {}

/// # Safety
/// `host` is the `Host` of the call that is going on; `to` has `bytes` bytes.
unsafe extern "C" fn read_host(host: *mut c_void, address: u64, to: *mut u8, bytes: u32) -> u32 {
    // SAFETY: by the caller's promise; `Shim::with` keeps the borrow as long as the call lasts.
    let (host, to) = unsafe {
        let to = std::slice::from_raw_parts_mut(to, bytes as usize);
        (&*host.cast::<Host>(), to)
    };
    host.read(address, to).is_ok().into()
}

/// # Safety
/// As [`read_host`].
unsafe extern "C" fn write_host(
    host: *mut c_void,
    address: u64,
    from: *const u8,
    bytes: u32,
) -> u32 {
    // SAFETY: as above.
    let (host, from) = unsafe {
        let from = std::slice::from_raw_parts(from, bytes as usize);
        (&*host.cast::<Host>(), from)
    };
    // A beat may be the start of a status line: its first word is the one that says all else is there.
    host.publish(address, from).is_ok().into()
}

impl Shim {
    pub fn start(library: &Path, wave: Option<&Path>, sha: &[u8; 20]) -> Result<Shim, RtlError> {
        let load = |what: String| RtlError::Load {
            path: library.into(),
            what,
        };
        let wave = wave.map_or(&b""[..], |w| w.as_os_str().as_bytes());
        let wave = CString::new(wave).map_err(|e| load(e.to_string()))?;
        // SAFETY: the library is ours, built from shim.cpp; it has no constructors with side effects.
        unsafe {
            let lib = Library::new(library).map_err(|e| load(e.to_string()))?;
            let abi = Abi::load(&lib).map_err(|e| load(e.to_string()))?;
            let handle = (abi.sc_new)(wave.as_ptr(), sha.as_ptr());
            Ok(Shim {
                handle,
                abi,
                _library: lib,
            })
        }
    }

    pub fn ports(&self) -> u32 {
        // SAFETY: no arguments.
        unsafe { (self.abi.sc_ports)() }
    }

    pub fn clock(&self) -> u64 {
        // SAFETY: the handle lives as long as self.
        unsafe { (self.abi.sc_clock)(self.handle) }
    }

    /// The time of the next clock, unless it is later already, and what a clock takes.
    pub fn time(&mut self, now: u64, clock_ns: u32) {
        // SAFETY: as above.
        unsafe { (self.abi.sc_time)(self.handle, now, clock_ns) }
    }

    /// Which ports have a link, a bit a port, from the next clock on.
    pub fn link(&mut self, up: u32) {
        // SAFETY: as above.
        unsafe { (self.abi.sc_link)(self.handle, up) }
    }

    /// Every call that lets clocks go by goes through here: transfers need a host.
    fn with<T>(&mut self, host: &mut Host, call: impl FnOnce(&Abi, *mut c_void) -> T) -> T {
        let context: *mut Host = host;
        // SAFETY: the host outlives the call; nobody else uses it meanwhile.
        unsafe { (self.abi.sc_host)(self.handle, context.cast(), read_host, write_host) };
        call(&self.abi, self.handle)
    }

    /// A register; `None` if the card does not answer.
    pub fn read(&mut self, host: &mut Host, offset: u32) -> Option<u32> {
        let mut value = 0;
        // SAFETY: `value` is written in the call only.
        let answered = self.with(host, |abi, card| unsafe {
            (abi.sc_read)(card, offset, &mut value, PATIENCE)
        });
        (answered == 1).then_some(value)
    }

    pub fn write(&mut self, host: &mut Host, offset: u32, value: u32) {
        // SAFETY: as above.
        self.with(host, |abi, card| unsafe {
            (abi.sc_write)(card, offset, value, PATIENCE);
        });
    }

    pub fn reset(&mut self, host: &mut Host) {
        // SAFETY: as above.
        self.with(host, |abi, card| unsafe { (abi.sc_flr)(card) });
    }

    /// Runs at most so many clocks; whether something is still going on.
    pub fn run(&mut self, host: &mut Host, most: u64) -> bool {
        // SAFETY: as above.
        self.with(host, |abi, card| unsafe { (abi.sc_run)(card, most) == 0 })
    }

    /// Queues a frame at a port.
    pub fn push(&mut self, port: u32, frame: &[u8]) {
        assert!(port < self.ports() && !frame.is_empty());
        // SAFETY: the shim copies; the port is in range.
        unsafe { (self.abi.sc_push)(self.handle, port, frame.as_ptr(), frame.len() as u32) }
    }

    /// Frames the card has not taken yet.
    pub fn waiting(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (self.abi.sc_waiting)(self.handle) }
    }

    /// Hands the next frame that left to `with`.
    pub fn pop(&mut self, with: impl FnOnce(u32, &[u8])) -> bool {
        let (mut port, mut bytes, mut length) = (0, std::ptr::null(), 0);
        // SAFETY: the frame stays where it is until sc_pop, and `with` cannot keep the borrow.
        unsafe {
            if (self.abi.sc_front)(self.handle, &mut port, &mut bytes, &mut length) == 0 {
                return false;
            }
            with(port, std::slice::from_raw_parts(bytes, length as usize));
            (self.abi.sc_pop)(self.handle);
            true
        }
    }

    pub fn vector(&mut self) -> Option<u32> {
        let mut vector = 0;
        // SAFETY: as above.
        let there = unsafe { (self.abi.sc_vector)(self.handle, &mut vector) };
        (there == 1).then_some(vector)
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // SAFETY: made by sc_new, freed once.
        unsafe { (self.abi.sc_free)(self.handle) }
    }
}
