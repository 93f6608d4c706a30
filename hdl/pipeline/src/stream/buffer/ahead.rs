//! Where edits wait if one may come in every clock: a queue that says in each clock which word is at its head with the next,
//! if one is.
//!
//! Words go through three places, the oldest first: the head, the register behind it, the memory. Whether the memory gives
//! one is known from registers: the word behind the head moves up first, and the memory fills its place with the next clock.

use seqnic_gen::{Module, Sig, Stream};

/// The queue, latency one clock while nothing waits.
pub struct Ahead<'m> {
    pub head: Stream<'m>,
    /// The word at the head goes with this clock, or there is none.
    pub advance: Sig<'m>,
    /// The next one does not wait in the queue: it is the word that arrives.
    pub passing: Sig<'m>,
    /// The next one if it does.
    pub waiting: Sig<'m>,
}

/// The queue of `depth` words and two more. The word's data is a record.
pub fn queue<'m>(m: &'m Module, arriving: Stream<'m>, depth: u32) -> Ahead<'m> {
    let as_word = |sig: Sig<'m>| match arriving.data.record() {
        Some(record) => sig.with_record(&record),
        None => sig,
    };
    let (passes, empty) = (m.wire("edit_passes", 1), m.wire("edits_store_empty", 1));
    let storing = (arriving.valid & !passes.q()).named("edit_stored");
    let store = Stream::new("edits_store", storing, arriving.data);
    arriving.accept(store.ready());
    let (stored, count) = store.fifo("edits", depth);
    empty.drive(!count.any());

    let (head_valid, behind_valid) = (m.reg("edits_valid", 1, 0), m.reg("edit_behind_valid", 1, 0));
    let open = !behind_valid.q();
    stored.accept(open);
    let width = arriving.data.width();
    let (head, behind) = (
        m.reg_no_reset("edits_word", width),
        m.reg_no_reset("edit_behind", width),
    );
    let out = Stream::new("edits", head_valid.q(), as_word(head.q()));
    let advance = (out.ready() | !head_valid.q()).named("edits_advance");
    // That the head goes is known last, so a word does not pass a full register behind it that is to be free with the next clock.
    passes.drive(empty.q() & open);

    let past = arriving.valid & empty.q();
    let more = (open & (past | stored.valid)).named("edits_more");
    // The word that arrives is there last.
    let passing = (open & !stored.valid).named("edit_is_next");
    let waiting = behind_valid.q().mux(behind.q(), stored.data);
    let comes = (advance & (behind_valid.q() | more)).named("edit_comes");
    head_valid.set_when(advance, behind_valid.q() | more);
    head.set_when(comes, passing.mux(arriving.data, waiting));
    behind_valid.set(!advance & (behind_valid.q() | more));
    // What goes to the head at once is here too, for nobody.
    behind.set_when(more, stored.valid.mux(stored.data, arriving.data));
    m.assert(
        "edit_behind_only_with_head",
        !behind_valid.q() | head_valid.q(),
    );
    m.cover("edit_waits_in_memory", stored.valid);
    Ahead {
        head: out,
        advance,
        passing,
        waiting: as_word(waiting),
    }
}
