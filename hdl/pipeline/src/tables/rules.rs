//! Rules: one row of every bank, and the rows in registers, all compared in parallel, of those that hold the
//! one with the lowest order. Where headers are some clocks apart: [`rule_turns`].

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{RULE_REST, RULE_SLOT, RULE_SLOTS, Table, rule_kind, width};

use super::{Config, MemoryPort, ROW_BITS, answer, memory, read_clocks, rule_turns};

/// Banks whose rules are put in order together.
const TOGETHER: usize = 4;

/// Clocks from the row numbers to the rows: what they are compared with comes then.
pub fn compare_stage(g: &Geometry) -> u32 {
    match g.clocks_per_header {
        1 => read_clocks(g, Table::Rule),
        _ => rule_turns::COMPARE_STAGE,
    }
}

/// Clocks from the row numbers to the rule: read, compare, the first of each four banks, the first of all.
pub fn clocks(g: &Geometry) -> u32 {
    match g.clocks_per_header {
        1 => compare_stage(g) + 3,
        _ => rule_turns::clocks(g),
    }
}

/// What rules are compared with: names and bits of inputs at [`compare_stage`].
pub(super) const PACKET: [(&str, u32); 13] = [
    ("v6", 1),
    ("client", 128),
    ("server", 128),
    ("client_port", 16),
    ("port", 16),
    ("protocol", 8),
    ("later", 1),
    ("flags", 8),
    ("size", 17),
    ("back", 1),
    ("arrival", width::INTERFACE),
    ("set", width::SET),
    ("epoch", 1),
];

/// The banks of `rule`: module `table_rule`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `index0`, `index1`, ... | as many as name every row of a bank | 0 | row of each bank; goes to the memory straight |
/// | `v6`, `client`, ... `epoch` | see [`PACKET`] | [`compare_stage`] | the packet; addresses begin at the highest bit |
/// | `hit`, `rule`, `permit` | 1, 16, 1 | [`clocks`] | whether a rule holds, and what it says; zero without |
///
/// and the configuration bus.
///
/// # Errors
/// Sizes out of range.
pub fn rules(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    if g.clocks_per_header > 1 {
        return rule_turns::rules(g);
    }
    let table = Table::Rule;
    let m = Module::new("table_rule");
    m.doc(&format!(
        "Rules: {}\n{} banks of {} rows with {RULE_SLOTS} rules, and {} rows in registers, always compared.",
        table.question(),
        g.rule_banks,
        g.rule_rows,
        g.rule_always
    ));
    let at = compare_stage(g);
    let packet = PACKET.map(|(name, bits)| m.input_at(name, bits, at));
    let mut packet = Packet {
        fields: packet,
        asked: None,
    };
    // Without rules nobody looks at what the rows say.
    let has_rules = packet.get("set").any().named("has_rules");
    packet.asked = Some(has_rules);
    let config = Config::inputs(&m, g, g.row_bits(table));
    let bits = g.rule_rows.trailing_zeros();
    let (mut rdata, mut asked) = (vec![], vec![]);
    let mut found: Vec<Candidate> = vec![];
    for bank in 0..g.rule_banks {
        let index = m.input_at(&format!("index{bank}"), bits, 0);
        let ram = m.ram(&format!("bank{bank}"), memory(g, table));
        let row = ram.read(index).delay(at - 2);
        found.extend(slots(&packet, row, &format!("bank{bank}")));
        let port = config.memory(table, bank, g.rule_rows);
        rdata.push(port.answer(port.config(&ram)));
        asked.push(port.asked());
    }
    if g.rule_always > 0 {
        let port = config.always(g);
        let rows = always(g, &port);
        for (n, row) in rows.iter().enumerate() {
            found.extend(slots(&packet, row.at_stage(at), &format!("always{n}")));
        }
        rdata.push(port.answer(read(&port, &rows)));
        asked.push(port.asked());
    }
    // As many levels of logic whether a few groups more or fewer are put in order behind this.
    let groups: Vec<Candidate> = found
        .chunks(TOGETHER * RULE_SLOTS as usize)
        .map(|group| first(&m, group, in_order_ahead).reg(Some(has_rules)))
        .collect();
    let last = first(&m, &groups, in_order).reg(Some(has_rules));
    m.output("hit", last.holds);
    m.output("rule", last.rule.when(last.holds));
    m.output("permit", last.permit & last.holds);
    m.output("cfg_rdata", answer(m.or(&rdata), &asked));
    m.finish()
}

impl<'m> Config<'m> {
    /// The bus at the rows that are always compared, which lie behind those of the banks.
    fn always(&self, g: &Geometry) -> MemoryPort<'m> {
        let bits = g.rule_always.next_power_of_two().trailing_zeros();
        let first = g.rule_banked() >> bits;
        let mine = self.table.is(Table::Rule as u128)
            & self.row.slice(bits, ROW_BITS - bits).is(first.into());
        self.memory_where(mine, self.row.trunc(bits.max(1)), "_always")
    }
}

/// The rows that are always compared. Like memories they keep what they have when the card is reset.
fn always<'m>(g: &Geometry, port: &MemoryPort<'m>) -> Vec<Sig<'m>> {
    let m = port.row.module();
    let row = |n: u32| {
        let row = m.reg_no_reset(&format!("always{n}"), g.row_bits(Table::Rule));
        row.set_when(port.write & port.row.is(n.into()), port.wdata);
        row.q()
    };
    (0..g.rule_always).map(row).collect()
}

/// What is read of them, when a memory would have it; the row of before a write of the next clock.
fn read<'m>(port: &MemoryPort<'m>, rows: &[Sig<'m>]) -> Sig<'m> {
    let m = port.row.module();
    let kept = m.reg_no_reset("always_read", rows[0].width());
    kept.set_when(port.read.reg(), m.index(rows, port.row.reg()));
    kept.q()
}

pub(super) struct Packet<'m> {
    pub fields: [Sig<'m>; PACKET.len()],
    /// Whether it has rules, where that is said.
    pub asked: Option<Sig<'m>>,
}

impl<'m> Packet<'m> {
    pub fn get(&self, name: &str) -> Sig<'m> {
        let place = PACKET.iter().position(|(n, _)| *n == name);
        self.fields[place.unwrap_or(0)]
    }

    /// Whether what slot 1 holds of a long rule agrees, of the client and of the server; `same` is [`prefix`], or does the same.
    pub fn rests_hold(&self, slot: Sig<'m>, same: Same) -> [Sig<'m>; 2] {
        let rest = slot.slice(0, RULE_REST.width());
        let rest = rest.with_record(&Record::from(&RULE_REST));
        let side = |side: &str| {
            let (value, bits) = (rest.field(side), rest.field(&format!("{side}_bits")));
            same(self.get(side).trunc(96), value, bits)
        };
        ["client", "server"].map(side)
    }

    /// The rule of a slot, a clock later. `rests_hold`: of a long rule, what slot 1 says of it, of both sides or of
    /// each; without, no rule of this slot is long.
    pub fn compared(&self, slot: Sig<'m>, rests_hold: &[Sig<'m>]) -> Candidate<'m> {
        let slot = slot.with_record(&Record::from(&RULE_SLOT));
        let f = |name: &str| slot.field(name);
        let kind = f("kind");
        let is = |number: u32| kind.is(number.into());
        let v6 = self.get("v6");
        let version = is(rule_kind::ANY) | mux(is(rule_kind::V4), !v6, v6);
        let short = !is(rule_kind::V6_LONG);
        let (short, rests) = match rests_hold {
            [known] => (*known | short, &[][..]),
            rests => (short, rests),
        };
        let side = |side: &str| {
            let bits = f(&format!("{side}_bits"));
            prefix(self.get(side).slice(96, 32), f(side), bits)
        };
        let port = |side: &str| {
            let (low, high) = (f(&format!("{side}_first")), f(&format!("{side}_last")));
            let port = self.get(side);
            let every = !low.any() & high.all();
            mux(self.get("later"), every, low.le(port) & port.le(high))
        };
        let ports = port("client_port") & port("port");
        let protocol = f("any_protocol") | f("protocol").eq(self.get("protocol"));
        // A later fragment has no flags: it differs in every one that is named.
        let named = f("flags_mask");
        let differ = (f("flags") ^ self.get("flags")) & named;
        let flags = mux(self.get("later"), named, differ);
        let size = self.get("size");
        let most = f("size_last");
        let sizes = f("size_first").zext(17).le(size) & (most.all() | size.le(most.zext(17)));
        let direction = mux(self.get("back"), f("back"), f("forward"));
        let arrival = f("any_arrival") | f("arrival").eq(self.get("arrival"));
        let epochs = f("epochs");
        let epoch = mux(self.get("epoch"), epochs.bit(1), epochs.bit(0));
        let set = f("set").eq(self.get("set"));
        // In parts, which a look-up table or two join, so that no more than a few levels of logic stand behind the memory.
        // Rules of other sets do not hold, whatever else they say.
        let of_set = self.asked.map(|asked| asked & set);
        let parts = [
            side("client") & side("server"),
            ports,
            protocol & !flags.any(),
            sizes,
        ];
        let others = version & direction & arrival & epoch & set;
        let others = needed(others.reg(), self.asked);
        let part = |part: Sig<'m>| needed(part.reg(), of_set);
        let holds = parts
            .into_iter()
            .map(part)
            .fold(others, |all, part| all & part);
        let rests = rests.iter().map(|rest| part(*rest));
        let short = part(short);
        let whole = rests.reduce(|all, rest| all & rest);
        Candidate {
            holds: holds & whole.map_or(short, |whole| whole | short),
            order: f("order").reg(),
            rule: f("rule").reg(),
            permit: f("permit").reg(),
            asked: of_set,
        }
    }
}

/// Whether the first bits of two values are the same: both values, and how many bits.
type Same = for<'m> fn(Sig<'m>, Sig<'m>, Sig<'m>) -> Sig<'m>;

/// A rule that may decide.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'m> {
    pub holds: Sig<'m>,
    pub order: Sig<'m>,
    pub rule: Sig<'m>,
    pub permit: Sig<'m>,
    /// A clock before: whether it is worth a look, where that is said.
    pub asked: Option<Sig<'m>>,
}

impl<'m> Candidate<'m> {
    /// A clock later, for a packet that has rules.
    fn reg(self, asked: Option<Sig<'m>>) -> Candidate<'m> {
        let some = asked.map(|asked| asked & self.holds);
        let reg = |sig: Sig<'m>| needed(sig.reg(), some);
        Candidate {
            holds: needed(self.holds.reg(), asked),
            order: reg(self.order),
            rule: reg(self.rule),
            permit: reg(self.permit),
            asked: None,
        }
    }
}

fn needed<'m>(register: Sig<'m>, asked: Option<Sig<'m>>) -> Sig<'m> {
    asked.map_or(register, |asked| register.needed_if(asked))
}

/// The rules of a row, a clock later; their orders come with the row.
fn slots<'m>(packet: &Packet<'m>, row: Sig<'m>, of: &str) -> Vec<Candidate<'m>> {
    let width = RULE_SLOT.width();
    let rests_hold = packet.rests_hold(row.slice(width, width), prefix_by_bytes);
    (0..RULE_SLOTS)
        .map(|n| {
            let rests_hold = if n == 0 { &rests_hold[..] } else { &[] };
            let slot = row.slice(n * width, width);
            let rule = packet.compared(slot, rests_hold);
            let name = |what: &str| format!("{of}_{n}_{what}");
            Candidate {
                holds: rule.holds.named(&name("holds")),
                order: slot.with_record(&Record::from(&RULE_SLOT)).field("order"),
                ..rule
            }
        })
        .collect()
}

/// Whether the first `bits` bits of both are the same.
pub(super) fn prefix<'m>(address: Sig<'m>, value: Sig<'m>, bits: Sig<'m>) -> Sig<'m> {
    let width = address.width();
    let ones = address.lit(u128::MAX >> (128 - width));
    let rest = ones.shr_by(bits);
    !((address ^ value) & !rest).any()
}

/// The same as [`prefix`] in fewer levels for long values of whole bytes: in each byte the same few bits count, or all do,
/// and how many bytes count is known beside that.
fn prefix_by_bytes<'m>(address: Sig<'m>, value: Sig<'m>, bits: Sig<'m>) -> Sig<'m> {
    let (within, bytes) = (bits.trunc(3), bits.slice(3, bits.width() - 3));
    let counted = !address.module().lit(8, 0xff).shr_by(within);
    let wrong = |byte: u32| {
        let lowest = address.width() - 8 * (byte + 1);
        let differ = address.slice(lowest, 8) ^ value.slice(lowest, 8);
        let whole = differ.any() & bytes.gt(bytes.lit(byte.into()));
        whole | ((differ & counted).any() & bytes.is(byte.into()))
    };
    let wrong: Vec<Sig> = (0..address.width() / 8).map(wrong).collect();
    !address.module().or(&wrong)
}

/// Whether the later of two is the first in order.
fn in_order<'m>(earlier: &Candidate<'m>, later: &Candidate<'m>) -> Sig<'m> {
    later.order.lt(earlier.order)
}

/// The same of rules whose orders are there a clock before it is known whether they hold: from a register.
fn in_order_ahead<'m>(earlier: &Candidate<'m>, later: &Candidate<'m>) -> Sig<'m> {
    needed(in_order(earlier, later).reg(), earlier.asked)
}

/// Of those that hold the one with the lowest order, of equal ones the first.
fn first<'m>(
    m: &'m Module,
    all: &[Candidate<'m>],
    later_first: fn(&Candidate<'m>, &Candidate<'m>) -> Sig<'m>,
) -> Candidate<'m> {
    let mut beaten: Vec<Vec<Sig>> = vec![vec![]; all.len()];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate().skip(i + 1) {
            let later_first = later_first(a, b);
            beaten[i].push(b.holds & later_first);
            beaten[j].push(a.holds & !later_first);
        }
    }
    let wins: Vec<Sig> = (all.iter().zip(&beaten))
        .map(|(c, beaten)| match beaten.is_empty() {
            true => c.holds,
            false => c.holds & !m.or(beaten),
        })
        .collect();
    let choose = |of: fn(&Candidate<'m>) -> Sig<'m>| {
        let choices: Vec<(Sig, Sig)> = wins.iter().copied().zip(all.iter().map(of)).collect();
        m.select_onehot(&choices)
    };
    let holds: Vec<Sig> = all.iter().map(|c| c.holds).collect();
    Candidate {
        holds: m.or(&holds),
        order: choose(|c| c.order),
        rule: choose(|c| c.rule),
        permit: choose(|c| c.permit),
        asked: None,
    }
}

#[cfg(test)]
mod tests;
