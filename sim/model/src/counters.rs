//! Counter arrays as the card has them (`docs/semantics.md` section 5), indexed by numbers.

use crate::edit::Plan;
use crate::fast::{Lane, Source};
use crate::memory::{prefetch, table};
use crate::parse::{self, Headers};
use crate::verdict::Verdict;
use seqnic_engine::{Count, Counters};
use seqnic_image::names::{Direction, Names};
use seqnic_spec::counters::{CounterSet, TIME_BITS, TIME_BUCKETS, time_bucket};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;

/// Packets and bytes of one row.
type Row = [u64; 2];

/// All counter sets of a geometry.
#[derive(Debug, Clone)]
pub struct CounterArrays {
    /// By place in [`CounterSet::ALL`].
    sets: [Vec<Row>; CounterSet::ALL.len()],
    /// Samples of times, by attachment.
    waiting: Vec<Sample>,
}

/// A copy that left, as far as it counts.
pub(crate) struct Left {
    pub action: u32,
    pub attachment: u16,
    pub interface: u16,
    /// Attachment it comes back from.
    pub comes_from: u16,
    /// It opens a TCP connection.
    pub opens: bool,
}

/// A packet that was sent to an attachment and has not come back.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    valid: bool,
    flow: u16,
    /// When it arrived, ns.
    time: u64,
}

impl Sample {
    /// How old it is, if it is still waited for.
    fn age(self, now: u64) -> Option<u64> {
        let age = now.wrapping_sub(self.time);
        (self.valid && age < 1 << TIME_BITS).then_some(age)
    }
}

/// A counter that counted something no name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("counter `{}`, row {row}, counted {} packets, but the image has no name for it", set.name(), count.packets)]
pub struct Nameless {
    pub set: CounterSet,
    pub row: u32,
    pub count: Count,
}

/// Place of a set in [`CounterSet::ALL`], whose numbers follow each other (a test holds them to it).
#[inline(always)]
const fn place(set: CounterSet) -> usize {
    set as usize - CounterSet::ALL[0] as usize
}

impl CounterArrays {
    pub fn new(geometry: &Geometry) -> CounterArrays {
        CounterArrays {
            sets: CounterSet::ALL.map(|set| table([0; 2], set.rows(geometry) as usize)),
            waiting: table(Sample::default(), geometry.timed as usize),
        }
    }

    #[inline(always)]
    fn row(&mut self, set: CounterSet, row: u32) -> Option<&mut Row> {
        let rows = self.sets.get_mut(place(set));
        rows.and_then(|rows| rows.get_mut(row as usize))
    }

    /// Counts one packet of `bytes`. Rows a set does not have are not counted: the tables are
    /// checked, so there are none.
    #[inline(always)]
    fn add(&mut self, set: CounterSet, row: u32, bytes: usize) {
        if let Some([packets, sum]) = self.row(set, row) {
            *packets += 1;
            *sum += bytes as u64;
        }
    }

    /// Asks for the rows of a packet that many packets do not share.
    #[inline(always)]
    pub fn expect(&self, verdict: &Verdict) {
        if let Some((class, direction)) = verdict.class {
            self.expect_class(class, direction);
        }
        for row in verdict.rows() {
            self.expect_action(row);
        }
    }

    #[inline(always)]
    pub(crate) fn expect_class(&self, class: u32, direction: Direction) {
        let row = class * 2 + direction.bit();
        prefetch(&self.sets[place(CounterSet::Class)], row as usize);
    }

    #[inline(always)]
    pub(crate) fn expect_action(&self, row: u32) {
        prefetch(&self.sets[place(CounterSet::Action)], row as usize);
    }

    /// Counts a packet that came in at `now`.
    #[inline(always)]
    pub fn packet(&mut self, verdict: &Verdict, h: &Headers, now: u64) {
        let bytes = h.length;
        self.reason(verdict.reason, bytes);
        if let Some(interface) = verdict.interface {
            self.add(CounterSet::InterfaceIn, interface.into(), bytes);
        }
        if let Some(sender) = verdict.sender {
            self.from(sender, bytes, now);
            if verdict.reason == Reason::Directed {
                self.came_back(sender, h.answers(), now, || h.fold());
            }
        }
        if let (Reason::Directed, Some((class, direction))) = (verdict.reason, verdict.class) {
            self.add(CounterSet::Class, class * 2 + direction.bit(), bytes);
        }
        if let Some(rule) = verdict.rule {
            self.add(CounterSet::Rule, rule.into(), bytes);
        }
    }

    /// What of [`CounterArrays::packet`] every common packet counts by itself; `fold` is its flow.
    #[inline(always)]
    pub(crate) fn common(
        &mut self,
        lane: &Lane,
        sender: Option<u16>,
        bytes: usize,
        now: u64,
        fold: impl FnOnce() -> u16,
    ) {
        if let Some(sender) = sender {
            let answers = lane.ip.rare_flags() && parse::answers(lane.ip.tcp_flags);
            self.came_back(sender, answers, now, fold);
        }
        let row = lane.class * 2 + lane.direction.bit();
        self.add(CounterSet::Class, row, bytes);
    }

    /// What of it common packets from one source count together.
    #[inline(always)]
    pub(crate) fn source(&mut self, source: &Source) {
        if source.packets == 0 {
            return;
        }
        let mut add = |set, row: u32| {
            if let Some([packets, bytes]) = self.row(set, row) {
                *packets += source.packets;
                *bytes += source.bytes_in;
            }
        };
        add(CounterSet::Reason, Reason::Directed as u32);
        add(CounterSet::InterfaceIn, source.interface.into());
        if let Some(sender) = source.sender {
            add(CounterSet::AttachmentIn, sender.into());
            if let Some([seen, _]) = self.row(CounterSet::AttachmentSeen, sender.into()) {
                // Packets that went the general way may have come later.
                *seen = source.last.max(*seen);
            }
        }
    }

    #[inline(always)]
    fn from(&mut self, sender: u16, bytes: usize, now: u64) {
        self.add(CounterSet::AttachmentIn, sender.into(), bytes);
        if let Some([seen, _]) = self.row(CounterSet::AttachmentSeen, sender.into()) {
            *seen = now;
        }
    }

    /// What a directed packet from an attachment says of its health; `fold` is the packet's flow.
    #[inline(always)]
    fn came_back(&mut self, sender: u16, answers: bool, now: u64, fold: impl FnOnce() -> u16) {
        if answers {
            self.add(CounterSet::AttachmentAnswer, sender.into(), 0);
        }
        let Some(sample) = self.waiting.get_mut(usize::from(sender)) else {
            return;
        };
        let age = sample.age(now);
        if let Some(age) = age.filter(|_| sample.flow == fold()) {
            sample.valid = false;
            let row = u32::from(sender) * TIME_BUCKETS + time_bucket(age);
            self.add(CounterSet::AttachmentTime, row, age as usize);
        }
    }

    /// Counts a frame under a reason and nothing else.
    #[inline(always)]
    pub fn reason(&mut self, reason: Reason, bytes: usize) {
        self.add(CounterSet::Reason, reason as u32, bytes);
    }

    /// The same of some frames at once.
    pub fn reasons(&mut self, reason: Reason, frames: u64, bytes: u64) {
        if let Some([all, sum]) = self.row(CounterSet::Reason, reason as u32) {
            *all += frames;
            *sum += bytes;
        }
    }

    /// Counts a copy that left, `bytes` long, of a packet that came in at `now`.
    #[inline(always)]
    pub fn copy(&mut self, plan: &Plan, h: &Headers, now: u64, bytes: usize) {
        let left = Left {
            action: plan.action,
            attachment: plan.to.counts,
            interface: plan.to.interface,
            comes_from: plan.to.comes_from,
            opens: h.opens(),
        };
        self.left(&left, now, bytes, || plan.fold(h));
    }

    /// The same; `fold` is the flow of the copy.
    #[inline(always)]
    pub(crate) fn left(&mut self, left: &Left, now: u64, bytes: usize, fold: impl FnOnce() -> u16) {
        self.add(CounterSet::Action, left.action, bytes);
        self.add(CounterSet::AttachmentOut, left.attachment.into(), bytes);
        self.add(CounterSet::InterfaceOut, left.interface.into(), bytes);
        if left.opens {
            self.add(CounterSet::AttachmentSyn, left.attachment.into(), 0);
        }
        if let Some(sample) = self.waiting.get_mut(usize::from(left.comes_from))
            && sample.age(now).is_none()
        {
            *sample = Sample {
                valid: true,
                flow: fold(),
                time: now,
            };
        }
    }

    /// Row `row` of `set`; rows it does not have are 0.
    pub fn get(&self, set: CounterSet, row: u32) -> Count {
        let rows = self.sets.get(place(set));
        let [packets, bytes] = rows
            .and_then(|rows| rows.get(row as usize))
            .copied()
            .unwrap_or_default();
        Count { packets, bytes }
    }

    /// Rows that counted, by number of the set and row.
    pub fn counted(&self) -> impl Iterator<Item = ((u8, u32), Count)> + '_ {
        let sets = CounterSet::ALL.into_iter().zip(&self.sets);
        sets.flat_map(|(set, rows)| {
            let used = rows.iter().enumerate().filter(|(_, row)| **row != [0; 2]);
            used.map(move |(row, [packets, bytes])| {
                let (packets, bytes) = (*packets, *bytes);
                ((set as u8, row as u32), Count { packets, bytes })
            })
        })
    }

    /// All counters under their names.
    ///
    /// # Errors
    /// The first row that counted and has no name.
    pub fn named(&self, names: &Names) -> Result<Counters, Nameless> {
        let mut counters = Counters::default();
        for (set, rows) in CounterSet::ALL.into_iter().zip(&self.sets) {
            for (row, [packets, bytes]) in rows.iter().enumerate() {
                let (packets, bytes) = (*packets, *bytes);
                if packets == 0 {
                    continue;
                }
                let (row, count) = (row as u32, Count { packets, bytes });
                if !counters.add_row(names, set, row, count) {
                    return Err(Nameless { set, row, count });
                }
            }
        }
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_stand_in_the_order_of_their_numbers() {
        for (at, set) in CounterSet::ALL.into_iter().enumerate() {
            assert_eq!(place(set), at);
        }
    }
}
