//! The tree as a master walks it, and the module's text.

mod common;

use common::{counter, example, failed};
use proptest::prelude::*;
use seqnic_snmp::mib::{Event, ROOT};
use seqnic_snmp::tree::{Cell, Found, Part, Tree, column, index};
use seqnic_snmp::{events, fill, mib, text};

fn walk(tree: &Tree, from: &[u32]) -> Vec<(Vec<u32>, Cell)> {
    let mut at = from.to_vec();
    let mut found = Vec::new();
    while let Some((oid, cell)) = tree.next(&at, false) {
        found.push((oid.clone(), cell.clone()));
        at = oid;
    }
    found
}

fn full() -> Tree {
    let (status, counters) = example();
    fill::tree(Some((&failed(&status), &counters)))
}

#[test]
fn a_walk_meets_every_value_once_and_in_order() {
    let tree = full();
    let values = walk(&tree, &ROOT);
    assert!(values.len() > 100, "{}", values.len());
    for pair in values.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{pair:?}");
    }
    for (oid, cell) in &values {
        assert_eq!(tree.get(oid), Found::Cell(cell));
        assert_eq!(tree.next(oid, true).unwrap().0, *oid);
        assert!(oid.len() <= 128);
    }
}

#[test]
fn numbers_are_exact_and_what_does_not_fit_is_counted() {
    let tree = full();
    let cells = |table, parts: &[Part]| tree.cells(table, &index(parts)).unwrap().to_vec();
    assert_eq!(
        cells(mib::table::REASON, &[Part::Number(0)])[1..],
        [Cell::Counter(u64::MAX), Cell::Counter(u64::MAX - 1)]
    );
    assert_eq!(
        cells(mib::table::INTERFACE, &[Part::Name("i0")]),
        [1 << 63, (1 << 53) + 1, 5, 6].map(Cell::Counter)
    );
    let time = cells(
        mib::table::RESPONSE,
        &[Part::Name("firewall.outside"), Part::Number(2)],
    );
    assert_eq!(time[0], Cell::Gauge(8192));
    // A mean of minutes is the most a gauge holds.
    let device = cells(mib::table::DEVICE, &[Part::Name("firewall")]);
    assert_eq!(
        device[1..],
        [Cell::Integer(3), Cell::Gauge(u32::MAX), Cell::Integer(2)]
    );
    assert_eq!(tree.left_out(), 1);
    assert!(fill::tree(None).cells(mib::table::REASON, &[0]).is_none());
}

#[test]
fn every_value_has_the_type_the_module_says() {
    let tree = full();
    for (t, table) in mib::TABLES.iter().enumerate() {
        for (c, object) in table.columns.iter().enumerate().skip(table.index) {
            let start = column(t, c);
            let values = walk(&tree, &start);
            let of = values.iter().filter(|(oid, _)| oid.starts_with(&start));
            for (_, cell) in of {
                let fits = match object.syntax {
                    mib::Syntax::Counter64 => matches!(cell, Cell::Counter(_)),
                    mib::Syntax::Gauge32 => matches!(cell, Cell::Gauge(_)),
                    mib::Syntax::Integer(_) | mib::Syntax::Enumeration(_) => {
                        matches!(cell, Cell::Integer(_))
                    }
                    mib::Syntax::TimeTicks => matches!(cell, Cell::Ticks(_)),
                    _ => matches!(cell, Cell::Text(_)),
                };
                assert!(fits, "{}{}: {cell:?}", table.name, object.name);
            }
        }
    }
}

#[test]
fn the_module_that_is_shipped_is_the_one_that_is_answered() {
    let shipped = std::fs::read_to_string("dist/SEQNIC-MIB.txt").unwrap();
    assert_eq!(shipped, text::module(), "make generate");
}

#[test]
fn what_differs_is_told_once() {
    let (before, _) = example();
    let after = failed(&before);
    let told = events::between(Some(&before), Some(&after));
    let events: Vec<Event> = told.iter().map(|n| n.event).collect();
    assert_eq!(events, [Event::DeviceFailed, Event::ServiceUnavailable]);
    assert_eq!(told[0].row, index(&[Part::Name("firewall")]));
    assert_eq!(told[0].text, "firewall has failed: no answer; fail-over");
    assert_eq!(events::between(Some(&after), Some(&after)), []);
    let back = events::between(Some(&after), Some(&before));
    let events: Vec<Event> = back.iter().map(|n| n.event).collect();
    assert_eq!(events, [Event::DeviceRestored, Event::ServiceAvailable]);
    let lost = events::between(Some(&after), None);
    assert_eq!(lost[0].event, Event::DaemonLost);
    assert_eq!(
        events::between(None, Some(&after))[0].event,
        Event::DaemonFound
    );
    let mut other = before.clone();
    other.definition.as_mut().unwrap().file = String::from("two.yaml");
    let changed = events::between(Some(&before), Some(&other));
    assert_eq!(changed[0].event, Event::DefinitionChanged);
}

proptest! {
    /// Whatever the names are: every value is met, by whoever walks.
    #[test]
    fn any_names_are_walked(names in proptest::collection::btree_set("[ -~]{0,110}", 0..40)) {
        let (status, mut counters) = example();
        counters.counters = (names.iter())
            .map(|name| counter("interface_in", &[("interface", name)], 1, 2))
            .collect();
        let tree = fill::tree(Some((&status, &counters)));
        let fit = names.iter().filter(|n| (1..=100).contains(&n.len())).count();
        let start = column(mib::table::INTERFACE, 1);
        let met = walk(&tree, &start).into_iter().filter(|(oid, _)| oid.starts_with(&start));
        prop_assert_eq!(met.count(), fit);
        prop_assert_eq!(tree.left_out() as usize, names.len() - fit);
    }

    /// The next value behind any identifier is the first one that is greater.
    #[test]
    fn next_is_the_first_that_is_greater(tail in proptest::collection::vec(0u32..14, 0..7), include: bool) {
        let tree = full();
        let mut start = ROOT.to_vec();
        start.extend(tail);
        let all = walk(&tree, &ROOT);
        let wanted = all.iter().find(|(oid, _)| *oid > start || include && *oid == start);
        let found = tree.next(&start, include).map(|(oid, _)| oid);
        prop_assert_eq!(found.as_ref(), wanted.map(|(oid, _)| oid));
    }
}
