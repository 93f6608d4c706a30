//! `seqnic top`: rates as they change.

use super::daemon::{failure, reach};
use crate::cli::Top;
use crate::failure::{Failure, Outcome};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::widgets::{Block, Paragraph, Row, Table};
use seqnic_daemon::api::{Answer, Counters, Request, Status};
use seqnic_daemon::client::Client;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One look at the daemon.
struct Look {
    status: Status,
    counters: Counters,
    at: Instant,
}

fn look(client: &mut Client) -> Result<Look, Failure> {
    let strange = || Failure::failed("seqnicd answered something else than was asked");
    let Answer::Status(status) = client.ask(&Request::Status).map_err(failure)? else {
        return Err(strange());
    };
    let Answer::Counters(counters) = client.ask(&Request::Counters).map_err(failure)? else {
        return Err(strange());
    };
    Ok(Look {
        status: *status,
        counters,
        at: Instant::now(),
    })
}

/// Packets and bits a second of every counter that moved, the fastest first.
pub fn rates(was: &Counters, now: &Counters, seconds: f64) -> Vec<(String, f64, f64)> {
    type Key<'a> = (&'a str, &'a BTreeMap<String, String>);
    let before: BTreeMap<Key, (u64, u64)> = (was.counters.iter())
        .map(|c| ((c.kind.as_str(), &c.labels), (c.packets, c.bytes)))
        .collect();
    let mut rates: Vec<(String, f64, f64)> = (now.counters.iter())
        .filter_map(|c| {
            let (packets, bytes) = before
                .get(&(c.kind.as_str(), &c.labels))
                .copied()
                .unwrap_or_default();
            // A card that was started anew counts from 0.
            let (packets, bytes) = (c.packets.checked_sub(packets)?, c.bytes.checked_sub(bytes)?);
            let labels: Vec<&str> = c.labels.values().map(String::as_str).collect();
            let name = format!("{} {}", c.kind, labels.join(" "));
            (packets > 0).then(|| (name, packets as f64 / seconds, bytes as f64 * 8.0 / seconds))
        })
        .collect();
    rates.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rates
}

pub fn run(args: &Top) -> Outcome {
    // One connection: another engine need not let it log on again and again.
    let mut client = reach(&args.daemon)?;
    let mut was = look(&mut client)?;
    let mut shown = Vec::new();
    let mut terminal = ratatui::try_init().map_err(Failure::failed)?;
    let every = Duration::from_millis(args.every);
    let outcome = loop {
        let drawn = terminal.draw(|frame| {
            let devices: Vec<Row> = (was.status.devices.iter())
                .map(|d| Row::new([d.name.clone(), d.function.clone(), d.state.clone()]))
                .collect();
            let rows: Vec<Row> = (shown.iter())
                .map(|(name, packets, bits): &(String, f64, f64)| {
                    Row::new([
                        name.clone(),
                        format!("{packets:>12.0}"),
                        format!("{:>12.3}", bits / 1e6),
                    ])
                })
                .collect();
            let title = match &was.status.definition {
                None => String::from("no definition"),
                Some(d) => format!(
                    "{} on {} ({})",
                    d.name, was.status.card, was.status.geometry
                ),
            };
            let height = (devices.len() as u16 + 3).min(frame.area().height / 3);
            let parts = [
                Constraint::Length(1),
                Constraint::Length(height),
                Constraint::Min(3),
            ];
            let [top, middle, rest] = Layout::vertical(parts).areas(frame.area());
            frame.render_widget(Paragraph::new(title).bold(), top);
            let head = Style::new().underlined();
            let widths = [
                Constraint::Min(20),
                Constraint::Length(16),
                Constraint::Length(10),
            ];
            let table = Table::new(devices, widths)
                .header(Row::new(["device", "function", "state"]).style(head))
                .block(Block::bordered());
            frame.render_widget(table, middle);
            let widths = [
                Constraint::Min(30),
                Constraint::Length(12),
                Constraint::Length(12),
            ];
            let table = Table::new(rows, widths)
                .header(Row::new(["counter", "   packets/s", "      Mbit/s"]).style(head))
                .block(Block::bordered().title(" q ends "));
            frame.render_widget(table, rest);
        });
        if let Err(e) = drawn {
            break Err(Failure::output(e));
        }
        match quit(every) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(e) => break Err(Failure::failed(e)),
        }
        match look(&mut client) {
            Ok(now) => {
                let seconds = (now.at - was.at).as_secs_f64().max(0.001);
                shown = rates(&was.counters, &now.counters, seconds);
                was = now;
            }
            Err(e) => break Err(e),
        }
    };
    ratatui::restore();
    outcome
}

/// Waits; whether the user wants to end it.
fn quit(wait: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if !event::poll(left)? {
            return Ok(false);
        }
        if let Event::Key(key) = event::read()? {
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(true),
                KeyCode::Char('c') if control => return Ok(true),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_daemon::api::Counter;

    #[test]
    fn rates_are_of_what_moved_and_a_card_that_restarts_has_none() {
        let counter = |reason: &str, packets, bytes| Counter {
            kind: String::from("reason"),
            labels: BTreeMap::from([(String::from("reason"), reason.to_string())]),
            packets,
            bytes,
        };
        let of = |counters| Counters { time: 0, counters };
        let was = of(vec![
            counter("arp", 5, 300),
            counter("local", 9, 9),
            counter("nd", 7, 7),
        ]);
        let now = of(vec![
            counter("arp", 5, 300),
            counter("local", 29, 1009),
            counter("nd", 1, 1),
            counter("ttl", 2, 120),
        ]);
        let rates = rates(&was, &now, 2.0);
        let expected = [("reason local", 10.0, 4000.0), ("reason ttl", 1.0, 480.0)];
        let expected: Vec<_> = expected.map(|(n, p, b)| (n.to_string(), p, b)).into();
        assert_eq!(rates, expected);
    }
}
