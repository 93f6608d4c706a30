//! Is it allowed? Tables `acl` and `rule` (`docs/semantics.md` section 7).
//!
//! Everything of the key is known long before the class; which address is the client's, and whose masks hold, is known
//! with it. What is worked out meanwhile is in [`rule_rows`]. Rules are read while the step is looked up, and
//! compared with the set of the class's row.

use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{MAX_ROW_BITS, Table, width};

use super::{port, rule_rows};
use crate::tables::{Config, answer_bits, direct, join_rdata, read_clocks, rules};

/// Clocks from the addresses to the class.
fn class_stage(g: &Geometry) -> u32 {
    port::clocks(g) + 1
}

/// When the key is wanted, and the rows of `acl`: as soon as it is known, where it takes long to work something out of
/// it; else where it is used, so that what the header path keeps anyway is not kept here a second time.
fn wanted_at(g: &Geometry) -> (u32, u32) {
    let class = class_stage(g);
    match g.clocks_per_header {
        1 => (0, 0),
        _ => (class, class - 1 - read_clocks(g, Table::Acl)),
    }
}

/// Asks the rules: module `header_acl`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `dst_acl`, `src_acl` | 5 | [`wanted_at`] | row in `acl` of both addresses' scopes |
/// | `dst_scope`, `src_scope` | 20 | [`wanted_at`] | those scopes, `dst_salted`, `src_salted`: part of the key |
/// | `v6`, `src`, `dst` | 1, 128, 128 | [`wanted_at`] | addresses as numbers |
/// | `sport`, `dport`, `protocol`, `later`, `flags`, `size` | 16, 16, 8, 1, 8, 17 | [`wanted_at`] | |
/// | `arrival`, `epoch` | 10, 1 | [`wanted_at`] | interface, version of the tables |
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
    let config = Config::inputs(&m, g, MAX_ROW_BITS);
    let direction = m.input_at("direction", 1, at);
    let by_source = m.input_at("by_source", 1, at);
    let (key_at, masks_at) = wanted_at(g);
    let input = |name: &str, bits| m.input_at(name, bits, key_at);
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
        let input = |name: String, bits| m.input_at(&name, bits, masks_at);
        let row = input(format!("{side}_acl"), width::ACL);
        let row = row.trunc(direct::index_bits(g, Table::Acl));
        let mut ports = vec![("index", row.reg())];
        ports.extend(config.connect(g.row_bits(Table::Acl)));
        let lookup = m.instance(&format!("{side}_lookup"), &child, &ports);
        if side == "dst" {
            rdata.push(lookup.get("cfg_rdata"));
        }
        let salted = input(format!("{side}_salted"), 1);
        let salt = input(format!("{side}_scope"), width::SCOPE).when(salted);
        (lookup.get("row"), rule_rows::of_field(salt, "salt").reg())
    });
    let [dst_side, src_side] = sides;
    let masks = mux(by_source, src_side.0, dst_side.0).reg();
    let salt = mux(by_source, src_side.1, dst_side.1).reg();

    let key = rule_rows::Key {
        src,
        dst,
        sport,
        dport,
        v6,
        protocol,
        arrival,
        direction,
        masks,
        salt,
    };
    let mut ports: Vec<(String, Sig)> = vec![];
    match g.clocks_per_header {
        1 => {
            let rows = rule_rows::at_once(g, &key, at).into_iter();
            let named = rows.enumerate().map(|(n, row)| (format!("index{n}"), row));
            ports.extend(named);
        }
        _ => {
            let row = rule_rows::in_turns(g, &key, at, m.spaced_valid());
            ports.push(("index".into(), row));
        }
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
    let rdata = join_rdata(&m, &rdata, answer_bits(g, MAX_ROW_BITS));
    m.output("cfg_rdata", rdata);
    m.finish()
}
