//! Egress with several queues: what [`super::egress`] is with one.
//!
//! One memory of beats and one of sidebands, each with a region a queue. Beats go on through the
//! memory's output, `behind` and `head`, which is the AXI4-Stream. A beat that comes while nothing else
//! may go first passes the memory, so an idle output costs one clock as with one queue.
//!
//! A frame begins when the beat that ended the one before stands at the memory's output. Whether a beat is a frame's last is
//! not read there, which is late in a clock: these bits have a memory for each queue, in look-up tables, which is read as far
//! ahead that of each queue's oldest beat the bit is in a register. As a beat is read from the large memory, so is its bit taken
//! over from there. Both ways to go on are ready in registers or worked out of them, the
//! queue chosen by [`scheduler`] and the one whose frame is in the middle, and that bit only takes one of them.

use super::egress::{self, Side, frames};
use super::scheduler::{self, high_first};
use super::{LONGEST_OUT, count_bits, data_bits, dispatch, edited_beat, kept, meta};
use seqnic_gen::{
    Circuit, Collision, GenError, Module, RamSpec, RamStyle, Record, Sig, clog2, mux,
};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{QUEUE_ROW, width};

/// Takes what [`super::egress`] takes and `rows` ([`QUEUE_ROW`] of each queue, the lowest first); gives the same, `room`
/// with one bit for each queue. Which queue a frame goes to says its priority.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry, side: Side) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(match side {
        Side::Port => "egress_queues",
        Side::Host => "egress_queues_host",
    });
    m.doc("One output with queues by priority. A queue is chosen at the end of a frame.");
    let push = m.input("push", 1);
    let beat = m.input_record("beat", &edited_beat(g), None);
    let sideband = m.input_record("meta", &meta(), None);
    let out_ready = m.input("m_tready", 1);
    let rows = m.input("rows", QUEUE_ROW.width() * g.queues);

    let queue_bits = clog2(g.queues);
    let queue = sideband
        .field("priority")
        .slice(width::PRIORITY - queue_bits, queue_bits)
        .named("queue");
    let to = m.onehot(queue).named("to");
    let stored = Record::new(
        "stored",
        [
            ("data", data_bits(g)),
            ("count", count_bits(g)),
            ("error", 1),
            // What it is charged, worked out in front of the memory and not behind it.
            ("lacks", scheduler::LACKS_BITS),
        ],
    );
    let count = beat.field("count").zext(scheduler::LACKS_BITS + 1);
    let lacks = (m.lit(scheduler::LACKS_BITS + 1, 64) - count).trunc(scheduler::LACKS_BITS);
    let mut fields = ["data", "count", "error"]
        .map(|name| (name, beat.field(name)))
        .to_vec();
    fields.push(("lacks", lacks));
    let arriving = m.pack(&stored, &fields).named("arriving");
    let user_in = egress::user(&m, side, sideband).named("user_in");
    let (places, frames) = (g.egress_beats, frames(g));
    let plain = |rows, width| {
        let spec = RamSpec::new(rows, width).latency(1);
        spec.collision(Collision::Undefined)
    };
    let beats = m.ram(
        "beats",
        RamSpec {
            record: Some(stored.clone()),
            ..plain(places * g.queues, stored.width())
        },
    );
    let users = m.ram("users", plain(frames * g.queues, user_in.width()));

    let one = |name: &str, reset| m.reg(name, 1, reset);
    let closed = one("closed", 1); // no frame is being read
    let current = m.reg("current", g.queues, 1); // queue of the beat read last, or passed
    let (read_valid, head_valid, behind_valid) = (
        one("read_valid", 0),
        one("head_valid", 0),
        one("behind_valid", 0),
    );
    let (waits, several) = (m.wire("waits", g.queues), m.wire("several", g.queues));
    // Else nothing here moves. Most outputs rest in most clocks, and simulators pass them by.
    let awake =
        (push | waits.any() | read_valid.q() | head_valid.q() | behind_valid.q()).named("awake");
    let pick = m.wire("pick", g.queues);

    // The beat at the memory's output, and what may be read behind it.
    let issue = m.wire("issue", 1);
    let address = m.wire("read_address", beats.addr_width());
    let read = beats.read_when(issue.q(), address.q());
    let read_last = m.reg_no_reset("read_last", 1);
    let ended = mux(read_valid.q(), read_last.q(), closed.q()).named("ended");
    let goes_on = (current.q() & waits.q()).named("goes_on");
    // As `ended` says, but with all that is known before that bit worked out in front of it.
    let if_ended = |new, same| {
        let unread = mux(closed.q(), new, same);
        let (new, same) = (
            mux(read_valid.q(), new, unread),
            mux(read_valid.q(), same, unread),
        );
        mux(read_last.q(), new, same)
    };
    let next = if_ended(pick.q(), goes_on).named("next");
    m.assert("who_is_chosen_waits", !(pick.q() & !waits.q()).any());
    let advance = (out_ready | !head_valid.q()).named("advance");
    let open = (advance | !behind_valid.q()).named("open");
    let read_taken = (read_valid.q() & open).named("read_taken");
    let free = (open | !read_valid.q()).named("free");
    let (begins, goes_on_with) = (pick.q().any() & free, goes_on.any() & free);
    issue.drive(if_ended(begins, goes_on_with));
    let taken = if_ended(pick.q().when(free), goes_on.when(free)).named("taken");
    let begun = if_ended(pick.q().when(free), m.lit(g.queues, 0)).named("begun");
    read_valid.set(issue.q() | (read_valid.q() & !open));
    read_valid.rests_unless(awake);

    // A beat passes if nothing is in front of it: of other frames, or of its own.
    let in_front = mux(closed.q(), waits.q().any(), goes_on.any());
    let passes = (push & open & !read_valid.q() & !in_front).named("passes");
    let stores = (push & !passes).named("stores");
    m.assert(
        "what_passes_is_of_the_frame",
        !passes | closed.q() | current.eq(to),
    );
    let first = beat.field("first");
    current.set_when(issue.q() | passes, mux(issue.q(), next, to));
    current.rests_unless(awake);
    let last = mux(read_valid.q(), read_last.q(), beat.field("last")).named("last");
    closed.set_when(read_valid.q() | passes, last);
    closed.rests_unless(awake);

    let (mut waiting, mut more_wait, mut rooms) = (vec![], vec![], vec![]);
    let (mut write_at, mut user_write_at) = (vec![], vec![]);
    let (mut first_at, mut next_at, mut user_read_at) = (vec![], vec![], vec![]);
    let mut oldest_last = vec![];
    // What may still be on its way from `dispatch` is not in the counts.
    let longest = g.beats(LONGEST_OUT) + dispatch::DECIDED_BEFORE;
    for n in 0..g.queues {
        let (written, taken) = (stores & to.bit(n), taken.bit(n));
        let begins = (written & first).named(&format!("begins_{n}"));
        let begun = begun.bit(n).named(&format!("begun_{n}"));
        let (beats_in, at) = region(&m, &format!("beats_{n}"), places, [written, taken, awake]);
        let (users_in, user_at) = region(&m, &format!("users_{n}"), frames, [begins, begun, awake]);
        m.assert(
            &format!("slots_{n}"),
            !written | beats_in.ne(beats_in.lit(places.into())),
        );
        let fits = beats_in.le(beats_in.lit(u128::from(places - longest)));
        let user_fits =
            users_in.le(users_in.lit(u128::from(frames - 1 - dispatch::DECIDED_BEFORE)));
        rooms.push(fits & user_fits);
        let (some, several) = (
            one(&format!("beats_{n}_some"), 0),
            one(&format!("beats_{n}_several"), 0),
        );
        let (more, fewer) = (written & !taken, taken & !written);
        some.set(several.q() | written | (some.q() & !taken));
        let many = beats_in.gt(beats_in.lit(2));
        several.set(many | (several.q() & !fewer) | (some.q() & more));
        some.rests_unless(awake);
        several.rests_unless(awake);
        m.assert(
            &format!("counted_{n}"),
            some.q().eq(beats_in.any()) & several.q().eq(beats_in.gt(beats_in.lit(1))),
        );
        let oldest = Oldest {
            comes: (push & to.bit(n)).named(&format!("comes_{n}")),
            written,
            write_at: at[0],
            becomes: (taken | !some.q()).named(&format!("oldest_{n}_goes")),
            taken,
            read_at: at[1],
            several: several.q(),
        };
        oldest_last.push(oldest.bit(&format!("lasts_{n}"), places, beat.field("last")));
        waiting.push(some.q());
        more_wait.push(several.q());
        let region = m.lit(queue_bits, n.into());
        let place = |at| region.cat(at);
        write_at.push((to.bit(n), place(at[0])));
        first_at.push((pick.q().bit(n), place(at[1])));
        next_at.push((current.q().bit(n), place(at[1])));
        user_write_at.push((to.bit(n), place(user_at[0])));
        user_read_at.push((pick.q().bit(n), place(user_at[1])));
    }
    let oldest_last = m.concat(&high_first(oldest_last)).named("oldest_last");
    let of_picked = (pick.q() & oldest_last).any();
    let of_current = (current.q() & oldest_last).any();
    read_last.set_when(issue.q(), if_ended(of_picked, of_current));
    waits.drive(m.concat(&high_first(waiting)));
    several.drive(m.concat(&high_first(more_wait)));
    let first_at = m.select_onehot(&first_at).named("first_at");
    let next_at = m.select_onehot(&next_at).named("next_at");
    address.drive(if_ended(first_at, next_at));
    // One that passes is written too, where the next will be: whether it does is known late.
    beats.write(push, m.select_onehot(&write_at), arriving);
    users.write(push & first, m.select_onehot(&user_write_at), user_in);
    let user_read = users.read_when(
        if_ended(begins, m.lit(1, 0)),
        m.select_onehot(&user_read_at),
    );

    // What goes on, and whom it is charged to.
    let goes = (read_taken | passes).named("goes");
    let word = mux(read_valid.q(), read, arriving).with_record(&stored);
    let charge = mux(read_valid.q(), current.q(), to).when(goes);
    let scheduler = m.instance(
        "scheduler",
        &scheduler::build(g.queues)?,
        &[
            ("rows", rows),
            ("waits", waits.q()),
            ("several", several.q()),
            ("free", free),
            ("ended", ended),
            ("current", current.q()),
            ("charge", charge),
            ("lacks", word.field("lacks")),
        ],
    );
    pick.drive(scheduler.get("pick"));

    // The sideband comes with a frame's first beat and stays to its last.
    let fresh = one("fresh", 1);
    fresh.set_when(goes, last);
    let held = m.reg_no_reset("user_held", user_in.width());
    let new_user = mux(read_valid.q(), user_read, user_in);
    let user = mux(fresh.q(), new_user, held.q()).named("user");
    held.set_when(goes, user);
    fresh.rests_unless(awake);
    held.rests_unless(awake);
    let shown = Record::new(
        "shown",
        [
            ("data", data_bits(g)),
            ("keep", g.bus_bytes),
            ("last", 1),
            ("error", 1),
            ("user", user.width()),
        ],
    );
    let made = m.pack(
        &shown,
        &[
            ("data", word.field("data")),
            ("keep", kept(word.field("count"), g.bus_bytes)),
            ("last", last),
            ("error", word.field("error") & last),
            ("user", user),
        ],
    );
    let (head, behind) = (
        m.reg_no_reset("head", made.width()),
        m.reg_no_reset("behind", made.width()),
    );
    let more = (read_valid.q() | passes).named("more");
    head_valid.set_when(advance, behind_valid.q() | more);
    head.set_when(
        advance & (behind_valid.q() | more),
        mux(behind_valid.q(), behind.q(), made),
    );
    behind_valid.set(mux(
        advance,
        behind_valid.q() & more,
        behind_valid.q() | more,
    ));
    behind.set_when(advance.eq(behind_valid.q()) & more, made);
    let (head_regs, valids) = ([head, behind], [head_valid, behind_valid]);
    for register in head_regs.into_iter().chain(valids) {
        register.rests_unless(awake);
    }

    let out = head.q().with_record(&shown);
    m.output("room", m.concat(&high_first(rooms)));
    m.output("m_tdata", out.field("data"));
    m.output("m_tkeep", out.field("keep"));
    m.output("m_tvalid", head_valid.q());
    m.output("m_tlast", out.field("last"));
    m.output("m_tuser", out.field("error").cat(out.field("user")));
    m.output("busy", waits.any() | read_valid.q() | head_valid.q());
    m.finish()
}

/// What changes the oldest beat of a queue.
struct Oldest<'m> {
    /// A beat comes; it may pass, and then it is not written but as something that the next overwrites.
    comes: Sig<'m>,
    written: Sig<'m>,
    write_at: Sig<'m>,
    taken: Sig<'m>,
    read_at: Sig<'m>,
    /// There is none, or it is taken: the next is another.
    becomes: Sig<'m>,
    /// It is not the only one.
    several: Sig<'m>,
}

impl<'m> Oldest<'m> {
    /// A bit of each beat, kept in look-up tables: that of the oldest one, from registers. The one behind it is read as it is
    /// taken; one that is written where there is no other passes the memory.
    fn bit(&self, name: &str, rows: u32, bit: Sig<'m>) -> Sig<'m> {
        let m = bit.module();
        let spec = RamSpec::new(rows, 1)
            .latency(1)
            .style(RamStyle::Distributed)
            .collision(Collision::Undefined);
        let memory = m.ram(name, spec);
        memory.write(self.comes, self.write_at, bit);
        let next = self.read_at + self.read_at.lit(1);
        let read = memory.read_when(self.taken, next);
        let was_read = m.reg_no_reset(&format!("{name}_read"), 1);
        was_read.set_when(self.becomes, self.several);
        let passed = m.reg_no_reset(&format!("{name}_passed"), 1);
        passed.set_when(self.written & self.becomes, bit);
        mux(was_read.q(), read, passed.q())
    }
}

/// Rows in use of a region of `rows`, and the next to write and to read; only in clocks where the output is awake.
fn region<'m>(
    m: &'m Module,
    name: &str,
    rows: u32,
    [written, taken, awake]: [Sig<'m>; 3],
) -> (Sig<'m>, [Sig<'m>; 2]) {
    let bits = clog2(rows);
    let [write_at, read_at] = ["write_at", "read_at"].map(|what| {
        let at = m.reg(&format!("{name}_{what}"), bits, 0);
        let moves = if what == "write_at" { written } else { taken };
        at.set(at.q() + moves.zext(bits));
        at.rests_unless(awake);
        at.q()
    });
    let count = m.reg(&format!("{name}_count"), clog2(rows + 1), 0);
    let width = count.width();
    count.set(count.q() + written.zext(width) - taken.zext(width));
    count.rests_unless(awake);
    (count.q(), [write_at, read_at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{
        AxiJoiner, BUSES, Beat, Sink, beats, built, length, packed, small, unpacked,
    };
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use std::collections::VecDeque;

    fn with(bus: u32, queues: u32) -> Geometry {
        Geometry {
            queues,
            ..small(bus)
        }
    }

    /// An output with frames that arrive, by the rule of `dispatch`: all of one, or nothing of it.
    struct Output {
        g: Geometry,
        sim: Sim,
        random: Random,
        sink: Sink,
        joiner: AxiJoiner,
        sending: VecDeque<Beat>,
        kept: Bits,
        /// Frames that were let in and have not left, by queue: bytes, error, sideband.
        inside: Vec<VecDeque<(Vec<u8>, bool, Bits)>>,
        refused: Vec<u64>,
        tag: u64,
        /// Bytes and frames that left, by queue.
        left: Vec<(u64, u64)>,
        order: Vec<usize>,
    }

    impl Output {
        /// `shares` of each queue: strict, weight.
        fn new(g: Geometry, shares: &[(u64, u64)]) -> Output {
            let mut sim = Sim::new(&built(build(&g, Side::Port)));
            sim.reset();
            let width = QUEUE_ROW.width();
            let mut rows = Bits::zero(width * g.queues);
            for (n, (strict, weight)) in (0..).zip(shares) {
                let row = Bits::new(width, u128::from(weight << 1 | strict));
                rows.set_slice(n * width, &row);
            }
            sim.set_bits("rows", &rows);
            Output {
                sink: Sink::axi(&sim, "m_"),
                random: Random::new(u64::from(g.bus_bytes + g.queues)),
                joiner: AxiJoiner::default(),
                sending: VecDeque::new(),
                kept: Bits::zero(1),
                inside: vec![VecDeque::new(); g.queues as usize],
                refused: vec![0; g.queues as usize],
                left: vec![(0, 0); g.queues as usize],
                order: vec![],
                tag: 0,
                sim,
                g,
            }
        }

        /// Begins a frame if none is arriving; whether its queue took it.
        fn offer(&mut self, queue: usize, bytes: usize, error: bool) -> bool {
            assert!(self.sending.is_empty());
            if self.sim.get("room") >> queue & 1 == 0 {
                self.refused[queue] += 1;
                return false;
            }
            let frame = self.random.bytes(bytes);
            self.tag += 1;
            let each = 8 / u64::from(self.g.queues);
            let priority = queue as u64 * each + self.random.below(each);
            self.kept = packed(
                &meta(),
                &[("tag", self.tag.into()), ("priority", priority.into())],
            );
            self.sending = beats(&self.g, &frame, error).into();
            self.inside[queue].push_back((frame, error, self.kept.clone()));
            true
        }

        /// One clock; `gap`: no beat arrives.
        fn clock(&mut self, gap: bool) {
            let beat = if gap { None } else { self.sending.pop_front() };
            self.sim.set("push", beat.is_some().into());
            if let Some(beat) = beat {
                let mut word = packed(
                    &edited_beat(&self.g),
                    &[
                        ("count", beat.data.len() as u128),
                        ("first", beat.first.into()),
                        ("last", beat.last.into()),
                        ("error", beat.error.into()),
                    ],
                );
                word.set_slice(0, &Bits::from_bytes_le(&beat.data));
                self.sim.set_bits("beat", &word);
                self.sim.set_bits("meta", &self.kept);
            }
            self.sink.drive(&mut self.sim, &mut self.random);
            if let Some(word) = self.sink.settle(&mut self.sim)
                && let Some(frame) = self.joiner.take(&word)
            {
                // The oldest of one of the queues.
                let tag = frame.user.slice(0, 64);
                let of = |q: &VecDeque<(Vec<u8>, bool, Bits)>| {
                    q.front()
                        .is_some_and(|f| unpacked(&meta(), &f.2, "tag") == tag)
                };
                let queue = self.inside.iter().position(of).expect("in order");
                let (bytes, error, kept) = self.inside[queue].pop_front().unwrap();
                assert!(frame.bytes == bytes && frame.error == error);
                let layout = crate::stream::record(&seqnic_spec::stage::PORT_META);
                for name in ["tag", "priority"] {
                    let found = unpacked(&layout, &frame.user, name);
                    assert_eq!(found, unpacked(&meta(), &kept, name), "{name}");
                }
                self.left[queue].0 += bytes.len() as u64;
                self.left[queue].1 += 1;
                self.order.push(queue);
            }
            self.sim.step();
        }
    }

    #[test]
    fn frames_leave_whole_in_the_order_of_their_queue() {
        for (bus, queues) in BUSES.iter().flat_map(|b| [(*b, 2), (*b, 4), (*b, 8)]) {
            let shares = [
                (0, 1),
                (0, 3),
                (0, 9),
                (1, 0),
                (0, 0),
                (0, 2),
                (1, 1),
                (1, 5),
            ];
            let mut output = Output::new(with(bus, queues), &shares[..queues as usize]);
            output.sink.busy = 95;
            for clock in 0..20_000u64 {
                let on = clock < 16_000;
                if output.sending.is_empty() && on && !output.random.one_in(6) {
                    let bytes = length(&mut output.random, 1, 9224);
                    // One has more than the others.
                    let any = output.random.below(queues.into()) as usize;
                    let queue = if output.random.one_in(2) { 0 } else { any };
                    let error = output.random.one_in(4);
                    output.offer(queue, bytes, error);
                }
                if clock > 10_000 && output.random.one_in(1000) {
                    output.sink.busy = output.random.pick(&[0, 0, 30, 80, 100]);
                }
                if !on {
                    output.sink.busy = 0;
                }
                let gap = output.random.one_in(5);
                output.clock(gap);
            }
            while output.sim.get("busy") == 1 {
                output.clock(false);
                assert!(output.sim.cycle() < 60_000, "stuck");
            }
            assert!(output.inside.iter().all(VecDeque::is_empty));
            assert!(output.refused.iter().sum::<u64>() > 0, "never full");
            assert!(output.left.iter().all(|(_, frames)| *frames > 2));
        }
    }

    /// A frame alone takes a clock, and one-beat frames pass at one a clock, whatever their queues.
    #[test]
    fn an_idle_output_costs_a_clock() {
        let mut output = Output::new(with(64, 4), &[(0, 1), (0, 1), (0, 1), (1, 1)]);
        for n in 0..300 {
            let queue = output.random.below(4) as usize;
            assert!(output.offer(queue, 60, false));
            output.clock(false);
            assert_eq!(output.order.len(), n);
        }
        output.clock(true);
        assert_eq!(output.order.len(), 300);
    }

    /// While the output is not ready for everything, what is offered of it leaves by the shares.
    #[test]
    fn a_flood_leaves_the_others_their_share() {
        let shares = [(0, 1), (0, 1), (0, 4), (1, 0)];
        for (flood, small) in [(0, false), (2, false), (0, true), (1, true)] {
            let mut output = Output::new(with(64, 4), &shares);
            output.sink.busy = 50;
            // A frame of the flood follows the other: it alone is more than the output takes.
            let mut turn = 0u64;
            let mut before = None;
            for clock in 0..60_000 {
                if clock == 5_000 {
                    before = Some(output.left.clone());
                }
                if output.sending.is_empty() {
                    let others = [0, 1, 2].into_iter().filter(|q| *q != flood);
                    let others: Vec<usize> = others.collect();
                    let queue = match turn % 6 {
                        0 => others[0],
                        3 => others[1],
                        _ => flood,
                    };
                    turn += 1;
                    let bytes = match (queue == flood, small) {
                        (true, true) => 60,
                        _ => 600,
                    };
                    if turn.is_multiple_of(30) {
                        output.offer(3, 60, false);
                    } else {
                        output.offer(queue, bytes, false);
                    }
                }
                output.clock(false);
            }
            assert_eq!(output.refused[3], 0, "what is strict waits for nobody");
            let before = before.unwrap();
            let sent = |q: usize| (output.left[q].0 - before[q].0) as f64;
            let total: f64 = (0..4).map(sent).sum();
            for (queue, (_, weight)) in shares.iter().enumerate().take(3) {
                // A queue gets all it asked for, or its share of the others.
                let whole = output.refused[queue] == 0;
                let share = *weight as f64 / 6.0 * 0.9;
                assert!(
                    whole || sent(queue) / total > share,
                    "flood {flood}, queue {queue}: {} of {total}, {:?}",
                    sent(queue),
                    output.refused
                );
            }
            assert!(output.refused[flood] > 0, "{:?}", output.refused);
        }
    }
}
