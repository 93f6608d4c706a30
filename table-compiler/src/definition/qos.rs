//! Priorities, rates and limits as written: `qos` of the definition, `rate` and `burst` of services.

use super::fields::Fields;
use super::findings::{Findings, one_of, short};
use super::tree::{At, Kind, Node};
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::{PRIORITIES, time};

/// DSCPs there are (RFC 2474).
pub const DSCPS: usize = 64;

/// What a service may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Bits of IP packets a second.
    pub bits: u64,
    /// Bytes it may send at once.
    pub burst: u64,
}

/// How the packets of a priority share an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Share {
    /// Before all with a lower priority.
    Strict,
    /// By weight, 1 to 255, of what the strict ones leave.
    Weight(u8),
}

/// How many packets of a reason the host takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Take {
    All,
    None,
    /// So many packets a second, and so many at once.
    Rate {
        packets: u64,
        burst: u64,
    },
}

/// What the host gets of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostLimit {
    pub take: Take,
    pub priority: u8,
}

/// `qos` of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qos {
    /// Priority by DSCP, of packets on trusted interfaces.
    pub dscp: [u8; DSCPS],
    /// By priority.
    pub queues: [Share; PRIORITIES as usize],
    /// By reason code; that of `directed` means nothing.
    pub host: Vec<HostLimit>,
}

impl Default for Qos {
    fn default() -> Qos {
        Qos {
            // Class selectors (RFC 2474 section 4.2.2).
            dscp: std::array::from_fn(|dscp| (dscp >> 3) as u8),
            queues: std::array::from_fn(|priority| match priority {
                6.. => Share::Strict,
                _ => Share::Weight(priority as u8 + 1),
            }),
            host: Reason::ALL.iter().map(|r| host_default(*r)).collect(),
        }
    }
}

fn host_default(reason: Reason) -> HostLimit {
    let priority = match reason {
        Reason::Arp | Reason::NeighbourDiscovery => 7,
        Reason::Dhcp => 6,
        Reason::Local => 5,
        Reason::IcmpError | Reason::Ttl | Reason::TooBig | Reason::Fragment => 4,
        Reason::NoService | Reason::NoPort => 1,
        Reason::Policed | Reason::Denied | Reason::Skipped => 0,
        _ => 2,
    };
    let take = match reason {
        Reason::Policed | Reason::Skipped => Take::None,
        _ => Take::All,
    };
    HostLimit { take, priority }
}

/// Rates: what [`time::METER_COST_BITS`] bits still tell apart.
const RATES: std::ops::RangeInclusive<u64> = 8_000..=400_000_000_000;
const RATE_UNITS: [(&str, u64); 4] = [
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
];
const SIZE_UNITS: [(&str, u64); 6] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
];
/// Two of the longest frames, so that no rate is too small for one.
const LEAST_BURST: u64 = 2 * seqnic_spec::wire::MAX_FRAME_BYTES as u64;
/// Longest time a burst may take, ns: what the tables have room for, with some to spare for the cost
/// being rounded up.
const LONGEST_BURST: u64 = 1_000_000_000_000;
const _: () = assert!(
    (LONGEST_BURST as u128 * 1001 / 1000) << time::FRACTION_BITS < 1 << time::TOLERANCE_BITS
);
/// Packets a second the host may be sent of one reason.
const HOST_RATES: std::ops::RangeInclusive<u64> = 1..=1_000_000_000;

/// `rate` and `burst` of a service.
pub(crate) fn rate(f: &mut Findings, fields: &Fields) -> Option<Rate> {
    let owner = fields.owner.as_str();
    let Some(node) = fields.get("rate") else {
        if let Some(span) = fields.key_span("burst") {
            f.error(
                "burst_without_rate",
                format!("{owner} has a `burst`, but no `rate`"),
                span,
                "add `rate: 100 Mbit/s`, or remove `burst`",
            );
        }
        return None;
    };
    let what = format_args!("`rate` of {owner}");
    let bits = with_unit(
        f,
        node,
        what,
        &RATE_UNITS,
        RATES,
        "rate_range",
        "100 Mbit/s",
    )?
    .value;
    // A burst may take at most so long at this rate.
    let most = (u128::from(bits) * u128::from(LONGEST_BURST) / 8_000_000_000) as u64;
    let burst = match fields.get("burst") {
        None => (bits / 800).max(LEAST_BURST),
        Some(node) => {
            let what = format_args!("`burst` of {owner}");
            with_unit(f, node, what, &SIZE_UNITS, 1..=most, "burst_range", "64 kB")?.value
        }
    };
    Some(Rate { bits, burst })
}

/// A whole number and its unit.
fn with_unit(
    f: &mut Findings,
    node: &Node,
    what: std::fmt::Arguments,
    units: &[(&'static str, u64)],
    range: std::ops::RangeInclusive<u64>,
    code: &'static str,
    like: &str,
) -> Option<At<u64>> {
    let text = f.text(node, what)?;
    let digits = text.value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.value.split_at(digits);
    let known = units.iter().find(|(name, _)| *name == unit.trim_start());
    let Some((_, factor)) = known.filter(|_| digits > 0) else {
        let names: Vec<String> = units.iter().map(|(n, _)| format!("`{n}`")).collect();
        f.error(
            "no_unit",
            format!(
                "{what} is `{}`, not a whole number and its unit",
                short(text.value)
            ),
            text.span,
            format!("write it like `{like}`, with {}", one_of(&names)),
        );
        return None;
    };
    let value = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*factor));
    match value.filter(|v| range.contains(v)) {
        Some(value) => Some(At::new(value, text.span)),
        None => {
            let (base, _) = units[0];
            f.error(
                code,
                format!(
                    "{what} is {}, outside of {} to {} {base}",
                    short(text.value),
                    range.start(),
                    range.end()
                ),
                text.span,
                format!("write {} to {} {base}", range.start(), range.end()),
            );
            None
        }
    }
}

/// A priority.
pub(crate) fn priority(f: &mut Findings, node: &Node, what: std::fmt::Arguments) -> Option<u8> {
    let range = 0..=u64::from(PRIORITIES) - 1;
    let found = f.number(node, what, range, "priority_range");
    found.map(|at| at.value as u8)
}

/// `qos` of the definition; what is broken in it was reported.
pub(crate) fn read(f: &mut Findings, top: &Fields) -> Qos {
    let mut qos = Qos::default();
    let Some(node) = top.get("qos") else {
        return qos;
    };
    let keys = ["dscp", "queues", "host"];
    let Some(fields) = Fields::of(f, node, "`qos`".to_owned(), node.span, &keys) else {
        return qos;
    };
    if let Some(node) = fields.get("dscp") {
        for (key, node) in f.map(node, format_args!("`dscp` in `qos`"), "46: 7") {
            let what = format_args!("the DSCP in `qos`");
            let text = At::new(key.value.as_str(), key.span);
            let dscp = f.number_of(&text, what, 0..=DSCPS as u64 - 1, "dscp_range");
            let what = format_args!("the priority of DSCP {}", key.value);
            if let (Some(dscp), Some(priority)) = (dscp, priority(f, node, what)) {
                qos.dscp[dscp.value as usize] = priority;
            }
        }
    }
    if let Some(node) = fields.get("queues") {
        for (key, node) in f.map(node, format_args!("`queues` in `qos`"), "7: strict") {
            let what = format_args!("the priority in `queues` of `qos`");
            let text = At::new(key.value.as_str(), key.span);
            let range = 0..=u64::from(PRIORITIES) - 1;
            let priority = f.number_of(&text, what, range, "priority_range");
            let share = match &node.kind {
                Kind::Text(text) if text == "strict" => Some(Share::Strict),
                _ => {
                    let what = format_args!("the weight of priority {}", key.value);
                    let weight = f.number(node, what, 1..=255, "weight_range");
                    weight.map(|at| Share::Weight(at.value as u8))
                }
            };
            if let (Some(priority), Some(share)) = (priority, share) {
                qos.queues[priority.value as usize] = share;
            }
        }
    }
    if let Some(node) = fields.get("host") {
        for (key, node) in f.map(
            node,
            format_args!("`host` in `qos`"),
            "no_service: { rate: 1000 }",
        ) {
            if let Some(reason) = reason(f, &key)
                && let Some(limit) = host(f, reason, node)
            {
                qos.host[reason as usize] = limit;
            }
        }
    }
    qos
}

/// Whether packets with this reason are sent to the host.
fn is_sent(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Directed | Reason::OutputFull | Reason::HostLimited | Reason::Oversize
    )
}

fn reason(f: &mut Findings, key: &At<String>) -> Option<Reason> {
    let sent = || Reason::ALL.iter().filter(|r| is_sent(**r));
    let found = sent().find(|r| r.name() == key.value);
    if found.is_none() {
        let names = sent().map(|r| r.name());
        let help = f.instead(
            &key.value,
            names,
            "name a reason for which the host gets packets",
        );
        f.error(
            "unknown_reason",
            format!(
                "`host` in `qos` names `{}`, which is no reason",
                short(&key.value)
            ),
            key.span,
            help,
        );
    }
    found.copied()
}

fn host(f: &mut Findings, reason: Reason, node: &Node) -> Option<HostLimit> {
    let owner = format!("`{}` in `host` of `qos`", reason.name());
    let fields = Fields::of(f, node, owner, node.span, &["rate", "burst", "priority"])?;
    let owner = fields.owner.as_str();
    let mut limit = host_default(reason);
    if let Some(node) = fields.get("priority")
        && let Some(priority) = priority(f, node, format_args!("`priority` of {owner}"))
    {
        limit.priority = priority;
    }
    let rate = fields.get("rate").and_then(|node| match &node.kind {
        Kind::Text(text) if text == "none" => Some(Take::None),
        Kind::Text(text) if text == "all" => Some(Take::All),
        _ => {
            let what = format_args!("`rate` of {owner}");
            let packets = f.number(node, what, HOST_RATES, "rate_range")?.value;
            Some(Take::Rate {
                packets,
                burst: (packets / 10).max(1),
            })
        }
    });
    limit.take = rate.unwrap_or(limit.take);
    let Some(node) = fields.get("burst") else {
        return Some(limit);
    };
    let Take::Rate { packets, burst } = &mut limit.take else {
        if !fields.has("rate") || rate.is_some() {
            f.error(
                "burst_without_rate",
                format!("{owner} has a `burst`, but no `rate` in packets a second"),
                fields.key_span("burst").unwrap_or(node.span),
                "add `rate: 1000`, or remove `burst`",
            );
        }
        return Some(limit);
    };
    let most = packets.saturating_mul(LONGEST_BURST / 1_000_000_000).max(1);
    let what = format_args!("`burst` of {owner}");
    *burst = f.number(node, what, 1..=most, "burst_range")?.value;
    Some(limit)
}
