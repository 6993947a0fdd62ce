//! What one packet costs, layer by layer, without a network: instructions as callgrind counts them, and what a million
//! flows take of memory and of time.
//!
//! Instructions are the same on a busy machine and on an idle one, so a test can hold them to a bar; times only as
//! ratios, or as CPU time of which the best of several rounds counts.

pub mod callgrind;
pub mod cases;
pub mod ends;
pub mod flows;
pub mod packets;
pub mod tables;
