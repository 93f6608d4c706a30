//! Which rows of table `rule` a packet's rules are in: a row of each bank, by the digest of its key under the bank's
//! mask (`seqnic_spec::rules`).
//!
//! Digests are sums (exclusive or) of what the bits contribute. Where a header may come in every clock, the sums over
//! the first 0, 1, ... nibbles of both addresses are worked out before it is known which of them is the client's
//! ([`at_once`]); where headers are some clocks apart, the key is masked for one bank after the other ([`in_turns`]).

use seqnic_gen::math::matrix;
use seqnic_gen::{Bits, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::rules::{ADDRESS_NIBBLES, PORT_NIBBLES, SECOND_TURN, base, contribution};
use seqnic_spec::tables::{ACL_SLOT, RULE_SLOTS};

/// What the rows depend on. All but `masks` and `salt` are at a stage of their own, these at the one behind the
/// class.
pub struct Key<'m> {
    pub src: Sig<'m>,
    pub dst: Sig<'m>,
    pub sport: Sig<'m>,
    pub dport: Sig<'m>,
    pub v6: Sig<'m>,
    pub protocol: Sig<'m>,
    pub arrival: Sig<'m>,
    pub direction: Sig<'m>,
    /// Of every bank.
    pub masks: Sig<'m>,
    /// What it contributes.
    pub salt: Sig<'m>,
}

/// The row of each bank, two clocks behind the class, which is at stage `at`.
pub fn at_once<'m>(g: &Geometry, key: &Key<'m>, at: u32) -> Vec<Sig<'m>> {
    let m = key.direction.module();
    // Sums of what the first nibbles contribute, from the values two clocks before they are chosen from.
    let addresses =
        [key.src, key.dst].map(|a| prefixes(a.to_stage(at - 2), "client", ADDRESS_NIBBLES));
    let both =
        [key.sport, key.dport].map(|p| prefixes(p.to_stage(at - 2), "client_port", PORT_NIBBLES));
    let ([src_sums, dst_sums], [sport_sums, dport_sums]) = (addresses, both);
    let direction = key.direction;
    let client_sums = choose(direction, &src_sums, &dst_sums);
    let server_sums = choose(direction, &dst_sums, &src_sums);
    let client_port_sums = choose(direction, &sport_sums, &dport_sums);
    let port_sums = choose(direction, &dport_sums, &sport_sums);
    let v6_part = of_field(key.v6, "v6");
    let always =
        (v6_part.to_stage(at + 1) ^ key.salt ^ m.lit(32, base().into())).named("constant_part");
    let protocol_part = of_field(key.protocol, "protocol").to_stage(at + 1);
    let arrival_part = of_field(key.arrival, "arrival").to_stage(at + 1);

    let bits = g.rule_rows.trailing_zeros();
    let row = |bank: u32| {
        let mask = mask(key.masks, bank);
        // The bits of a digest that are this bank's row number.
        let turn = turned(bank);
        let taken = |turned: u32, sum| top(rotated(sum, turned + turn), bits);
        let optional = |sum, field: &str| top(rotated(sum, turn), bits).when(mask.field(field));
        let row = top(rotated(always, turn), bits)
            ^ taken(0, m.index(&client_sums, mask.field("client")))
            ^ taken(SECOND_TURN, m.index(&server_sums, mask.field("server")))
            ^ taken(0, m.index(&client_port_sums, mask.field("client_port")))
            ^ taken(SECOND_TURN, m.index(&port_sums, mask.field("port")))
            ^ optional(protocol_part, "protocol")
            ^ optional(arrival_part, "arrival");
        row.named(&format!("row{bank}")).reg()
    };
    (0..g.rule_banks).map(row).collect()
}

/// Bank and row, one bank after the other, [`RULE_SLOTS`] clocks each; the first three clocks behind the class.
/// `valid` is set while the header is at stage 0.
pub fn in_turns<'m>(g: &Geometry, key: &Key<'m>, at: u32, valid: Sig<'m>) -> Sig<'m> {
    let m = key.direction.module();
    let clock = |stage: u32| valid.delay(stage).unstaged();
    // The clock a bank has, or has the one behind it, `behind` clocks from the class.
    let first = |bank: u32, behind: u32| clock(at + behind + bank * RULE_SLOTS);
    let banks = || 0..g.rule_banks;

    // These stay until the next header comes here; the others are kept.
    let client = mux(key.direction, key.dst, key.src).reg().unstaged();
    let server = mux(key.direction, key.src, key.dst).reg().unstaged();
    let client_port = mux(key.direction, key.dport, key.sport).reg().unstaged();
    let port = mux(key.direction, key.sport, key.dport).reg().unstaged();
    let salt = key.salt.unstaged();
    let kept = |name: &str, value: Sig<'m>| {
        let kept = m.reg_no_reset(&format!("{name}_kept"), value.width());
        kept.set_when(clock(at), value.to_stage(at).unstaged());
        kept.q()
    };
    let v6 = kept("v6", key.v6);
    let protocol = kept("protocol", key.protocol);
    let arrival = kept("arrival", key.arrival);

    // The mask that has its turn, a bit for each nibble.
    let masks: Vec<_> = banks()
        .map(|bank| {
            let mine = first(bank, 1);
            (mine, mask(key.masks, bank).unstaged())
        })
        .collect();
    let now = m.select_onehot(&masks);
    let now = now.with_record(&Record::from(&ACL_SLOT)).named("mask");
    let changes: Vec<Sig> = masks.iter().map(|mask| mask.0).collect();
    let changes = m.or(&changes).named("next_mask");
    let held = |name: &str, value: Sig<'m>| {
        let held = m.reg_no_reset(&format!("{name}_mask"), value.width());
        held.set_when(changes, value);
        held.q()
    };
    let nibbles = |field: &str, number: usize| {
        let count = now.field(field);
        // The highest nibble is the first, and the highest bit here.
        let each: Vec<Sig> = (0..number as u128)
            .map(|n| count.gt(count.lit(n)))
            .collect();
        held(field, m.concat(&each))
    };
    let masked = |value: Sig<'m>, nibbles: Sig<'m>| {
        let each = nibbles.bits().into_iter().map(|bit| bit.repl(4));
        let each: Vec<Sig> = each.rev().collect();
        value & m.concat(&each)
    };
    let optional = |field: &str, value: Sig<'m>| value.when(held(field, now.field(field)));
    let fields = [
        ("client", masked(client, nibbles("client", ADDRESS_NIBBLES))),
        ("server", masked(server, nibbles("server", ADDRESS_NIBBLES))),
        (
            "client_port",
            masked(client_port, nibbles("client_port", PORT_NIBBLES)),
        ),
        ("port", masked(port, nibbles("port", PORT_NIBBLES))),
        ("protocol", optional("protocol", protocol)),
        ("arrival", optional("arrival", arrival)),
        ("v6", v6),
    ];

    // The bits of the digest that are in a bank's row number.
    let bits = g.rule_rows.trailing_zeros();
    let bit_of = |bank: u32, bit: u32| (64 - bits + bit - turned(bank)) % 32;
    let wanted: Vec<u32> = (0..32)
        .filter(|wanted| banks().any(|bank| (0..bits).any(|bit| bit_of(bank, bit) == *wanted)))
        .collect();
    let columns: Vec<u32> = fields
        .iter()
        .flat_map(|(name, value)| (0..value.width()).map(|bit| contribution(name, bit)))
        .collect();
    let values: Vec<Sig> = fields.iter().rev().map(|f| f.1).collect();
    let constant = wanted.iter().rev().map(|bit| base() >> bit & 1 == 1);
    let constant: Vec<Sig> = constant.map(|one| m.lit(1, one.into())).collect();
    let salt: Vec<Sig> = wanted.iter().rev().map(|bit| salt.bit(*bit)).collect();
    let sum = linear(m.concat(&values), &columns, &wanted) ^ m.concat(&salt) ^ m.concat(&constant);
    let digest = m.reg_no_reset("digest", sum.width());
    let read: Vec<Sig> = banks().map(|bank| first(bank, 2)).collect();
    digest.set_when(m.or(&read), sum);

    let mut rows = vec![];
    for bank in banks() {
        let place = |bit: u32| wanted.iter().position(|w| *w == bit_of(bank, bit));
        let row = (0..bits).rev().filter_map(place);
        let row: Vec<Sig> = row.map(|place| digest.q().bit(place as u32)).collect();
        let row = m.concat(&row);
        let row = match g.rule_banks.trailing_zeros() {
            0 => row,
            bits => m.lit(bits, bank.into()).cat(row),
        };
        let turns: Vec<Sig> = (0..RULE_SLOTS).map(|n| first(bank, 3 + n)).collect();
        rows.push((m.or(&turns), row));
    }
    m.select_onehot(&rows).named("row_in_turn")
}

/// The mask of a bank.
fn mask(masks: Sig<'_>, bank: u32) -> Sig<'_> {
    let mask = masks.slice(bank * ACL_SLOT.width(), ACL_SLOT.width());
    mask.with_record(&Record::from(&ACL_SLOT))
}

/// How far a digest is turned left for a bank.
fn turned(bank: u32) -> u32 {
    7 * bank % 32
}

/// Forward one list, on the return way the other, a clock later.
fn choose<'m>(direction: Sig<'m>, forward: &[Sig<'m>], back: &[Sig<'m>]) -> Vec<Sig<'m>> {
    let pairs = forward.iter().zip(back);
    pairs.map(|(f, b)| mux(direction, *b, *f).reg()).collect()
}

/// What a whole field contributes.
pub fn of_field<'m>(value: Sig<'m>, field: &str) -> Sig<'m> {
    let columns: Vec<u32> = (0..value.width())
        .map(|bit| contribution(field, bit))
        .collect();
    linear(value, &columns, &ALL_BITS)
}

/// Every bit of a digest.
const ALL_BITS: [u32; 32] = {
    let mut all = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        all[bit as usize] = bit;
        bit += 1;
    }
    all
};

/// Those `bits` of the sum of the columns of all bits that are set.
fn linear<'m>(value: Sig<'m>, columns: &[u32], bits: &[u32]) -> Sig<'m> {
    let row = |bit: &u32| {
        let mut row = Bits::zero(value.width());
        for (n, column) in columns.iter().enumerate() {
            row.set_bit(n as u32, column >> bit & 1 == 1);
        }
        row
    };
    let rows: Vec<Bits> = bits.iter().map(row).collect();
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
            let part = linear(value.slice(lo, 4), &columns, &ALL_BITS);
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
