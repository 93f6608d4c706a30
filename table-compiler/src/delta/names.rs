//! The names behind the numbers of the tables a delta leads to.

use super::numbers::{NONE, Numbers};
use seqnic_image::Names;
use seqnic_image::names::{ActionName, ClassName, RuleName};
use seqnic_spec::tables::references::Space;
use std::collections::{HashMap, HashSet};

/// Names of the loaded tables, joined with those of the new definition. Numbers that are retired keep
/// theirs, so that what they have counted can be told; a class then has no place in its service any more.
pub fn names(old: &Names, new: &Names, numbers: &Numbers) -> Names {
    let mut names = old.clone();
    names.definition.clone_from(&new.definition);
    let labels = merged(&mut names.labels, &new.labels);
    let services = merged(&mut names.services, &new.services);
    for (fresh, number) in numbers.of(Space::Interface) {
        let name = new.interfaces[fresh as usize].clone();
        put(&mut names.interfaces, number, name.clone(), name);
    }
    for (fresh, number) in numbers.of(Space::Attachment) {
        let at = fresh as usize;
        let nobody = String::new();
        put(
            &mut names.attachments,
            number,
            new.attachments[at].clone(),
            nobody.clone(),
        );
        put(&mut names.roles, number, new.roles[at].clone(), nobody);
    }
    for class in names.classes.iter_mut().skip(1) {
        class.place = NONE;
    }
    for (fresh, number) in numbers.of(Space::Class) {
        let class = &new.classes[fresh as usize];
        let class = ClassName {
            service: services[class.service as usize],
            label: labels[class.label as usize],
            place: class.place,
        };
        let nobody = ClassName {
            place: NONE,
            ..class.clone()
        };
        put(&mut names.classes, number, class, nobody);
    }
    let number = |space: Space, fresh: u32| numbers.get(space, fresh).unwrap_or(0);
    for (fresh, count) in &numbers.runs {
        let first = number(Space::Action, *fresh);
        for n in 0..*count {
            let name = new.actions[(*fresh + n) as usize].map(|name| ActionName {
                class: number(Space::Class, name.class),
                from: name.from.map(|from| number(Space::Attachment, from)),
                to: number(Space::Attachment, name.to),
                ..name
            });
            put(&mut names.actions, first + n, name, None);
        }
    }
    for (fresh, number) in numbers.of(Space::Set) {
        put(
            &mut names.sets,
            number,
            new.sets[fresh as usize].clone(),
            String::new(),
        );
    }
    for (fresh, number) in numbers.of(Space::Rule) {
        let name = new.rules[fresh as usize].as_ref().map(|name| RuleName {
            set: numbers.get(Space::Set, name.set).unwrap_or(0),
            ..name.clone()
        });
        put(&mut names.rules, number, name, None);
    }
    drop_unused_services(&mut names);
    names
}

/// Adds what is not there; where each of `new` stands.
fn merged(names: &mut Vec<String>, new: &[String]) -> Vec<u32> {
    let mut places: HashMap<String, u32> = HashMap::with_capacity(names.len());
    for (n, name) in names.iter().enumerate() {
        places.insert(name.clone(), n as u32);
    }
    new.iter()
        .map(|name| {
            *places.entry(name.clone()).or_insert_with(|| {
                names.push(name.clone());
                names.len() as u32 - 1
            })
        })
        .collect()
}

fn put<T: Clone>(names: &mut Vec<T>, number: u32, name: T, filler: T) {
    let at = number as usize;
    if names.len() <= at {
        names.resize(at + 1, filler);
    }
    names[at] = name;
}

/// Services whose last class has a number that something else has taken since.
fn drop_unused_services(names: &mut Names) {
    let used: HashSet<u32> = names.classes.iter().skip(1).map(|c| c.service).collect();
    if used.len() == names.services.len() {
        return;
    }
    let mut places = vec![NONE; names.services.len()];
    let mut kept = Vec::with_capacity(used.len());
    for (n, name) in names.services.iter_mut().enumerate() {
        if used.contains(&(n as u32)) {
            places[n] = kept.len() as u32;
            kept.push(std::mem::take(name));
        }
    }
    names.services = kept;
    for class in names.classes.iter_mut().skip(1) {
        class.service = places[class.service as usize];
    }
}
