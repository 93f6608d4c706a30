//! Where edits wait if they are some clocks apart: two registers behind each other, and the wires they come on.

use seqnic_gen::{Module, Stream};

/// Edits that may wait, those on their way included: a register each for the one whose copy is read and for the next, and
/// the one behind these in the registers of `prepare`, which keep what they have until the next order comes.
pub const PLACES: u32 = 3;

/// The stream behind two registers, latency two clocks. A word that finds both full waits on the wires it came on.
///
/// Words are as wide as nothing else here, so none has a choice in front of it: each goes through both registers.
pub fn behind_each_other<'m>(m: &'m Module, arriving: Stream<'m>) -> Stream<'m> {
    let waits = m.reg("edit_waits", 1, 0);
    arriving.accept(!waits.q());
    let there = (arriving.valid | waits.q()).named("edit_there");
    let (behind_valid, head_valid) = (m.reg("edit_behind_valid", 1, 0), m.reg("edits_valid", 1, 0));
    let width = arriving.data.width();
    let behind = m.reg_no_reset("edit_behind", width);
    let head = m.reg_no_reset("edits_data", width);
    let data = match arriving.data.record() {
        Some(record) => head.q().with_record(&record),
        None => head.q(),
    };
    let out = Stream::new("edits", head_valid.q(), data);

    let free = (!head_valid.q() | out.ready()).named("edits_free");
    let moves = (behind_valid.q() & free).named("edit_moves");
    head_valid.set(behind_valid.q() | !free);
    head.set_when(moves, behind.q());
    let enters = (there & (!behind_valid.q() | moves)).named("edit_enters");
    behind_valid.set(there | (behind_valid.q() & !moves));
    behind.set_when(enters, arriving.data);
    waits.set(there & !enters);
    m.cover("edit_waits_outside", waits.q());
    out
}
