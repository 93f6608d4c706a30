//! Frames of the pipeline and of the host, out of one port: module `host_joiner`.

use super::by_turns;
use crate::stream::data_bits;
use seqnic_gen::{Circuit, GenError, Module, Record, Stream};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::PORT_META;

/// A beat of AXI4-Stream.
pub fn axis(g: &Geometry, user: u32) -> Record {
    Record::new(
        "axis",
        [
            ("tdata", data_bits(g)),
            ("tkeep", g.bus_bytes),
            ("tlast", 1),
            ("tuser", user),
        ],
    )
}

/// Takes `core_*` and `host_*` (AXI4-Stream, the host's without sideband), gives `m_*`: whole frames, by turns.
/// The sideband of the host's is 0.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_joiner");
    m.doc("Frames of the pipeline and of the host, out of one port, whole and by turns.");
    let user = PORT_META.width();
    let beat = axis(g, user);
    let stream = |from: &str| {
        let input = |s: &str, width| m.input(&format!("{from}_{s}"), width);
        let sideband = match from {
            "core" => input("tuser", user),
            _ => m.lit(user, 0),
        };
        let fields = [
            ("tdata", input("tdata", data_bits(g))),
            ("tkeep", input("tkeep", g.bus_bytes)),
            ("tlast", input("tlast", 1)),
            ("tuser", sideband),
        ];
        let stream = Stream::new(from, input("tvalid", 1), m.pack(&beat, &fields));
        m.output(&format!("{from}_tready"), stream.ready());
        stream
    };
    let (core, host) = (stream("core"), stream("host"));
    let out = by_turns(&m, "out", core, host, false, |d| d.field("tlast")).register_slice("slice");
    out.accept(m.input("m_tready", 1));
    m.output("m_tvalid", out.valid);
    for s in ["tdata", "tkeep", "tlast", "tuser"] {
        m.output(&format!("m_{s}"), out.field(s));
    }
    m.finish()
}
