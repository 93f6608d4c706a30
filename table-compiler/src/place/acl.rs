//! Rows of `acl`, `rule` and `policy`.

use super::pack::{Writer, direct, put_row};
use super::rules::{Cell, is_long};
use crate::lower::model::{Model, RuleRow};
use seqnic_image::Image;
use seqnic_spec::rules::Mask;
use seqnic_spec::tables::{
    ACL_SLOT, EPOCHS, Epochs, POLICY_ROW, RULE_REST, RULE_SLOT, Table, rule_kind,
};
use std::sync::LazyLock;

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

/// Fields of a slot, in the order [`write`] has them.
static SLOT: LazyLock<Writer<24>> = LazyLock::new(|| {
    let fields = [
        "epochs",
        "kind",
        "client",
        "client_bits",
        "server",
        "server_bits",
        "any_protocol",
        "protocol",
        "client_port_first",
        "client_port_last",
        "port_first",
        "port_last",
        "flags",
        "flags_mask",
        "size_first",
        "size_last",
        "forward",
        "back",
        "any_arrival",
        "arrival",
        "set",
        "order",
        "rule",
        "permit",
    ];
    Writer::new(&RULE_SLOT, fields)
});

static REST: LazyLock<Writer<4>> = LazyLock::new(|| {
    let fields = ["client", "client_bits", "server", "server_bits"];
    Writer::new(&RULE_REST, fields)
});

/// Puts a rule into its slot, which is zero; a long one into both.
pub(crate) fn write(words: &mut [u64], cell: Cell, rule: &RuleRow, epochs: Epochs) {
    let base = cell.slot * RULE_SLOT.width();
    let kind = match (rule.v6, is_long(rule)) {
        (false, _) => rule_kind::V4,
        (true, false) => rule_kind::V6,
        (true, true) => rule_kind::V6_LONG,
    };
    let first = |(value, bits): (u128, u8)| (value >> 96, u128::from(bits.min(32)));
    let ((client, client_bits), (server, server_bits)) = (first(rule.client), first(rule.server));
    let (size_first, size_last) = rule.size.unwrap_or((0, NO_LIMIT));
    let values = [
        epochs.bits().into(),
        kind.into(),
        client,
        client_bits,
        server,
        server_bits,
        rule.protocol.is_none().into(),
        rule.protocol.unwrap_or(0).into(),
        rule.client_port.0.into(),
        rule.client_port.1.into(),
        rule.port.0.into(),
        rule.port.1.into(),
        rule.flags.0.into(),
        rule.flags.1.into(),
        size_first.into(),
        size_last.into(),
        rule.forward.into(),
        rule.back.into(),
        rule.arrival.is_none().into(),
        rule.arrival.unwrap_or(0).into(),
        rule.set.into(),
        rule.order.into(),
        rule.rule.into(),
        rule.permit.into(),
    ];
    SLOT.write(words, base, values);
    if kind == rule_kind::V6_LONG {
        const BEHIND: u128 = (1 << 96) - 1;
        let rest =
            |(value, bits): (u128, u8)| (value & BEHIND, u128::from(bits.saturating_sub(32)));
        let ((client, client_bits), (server, server_bits)) = (rest(rule.client), rest(rule.server));
        let values = [client, client_bits, server, server_bits];
        REST.write(words, RULE_SLOT.width(), values);
    }
}

/// `size_last` of a rule that holds packets of every size.
pub const NO_LIMIT: u16 = (1 << 14) - 1;

const _: () = assert!(RULE_SLOT.width() * 2 <= 64 * WORDS as u32);
const _: () = assert!(RULE_REST.width() <= RULE_SLOT.width() && EPOCHS == 2);
