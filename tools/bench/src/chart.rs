//! Bars side by side, as SVG.

use std::fmt::Write;

/// One group of bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub name: String,
    /// A bar a series, in the unit of the chart.
    pub values: Vec<f64>,
}

/// Colours of Okabe and Ito, which colour-blind people can tell apart.
const COLOURS: [&str; 4] = ["#999999", "#0072b2", "#d55e00", "#009e73"];

const WIDTH: f64 = 760.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 18.0;
const GAP: f64 = 16.0;
const HEAD: f64 = 70.0;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Draws groups of horizontal bars; `series` names the bars of a group, `unit` follows each figure.
pub fn bars(title: &str, unit: &str, series: &[&str], groups: &[Group]) -> String {
    let most = groups
        .iter()
        .flat_map(|g| &g.values)
        .fold(0.0, |a: f64, b| a.max(*b));
    let scale = (WIDTH - LEFT - RIGHT) / if most > 0.0 { most } else { 1.0 };
    let lines: usize = groups.iter().map(|g| g.values.len()).sum();
    let height = HEAD + lines as f64 * BAR + groups.len() as f64 * GAP + 10.0;
    // Writing to a String cannot fail.
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{0}</title>\n\
         <style>text{{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:12px;fill:#1a1a1a}}.heading{{font-size:16px;font-weight:600}}</style>\n\
         <rect width=\"{WIDTH:.0}\" height=\"{height:.0}\" fill=\"#fff\"/>\n\
         <text class=\"heading\" x=\"12\" y=\"26\">{0}</text>",
        escape(title)
    );
    let mut x = 12.0;
    for (name, colour) in series.iter().zip(COLOURS) {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"40\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"51\">{}</text>",
            x + 18.0,
            escape(name)
        );
        x += 40.0 + 7.4 * name.chars().count() as f64;
    }
    let mut y = HEAD;
    for group in groups {
        let middle = y + group.values.len() as f64 * BAR / 2.0 + 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{middle:.1}\">{}</text>",
            escape(&group.name)
        );
        for (value, colour) in group.values.iter().zip(COLOURS) {
            let width = value * scale;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT:.0}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{value:.1} {}</text>",
                BAR - 3.0,
                LEFT + width + 6.0,
                y + 12.0,
                escape(unit)
            );
            y += BAR;
        }
        y += GAP;
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_others_their_share() {
        let group = |name: &str, values| Group {
            name: name.into(),
            values,
        };
        let groups = [
            group("a & b", vec![100.0, 25.0]),
            group("c", vec![50.0, 0.0]),
        ];
        let svg = bars("times", "ns", &["peer", "ours"], &groups);
        assert!(svg.contains("width=\"500.0\" height=\"15\""), "{svg}");
        assert!(svg.contains("width=\"125.0\" height=\"15\""), "{svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("25.0 ns"));
    }
}
