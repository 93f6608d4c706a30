//! The card as a host sees it: PCI function, registers, rings.
//!
//! # How it works
//!
//! BAR 0 is the registers ([`registers`]). Everything in quantity goes by DMA through *rings*
//! ([`rings`]): pieces of host memory that the driver lends to the card. A ring is a row of *lines* of
//! [`rings::LINE_BYTES`] bytes, and holds *records*: a header line, then as many lines as the payload needs,
//! one record behind the other, round and round. There are no descriptors that point elsewhere: the header in
//! front of the payload says what a descriptor would, so the card reads nothing to deliver a packet and
//! writes in whole lines, and the driver finds the next packet where the last one ended.
//!
//! Both sides count lines with an *index* that runs on modulo 2^[`rings::INDEX_BITS`]; its low bits are the
//! place. The producer's index is where the next record starts, the consumer's is where it will read on.
//!
//! * The driver tells its index by a posted write to [`registers::DOORBELL`]. It never has to read a register
//!   while packets flow.
//! * The card tells its index by writing the ring's [`rings::STATUS`] line to host memory, after everything in
//!   front of the index is there (it waits for the write responses). The driver polls that line, or
//!   arms the ring with its doorbell and gets one interrupt.
//!
//! # Rings
//!
//! | ring | producer | records |
//! | --- | --- | --- |
//! | `packets` 0 to 3 | card | packets to the host ([`rings::TO_HOST`], metadata [`crate::stage::HOST_META`]), by reason ([`registers::QUEUE_OF_REASON`]) |
//! | `answers` 4 | card | rows that were read, items of a counter snapshot |
//! | `transmit` 5 | driver | packets out of a port unedited, or into the pipeline ([`rings::TRANSMIT`]) |
//! | `commands` 6 | driver | rows to write and to read, in order ([`rings::COMMAND`]) |
//!
//! A packet for a ring that is stopped or has no room for the longest record is dropped whole and counted
//! in the ring; the others go on. Answers wait for room instead. Rows are written in the order of the
//! commands; the index in the status line of `commands` says how far. A row that is read goes to `answers` in
//! the same order, so an answer is as good a fence as the index.
//!
//! A snapshot of all counters is begun by a command that writes row 0 of table 127 (`snapshot`); its items
//! ([`crate::counters::SNAPSHOT_ITEM`]) come to `answers` as records of their own, until the last.
//!
//! # Interrupts
//!
//! Vector r is ring r's, vector [`rings::ERROR_VECTOR`] is for errors and links. A vector fires once when it is armed, not
//! masked, and something is pending: for a card's ring, records published behind the index in the doorbell that
//! armed it; for a driver's ring, that all up to that index was consumed. It is held back until `count` records
//! are pending or the oldest is `time` old ([`registers::RING_MODERATION`]; a driver's ring is not held back), then
//! it is disarmed until the next doorbell with `arm`. A record that is published between the driver's last look and the doorbell fires
//! at once, so none is missed. No register has to be read: the vector is the cause.
//!
//! # Starting a ring
//!
//! Write base, status address, size; then `enable` in [`registers::RING_CONTROL`]. Both indexes are then 0. The
//! driver zeroes the status line first. To stop it, clear `enable` and wait for `busy` in
//! [`registers::RING_STATE`] to be 0: after that the card touches the memory no more. The same holds for
//! `reset` in [`registers::CONTROL`] (and a function level reset) and its `resetting`. Table memories, counters
//! and packets between ports are not touched by either.
//!
//! # What each side checks
//!
//! | the other side | what happens |
//! | --- | --- |
//! | driver: base or status address not aligned, size out of range | the ring does not start: error `config` |
//! | driver: index more than the ring's lines ahead, or behind what it said before | the ring stops: error `index` |
//! | driver: header whose length or operation cannot be | the ring stops: error `record` |
//! | driver: port or mode that there is not, frame shorter than an Ethernet header | that frame is dropped, counted in `dropped` |
//! | driver: rows or tables that there are not | written nowhere, read as 0 |
//! | driver: registers at random | as above; what is not there reads 0, and is answered with SLVERR as are addresses and writes that are not of whole words: those write nothing |
//! | driver: addresses or size changed while the ring runs | nothing: they cannot be written then |
//! | host memory answers a transfer with an error (IOMMU) | the ring stops: error `bus`, no status line says so; the error vector fires |
//! | card: index in the status line not between the driver's and that plus the ring's lines | the driver stops the ring: the card is broken |
//! | card: header whose kind or lines do not fit what the index says is there | the same |
//! | card: all ones from a register, identity that is not what it was | the card is gone |
//!
//! The card writes to `[base, base + lines * 64)` of the rings the driver produces nothing in, and to
//! the status lines, and nowhere else; so with an IOMMU that maps no more than these no memory can be harmed.

pub mod pci;
pub mod reference;
pub mod registers;
pub mod rings;
