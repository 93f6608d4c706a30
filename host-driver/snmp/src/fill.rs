//! What `seqnicd` says, as rows.

use crate::mib::{self, ADMIN, DEVICE_STATE, DIRECTION, Enumeration, LINK, PRESENCE, table};
use crate::tree::{Cell, Part, Tree};
use crate::write;
use seqnic_daemon::api::{Counter, Counters, Status};
use seqnic_spec::counters::{TIME_BUCKETS, TIME_LOWEST_BITS};
use seqnic_spec::reason::Reason;
use std::collections::BTreeMap;

/// Longest text of an object.
const TEXT: usize = 255;

/// Text cut where a character ends.
pub fn text(text: &str) -> Cell {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cell::Text(text[..end].to_string())
}

/// The definition that holds, in parts.
pub fn definition(tree: &mut Tree, text: &str) {
    for (n, chunk) in write::chunks(text).into_iter().enumerate() {
        let part = Part::Number(u32::try_from(n + 1).unwrap_or(u32::MAX));
        tree.row(table::TEXT, &[part], vec![Cell::Text(chunk.to_string())]);
    }
}

fn enumerated(of: &Enumeration, value: &str) -> Option<Cell> {
    of.number(value).map(Cell::Integer)
}

/// All values. Without an answer of the daemon there is only the fact that there is none.
pub fn tree(answer: Option<(&Status, &Counters)>) -> Tree {
    let mut tree = Tree::default();
    let Some((status, counters)) = answer else {
        set(&mut tree, "CardState", enumerated(&PRESENCE, "unknown"));
        return tree;
    };
    scalars(&mut tree, status, counters);
    for port in &status.ports {
        if let Some(link) = enumerated(&LINK, &port.link) {
            let number = Part::Number(u32::from(port.port));
            tree.row(table::PORT, &[number], vec![link]);
        }
    }
    for device in &status.devices {
        let Some(state) = enumerated(&DEVICE_STATE, &device.state) else {
            continue;
        };
        let time = u32::try_from(device.response_ns.unwrap_or(0)).unwrap_or(u32::MAX);
        let admin = match device.state.as_str() {
            "failed" => "outOfService",
            _ => "inService",
        };
        let mut cells = vec![text(&device.function), state, Cell::Gauge(time)];
        cells.extend(enumerated(&ADMIN, admin));
        tree.row(table::DEVICE, &[Part::Name(&device.name)], cells);
    }
    for (service, device) in &status.unavailable {
        let state = (status.devices.iter().find(|d| d.name == *device))
            .map_or("failed", |d| d.state.as_str());
        if let Some(state) = enumerated(&DEVICE_STATE, state) {
            let row = [Part::Name(service), Part::Name(device)];
            tree.row(table::FAILURE, &row, vec![state]);
        }
    }
    for (what, packets) in &status.exceptions {
        if let Some((reason, deed)) = what.split_once(' ') {
            let row = [Part::Name(reason), Part::Name(deed)];
            tree.row(table::HOST, &row, vec![Cell::Counter(*packets)]);
        }
    }
    counted(&mut tree, status, counters);
    let left_out = Cell::Gauge(tree.left_out());
    set(&mut tree, "RowsLeftOut", Some(left_out));
    tree
}

/// Sets a scalar, by its name.
pub(crate) fn set(tree: &mut Tree, name: &str, cell: Option<Cell>) {
    let place = mib::scalar(name);
    if let (Some(place), Some(cell)) = (place, cell) {
        tree.set(place, cell);
    }
}

fn scalars(tree: &mut Tree, status: &Status, counters: &Counters) {
    let definition = status.definition.as_ref();
    let of = |f: fn(&seqnic_daemon::api::DefinitionStatus) -> &str| text(definition.map_or("", f));
    let failed = status.devices.iter().filter(|d| d.state == "failed");
    let unavailable = unavailable(status);
    let hundredths = status.uptime.wrapping_mul(100) as u32;
    let services = definition.map_or(0, |d| d.services);
    let gauge = |n: usize| Some(Cell::Gauge(u32::try_from(n).unwrap_or(u32::MAX)));
    for (name, cell) in [
        ("CardState", enumerated(&PRESENCE, presence(status))),
        ("Card", Some(text(&status.card))),
        ("Geometry", Some(text(&status.geometry))),
        ("Version", Some(text(&status.version))),
        ("UpTime", Some(Cell::Ticks(hundredths))),
        ("DefinitionName", Some(of(|d| &d.name))),
        ("DefinitionFile", Some(of(|d| &d.file))),
        ("DefinitionDigest", Some(of(|d| &d.digest))),
        ("Services", gauge(services)),
        ("DevicesFailed", gauge(failed.count())),
        ("ServicesUnavailable", gauge(unavailable.len())),
        ("Repairs", Some(Cell::Counter(status.repairs))),
        ("RolesBypassed", gauge(status.bypassed.len())),
        ("SnapshotTime", Some(Cell::Counter(counters.time))),
    ] {
        set(tree, name, cell);
    }
}

/// Whether the card is there, in the words of [`PRESENCE`].
pub fn presence(status: &Status) -> &'static str {
    match status.card_state.here {
        true => "up",
        false => "lost",
    }
}

/// Roles with nobody left, by service.
pub fn unavailable(status: &Status) -> BTreeMap<&str, u32> {
    let mut roles: BTreeMap<&str, u32> = BTreeMap::new();
    for (service, _) in &status.unavailable {
        *roles.entry(service).or_default() += 1;
    }
    roles
}

/// Cells of a row that are filled by several counters.
type Sums<K> = BTreeMap<K, Vec<u64>>;

fn add(cells: &mut [u64], at: usize, counter: &Counter) {
    cells[at] = cells[at].wrapping_add(counter.packets);
    cells[at + 1] = cells[at + 1].wrapping_add(counter.bytes);
}

fn cells(values: &[u64]) -> Vec<Cell> {
    values.iter().map(|v| Cell::Counter(*v)).collect()
}

fn counted(tree: &mut Tree, status: &Status, counters: &Counters) {
    let mut reasons: Sums<&str> = BTreeMap::new();
    let mut interfaces: Sums<&str> = BTreeMap::new();
    let mut attachments: Sums<&str> = BTreeMap::new();
    let mut services: Sums<&str> = BTreeMap::new();
    for c in &counters.counters {
        let label = |name: &str| c.labels.get(name).map_or("", String::as_str);
        let of = |sums: &mut Sums<_>, key, width, at| {
            add(sums.entry(key).or_insert_with(|| vec![0; width]), at, c);
        };
        let attachment = |sums: &mut Sums<_>, at: usize| {
            let cells: &mut Vec<u64> = sums
                .entry(label("attachment"))
                .or_insert_with(|| vec![0; 7]);
            cells[at] = c.packets;
        };
        match c.kind.as_str() {
            "reason" => of(&mut reasons, label("reason"), 2, 0),
            "interface_in" => of(&mut interfaces, label("interface"), 4, 0),
            "interface_out" => of(&mut interfaces, label("interface"), 4, 2),
            "attachment_in" => of(&mut attachments, label("attachment"), 7, 0),
            "attachment_out" => of(&mut attachments, label("attachment"), 7, 2),
            "attachment_syn" => attachment(&mut attachments, 4),
            "attachment_answer" => attachment(&mut attachments, 5),
            "attachment_seen" => attachment(&mut attachments, 6),
            "attachment_time" => time(tree, label("attachment"), label("bucket"), c),
            "rule" => {
                let row = [Part::Name(label("acl")), Part::Name(label("rule"))];
                let mut cells = cells(&[c.packets, c.bytes]);
                cells.push(text(label("client")));
                tree.row(table::RULE, &row, cells);
            }
            "service" => {
                let direction = label("direction");
                let at = if direction == "return" { 2 } else { 0 };
                of(&mut services, label("service"), 4, at);
                if let Some(number) = DIRECTION.number(direction) {
                    let row = [
                        Part::Name(label("service")),
                        Part::Name(label("look")),
                        Part::Number(number as u32),
                    ];
                    tree.row(table::LOOK, &row, cells(&[c.packets, c.bytes]));
                }
            }
            // Steps have too many names for an index; whoever wants them asks `seqnic counters`.
            _ => {}
        }
    }
    for reason in Reason::ALL {
        let sums = reasons.get(reason.name()).cloned().unwrap_or(vec![0; 2]);
        let mut row = vec![text(reason.name())];
        row.extend(cells(&sums));
        tree.row(table::REASON, &[Part::Number(*reason as u32)], row);
    }
    for (name, sums) in &interfaces {
        tree.row(table::INTERFACE, &[Part::Name(name)], cells(sums));
    }
    for (name, sums) in &attachments {
        tree.row(table::ATTACHMENT, &[Part::Name(name)], cells(sums));
    }
    let gone = unavailable(status);
    for service in gone.keys() {
        services.entry(service).or_insert_with(|| vec![0; 4]);
    }
    for (name, sums) in &services {
        let mut row = vec![Cell::Gauge(gone.get(name).copied().unwrap_or(0))];
        row.extend(cells(sums));
        tree.row(table::SERVICE, &[Part::Name(name)], row);
    }
}

fn time(tree: &mut Tree, attachment: &str, bucket: &str, counter: &Counter) {
    let Ok(number) = bucket.parse::<u32>() else {
        return;
    };
    let bound = match number + 1 < TIME_BUCKETS {
        true => 1u32
            .checked_shl(number + TIME_LOWEST_BITS)
            .unwrap_or(u32::MAX),
        false => u32::MAX,
    };
    let row = [Part::Name(attachment), Part::Number(number)];
    let mut cells_of = vec![Cell::Gauge(bound)];
    cells_of.extend(cells(&[counter.packets, counter.bytes]));
    tree.row(table::RESPONSE, &row, cells_of);
}
