//! The connection to the master agent, usually net-snmp's snmpd (RFC 2741).

use crate::events::{self, Notice};
use crate::fill;
use crate::mib::{self, NOTIFICATIONS_ARC, ROOT, Sent};
use crate::tree::{self, Cell, Found, Tree};
use crate::write::{Refusal, Writer};
use agentx::encodings::{ID, OctetString, SearchRange, Value, VarBind, VarBindList};
use agentx::pdu::{Get, GetBulk, GetNext, Header, Notify, Open, Register, Response, TestSet, Type};
use seqnic_daemon::api::{Answer, Counters, Request, Status};
use seqnic_daemon::client::{Client, ClientError};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `snmpTrapOID.0`, which says what a notification is (RFC 3418).
const TRAP_OID: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// Bytes of a PDU's header.
const HEADER: usize = 20;
/// Most bytes of a PDU that are taken.
const MOST: u32 = 1 << 20;
/// Most values in an answer to GetBulk.
const BULK: usize = 2_000;
/// How long the master may wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Error status of SNMPv2 (RFC 3416) for text that is none.
const WRONG_ENCODING: u16 = 9;

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("no connection to the master agent at {}: {source}; does snmpd run with `master agentx`?", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the connection to the master agent broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the master agent refused to {what}: error {code} of AgentX")]
    Refused { what: &'static str, code: u16 },
    #[error("the master agent ended the session")]
    Closed,
    #[error("the master agent sent what is no AgentX: {0}")]
    Strange(String),
}

/// What the agent is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Socket of the master agent.
    pub master: PathBuf,
    /// Socket of `seqnicd`.
    pub daemon: PathBuf,
    /// How often the daemon is asked whether something happened.
    pub poll: Duration,
    /// How old counters may be that are given out.
    pub age: Duration,
    /// Whether anything may be set.
    pub writable: bool,
}

/// The agent: what it knows of the daemon stays from one session to the next.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    client: Option<Client>,
    /// The newest answer, and whether one was ever waited for.
    status: Option<Status>,
    asked: bool,
    tree: Tree,
    filled: Option<Instant>,
    writer: Writer,
    /// The definition's text, and the generation it is of.
    text: Option<(u64, String)>,
}

impl Agent {
    pub fn new(settings: Settings) -> Agent {
        Agent {
            writer: Writer::new(settings.writable),
            text: None,
            settings,
            client: None,
            status: None,
            asked: false,
            tree: fill::tree(None),
            filled: None,
        }
    }

    /// One session, until it ends.
    ///
    /// # Errors
    /// Why it ended. What was noticed meanwhile is told in the next one.
    pub fn serve(&mut self) -> Result<std::convert::Infallible, SessionError> {
        let mut session = Session::open(&self.settings)?;
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                next = Instant::now() + self.settings.poll;
                let new = self.ask_status();
                if self.asked {
                    let notices = events::between(self.status.as_ref(), new.as_ref());
                    if !notices.is_empty() {
                        // Values that go with a notification are those after it.
                        self.refill(new.as_ref());
                    }
                    for notice in notices {
                        session.notify(&notice, &self.tree)?;
                    }
                }
                // Told; only now is it known.
                self.status = new;
                self.asked = true;
            }
            if let Some((header, pdu)) = session.receive(next)? {
                self.answer(&mut session, &header, &pdu)?;
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Option<Answer> {
        for _again in 0..2 {
            if self.client.is_none() {
                self.client = Client::connect(&self.settings.daemon).ok();
            }
            let answer = self.client.as_mut()?.ask(request);
            match answer {
                Ok(answer) => return Some(answer),
                // A daemon that was started again is asked again.
                Err(_) => self.client = None,
            }
        }
        None
    }

    fn ask_status(&mut self) -> Option<Status> {
        match self.ask(&Request::Status)? {
            Answer::Status(status) => Some(*status),
            _ => None,
        }
    }

    fn ask_counters(&mut self) -> Option<Counters> {
        match self.ask(&Request::Counters)? {
            Answer::Counters(counters) => Some(counters),
            _ => None,
        }
    }

    /// Whether `text` is of the definition that holds: asked for when there is another.
    fn definition(&mut self, status: Option<&Status>) -> bool {
        let Some(definition) = status.and_then(|s| s.definition.as_ref()) else {
            return false;
        };
        let generation = definition.generation;
        if self.text.as_ref().is_none_or(|(of, _)| *of != generation) {
            let Some(Answer::Definition { text, .. }) = self.ask(&Request::Definition) else {
                return false;
            };
            self.text = Some((generation, text));
        }
        true
    }

    /// Asks once; a refusal is an answer.
    fn order(
        client: &mut Option<Client>,
        socket: &Path,
        request: &Request,
    ) -> Result<Answer, Refusal> {
        let failed = |e: ClientError| Refusal {
            refused: false,
            what: e.to_string(),
        };
        let connected = match client {
            Some(connected) => connected,
            None => client.insert(Client::connect(socket).map_err(failed)?),
        };
        match connected.ask(request) {
            Ok(answer) => Ok(answer),
            Err(ClientError::Refused(refusal)) => Err(Refusal {
                refused: refusal.code == "refused",
                what: match refusal.findings {
                    Some(findings) => findings.split_whitespace().collect::<Vec<_>>().join(" "),
                    None => refusal.message,
                },
            }),
            Err(e) => {
                *client = None;
                Err(failed(e))
            }
        }
    }

    fn refill(&mut self, status: Option<&Status>) {
        // A card that is lost counts nothing; the rest is told all the same.
        let counters = status.and_then(|_| self.ask_counters());
        let counters = counters.unwrap_or_default();
        self.tree = fill::tree(status.map(|s| (s, &counters)));
        if status.is_some() {
            self.writer.show(&mut self.tree);
        }
        if self.definition(status)
            && let Some((_, text)) = &self.text
        {
            fill::definition(&mut self.tree, text);
        }
        self.filled = Some(Instant::now());
    }

    fn answer(
        &mut self,
        session: &mut Session,
        header: &Header,
        pdu: &[u8],
    ) -> Result<(), SessionError> {
        let strange = |e: io::Error| SessionError::Strange(e.to_string());
        if matches!(header.ty, Type::Get | Type::GetNext | Type::GetBulk)
            && self
                .filled
                .is_none_or(|at| at.elapsed() > self.settings.age)
        {
            let status = self.ask_status();
            self.refill(status.as_ref());
        }
        let values: Vec<VarBind> = match header.ty {
            Type::Get => {
                let get = Get::from_bytes(pdu).map_err(strange)?;
                get.sr
                    .into_iter()
                    .map(|r| got(&self.tree, r.start))
                    .collect()
            }
            Type::GetNext => {
                let get = GetNext::from_bytes(pdu).map_err(strange)?;
                get.sr.into_iter().map(|r| next(&self.tree, &r)).collect()
            }
            Type::GetBulk => bulk(&self.tree, GetBulk::from_bytes(pdu).map_err(strange)?),
            Type::TestSet => {
                // What cannot be read is refused: a manager's mistake does not end the session of all.
                let Ok(set) = TestSet::from_bytes(pdu) else {
                    return session.refuse(header, 1, WRONG_ENCODING);
                };
                let values = set.vb.0.into_iter().map(|v| (numbers(&v.name), v.data));
                let values: Vec<(Vec<u32>, Value)> = values.collect();
                let status = self.ask_status();
                match self.writer.test(&values, status.as_ref()) {
                    Ok(()) => Vec::new(),
                    Err((at, wrong)) => return session.refuse(header, at, wrong as u16),
                }
            }
            Type::CommitSet | Type::UndoSet => {
                let Agent {
                    writer,
                    client,
                    settings,
                    ..
                } = self;
                let mut ask = |request: &Request| Agent::order(client, &settings.daemon, request);
                let done = match header.ty {
                    Type::CommitSet => writer.commit(&mut ask),
                    _ => writer.undo(&mut ask).map_err(|wrong| (0, wrong)),
                };
                self.filled = None;
                match done {
                    Ok(()) => Vec::new(),
                    Err((at, wrong)) => return session.refuse(header, at, wrong as u16),
                }
            }
            Type::Ping => Vec::new(),
            Type::Close => return Err(SessionError::Closed),
            // Of a notification: one that is not taken is not sent again.
            Type::Response | Type::CleanupSet => return Ok(()),
            ref other => return Err(SessionError::Strange(format!("{other:?}"))),
        };
        session.respond(header, values)
    }
}

fn numbers(id: &ID) -> Vec<u32> {
    let bytes = id.to_bytes(&agentx::ByteOrder::LittleEndian);
    let (words, _rest) = bytes[4..].as_chunks::<4>();
    words.iter().map(|w| u32::from_le_bytes(*w)).collect()
}

/// An identifier; ours have 128 numbers at most, which is what a peer's have, too.
fn id(numbers: &[u32]) -> ID {
    ID::try_from(numbers.to_vec()).unwrap_or_default()
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => Value::OctetString(OctetString(text.clone())),
        Cell::Integer(n) => Value::Integer(*n),
        Cell::Gauge(n) => Value::Gauge32(*n),
        Cell::Counter(n) => Value::Counter64(*n),
        Cell::Ticks(n) => Value::TimeTicks(n.cast_signed()),
    }
}

fn got(tree: &Tree, name: ID) -> VarBind {
    let data = match tree.get(&numbers(&name)) {
        Found::Cell(cell) => value(cell),
        Found::NoInstance => Value::NoSuchInstance,
        Found::NoObject => Value::NoSuchObject,
    };
    VarBind::new(name, data)
}

fn next(tree: &Tree, range: &SearchRange) -> VarBind {
    let end = numbers(&range.end);
    match tree.next(&numbers(&range.start), range.start.include != 0) {
        Some((oid, cell)) if end.is_empty() || oid < end => VarBind::new(id(&oid), value(cell)),
        _ => VarBind::new(range.start.clone(), Value::EndOfMibView),
    }
}

fn bulk(tree: &Tree, get: GetBulk) -> Vec<VarBind> {
    let mut ranges = get.sr.0;
    let alone = usize::from(get.non_repeaters).min(ranges.len());
    let mut repeated = ranges.split_off(alone);
    let mut values: Vec<VarBind> = ranges.iter().map(|r| next(tree, r)).collect();
    for _round in 0..get.max_repetitions {
        if values.len() + repeated.len() > BULK || repeated.is_empty() {
            break;
        }
        let mut ended = true;
        for range in &mut repeated {
            let found = next(tree, range);
            ended &= found.data == Value::EndOfMibView;
            range.start = found.name.clone();
            range.start.include = 0;
            values.push(found);
        }
        if ended {
            break;
        }
    }
    values
}

#[derive(Debug)]
struct Session {
    stream: UnixStream,
    id: u32,
    packet: u32,
    buffer: Vec<u8>,
}

impl Session {
    fn open(settings: &Settings) -> Result<Session, SessionError> {
        let path = &settings.master;
        let stream = UnixStream::connect(path).map_err(|source| SessionError::Connect {
            path: path.clone(),
            source,
        })?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut session = Session {
            stream,
            id: 0,
            packet: 0,
            buffer: Vec::new(),
        };
        let mut open = Open::new(id(&ROOT), "seqnicd");
        open.timeout = PATIENCE;
        session.number(&mut open.header);
        let (header, _) = session.transact("open a session", &open.to_bytes()?)?;
        session.id = header.session_id;
        let mut register = Register::new(id(&ROOT));
        register.priority = 127;
        session.number(&mut register.header);
        session.transact("register SEQNIC-MIB", &register.to_bytes()?)?;
        Ok(session)
    }

    fn number(&mut self, header: &mut Header) {
        self.packet = self.packet.wrapping_add(1);
        header.session_id = self.id;
        header.packet_id = self.packet;
    }

    /// Sends and waits for the response, as only happens before there are requests.
    fn transact(
        &mut self,
        what: &'static str,
        pdu: &[u8],
    ) -> Result<(Header, Vec<u8>), SessionError> {
        self.stream.write_all(pdu)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let Some((header, pdu)) = self.receive(until)? else {
                continue;
            };
            if header.ty == Type::Response && header.packet_id == self.packet {
                // Error status behind sysUpTime.
                let code = pdu.get(HEADER + 4..HEADER + 6).unwrap_or(&[0, 0]);
                return match u16::from_le_bytes([code[0], code[1]]) {
                    0 => Ok((header, pdu)),
                    code => Err(SessionError::Refused { what, code }),
                };
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// The next PDU, if one comes before `until`.
    fn receive(&mut self, until: Instant) -> Result<Option<(Header, Vec<u8>)>, SessionError> {
        loop {
            if self.buffer.len() >= HEADER {
                let header = Header::from_bytes(&self.buffer);
                let header = header.map_err(|e| SessionError::Strange(e.to_string()))?;
                if header.payload_length > MOST {
                    let what = format!("{} bytes at once", header.payload_length);
                    return Err(SessionError::Strange(what));
                }
                let length = HEADER + header.payload_length as usize;
                if self.buffer.len() >= length {
                    let rest = self.buffer.split_off(length);
                    let pdu = std::mem::replace(&mut self.buffer, rest);
                    return Ok(Some((header, pdu)));
                }
            }
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(wait))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(n) => self.buffer.extend(&bytes[..n]),
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(e.into()),
                },
            }
        }
    }

    fn respond(&mut self, to: &Header, values: Vec<VarBind>) -> Result<(), SessionError> {
        let mut response = Response::from_header(to);
        response.vb = Some(VarBindList(values));
        self.stream.write_all(&response.to_bytes()?)?;
        Ok(())
    }

    /// Answers with an error status of SNMP, which the library's type does not have.
    fn refuse(&mut self, to: &Header, at: u16, code: u16) -> Result<(), SessionError> {
        let mut response = Response::from_header(to);
        response.res_index = at;
        let mut bytes = response.to_bytes()?;
        bytes[HEADER + 4..HEADER + 6].copy_from_slice(&code.to_le_bytes());
        self.stream.write_all(&bytes)?;
        Ok(())
    }

    fn notify(&mut self, notice: &Notice, tree: &Tree) -> Result<(), SessionError> {
        let mut oid = ROOT.to_vec();
        oid.extend([NOTIFICATIONS_ARC, notice.event as u32]);
        let mut values = vec![VarBind::new(
            id(&TRAP_OID),
            Value::ObjectIdentifier(id(&oid)),
        )];
        for sent in notice.event.notification().sent {
            let (name, cell) = match *sent {
                Sent::Scalar(mib::NOTICED) => {
                    (tree::scalar(mib::NOTICED), Some(fill::text(&notice.text)))
                }
                Sent::Scalar(place) => {
                    let name = tree::scalar(place);
                    let cell = match tree.get(&name) {
                        Found::Cell(cell) => Some(cell.clone()),
                        _ => None,
                    };
                    (name, cell)
                }
                Sent::Column(table, column) => {
                    let mut name = tree::column(table, column);
                    name.extend(&notice.row);
                    let cell = match tree.get(&name) {
                        Found::Cell(cell) => cell.clone(),
                        // A row that is gone: nothing is missing any more.
                        _ => Cell::Gauge(0),
                    };
                    (name, Some(cell))
                }
            };
            if let Some(cell) = cell {
                values.push(VarBind::new(id(&name), value(&cell)));
            }
        }
        let mut notify = Notify::new(VarBindList(values));
        self.number(&mut notify.header);
        self.stream.write_all(&notify.to_bytes()?)?;
        Ok(())
    }
}
