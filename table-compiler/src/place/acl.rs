//! Rows of `acl`, `rule` and `policy`.

use super::pack::{Writer, direct, put_row};
use super::rules::{Cell, is_long};
use crate::lower::model::{Model, RuleRow};
use seqnic_image::Image;
use seqnic_spec::rules::Mask;
use seqnic_spec::tables::{
    ACL_SLOT, EPOCHS, Epochs, POLICY_ROW, RULE_REST, RULE_SLOT, Table, rule_kind,
};

/// Words of a row of `rule`.
pub(crate) const WORDS: usize = 8;

/// Writes the rules of a model whose rules have places.
pub(super) fn tables(image: &mut Image, model: &Model) {
    let masks: Vec<&[Mask]> = std::iter::once(&[][..])
        .chain(model.layout.masks.iter().map(Vec::as_slice))
        .collect();
    let slot = Writer::new(
        &ACL_SLOT,
        [
            "client",
            "server",
            "client_port",
            "port",
            "protocol",
            "arrival",
        ],
    );
    if model.rules.is_empty() {
        return;
    }
    direct(image, Table::Acl, &masks, |masks, words| {
        for (bank, mask) in (0..).zip(masks.iter()) {
            let values = [
                mask.client.into(),
                mask.server.into(),
                mask.client_port.into(),
                mask.port.into(),
                mask.protocol.into(),
                mask.arrival.into(),
            ];
            slot.write(words, bank * ACL_SLOT.width(), values);
        }
    });
    let policy = Writer::new(&POLICY_ROW, ["valid", "attachment"]);
    direct(image, Table::Policy, &model.policies, |hop, words| {
        if let Some(attachment) = hop {
            policy.write(words, 0, [1, (*attachment).into()]);
        }
    });
    let rules = model.rules.iter().zip(&model.layout.cells);
    for (rule, cell) in rules.flat_map(|(group, cells)| group.rules.iter().zip(cells)) {
        let row = image.table(Table::Rule).words(cell.row);
        let mut words = [0; WORDS];
        if let Some(row) = row {
            words.copy_from_slice(row);
        }
        write(&mut words, *cell, rule, Epochs::BOTH);
        put_row(image.table_mut(Table::Rule), cell.row as usize, &words);
    }
}

/// Puts a rule into its slot, which is zero; a long one into both.
pub(crate) fn write(words: &mut [u64], cell: Cell, rule: &RuleRow, epochs: Epochs) {
    // Looked up by name for each rule: a few thousand a compilation, not millions.
    let base = cell.slot * RULE_SLOT.width();
    let mut set = |name, value: u128| {
        Writer::new(&RULE_SLOT, [name]).write(words, base, [value]);
    };
    let kind = match (rule.v6, is_long(rule)) {
        (false, _) => rule_kind::V4,
        (true, false) => rule_kind::V6,
        (true, true) => rule_kind::V6_LONG,
    };
    set("epochs", epochs.bits().into());
    set("kind", kind.into());
    for (side, (value, bits)) in [("client", rule.client), ("server", rule.server)] {
        set(side, value >> 96);
        let bits = u128::from(bits.min(32));
        set(
            if side == "client" {
                "client_bits"
            } else {
                "server_bits"
            },
            bits,
        );
    }
    set("any_protocol", rule.protocol.is_none().into());
    set("protocol", rule.protocol.unwrap_or(0).into());
    set("client_port_first", rule.client_port.0.into());
    set("client_port_last", rule.client_port.1.into());
    set("port_first", rule.port.0.into());
    set("port_last", rule.port.1.into());
    set("flags", rule.flags.0.into());
    set("flags_mask", rule.flags.1.into());
    let (first, last) = rule.size.unwrap_or((0, NO_LIMIT));
    set("size_first", first.into());
    set("size_last", last.into());
    set("forward", rule.forward.into());
    set("back", rule.back.into());
    set("any_arrival", rule.arrival.is_none().into());
    set("arrival", rule.arrival.unwrap_or(0).into());
    set("set", rule.set.into());
    set("order", rule.order.into());
    set("rule", rule.rule.into());
    set("permit", rule.permit.into());
    if kind == rule_kind::V6_LONG {
        const REST: u128 = (1 << 96) - 1;
        let rest = |(value, bits): (u128, u8)| (value & REST, u128::from(bits.saturating_sub(32)));
        let ((client, client_bits), (server, server_bits)) = (rest(rule.client), rest(rule.server));
        let values = [client, client_bits, server, server_bits];
        let fields = ["client", "client_bits", "server", "server_bits"];
        Writer::new(&RULE_REST, fields).write(words, RULE_SLOT.width(), values);
    }
}

/// `size_last` of a rule that holds packets of every size.
pub const NO_LIMIT: u16 = (1 << 14) - 1;

const _: () = assert!(RULE_SLOT.width() * 2 <= 64 * WORDS as u32);
const _: () = assert!(RULE_REST.width() <= RULE_SLOT.width() && EPOCHS == 2);
