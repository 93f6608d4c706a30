//! Safe layer over the C ABI of `shim.cpp`.

use crate::error::RtlError;
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of sideband that cross the border with each frame.
pub const USER_BYTES: usize = 32;

/// Words in which an item of a snapshot crosses it.
pub const ITEM_WORDS: usize = 3;

#[repr(C)]
struct RawFrame {
    port: u32,
    length: u32,
    bytes: *const u8,
    user: *const u8,
    first_clock: u64,
    last_clock: u64,
}

/// A frame that came out of an output; the host's output has the number after the last port.
pub struct FrameOut<'a> {
    pub port: u32,
    pub bytes: &'a [u8],
    /// The sideband with the last beat, lowest byte first.
    pub user: &'a [u8],
    /// Clocks of the first and the last beat.
    pub first_clock: u64,
    pub last_clock: u64,
}

/// A frame that an input has taken whole.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameTaken {
    /// The first 8 bytes of its sideband.
    pub tag: u64,
    /// Clocks in which its first and its last beat were taken.
    pub first_clock: u64,
    pub last_clock: u64,
}

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
    sn_new: fn(*const c_char) -> *mut c_void;
    sn_free: fn(*mut c_void);
    sn_ports: fn() -> u32;
    sn_bus_bytes: fn() -> u32;
    sn_clock: fn(*mut c_void) -> u64;
    sn_waiting: fn(*mut c_void) -> u64;
    sn_fault: fn(*mut c_void) -> *const c_char;
    sn_pressure: fn(*mut c_void, u32, u32, u32, u64);
    sn_stall: fn(*mut c_void, u32, u32);
    sn_record: fn(*mut c_void, u32);
    sn_inputs: fn(*mut c_void, *mut FrameTaken, u64) -> u64;
    sn_write: fn(*mut c_void, u32, u32, *const u32, *const u64, u32);
    sn_read: fn(*mut c_void, u32, u32, *const u32, *mut u64, u32) -> u32;
    sn_take_items: fn(*mut c_void, u32);
    sn_items: fn(*mut c_void, *mut u64, u64) -> u64;
    sn_push: fn(*mut c_void, u32, *const u8, *const u8, u32);
    sn_run: fn(*mut c_void, u64, u64) -> u32;
    sn_run_below: fn(*mut c_void, u64, u64) -> u32;
    sn_front: fn(*mut c_void, *mut RawFrame) -> u32;
    sn_pop: fn(*mut c_void);
}

/// A running simulation.
pub struct Sim {
    handle: *mut c_void,
    abi: Abi,
    /// Keeps the code of `abi` mapped; dropped after the handle.
    _library: Library,
}

impl Sim {
    /// Starts the simulation in `library`, with a waveform if `wave` is given (and built in).
    pub fn start(library: &Path, wave: Option<&Path>) -> Result<Sim, RtlError> {
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
            let handle = (abi.sn_new)(wave.as_ptr());
            Ok(Sim {
                handle,
                abi,
                _library: lib,
            })
        }
    }

    pub fn ports(&self) -> u32 {
        // SAFETY: no arguments.
        unsafe { (self.abi.sn_ports)() }
    }

    pub fn bus_bytes(&self) -> u32 {
        // SAFETY: no arguments.
        unsafe { (self.abi.sn_bus_bytes)() }
    }

    /// Clocks since the start.
    pub fn clock(&self) -> u64 {
        // SAFETY: the handle lives as long as self.
        unsafe { (self.abi.sn_clock)(self.handle) }
    }

    /// Frames pushed that the card has not taken yet.
    pub fn waiting(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (self.abi.sn_waiting)(self.handle) }
    }

    /// A broken stream rule seen at an output.
    pub fn fault(&self) -> Option<String> {
        // SAFETY: as above; the text lives until the next call.
        unsafe {
            let text = (self.abi.sn_fault)(self.handle);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// `ordered`: frames enter in the order pushed, over all ports. `idle_in`, `stall_out`: percent
    /// of clocks in which an input pauses or an output is not ready.
    pub fn pressure(&mut self, ordered: bool, idle_in: u32, stall_out: u32, seed: u64) {
        // SAFETY: as above.
        unsafe { (self.abi.sn_pressure)(self.handle, ordered.into(), idle_in, stall_out, seed) }
    }

    /// Percent of clocks in which one output is not ready, where that is more than what
    /// [`Sim::pressure`] says. The host's output has the number after the last port.
    pub fn stall(&mut self, port: u32, percent: u32) {
        assert!(port <= self.ports());
        // SAFETY: the port is in range.
        unsafe { (self.abi.sn_stall)(self.handle, port, percent) }
    }

    /// Starts or ends keeping the clocks in which frames are taken, for [`Sim::taken`]; records
    /// nobody has asked for are gone.
    pub fn record(&mut self, on: bool) {
        // SAFETY: as above.
        unsafe { (self.abi.sn_record)(self.handle, on.into()) }
    }

    /// Frames taken since it was asked last, in the order of their last beats; at most `most`.
    pub fn taken(&mut self, most: usize) -> Vec<FrameTaken> {
        let mut records = vec![FrameTaken::default(); most];
        // SAFETY: the shim writes at most as many records as it is told.
        let n = unsafe { (self.abi.sn_inputs)(self.handle, records.as_mut_ptr(), most as u64) };
        records.truncate(n as usize);
        records
    }

    /// Writes rows of a table, one a clock; `words` holds `words_per_row` words for each.
    pub fn write(&mut self, table: u32, rows: &[u32], words: &[u64], words_per_row: usize) {
        assert_eq!(words.len(), rows.len() * words_per_row);
        assert!(words_per_row <= 8);
        // SAFETY: lengths are checked above.
        unsafe {
            (self.abi.sn_write)(
                self.handle,
                table,
                rows.len() as u32,
                rows.as_ptr(),
                words.as_ptr(),
                words_per_row as u32,
            )
        }
    }

    /// Reads rows of a table or counter set, 8 words each; fewer than asked if the card stops
    /// answering for `patience` clocks.
    pub fn read(&mut self, table: u32, rows: &[u32], patience: u32) -> Vec<[u64; 8]> {
        let mut words = vec![[0u64; 8]; rows.len()];
        // SAFETY: the shim writes at most rows.len() * 8 words.
        let got = unsafe {
            (self.abi.sn_read)(
                self.handle,
                table,
                rows.len() as u32,
                rows.as_ptr(),
                words.as_mut_ptr().cast(),
                patience,
            )
        };
        words.truncate(got as usize);
        words
    }

    /// Starts or ends taking the items of a snapshot, for [`Sim::items`].
    pub fn take_items(&mut self, on: bool) {
        // SAFETY: the handle lives as long as self.
        unsafe { (self.abi.sn_take_items)(self.handle, on.into()) }
    }

    /// Items taken since it was asked last, in their order; at most `most`.
    pub fn items(&mut self, most: usize) -> Vec<[u64; ITEM_WORDS]> {
        let mut items = vec![[0; ITEM_WORDS]; most];
        // SAFETY: the shim writes at most `most` items of three words.
        let n = unsafe { (self.abi.sn_items)(self.handle, items.as_mut_ptr().cast(), most as u64) };
        items.truncate(n as usize);
        items
    }

    /// Queues a frame at a port (the host's is the number after the last).
    pub fn push(&mut self, port: u32, user: &[u8; USER_BYTES], frame: &[u8]) {
        assert!(port <= self.ports() && !frame.is_empty());
        // SAFETY: the shim copies; the port is in range.
        unsafe {
            (self.abi.sn_push)(
                self.handle,
                port,
                user.as_ptr(),
                frame.as_ptr(),
                frame.len() as u32,
            )
        }
    }

    /// Runs until nothing is inside; `false` if nothing came out for `patience` clocks before that.
    pub fn drain(&mut self, patience: u64) -> bool {
        // SAFETY: as above.
        unsafe { (self.abi.sn_run)(self.handle, 0, patience) == 1 }
    }

    /// Runs `clocks` clocks (at least one).
    pub fn run(&mut self, clocks: u64) {
        // SAFETY: as above.
        unsafe {
            (self.abi.sn_run)(self.handle, clocks.max(1), 0);
        }
    }

    /// Runs until fewer than `most` frames wait; `false` if the card stops taking them.
    pub fn run_below(&mut self, most: u64, patience: u64) -> bool {
        // SAFETY: as above.
        unsafe { (self.abi.sn_run_below)(self.handle, most, patience) == 1 }
    }

    /// Hands the next frame that came out to `with`; `None` when there is none.
    pub fn pop<T>(&mut self, with: impl FnOnce(FrameOut) -> T) -> Option<T> {
        let mut raw = RawFrame {
            port: 0,
            length: 0,
            bytes: std::ptr::null(),
            user: std::ptr::null(),
            first_clock: 0,
            last_clock: 0,
        };
        // SAFETY: the frame stays where it is until sn_pop, and `with` cannot keep the borrow.
        unsafe {
            if (self.abi.sn_front)(self.handle, &mut raw) == 0 {
                return None;
            }
            let value = with(FrameOut {
                port: raw.port,
                bytes: std::slice::from_raw_parts(raw.bytes, raw.length as usize),
                user: std::slice::from_raw_parts(raw.user, USER_BYTES),
                first_clock: raw.first_clock,
                last_clock: raw.last_clock,
            });
            (self.abi.sn_pop)(self.handle);
            Some(value)
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // SAFETY: made by sn_new, freed once.
        unsafe { (self.abi.sn_free)(self.handle) }
    }
}
