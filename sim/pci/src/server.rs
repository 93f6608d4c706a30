//! A card behind a Unix socket: the vfio-user protocol, one client after the other.
//!
//! The card works in a thread of its own. When a client leaves, the card is reset and what the client had lent
//! is given back; tables, counters and traffic between ports go on.

use crate::host::Rights;
use crate::{Card, Function, config, function};
use seqnic_spec::host::rings;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_NORESIZE, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

/// How long a card with nothing to do is left alone.
const IDLE: Duration = Duration::from_millis(1);

/// A function several threads work with, none of them for long.
#[derive(Debug)]
pub struct Shared<C> {
    function: Arc<Mutex<Function<C>>>,
    /// Threads that want the function: the card's own lets them in first.
    waiting: AtomicUsize,
    wake: Condvar,
    stop: AtomicBool,
}

impl<C: Card> Shared<C> {
    pub fn new(function: Arc<Mutex<Function<C>>>) -> Arc<Shared<C>> {
        Arc::new(Shared {
            function,
            waiting: AtomicUsize::new(0),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
        })
    }

    /// Does something with the function, and lets the card go on with what that set off.
    pub fn with<T>(&self, what: impl FnOnce(&mut Function<C>) -> T) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut function = self.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let result = what(&mut function);
        drop(function);
        self.wake.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Function<C>> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The card's own thread.
    fn work(&self) {
        let mut function = self.lock();
        while !self.stop.load(Ordering::SeqCst) {
            // Who waits gets the function, and wakes this thread when done.
            if !function.work() || self.waiting.load(Ordering::SeqCst) > 0 {
                let woken = self.wake.wait_timeout(function, IDLE);
                function = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// A card that is served until this is dropped.
#[derive(Debug)]
pub struct Served<C: Card + 'static> {
    shared: Arc<Shared<C>>,
    path: PathBuf,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl<C: Card + 'static> Served<C> {
    /// Serves a card at a socket that is made here. One left over by a process that has ended is
    /// replaced.
    ///
    /// # Errors
    /// The socket cannot be made, someone serves there, or there is a file that is no socket.
    pub fn new(path: &Path, function: Arc<Mutex<Function<C>>>) -> io::Result<Served<C>> {
        if path.exists() {
            if !std::fs::metadata(path)?.file_type().is_socket() {
                let what = "there is a file that is no socket; remove it, or name another path";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        // The server would take away the socket of that name when its thread ends, maybe someone else's by then.
        let listener = UnixListener::bind(path)?;
        let server = Server::from_owned_fd(listener.into(), true, irqs(), regions());
        let shared = Shared::new(function);
        let (card, clients) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::Builder::new()
                .name("card".to_string())
                .spawn(move || card.work())?,
            std::thread::Builder::new()
                .name("vfio-user".to_string())
                .spawn(move || serve(&server, &clients))?,
        ];
        Ok(Served {
            shared,
            path: path.to_path_buf(),
            threads,
        })
    }

    /// The function, for the other side of the card: its ports.
    pub fn shared(&self) -> &Arc<Shared<C>> {
        &self.shared
    }
}

impl<C: Card + 'static> Drop for Served<C> {
    /// Stops the card and ends the socket. A client that is connected keeps its thread until it leaves.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake.notify_all();
        let mut threads = self.threads.drain(..);
        if let Some(card) = threads.next() {
            let _ = card.join();
        }
        // Whoever waits for a client gets one that leaves at once.
        drop(UnixStream::connect(&self.path));
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve<C: Card>(server: &Server, shared: &Shared<C>) {
    while !shared.stop.load(Ordering::SeqCst) {
        // An error is a client that broke off: the next one is as welcome.
        let _ = server.run(&mut Session { shared });
        shared.with(Function::release);
    }
}

fn regions() -> Vec<ServerRegion> {
    (0..VFIO_PCI_NUM_REGIONS)
        .map(|index| {
            let size = match index {
                VFIO_PCI_CONFIG_REGION_INDEX => config::BYTES as u64,
                bar => function::bar_bytes(bar),
            };
            let flags = match size {
                0 => 0,
                _ => VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
            };
            ServerRegion {
                region_info: vfio_region_info {
                    argsz: size_of::<vfio_region_info>() as u32,
                    flags,
                    index,
                    size,
                    ..Default::default()
                },
                sparse_areas: Vec::new(),
                mmap_fd: None,
            }
        })
        .collect()
}

fn irqs() -> Vec<IrqInfo> {
    (0..VFIO_PCI_NUM_IRQS)
        .map(|index| IrqInfo {
            index,
            flags: VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
            count: if index == VFIO_PCI_MSIX_IRQ_INDEX {
                rings::VECTORS
            } else {
                0
            },
        })
        .collect()
}

/// One client.
struct Session<'a, C> {
    shared: &'a Shared<C>,
}

impl<C: Card> ServerBackend for Session<'_, C> {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.shared.with(|f| match region {
            VFIO_PCI_CONFIG_REGION_INDEX => f.config.read(offset, data),
            bar => f.bar_read(bar, offset, data),
        });
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.shared.with(|f| match region {
            VFIO_PCI_CONFIG_REGION_INDEX => f.config_write(offset, data),
            bar => f.bar_write(bar, offset, data),
        });
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        // Memory without a file could only be reached by messages to the client; none is needed by any known one.
        let file = match fd {
            Some(file) => file,
            None => return Ok(()),
        };
        let rights = Rights {
            read: flags.contains(DmaMapFlags::READ),
            write: flags.contains(DmaMapFlags::WRITE),
        };
        (self.shared).with(|f| f.host.map_file(address, file, offset, size, rights))
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        self.shared.with(|f| {
            if flags.contains(DmaUnmapFlags::UNMAP_ALL) && size == 0 {
                f.host.unmap_all();
            } else {
                f.host.unmap(address, size);
            }
        });
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.shared.with(Function::reset);
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> io::Result<()> {
        if index != VFIO_PCI_MSIX_IRQ_INDEX {
            return Ok(());
        }
        let (start, count) = (start as usize, count as usize);
        if start + count > rings::VECTORS as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.shared.with(|f| {
            if flags & VFIO_IRQ_SET_DATA_NONE != 0 && count == 0 {
                f.host.disconnect();
            } else if flags & VFIO_IRQ_SET_DATA_EVENTFD != 0 {
                // Vectors without a descriptor are disconnected.
                let mut fds = fds.into_iter().map(OwnedFd::from);
                f.host.connect(start, (0..count).map(|_| fds.next()));
            } else {
                // A trigger without a descriptor: the client tests the way of an interrupt.
                for vector in start..start + count {
                    f.host.interrupt(vector as u32);
                }
            }
        });
        Ok(())
    }
}
