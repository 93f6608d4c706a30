//! A lab as a picture: the engine, every node at its cable, what passed each way, and what the node's own log says.

use crate::check::{Hop, Report};
use crate::up::Lab;
use std::fmt::Write;

const ROW: usize = 74;
const TOP: usize = 50;
/// Where the engine's box ends and the nodes' begin.
const ENGINE: usize = 130;
const NODES: usize = 380;
const WIDTH: usize = 1180;
/// Characters of a log's line that fit.
const LINE: usize = 104;

fn text(s: &str) -> String {
    s.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn cut(s: &str) -> String {
    match s.chars().count() > LINE {
        true => s.chars().take(LINE - 1).chain(['…']).collect(),
        false => s.to_string(),
    }
}

/// The picture of what a check saw, SVG.
pub fn svg(lab: &Lab, report: &Report) -> String {
    let rows: Vec<&Hop> = report.hops.iter().collect();
    let height = TOP + ROW * (rows.len() + report.behind.len()) + 20;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">
<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#345\"/></marker></defs>
<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>
<text x=\"20\" y=\"28\" font-size=\"16\">What passed, as the engine counted it and as each device counted it itself</text>
<rect x=\"20\" y=\"{TOP}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#dfe9f5\" stroke=\"#345\"/>
<text x=\"36\" y=\"{}\" font-size=\"15\">SeqNIC</text>
",
        ENGINE - 20,
        ROW * rows.len() - 14,
        TOP + 26
    );
    for (number, hop) in rows.iter().enumerate() {
        row(&mut out, lab, report, hop, TOP + ROW * number);
    }
    for (number, hop) in report.behind.iter().enumerate() {
        row(
            &mut out,
            lab,
            report,
            hop,
            TOP + ROW * (rows.len() + number),
        );
    }
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, lab: &Lab, report: &Report, hop: &Hop, y: usize) {
    let behind = report.behind.contains(hop);
    let names: Vec<&str> = hop.attachment.split(" + ").collect();
    let name = names[0].split('.').next().unwrap_or_default();
    let node = lab.nodes.iter().find(|n| n.name == name);
    let from = if behind { "its host " } else { "" };
    let (to, back) = (y + 16, y + 44);
    let mark = |(a, b): (u64, u64)| match a == b {
        true => format!("{a}"),
        false => format!("{a} / {b} !"),
    };
    let start = if behind { ENGINE + 80 } else { ENGINE };
    // Writing to a String cannot fail.
    let _never = write!(
        out,
        "<line x1=\"{start}\" y1=\"{to}\" x2=\"{NODES}\" y2=\"{to}\" stroke=\"#345\" marker-end=\"url(#a)\"/>
<line x1=\"{NODES}\" y1=\"{back}\" x2=\"{start}\" y2=\"{back}\" stroke=\"#345\" marker-end=\"url(#a)\"/>
<text x=\"{}\" y=\"{}\">{from}{} packets</text>
<text x=\"{}\" y=\"{}\">{} packets</text>
<rect x=\"{NODES}\" y=\"{y}\" width=\"{}\" height=\"60\" rx=\"6\" fill=\"{}\" stroke=\"#345\"/>
<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>
",
        start + 24,
        to - 4,
        mark(hop.to),
        start + 24,
        back - 4,
        mark(hop.from),
        WIDTH - NODES - 20,
        if hop.adds_up() { "#f4f8ee" } else { "#fbe3e0" },
        NODES + 14,
        y + 18,
        text(&hop.attachment)
    );
    let logs: Vec<String> = (report.logs.iter())
        .filter(|(of, _, _)| node.is_some_and(|n| n.name == *of))
        .map(|(_, program, log)| format!("{}: {log}", program.name()))
        .collect();
    for (number, log) in logs.iter().take(2).enumerate() {
        let _never = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" font-size=\"11\" font-family=\"monospace\" fill=\"#333\">{}</text>",
            NODES + 14,
            y + 35 + number * 15,
            text(&cut(log))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::check::{Hop, Report};
    use crate::programs::Program;
    use crate::up::Lab;

    #[test]
    fn a_picture_has_every_hop_and_shows_what_differs() {
        let lab: Lab = serde_json::from_value(serde_json::json!({
            "name": "x", "folder": "/x", "families": [false], "processes": [], "ready": [], "check": [], "engines": ["seqnicd"],
            "nodes": [ { "name": "fw", "function": "firewall", "cables": [], "behind": null, "role": "Copies", "programs": {}, "tunnels": [] } ],
        }))
        .unwrap();
        let hop = |name: &str, own| Hop {
            attachment: name.to_string(),
            to: (5, own),
            from: (4, 4),
        };
        let report = Report {
            asked: Vec::new(),
            hops: vec![hop("fw.outside", 5), hop("fw.inside", 3)],
            behind: Vec::new(),
            logs: vec![(String::from("fw"), Program::Nftables, String::from("a < b"))],
        };
        let text = svg(&lab, &report);
        for part in [
            "fw.outside",
            "fw.inside",
            "a &lt; b",
            "5 / 3 !",
            ">4 packets",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
