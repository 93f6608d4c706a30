//! The longest way from register to register, by stage, through the netlists of all modules put together.
//!
//! Levels are look-up tables, and carry chains as one. Times are those of [`Delays`]: a model.

use crate::failure::Failure;
use crate::modules::Mapped;
use crate::netlist::{Cell, Direction};
use crate::target::{Delays, Kind, Target};
use std::collections::{BTreeMap, HashMap};

/// One path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub ns: f64,
    pub levels: u32,
    /// Stage and register it starts at.
    pub from_stage: String,
    pub from: String,
    pub to: String,
    /// The nets it goes through: the time at which each is there, its loads, and its name, if it has one.
    pub through: Vec<(f64, usize, String)>,
}

/// A pin that a net drives.
#[derive(Debug, Clone, Copy)]
struct Load {
    cell: u32,
    /// Time from this pin to the cell's output or end.
    delay: f64,
    /// The net to it is inside of a slice.
    near: bool,
    level: bool,
    end: bool,
}

struct GraphCell {
    outputs: Vec<u32>,
    /// Time after the clock at which a register's outputs come, none for logic.
    starts: Option<f64>,
    /// Inputs from nets that are not there yet.
    waiting: u32,
    stage: u32,
}

#[derive(Default)]
struct Names {
    list: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(n) = self.index.get(name) {
            return *n;
        }
        let n = self.list.len() as u32;
        self.list.push(name.into());
        self.index.insert(name.into(), n);
        n
    }
}

struct Graph<'a> {
    target: &'a Target,
    mapped: &'a Mapped,
    delays: Delays,
    /// Union-find over nets.
    same: Vec<u32>,
    cells: Vec<GraphCell>,
    loads: Vec<(u32, Load)>,
    names: HashMap<u32, String>,
    stages: Names,
}

impl Graph<'_> {
    fn find(&mut self, mut net: u32) -> u32 {
        while self.same[net as usize] != net {
            let up = self.same[self.same[net as usize] as usize];
            self.same[net as usize] = up;
            net = up;
        }
        net
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.same[a.max(b) as usize] = a.min(b);
    }

    /// Adds an instance of `module` and all below it. `bound` are the nets of its ports.
    fn instance(&mut self, module: &str, path: &str, bound: &BTreeMap<&str, Vec<Option<u32>>>) {
        let mapped = self.mapped;
        let Some(netlist) = mapped.netlists.get(module) else {
            return;
        };
        let mut nets: HashMap<u32, u32> = HashMap::new();
        for (name, port) in &netlist.ports {
            let Some(outer) = bound.get(name.as_str()) else {
                continue;
            };
            for (bit, outer) in port.bits.iter().zip(outer) {
                let (Some(bit), Some(outer)) = (bit.net(), *outer) else {
                    continue;
                };
                match nets.get(&bit) {
                    Some(known) => self.join(*known, outer),
                    None => {
                        nets.insert(bit, outer);
                    }
                }
            }
        }
        let stage = self.stages.number(&stage_of(path));
        let mut net = |graph: &mut Self, bit: u32| {
            *nets.entry(bit).or_insert_with(|| {
                let new = graph.same.len() as u32;
                graph.same.push(new);
                new
            })
        };
        for (name, found) in &netlist.netnames {
            if found.hide_name != 0 {
                continue;
            }
            for (i, bit) in found.bits.iter().enumerate() {
                if let Some(bit) = bit.net() {
                    let n = net(self, bit);
                    let better = |old: &String| old.len() > path.len() + name.len() + 5;
                    if self.names.get(&n).is_none_or(better) {
                        self.names.insert(n, format!("{path}.{name}[{i}]"));
                    }
                }
            }
        }
        for (name, cell) in &netlist.cells {
            if mapped.netlists.contains_key(&cell.kind) {
                let ports: BTreeMap<&str, Vec<Option<u32>>> = cell
                    .connections
                    .iter()
                    .map(|(port, bits)| {
                        let bits = bits.iter().map(|b| b.net().map(|b| net(self, b)));
                        (port.as_str(), bits.collect())
                    })
                    .collect();
                let below = match path.is_empty() {
                    true => name.clone(),
                    false => format!("{path}.{name}"),
                };
                self.instance(&cell.kind, &below, &ports);
            } else {
                self.cell(cell, stage, &mut net);
            }
        }
    }

    fn cell(&mut self, cell: &Cell, stage: u32, net: &mut dyn FnMut(&mut Self, u32) -> u32) {
        let kind = self.target.kind(&cell.kind);
        if kind == Kind::Ignored {
            return;
        }
        let d = self.delays;
        let starts = match kind {
            Kind::Lut | Kind::Mux | Kind::Carry | Kind::LutRam => None,
            Kind::Flop => Some(d.clock_to_q),
            Kind::Shift => Some(d.clock_to_q + d.lut),
            Kind::Bram | Kind::Uram => Some(d.ram_to_q),
            Kind::Ignored => return,
        };
        let number = self.cells.len() as u32;
        let mut outputs = vec![];
        for (pin, bits) in &cell.connections {
            let input = cell.port_directions.get(pin) != Some(&Direction::Output);
            for bit in bits.iter().filter_map(|b| b.net()) {
                let n = net(self, bit);
                if !input {
                    outputs.push(n);
                    continue;
                }
                if is_clock(pin) {
                    continue;
                }
                let (delay, near, level, end) = match kind {
                    Kind::Lut => (d.lut, false, true, false),
                    Kind::Mux => (
                        d.mux,
                        pin != "S" && pin != "C0" && pin != "SD",
                        false,
                        false,
                    ),
                    Kind::Carry if pin == "CI" || pin == "CIN" => {
                        (d.carry_step, true, false, false)
                    }
                    // On ECP5 the look-up tables are part of the carry cell.
                    Kind::Carry => (
                        d.carry_in,
                        cell.kind != "CCU2C",
                        cell.kind == "CCU2C",
                        false,
                    ),
                    Kind::LutRam if read_pin(&cell.kind, pin) => (d.lut, false, true, false),
                    Kind::Bram | Kind::Uram => (d.ram_setup, false, false, true),
                    _ => (d.setup, false, false, true),
                };
                let load = Load {
                    cell: number,
                    delay,
                    near,
                    level,
                    end,
                };
                self.loads.push((n, load));
            }
        }
        self.cells.push(GraphCell {
            outputs,
            starts,
            waiting: 0,
            stage,
        });
    }
}

fn is_clock(pin: &str) -> bool {
    matches!(
        pin,
        "C" | "CLK"
            | "CLKA"
            | "CLKB"
            | "WCLK"
            | "WCK"
            | "CLKARDCLK"
            | "CLKBWRCLK"
            | "CLKR"
            | "CLKW"
    )
}

/// Whether a memory in look-up tables answers this pin within the clock.
fn read_pin(cell: &str, pin: &str) -> bool {
    match cell {
        "TRELLIS_DPR16X4" => pin == "RAD",
        _ => {
            pin.starts_with("DPRA") || (pin.starts_with("ADDR") && pin != "ADDRD" && pin != "ADDRH")
        }
    }
}

/// The stage an instance belongs to: the parts of the header path are stages of their own.
pub fn stage_of(path: &str) -> String {
    let mut parts = path.split('.');
    let first = parts.next().unwrap_or_default();
    match (first, parts.next()) {
        ("", _) => "core".into(),
        ("header_path", Some(part)) => part.into(),
        (first, _) => first.into(),
    }
}

/// What is known about a net: when its value is there, and where it came from.
#[derive(Clone, Copy)]
struct Arrival {
    ns: f64,
    levels: u32,
    /// The net its path starts at, and that one's stage.
    from: u32,
    stage: u32,
    /// The net it comes over.
    over: u32,
}

/// The longest paths that end in each stage of `top`, the longest first, at most `most` of them: of those from
/// and to bits of the same registers only one. Ports of `top` are not ends.
///
/// # Errors
/// A loop of logic.
pub fn longest(
    target: &Target,
    mapped: &Mapped,
    top: &str,
    most: usize,
) -> Result<BTreeMap<String, Vec<Path>>, Failure> {
    let mut g = Graph {
        target,
        mapped,
        delays: target.delays(),
        same: vec![],
        cells: vec![],
        loads: vec![],
        names: HashMap::new(),
        stages: Names::default(),
    };
    g.instance(top, "", &BTreeMap::new());
    let d = g.delays;

    // Nets by their representatives.
    let nets = g.same.len();
    let root: Vec<u32> = (0..nets as u32).map(|n| g.find(n)).collect();
    let mut by_net: Vec<Vec<Load>> = vec![vec![]; nets];
    for (net, load) in &g.loads {
        by_net[root[*net as usize] as usize].push(*load);
    }
    let mut driver: Vec<Option<u32>> = vec![None; nets];
    for (number, cell) in (0..).zip(&mut g.cells) {
        for net in &mut cell.outputs {
            *net = root[*net as usize];
            driver[*net as usize] = Some(number);
        }
    }
    // A register right behind a memory is the memory's output register.
    for cell in 0..g.cells.len() {
        let ram = g.cells[cell].starts == Some(d.ram_to_q);
        if !ram || d.ram_to_q == d.ram_to_q_registered {
            continue;
        }
        for net in g.cells[cell].outputs.clone() {
            let loads = &by_net[net as usize];
            let register =
                |l: &Load| g.cells[l.cell as usize].starts == Some(d.clock_to_q) && l.end;
            if loads.len() == 1 && register(&loads[0]) {
                let behind = loads[0].cell as usize;
                g.cells[behind].starts = Some(d.ram_to_q_registered);
                by_net[net as usize].clear();
            }
        }
    }
    for loads in by_net
        .iter()
        .zip(&driver)
        .filter(|(_, d)| d.is_some())
        .map(|(l, _)| l)
    {
        for load in loads.iter().filter(|l| !l.end) {
            g.cells[load.cell as usize].waiting += 1;
        }
    }

    let mut arrivals: Vec<Option<Arrival>> = vec![None; nets];
    let mut at_cell: Vec<Option<Arrival>> = vec![None; g.cells.len()];
    let mut at_end: Vec<Option<Arrival>> = vec![None; g.cells.len()];
    let mut ready: Vec<usize> = (0..g.cells.len())
        .filter(|c| g.cells[*c].waiting == 0)
        .collect();
    let mut done = 0;
    while let Some(cell) = ready.pop() {
        done += 1;
        let (starts, stage) = (g.cells[cell].starts, g.cells[cell].stage);
        for net in g.cells[cell].outputs.clone() {
            let arrival = match starts {
                Some(ns) => Some(Arrival {
                    ns,
                    levels: 0,
                    from: net,
                    stage,
                    over: net,
                }),
                None => at_cell[cell],
            };
            arrivals[net as usize] = arrival;
            let loads = &by_net[net as usize];
            let many = d.net_doubling * (loads.len() as f64).max(1.0).log2();
            let far = (d.net + many).min(d.net_most);
            for load in loads {
                let to = load.cell as usize;
                if let Some(a) = arrival {
                    let near = if load.near { 0.0 } else { far };
                    let then = Arrival {
                        ns: a.ns + near + load.delay,
                        levels: a.levels + u32::from(load.level),
                        over: net,
                        ..a
                    };
                    let at = match load.end {
                        true => &mut at_end[to],
                        false => &mut at_cell[to],
                    };
                    if at.is_none_or(|old| old.ns < then.ns) {
                        *at = Some(then);
                    }
                }
                if !load.end {
                    g.cells[to].waiting -= 1;
                    if g.cells[to].waiting == 0 {
                        ready.push(to);
                    }
                }
            }
        }
    }
    let mut names: HashMap<u32, String> = HashMap::new();
    for (net, name) in &g.names {
        let entry = names.entry(root[*net as usize]).or_default();
        if entry.is_empty()
            || name.len() < entry.len()
            || (name.len() == entry.len() && *name < *entry)
        {
            *entry = name.clone();
        }
    }
    if done != g.cells.len() {
        let open = g.cells.iter().find(|c| c.waiting > 0);
        let name = open.and_then(|c| names.get(c.outputs.first()?)).cloned();
        return Err(Failure::Loop(name.unwrap_or_default()));
    }
    let name = |net: u32| names.get(&net).cloned().unwrap_or_else(|| "?".into());
    let through = |a: &Arrival| {
        let mut nets = vec![];
        let (mut net, mut end) = (a.over, Some(()));
        while end.is_some() {
            let ns = arrivals[net as usize].map_or(0.0, |at| at.ns);
            let loads = by_net[net as usize].len();
            let name = names.get(&net).cloned().unwrap_or_else(|| "-".into());
            nets.push((ns, loads, name));
            let before = driver[net as usize].and_then(|cell| at_cell[cell as usize]);
            end = before
                .filter(|_| net != a.from)
                .map(|before| net = before.over);
        }
        nets.reverse();
        nets
    };
    let mut ends: Vec<(Arrival, usize)> = (at_end.iter().zip(0..))
        .filter_map(|(a, end)| Some(((*a)?, end)))
        .collect();
    ends.sort_by(|a, b| b.0.ns.total_cmp(&a.0.ns).then(a.1.cmp(&b.1)));
    let mut paths: BTreeMap<String, Vec<Path>> = BTreeMap::new();
    for (a, end) in ends {
        let stage = g.stages.list[g.cells[end].stage as usize].clone();
        let found = paths.entry(stage).or_default();
        if found.len() == most {
            continue;
        }
        let to = g.cells[end].outputs.first().copied();
        let (from, to) = (name(a.from), to.map(name).unwrap_or_else(|| "?".into()));
        let same = |path: &Path| {
            register(&path.from) == register(&from) && register(&path.to) == register(&to)
        };
        if found.iter().any(same) {
            continue;
        }
        found.push(Path {
            ns: a.ns,
            levels: a.levels,
            from_stage: g.stages.list[a.stage as usize].clone(),
            from,
            to,
            through: through(&a),
        });
    }
    Ok(paths)
}

/// A register's name without the bit.
fn register(name: &str) -> &str {
    name.split_once('[').map_or(name, |(register, _)| register)
}
