//! Diagnostics for people (a report with the lines of the file) and for programs (JSON).

use crate::diagnostic::{Diagnostic, Span};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// Errors a report shows; more are only counted.
const MAX_SHOWN: usize = 100;
/// Longest line that is shown.
const MAX_LINE: usize = 1000;
const WIDTH: usize = 100;

/// A place with line and column, both from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// Byte offset.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
    pub text: String,
}

/// A diagnostic as programs get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located {
    pub code: &'static str,
    pub message: String,
    pub help: String,
    pub file: String,
    /// The first is the main place.
    pub places: Vec<Place>,
}

/// Where lines begin in a text.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Lines<'t> {
        let breaks = text.match_indices('\n').map(|(n, _)| n + 1);
        Lines {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Index of the line of `offset`.
    fn line(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    fn line_len(&self, line: usize) -> usize {
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let end = self
            .starts
            .get(line + 1)
            .copied()
            .unwrap_or(self.text.len());
        end - start
    }

    /// Line and column of `offset`, from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.line(offset);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }

    /// Whether the lines of `span` and those around it are short enough to be shown.
    fn shown(&self, span: Span) -> bool {
        let (first, last) = (self.line(span.offset), self.line(span.offset + span.len));
        (first.saturating_sub(1)..=last + 1).all(|line| self.line_len(line) <= MAX_LINE)
    }
}

/// `diagnostics` with line and column in `text`; serializes to JSON.
pub fn locate(diagnostics: &[Diagnostic], file_name: &str, text: &str) -> Vec<Located> {
    let lines = Lines::new(text);
    diagnostics
        .iter()
        .map(|d| Located {
            code: d.code,
            message: d.message.clone(),
            help: d.help.clone(),
            file: file_name.to_owned(),
            places: d
                .labels
                .iter()
                .map(|label| {
                    let (line, column) = lines.position(label.span.offset);
                    Place {
                        line,
                        column,
                        offset: label.span.offset,
                        len: label.span.len,
                        text: label.text.clone(),
                    }
                })
                .collect(),
        })
        .collect()
}

/// `text` for a terminal: characters it would obey (escapes, changes of the writing direction) are
/// replaced by as many bytes, so places stay.
fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\r' | '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match obeyed(c) {
            true => shown.extend(std::iter::repeat_n('?', c.len_utf8())),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A report that shows the lines of `text` each of `diagnostics` is about. `colour` is for
/// terminals.
pub fn render(diagnostics: &[Diagnostic], file_name: &str, text: &str, colour: bool) -> String {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false);
    let text = &printable(text);
    let lines = Lines::new(text);
    let mut report = String::new();
    for diagnostic in diagnostics.iter().take(MAX_SHOWN) {
        let shown = diagnostic.labels.iter().all(|l| lines.shown(l.span));
        let source = Source {
            name: file_name,
            text,
        };
        let error = Report {
            diagnostic,
            source: shown.then_some(source),
        };
        if handler.render_report(&mut report, &error).is_err() || !shown {
            let offset = diagnostic.labels.first().map_or(0, |l| l.span.offset);
            let (line, column) = lines.position(offset);
            report.push_str(&format!("  at {file_name}:{line}:{column}\n"));
        }
        report.push('\n');
    }
    if diagnostics.len() > MAX_SHOWN {
        let more = diagnostics.len() - MAX_SHOWN;
        report.push_str(&format!("... and {more} more errors\n"));
    }
    // Lines of the source end as they do there; those of the report end plainly.
    let mut plain = String::with_capacity(report.len());
    for line in report.lines() {
        plain.push_str(line.trim_end());
        plain.push('\n');
    }
    plain
}

struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl SourceCode for Source<'_> {
    fn read_span<'s>(
        &'s self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'s> + 's>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_owned(),
            found.data(),
            *found.span(),
            found.line(),
            found.column(),
            found.line_count(),
        )))
    }
}

struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<Source<'a>>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'s>(&'s self) -> Option<Box<dyn fmt::Display + 's>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn help<'s>(&'s self) -> Option<Box<dyn fmt::Display + 's>> {
        Some(Box::new(&self.diagnostic.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        let labels = self.diagnostic.labels.iter().enumerate().map(|(n, label)| {
            let text = (!label.text.is_empty()).then(|| label.text.clone());
            let span = (label.span.offset, label.span.len);
            match n {
                0 => LabeledSpan::new_primary_with_span(text, span),
                _ => LabeledSpan::new_with_span(text, span),
            }
        });
        Some(Box::new(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: usize, len: usize) -> Diagnostic {
        Diagnostic::new("some_code", "something", Span { offset, len }, "do it so")
    }

    #[test]
    fn columns_count_characters() {
        let text = "name: é\nport: x\n";
        let found = locate(&[at(15, 1), at(6, 2)], "a.yaml", text);
        assert_eq!((found[0].places[0].line, found[0].places[0].column), (2, 7));
        assert_eq!((found[1].places[0].line, found[1].places[0].column), (1, 7));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json[0]["places"][0]["line"], 2);
        assert_eq!(json[0]["code"], "some_code");
    }

    #[test]
    fn a_report_shows_the_line_and_colours_only_if_asked() {
        let text = "one\ntwo\nthree\n";
        let plain = render(&[at(4, 3)], "a.yaml", text, false);
        assert!(plain.contains("a.yaml:2:1"), "{plain}");
        assert!(plain.contains("two") && plain.contains("do it so"));
        assert!(!plain.contains('\u{1b}'));
        assert!(render(&[at(4, 3)], "a.yaml", text, true).contains('\u{1b}'));
    }

    #[test]
    fn a_definition_cannot_steer_the_terminal() {
        let text = "name: x # \u{1b}]0;y\u{7}\u{9b}31m\u{202e}\r\nfoo: 1\n";
        let report = render(&[at(26, 3)], "f.yaml", text, false);
        assert!(report.contains("name: x # ?]0;y???31m???"), "{report}");
        assert!(report.contains("foo: 1"), "{report}");
        assert!(!report.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']));
    }

    #[test]
    fn endless_lines_and_empty_files_are_reported_without_them() {
        let long = "x".repeat(MAX_LINE + 1);
        let report = render(&[at(10, 1)], "a.yaml", &long, false);
        assert!(
            report.contains("a.yaml:1:11") && !report.contains("xxx"),
            "{report}"
        );
        assert!(render(&[at(0, 0)], "a.yaml", "", false).contains("something"));
    }
}
