//! Rules that say nothing that finds them: two stand in a bank, whatever its size, and what is over in the rows that
//! every packet asks.

use seqnic_compiler::lower::model::RuleRow;
use seqnic_compiler::place::rules::{Banks, Cell, Layout, NoPlace, is_long, key, lay_out};
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::Digests;
use std::collections::HashSet;

const BANKS: Banks = Banks {
    banks: 4,
    rows: 16,
    always: 3,
};

/// Rules of a scope that differ in their size alone.
fn open(salt: u32, count: usize) -> Vec<RuleRow> {
    let rule = |order: u32| RuleRow {
        salt,
        client_port: (0, u16::MAX),
        port: (0, u16::MAX),
        size: Some((order as u16, order as u16)),
        forward: true,
        set: 1,
        order,
        rule: order + 1,
        ..RuleRow::default()
    };
    (0..count as u32).map(rule).collect()
}

/// The same with one IPv6 prefix, so that each takes both slots of a row.
fn long(count: usize) -> Vec<RuleRow> {
    let rule = |rule| RuleRow {
        v6: true,
        client: (0x2001_0db8 << 96, 64),
        ..rule
    };
    open(0, count).into_iter().map(rule).collect()
}

fn behind(banks: Banks, cells: &[Cell]) -> usize {
    let behind = cells.iter().filter(|c| c.row >= banks.banks * banks.rows);
    behind.count()
}

/// Every rule stands alone, in a row that a packet with its key asks.
fn check(banks: Banks, groups: &[&[RuleRow]], layout: &Layout) {
    let mut taken = HashSet::new();
    for ((rules, cells), masks) in groups.iter().zip(&layout.cells).zip(&layout.masks) {
        for (rule, cell) in rules.iter().zip(cells) {
            assert!(taken.insert(*cell), "{cell:?} twice");
            if is_long(rule) {
                assert_eq!(cell.slot, 0);
                assert!(taken.insert(Cell { slot: 1, ..*cell }), "{cell:?} twice");
            }
            let digests = Digests::of(&key(rule));
            let mut asked = (0..).zip(masks).map(|(bank, mask)| {
                bank * banks.rows + rule_row(digests.under(mask), bank, banks.rows)
            });
            let rows = banks.banks * banks.rows;
            let always = (rows..rows + banks.always).contains(&cell.row);
            assert!(always || asked.any(|row| row == cell.row), "{cell:?}");
        }
    }
}

fn placed(banks: Banks, groups: &[&[RuleRow]]) -> Result<Layout, NoPlace> {
    let layout = lay_out(banks, groups)?;
    check(banks, groups, &layout);
    Ok(layout)
}

#[test]
fn what_no_bank_takes_stands_where_every_packet_asks() {
    for (always, most) in [(0, 8), (1, 10), (3, 14)] {
        let banks = Banks { always, ..BANKS };
        let rules = open(0, most);
        let layout = placed(banks, &[&rules]).unwrap();
        assert_eq!(behind(banks, &layout.cells[0]), 2 * always as usize);
        let over = placed(banks, &[&open(0, most + 2)]).unwrap_err();
        assert_eq!(
            (over.group, over.rules, over.without.len()),
            (0, most + 2, 2)
        );
    }
}

#[test]
fn a_long_rule_takes_a_row_of_them() {
    let layout = placed(BANKS, &[&long(7)]).unwrap();
    assert_eq!(behind(BANKS, &layout.cells[0]), 3);
    assert_eq!(placed(BANKS, &[&long(8)]).unwrap_err().without.len(), 1);
    // Short ones leave as many rows as they can do without.
    let mut rules = open(0, 9);
    rules.extend(long(2));
    let layout = placed(BANKS, &[&rules]).unwrap();
    assert!(behind(BANKS, &layout.cells[0]) <= 5);
}

#[test]
fn groups_share_them() {
    let (a, b) = (open(1, 11), open(2, 11));
    let layout = placed(BANKS, &[&a, &b]).unwrap();
    assert_eq!(
        layout.cells.iter().map(|c| behind(BANKS, c)).sum::<usize>(),
        6
    );
    let error = placed(BANKS, &[&a, &open(2, 13)]).unwrap_err();
    assert_eq!((error.group, error.without.len()), (1, 2));
}

#[test]
fn rules_that_say_something_leave_them_free() {
    let mut rules = open(0, 60);
    for (n, rule) in (0..).zip(&mut rules) {
        rule.client = ((0x0a00_0000 + n * 77) << 96, 32);
    }
    let layout = placed(BANKS, &[&rules]).unwrap();
    assert_eq!(behind(BANKS, &layout.cells[0]), 0);
}

/// Full banks, and rules that would each need half of one: with those in rows that every packet asks the others find places.
#[test]
fn those_that_say_least_make_room_for_others() {
    let banks = Banks {
        banks: 4,
        rows: 64,
        always: 3,
    };
    let mut rules = open(0, 420);
    for (n, rule) in (0..).zip(rules.iter_mut().skip(6)) {
        rule.client = ((0x0a00_0000 + n * 7919) << 96, 32);
    }
    let layout = placed(banks, &[&rules]).unwrap();
    assert_eq!(behind(banks, &layout.cells[0][..6]), 6);
    assert!(placed(Banks { always: 0, ..banks }, &[&rules]).is_err());
}
