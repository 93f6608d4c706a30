use seqnic_compiler::lower::acl::rows;
use seqnic_compiler::place::rules::{Banks, lay_out};
use seqnic_random::classbench::{Shape, rules};

#[test]
fn shapes_fit() {
    for shape in Shape::ALL {
        for (count, v6) in [(1000, false), (10_000, false), (1000, true), (10000, true)] {
            for seed in 1..=2 {
                let rules = rules(shape, count, v6, seed);
                let mut rows = rows(&rules);
                rows.retain(|r| r.v6 == v6);
                let banks = Banks { banks: 20, rows: 2048 };
                let start = std::time::Instant::now();
                let layout = lay_out(banks, &[&rows]);
                let time = start.elapsed();
                match layout {
                    Ok(l) => println!("{} {count} v6 {v6} {seed}: {} rows, {time:?}, masks {:?}", shape.name(), rows.len(), l.masks[0].iter().collect::<std::collections::BTreeSet<_>>().len()),
                    Err(e) => println!("{} {count} v6 {v6} {seed}: {} rows, {time:?} {e:?}", shape.name(), rows.len()),
                }
            }
        }
    }
}
