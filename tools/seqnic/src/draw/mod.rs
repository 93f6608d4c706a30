//! The sequence of a service as a picture.
//!
//! The engine is the bar in the middle; devices that packets pass stand above it, hosts and copy
//! devices below. Each attachment has its own place on the bar, so no arrow crosses another.

mod boxes;
mod svg;
mod way;

use seqnic_compiler::definition::{Definition, Service};
use svg::{Anchor, Svg};
use way::{Arrow, Kind, Picture, Spot};

/// Distance between neighbouring arrows of an attachment.
const LANE: f64 = 40.0;
/// Least width of an attachment.
const SPOT: f64 = 96.0;
const GAP: f64 = 26.0;
const MARGIN: f64 = 24.0;
const TITLE: f64 = 58.0;
const LINE: f64 = 16.0;
/// Length of an arrow.
const ARROW: f64 = 96.0;
const ENGINE: f64 = 62.0;
const LEGEND: f64 = 44.0;
/// What the legend needs.
const LEGEND_WIDTH: f64 = 560.0;
/// Width of a character, generously.
const CHARACTER: f64 = 7.2;

/// Draws `services` of `definition` below each other.
pub fn draw(definition: &Definition, services: &[&Service]) -> String {
    let panels: Vec<Panel> = services
        .iter()
        .map(|s| Panel::new(way::picture(definition, s)))
        .collect();
    let width = panels.iter().map(|p| p.width).fold(LEGEND_WIDTH, f64::max) + 2.0 * MARGIN;
    let height = panels.iter().map(Panel::height).sum::<f64>() + LEGEND + MARGIN;
    let title = match services {
        [one] => format!("Service {} of {}", one.name, definition.name),
        _ => format!("Services of {}", definition.name),
    };
    let story: Vec<String> = panels.iter().map(|p| p.picture.story()).collect();
    let mut out = Svg::new(width, height, &title, &story.join(" "));
    let mut top = 0.0;
    for panel in &panels {
        panel.draw(&mut out, top, width);
        top += panel.height();
    }
    legend(&mut out, top);
    out.finish()
}

struct Panel {
    picture: Picture,
    width: f64,
    /// Height of the boxes above and below the engine.
    above: f64,
    below: f64,
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

fn spot_width(spot: &Spot) -> f64 {
    let arrows = spot.arrows.len() as f64 * LANE;
    let tab = text_width(&spot.tab) + 14.0;
    let name = spot.name.as_deref().map_or(0.0, text_width) + 14.0;
    SPOT.max(arrows).max(tab).max(name)
}

fn party_width(party: &way::Party) -> f64 {
    let spots: f64 = party.spots.iter().map(spot_width).sum();
    let lines = party.lines.iter().map(|l| text_width(l));
    let text = lines.fold(text_width(&party.title) * 1.1, f64::max) + 20.0;
    spots.max(text)
}

fn row_width(row: &[way::Party]) -> f64 {
    row.iter().map(party_width).sum::<f64>() + GAP * row.len().saturating_sub(1) as f64
}

fn row_height(row: &[way::Party]) -> f64 {
    let lines = row.iter().map(|p| p.lines.len()).max().unwrap_or(0);
    // Title, lines, and the names of the attachments.
    34.0 + (lines + 1) as f64 * LINE
}

impl Panel {
    fn new(picture: Picture) -> Panel {
        Panel {
            width: row_width(&picture.above)
                .max(row_width(&picture.below))
                .max(text_width(&picture.heading) * 1.4),
            above: row_height(&picture.above),
            below: row_height(&picture.below),
            picture,
        }
    }

    fn height(&self) -> f64 {
        TITLE + self.above + ARROW + ENGINE + ARROW + self.below + MARGIN
    }

    fn draw(&self, out: &mut Svg, top: f64, width: f64) {
        out.text(
            "heading",
            MARGIN,
            top + 34.0,
            Anchor::Start,
            &self.picture.heading,
        );
        let bar = top + TITLE + self.above + ARROW;
        out.rect("engine", MARGIN, bar, width - 2.0 * MARGIN, ENGINE, 8.0);
        let middle = bar + ENGINE / 2.0 + 5.0;
        out.text("name", width / 2.0, middle, Anchor::Middle, "SeqNIC engine");
        self.row(out, &self.picture.above, width, top + TITLE, bar, true);
        let boxes = bar + ENGINE + ARROW;
        self.row(out, &self.picture.below, width, boxes, bar + ENGINE, false);
    }

    /// Boxes from `y`, their attachments towards the edge of the engine at `edge`.
    fn row(&self, out: &mut Svg, row: &[way::Party], width: f64, y: f64, edge: f64, above: bool) {
        let height = if above { self.above } else { self.below };
        let near = if above { y + height } else { y };
        let mut x = (width - row_width(row)) / 2.0;
        for party in row {
            let w = party_width(party);
            out.rect(party.class, x, y, w, height, 6.0);
            // Names of attachments have the line next to the arrows.
            let first = if above { y + 22.0 } else { y + 22.0 + LINE };
            out.text("name", x + w / 2.0, first, Anchor::Middle, &party.title);
            for (i, line) in party.lines.iter().enumerate() {
                let at = first + (i + 1) as f64 * LINE;
                out.text("line", x + w / 2.0, at, Anchor::Middle, line);
            }
            let spots: f64 = party.spots.iter().map(spot_width).sum();
            let mut left = x + (w - spots) / 2.0;
            for spot in &party.spots {
                let sw = spot_width(spot);
                let centre = left + sw / 2.0;
                if let Some(name) = &spot.name {
                    let at = if above { near - 7.0 } else { near + 15.0 };
                    out.text("line", centre, at, Anchor::Middle, name);
                }
                let tab = text_width(&spot.tab) + 10.0;
                let inside = if above { edge } else { edge - 20.0 };
                out.rect("tab", centre - tab / 2.0, inside, tab, 20.0, 4.0);
                out.text("line", centre, inside + 14.0, Anchor::Middle, &spot.tab);
                let lanes = (spot.arrows.len() as f64 - 1.0) / 2.0;
                for (i, arrow) in spot.arrows.iter().enumerate() {
                    draw_arrow(out, arrow, centre + (i as f64 - lanes) * LANE, near, edge);
                }
                left += sw;
            }
            x += w + GAP;
        }
    }
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Forward => "forward",
        Kind::Return => "return",
        Kind::ForwardCopy => "forward copy",
        Kind::ReturnCopy => "return copy",
    }
}

fn draw_arrow(out: &mut Svg, arrow: &Arrow, x: f64, party: f64, engine: f64) {
    let (from, to) = if arrow.to_engine {
        (party, engine)
    } else {
        (engine, party)
    };
    out.arrow(class(arrow.kind), arrow.kind.is_return(), x, from, to);
    badge(out, arrow.kind, x, (from + to) / 2.0, &arrow.label);
}

/// Forward numbers stand in circles, return numbers in squares: told apart without colour.
fn badge(out: &mut Svg, kind: Kind, x: f64, y: f64, label: &str) {
    let class = format!("badge {}", class(kind));
    let half = 11.0f64.max(text_width(label) / 2.0 + 3.0);
    let corner = if kind.is_return() { 2.0 } else { 11.0 };
    out.rect(&class, x - half, y - 11.0, 2.0 * half, 22.0, corner);
    out.text("number", x, y + 4.5, Anchor::Middle, label);
}

fn legend(out: &mut Svg, top: f64) {
    let mut x = MARGIN + 14.0;
    for (kind, label, words) in [
        (Kind::Forward, "1", "forward"),
        (Kind::Return, "2", "return"),
        (Kind::ForwardCopy, "1a", "copy"),
        (Kind::ReturnCopy, "2a", "copy, return way"),
    ] {
        out.line(class(kind), x, top + 18.0, x + 44.0, top + 18.0);
        badge(out, kind, x + 22.0, top + 18.0, label);
        out.text("line", x + 56.0, top + 22.5, Anchor::Start, words);
        x += 80.0 + text_width(words);
    }
}

#[cfg(test)]
mod tests;
