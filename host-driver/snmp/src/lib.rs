//! SNMP: an AgentX sub-agent (RFC 2741) beside snmpd.
//!
//! * [`mib`]: every object once, as data; [`text`] prints the module `SEQNIC-MIB` from it, [`tree`] answers by it;
//! * [`fill`]: what `seqnicd` says, as rows; [`events`]: what changed between two of its answers, as notifications;
//! * [`write`](mod@write): what may be set;
//! * [`session`]: the connection to the master agent.
//!
//! It is a process of its own: it needs no rights of the daemon's, and neither ends with the other.

pub mod events;
pub mod fill;
pub mod mib;
pub mod session;
pub mod text;
pub mod tree;
pub mod write;
