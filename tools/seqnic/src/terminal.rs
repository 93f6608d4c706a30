//! Colours and progress.

use crate::cli::Colour;
use indicatif::{ProgressBar, ProgressStyle};
use seqnic_replay::Progress;
use std::io::{IsTerminal, stderr, stdout};
use std::time::{Duration, Instant};

/// What the output can do.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    colour: Colour,
}

impl Terminal {
    pub fn new(colour: Colour) -> Terminal {
        Terminal { colour }
    }

    fn colours(self, is_terminal: bool) -> bool {
        match self.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
                is_terminal && !set("NO_COLOR") && std::env::var_os("TERM") != Some("dumb".into())
            }
        }
    }

    /// Whether standard output gets colours.
    pub fn output(self) -> bool {
        self.colours(stdout().is_terminal())
    }

    /// Whether standard error gets colours.
    pub fn errors(self) -> bool {
        self.colours(stderr().is_terminal())
    }

    /// Says something that is no result on standard error.
    pub fn warn(self, message: &str) {
        match self.errors() {
            true => eprintln!("seqnic: \x1b[33mwarning\x1b[0m: {message}"),
            false => eprintln!("seqnic: warning: {message}"),
        }
    }
}

/// Time between two lines of progress where there is no terminal.
const LINES: Duration = Duration::from_secs(5);

/// Progress of a replay on standard error: a bar on a terminal, a line now and then elsewhere.
pub struct Meter {
    quiet: bool,
    bar: Option<ProgressBar>,
    /// First packets, and the last line about them.
    times: Option<(Instant, Instant)>,
}

impl Meter {
    pub fn new(quiet: bool) -> Meter {
        Meter {
            quiet,
            bar: (!quiet && stderr().is_terminal()).then(bar),
            times: None,
        }
    }

    /// A step of the preparation.
    pub fn say(&mut self, message: &str) {
        match (&self.bar, self.quiet) {
            (Some(bar), _) => bar.set_message(message.to_string()),
            (None, false) => eprintln!("seqnic: {message}"),
            (None, true) => {}
        }
    }

    pub fn at(&mut self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} packets", progress.packets));
            match progress.total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
            bar.set_position(progress.bytes);
            return;
        }
        let now = Instant::now();
        // Preparing may have taken minutes: packets are timed from the first.
        let (started, last) = self.times.get_or_insert((now, now));
        if !self.quiet && now.duration_since(*last) >= LINES {
            *last = now;
            let seconds = now.duration_since(*started).as_secs();
            let share = match progress.total {
                Some(total) if total > 0 => {
                    format!(", {} % of the captures", progress.bytes * 100 / total)
                }
                _ => String::new(),
            };
            eprintln!(
                "seqnic: {} packets after {seconds} s{share}",
                progress.packets
            );
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let template = "{spinner} [{elapsed_precise}] {bar:30} {bytes}/{total_bytes} {msg}";
    // A template that is wrong leaves the plain bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
