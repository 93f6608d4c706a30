//! Tables of docs/synth.md. What people wrote there stays: only the text between the marks is replaced.

use crate::place::Placed;
use crate::stages::Stage;
use crate::target::{Cells, Family, Target};
use crate::timing::Path;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything found out about one geometry.
pub struct Findings {
    pub target: Target,
    pub yosys: String,
    /// Stages in the order packets meet them.
    pub stages: Vec<Row>,
    pub placed: Option<Placed>,
}

/// One stage; instances of the same kind are one row.
pub struct Row {
    pub name: String,
    pub count: u32,
    pub stage: Stage,
    pub path: Option<Path>,
}

/// How much longer than the median of the stages a path may be without a reason written down.
const DEEP: f64 = 1.35;

impl Findings {
    pub fn total(&self) -> Cells {
        self.stages
            .iter()
            .fold(Cells::default(), |a, r| a + r.stage.all)
    }

    pub fn tiles(&self) -> (u64, u64) {
        let add = |a: (u64, u64), r: &Row| (a.0 + r.stage.tiles.0, a.1 + r.stage.tiles.1);
        self.stages.iter().fold((0, 0), add)
    }

    /// Stages much deeper than the others.
    pub fn deep(&self) -> Vec<&str> {
        let mut all: Vec<f64> = self
            .stages
            .iter()
            .filter_map(|r| Some(r.path.as_ref()?.ns))
            .collect();
        all.sort_by(f64::total_cmp);
        let Some(median) = all.get(all.len() / 2) else {
            return vec![];
        };
        let deep = self
            .stages
            .iter()
            .filter(|r| r.path.as_ref().is_some_and(|p| p.ns > DEEP * median));
        deep.map(|r| r.name.as_str()).collect()
    }

    /// Longest modelled path, ns.
    pub fn longest(&self) -> f64 {
        self.stages
            .iter()
            .filter_map(|r| Some(r.path.as_ref()?.ns))
            .fold(0.0, f64::max)
    }
}

/// Joins rows whose instances differ in a number only: `egress_p0`, `egress_p1`.
pub fn rows(
    order: Vec<String>,
    mut stages: BTreeMap<String, Stage>,
    mut paths: BTreeMap<String, Path>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for name in order {
        let (stage, path) = (
            stages.remove(&name).unwrap_or_default(),
            paths.remove(&name),
        );
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let kind = kind.strip_suffix("_p").unwrap_or(&name).to_string();
        match rows.iter_mut().find(|r| r.name == kind) {
            Some(row) => {
                row.count += 1;
                row.stage.all = row.stage.all + stage.all;
                row.stage.tiles.0 += stage.tiles.0;
                row.stage.tiles.1 += stage.tiles.1;
                let longer = |p: &Path| row.path.as_ref().is_none_or(|old| old.ns < p.ns);
                if path.as_ref().is_some_and(longer) {
                    row.path = path;
                }
            }
            None => rows.push(Row {
                name: kind,
                count: 1,
                stage,
                path,
            }),
        }
    }
    rows
}

/// Paths to one stage, with what they go through.
pub fn paths(stage: &str, paths: &[Path]) -> String {
    let mut out = String::new();
    for p in paths {
        let _ = writeln!(
            out,
            "{stage}: {:.2} ns, {} levels, {} to {}",
            p.ns, p.levels, p.from, p.to
        );
        for (ns, loads, net) in &p.through {
            let _ = writeln!(out, "    {ns:.2} {net}, {loads} loads");
        }
    }
    out
}

fn halves(n: u64) -> String {
    match n % 2 {
        0 => (n / 2).to_string(),
        _ => format!("{}.5", n / 2),
    }
}

fn percent(used: f64, of: u64) -> String {
    match of {
        0 => "-".into(),
        of => format!("{:.1} %", 100.0 * used / of as f64),
    }
}

/// The tables of one geometry.
pub fn tables(f: &Findings) -> String {
    let t = &f.target;
    let placed = f.placed.as_ref();
    let mut out = String::new();
    let _ = write!(
        out,
        "| stage | LUT | FF | {0} | URAM | {0} / URAM by tiles | levels | path, model | starts in |",
        t.bram
    );
    out.push_str(if placed.is_some() {
        " path, placed |\n"
    } else {
        "\n"
    });
    out.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    out.push_str(if placed.is_some() { " ---: |\n" } else { "\n" });
    let ns = |ns: f64| format!("{ns:.2} ns");
    for row in &f.stages {
        let (all, tiles) = (row.stage.all, row.stage.tiles);
        let times = match row.count {
            1 => String::new(),
            n => format!(" x {n}"),
        };
        let (levels, time, from) = match &row.path {
            Some(p) => (
                p.levels.to_string(),
                ns(p.ns),
                format!("`{}`", p.from_stage),
            ),
            None => ("-".into(), "-".into(), "-".into()),
        };
        let _ = write!(
            out,
            "| `{}`{times} | {} | {} | {} | {} | {} / {} | {levels} | {time} | {from} |",
            row.name,
            all.lut,
            all.ff,
            halves(all.bram_halves),
            all.uram,
            halves(tiles.0),
            tiles.1,
        );
        if let Some(placed) = placed {
            let mine = |stage: &&String| {
                stage.as_str() == row.name
                    || stage
                        .strip_prefix(&row.name)
                        .is_some_and(|r| r.starts_with("_p"))
            };
            let found = placed
                .stages
                .iter()
                .filter(|(s, _)| mine(s))
                .map(|(_, t)| *t);
            match found.reduce(f64::max) {
                Some(time) => {
                    let _ = write!(out, " {} |", ns(time));
                }
                None => out.push_str(" - |"),
            }
        }
        out.push('\n');
    }
    let (all, tiles) = (f.total(), f.tiles());
    let more = if placed.is_some() { " |" } else { "" };
    let _ = writeln!(
        out,
        "| **all** | {} | {} | {} | {} | {} / {} | | {} | |{more}",
        all.lut,
        all.ff,
        halves(all.bram_halves),
        all.uram,
        halves(tiles.0),
        tiles.1,
        ns(f.longest()),
    );
    let _ = writeln!(
        out,
        "| of {} | {} | {} | {} | {} | {} / {} | | | |{more}",
        t.device,
        percent(all.lut as f64, t.has.lut),
        percent(all.ff as f64, t.has.ff),
        percent(all.bram(), t.has.bram_halves / 2),
        percent(all.uram as f64, t.has.uram),
        percent(tiles.0 as f64 / 2.0, t.has.bram_halves / 2),
        percent(tiles.1 as f64, t.has.uram),
    );
    let _ = writeln!(out, "\nMapped by {}.", f.yosys);
    let longest = f.stages.iter().filter_map(|r| Some((r, r.path.as_ref()?)));
    let longest = longest.max_by(|a, b| a.1.ns.total_cmp(&b.1.ns));
    if let Some((row, path)) = longest {
        let _ = writeln!(
            out,
            "Longest path of the model: {} levels, {} from `{}` to `{}` in `{}`.",
            path.levels,
            ns(path.ns),
            path.from.trim_start_matches('.'),
            path.to.trim_start_matches('.'),
            row.name
        );
    }
    if placed.is_none() && t.family == Family::Ecp5 {
        let why = match all.fits(&t.has) {
            true => "Not placed.",
            false => "Not placed: it does not fit by count.",
        };
        let _ = writeln!(out, "\n{why}");
    }
    if let Some(p) = placed {
        let reached = if p.fmax >= t.aim { "reached" } else { "missed" };
        let (version, fmax, aim) = (&p.version, p.fmax, t.aim);
        let _ = match &p.critical {
            None => writeln!(
                out,
                "\nPlaced by {version}, not routed: its estimate is **{fmax:.1} MHz** (aim {aim:.0} MHz, {reached}).\n"
            ),
            Some(c) => writeln!(
                out,
                "\nPlaced and routed by {version}: **{fmax:.1} MHz** (aim {aim:.0} MHz, {reached}). The longest path takes {:.2} ns, \
                 {:.2} of it in cells and {:.2} on wires, from `{}` to `{}`.\n",
                c.ns, c.logic, c.routing, c.from, c.to,
            ),
        };
        out.push_str("| resource | used | there are | |\n| --- | ---: | ---: | ---: |\n");
        for name in ["TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW", "DP16KD"] {
            if let Some((used, of)) = p.used.get(name) {
                let _ = writeln!(
                    out,
                    "| {name} | {used} | {of} | {} |",
                    percent(*used as f64, *of)
                );
            }
        }
    }
    out
}

/// Puts `text` between the marks of `name`; `None` if they are not there.
pub fn replace(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- begin {name} -->"),
        format!("<!-- end {name} -->"),
    );
    let from = document.find(&begin)? + begin.len();
    let to = from + document[from..].find(&end)?;
    Some(format!(
        "{}\n{}\n{}",
        &document[..from],
        text.trim_end(),
        &document[to..]
    ))
}

/// Deep stages for which the section `Reasons` of the document has no row.
pub fn without_reason<'a>(document: &str, f: &'a Findings) -> Vec<&'a str> {
    let reasons = document
        .split("\n## ")
        .find(|s| s.starts_with("Reasons"))
        .unwrap_or_default();
    let family = match f.target.family {
        Family::UltraScalePlus | Family::Ecp5 => f.target.geometry.name,
    };
    let written = |stage: &str| {
        reasons.lines().any(|l| {
            l.contains(&format!("`{stage}`")) && (l.contains(family) || l.contains("both"))
        })
    };
    f.deep().into_iter().filter(|s| !written(s)).collect()
}

/// Release and commit of what `yosys -V` says; not how and where it was compiled.
pub fn which_yosys(said: &str) -> String {
    match said.split_once(", ") {
        Some((which, _)) if which.contains('(') => format!("{which})"),
        _ => said.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_yosys_was_compiled_is_left_out() {
        let said =
            "Yosys 0.70 (git sha1 28ba3cb92, Release, Clang /home/builder/bin/clang++ 22.1.0)";
        assert_eq!(which_yosys(said), "Yosys 0.70 (git sha1 28ba3cb92)");
        let said = "Yosys 0.52 (git sha1 fee39a328)";
        assert_eq!(which_yosys(said), said);
    }

    #[test]
    fn only_the_text_between_the_marks_changes() {
        let document = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        let new = replace(document, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n");
        assert_eq!(replace(&new, "x", "new"), Some(new.clone()));
        assert_eq!(replace(document, "y", "new"), None);
    }

    #[test]
    fn a_deep_stage_needs_a_reason() {
        let row = |name: &str, ns| Row {
            name: name.into(),
            count: 1,
            stage: Stage::default(),
            path: Some(Path {
                ns,
                levels: 1,
                from_stage: String::new(),
                from: String::new(),
                to: String::new(),
                through: vec![],
            }),
        };
        let findings = Findings {
            target: crate::target::ALL[1],
            yosys: String::new(),
            stages: vec![row("a", 1.0), row("b", 1.1), row("c", 2.0)],
            placed: None,
        };
        assert_eq!(without_reason("# x\n", &findings), ["c"]);
        assert_eq!(
            without_reason("# x\n\n## Reasons\n| `c` | alveo | y |\n", &findings),
            ["c"]
        );
        assert!(without_reason("# x\n\n## Reasons\n| `c` | edge | y |\n", &findings).is_empty());
    }
}
