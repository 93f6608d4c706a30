//! Processes that are no good card: every way to break the protocol ends in an error that says so, in time.

use seqnic_transport::user::User;
use seqnic_transport::{Error, Interrupt, Memory, Pages, Transport};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_millis(400);

/// A message: its number, command, flags, payload.
struct Message {
    id: u16,
    command: u16,
    flags: u32,
    payload: Vec<u8>,
}

fn receive(stream: &mut UnixStream) -> Option<Message> {
    let mut head = [0; 16];
    stream.read_exact(&mut head).ok()?;
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut payload = vec![0; word(4) as usize - 16];
    stream.read_exact(&mut payload).ok()?;
    Some(Message {
        id: u16::from_ne_bytes([head[0], head[1]]),
        command: u16::from_ne_bytes([head[2], head[3]]),
        flags: word(8),
        payload,
    })
}

fn reply(id: u16, command: u16, flags: u32, error: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(id.to_ne_bytes());
    out.extend(command.to_ne_bytes());
    out.extend((16 + payload.len() as u32).to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(error.to_ne_bytes());
    out.extend(payload);
    out
}

const REPLY: u32 = 1;
const ERROR: u32 = 32;

/// A right answer: version 0.1 with one descriptor a message, 9 regions of 4 KiB, 8 vectors.
fn right(message: &Message) -> Vec<u8> {
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect::<Vec<u8>>()
    };
    let payload = match message.command {
        1 => [
            &words(&[0x1_0000])[..],
            b"{\"capabilities\":{\"max_msg_fds\":1}}\0",
        ]
        .concat(),
        4 => words(&[16, 3, 9, 5]),
        5 => {
            let index = u32::from_ne_bytes(message.payload[8..12].try_into().unwrap());
            words(&[32, 3, index, 0, 4096, 0, 0, 0])
        }
        7 => words(&[16, 1, 2, 8]),
        9 => {
            let count = u32::from_ne_bytes(message.payload[12..16].try_into().unwrap());
            [&message.payload[..], &vec![0x5a; count as usize]].concat()
        }
        10 => message.payload[..16].to_vec(),
        _ => Vec::new(),
    };
    reply(message.id, message.command, REPLY, 0, &payload)
}

/// What a peer says to a message; nothing: it says nothing.
type Script = Box<dyn FnMut(&Message) -> Vec<u8> + Send>;

struct Peer {
    _dir: tempfile::TempDir,
    path: PathBuf,
    thread: JoinHandle<Vec<u16>>,
}

fn peer(mut script: Script) -> Peer {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut commands = Vec::new();
        while let Some(message) = receive(&mut stream) {
            commands.push(message.command);
            let answer = script(&message);
            if answer == b"close" {
                break;
            }
            if message.flags & 16 == 0 && stream.write_all(&answer).is_err() {
                break;
            }
        }
        commands
    });
    Peer {
        _dir: dir,
        path,
        thread,
    }
}

/// A peer that is right but for one command.
fn but(command: u16, mut wrong: impl FnMut(&Message) -> Vec<u8> + Send + 'static) -> Peer {
    peer(Box::new(move |m| match m.command == command {
        true => wrong(m),
        false => right(m),
    }))
}

#[test]
fn silence_is_a_hang_and_stays_one() {
    let peer = but(9, |_| Vec::new());
    let card = User::connect(&peer.path, TIMEOUT).unwrap();
    let from = Instant::now();
    let error = card.read32(0, 0).unwrap_err();
    assert!(matches!(error, Error::Hung { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("no answer to REGION_READ within 400 ms"),
        "{error}"
    );
    assert!((TIMEOUT..TIMEOUT * 20).contains(&from.elapsed()));
    // A late answer must not be taken for the next one's.
    let from = Instant::now();
    assert!(matches!(card.write32(0, 0, 0), Err(Error::Hung { .. })));
    assert!(from.elapsed() < TIMEOUT);
}

#[test]
fn an_answer_byte_by_byte_is_a_hang_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let message = receive(&mut stream).unwrap();
        for byte in right(&message) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(TIMEOUT / 8);
        }
    });
    let from = Instant::now();
    let error = User::connect(&path, TIMEOUT).unwrap_err();
    assert!(matches!(error, Error::Hung { .. }), "{error}");
    assert!(from.elapsed() < TIMEOUT * 20);
    thread.join().unwrap();
}

#[test]
fn the_end_of_the_process_is_the_cards() {
    let peer = but(10, |_| b"close".to_vec());
    let card = User::connect(&peer.path, TIMEOUT).unwrap();
    card.write32(0, 0, 1).unwrap();
    peer.thread.join().unwrap();
    let error = card.read32(0, 0).unwrap_err();
    assert!(
        matches!(error, Error::Gone { .. }) && error.lost(),
        "{error}"
    );
}

#[test]
fn a_no_is_an_error_with_its_reason_and_the_connection_goes_on() {
    let memory = Arc::new(Memory::new(4096, Pages::Small).unwrap());
    for (errno, reason) in [(12, "Cannot allocate memory"), (0, "Input/output error")] {
        let peer = but(2, move |m| reply(m.id, 2, REPLY | ERROR, errno, &[]));
        let card = User::connect(&peer.path, TIMEOUT).unwrap();
        let error = card.dma_map(0, &memory).unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. }) && !error.lost(),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(card.read32(0, 4).unwrap(), 0x5a5a_5a5a);
        assert!(matches!(card.dma_unmap(0), Err(Error::Invalid { .. })));
    }
}

#[test]
fn a_posted_write_that_was_refused_is_said_by_the_next_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peer");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while let Some(m) = receive(&mut stream) {
            let answer = match m.command {
                10 => reply(m.id, 10, REPLY | ERROR, 22, &[]),
                _ => right(&m),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    let card = User::connect(&path, Duration::from_secs(10)).unwrap();
    card.write32(0, 0, 1).unwrap();
    assert_eq!(card.read32(0, 0).unwrap(), 0x5a5a_5a5a);
    assert!(matches!(card.read32(0, 0), Err(Error::Refused { .. })));
    assert_eq!(card.read32(0, 0).unwrap(), 0x5a5a_5a5a);
}

#[test]
fn broken_answers_are_the_protocols_error() {
    type Wrong = fn(&Message) -> Vec<u8>;
    let wrong: [(u16, Wrong); 12] = [
        (1, |m| reply(m.id, 1, REPLY, 0, &[0, 0])),
        (1, |m| {
            reply(m.id, 1, REPLY, 0, &[1, 0, 0, 0, b'{', b'}', 0])
        }),
        (1, |m| reply(m.id, 1, REPLY, 0, &[0, 0, 1, 0, b'{', 0])),
        (4, |m| reply(m.id, 4, REPLY, 0, &[0; 16])),
        (4, |m| reply(m.id, 4, REPLY, 0, &[0; 3])),
        (5, |m| reply(m.id, 5, REPLY, 0, &[0xff; 32])),
        (7, |m| reply(m.id, 7, REPLY, 0, &[0xff; 16])),
        (9, |m| reply(m.id.wrapping_add(1), 9, REPLY, 0, &m.payload)),
        (9, |m| reply(m.id, 10, REPLY, 0, &m.payload)),
        (9, |m| reply(m.id, 9, 0, 0, &m.payload)),
        (9, |m| reply(m.id, 9, REPLY, 0, &m.payload)),
        (9, |m| {
            let mut bytes = right(m);
            bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
            bytes
        }),
    ];
    for (n, (command, wrong)) in wrong.into_iter().enumerate() {
        let peer = but(command, wrong);
        let done = User::connect(&peer.path, TIMEOUT).and_then(|card| card.read32(0, 0));
        let error = done.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{n}: {error}");
    }
}

#[test]
fn no_message_has_more_descriptors_than_the_other_side_takes() {
    let peer = but(8, right);
    let card = User::connect(&peer.path, TIMEOUT).unwrap();
    let events: Vec<_> = (0..8).map(|_| Interrupt::new().unwrap()).collect();
    let fds: Vec<_> = events.iter().map(|e| e.as_fd()).collect();
    card.enable_vectors(&fds).unwrap();
    let many = [&fds[..], &fds[..]].concat();
    assert!(matches!(
        card.enable_vectors(&many),
        Err(Error::Invalid { .. })
    ));
    drop(card);
    let commands = peer.thread.join().unwrap();
    assert_eq!(commands.iter().filter(|c| **c == 8).count(), 8);
}

#[test]
fn what_there_is_not_is_refused_before_it_is_asked_for() {
    let peer = peer(Box::new(right));
    let card = User::connect(&peer.path, TIMEOUT).unwrap();
    for (bar, offset) in [(0, 4096), (0, 4093), (0, u64::MAX), (77, 0), (u32::MAX, 0)] {
        let error = card.read32(bar, offset).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    drop(card);
    assert!(!peer.thread.join().unwrap().contains(&9));
}

#[test]
fn nobody_there_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = User::connect(&dir.path().join("none"), TIMEOUT).unwrap_err();
    assert!(
        error.to_string().contains("Does the card's process run"),
        "{error}"
    );
    let address = "0000:ff:1f.7".parse().unwrap();
    let error = seqnic_transport::open(&address).err().unwrap();
    assert!(error.to_string().contains("bound to vfio-pci"), "{error}");
}
