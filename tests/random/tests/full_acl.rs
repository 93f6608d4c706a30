//! Rule sets as large as table `rule` of geometry `alveo`, through the whole compiler: each finds places, or the compiler says why
//! not; the image engine's answers are those of the first rule in the list that holds. Prints what stands in docs/bench.md.
//! Takes minutes, so only when asked: `make full-acl`.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::definition::{Definition, Ports, Prefix, Rule};
use seqnic_compiler::{Options, compile, lower};
use seqnic_image::Image;
use seqnic_image::names::Direction;
use seqnic_model::Tables;
use seqnic_model::acl::{self, Asked, ask};
use seqnic_model::parse::Address;
use seqnic_random::classbench::{Shape, rules};
use seqnic_spec::geometry::ALVEO;
use seqnic_spec::rules::RuleKey;
use seqnic_spec::tables::{RULE_SLOT, RULE_SLOTS, Table};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Mixed,
}

/// Packets near the rules, each compared with the whole list.
const PACKETS: usize = 3_000;
/// Number of the first rule: 0 is no rule, 1 the default.
const FIRST_RULE: u16 = 2;

/// Addresses of the services.
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A service of each IP version, both ask one set.
fn definition(family: Family, rules: Vec<Rule>) -> Definition {
    let mut yaml = String::from(
        "seqnic: 1\nname: full\ninterfaces:\n  i0: { port: 0, mac: 02:01:00:00:00:01, gateway: r }\n\
         hosts:\n  r: { interface: i0, mac: 02:05:00:00:00:05 }\n\
         devices:\n  s: { function: server, mode: loopback, attachment: { interface: i0, mac: 02:06:00:00:00:06 } }\n\
         acls:\n  a: [{ action: deny }]\nservices:\n",
    );
    for (name, address, other) in [
        ("w4", IpAddr::from(V4), Family::V6),
        ("w6", IpAddr::from(V6), Family::V4),
    ] {
        if family != other {
            yaml += &format!(
                "  {name}: {{ address: \"{address}\", protocol: any, sequence: [s], acl: a }}\n"
            );
        }
    }
    let mut definition = seqnic_compiler::read(&yaml).unwrap_or_else(|e| panic!("{e:?}"));
    definition.acls[0].rules = rules;
    definition
}

fn list(shape: Shape, family: Family, count: usize) -> Vec<Rule> {
    match family {
        Family::V4 => rules(shape, count, false, 1),
        Family::V6 => rules(shape, count, true, 1),
        Family::Mixed => {
            let v4 = rules(shape, count.div_ceil(2), false, 1);
            let v6 = rules(shape, count / 2, true, 2);
            let mut all: Vec<Rule> = Vec::with_capacity(count);
            let mut v6 = v6.into_iter();
            for rule in v4 {
                all.push(rule);
                all.extend(v6.next());
            }
            for (place, rule) in all.iter_mut().enumerate() {
                rule.name = (place + 1).to_string();
            }
            all
        }
    }
}

fn from_the_top(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// Prefixes of one IP version; `None` if it has some, but none of that version.
fn of_version(prefixes: &[Prefix], v6: bool) -> Option<Vec<(u128, u8)>> {
    let of = prefixes.iter().filter(|p| p.address.is_ipv6() == v6);
    let of: Vec<_> = of.map(|p| (from_the_top(p.address), p.bits)).collect();
    (prefixes.is_empty() || !of.is_empty()).then_some(of)
}

fn protocol(rule: &Rule, v6: bool) -> Option<u8> {
    let any = if v6 {
        IpAddr::from([0u8; 16])
    } else {
        IpAddr::from([0u8; 4])
    };
    rule.protocol.number(any)
}

/// Whether a rule holds a packet, read from the definition alone.
fn holds(rule: &Rule, key: &RuleKey) -> bool {
    let within = |prefixes: &[Prefix], address: u128| {
        of_version(prefixes, key.v6).is_some_and(|of| {
            let one = |(value, bits): &(u128, u8)| {
                let open = 128 - u32::from(*bits);
                (value ^ address).checked_shr(open).unwrap_or(0) == 0
            };
            of.is_empty() || of.iter().any(one)
        })
    };
    let ports = |ports: &Ports, port: u16| match ports {
        Ports::Any => true,
        Ports::Ranges(ranges) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&port)),
    };
    within(&rule.client, key.client)
        && within(&rule.server, key.server)
        && protocol(rule, key.v6).is_none_or(|p| p == key.protocol)
        && ports(&rule.client_port, key.client_port)
        && ports(&rule.port, key.port)
}

/// A packet that a rule holds, or nearly: its open bits are random, and now and then one more is turned.
fn near(rule: &Rule, v6: bool, random: &mut ChaCha8Rng) -> RuleKey {
    let all = if v6 { u128::MAX } else { u128::MAX << 96 };
    let mut address = |prefixes: &[Prefix]| {
        let of = of_version(prefixes, v6).unwrap_or_default();
        let (value, bits) = of.first().copied().unwrap_or((0, 0));
        let open = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
        let any = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        let turned = match random.random_ratio(1, 8) {
            true => 1 << random.random_range(96..128),
            false => 0,
        };
        ((value | any & open) ^ turned) & all
    };
    let (client, server) = (address(&rule.client), address(&rule.server));
    let mut port = |ports: &Ports| match ports {
        Ports::Any => random.random(),
        Ports::Ranges(ranges) => random.random_range(ranges[0].0..=ranges[0].1),
    };
    let (client_port, port) = (port(&rule.client_port), port(&rule.port));
    RuleKey {
        salt: 0,
        v6,
        client,
        server,
        client_port,
        port,
        protocol: protocol(rule, v6)
            .unwrap_or_else(|| [1, 6, 17, 47, 58][random.random_range(0..5)]),
        arrival: 0,
    }
}

/// What was compiled: rows of rules, slots in use, and how many of the packets some rule holds.
fn compared(definition: &Definition, image: &Image) -> (usize, usize, usize) {
    let tables = Tables::load(image).unwrap_or_else(|e| panic!("{e}"));
    let rules = &definition.acls[0].rules;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut held = 0;
    for _ in 0..PACKETS {
        let rule = &rules[random.random_range(0..rules.len())];
        let versions = [false, true].map(|v6| {
            let service = definition.services.iter().any(|s| {
                let mut addresses = s.addresses.iter();
                addresses.any(|a| a.is_ipv6() == v6)
            });
            let of = |prefixes| of_version(prefixes, v6).is_some();
            service && of(&rule.client) && of(&rule.server)
        });
        let v6 = match versions {
            [true, true] => random.random(),
            [_, v6] => v6,
        };
        let mut key = near(rule, v6, &mut random);
        let first = rules.iter().position(|rule| holds(rule, &key));
        let service = match v6 {
            false => u128::from(V4.to_bits()),
            true => V6.to_bits(),
        };
        let known = tables.address.get(Address { v6, value: service });
        let known = known.unwrap_or_else(|| panic!("no service of IPv6 {v6}"));
        key.salt = if known.salted { known.scope } else { 0 };
        let asked = Asked {
            set: 1,
            acl: known.acl,
            key,
            direction: Direction::Forward,
            later: false,
            flags: 0,
            size: 100,
        };
        let found = ask(&tables, &asked).map(|d| usize::from(d.rule - FIRST_RULE));
        assert_eq!(found, first, "{asked:?}");
        held += usize::from(found.is_some());
    }
    let (mut stored, mut used) = (0, 0);
    for (row, _) in image.table(Table::Rule).used() {
        for rule in tables.rules(row).iter().filter(|r| r.valid) {
            stored += 1;
            used += slots(rule);
        }
    }
    (stored, used, held)
}

/// Slots a rule takes.
fn slots(rule: &acl::Rule) -> usize {
    let bits = (rule.client.mask | rule.server.mask).count_ones();
    1 + usize::from(rule.v6 == Some(true) && bits > 32)
}

/// Slots in use that every packet is compared with.
fn always(image: &Image) -> usize {
    let tables = Tables::load(image).unwrap_or_else(|e| panic!("{e}"));
    tables.always.iter().map(slots).sum()
}

/// Milliseconds this thread has run.
fn cpu_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: u64 = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    ns / 1_000_000
}

/// What is to become of a set: it finds places, or the code of the finding and words of it.
type Wanted = Result<(), (&'static str, &'static str)>;

const SETS: [(Shape, Family, usize, Wanted); 12] = [
    (Shape::Acl, Family::V4, 65_000, Ok(())),
    (Shape::Fw, Family::V4, 25_000, Ok(())),
    (Shape::Fw, Family::V4, 50_000, Ok(())),
    (Shape::Fw, Family::V4, 65_000, Ok(())),
    (Shape::Ipc, Family::V4, 60_000, Ok(())),
    (Shape::Ipc, Family::V4, 65_000, Ok(())),
    (Shape::Ipc, Family::Mixed, 30_000, Ok(())),
    (Shape::Acl, Family::Mixed, 45_000, Ok(())),
    (Shape::Acl, Family::V6, 36_000, Ok(())),
    (
        Shape::Acl,
        Family::Mixed,
        65_000,
        Err(("too_many_rules", "take two places")),
    ),
    (
        Shape::Acl,
        Family::V6,
        65_000,
        Err((
            "too_many_rules",
            "130000 places for rules, geometry `alveo` has 81936",
        )),
    ),
    (
        Shape::Ipc,
        Family::Mixed,
        40_000,
        Err(("rules_do_not_fit", "93 find no place")),
    ),
];

#[test]
#[ignore = "minutes: make full-acl"]
fn full_sets_find_places_or_the_compiler_says_why_not() {
    println!("| set | rules | | rows | load % | always | bytes a rule | ms | packets held |");
    println!("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut wrong = Vec::new();
    for (shape, family, count, wanted) in SETS {
        let definition = definition(family, list(shape, family, count));
        let begun = cpu_ms();
        let found = lower::lower(&definition)
            .and_then(|model| compile::pack(&definition, model, Options::default()));
        let ms = cpu_ms() - begun;
        let what = format!("| {} | {count} | {family:?} |", shape.name());
        match (found, wanted) {
            (Ok(image), Ok(())) => {
                let (stored, used, held) = compared(&definition, &image);
                assert!(stored >= count, "{what} {stored} rows");
                assert!(held > PACKETS / 2, "{what} {held}");
                let slots = f64::from(ALVEO.rows(Table::Rule) * RULE_SLOTS);
                let load = used as f64 * 100.0 / slots;
                let bytes = used as f64 * f64::from(RULE_SLOT.width()) / 8.0 / count as f64;
                let always = always(&image);
                println!(
                    "{what} {stored} | {load:.1} | {always} | {bytes:.0} | {ms} | {held} of {PACKETS} |"
                );
            }
            (Err(findings), Err((code, words))) => {
                assert_eq!(findings.len(), 1, "{what} {findings:?}");
                assert_eq!(findings[0].code, code, "{what} {findings:?}");
                assert!(findings[0].message.contains(words), "{what} {findings:?}");
                println!("{what} refused: {} | | | {ms} | |", findings[0].message);
            }
            (Ok(_), Err(_)) => {
                wrong.push(format!("{what} finds places now: say so in docs/bench.md"))
            }
            (Err(findings), Ok(())) => wrong.push(format!("{what} {findings:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
