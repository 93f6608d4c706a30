//! nextpnr places the mapped modules on the ECP5, and routes them where that is asked for.
//!
//! The netlists of the modules are joined as they are, not mapped again over their borders: so every cell
//! still has the name of its stage, and a stage that has not changed is not mapped again.

use crate::failure::Failure;
use crate::modules::Mapped;
use crate::program::Program;
use crate::spread;
use crate::target::Target;
use crate::timing::stage_of;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Longest time for one run.
const SECONDS: u64 = 3 * 3600;

/// The placer that takes a density, and the router that gets through.
const STATIC: [&str; 4] = ["--placer", "static", "--router", "router2"];

/// What is placed, between the placer and the router.
const PLACED: &str = "placed.json";

/// What nextpnr is to do.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub route: bool,
    /// Another start of the placer gives another result.
    pub seed: u32,
    /// Tiles a wire may leave the box around its net's ends, where the router's own number is not to be taken.
    pub margin: Option<u32>,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Placed {
    pub version: String,
    /// Of a design that is not routed, the placer's estimate.
    pub fmax: f64,
    /// Name of the resource: used, there are.
    pub used: BTreeMap<String, (u64, u64)>,
    /// Only of a routed design.
    pub critical: Option<Critical>,
    /// Longest time to an end in each stage, ns.
    pub stages: BTreeMap<String, f64>,
}

/// The longest path.
#[derive(Debug, Clone)]
pub struct Critical {
    pub from: String,
    pub to: String,
    pub ns: f64,
    pub logic: f64,
    pub routing: f64,
}

#[derive(Deserialize)]
struct Report {
    fmax: BTreeMap<String, Fmax>,
    utilization: BTreeMap<String, Used>,
    critical_paths: Vec<CriticalPath>,
    #[serde(default)]
    detailed_net_timings: Vec<Net>,
}

#[derive(Deserialize)]
struct Fmax {
    achieved: f64,
}

#[derive(Deserialize)]
struct Used {
    used: u64,
    available: u64,
}

#[derive(Deserialize)]
struct CriticalPath {
    from: String,
    to: String,
    path: Vec<Piece>,
}

#[derive(Deserialize)]
struct Piece {
    delay: f64,
    #[serde(rename = "type")]
    kind: String,
    from: Pin,
    to: Pin,
}

#[derive(Deserialize)]
struct Pin {
    cell: String,
}

#[derive(Deserialize)]
struct Net {
    #[serde(default)]
    endpoints: Vec<End>,
}

#[derive(Deserialize)]
struct End {
    cell: String,
    event: String,
    delay: Delay,
}

/// To an end: one number, or from nextpnr 0.11 on the least and the most.
#[derive(Deserialize)]
#[serde(untagged)]
enum Delay {
    One(f64),
    Between([f64; 2]),
}

impl Delay {
    fn longest(&self) -> f64 {
        match *self {
            Delay::One(delay) | Delay::Between([_, delay]) => delay,
        }
    }
}

/// The stage of a cell of the design on pins; none for the pins' chains.
fn stage_of_cell(cell: &str) -> Option<String> {
    let inside = cell.strip_prefix("dut.")?;
    // The last part is the cell's own name.
    let path = inside.rsplit_once('.').map_or("", |(path, _)| path);
    let path: Vec<&str> = path.split('.').take_while(|p| !p.contains('$')).collect();
    Some(stage_of(&path.join(".")))
}

/// Look-up tables of an LFE5U-85F.
const PLACES: u64 = 83_640;

/// One netlist of all modules with the settings of its way, and what share of the device its look-up tables are to fill where it
/// is to be routed.
fn join(mapped: &Mapped, top: &str, way: Way) -> Result<(String, Option<f64>), Failure> {
    let mut modules = serde_json::Map::new();
    for (name, file) in &mapped.files {
        let text = fs::read_to_string(file).map_err(Failure::file(file))?;
        let mut all: Value = serde_json::from_str(&text).map_err(|e| Failure::format(file, e))?;
        let mut module = all["modules"][name].take();
        module["attributes"] = match name == top {
            true => json!({ "top": "00000000000000000000000000000001" }),
            false => json!({}),
        };
        for list in ["cells", "netnames"] {
            let entries = module[list].as_object_mut();
            for entry in entries.into_iter().flat_map(|o| o.values_mut()) {
                if let Some(attributes) = entry["attributes"].as_object_mut() {
                    attributes.clear();
                }
            }
        }
        modules.insert(name.clone(), module);
    }
    let filled = way.route.then(|| spread::filled(&modules, top, PLACES));
    if let (Some(filled), Some(top)) = (filled, modules.get_mut(top)) {
        top["settings"] = settings(filled, way.margin);
    }
    let joined = json!({ "creator": "seqnic-synth", "modules": modules });
    Ok((joined.to_string(), filled))
}

/// What nextpnr has no options for; numbers are written in binary.
fn settings(filled: f64, margin: Option<u32>) -> Value {
    let mut settings = json!({ spread::SETTING: format!("{filled:.2}") });
    if let Some(tiles) = margin {
        for side in ["x", "y"] {
            settings[format!("router2/bbMargin/{side}")] = json!(format!("{tiles:032b}"));
        }
    }
    settings
}

/// Places `top`, which has few pins, or takes the result from `cache`.
///
/// # Errors
/// What nextpnr or the file system says; that the device is too small is one.
pub fn place(
    target: &Target,
    mapped: &Mapped,
    top: &str,
    nextpnr: &Program,
    cache: &Path,
    way: Way,
    say: &mut dyn FnMut(&str),
) -> Result<Placed, Failure> {
    fs::create_dir_all(cache).map_err(Failure::file(cache))?;
    let version = nextpnr.version(cache, "--version")?;
    let version = version
        .replace(['"', '\n'], "")
        .replace(" -- Next Generation Place and Route", "");
    let (text, filled) = join(mapped, top, way)?;
    let (asked, seed) = (target.asked.to_string(), way.seed.to_string());
    let device = [
        "--85k",
        "--package",
        "CABGA756",
        "--speed",
        "8",
        "--freq",
        &asked,
        "--seed",
        &seed,
        "--timing-allow-fail",
    ];
    let reported = ["--report", "report.json", "--detailed-timing-report"];
    let placing = ["--json", "net.json", "--no-route"];
    let steps: Vec<(&str, Vec<&str>)> = match way.route {
        // The static placer wants a seventh less wire, and router2 gets much further; where nothing is routed the default one is the better
        // estimate, as it looks at delays.
        false => vec![("placing", [&device[..], &placing, &reported].concat())],
        // The default router takes wires away from each other one by one: of 302,000 arcs 219,000 were left when it came to a stand.
        // What is placed keeps its settings, over those of the command that routes it: the router is named with both.
        true => vec![
            (
                "placing",
                [&device[..], &placing, &STATIC, &["--write", PLACED]].concat(),
            ),
            (
                "routing",
                [
                    &device[..],
                    &["--json", PLACED, "--no-pack", "--no-place"],
                    &STATIC,
                    &reported,
                ]
                .concat(),
            ),
        ],
    };
    let mut digest = Sha256::new();
    digest.update(&version);
    for (_, arguments) in &steps {
        digest.update(arguments.join(" "));
    }
    digest.update(&text);
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        let _ = write!(key, "{byte:02x}");
    }
    let folder = cache.join(format!("{top}-{key}"));
    let (file, done) = (folder.join("report.json"), folder.join("done"));
    if !done.exists() {
        fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        let netlist = folder.join("net.json");
        fs::write(&netlist, &text).map_err(Failure::file(&netlist))?;
        for (step, arguments) in &steps {
            say(&format!("nextpnr: {step} {top}"));
            let mut hear = |line: &str| {
                if let Some(iteration) = line.find("iter=").filter(|_| line.contains("overused=")) {
                    say(&format!("nextpnr: {}", &line[iteration..]));
                }
            };
            let said = nextpnr.run(top, &folder, arguments, SECONDS, &mut hear)?;
            if filled.is_some_and(|filled| spread::obeyed(&said, filled) == Some(false)) {
                return Err(nextpnr.dense(spread::SETTING));
            }
        }
        fs::write(&done, "").map_err(Failure::file(&done))?;
    }
    let report = fs::read_to_string(&file).map_err(Failure::file(&file))?;
    let log = folder.join("log");
    let said = fs::read_to_string(&log).map_err(Failure::file(&log))?;
    read(&report, &said, version).map_err(|e| Failure::format(&file, e))
}

/// The clock the log says last: what the placer estimates, where nothing is routed.
fn estimate(log: &str) -> Option<f64> {
    let line = (log.lines().rev()).find(|l| l.contains("Max frequency for clock"))?;
    let (_, behind) = line.rsplit_once(": ")?;
    behind.split_once(" MHz")?.0.parse().ok()
}

fn read(report: &str, log: &str, version: String) -> Result<Placed, String> {
    let report: Report = serde_json::from_str(report).map_err(|e| e.to_string())?;
    let slowest = |a: &f64, b: &f64| a.total_cmp(b);
    let routed = report.fmax.values().map(|f| f.achieved).min_by(slowest);
    let fmax = routed.or_else(|| estimate(log));
    let within = |p: &&CriticalPath| p.from.contains("posedge") && p.to.contains("posedge");
    let path = report.critical_paths.iter().find(within);
    let critical = path.map(|p| {
        let sum = |routing: bool| -> f64 {
            let pieces = p.path.iter().filter(|x| (x.kind == "routing") == routing);
            pieces.map(|x| x.delay).sum()
        };
        Critical {
            from: p
                .path
                .first()
                .map(|x| x.from.cell.clone())
                .unwrap_or_default(),
            to: p.path.last().map(|x| x.to.cell.clone()).unwrap_or_default(),
            ns: sum(true) + sum(false),
            logic: sum(false),
            routing: sum(true),
        }
    });
    let mut stages: BTreeMap<String, f64> = BTreeMap::new();
    for end in report
        .detailed_net_timings
        .iter()
        .flat_map(|n| &n.endpoints)
    {
        if !end.event.contains("posedge") {
            continue;
        }
        if let Some(stage) = stage_of_cell(&end.cell) {
            let worst = stages.entry(stage).or_default();
            *worst = worst.max(end.delay.longest());
        }
    }
    let used = report.utilization.into_iter();
    Ok(Placed {
        version,
        fmax: fmax.ok_or("no clock in it")?,
        used: used.map(|(n, u)| (n, (u.used, u.available))).collect(),
        critical,
        stages,
    })
}

#[cfg(test)]
mod tests {
    use super::{read, settings};

    #[test]
    fn what_has_no_option_is_a_setting() {
        let plain = settings(0.55, None);
        assert_eq!(plain.as_object().unwrap().len(), 1);
        assert_eq!(plain["static/target_util"], "0.55");
        let wider = settings(0.64, Some(12));
        let twelve = "00000000000000000000000000001100";
        assert_eq!(wider["router2/bbMargin/x"], twelve);
        assert_eq!(wider["router2/bbMargin/y"], twelve);
    }

    const UNROUTED: &str = r#"{"critical_paths":[],"detailed_net_timings":[],"fmax":{},"utilization":{"TRELLIS_FF":{"available":83640,"used":57112}}}"#;
    const LOG: &str = "Info: Max frequency for clock 'clk': 9.50 MHz (FAIL at 60.00 MHz)\n\
        Info: Max frequency for clock '$glbnet$clk$TRELLIS_IO_IN': 50.01 MHz (FAIL at 60.00 MHz)\n";

    #[test]
    fn what_is_not_routed_has_the_placers_estimate() {
        let placed = read(UNROUTED, LOG, "nextpnr".into()).unwrap();
        assert_eq!(placed.fmax, 50.01);
        assert!(placed.critical.is_none());
        assert_eq!(placed.used["TRELLIS_FF"], (57112, 83640));
        assert!(
            read(
                UNROUTED,
                "Info: Program finished normally.\n",
                "nextpnr".into()
            )
            .is_err()
        );
    }

    #[test]
    fn a_routed_design_has_its_own() {
        let routed = UNROUTED.replace(r#""fmax":{}"#, r#""fmax":{"clk":{"achieved":61.5}}"#);
        assert_eq!(read(&routed, LOG, "nextpnr".into()).unwrap().fmax, 61.5);
        // Old and new ways to write a delay.
        for delay in ["3.5", "[3.25, 3.5]"] {
            let ends = format!(
                r#""detailed_net_timings":[{{"endpoints":[{{"cell":"dut.buffer.room_q","event":"posedge clk","delay":{delay}}}]}}]"#
            );
            let routed = routed.replace(r#""detailed_net_timings":[]"#, &ends);
            let placed = read(&routed, LOG, "nextpnr".into()).unwrap();
            assert_eq!(placed.stages["buffer"], 3.5);
        }
    }
}
