//! Pools: whoever leaves takes nobody else's clients along, shares are even within a bound, and a failure
//! writes the rows of the member's buckets.

use seqnic_compiler::delta::delta;
use seqnic_compiler::{compile, read};
use seqnic_image::Image;
use seqnic_spec::tables::{ATTACHMENT_ROW, Table};
use std::collections::BTreeMap;

/// A pool in front of a server: (name, weight, failed).
fn definition(members: &[(String, u32, bool)], buckets: u32) -> String {
    let mut devices = String::new();
    let mut pool = Vec::new();
    for (n, (name, weight, failed)) in members.iter().enumerate() {
        let state = if *failed { "state: failed, " } else { "" };
        devices += &format!(
            "  {name}: {{ function: firewall, {state}attachments: {{ outside: {{ interface: i0, mac: 02:06:00:00:00:{n:02x} }}, inside: {{ interface: i1, mac: 02:07:00:00:00:{n:02x} }} }} }}\n"
        );
        pool.push(format!("{{ device: {name}, weight: {weight} }}"));
    }
    format!(
        "seqnic: 1
interfaces:
  i0: {{ port: 0, mac: 02:01:00:00:00:01, gateway: router }}
  i1: {{ port: 1, mac: 02:02:00:00:00:02 }}
hosts:
  router: {{ interface: i0, mac: 02:05:00:00:00:05 }}
devices:
{devices}  server: {{ function: server, attachment: {{ interface: i1, mac: 02:09:00:00:00:09 }}, mode: loopback }}
services:
  web:
    address: 203.0.113.13
    port: 80
    sequence:
      - device: [{}]
        buckets: {buckets}
      - server
",
        pool.join(", ")
    )
}

fn compiled(text: &str) -> Image {
    let definition = read(text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    compile(&definition).unwrap_or_else(|e| panic!("{e:?}\n{text}"))
}

/// Which member has each bucket of the pool's outside.
fn owners(image: &Image) -> Vec<String> {
    let names = &image.names;
    let mut found = BTreeMap::new();
    for (number, role) in names.roles.iter().enumerate() {
        let Some(bucket) = role.strip_prefix("bucket ") else {
            continue;
        };
        let bucket: usize = bucket.split(' ').next().unwrap().parse().unwrap();
        let row = image.row_of(Table::Attachment, number as u32);
        let row = image.table(Table::Attachment).row(row);
        let counts = row.field(&ATTACHMENT_ROW, 0, "counts") as usize;
        if let Some(member) = names.attachments[counts].strip_suffix(".outside") {
            assert_eq!(found.insert(bucket, member.to_string()), None);
        }
    }
    assert!(found.keys().copied().eq(0..found.len()));
    found.into_values().collect()
}

fn members(count: u32, seed: u32) -> Vec<(String, u32, bool)> {
    let one = |n: u32| (format!("fw-{}", seed * 131 + n), 1, false);
    (0..count).map(one).collect()
}

#[test]
fn who_leaves_or_fails_moves_only_its_own_clients() {
    for seed in 0..40 {
        let mut all = members(2 + seed % 7, seed);
        for (n, member) in all.iter_mut().enumerate() {
            member.1 = 1 + (seed + n as u32) % 4;
        }
        let before = owners(&compiled(&definition(&all, 64)));
        let leaver = (seed as usize * 5) % all.len();
        let name = all[leaver].0.clone();
        let mut failed = all.clone();
        failed[leaver].2 = true;
        let after = owners(&compiled(&definition(&failed, 64)));
        for (was, is) in before.iter().zip(&after) {
            assert_ne!(*is, name);
            assert!(was == is || *was == name, "{was} lost a client to {is}");
        }
        if all.len() > 2 {
            // Out of the list is as failed.
            all.remove(leaver);
            assert_eq!(owners(&compiled(&definition(&all, 64))), after);
        }
    }
}

/// A bucket's member is as good as drawn, so shares are within a few of their standard deviations of even.
#[test]
fn shares_are_even_within_their_bound() {
    let mut worst: f64 = 0.0;
    for seed in 0..60 {
        let count = 2 + seed % 9;
        let all = members(count, seed);
        let owners = owners(&compiled(&definition(&all, 256)));
        let even = f64::from(256 / count);
        let deviation = (f64::from(count - 1) / 256.0).sqrt();
        for (name, _, _) in &all {
            let has = owners.iter().filter(|o| *o == name).count() as f64;
            worst = worst.max((has / even - 1.0).abs() / deviation);
        }
    }
    assert!(worst < 4.5, "{worst} standard deviations");
}

#[test]
fn weights_are_shares() {
    let mut all = members(3, 7);
    all[2].1 = 6;
    let owners = owners(&compiled(&definition(&all, 1024)));
    let has = |n: usize| owners.iter().filter(|o| **o == all[n].0).count();
    // 128, 128 and 768 of 1024, give or take.
    assert!((85..175).contains(&has(0)), "{}", has(0));
    assert!((85..175).contains(&has(1)), "{}", has(1));
}

#[test]
fn a_failure_writes_the_rows_of_its_buckets_and_nothing_else() {
    let mut all = members(4, 3);
    let image = compiled(&definition(&all, 64));
    let own = owners(&image).iter().filter(|o| **o == all[1].0).count();
    all[1].2 = true;
    let failed = read(&definition(&all, 64)).unwrap();
    let delta = delta(&image, &failed).unwrap();
    let tables: Vec<Table> = delta.words.iter().map(|w| w.table).collect();
    let flips = tables.iter().filter(|t| **t == Table::Epoch).count();
    assert_eq!(flips, 1);
    // Both sides of each bucket, in both versions.
    assert_eq!(tables.len() - flips, 2 * 2 * own, "{own} buckets");
    assert!(
        tables
            .iter()
            .all(|t| matches!(t, Table::Epoch | Table::Attachment))
    );
    let mut after = image.clone();
    delta.apply(&mut after).unwrap();
    let back = read(&definition(&members(4, 3), 64)).unwrap();
    let back = seqnic_compiler::delta::delta(&after, &back).unwrap();
    back.apply(&mut after).unwrap();
    assert_eq!(owners(&after), owners(&image));
}
