//! Ready/valid streams: a bundle, a register slice and a FIFO.
//!
//! A word moves at a clock edge where `valid` and `ready` are both set. `valid` never waits for
//! `ready`, and once set stays, with its data, until the word has moved.

use crate::circuit::Circuit;
use crate::error::{At, ErrorKind, GenError};
use crate::memory::RamSpec;
use crate::module::Module;
use crate::node::Collision;
use crate::select::{clog2, mux};
use crate::sig::Sig;
use crate::state::Wire;

/// A stream inside of a module: who holds it may look at its words and must say when it takes one.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'m> {
    /// A word is there.
    pub valid: Sig<'m>,
    /// The word; a record where the producer gave it one.
    pub data: Sig<'m>,
    ready: Wire<'m>,
}

impl<'m> Stream<'m> {
    /// A stream from a producer, which learns from [`Stream::ready`] that its word was taken.
    /// The ready wire is named `<name>_ready`.
    #[track_caller]
    pub fn new(name: &str, valid: Sig<'m>, data: Sig<'m>) -> Self {
        let ready = valid.m.wire(&format!("{name}_ready"), 1);
        Stream { valid, data, ready }
    }

    /// Whether the consumer takes a word.
    pub fn ready(&self) -> Sig<'m> {
        self.ready.q()
    }

    /// Whether a word moves in this clock.
    #[track_caller]
    pub fn fire(&self) -> Sig<'m> {
        self.valid & self.ready.q()
    }

    /// Says when the consumer takes a word. Every stream needs it exactly once.
    #[track_caller]
    pub fn accept(&self, ready: Sig<'m>) {
        self.ready.drive(ready);
    }

    /// One field of the word, if it is a record.
    #[track_caller]
    pub fn field(&self, name: &str) -> Sig<'m> {
        self.data.field(name)
    }

    /// The same stream with other data, computed from the word without a clock.
    pub fn map(&self, f: impl FnOnce(Sig<'m>) -> Sig<'m>) -> Self {
        Stream {
            data: f(self.data),
            ..*self
        }
    }

    /// Only the words while `open` (one bit) is set; the others wait.
    #[track_caller]
    pub fn gate(&self, name: &str, open: Sig<'m>) -> Self {
        let out = Stream::new(name, self.valid & open, self.data);
        self.accept(out.ready() & open);
        out
    }

    fn through(
        &self,
        name: &str,
        child: Result<Circuit, Vec<GenError>>,
    ) -> (Self, Option<crate::Instance<'m>>) {
        let m = self.valid.m;
        let child = match child {
            Ok(child) => child,
            Err(errors) => {
                m.inner.borrow_mut().errors.extend(errors);
                return (*self, None);
            }
        };
        let ready = m.wire(&format!("{name}_out_ready"), 1);
        let inputs = [
            ("in_valid", self.valid),
            ("in_data", self.data),
            ("out_ready", ready.q()),
        ];
        let inst = m.instance(name, &child, &inputs);
        self.accept(inst.get("in_ready"));
        let data = inst.get("out_data");
        let data = match self.data.record() {
            Some(record) => data.with_record(&record),
            None => data,
        };
        (
            Stream {
                valid: inst.get("out_valid"),
                data,
                ready,
            },
            Some(inst),
        )
    }

    /// The stream behind a register slice: data, valid and ready all come from registers, full rate,
    /// latency 1 clock, holds two words. `name` names the instance.
    #[track_caller]
    pub fn register_slice(&self, name: &str) -> Self {
        self.through(name, register_slice(self.data.width())).0
    }

    /// The stream behind a queue of `depth` words and two more, and how many words are in it
    /// ([`clog2`]`(depth + 3)` bits). Full rate; latency 1 clock while the consumer keeps up, as a word
    /// passes the memory when nothing is in front of it. Valid and data come from registers.
    ///
    /// `make` computes the word that is given out from the one that came in, in front of the output
    /// register; what the queue holds is narrower if the word becomes wider there. `name` names the
    /// memory's instance and the registers.
    #[track_caller]
    pub fn queue(
        &self,
        name: &str,
        depth: u32,
        make: impl Fn(Sig<'m>) -> Sig<'m>,
    ) -> (Self, Sig<'m>) {
        self.queued(name, depth, make, |_, next, behind| {
            mux(behind.valid, behind.data, next)
        })
    }

    /// [`Stream::queue`] whose words leave as they came, and in whose memory a read takes most of a clock, as in blocks of small
    /// FPGAs: between memory and output register there is one choice.
    #[track_caller]
    pub fn slow_queue(&self, name: &str, depth: u32) -> (Self, Sig<'m>) {
        let new = self.data;
        self.queued(
            name,
            depth,
            |word| word,
            |stored, _, behind| {
                let other = mux(behind.valid, behind.data, new);
                mux(stored.valid & !behind.valid, stored.data, other)
            },
        )
    }

    /// `choose` says what the head takes, of the word the memory offers, the next one if none waits behind the head, and the one that does.
    #[track_caller]
    fn queued(
        &self,
        name: &str,
        depth: u32,
        make: impl Fn(Sig<'m>) -> Sig<'m>,
        choose: impl Fn(Offered<'m>, Sig<'m>, Offered<'m>) -> Sig<'m>,
    ) -> (Self, Sig<'m>) {
        let m = self.valid.m;
        let one = |what: &str| m.reg(&format!("{name}_{what}"), 1, 0);
        // Words go through three places, the oldest first: `head`, `behind`, the memory.
        let open = m.wire(&format!("{name}_open"), 1); // a word may go to `head` or `behind`
        let empty = m.wire(&format!("{name}_store_empty"), 1);
        let passes = (open.q() & empty.q()).named(&format!("{name}_passes"));
        let stored_in = Stream::new(&format!("{name}_store"), self.valid & !passes, self.data);
        self.accept(stored_in.ready());
        let (stored, count) = stored_in.fifo(name, depth);
        stored.accept(open.q());
        empty.drive(!count.any());

        let (head_valid, behind_valid) = (one("valid"), one("behind_valid"));
        let more = (stored.valid | (self.valid & empty.q())).named(&format!("{name}_more"));
        let word = |of: Sig<'m>| make(of);
        let next = mux(stored.valid, stored.data, self.data);
        let next = match self.data.record() {
            Some(record) => word(next.with_record(&record)),
            None => word(next),
        };
        let head = m.reg_no_reset(&format!("{name}_word"), next.width());
        let behind = m.reg_no_reset(&format!("{name}_behind"), next.width());
        let out = Stream::new(
            &format!("{name}_head"),
            head_valid.q(),
            match next.record() {
                Some(record) => head.q().with_record(&record),
                None => head.q(),
            },
        );
        let advance = (out.ready() | !head_valid.q()).named(&format!("{name}_advance"));
        open.drive(advance | !behind_valid.q());
        // Enables ask whether there is a word: a register with nothing new keeps still.
        head_valid.set_when(advance, behind_valid.q() | more);
        head.set_when(
            advance & (behind_valid.q() | more),
            choose(
                Offered {
                    valid: stored.valid,
                    data: stored.data,
                },
                next,
                Offered {
                    valid: behind_valid.q(),
                    data: behind.q(),
                },
            ),
        );
        behind_valid.set(mux(
            advance,
            behind_valid.q() & more,
            behind_valid.q() | more,
        ));
        behind.set_when(advance.eq(behind_valid.q()) & more, next);

        let bits = clog2(depth + 3);
        let inside = m.reg(&format!("{name}_inside"), bits, 0);
        inside.set(inside.q() + self.fire().zext(bits) - out.fire().zext(bits));
        m.assert(
            &format!("{name}_behind_only_with_head"),
            !behind_valid.q() | head_valid.q(),
        );
        (out, inside.q())
    }

    /// The stream behind a FIFO of `depth` words, and how many words are in it
    /// ([`clog2`]`(depth + 1)` bits). Latency 2 clocks, full rate. `name` names the instance.
    #[track_caller]
    pub fn fifo(&self, name: &str, depth: u32) -> (Self, Sig<'m>) {
        let spec = RamSpec::new(depth, self.data.width());
        let (stream, inst) = self.through(name, fifo(spec));
        let count = match inst {
            Some(inst) => inst.get("count"),
            None => self.valid.m.poison(std::panic::Location::caller(), 1),
        };
        (stream, count)
    }
}

/// A word that may be there.
struct Offered<'m> {
    valid: Sig<'m>,
    data: Sig<'m>,
}

impl Module {
    /// A stream which comes in: inputs `<name>_valid` and `<name>_data`, output `<name>_ready`.
    #[track_caller]
    pub fn stream_in(&self, name: &str, width: u32) -> Stream<'_> {
        let valid = self.input(&format!("{name}_valid"), 1);
        let data = self.input(&format!("{name}_data"), width);
        let stream = Stream::new(name, valid, data);
        self.output(&format!("{name}_ready"), stream.ready());
        stream
    }

    /// A stream which goes out: outputs `<name>_valid` and `<name>_data`, input `<name>_ready`.
    #[track_caller]
    pub fn stream_out<'m>(&'m self, name: &str, stream: Stream<'m>) {
        stream.accept(self.input(&format!("{name}_ready"), 1));
        self.output(&format!("{name}_valid"), stream.valid);
        self.output(&format!("{name}_data"), stream.data);
    }
}

/// A register slice for words of `width` bits; ports as [`Module::stream_in`]`("in")` and `("out")`.
///
/// # Errors
/// A width out of range.
pub fn register_slice(width: u32) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("stream_register_w{width}"));
    m.doc("Register slice: valid, data and ready all come from registers; holds two words.");
    let (in_valid, in_data) = (m.input("in_valid", 1), m.input("in_data", width));
    let out_ready = m.input("out_ready", 1);
    let out_valid = m.reg("out_valid", 1, 0);
    let out_data = m.reg_no_reset("out_data", width);
    // Whether a word is held is asked by every bit, whether none is by who offers the next.
    let held = m.reg("held", 1, 0);
    let open = m.reg("open", 1, 1);
    let held_data = m.reg_no_reset("held_data", width);

    let take = (in_valid & open.q()).named("take");
    let advance = (out_ready | !out_valid.q()).named("advance");
    out_valid.set_when(advance, held.q() | in_valid);
    out_data.set_when(advance, mux(held.q(), held_data.q(), in_data));
    held.set(!advance & (held.q() | take));
    open.set(advance | (open.q() & !in_valid));
    held_data.set_when(take, in_data);

    m.output("in_ready", open.q());
    m.output("out_valid", out_valid.q());
    m.output("out_data", out_data.q());
    m.assert("held_only_behind_out", !held.q() | out_valid.q());
    m.assert("open_unless_held", open.q() ^ held.q());
    m.finish()
}

/// A FIFO of `spec.rows` words of `spec.width` bits; ports as [`Module::stream_in`]`("in")` and
/// `("out")`, and `count`. The memory's style is `spec.style`; its read latency is always 1.
///
/// The memory is read ahead: a clock reads the row which will be the oldest after it, if that is
/// another one. A row is shown one clock after it was written at the earliest, so a read never
/// depends on a write of the same clock.
///
/// # Errors
/// A size out of range: at least 2 words.
pub fn fifo(spec: RamSpec) -> Result<Circuit, Vec<GenError>> {
    let depth = spec.rows;
    let style = match spec.style {
        crate::RamStyle::Auto => "",
        crate::RamStyle::Block => "_block",
        crate::RamStyle::Ultra => "_ultra",
        crate::RamStyle::Distributed => "_distributed",
    };
    let m = Module::new(&format!("stream_fifo_w{}_d{depth}{style}", spec.width));
    if depth < 2 {
        let at = At(std::panic::Location::caller());
        let kind = ErrorKind::Parameter {
            what: "depth of FIFO".into(),
            value: depth.into(),
            rule: "at least 2",
        };
        return Err(vec![GenError {
            module: m.name(),
            at,
            kind,
        }]);
    }
    m.doc("FIFO. `count` words are in it; a word is offered two clocks after it was taken in.");
    let (in_valid, in_data) = (m.input("in_valid", 1), m.input("in_data", spec.width));
    let out_ready = m.input("out_ready", 1);

    let rows = m.ram("rows", spec.latency(1).collision(Collision::Undefined));
    let count = m.reg("count", clog2(depth + 1), 0);
    let out_valid = m.reg("out_valid", 1, 0);
    let write_at = m.reg("write_at", rows.addr_width(), 0);
    let read_at = m.reg("read_at", rows.addr_width(), 0);

    let in_ready = count.ne(count.lit(depth.into())).named("in_ready");
    let push = (in_valid & in_ready).named("push");
    let pop = (out_valid.q() & out_ready).named("pop");
    let next_read = mux(pop, next_row(read_at.q(), depth), read_at.q()).named("next_read");
    write_at.set_when(push, next_row(write_at.q(), depth));
    read_at.set(next_read);
    rows.write(push, write_at.q(), in_data);

    // Words that will be left of those written before this clock.
    let left = (count.q() - pop.zext(count.width())).named("left");
    count.set(left + push.zext(count.width()));
    out_valid.set(left.any());

    m.output("in_ready", in_ready);
    m.output("out_valid", out_valid.q());
    // A row is read when it becomes the oldest, and not again while it waits.
    let reads = (count.any() & (!out_valid.q() | out_ready)).named("reads");
    m.output("out_data", rows.read_when(reads, next_read));
    m.output("count", count.q());
    m.assert("count_in_range", count.le(count.lit(depth.into())));
    m.assert("offered_word_is_counted", !out_valid.q() | count.any());
    m.finish()
}

/// The row behind `at`; the first again behind the last of `depth`.
fn next_row(at: Sig<'_>, depth: u32) -> Sig<'_> {
    let next = at + at.lit(1);
    match depth.is_power_of_two() {
        true => next,
        false => mux(at.is(u128::from(depth) - 1), at.lit(0), next),
    }
}
