use super::*;
use roxmltree::Document;

const FIG07: &str = include_str!("../../../../tests/cases/fig07/definition.yaml");

fn drawn(text: &str) -> String {
    let definition = seqnic_compiler::read(text).unwrap();
    let services: Vec<&Service> = definition.services.iter().collect();
    draw(&definition, &services)
}

/// Number and class of every badge, in the order of the numbers.
fn badges(svg: &str) -> Vec<(String, String)> {
    let document = Document::parse(svg).unwrap();
    let elements: Vec<_> = document
        .root_element()
        .children()
        .filter(|n| n.is_element())
        .collect();
    let mut found: Vec<(String, String)> = elements
        .windows(2)
        .filter(|pair| pair[1].attribute("class") == Some("number"))
        .map(|pair| {
            let class = pair[0].attribute("class").unwrap();
            let label = pair[1].text().unwrap().to_string();
            (label, class.trim_start_matches("badge ").to_string())
        })
        .collect();
    // The legend comes last.
    found.truncate(found.len() - 4);
    found.sort_by_key(|(label, _)| {
        let digits = label.trim_end_matches(char::is_alphabetic);
        (digits.parse::<u32>().unwrap(), label.clone())
    });
    found
}

fn words(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|n| n.has_tag_name("text"));
    texts
        .map(|n| n.text().unwrap_or_default().to_string())
        .collect()
}

#[test]
fn figure_7_has_every_leg() {
    let svg = drawn(FIG07);
    let badges = badges(&svg);
    let expected = [
        ("1", "forward"),
        ("2", "forward"),
        ("3", "forward"),
        ("4", "forward"),
        ("5", "forward"),
        ("6", "forward"),
        ("6a", "forward copy"),
        ("7", "return"),
        ("8", "return"),
        ("8a", "return copy"),
        ("9", "return"),
        ("10", "return"),
        ("11", "return"),
        ("12", "return"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(l, c)| (l.to_string(), c.to_string()))
        .collect();
    assert_eq!(badges, expected);
    assert!(svg.contains(
        "1 from router; 2 to firewall.outside; 3 from firewall.inside; 4 to vpn; 5 from vpn; \
         6 to server; 6a copy to ids; 7 from server; 8 to vpn; 8a copy to ids; 9 from vpn; \
         10 to firewall.inside; 11 from firewall.outside; 12 to router."
    ));
    let words = words(&svg);
    for text in [
        "W1: 203.0.113.13 tcp 1194",
        "firewall",
        "ids",
        "outside",
        "inside",
        "then port 80",
        "i3",
    ] {
        assert!(words.iter().any(|w| w == text), "{text}: {words:?}");
    }
}

#[test]
fn names_cannot_break_the_picture() {
    let mut definition = seqnic_compiler::read(FIG07).unwrap();
    definition.devices[0].function = "<script>&\"'\u{0}\u{1b}".into();
    definition.name = "]]></title>".into();
    definition.devices[0].vendor = Some("x".repeat(500));
    let services: Vec<&Service> = definition.services.iter().collect();
    let svg = draw(&definition, &services);
    assert!(
        words(&svg)
            .iter()
            .any(|w| w == "<script>&\"'\u{fffd}\u{fffd}")
    );
    assert!(!svg.contains("<script>"));
}

/// Rectangles of the boxes of parties.
fn boxes(svg: &str) -> Vec<[f64; 4]> {
    let document = Document::parse(svg).unwrap();
    let rects = document.descendants().filter(|n| n.has_tag_name("rect"));
    rects
        .filter(|n| {
            let class = n.attribute("class");
            matches!(
                class,
                Some("device" | "copying" | "host" | "failed" | "engine")
            )
        })
        .map(|n| ["x", "y", "width", "height"].map(|a| n.attribute(a).unwrap().parse().unwrap()))
        .collect()
}

#[test]
fn boxes_do_not_overlap_and_are_inside() {
    for case in std::fs::read_dir("../../tests/cases").unwrap() {
        let path = case.unwrap().path().join("definition.yaml");
        let svg = drawn(&std::fs::read_to_string(&path).unwrap());
        let document = Document::parse(&svg).unwrap();
        let size = |a| {
            document
                .root_element()
                .attribute(a)
                .unwrap()
                .parse::<f64>()
                .unwrap()
        };
        let boxes = boxes(&svg);
        assert!(boxes.len() > 2, "{path:?}");
        for (i, [x, y, w, h]) in boxes.iter().enumerate() {
            assert!(*x >= 0.0 && *y >= 0.0 && x + w <= size("width") && y + h <= size("height"));
            for [x2, y2, w2, h2] in &boxes[i + 1..] {
                let apart = x + w <= *x2 || x2 + w2 <= *x || y + h <= *y2 || y2 + h2 <= *y;
                assert!(apart, "{path:?}");
            }
        }
    }
}
