//! The driver's vfio-user client against the server, with a card of a few registers.

use seqnic_pci::server::Served;
use seqnic_pci::{Card, Function, Host};
use seqnic_transport::user::User;
use seqnic_transport::{Error, Interrupt, Memory, Pages, Transport};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Copies 64 bytes from the address in word 0 to that in word 1 when word 2 is written, and fires the vector
/// whose number was written. Word 3: transfers that failed.
#[derive(Debug, Default)]
struct Copier {
    words: [u32; 4],
    todo: Option<u32>,
}

impl Card for Copier {
    fn read32(&mut self, offset: u32, _: &mut Host) -> u32 {
        self.words.get(offset as usize / 4).copied().unwrap_or(0)
    }

    fn write32(&mut self, offset: u32, value: u32, _: &mut Host) {
        match offset {
            8 => self.todo = Some(value),
            _ => {
                if let Some(word) = self.words.get_mut(offset as usize / 4) {
                    *word = value;
                }
            }
        }
    }

    fn reset(&mut self, _: &mut Host) {
        *self = Copier::default();
    }

    fn work(&mut self, host: &mut Host) -> bool {
        let Some(vector) = self.todo.take() else {
            return false;
        };
        let mut line = [0; 64];
        let done = host
            .read(self.words[0].into(), &mut line)
            .and_then(|()| host.write(self.words[1].into(), &line));
        self.words[3] += u32::from(done.is_err());
        host.interrupt(vector);
        true
    }
}

fn serve(path: &Path) -> Served<Copier> {
    let function = Arc::new(Mutex::new(Function::new(Copier::default())));
    Served::new(path, function).unwrap()
}

fn connect(path: &Path) -> User {
    User::connect(path, TIMEOUT).unwrap()
}

#[test]
fn registers_memory_and_vectors_reach_the_card_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card");
    let _served = serve(&path);
    let card = connect(&path);
    let mut id = [0; 4];
    card.config_read(0, &mut id).unwrap();
    assert_eq!(u32::from_le_bytes(id), 0x5e9c_10ee);
    assert_eq!(
        (card.bar_length(0), card.bar_length(1), card.bar_length(9)),
        (0x4000, 0, 0)
    );
    assert_eq!(card.vectors(), 8);

    let events: Vec<_> = (0..8).map(|_| Interrupt::new().unwrap()).collect();
    let fds: Vec<_> = events.iter().map(|e| e.as_fd()).collect();
    card.enable_vectors(&fds).unwrap();
    let memory = Arc::new(Memory::new(8192, Pages::Small).unwrap());
    memory.write(64, &[7; 64]);
    card.dma_map(0x10_0000, &memory).unwrap();
    let twice = card.dma_map(0x10_1000, &memory).unwrap_err();
    assert!(matches!(twice, Error::Refused { .. }), "{twice}");

    for (word, value) in [(0, 0x10_0040), (1, 0x10_1000), (2, 5)] {
        card.write32(0, 4 * word, value).unwrap();
    }
    let fired = Interrupt::wait(&events.iter().collect::<Vec<_>>(), TIMEOUT).unwrap();
    assert_eq!(fired.iter().position(|f| *f), Some(5));
    let mut copied = [0; 64];
    memory.read(4096, &mut copied);
    assert_eq!(copied, [7; 64]);

    // What is not mapped any more is not touched any more.
    card.dma_unmap(0x10_0000).unwrap();
    memory.clear(4096, 64);
    card.write32(0, 8, 6).unwrap();
    Interrupt::wait(&[&events[6]], TIMEOUT).unwrap();
    assert_eq!(card.read32(0, 12).unwrap(), 1);
    memory.read(4096, &mut copied);
    assert_eq!(copied, [0; 64]);

    card.reset().unwrap();
    assert_eq!(card.read32(0, 12).unwrap(), 0);
    card.disable_vectors().unwrap();
    card.write32(0, 8, 4).unwrap();
    assert_eq!(card.read32(0, 0).unwrap(), 0);
    assert_eq!(events[4].take(), 0);
}

#[test]
fn clients_come_and_go_and_what_they_lent_goes_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card");
    let served = serve(&path);
    for _ in 0..3 {
        let card = connect(&path);
        let memory = Arc::new(Memory::new(4096, Pages::Small).unwrap());
        card.dma_map(0, &memory).unwrap();
        card.write32(0, 0, 1).unwrap();
        assert_eq!(card.read32(0, 0).unwrap(), 1);
        assert_eq!(served.shared().with(|f| f.host.mappings()), 1);
    }
    // The last one's end is seen a moment later.
    for _ in 0..2000 {
        if served.shared().with(|f| f.host.mappings()) == 0 {
            return assert_eq!(served.shared().with(|f| f.card.words[0]), 0);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the card still has memory of a client that has left");
}

#[test]
fn a_reset_by_configuration_space_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card");
    let _served = serve(&path);
    let card = connect(&path);
    card.write32(0, 0, 9).unwrap();
    card.config_write(0x48, &0x8000u16.to_le_bytes()).unwrap();
    assert_eq!(card.read32(0, 0).unwrap(), 0);
}

#[test]
fn one_socket_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("card");
    let served = serve(&path);
    let function = Arc::new(Mutex::new(Function::new(Copier::default())));
    assert!(Served::new(&path, function).is_err());
    drop(served);
    let _again = serve(&path);
    connect(&path);
}

#[test]
fn a_socket_left_over_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.sock");
    let new = |path: &Path| {
        let function = Arc::new(Mutex::new(Function::new(Copier::default())));
        Served::new(path, function)
    };
    // A card that is killed leaves it behind.
    drop(UnixListener::bind(&path).unwrap());
    let card = serve(&path);
    assert!(User::connect(&path, TIMEOUT).is_ok());
    assert_eq!(new(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(card);

    let file = folder.path().join("services.yaml");
    std::fs::write(&file, "services: {}").unwrap();
    assert_eq!(new(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "services: {}");
}
