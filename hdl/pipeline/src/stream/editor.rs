//! Editor: puts a copy's new headers in front of its packet and overlays what is edited in it.
//!
//! Four clocks behind the slot, two of them the memory's:
//! 2. the two beats of the frame that were read become a beat of the packet (from byte `strip` on);
//! 3. the [`patch`] is laid over it, and it moves up by `prefix` modulo the beat, the upper bytes of the
//!    one before in front of it; the [`prefix`] is laid over the bytes that are not the packet's.
//!
//! A slot is a beat that leaves: nothing waits, and nothing is left over. Where copies are some clocks apart, patch and
//! prefix are worked out beat by beat from the edit, which stands still ([`beats`]).

mod beats;
mod patch;
mod prefix;

use super::{LENGTH_BITS, count_bits, data_bits, edited_beat, ending, meta, record, slot};
use seqnic_gen::{Circuit, GenError, Module, Sig, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;

/// Clocks from the slot that completes a beat to the edited beat.
pub const LATENCY: u32 = 4;

const _: () = assert!(patch::LATENCY + 1 == LATENCY && prefix::LATENCY + 1 == LATENCY);

/// Takes `slot_valid`, [`slot`] and `edit` ([`EDIT`]), and two clocks later the rows `even` and `odd`. Gives
/// `valid`, `out` ([`edited_beat`]) with `out_meta` ([`meta`]), and with the last beat of each copy
/// `end_valid` and `ending` ([`ending`]). A clock before each beat `soon`, `soon_first` and `soon_port`: it comes, is the copy's
/// first, and for which output. Where copies are some clocks apart, an edit is there from the clock before its copy's first slot
/// to the one behind its last, and the next slot comes three clocks behind that.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("editor");
    m.doc(
        "Puts new headers in front of a copy's packet and overlays the edits. One beat a clock, never\n\
         stalls.",
    );
    let slot_valid = m.input("slot_valid", 1).as_valid();
    let slot_in = m.input_record("slot", &slot(g), None);
    let edit = m.input_record("edit", &record(&EDIT), None);
    let even = m.input("even", data_bits(g));
    let odd = m.input("odd", data_bits(g));

    let in_turns = g.clocks_per_header > 1;
    let (patch, prefix) = match in_turns {
        false => {
            let (patch, prefix) = (patch::at_once()?, prefix::at_once()?);
            let edit = [("edit", edit)];
            let patch = m.instance("patcher", &patch, &edit);
            (patch, m.instance("prefixer", &prefix, &edit))
        }
        true => {
            let (patch, prefix) = (patch::in_turns(g)?, prefix::in_turns(g)?);
            let steps = slot_valid & slot_in.field("packet");
            let ports = [
                ("edit", edit),
                ("step", steps),
                ("starts", slot_in.field("starts")),
            ];
            let patch = m.instance("patcher", &patch, &ports);
            let first = slot_in.field("first");
            let ports = [("edit", edit), ("valid", slot_valid), ("first", first)];
            (patch, m.instance("prefixer", &prefix, &ports))
        }
    };
    // What depends on the edit alone is there a clock before the slot, and stays longer.
    let ahead = u32::from(in_turns);
    let kept = meta();
    let fields: Vec<_> = kept
        .fields()
        .iter()
        .map(|f| (f.name.as_str(), edit.field(&f.name)))
        .collect();
    let kept_in = m.pack(&kept, &fields);

    // Clock 2: the bytes of the packet, in a beat of their own.
    let beat_bits = clog2(g.bus_bytes);
    let halves = |name: &str| edit.field(name).slice(1, beat_bits - 1);
    let in_slot = slot_in.delay(2).named("in_slot");
    let offset = halves("strip").named("offset").delay(2 - ahead);
    let swap = in_slot.field("odd");
    let low = swap.mux(odd, even).when(in_slot.field("low")).named("low");
    let high = swap
        .mux(even, odd)
        .when(in_slot.field("high"))
        .named("high");
    let of_packet = shifted(high.cat(low), offset, g);
    let read = of_packet.named("of_packet").reg();

    // Clock 3: edits, the new place, and what is in front.
    let valid = slot_valid.delay(3).named("slot_valid_3");
    let now = slot_in.delay(3).named("slot_3");
    let moved = halves("prefix").named("moved").delay(3 - ahead);
    let (is_packet, first) = (now.field("packet"), now.field("first"));
    // Where hundreds of bits wait for it, from a register and not from a shift register of the FPGA, which has no reset.
    let starts = match in_turns {
        true => now.field("starts"),
        false => slot_in.field("starts").as_valid().delay(3),
    };
    let step = (valid & is_packet).named("packet_step");
    let (overlay, nibbles) = match in_turns {
        true => (patch.get("data"), patch.get("mask")),
        false => {
            let patch = patch.get("patch");
            let next = |name: &str, field: &str, bits: u32| {
                advancing(&m, name, patch.field(field), bits, starts, step)
            };
            let data = next("patch_data", "data", data_bits(g));
            (data, next("patch_mask", "mask", g.bus_bytes * 2))
        }
    };
    let edited = ((read & !masked(nibbles, 4)) | overlay).named("edited");
    let before = m.reg_no_reset("beat_before", data_bits(g));
    before.set_when(step, edited);
    let placed = shifted_up(edited.cat(before.q()), moved, g).named("placed");

    let heads = match in_turns {
        true => prefix.get("data"),
        false => advancing(
            &m,
            "prefix_left",
            prefix.get("prefix"),
            data_bits(g),
            first,
            valid,
        ),
    };
    // Which bytes of a beat that starts are in front of the packet; where that is asked by many, it is known a clock before.
    let (of_start, clocks) = match in_turns {
        true => (moved, 0),
        false => (halves("prefix").delay(2), 1),
    };
    let bytes_in_front: Vec<_> = (0..g.bus_bytes)
        .map(|byte| {
            let of_start = of_start.gt(of_start.lit(u128::from(byte / 2)));
            of_start.delay(clocks) & starts | !is_packet
        })
        .rev()
        .collect();
    let in_front = m.concat(&bytes_in_front).named("in_front");
    let in_front = masked(in_front, 8);
    let out_data = (placed & !in_front) | (heads & in_front);

    // Where the frame ends now.
    let sent = m.reg_no_reset("bytes_before", LENGTH_BITS);
    let last = now.field("last");
    let sent_before = first.mux(sent.lit(0), sent.q()).named("sent_before");
    sent.set_when(valid, sent_before + m.lit(LENGTH_BITS, g.bus_bytes.into()));
    let count = last.mux(now.field("count"), m.lit(count_bits(g), g.bus_bytes.into()));
    let error = last & now.field("error");
    let out = m.pack(
        &edited_beat(g),
        &[
            ("data", out_data),
            ("count", count),
            ("first", first),
            ("last", last),
            ("error", error),
        ],
    );
    let change = edit.field("strip").zext(LENGTH_BITS) - edit.field("prefix").zext(LENGTH_BITS);
    let change = change.named("length_change").delay(3 - ahead);
    let length_out = (sent_before + now.field("count").zext(LENGTH_BITS)).named("length_out");
    let end = m.pack(
        &ending(),
        &[
            ("error", error),
            ("length_in", length_out + change),
            ("length_out", length_out),
        ],
    );
    m.output("soon", valid);
    m.output("soon_first", first);
    let out_port = edit.field("out_port").named("out_port");
    let kept_in = kept_in.named("kept");
    let meta = in_turns.then(|| {
        // From two clocks behind a copy's first slot until two behind that of the next, which comes three behind its last.
        let begins = (slot_valid & slot_in.field("first")).named("begins");
        let meta = m.reg_no_reset("meta_q", kept.width());
        meta.set_when(begins.as_valid().reg(), kept_in);
        meta.q().with_record(&kept)
    });
    let soon_port = match meta {
        Some(meta) => meta.field("out_port"),
        None => out_port.delay(LATENCY - 1),
    };
    m.output("soon_port", soon_port);
    m.output("valid", valid.as_valid().reg());
    m.output("out", out.reg());
    let meta = meta.unwrap_or_else(|| kept_in.delay(LATENCY).with_record(&kept));
    m.output("out_meta", meta);
    m.output("end_valid", (valid & last).as_valid().reg());
    m.output("ending", end.reg());
    m.cover("prefix_alone", valid & !is_packet);
    m.finish()
}

/// The first `bits` of `new` with `starts`, then the next with each `enable`.
fn advancing<'m>(
    m: &'m Module,
    name: &str,
    new: Sig<'m>,
    bits: u32,
    starts: Sig<'m>,
    enable: Sig<'m>,
) -> Sig<'m> {
    let left = m.reg_no_reset(name, new.width());
    let here = starts.mux(new, left.q());
    left.set_when(enable, here.shr(bits));
    match bits <= here.width() {
        true => here.trunc(bits),
        false => here.zext(bits),
    }
}

/// Each bit `times` over.
fn masked<'m>(bits: Sig<'m>, times: u32) -> Sig<'m> {
    let wide: Vec<_> = bits
        .bits()
        .into_iter()
        .rev()
        .map(|b| b.repl(times))
        .collect();
    bits.module().concat(&wide)
}

/// One beat of two, from half-word `from` of the lower on.
fn shifted<'m>(pair: Sig<'m>, from: Sig<'m>, g: &Geometry) -> Sig<'m> {
    let choices: Vec<_> = (0..g.bus_bytes / 2)
        .map(|half| pair.slice(half * 16, data_bits(g)))
        .collect();
    pair.module().index(&choices, from)
}

/// The higher beat of two, moved up by `by` half-words, the upper ones of the lower beat behind it.
fn shifted_up<'m>(pair: Sig<'m>, by: Sig<'m>, g: &Geometry) -> Sig<'m> {
    let choices: Vec<_> = (0..g.bus_bytes / 2)
        .map(|half| pair.slice(data_bits(g) - half * 16, data_bits(g)))
        .collect();
    pair.module().index(&choices, by)
}

#[cfg(test)]
mod tests;
