//! Rules on cards whose headers are some clocks apart: one memory, asked in turns.
//!
//! All banks lie behind each other in one memory and are read one after the other; a row's slots are compared one a clock. So
//! a card takes one compare, where [`super::rules`] needs one for each slot of each bank: the widest logic there is in
//! the header path.

use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{RULE_SLOT, RULE_SLOTS, Table, width};

use super::rules::{PACKET, Packet, prefix};
use super::{Config, shared};

/// Clocks from stage 0 to the packet they are compared with: it is kept until the last slot.
pub const COMPARE_STAGE: u32 = READ;

/// Clocks from stage 0 to the first row.
const READ: u32 = 3;

/// Clocks in which a packet has the memory: a slot each.
fn turns(g: &Geometry) -> u32 {
    g.rule_banks * RULE_SLOTS
}

/// Clocks from stage 0 to the rule: a clock, a register, a register behind the memory, the slots one after the other, a register, compare, the first
/// of all.
pub fn clocks(g: &Geometry) -> u32 {
    READ + (turns(g) - 1) + 3
}

/// The banks of `rule`: module `table_rule`. Ports as of [`super::rules::rules`], and `spaced_valid`; but for the row
/// of each bank there is one port, `index`: the rows of the banks, and above them the number of the bank, one after the
/// other, [`RULE_SLOTS`] clocks each, from the clock behind stage 0 on.
///
/// # Errors
/// Sizes out of range, more slots in a packet's rows than clocks between headers.
pub fn rules(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let table = Table::Rule;
    let m = Module::new("table_rule");
    if turns(g) > g.clocks_per_header || !g.rule_banks.is_power_of_two() {
        m.refuse(
            "banks of table `rule`",
            g.rule_banks.into(),
            "must be a power of two whose slots all have a turn before the next header",
        );
        return m.finish();
    }
    m.doc(&format!(
        "Rules: {}\n{} banks of {} rows with {RULE_SLOTS} rules, in one memory, a slot compared in each clock.",
        table.question(),
        g.rule_banks,
        g.rule_rows
    ));
    let rows = g.rule_rows * g.rule_banks;
    let index = m.input("index", rows.trailing_zeros());
    let packet = PACKET.map(|(name, bits)| m.input_at(name, bits, COMPARE_STAGE));
    let valid = m.spaced_valid();
    let config = Config::inputs(&m, g, g.row_bits(table));
    // Set while the header is at this stage; nothing here is said to belong to a stage, as each slot has another.
    let at = |stage: u32| valid.delay(stage).unstaged();
    let kept = |name: &str, stage: u32, value: Sig<'_>| {
        let kept = m.reg_no_reset(&format!("{name}_kept"), value.width());
        kept.set_when(at(stage), value.unstaged());
        kept.q()
    };

    // Once for each bank: the row stays while its slots have their turns.
    let reads: Vec<Sig> = (0..g.rule_banks)
        .map(|bank| at(2 + bank * RULE_SLOTS))
        .collect();
    let reads = m.or(&reads);
    let shared = shared::memory_of(&m, g, &config, table, rows, reads, index.reg());
    let kept_row = m.reg_no_reset("row_q", shared.row.width());
    kept_row.set_when(reads, shared.row);
    let row = kept_row.q();

    // The last slot first: where it is a part of a long rule, that is known when slot 0 is compared.
    let packet = Packet {
        fields: std::array::from_fn(|n| kept(PACKET[n].0, COMPARE_STAGE, packet[n])),
        asked: None,
    };
    let width = RULE_SLOT.width();
    let second: Vec<Sig> = (0..g.rule_banks)
        .map(|bank| at(READ + bank * RULE_SLOTS))
        .collect();
    let second = m.or(&second).named("second_slot");
    let (low, high) = (row.slice(0, width), row.slice(width, width));
    let slot = mux(second, high, low).reg().named("slot");
    let second = second.reg().named("slot_is_second");
    let [client, server] = packet.rests_hold(slot, prefix);
    let rest_holds = (client & server).reg().named("rest_holds");
    let rule = packet.compared(slot, &[rest_holds & !second]);
    let holds = rule.holds.named("holds");

    // The best so far; what was found for the packet before is forgotten with the first slot.
    let first = at(READ + 2);
    let found = m.reg("found", 1, 0);
    let best = m.reg_no_reset("best_order", 16);
    let number = m.reg_no_reset("best_rule", width::RULE);
    let permit = m.reg_no_reset("best_permit", 1);
    let known = found.q() & !first;
    let better = (holds & (!known | rule.order.lt(best.q()))).named("better");
    found.set(holds | known);
    best.set_when(better, rule.order);
    number.set_when(better, rule.rule);
    permit.set_when(better, rule.permit);

    let done = clocks(g);
    let hit = found.q();
    m.output("hit", hit.at_stage(done));
    m.output("rule", number.q().when(hit).at_stage(done));
    m.output("permit", (permit.q() & hit).at_stage(done));
    m.output("cfg_rdata", shared.cfg_rdata);
    m.finish()
}

const _: () = assert!(RULE_SLOTS == 2, "a row has a first and a second slot");
