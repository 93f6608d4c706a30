//! Captures made by other programs, and damaged ones. `captures/make.py` makes the files and what
//! tshark reads from them.

use proptest::prelude::*;
use seqnic_replay::Time;
use seqnic_replay::capture::{Reader, Record, Writer};
use seqnic_replay::error::CaptureError;
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn load(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn read(bytes: &[u8]) -> (Vec<Record>, Option<CaptureError>) {
    let mut reader = match Reader::new(Path::new("x.pcap"), Box::new(Cursor::new(bytes.to_vec()))) {
        Ok(reader) => reader,
        Err(e) => return (Vec::new(), Some(e)),
    };
    let mut records = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, None),
            Err(e) => {
                assert!(reader.next_record().unwrap().is_none());
                return (records, Some(e));
            }
        }
    }
}

fn whole(bytes: &[u8]) -> Vec<Record> {
    let (records, error) = read(bytes);
    assert!(error.is_none(), "{}", error.unwrap());
    records
}

fn error(bytes: &[u8]) -> String {
    read(bytes).1.expect("damage is found").to_string()
}

fn line(record: &Record) -> String {
    let time = record.time.map_or("-".into(), |t| t.to_string());
    format!("{time} {} {}\n", record.frame.len(), record.wire)
}

#[test]
fn every_capture_reads_as_tshark_reads_it() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let expected = entry.unwrap().path();
        if expected.extension().is_none_or(|e| e != "expected") {
            continue;
        }
        let capture = ["pcap", "pcapng"]
            .map(|e| expected.with_extension(e))
            .into_iter()
            .find(|p| p.exists())
            .unwrap();
        let name = capture.file_name().unwrap().to_str().unwrap();
        let lines: String = whole(&load(name)).iter().map(line).collect();
        assert_eq!(lines, std::fs::read_to_string(&expected).unwrap(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn all_byte_orders_and_formats_give_the_same_frames() {
    let frames = |name| {
        let records = whole(&load(name));
        records.into_iter().map(|r| r.frame).collect::<Vec<_>>()
    };
    let first = frames("nano-le.pcap");
    assert_eq!(first[0][..6], [2, 1, 0, 0, 0, 1]);
    for name in [
        "nano-be.pcap",
        "micro-le.pcap",
        "micro-be.pcap",
        "wireshark.pcapng",
    ] {
        assert_eq!(frames(name), first, "{name}");
    }
}

#[test]
fn simple_packets_have_no_time_and_are_cut_at_the_snap_length() {
    let lines: String = whole(&load("simple.pcapng")).iter().map(line).collect();
    assert_eq!(lines, "5.000000000 54 54\n- 64 343\n- 54 54\n");
}

/// A classic pcap with link type field `link` and packets of (captured, wire) bytes.
fn pcap(link: u32, packets: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = Writer::new(Vec::new()).unwrap().finish().unwrap();
    bytes[20..24].copy_from_slice(&link.to_le_bytes());
    for (captured, wire) in packets {
        bytes.extend([0; 8]);
        bytes.extend((*captured as u32).to_le_bytes());
        bytes.extend(wire.to_le_bytes());
        bytes.extend((0..*captured).map(|i| i as u8));
    }
    bytes
}

#[test]
fn an_fcs_is_taken_off() {
    // "FCS length present", 2 * 16 bits.
    let link = 2 << 28 | 1 << 26 | 1;
    let lengths: Vec<_> = whole(&pcap(link, &[(64, 64), (62, 64), (40, 64), (2, 2)]))
        .iter()
        .map(|r| (r.frame.len(), r.wire))
        .collect();
    // Whole; without half of its FCS; cut before it; shorter than an FCS.
    assert_eq!(lengths, [(60, 60), (60, 60), (40, 60), (0, 0)]);
}

#[test]
fn other_link_types_are_refused_by_name() {
    assert_eq!(
        error(&pcap(113, &[])),
        "x.pcap: link type 113, LINUX_SLL (tcpdump -i any); only Ethernet (1) is read"
    );
    // In pcapng the packet is refused, not the interface's description.
    let mut ng = load("wireshark.pcapng");
    let at = (0..ng.len())
        .step_by(4)
        .find(|i| ng[*i..*i + 4] == [1, 0, 0, 0] && *i > 28)
        .unwrap();
    ng[at + 8] = 101;
    assert!(error(&ng).contains("packet 1 at byte"), "{}", error(&ng));
    assert!(error(&ng).contains("link type 101, RAW (IP without Ethernet)"));
}

#[test]
fn what_is_no_capture_is_named() {
    assert!(error(b"").contains("x.pcap: the file is empty"));
    assert!(error(b"interfaces: [i0]").contains("starts with 69 6e 74 65"));
    assert!(error(&[0x1f, 0x8b, 8, 0, 0]).contains("compressed with gzip; unpack it first"));
    assert!(error(&load("nano-le.pcap")[..20]).contains("inside a file header"));
    assert!(error(&[0x34, 0xcd, 0xb2, 0xa1, 2, 0, 4, 0]).contains("modified pcap"));
    let missing = Reader::open(Path::new("no/such.pcap")).err().unwrap();
    assert!(
        missing
            .to_string()
            .starts_with("no/such.pcap: cannot read: ")
    );
    let folder = Reader::open(Path::new("/")).err().unwrap();
    assert_eq!(folder.to_string(), "/: is a folder; name a capture file");
}

#[test]
fn damage_is_placed() {
    let whole = load("nano-le.pcap");
    let second = 24 + 16 + 54;
    // The file ends in the second packet, in its header, and right before it.
    assert_eq!(
        error(&whole[..second + 16 + 100]),
        format!(
            "x.pcap: packet 2 at byte {second}: the file ends inside a packet: 343 bytes expected, 100 there; 1 packet was read before it"
        )
    );
    assert!(error(&whole[..second + 7]).contains("inside a packet header: 16 bytes expected, 7"));
    assert!(read(&whole[..second]).1.is_none());

    let mut long = whole.clone();
    long[second + 8..second + 12].copy_from_slice(&1_000_000u32.to_le_bytes());
    assert!(error(&long).contains("packet 2 at byte 94: a length of 1000000 bytes"));
    let mut late = whole;
    late[second + 4..second + 8].copy_from_slice(&1_000_000_000u32.to_le_bytes());
    assert!(error(&late).contains("a fraction of 1000000000 / 1000000000 s"));
}

#[test]
fn damaged_blocks_are_placed() {
    let whole = load("cut.pcapng");
    let records = read(&whole).0;
    assert_eq!(records.len(), 3);
    // The last block is the last packet's, or statistics after it.
    let packet = (28..whole.len())
        .step_by(4)
        .find(|i| whole[*i..*i + 4] == [6, 0, 0, 0])
        .unwrap();
    let message = error(&whole[..packet + 30]);
    assert!(
        message.contains(&format!(
            "packet 1 at byte {packet}: the file ends inside a packet block"
        )),
        "{message}"
    );
    let with = |at: usize, value: u32| {
        let mut bytes = whole.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        error(&bytes)
    };
    assert!(with(packet + 4, 33).contains("a block length of 33"));
    assert!(with(packet + 4, 0).contains("a block length of 0"));
    assert!(with(packet + 4, u32::MAX - 3).contains("a length of 4294967292 bytes"));
    assert!(with(packet + 8, 7).contains("a packet of interface 7, but the section describes 1"));
    assert!(with(packet + 20, 90).contains("a packet block ends before its fields do"));
    assert!(with(packet + 12, u32::MAX).contains("1970 to 2106"));
    let length = u32::from_le_bytes(whole[packet + 4..packet + 8].try_into().unwrap());
    assert!(with(packet + length as usize - 4, 8).contains("says 8 at its end"));
}

#[test]
fn written_times_are_exact() {
    let time = Time::from_nanoseconds(4_294_967_295_999_999_999).unwrap();
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.write(time, &[1, 2, 3]).unwrap();
    writer.write(Time::default(), &[]).unwrap();
    let records = whole(&writer.finish().unwrap());
    assert_eq!(records[0].time, Some(time));
    assert_eq!(records[0].frame, [1, 2, 3]);
    assert_eq!(
        (records[1].time, records[1].wire),
        (Some(Time::default()), 0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is broken in a capture gives packets and an error, never a panic or an endless loop.
    #[test]
    fn damage_never_panics(
        name in prop::sample::select(vec!["odd-le.pcapng", "odd-be.pcapng", "simple.pcapng", "cut.pcapng", "nano-be.pcap"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = load(name);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        let (records, _) = read(&bytes);
        prop_assert!(records.len() <= 16);
    }
}
