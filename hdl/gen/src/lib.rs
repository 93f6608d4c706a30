//! A small typed hardware generator: modules are written in Rust, printed as readable Verilog, and
//! evaluated clock by clock inside `cargo test`.
//!
//! # The rules
//!
//! - **Widths are exact.** Nothing widens or narrows by itself: `a + b`, `a & b`, `a.eq(b)` want equal
//!   widths; use [`Sig::zext`], [`Sig::trunc`], [`Sig::slice`], [`Sig::add_carry`]. Constants take the
//!   width of their partner: `a + a.lit(1)`, `a.is(5)`.
//! - **Mistakes do not panic.** They are collected with the names and widths of both values and the
//!   Rust line; [`Module::finish`] returns all of them as `Err(Vec<GenError>)`.
//! - **Stages.** An input of a pipeline is declared at a stage ([`Module::input_at`]). Joining values of
//!   different stages delays the earlier ones by themselves; every value has one chain of delay registers,
//!   which all users share; an unnamed slice, field or zero-extension is delayed as its whole, a named
//!   one by itself. [`Sig::reg`] moves a value to its next stage. [`Module::output_at`] demands a
//!   stage, [`Module::output`] takes the stage the value has; [`Circuit::latency`] gives the result as data.
//! - **Stage `None`** means "valid at any stage": constants, configuration ([`Module::input`]), state
//!   ([`Module::reg`]), wires, streams. Joined with a staged value it takes no delay and the result has the
//!   stage. Sequential logic is simply made of stage-less values. A register may be *set* from any stage
//!   (a counter of packets at stage 3); where its value is read back in a pipeline you say at which stage
//!   you sample it with [`Sig::at_stage`] if that matters. A staged value enters a wire or a stage-less
//!   port of a child only with [`Sig::unstaged`].
//! - **Valid bits** are inputs by [`Module::input_valid`] or marked by [`Sig::as_valid`]: only their delay
//!   registers are reset. Results of operations are not marked by themselves.
//! - **Clock and reset** are made by the generator: `clk`, and `rst` (synchronous, active high), each only
//!   where used.
//! - **Dead code** is not printed. [`Sig::keep`] keeps a value for the evaluator.
//!
//! # A pipelined module with a memory
//!
//! ```
//! use seqnic_gen::{Module, RamSpec, RamStyle, Record, Sim, Circuit, GenError, wire};
//!
//! fn lookup() -> Result<Circuit, Vec<GenError>> {
//!     let row = Record::new("row", [("key", 16), ("value", 8), ("used", 1)]); // or (&LAYOUT).into()
//!     let m = Module::new("lookup");
//!     m.doc("Direct-mapped table: the key's low bits choose the row.");
//!     // What comes in at stage 0, and the configuration, which has no stage.
//!     let valid = m.input_valid("valid", 0);
//!     let key = m.input_at("key", 16, 0);
//!     let (cfg_write, cfg_addr) = (m.input("cfg_write", 1), m.input("cfg_addr", 6));
//!     let cfg_row = m.input("cfg_row", row.width());
//!
//!     let table = m.ram("rows", RamSpec::of(64, &row).style(RamStyle::Block)); // latency 2
//!     let found = table.read(key.trunc(6));                                    // stage 2, a record
//!     let cfg_read = table.config(cfg_write, cfg_addr, cfg_row);               // port B
//!
//!     // `key` and `valid` are of stage 0: their delay registers come by themselves.
//!     wire!(hit = valid & found.field("used") & found.field("key").eq(key));
//!     let hit = hit.reg();                                                     // stage 3
//!     m.output("hit", hit);
//!     m.output_at("value", found.field("value").when(hit), 4);
//!     m.output_at("hit_valid", valid, 4);
//!     m.output("cfg_read", cfg_read);
//!     m.finish()
//! }
//!
//! let circuit = lookup().unwrap();
//! assert_eq!(circuit.latency(), Some(4));
//! let mut sim = Sim::new(&circuit);
//! // row: used = 1, value = 0x5a, key = 0x1234
//! sim.poke("rows", 0x34, &seqnic_gen::Bits::new(25, 1 << 24 | 0x5a << 16 | 0x1234));
//! sim.set("valid", 1);
//! sim.set("key", 0x1234);
//! sim.step_n(3);
//! assert_eq!(sim.get("hit"), 1);
//! sim.step();
//! assert_eq!(sim.get("value"), 0x5a);
//! for file in circuit.verilog() {
//!     assert!(file.name == "lookup.v" && file.text.contains("module lookup"));
//! }
//! ```
//!
//! # A sequential module
//!
//! ```
//! use seqnic_gen::{Module, Sim, mux};
//!
//! let m = Module::new("packets");
//! let input = m.stream_in("rx", 32);                 // rx_valid, rx_data, rx_ready
//! let (queued, count) = input.fifo("queue", 16);     // an instance of stream_fifo_w32_d16
//! let total = m.reg("total", 8, 0);
//! total.set_when(queued.fire(), total.q() + total.lit(1));
//! m.output("total", total.q());
//! m.output("waiting", count);
//! m.stream_out("tx", queued.register_slice("out"));
//! let circuit = m.finish().unwrap();
//!
//! let mut sim = Sim::new(&circuit);
//! sim.reset();
//! sim.set("rx_valid", 1);
//! sim.set("rx_data", 7);
//! sim.set("tx_ready", 1);
//! sim.step_n(3);
//! assert_eq!((sim.get("tx_valid"), sim.get("tx_data")), (1, 7));
//! assert!(sim.get("queue.count") > 0);               // inside of the child
//! ```
//!
//! # What there is
//!
//! | topic | items |
//! | --- | --- |
//! | ports | [`Module::input`], [`Module::input_at`], [`Module::input_valid`], [`Module::input_record`], [`Module::output`], [`Module::output_at`] |
//! | constants | [`Module::lit`], [`Module::lit_bits`] with [`Bits`], [`Sig::lit`] |
//! | bitwise, arithmetic | `& \| ^ ! + -`, [`Sig::add_carry`], [`Sig::shl`], [`Sig::shr`], [`Sig::shl_by`], [`Sig::shr_by`] |
//! | compare (unsigned) | [`Sig::eq`], [`Sig::ne`], [`Sig::lt`], [`Sig::le`], [`Sig::gt`], [`Sig::ge`], [`Sig::is`] |
//! | bits | [`Sig::slice`], [`Sig::bit`], [`Sig::bits`], [`Sig::chunks`], [`Sig::msb`], [`Sig::trunc`], [`Sig::zext`], [`Sig::cat`], [`Sig::repl`], [`Module::concat`] (most significant first) |
//! | reduce | [`Sig::any`], [`Sig::all`], [`Sig::parity`], [`Sig::parity_of`], [`Module::or`], [`Module::and`], [`Module::xor`] of lists |
//! | choose | [`mux`], [`Sig::when`], [`Module::select_onehot`], [`Module::priority`], [`Module::index`], [`Module::slice_by`], [`Module::bit_by`], [`Module::onehot`], [`Sig::lowest_set`] |
//! | records | [`Record`] (from a spec `&Layout` by `into()`), [`Sig::with_record`], [`Sig::field`], [`Sig::with_field`], [`Module::pack`] |
//! | names | [`Sig::named`], [`wire!`], [`Sig::keep`] |
//! | stages | [`Sig::reg`], [`Sig::delay`], [`Sig::to_stage`], [`Module::align`], [`Sig::at_stage`], [`Sig::unstaged`], [`Sig::as_valid`]; [`Circuit::spaced`], [`Module::spaced_valid`] |
//! | state | [`Module::reg`], [`Module::reg_bits`], [`Module::reg_no_reset`], [`Reg::set`], [`Reg::set_when`], [`Module::wire`], [`Wire::drive`] |
//! | simulators | [`Circuit::simulation`]; [`Sig::needed_if`], [`Reg::rests_unless`] |
//! | memory | [`Module::ram`] with [`RamSpec`] ([`RamStyle`], [`Collision`]); [`Ram::read`], [`Ram::read_when`], [`Ram::look`]; [`Ram::write`], [`Ram::config`] or [`Ram::config_when`] |
//! | hierarchy | [`Module::instance`], [`Instance::get`]; [`Circuit::verilog`], [`Circuit::write_to`] |
//! | streams | [`Stream`], [`Module::stream_in`], [`Module::stream_out`], [`Stream::register_slice`], [`Stream::fifo`], [`Stream::queue`] |
//! | properties | [`Module::assert`], [`Module::assume`], [`Module::cover`] |
//! | arithmetic library | [`math::clmul_top`], [`math::crc32c`] |
//! | evaluator | [`Sim`]: [`Sim::set`], [`Sim::step`], [`Sim::get`], [`Sim::peek`], [`Sim::poke`] |

mod bits;
mod check;
mod circuit;
mod error;
mod eval;
mod instance;
pub mod math;
mod memory;
mod module;
mod names;
mod node;
mod ops;
mod print;
mod record;
mod select;
mod sig;
mod spaced;
mod stage;
mod state;
pub mod stream;
mod waits;

pub use bits::Bits;
pub use circuit::{Circuit, Memory, Port, SourceFile};
pub use error::{At, ErrorKind, GenError, Named};
pub use eval::{Handle, Sim, SimError};
pub use instance::Instance;
pub use memory::{Ram, RamSpec};
pub use module::Module;
pub use node::{Collision, PropKind, RamStyle};
pub use record::{Record, RecordField};
pub use select::{clog2, mux};
pub use sig::Sig;
pub use spaced::SPACED_VALID;
pub use state::{Reg, Wire};
pub use stream::Stream;

/// `wire!(hit = a.eq(b))` is `let hit = a.eq(b).named("hit")`: the Rust name is the Verilog name.
#[macro_export]
macro_rules! wire {
    ($name:ident = $value:expr) => {
        let $name = $value.named(stringify!($name));
    };
}
