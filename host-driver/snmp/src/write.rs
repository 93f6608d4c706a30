//! What may be set, if the agent was started so: devices taken out of their services and back, and a definition,
//! uploaded in chunks and applied as a whole.
//!
//! SNMP tries all values of a request before it writes one ([`Writer::test`]), and takes back those that were written if another
//! agent's cannot be ([`Writer::undo`]). An order to check or apply cannot be taken back, so it stands alone in its request; what
//! came of it is in objects of its own.

use crate::mib::{self, ADMIN, CHUNK, ORDER, UPLOAD_STATE, table};
use crate::tree::{self, Cell, Part, Tree, index};
use agentx::encodings::Value;
use seqnic_daemon::api::{Answer, Request, Status};

/// Longest definition that is taken.
const LONGEST: usize = 16 << 20;
/// How the daemon calls what was uploaded.
const NAME: &str = "over SNMP";

/// Why a value cannot be set (RFC 3416), as AgentX numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Wrong {
    Type = 7,
    Length = 8,
    Value = 10,
    NoCreation = 11,
    Inconsistent = 12,
    Resource = 13,
    Commit = 14,
    Undo = 15,
    NotWritable = 17,
}

/// What one value asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    Device { name: String, out: bool },
    Chunk { at: usize, text: String },
    Clear,
    Run { apply: bool },
    Nothing,
}

/// How a written value is taken back.
#[derive(Debug)]
enum Back {
    Device { name: String, out: bool },
    Upload(String),
}

/// Asks the daemon; a refusal in its words.
pub type Ask<'a> = &'a mut dyn FnMut(&Request) -> Result<Answer, Refusal>;

/// Why the daemon did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The input is at fault, not the card or the daemon.
    pub refused: bool,
    pub what: String,
}

#[derive(Debug, Default)]
pub struct Writer {
    /// As started: whether anything may be set.
    pub writable: bool,
    upload: String,
    state: Option<&'static str>,
    result: String,
    planned: Vec<Deed>,
    back: Vec<Back>,
}

impl Writer {
    pub fn new(writable: bool) -> Writer {
        Writer {
            writable,
            ..Writer::default()
        }
    }

    /// Puts what was uploaded, and what came of it, among the values.
    pub fn show(&self, tree: &mut Tree) {
        let gauge = |n: usize| Cell::Gauge(u32::try_from(n).unwrap_or(u32::MAX));
        let number = |of: &mib::Enumeration, value: &str| of.number(value).map(Cell::Integer);
        let values = [
            ("UploadOffset", Some(gauge(self.upload.len()))),
            ("UploadChunk", Some(Cell::Text(String::new()))),
            ("UploadOrder", number(&ORDER, "idle")),
            (
                "UploadState",
                number(&UPLOAD_STATE, self.state.unwrap_or("none")),
            ),
            ("UploadResult", Some(crate::fill::text(&self.result))),
        ];
        for (name, cell) in values {
            crate::fill::set(tree, name, cell);
        }
    }

    /// Looks whether all of these may be set.
    ///
    /// # Errors
    /// Which (from 1) may not, and why.
    pub fn test(
        &mut self,
        values: &[(Vec<u32>, Value)],
        status: Option<&Status>,
    ) -> Result<(), (u16, Wrong)> {
        self.planned.clear();
        self.back.clear();
        let mut planned = Vec::new();
        for (n, (oid, value)) in values.iter().enumerate() {
            let at = u16::try_from(n + 1).unwrap_or(u16::MAX);
            let deed = self.deed(oid, value, values, status);
            planned.push(deed.map_err(|wrong| (at, wrong))?);
        }
        let run = (planned.iter()).position(|d| matches!(d, Deed::Run { .. } | Deed::Clear));
        if let Some(run) = run.filter(|_| planned.len() > 1) {
            return Err((run as u16 + 1, Wrong::Inconsistent));
        }
        self.planned = planned;
        Ok(())
    }

    fn deed(
        &self,
        oid: &[u32],
        value: &Value,
        all: &[(Vec<u32>, Value)],
        status: Option<&Status>,
    ) -> Result<Deed, Wrong> {
        if !self.writable {
            return Err(Wrong::NotWritable);
        }
        let scalar = |name: &str| mib::scalar(name).map(tree::scalar);
        let is = |name: &str| scalar(name).is_some_and(|s| s == oid);
        let integer = |value: &Value| match value {
            Value::Integer(n) => Ok(*n),
            _ => Err(Wrong::Type),
        };
        if let Some(row) =
            oid.strip_prefix(tree::column(table::DEVICE, mib::DEVICE_ADMIN).as_slice())
        {
            let devices = status.into_iter().flat_map(|s| &s.devices);
            let device = { devices }.find(|d| index(&[Part::Name(&d.name)]) == row);
            let device = device.ok_or(Wrong::NoCreation)?;
            let wanted = integer(value)?;
            let out = match ADMIN.values.get(wanted.wrapping_sub(1) as usize) {
                Some(&"inService") => false,
                Some(&"outOfService") => true,
                _ => return Err(Wrong::Value),
            };
            // Neither is done twice.
            if out == (device.state == "failed") {
                return Ok(Deed::Nothing);
            }
            return Ok(Deed::Device {
                name: device.name.clone(),
                out,
            });
        }
        if is("UploadOffset") || is("UploadChunk") {
            let of = |name: &str| {
                let oid = scalar(name)?;
                all.iter().find(|(o, _)| *o == oid).map(|(_, v)| v)
            };
            // The two say one thing, each of them alone nothing.
            let (Some(at), Some(chunk)) = (of("UploadOffset"), of("UploadChunk")) else {
                return Err(Wrong::Inconsistent);
            };
            let Value::Gauge32(at) = at else {
                return Err(Wrong::Type);
            };
            let Value::OctetString(text) = chunk else {
                return Err(Wrong::Type);
            };
            let at = *at as usize;
            if text.0.len() > CHUNK {
                return Err(Wrong::Length);
            }
            if !self.upload.is_char_boundary(at) {
                return Err(Wrong::Inconsistent);
            }
            if at + text.0.len() > LONGEST {
                return Err(Wrong::Resource);
            }
            return Ok(match is("UploadChunk") {
                true => Deed::Chunk {
                    at,
                    text: text.0.clone(),
                },
                false => Deed::Nothing,
            });
        }
        if is("UploadOrder") {
            return match ORDER.values.get(integer(value)?.wrapping_sub(1) as usize) {
                Some(&"clear") => Ok(Deed::Clear),
                Some(&"check") => Ok(Deed::Run { apply: false }),
                Some(&"apply") => Ok(Deed::Run { apply: true }),
                _ => Err(Wrong::Value),
            };
        }
        Err(Wrong::NotWritable)
    }

    /// Writes what was looked at.
    ///
    /// # Errors
    /// The daemon does not do it: what was written before is to be undone.
    pub fn commit(&mut self, ask: Ask) -> Result<(), (u16, Wrong)> {
        for (n, deed) in std::mem::take(&mut self.planned).into_iter().enumerate() {
            match deed {
                Deed::Nothing => {}
                Deed::Device { name, out } => {
                    // A refusal is in the daemon's log, too.
                    ask(&order(&name, out)).map_err(|_| (n as u16 + 1, Wrong::Commit))?;
                    self.back.push(Back::Device { name, out: !out });
                }
                Deed::Chunk { at, text } => {
                    self.back.push(Back::Upload(self.upload.clone()));
                    self.upload.truncate(at);
                    self.upload.push_str(&text);
                }
                Deed::Clear => {
                    self.upload.clear();
                    self.state = None;
                    self.result.clear();
                }
                Deed::Run { apply } => self.run(apply, &mut *ask),
            }
        }
        Ok(())
    }

    fn run(&mut self, apply: bool, ask: Ask) {
        let request = Request::Apply {
            name: String::from(NAME),
            definition: self.upload.clone(),
            dry_run: !apply,
            reload: false,
        };
        let (state, result) = match ask(&request) {
            Ok(Answer::Changed(changed)) => {
                let words = match changed.words {
                    Some(words) => format!("{words} words"),
                    None => String::from("all tables"),
                };
                match apply {
                    true => ("applied", words),
                    false => ("good", format!("{words} would be written")),
                }
            }
            Ok(_) => ("failed", String::from("seqnicd answered something else")),
            Err(Refusal { refused, what }) => (if refused { "refused" } else { "failed" }, what),
        };
        self.state = Some(state);
        self.result = result;
    }

    /// Takes back what was written.
    ///
    /// # Errors
    /// The daemon does not do that either.
    pub fn undo(&mut self, ask: Ask) -> Result<(), Wrong> {
        let mut all = Ok(());
        while let Some(back) = self.back.pop() {
            match back {
                Back::Upload(text) => self.upload = text,
                Back::Device { name, out } => {
                    all = all.and(ask(&order(&name, out)).map(drop));
                }
            }
        }
        all.map_err(|_| Wrong::Undo)
    }
}

fn order(device: &str, out: bool) -> Request {
    let device = device.to_string();
    match out {
        true => Request::Fail { device },
        false => Request::Restore { device },
    }
}

/// A definition as rows, cut where characters end.
pub fn chunks(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let mut end = rest.len().min(CHUNK);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (chunk, more) = rest.split_at(end);
        chunks.push(chunk);
        rest = more;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentx::encodings::OctetString;
    use seqnic_daemon::api::Changed;

    fn status(state: &str) -> Status {
        serde_json::from_value(serde_json::json!({
            "version": "", "card": "", "geometry": "", "uptime": 1, "definition": null, "ports": [],
            "devices": [
                { "name": "a", "function": "", "state": state },
                { "name": "b", "function": "", "state": "up" },
            ],
            "unavailable": [], "taps": {}, "exceptions": {}, "log": [],
        }))
        .unwrap()
    }

    fn admin(device: &str, value: i32) -> (Vec<u32>, Value) {
        let mut oid = tree::column(table::DEVICE, mib::DEVICE_ADMIN);
        oid.extend(index(&[Part::Name(device)]));
        (oid, Value::Integer(value))
    }

    fn set(name: &str, value: Value) -> (Vec<u32>, Value) {
        (tree::scalar(mib::scalar(name).unwrap()), value)
    }

    fn chunk(at: u32, text: &str) -> [(Vec<u32>, Value); 2] {
        let text = Value::OctetString(OctetString(text.to_string()));
        [
            set("UploadOffset", Value::Gauge32(at)),
            set("UploadChunk", text),
        ]
    }

    /// A daemon that does what is in `does`; what it was asked.
    fn asked(writer: &mut Writer, does: &[bool], undo: bool) -> (Result<(), Wrong>, Vec<String>) {
        let mut said = Vec::new();
        let mut ask = |request: &Request| {
            said.push(serde_json::to_string(request).unwrap());
            match does.get(said.len() - 1) {
                Some(true) => Ok(Answer::Changed(Changed {
                    words: Some(3),
                    microseconds: 1,
                    dry_run: false,
                })),
                _ => Err(Refusal {
                    refused: true,
                    what: String::from("no"),
                }),
            }
        };
        let done = match undo {
            true => writer.undo(&mut ask),
            false => writer.commit(&mut ask).map_err(|(_, wrong)| wrong),
        };
        (done, said)
    }

    #[test]
    fn nothing_is_set_unless_it_was_started_so() {
        let mut writer = Writer::new(false);
        let tried = writer.test(&[admin("a", 2)], Some(&status("up")));
        assert_eq!(tried, Err((1, Wrong::NotWritable)));
    }

    #[test]
    fn what_cannot_be_set_is_found_before_anything_is() {
        let mut writer = Writer::new(true);
        let status = status("up");
        let mut test = |values: &[(Vec<u32>, Value)]| writer.test(values, Some(&status));
        let order = || set("UploadOrder", Value::Integer(4));
        assert_eq!(
            test(&[admin("a", 2), admin("c", 2)]),
            Err((2, Wrong::NoCreation))
        );
        assert_eq!(test(&[admin("a", 3)]), Err((1, Wrong::Value)));
        assert_eq!(test(&[admin("a", 0)]), Err((1, Wrong::Value)));
        assert_eq!(
            test(&[set("Services", Value::Gauge32(1))]),
            Err((1, Wrong::NotWritable))
        );
        assert_eq!(
            test(&[set("UploadOrder", Value::Gauge32(4))]),
            Err((1, Wrong::Type))
        );
        assert_eq!(
            test(&[admin("a", 2), order()]),
            Err((2, Wrong::Inconsistent))
        );
        assert_eq!(test(&chunk(0, "x")[..1]), Err((1, Wrong::Inconsistent)));
        assert_eq!(test(&chunk(1, "x")), Err((1, Wrong::Inconsistent)));
        assert_eq!(
            test(&chunk(0, &"x".repeat(CHUNK + 1))),
            Err((1, Wrong::Length))
        );
        assert_eq!(test(&chunk(0, "x")), Ok(()));
        assert_eq!(test(&[order()]), Ok(()));
    }

    #[test]
    fn what_was_set_is_taken_back_if_the_rest_cannot_be() {
        let mut writer = Writer::new(true);
        let up = status("up");
        writer
            .test(&[admin("a", 2), admin("b", 2)], Some(&up))
            .unwrap();
        let (done, said) = asked(&mut writer, &[true, false], false);
        assert_eq!((done, said.len()), (Err(Wrong::Commit), 2));
        let (done, said) = asked(&mut writer, &[true], true);
        assert_eq!(done, Ok(()));
        assert_eq!(said, [r#"{"do":"restore","device":"a"}"#]);
        // What is so already is no deed.
        writer
            .test(&[admin("a", 2)], Some(&status("failed")))
            .unwrap();
        assert_eq!(asked(&mut writer, &[], false), (Ok(()), vec![]));
    }

    #[test]
    fn an_upload_bears_a_request_that_comes_twice_and_one_that_is_undone() {
        let mut writer = Writer::new(true);
        let put = |writer: &mut Writer, at, text: &str| {
            writer.test(&chunk(at, text), None).unwrap();
            asked(writer, &[], false).0.unwrap();
        };
        put(&mut writer, 0, "one ");
        put(&mut writer, 4, "two");
        put(&mut writer, 4, "two");
        assert_eq!(writer.upload, "one two");
        put(&mut writer, 3, "!");
        asked(&mut writer, &[], true).0.unwrap();
        assert_eq!(writer.upload, "one two");
        let order = [set("UploadOrder", Value::Integer(4))];
        writer.test(&order, None).unwrap();
        let (done, said) = asked(&mut writer, &[false], false);
        // The request was carried out; what came of it stands beside it.
        assert_eq!(done, Ok(()));
        assert!(said[0].contains("\"definition\":\"one two\""), "{said:?}");
        assert_eq!(
            (writer.state, writer.result.as_str()),
            (Some("refused"), "no")
        );
        writer.test(&order, None).unwrap();
        asked(&mut writer, &[true], false).0.unwrap();
        assert_eq!(
            (writer.state, writer.result.as_str()),
            (Some("applied"), "3 words")
        );
    }

    #[test]
    fn parts_end_where_characters_do() {
        let text = "ä".repeat(CHUNK) + "x";
        let parts = chunks(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|p| p.len() <= CHUNK) && parts.len() == 3);
        let odd = String::from("x") + &text;
        assert_eq!(chunks(&odd)[0].len(), CHUNK - 1);
        assert_eq!(chunks(""), [""; 0]);
    }
}
