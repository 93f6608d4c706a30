use super::*;
use seqnic_engine::{Engine, EngineError, FrameIn, Host, Sent};
use seqnic_replay::Time;
use seqnic_replay::capture::Writer;

fn sent(id: u64, byte: u8) -> Output {
    Output::Sent(Sent {
        id,
        interface: 0,
        priority: 0,
        frame: vec![byte],
    })
}

#[test]
fn the_first_differing_packet_is_found() {
    let list = |pairs: &[(u64, u8)]| {
        let sent = pairs.iter().map(|(i, b)| sent(*i, *b));
        sent.collect::<Vec<_>>()
    };
    let a = list(&[(1, 1), (2, 1), (2, 2), (4, 1)]);
    assert_eq!(differing(&a, &a), None);
    assert_eq!(differing(&[], &[]), None);
    // Another byte, a copy too few, a packet without a trace, one too many at the end.
    assert_eq!(
        differing(&a, &list(&[(1, 1), (2, 1), (2, 3), (4, 1)])),
        Some(2)
    );
    assert_eq!(differing(&a, &list(&[(1, 1), (2, 1), (4, 1)])), Some(2));
    assert_eq!(differing(&list(&[(2, 1), (4, 1)]), &a), Some(1));
    assert_eq!(differing(&a, &a[..3]), Some(4));
}

#[test]
fn counters_missing_on_one_side_are_zero() {
    let mut a = Counters::default();
    let mut b = Counters::default();
    a.add(CounterKey::Reason(Reason::Arp), 1, 60);
    b.add(CounterKey::Reason(Reason::Arp), 1, 60);
    b.add(CounterKey::InterfaceIn("i0".into()), 2, 120);
    let found = counter_differences(&a, &b);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].counter, "interface i0 in");
    assert_eq!(found[0].values[0], Count::default());
}

/// Sends everything out of interface 0, but packet `odd` to the host; counts `extra` too many.
struct Fake {
    name: &'static str,
    odd: u64,
    extra: u64,
    packets: u64,
}

impl Engine for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn push(&mut self, f: FrameIn, out: &mut Vec<Output>) -> Result<(), EngineError> {
        self.packets += 1;
        let frame = f.frame.to_vec();
        out.push(match f.id == self.odd {
            false => Output::Sent(Sent {
                id: f.id,
                interface: 0,
                priority: 0,
                frame,
            }),
            true => Output::Host(Host {
                id: f.id,
                reason: Reason::NoService,
                port: f.port,
                interface: Some(0),
                attachment: None,
                service: None,
                priority: 0,
                frame,
            }),
        });
        Ok(())
    }

    fn drain(&mut self, _: &mut Vec<Output>) -> Result<(), EngineError> {
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        let mut counters = Counters::default();
        let packets = self.packets + self.extra;
        counters.add(CounterKey::Reason(Reason::Directed), packets, 0);
        Ok(counters)
    }
}

/// Compares engines that (odd, extra) on 6,000 packets, more than a batch.
fn compared(engines: [(&'static str, u64, u64); 3]) -> Report {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("a.pcap");
    let mut writer = Writer::new(std::fs::File::create(&path).unwrap()).unwrap();
    for i in 0..6000u16 {
        let time = Time::from_nanoseconds(i.into()).unwrap();
        writer.write(time, &i.to_be_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let inputs = [Input {
        interface: "i0".into(),
        path,
    }];
    let interfaces = [InterfaceName {
        name: "i0".into(),
        port: 0,
    }];
    let mut engines = engines.map(|(name, odd, extra)| Fake {
        name,
        odd,
        extra,
        packets: 0,
    });
    let feeds = engines
        .iter_mut()
        .map(|e| Feed::new(e, &interfaces, vec![0]))
        .collect();
    let mut merge = Merge::open(&inputs, false).unwrap();
    compare(&mut merge, feeds, &interfaces, &inputs, &mut |_| {}).unwrap()
}

#[test]
fn a_difference_is_shown_with_its_packet() {
    let report = compared([("one", 0, 0), ("two", 5000, 0), ("three", 4998, 0)]);
    assert!(!report.equal);
    assert_eq!(report.packets, 4998);
    let text = words(&report);
    assert!(
        text.starts_with("one and three differ at packet 4998 ("),
        "{text}"
    );
    assert!(
        text.contains("a.pcap packet 4998, 0.000004997 s, arriving on i0)"),
        "{text}"
    );
    assert!(
        text.contains("one:\n  out i0  2 bytes, no Ethernet header"),
        "{text}"
    );
    assert!(
        text.contains("three:\n  host no_service, port 0, interface i0, sender -"),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["difference"]["packet"]["outcomes"][1]["outputs"][0]["reason"],
        "no_service"
    );
    assert_eq!(json["difference"]["packet"]["frame"], "1385");
}

#[test]
fn counters_are_compared_in_the_end() {
    let report = compared([("one", 0, 0), ("two", 0, 0), ("three", 0, 7)]);
    let text = words(&report);
    assert!(text.starts_with("one and three agree on every frame of 6000 packets, but 1 counter"));
    assert!(
        text.contains("reason directed\n    one     6000 packets, 0 bytes\n    three   6007"),
        "{text}"
    );
    assert!(words(&compared([("one", 0, 0), ("two", 0, 0), ("three", 0, 0)])).contains("agree"));
}
