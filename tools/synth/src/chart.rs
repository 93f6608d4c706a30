//! The chart: longest path by stage, and what part of the device is used.

use crate::report::Findings;
use crate::target::Family;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;

struct Bar {
    name: String,
    /// 0 to 1 of the width.
    length: f64,
    text: String,
    over: bool,
}

struct Panel {
    title: String,
    bars: Vec<Bar>,
    /// Where the aim is, 0 to 1.
    aim: f64,
    aim_text: String,
}

fn panels(f: &Findings) -> [Panel; 2] {
    let t = &f.target;
    let period = 1000.0 / t.aim;
    let placed = f.placed.as_ref();
    let times: Vec<(String, f64)> = f
        .stages
        .iter()
        .filter_map(|row| Some((row.name.clone(), row.path.as_ref()?.ns)))
        .collect();
    let most = times.iter().map(|x| x.1).fold(period, f64::max) * 1.08;
    let how = match (t.family, placed) {
        (_, Some(p)) => match p.critical {
            None => format!("placed, estimate: {:.0} MHz", p.fmax),
            Some(_) => format!("placed and routed: {:.0} MHz", p.fmax),
        },
        (Family::UltraScalePlus | Family::Ecp5, None) => "delay model, not placed".into(),
    };
    let paths = Panel {
        title: format!(
            "{}: longest path that ends in a stage, ns by the delay model ({how})",
            t.geometry.name
        ),
        bars: times
            .into_iter()
            .map(|(name, ns)| Bar {
                name,
                length: ns / most,
                text: format!("{ns:.2}"),
                over: ns > period,
            })
            .collect(),
        aim: period / most,
        aim_text: format!("{:.0} MHz", t.aim),
    };
    let all = f.total();
    let parts = [
        ("LUT", all.lut as f64, t.has.lut as f64),
        ("FF", all.ff as f64, t.has.ff as f64),
        (t.bram, all.bram(), t.has.bram_halves as f64 / 2.0),
        ("URAM", all.uram as f64, t.has.uram as f64),
    ];
    let used: Vec<_> = parts.into_iter().filter(|p| p.2 > 0.0).collect();
    let most = used.iter().map(|p| p.1 / p.2).fold(1.0, f64::max) * 1.08;
    let device = Panel {
        title: format!("{}: part of the {} that is used", t.geometry.name, t.device),
        bars: used
            .into_iter()
            .map(|(name, used, of)| Bar {
                name: name.into(),
                length: used / of / most,
                text: format!("{used:.0} of {of:.0} ({:.0} %)", 100.0 * used / of),
                over: 100.0 * used / of > t.percent,
            })
            .collect(),
        aim: t.percent / 100.0 / most,
        aim_text: format!("{:.0} %", t.percent),
    };
    [paths, device]
}

/// The chart as SVG.
pub fn svg(findings: &[Findings]) -> String {
    let all: Vec<Panel> = findings.iter().flat_map(panels).collect();
    let height: f64 = all.iter().map(|p| 64.0 + STEP * p.bars.len() as f64).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         role=\"img\" aria-label=\"Critical path and area by stage\">\n\
         <style>.h{{font-size:14px;font-weight:600;fill:#14304a}}.n{{font-size:12px;fill:#14304a;text-anchor:end}}\
         .v{{font-size:11.5px;fill:#445}}.b{{fill:#6f9bc4}}.o{{fill:#c4702f}}.a{{stroke:#2b5c8a;stroke-dasharray:4 3}}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let mut y = 0.0;
    let room = WIDTH - LEFT - 150.0;
    for panel in &all {
        let _ = writeln!(
            out,
            "<text class=\"h\" x=\"12\" y=\"{:.0}\">{}</text>",
            y + 24.0,
            panel.title
        );
        let top = y + 50.0;
        let bottom = top + STEP * panel.bars.len() as f64;
        for (i, bar) in panel.bars.iter().enumerate() {
            let at = top + STEP * i as f64;
            let long = (bar.length * room).max(1.0);
            let class = if bar.over { "o" } else { "b" };
            let _ = writeln!(
                out,
                "<text class=\"n\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{at:.0}\" width=\"{long:.1}\" height=\"{BAR}\"/>\
                 <text class=\"v\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
                LEFT - 8.0,
                at + 12.0,
                bar.name,
                LEFT + long + 5.0,
                at + 12.0,
                bar.text
            );
        }
        let x = LEFT + panel.aim * room;
        let _ = writeln!(
            out,
            "<line class=\"a\" x1=\"{x:.1}\" y1=\"{:.0}\" x2=\"{x:.1}\" y2=\"{bottom:.0}\"/>\
             <text class=\"v\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            top - 4.0,
            x - 20.0,
            top - 8.0,
            panel.aim_text
        );
        y = bottom + 14.0;
    }
    out + "</svg>\n"
}
