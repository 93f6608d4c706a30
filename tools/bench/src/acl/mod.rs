//! Rule sets with the shapes of ClassBench, compiled for the card and built by DPDK's `rte_acl` in the same run:
//! time, memory, how often rules are stored, and the same answers for the same packets.

mod packets;
mod peer;

use crate::{BenchError, Times, cpu_ns};
use packets::Packet;
use peer::RteAcl;
use seqnic_compiler::definition::{Definition, Ports, Rule};
use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::{Options, compile, lower};
use seqnic_image::Image;
use seqnic_image::names::Direction;
use seqnic_model::Tables;
use seqnic_model::acl::{Asked, ask};
use seqnic_random::classbench::{Shape, rules};
use seqnic_spec::geometry::ALVEO;
use seqnic_spec::rules::RuleKey;
use seqnic_spec::tables::{RULE_SLOT, RULE_SLOTS, Table};
use serde::Serialize;

/// How much quicker than `rte_acl` we want to be.
pub const TARGET: f64 = 10.0;

/// A set to be compiled.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub shape: Shape,
    pub rules: usize,
    pub v6: bool,
}

/// Every shape with `sizes` rules, in IPv4 and IPv6.
pub fn cases(sizes: &[usize]) -> Vec<Case> {
    let of = |shape: &Shape, rules: &usize| {
        let (shape, rules) = (*shape, *rules);
        [false, true].map(|v6| Case { shape, rules, v6 })
    };
    (Shape::ALL.iter())
        .flat_map(|shape| sizes.iter().flat_map(move |rules| of(shape, rules)))
        .collect()
}

/// What became of one set. Times in milliseconds of CPU, of packets in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub shape: &'static str,
    pub rules: usize,
    pub v6: bool,
    /// From the checked definition to an image, of a definition with this set; of it, what the same
    /// definition takes without a rule is not the rules'.
    pub seqnic: Times,
    pub seqnic_without: Times,
    pub rte_acl: Times,
    /// `rte_acl` by what our rules take.
    pub over_rte_acl: f64,
    /// Rows of the card a rule is stored as.
    pub replication: f64,
    /// Rules in a memory that only knows prefixes, by rules: what native ranges spare.
    pub prefix_expansion: f64,
    /// Bytes of the slots in use, by rules; and of the structure of `rte_acl`.
    pub bytes_a_rule: f64,
    pub rte_acl_bytes_a_rule: f64,
    /// Slots of the card in use, in percent.
    pub load: f64,
    /// A look-up of the software engine, and of `rte_acl` 64 at a time.
    pub lookup: Times,
    pub rte_acl_lookup: Times,
    /// Packets both were asked, how many some rule holds.
    pub packets: usize,
    pub held: usize,
}

/// Measures one set, `rounds` times each in turns, and compares the answers for `packets` packets.
///
/// # Errors
/// A peer that cannot be built or fails, a set that is refused, two answers that differ.
pub fn run(
    case: Case,
    rounds: u32,
    packets: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Row, BenchError> {
    let name = format!(
        "{} {} IPv{}",
        case.shape.name(),
        case.rules,
        if case.v6 { 6 } else { 4 }
    );
    progress(&format!("{name}: building the peer"));
    let rules = rules(case.shape, case.rules, case.v6, 1);
    let mut definition = definition(case.v6)?;
    let without = definition.clone();
    definition.acls[0].rules = rules.clone();
    let packets = packets::near(&rules, case.v6, packets, 7);
    let folder = tempfile::tempdir().map_err(|source| BenchError::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let mut peer = RteAcl::start(folder.path(), &rules, &packets, case.v6)?;

    let mut times: [Vec<f64>; 5] = Default::default();
    let mut made = None;
    for round in 1..=rounds {
        progress(&format!("{name}: round {round} of {rounds}"));
        let (ms, bytes) = peer.build()?;
        times[0].push(ms);
        let (image, ms) = compiled(&definition)?;
        times[1].push(ms);
        times[2].push(compiled(&without)?.1);
        made = Some((image, bytes));
    }
    let Some((image, peer_bytes)) = made else {
        return Err(BenchError::Rounds);
    };
    progress(&format!("{name}: {} packets", packets.len()));
    let tables = Tables::load(&image).map_err(|source| BenchError::Image {
        services: 1,
        source,
    })?;
    let asked = asked(&tables, &packets);
    let wanted = peer.answers()?;
    let mut answers = Vec::with_capacity(asked.len());
    for _ in 0..rounds {
        times[3].push(peer.lookup()?);
        answers.clear();
        let before = cpu_ns();
        answers.extend(asked.iter().map(|asked| {
            // Rules have the numbers behind that of the default.
            ask(&tables, asked).map_or(0, |d| u32::from(d.rule) - FIRST_RULE + 1)
        }));
        times[4].push((cpu_ns() - before) as f64 / asked.len().max(1) as f64);
    }
    for (place, (ours, theirs)) in answers.iter().zip(&wanted).enumerate() {
        if ours != theirs {
            return Err(BenchError::Rules {
                packet: format!("{:?}", packets[place]),
                peer: *theirs,
                ours: *ours,
            });
        }
    }
    let slots = slots(&tables, &image);
    let [rte_acl, seqnic, seqnic_without, rte_acl_lookup, lookup] = times.map(Times::of);
    let count = rules.len() as f64;
    let capacity = ALVEO.rows(Table::Rule) * RULE_SLOTS;
    Ok(Row {
        shape: case.shape.name(),
        rules: rules.len(),
        v6: case.v6,
        over_rte_acl: rte_acl.best / (seqnic.best - seqnic_without.best).max(f64::MIN_POSITIVE),
        seqnic,
        seqnic_without,
        rte_acl,
        replication: slots.rules as f64 / count,
        prefix_expansion: rules.iter().map(expansion).sum::<u64>() as f64 / count,
        bytes_a_rule: slots.used as f64 * f64::from(RULE_SLOT.width()) / 8.0 / count,
        rte_acl_bytes_a_rule: peer_bytes / count,
        load: slots.used as f64 * 100.0 / f64::from(capacity),
        lookup,
        rte_acl_lookup,
        packets: packets.len(),
        held: wanted.iter().filter(|n| **n != 0).count(),
    })
}

/// Number of the first rule of the only set: 0 is no rule, 1 the default.
const FIRST_RULE: u32 = 2;

/// One service that asks one set with one rule.
fn definition(v6: bool) -> Result<Definition, BenchError> {
    let address = if v6 { "\"2001:db8::1\"" } else { "192.0.2.1" };
    let yaml = format!(
        "seqnic: 1\nname: bench\ninterfaces:\n  i0: {{ port: 0, mac: 02:01:00:00:00:01, gateway: r }}\n\
         hosts:\n  r: {{ interface: i0, mac: 02:05:00:00:00:05 }}\n\
         devices:\n  s: {{ function: server, mode: loopback, attachment: {{ interface: i0, mac: 02:06:00:00:00:06 }} }}\n\
         acls:\n  a: [{{ action: deny }}]\n\
         services:\n  w: {{ address: {address}, protocol: any, sequence: [s], acl: a }}\n"
    );
    seqnic_compiler::read(&yaml).map_err(refused)
}

fn refused(found: Vec<Diagnostic>) -> BenchError {
    BenchError::Definition {
        services: 1,
        what: found.first().map_or(String::new(), |d| d.message.clone()),
    }
}

/// The image, and the milliseconds of CPU it took.
fn compiled(definition: &Definition) -> Result<(Image, f64), BenchError> {
    let before = cpu_ns();
    let model = lower::lower(definition).map_err(refused)?;
    let image = compile::pack(definition, model, Options::default()).map_err(refused)?;
    Ok((image, (cpu_ns() - before) as f64 / 1e6))
}

/// The packets as the rules of the service are asked.
fn asked(tables: &Tables, packets: &[Packet]) -> Vec<Asked> {
    let known = tables.address.values().map(|(_, known)| *known);
    let known = known.filter(|k| k.scope != 0).last().unwrap_or_default();
    let of = |p: &Packet| Asked {
        set: 1,
        acl: known.acl,
        key: RuleKey {
            salt: if known.salted { known.scope } else { 0 },
            v6: p.v6,
            client: p.client,
            server: p.server,
            client_port: p.client_port,
            port: p.port,
            protocol: p.protocol,
            arrival: 0,
        },
        direction: Direction::Forward,
        later: false,
        flags: 0,
        size: 100,
    };
    packets.iter().map(of).collect()
}

/// What stands in table `rule`.
struct Slots {
    rules: usize,
    /// Counted as short rules.
    used: usize,
}

fn slots(tables: &Tables, image: &Image) -> Slots {
    let rows = image.table(Table::Rule).used().map(|(row, _)| row);
    let mut slots = Slots { rules: 0, used: 0 };
    for row in rows {
        let here = tables.rules(row).iter().filter(|r| r.valid);
        for rule in here {
            slots.rules += 1;
            let bits = (rule.client.mask | rule.server.mask).count_ones();
            // Prefixes of more than 32 bits take the second slot of the row.
            slots.used += 1 + usize::from(rule.v6 == Some(true) && bits > 32);
        }
    }
    slots
}

/// Prefixes the ranges of ports of a rule are, multiplied.
fn expansion(rule: &Rule) -> u64 {
    let of = |ports: &Ports| match ports {
        Ports::Any => 1,
        Ports::Ranges(ranges) => ranges.iter().map(|(a, b)| prefixes(*a, *b)).sum(),
    };
    of(&rule.client_port) * of(&rule.port)
}

/// Fewest prefixes that are exactly the numbers from `first` to `last`.
fn prefixes(first: u16, last: u16) -> u64 {
    let (mut at, end) = (u32::from(first), u32::from(last) + 1);
    let mut count = 0;
    while at < end {
        let aligned = if at == 0 { 16 } else { at.trailing_zeros() };
        let fits = (end - at).ilog2();
        at += 1 << aligned.min(fits);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_so_many_prefixes() {
        for (first, last, count) in [
            (0, 65535, 1),
            (80, 80, 1),
            (1024, 65535, 6),
            (1, 65534, 30),
            (0, 1023, 1),
            (1, 1023, 10),
        ] {
            assert_eq!(prefixes(first, last), count, "{first}-{last}");
        }
    }

    /// Without the peer: the look-ups of a compiled set are the first match in the list.
    #[test]
    fn answers_are_the_first_rule_that_holds() {
        for v6 in [false, true] {
            let rules = rules(Shape::Fw, 300, v6, 3);
            let mut definition = definition(v6).unwrap_or_else(|e| panic!("{e}"));
            definition.acls[0].rules = rules.clone();
            let (image, _) = compiled(&definition).unwrap_or_else(|e| panic!("{e}"));
            let tables = Tables::load(&image).unwrap_or_else(|e| panic!("{e}"));
            let packets = packets::near(&rules, v6, 2000, 5);
            let mut held = 0;
            for (packet, asked) in packets.iter().zip(asked(&tables, &packets)) {
                let found = ask(&tables, &asked).map(|d| u32::from(d.rule) - FIRST_RULE);
                let first = rules.iter().position(|r| packet.meets(r));
                assert_eq!(found.map(|n| n as usize), first, "{packet:?}");
                held += usize::from(first.is_some());
            }
            assert!(held > 1000 && held < 2000, "{held} of 2000");
            let slots = slots(&tables, &image);
            assert_eq!(slots.rules, rules.len());
            assert!(slots.used >= slots.rules);
        }
    }
}
