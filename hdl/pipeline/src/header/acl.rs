//! Is it allowed? Tables `acl` and `rule` (`docs/semantics.md` section 7).
//!
//! Everything of the key is known long before the class, so its digests under every prefix are worked out
//! meanwhile; which address is the client's, and whose masks hold, is known with the class. Rules are
//! read while the step is looked up, and compared with the set of the class's row.

use seqnic_gen::math::matrix;
use seqnic_gen::{Bits, Circuit, GenError, Module, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::rules::{ADDRESS_NIBBLES, PORT_NIBBLES, SECOND_TURN, base, contribution};
use seqnic_spec::tables::{ACL_SLOT, MAX_ROW_BITS, Table, width};

use crate::tables::{Config, direct, hash, join_rdata, rules};

/// Clocks from the addresses to the class.
fn class_stage(g: &Geometry) -> u32 {
    hash::clocks(g, Table::PortSrcServer) + 1
}

/// Asks the rules: module `header_acl`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dst_acl`, `src_acl` | 5 | 0 | row in `acl` of both addresses' scopes |
/// | `dst_scope`, `src_scope` | 20 | 0 | those scopes, `dst_salted`, `src_salted`: part of the key |
/// | `v6`, `src`, `dst` | 1, 128, 128 | 0 | addresses as numbers |
/// | `sport`, `dport`, `protocol`, `later`, `flags`, `size` | 16, 16, 8, 1, 8, 17 | 0 | |
/// | `arrival`, `epoch` | 10, 1 | 0 | interface, version of the tables |
/// | `direction`, `by_source` | 1 | as the class | direction; the source address has found the class |
/// | `set`, `default_permit`, `default_rule` | 12, 1, 16 | as they are compared | of the class's row |
/// | `asked`, `permit`, `rule` | 1, 1, 16 | [`Circuit::latency`] | whether the class has rules; what they say of a first packet; a choice lies behind the registers |
///
/// # Errors
/// Sizes out of range.
pub fn acl(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_acl");
    m.doc("Is it allowed? The rule with the lowest order that holds, or the default of the class.");
    let at = class_stage(g);
    let config = Config::inputs(&m, MAX_ROW_BITS);
    let direction = m.input_at("direction", 1, at);
    let by_source = m.input_at("by_source", 1, at);
    let input = |name: &str, bits| m.input_at(name, bits, 0);
    let v6 = input("v6", 1);
    let [src, dst] = ["src", "dst"].map(|name| {
        let address = input(name, 128);
        mux(v6, address, address.trunc(32).cat(m.lit(96, 0)))
    });
    let (sport, dport) = (input("sport", 16), input("dport", 16));
    let (protocol, arrival) = (input("protocol", 8), input("arrival", width::INTERFACE));
    let (later, flags) = (input("later", 1), input("flags", 8));
    let (size, epoch) = (input("size", 17), input("epoch", 1));

    // Masks and salts of both sides, until it is known which holds.
    let child = direct::direct_table(Table::Acl, g)?;
    let mut rdata = vec![];
    let sides = ["dst", "src"].map(|side| {
        let row = input(&format!("{side}_acl"), width::ACL);
        let row = row.trunc(direct::index_bits(g, Table::Acl));
        let mut ports = vec![("index", row.reg())];
        ports.extend(config.connect(g.row_bits(Table::Acl)));
        let lookup = m.instance(&format!("{side}_lookup"), &child, &ports);
        if side == "dst" {
            rdata.push(lookup.get("cfg_rdata"));
        }
        let salted = input(&format!("{side}_salted"), 1);
        let salt = input(&format!("{side}_scope"), width::SCOPE).when(salted);
        (lookup.get("row"), of_field(salt, "salt").reg())
    });
    let [dst_side, src_side] = sides;
    let masks = mux(by_source, src_side.0, dst_side.0).reg();
    let salt = mux(by_source, src_side.1, dst_side.1).reg();

    // Sums of what the first nibbles contribute, from the values two clocks before they are chosen from.
    let addresses = [src, dst].map(|a| prefixes(a.to_stage(at - 2), "client", ADDRESS_NIBBLES));
    let both = [sport, dport].map(|p| prefixes(p.to_stage(at - 2), "client_port", PORT_NIBBLES));
    let ([src_sums, dst_sums], [sport_sums, dport_sums]) = (addresses, both);
    let client_sums = choose(direction, &src_sums, &dst_sums);
    let server_sums = choose(direction, &dst_sums, &src_sums);
    let client_port_sums = choose(direction, &sport_sums, &dport_sums);
    let port_sums = choose(direction, &dport_sums, &sport_sums);
    let v6_part = of_field(v6, "v6");
    let always =
        (v6_part.to_stage(at + 1) ^ salt ^ m.lit(32, base().into())).named("constant_part");
    let protocol_part = of_field(protocol, "protocol").to_stage(at + 1);
    let arrival_part = of_field(arrival, "arrival").to_stage(at + 1);

    let bits = g.rule_rows.trailing_zeros();
    let mut ports: Vec<(String, Sig)> = vec![];
    for bank in 0..g.rule_banks {
        let mask = masks.slice(bank * ACL_SLOT.width(), ACL_SLOT.width());
        let mask = mask.with_record(&Record::from(&ACL_SLOT));
        // The bits of a digest that are this bank's row number.
        let turn = 7 * bank % 32;
        let taken = |turned: u32, sum| top(rotated(sum, turned + turn), bits);
        let optional = |sum, field: &str| top(rotated(sum, turn), bits).when(mask.field(field));
        let row = top(rotated(always, turn), bits)
            ^ taken(0, m.index(&client_sums, mask.field("client")))
            ^ taken(SECOND_TURN, m.index(&server_sums, mask.field("server")))
            ^ taken(0, m.index(&client_port_sums, mask.field("client_port")))
            ^ taken(SECOND_TURN, m.index(&port_sums, mask.field("port")))
            ^ optional(protocol_part, "protocol")
            ^ optional(arrival_part, "arrival");
        ports.push((
            format!("index{bank}"),
            row.named(&format!("row{bank}")).reg(),
        ));
    }
    let compared = at + 2 + rules::compare_stage(g);
    let set = m.input_at("set", width::SET, compared);
    let default_permit = m.input_at("default_permit", 1, compared);
    let default_rule = m.input_at("default_rule", width::RULE, compared);
    // What the packet looks like to rules.
    let (client, server) = (
        mux(direction, dst, src).reg(),
        mux(direction, src, dst).reg(),
    );
    let client_port = mux(direction, dport, sport).reg();
    let port = mux(direction, sport, dport).reg();
    let packet = [
        ("v6", v6),
        ("client", client),
        ("server", server),
        ("client_port", client_port),
        ("port", port),
        ("protocol", protocol),
        ("later", later),
        ("flags", flags),
        ("size", size),
        ("back", direction),
        ("arrival", arrival),
        ("set", set),
        ("epoch", epoch),
    ];
    ports.extend(packet.map(|(name, sig)| (name.to_string(), sig)));
    let mut ports: Vec<(&str, Sig)> = ports.iter().map(|(n, s)| (n.as_str(), *s)).collect();
    ports.extend(config.connect(g.row_bits(Table::Rule)));
    let lookup = m.instance("lookup", &rules::rules(g)?, &ports);
    rdata.push(lookup.get("cfg_rdata"));
    let hit = lookup.get("hit");
    m.output("asked", set.any());
    m.output("permit", mux(hit, lookup.get("permit"), default_permit));
    m.output("rule", mux(hit, lookup.get("rule"), default_rule));
    let rdata = join_rdata(&m, &rdata, MAX_ROW_BITS);
    m.output("cfg_rdata", rdata);
    m.finish()
}

/// Forward one list, on the return way the other, a clock later.
fn choose<'m>(direction: Sig<'m>, forward: &[Sig<'m>], back: &[Sig<'m>]) -> Vec<Sig<'m>> {
    let pairs = forward.iter().zip(back);
    pairs.map(|(f, b)| mux(direction, *b, *f).reg()).collect()
}

/// What a whole field contributes.
fn of_field<'m>(value: Sig<'m>, field: &str) -> Sig<'m> {
    let columns: Vec<u32> = (0..value.width())
        .map(|bit| contribution(field, bit))
        .collect();
    linear(value, &columns)
}

/// The sum of the columns of all bits that are set.
fn linear<'m>(value: Sig<'m>, columns: &[u32]) -> Sig<'m> {
    let row = |bit: u32| {
        let mut row = Bits::zero(value.width());
        for (n, column) in columns.iter().enumerate() {
            row.set_bit(n as u32, column >> bit & 1 == 1);
        }
        row
    };
    let rows: Vec<Bits> = (0..32).map(row).collect();
    matrix(value, &rows)
}

/// Sums over the first 0, 1, ... nibbles, two clocks later: within groups of eight first, then over the groups before.
fn prefixes<'m>(value: Sig<'m>, field: &'static str, nibbles: usize) -> Vec<Sig<'m>> {
    const GROUP: usize = 8;
    let m = value.module();
    let width = value.width();
    let mut sums = vec![m.lit(32, 0)];
    let mut before = m.lit(32, 0);
    for first in (0..nibbles).step_by(GROUP) {
        let mut within: Vec<Sig> = vec![];
        for nibble in first..(first + GROUP).min(nibbles) {
            let lo = width - 4 * (nibble as u32 + 1);
            let columns: Vec<u32> = (0..4).map(|bit| contribution(field, lo + bit)).collect();
            let part = linear(value.slice(lo, 4), &columns);
            within.push(within.last().map_or(part, |last| *last ^ part));
        }
        let within: Vec<Sig> = within.into_iter().map(|sum| sum.reg()).collect();
        sums.extend(within.iter().map(|sum| (*sum ^ before).reg()));
        before = within.last().map_or(before, |last| before ^ *last);
    }
    sums
}

/// The bits turned left.
fn rotated<'m>(value: Sig<'m>, by: u32) -> Sig<'m> {
    match by % 32 {
        0 => value,
        by => value.trunc(32 - by).cat(value.slice(32 - by, by)),
    }
}

fn top<'m>(value: Sig<'m>, bits: u32) -> Sig<'m> {
    value.slice(32 - bits, bits)
}
