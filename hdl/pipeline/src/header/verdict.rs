//! The verdict: reason and step put together with what the editor must know.

use seqnic_gen::{Circuit, GenError, Module, Record, mux};
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::VERDICT;
use seqnic_spec::tables::width;

/// Fields of the verdict which come in as they go out.
pub const CARRIED: [&str; 28] = [
    "tag",
    "port",
    "epoch",
    "interface",
    "sender",
    "class",
    "direction",
    "action",
    "neighbour_valid",
    "neighbour",
    "priority",
    "meter",
    "l3",
    "ip_length",
    "protocol",
    "v6",
    "l4",
    "l4_offset",
    "udp_no_checksum",
    "src",
    "dst",
    "sport",
    "dport",
    "traffic_class",
    "ip_checksum",
    "l4_checksum",
    "opening",
    "answering",
];

/// The port by which a field comes in: its name, unless Verilog reserves it.
pub fn port_of(field: &'static str) -> &'static str {
    match field {
        "interface" => "interface_number",
        "class" => "class_number",
        "priority" => "rank",
        other => other,
    }
}

/// Puts the verdict together: module `header_verdict`. No clock; two levels of logic.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | one for each of [`CARRIED`], see [`port_of`] | the field's | 0 | |
/// | `base` | 6 | 0 | reason without `wrong_sender` |
/// | `copies` | 4 | 0 | rows of the step; 0: wrong sender |
/// | `first` | 1 | 0 | the way of the packet begins here |
/// | `asked`, `permit`, `rule` | 1, 1, 16 | 0 | whether its class has rules, what they say of a first packet, the number that counts under |
/// | `framed` | 1 | 0 | neither `runt` nor `vlan_depth` |
/// | `interface_known`, `sender_known`, `found` | 1 | 0 | the tables' answers; `found` of the class |
/// | `verdict` | record `verdict` | 0 | |
///
/// # Errors
/// None which a test does not find: the module has no parameters.
pub fn verdict() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_verdict");
    m.doc("The verdict of a packet.");
    let record = Record::from(&VERDICT);
    let mut fields: Vec<_> = CARRIED
        .into_iter()
        .map(|field| (field, m.input_at(port_of(field), VERDICT.at(field).1, 0)))
        .collect();
    let base = m.input_at("base", REASON_BITS, 0);
    let copies = m.input_at("copies", width::COPIES, 0);
    let framed = m.input_at("framed", 1, 0);
    let [interface_known, sender_known, found] =
        ["interface_known", "sender_known", "found"].map(|name| m.input_at(name, 1, 0));

    let barred = !copies.any();
    let wrong_sender = m.lit(REASON_BITS, Reason::WrongSender as u128).when(barred);
    let [first, asked, permit] = ["first", "asked", "permit"].map(|name| m.input_at(name, 1, 0));
    let rule = m.input_at("rule", width::RULE, 0);
    let by_rule = first & asked;
    let denied = m.lit(REASON_BITS, Reason::Denied as u128);
    let denied = denied.when(by_rule & !permit);
    let refused = mux(barred, wrong_sender, denied);
    let reason = mux(base.any(), base, refused);
    let one = copies.lit(1);
    fields.extend([
        ("reason", reason),
        ("interface_valid", framed & interface_known),
        ("sender_valid", framed & interface_known & sender_known),
        ("class_valid", found & !base.any()),
        ("rule_valid", by_rule & !barred & !base.any()),
        ("rule", rule),
        // The host gets one.
        ("copies", mux(reason.any(), one, copies)),
    ]);
    m.output("verdict", m.pack(&record, &fields));
    m.finish()
}
