//! SVG text.

use std::fmt::Write;

/// Colours of Okabe and Ito, which colour-blind people can tell apart: blue forward, vermilion
/// return.
const STYLE: &str = "\
text{font-family:'DejaVu Sans',Verdana,sans-serif;fill:#1a1a1a}\
.heading{font-size:17px;font-weight:600}.name{font-size:13px;font-weight:600}.line{font-size:11.5px;fill:#333}\
.number{font-size:11.5px;font-weight:600;fill:#fff}\
.engine{fill:#e8eef4;stroke:#33475b;stroke-width:1.6}.tab{fill:#fff;stroke:#33475b}\
.device{fill:#fff;stroke:#333;stroke-width:1.4}.copying{fill:#fff;stroke:#333;stroke-width:1.4;stroke-dasharray:5 3}\
.host{fill:#f4f1ea;stroke:#333;stroke-width:1.4}.failed{fill:#eee;stroke:#333;stroke-width:1.4}\
.forward{stroke:#0072b2}.return{stroke:#d55e00}.arrow{stroke-width:2.2;fill:none}\
.copy.arrow{stroke-dasharray:7 4}.badge{stroke:none}.badge.forward{fill:#0072b2}.badge.return{fill:#d55e00}\
.head-forward{fill:#0072b2}.head-return{fill:#d55e00}";

#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
}

pub struct Svg {
    text: String,
}

/// Text as XML has it. Characters XML cannot have become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
            c if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

impl Svg {
    pub fn new(width: f64, height: f64, title: &str, description: &str) -> Svg {
        let mut svg = Svg {
            text: String::new(),
        };
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">"
        ));
        svg.put(format_args!("<title>{}</title>", escape(title)));
        svg.put(format_args!("<desc>{}</desc>", escape(description)));
        svg.put(format_args!("<style>{STYLE}</style><defs>"));
        for way in ["forward", "return"] {
            svg.put(format_args!(
                "<marker id=\"{way}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"5\" markerHeight=\"5\" orient=\"auto\"><path class=\"head-{way}\" d=\"M0 0L8 4L0 8z\"/></marker>"
            ));
        }
        svg.put(format_args!(
            "</defs>\n<rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#fff\"/>"
        ));
        svg
    }

    fn put(&mut self, element: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{element}");
    }

    pub fn rect(&mut self, class: &str, x: f64, y: f64, w: f64, h: f64, corner: f64) {
        self.put(format_args!(
            "<rect class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{corner}\"/>",
            escape(class)
        ));
    }

    pub fn text(&mut self, class: &str, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
        };
        self.put(format_args!(
            "<text class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(class),
            escape(text)
        ));
    }

    pub fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.put(format_args!(
            "<path class=\"{} arrow\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>",
            escape(class)
        ));
    }

    /// A vertical arrow from `from` to `to`.
    pub fn arrow(&mut self, class: &str, is_return: bool, x: f64, from: f64, to: f64) {
        let way = if is_return { "return" } else { "forward" };
        self.put(format_args!(
            "<path class=\"{} arrow\" marker-end=\"url(#{way})\" d=\"M{x:.1} {from:.1}L{x:.1} {to:.1}\"/>",
            escape(class)
        ));
    }

    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}
