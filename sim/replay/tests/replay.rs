//! Whole replays through a small engine that misbehaves on request.

use seqnic_engine::{
    Count, CounterKey, Counters, Engine, EngineError, FrameIn, Host, Output, Sent,
};
use seqnic_image::names::{Direction, InterfaceName};
use seqnic_replay::capture::{Reader, Writer};
use seqnic_replay::{Input, Options, ReplayError, Summary, Time, run};
use seqnic_spec::reason::Reason;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the engine does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Gives outputs of a batch back to front.
    Order,
    /// Answers packets it was not given.
    Invent,
    /// Forgets every third packet, and counts it as dropped or not.
    Lose {
        counted: bool,
    },
    BadInterface,
    Fail,
}

/// First byte 0 to 127: to the interface of that number; from 200 also a copy to interface 0;
/// others to the host. Holds everything back until it is drained.
struct Fake {
    held: Vec<Output>,
    counters: Counters,
    fault: Fault,
    seen: Vec<(u64, u8, usize)>,
}

impl Fake {
    fn new(fault: Fault) -> Fake {
        Fake {
            held: Vec::new(),
            counters: Counters::default(),
            fault,
            seen: Vec::new(),
        }
    }
}

impl Engine for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn push(&mut self, frame: FrameIn, _: &mut Vec<Output>) -> Result<(), EngineError> {
        let FrameIn {
            id, port, frame, ..
        } = frame;
        self.seen.push((id, port, frame.len()));
        if self.fault == Fault::Fail && id == 3 {
            return Err(EngineError::Hang {
                clocks: 7,
                waiting: 1,
            });
        }
        if matches!(self.fault, Fault::Lose { .. }) && id % 3 == 0 {
            if self.fault == (Fault::Lose { counted: true }) {
                let key = CounterKey::Reason(Reason::OutputFull);
                self.counters.add(key, 1, frame.len() as u64);
            }
            return Ok(());
        }
        let id = if self.fault == Fault::Invent {
            id + 50
        } else {
            id
        };
        let sent = |interface: u32, extra: u8| {
            let mut frame = frame.to_vec();
            frame.push(extra);
            Output::Sent(Sent {
                id,
                interface,
                priority: 0,
                frame,
            })
        };
        let to = if self.fault == Fault::BadInterface {
            9
        } else {
            u32::from(frame[0])
        };
        match frame[0] {
            0..128 => self.held.push(sent(to, 1)),
            200.. => {
                // Not in the canonical order.
                self.held.push(sent(1, 7));
                self.held.push(sent(0, 9));
                self.held.push(sent(0, 8));
            }
            _ => self.held.push(Output::Host(Host {
                id,
                reason: Reason::WrongSender,
                port,
                interface: Some(1),
                attachment: Some("fw.inside".into()),
                service: Some(("W1".into(), Direction::Return)),
                priority: 0,
                frame: frame.to_vec(),
            })),
        }
        self.counters
            .add(CounterKey::Reason(Reason::Directed), 1, frame.len() as u64);
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<Output>) -> Result<(), EngineError> {
        if self.fault == Fault::Order {
            self.held.reverse();
        }
        out.append(&mut self.held);
        Ok(())
    }

    fn counters(&mut self) -> Result<Counters, EngineError> {
        let step = CounterKey::Step {
            service: "W1".into(),
            label: "tcp/80".into(),
            direction: Direction::Forward,
            from: "client".into(),
            to: "fw.outside".into(),
        };
        self.counters.add(step, 2, 120);
        let service = CounterKey::Service {
            service: "W1".into(),
            label: "tcp/80".into(),
            direction: Direction::Return,
        };
        self.counters.add(service, 3, 180);
        self.counters
            .add(CounterKey::InterfaceIn("i1".into()), 4, 240);
        self.counters
            .add(CounterKey::AttachmentOut("fw.outside".into()), 5, 300);
        Ok(self.counters.clone())
    }
}

fn interfaces() -> Vec<InterfaceName> {
    ["i0", "i1", "i2"]
        .iter()
        .enumerate()
        .map(|(i, name)| InterfaceName {
            name: (*name).to_string(),
            port: i as u8 + 4,
        })
        .collect()
}

fn at(nanoseconds: i128) -> Time {
    Time::from_nanoseconds(nanoseconds).unwrap()
}

fn write(path: &Path, packets: &[(i128, Vec<u8>)]) {
    let mut writer = Writer::new(File::create(path).unwrap()).unwrap();
    for (time, frame) in packets {
        writer.write(at(*time), frame).unwrap();
    }
    writer.finish().unwrap();
}

fn read(path: PathBuf) -> Vec<(String, Vec<u8>)> {
    let mut reader = Reader::open(&path).unwrap();
    let mut packets = Vec::new();
    while let Some(r) = reader.next_record().unwrap() {
        packets.push((r.time.unwrap().to_string(), r.frame));
    }
    packets
}

struct Bench {
    dir: TempDir,
    inputs: Vec<Input>,
}

impl Bench {
    /// Two captures: on i1, then on i0, with a tie at 20 ns.
    fn new() -> Bench {
        let dir = TempDir::new().unwrap();
        let input = |interface: &str, name: &str| Input {
            interface: interface.into(),
            path: dir.path().join(name),
        };
        let inputs = vec![input("i1", "b.pcap"), input("i0", "a.pcap")];
        write(
            &inputs[0].path,
            &[(20, vec![0, 1]), (40, vec![150, 2, 2]), (41, vec![])],
        );
        write(
            &inputs[1].path,
            &[
                (10, vec![2, 3]),
                (20, vec![200, 4]),
                (50, vec![1; 9216]),
                (51, vec![1; 9217]),
            ],
        );
        Bench { dir, inputs }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn run(&self, fault: Fault, options: Options) -> Result<Summary, ReplayError> {
        self.run_on(&mut Fake::new(fault), options)
    }

    fn run_on(&self, engine: &mut Fake, options: Options) -> Result<Summary, ReplayError> {
        run(
            engine,
            &interfaces(),
            &self.inputs,
            &self.out(),
            options,
            &mut |_| {},
        )
    }
}

#[test]
fn packets_keep_their_times_and_are_merged_by_them() {
    let bench = Bench::new();
    let mut engine = Fake::new(Fault::None);
    let summary = bench.run_on(&mut engine, Options::default()).unwrap();

    // By time; the tie at 20 by the order of the inputs; undelivered ones keep their number.
    let expected = [(1, 4, 2), (2, 5, 2), (3, 4, 2), (4, 5, 3), (6, 4, 9216)];
    assert_eq!(engine.seen, expected);

    let out = bench.out();
    let t = |ns: i128| at(ns).to_string();
    assert_eq!(
        read(out.join("i0.pcap")),
        [
            (t(20), vec![0, 1, 1]),
            (t(20), vec![200, 4, 8]),
            (t(20), vec![200, 4, 9])
        ]
    );
    let i1 = read(out.join("i1.pcap"));
    assert_eq!(i1[0], (t(20), vec![200, 4, 7]));
    assert_eq!((&i1[1].0, i1[1].1.len()), (&t(50), 9217));
    assert_eq!(read(out.join("i2.pcap")), [(t(10), vec![2, 3, 1])]);
    assert_eq!(read(out.join("host.pcap")), [(t(40), vec![150, 2, 2])]);
    let exceptions = fs::read_to_string(out.join("exceptions.jsonl")).unwrap();
    let file = bench.inputs[0].path.display();
    assert_eq!(
        exceptions,
        format!(
            r#"{{"id":4,"time":"0.000000040","file":"{file}","input":"i1","packet":2,"reason":"wrong_sender","interface":"i1","attachment":"fw.inside","service":"W1","direction":"return","length":3}}"#
        ) + "\n"
    );
    assert_eq!(summary.packets, 7);
    assert_eq!((summary.directed, summary.sent, summary.host), (5, 6, 1));
    assert_eq!(summary.exceptions["wrong_sender"], 1);
    assert_eq!(summary.inputs[0].packets, 3);
    // Nothing but the result is left.
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "counters.json",
            "exceptions.jsonl",
            "host.pcap",
            "i0.pcap",
            "i1.pcap",
            "i2.pcap"
        ]
    );
}

#[test]
fn counters_are_nested_by_name() {
    let bench = Bench::new();
    bench.run(Fault::None, Options::default()).unwrap();
    let text = fs::read_to_string(bench.out().join("counters.json")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let zero = serde_json::to_value(Count::default()).unwrap();
    assert_eq!(
        found,
        serde_json::json!({
            "undelivered": {"empty": 1, "oversize": 1},
            "reasons": {"directed": {"packets": 5, "bytes": 9225}},
            "interfaces": {
                "i0": {"in": zero, "out": zero},
                "i1": {"in": {"packets": 4, "bytes": 240}, "out": zero},
                "i2": {"in": zero, "out": zero},
            },
            "attachments": {"fw.outside": {"in": zero, "out": {"packets": 5, "bytes": 300}}},
            "services": {"W1": {"tcp/80": {"forward": zero, "return": {"packets": 3, "bytes": 180}}}},
            "steps": [{
                "service": "W1", "label": "tcp/80", "direction": "forward",
                "from": "client", "to": "fw.outside", "packets": 2, "bytes": 120,
            }],
        })
    );
    let order: Vec<_> = [
        "undelivered",
        "reasons",
        "interfaces",
        "attachments",
        "services",
        "steps",
    ]
    .iter()
    .map(|k| text.find(&format!("\n  \"{k}\":")).unwrap())
    .collect();
    assert!(order.is_sorted(), "{text}");
}

#[test]
fn a_broken_engine_is_told_and_leaves_nothing() {
    for (fault, message) in [
        (
            Fault::Order,
            "the fake engine changed the order: packet 6 came out before packet 3",
        ),
        (Fault::Invent, "gave something for packet"),
        (
            Fault::Lose { counted: false },
            "lost packets: nothing came out for 2, but it counted 0 dropped",
        ),
        (Fault::BadInterface, "interface number 9"),
        (Fault::Fail, "packet 3: the RTL gave nothing for 7 clocks"),
    ] {
        let bench = Bench::new();
        let error = bench.run(fault, Options::default()).unwrap_err();
        assert!(error.to_string().contains(message), "{fault:?}: {error}");
        assert!(error.is_engine());
        assert!(!bench.out().exists(), "{fault:?}");
    }
    let bench = Bench::new();
    bench
        .run(Fault::Lose { counted: true }, Options::default())
        .unwrap();
}

#[test]
fn a_folder_in_use_is_kept() {
    let bench = Bench::new();
    let out = bench.out();
    fs::create_dir(&out).unwrap();
    bench.run(Fault::None, Options::default()).unwrap();
    let before = fs::read(out.join("counters.json")).unwrap();
    let error = bench.run(Fault::None, Options::default()).unwrap_err();
    assert!(matches!(error, ReplayError::NotEmpty { .. }), "{error}");

    // With force: a failure leaves the earlier result, success replaces it and nothing else.
    let force = Options {
        force: true,
        ..Options::default()
    };
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::write(out.join("i9.pcap"), "not of a replay").unwrap();
    bench.run(Fault::Fail, force).unwrap_err();
    assert_eq!(fs::read(out.join("counters.json")).unwrap(), before);
    assert_eq!(read(out.join("i2.pcap")).len(), 1);
    run(
        &mut Fake::new(Fault::None),
        &interfaces()[..2],
        &[],
        &out,
        force,
        &mut |_| {},
    )
    .unwrap();
    assert!(
        !out.join("i2.pcap").exists(),
        "stale capture of an interface gone"
    );
    assert!(out.join("i9.pcap").exists() && out.join("notes.txt").exists());
    assert_eq!(read(out.join("i0.pcap")), []);
    let file = bench.dir.path().join("a.pcap");
    let error = run(
        &mut Fake::new(Fault::None),
        &interfaces(),
        &[],
        &file,
        force,
        &mut |_| {},
    );
    assert!(error.unwrap_err().to_string().contains("is not a folder"));
}

#[test]
fn what_a_killed_replay_left_is_in_nobodys_way() {
    let bench = Bench::new();
    // Process numbers end far below.
    let dead = bench.out().join(".replay-4294967295");
    let alive = bench.out().join(format!(".replay-{}", std::process::id()));
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("i0.pcap"), "half").unwrap();
    bench.run(Fault::None, Options::default()).unwrap();
    assert!(!dead.exists());

    let bench = Bench::new();
    fs::create_dir_all(bench.out().join(alive.file_name().unwrap())).unwrap();
    let error = bench.run(Fault::None, Options::default()).unwrap_err();
    assert!(matches!(error, ReplayError::NotEmpty { .. }), "{error}");
}

#[test]
fn a_damaged_capture_is_refused_or_used_as_far_as_it_goes() {
    let bench = Bench::new();
    let path = &bench.inputs[0].path;
    let whole = fs::read(path).unwrap();
    // Cut in the second packet.
    fs::write(path, &whole[..24 + 18 + 17]).unwrap();
    let error = bench.run(Fault::None, Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("b.pcap: packet 2 at byte 42: "),
        "{error}"
    );
    assert!(error.to_string().contains("1 packet was read before it"));
    assert!(!bench.out().exists());

    let keep = Options {
        keep_going: true,
        ..Options::default()
    };
    let summary = bench.run(Fault::None, keep).unwrap();
    assert_eq!((summary.packets, summary.inputs[0].packets), (5, 1));
    let warnings = summary.inputs[0].warnings();
    assert!(warnings[0].contains("packet 2 at byte 42"), "{warnings:?}");
    assert!(warnings[0].ends_with("the rest of the file was not replayed"));
}

#[test]
fn oddities_of_a_capture_are_counted() {
    let bench = Bench::new();
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let input = |name: &str| Input {
        interface: "i0".into(),
        path: captures.join(name),
    };
    let run_one = |name: &str| {
        let out = bench.dir.path().join(name);
        let inputs = [input(name)];
        let mut engine = Fake::new(Fault::None);
        run(
            &mut engine,
            &interfaces(),
            &inputs,
            &out,
            Options::default(),
            &mut |_| {},
        )
        .unwrap()
    };
    let notes = run_one("simple.pcapng").inputs.remove(0);
    assert_eq!((notes.packets, notes.cut, notes.untimed), (3, 1, 2));
    // A packet without a time gets that of the packet before it.
    let times: Vec<_> = read(bench.dir.path().join("simple.pcapng/i2.pcap"))
        .into_iter()
        .map(|(time, _)| time)
        .collect();
    assert_eq!(times, ["5.000000000"; 3]);
    let notes = run_one("odd-be.pcapng").inputs.remove(0);
    assert_eq!((notes.packets, notes.cut, notes.disordered), (6, 1, 2));
    assert_eq!(notes.warnings().len(), 2);
}

#[test]
fn unknown_interfaces_are_listed_with_the_known() {
    let mut bench = Bench::new();
    bench.inputs[1].interface = "eth7".into();
    let error = bench.run(Fault::None, Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no interface `eth7`; there are i0, i1, i2"
    );
    for name in ["host", "", "../up", ".hidden", "a/b"] {
        let interface = InterfaceName {
            name: name.into(),
            port: 0,
        };
        let error = run(
            &mut Fake::new(Fault::None),
            &[interface],
            &[],
            &bench.out(),
            Options::default(),
            &mut |_| {},
        )
        .unwrap_err();
        assert!(matches!(error, ReplayError::UnusableName { .. }), "{error}");
    }
}

#[test]
fn many_batches_keep_order_and_memory() {
    let bench = Bench::new();
    let packets: Vec<_> = (0..20_000i128)
        .map(|i| (i * 3, vec![(i % 3) as u8, (i >> 8) as u8, i as u8]))
        .collect();
    write(&bench.inputs[0].path, &packets);
    let mut steps = Vec::new();
    let summary = run(
        &mut Fake::new(Fault::None),
        &interfaces(),
        &bench.inputs[..1],
        &bench.out(),
        Options::default(),
        &mut |p| steps.push(p),
    )
    .unwrap();
    assert_eq!(summary.sent, 20_000);
    assert_eq!(steps.len(), 5);
    assert_eq!(steps[4].packets, 20_000);
    assert_eq!(Some(steps[4].bytes), steps[4].total);
    let i2 = read(bench.out().join("i2.pcap"));
    assert_eq!(i2.len(), 6666);
    assert!(i2.iter().map(|p| &p.0).is_sorted());
    assert_eq!(i2[6665].0, at(19_997 * 3).to_string());
}
