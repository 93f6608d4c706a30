//! Real programs through the software engine: the figures of `examples`, and devices, servers and engines that die under a
//! download. Needs root, namespaces and the programs; says so and passes where there are none.

mod one_engine;
mod two_engines;
mod up;
