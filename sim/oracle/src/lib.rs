//! The definition oracle: a slow, obvious reading of a service definition, packet by packet.
//!
//! It knows the checked definition and `docs/semantics.md`, and nothing of tables, hashes or
//! layouts. What it and the other engines disagree on is a bug in one of them.
//!
//! | file | `docs/semantics.md` |
//! | --- | --- |
//! | `parse` | section 1, from frame to headers |
//! | `tag` | sections 1 and 6, tags and tunnels on arrival |
//! | `looks` | sections 2 and 6, how packets of a service look |
//! | `road` | section 6, where packets of a service go |
//! | `walk` | section 6, where this packet goes, and who may send it |
//! | `edit` | section 4, what a copy becomes |
//! | `encapsulate` | section 4, tags and tunnels it leaves with |
//! | `rate` | section 8, meters and limits |
//! | `acl` | section 7 |
//! | `oracle` | sections 3 and 5, the verdict and the counters |

mod acl;
mod edit;
mod encapsulate;
mod health;
mod looks;
mod oracle;
mod parse;
mod rate;
mod road;
mod spread;
mod tag;
mod walk;

pub use oracle::Oracle;
