//! Why not? The reason of a packet, for both answers to whether it has a class
//! (`docs/semantics.md` section 3).

use seqnic_gen::{Circuit, GenError, Module, Sig};
use seqnic_spec::reason::{REASON_BITS, Reason};

/// Conditions which come in as they are, by the reason they are.
pub const CONDITIONS: [(&str, Reason); 16] = [
    ("runt", Reason::Runt),
    ("vlan_depth", Reason::VlanDepth),
    ("no_interface", Reason::NoInterface),
    ("not_mine", Reason::NotMine),
    ("arp", Reason::Arp),
    ("encapsulation", Reason::Encapsulation),
    ("not_ip", Reason::NotIp),
    ("ipv4_header", Reason::Ipv4Header),
    ("ipv4_checksum", Reason::Ipv4Checksum),
    ("ipv6_header", Reason::Ipv6Header),
    ("too_deep", Reason::TooDeep),
    ("l4_header", Reason::L4Header),
    ("nd", Reason::NeighbourDiscovery),
    ("icmp_error", Reason::IcmpError),
    ("multicast", Reason::Multicast),
    ("ttl", Reason::Ttl),
];

/// The lowest reason that holds: module `header_reason`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | one for each of [`CONDITIONS`] | 1 | 0 | |
/// | `dhcp` | 1 | 0 | ports of DHCP |
/// | `own` | 1 | 0 | the destination is the engine's own |
/// | `scoped` | 1 | 0 | destination or source has a scope |
/// | `later` | 1 | 0 | a later fragment |
/// | `with_class`, `without` | 6 | 2 | the reason, should it have a class, or none; `with_class` leaves `wrong_sender` out |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn reason() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_reason");
    m.doc("The lowest reason that holds, for a packet with a class and for one without.");
    let mut with_class: Vec<(Reason, Sig)> = CONDITIONS
        .iter()
        .map(|(port, reason)| (*reason, m.input_at(port, 1, 0)))
        .collect();
    let [dhcp, own, scoped, later] =
        ["dhcp", "own", "scoped", "later"].map(|name| m.input_at(name, 1, 0));
    let mut without = with_class.clone();
    let group = with_class
        .iter()
        .find(|c| c.0 == Reason::Multicast)
        .map_or(m.lit(1, 0), |c| c.1);
    with_class.push((Reason::Dhcp, dhcp & group));
    without.push((Reason::Dhcp, dhcp & (group | own | !scoped)));
    without.push((Reason::Local, own));
    without.push((Reason::Fragment, later & scoped));
    without.push((Reason::NoPort, scoped));
    without.push((Reason::NoService, m.lit(1, 1)));
    m.output("with_class", lowest(&m, with_class));
    m.output("without", lowest(&m, without));
    m.finish()
}

/// The lowest code that holds, else 0, two clocks later: the lower and the higher half in the
/// first, the choice among them in the second.
fn lowest<'m>(m: &'m Module, mut conditions: Vec<(Reason, Sig<'m>)>) -> Sig<'m> {
    conditions.sort_by_key(|c| c.0);
    let code = |(reason, holds): &(Reason, Sig<'m>)| (*holds, m.lit(REASON_BITS, *reason as u128));
    let half = |part: &[(Reason, Sig<'m>)]| {
        let choices: Vec<_> = part.iter().map(code).collect();
        m.priority(&choices, m.lit(REASON_BITS, 0)).reg()
    };
    let (low, high) = conditions.split_at(conditions.len() / 2);
    let (low, high) = (half(low), half(high));
    low.any().mux(low, high).reg()
}
