//! The contract between hardware, compiler, driver and models.
//!
//! Pure data: nothing here knows a device, a file or a service. Every offset, width, table
//! size, reason code and hash lives here once; RTL constants, table images, register accessors
//! and the reference in `docs/` are made from it.
//!
//! Where things are:
//! * [`layout`]: records as lists of fields, packed LSB first; bit vectors ([`layout::Row`]);
//! * [`tables`]: the tables of the pipeline in the order a packet meets them;
//! * [`geometry`]: how many rows, ports and beats a build of the card has;
//! * [`reason`]: why a packet went to the host instead of to a device;
//! * [`hash`]: how a key finds its bucket;
//! * [`wire`]: protocol numbers, header sizes and parser limits;
//! * [`stage`]: the records handed from stage to stage inside the pipeline;
//! * [`counters`]: the counter sets;
//! * [`host`]: the card as a host sees it: registers, rings, PCI;
//! * [`reference`]: `spec.json` and the generated table reference.

pub mod counters;
pub mod geometry;
pub mod hash;
pub mod hasher;
pub mod host;
pub mod layout;
pub mod reason;
pub mod reference;
pub mod rules;
pub mod stage;
pub mod tables;
pub mod wire;

/// Version of the layouts. Raised on every change an older card or image would misread.
pub const SPEC_VERSION: u32 = 2;
