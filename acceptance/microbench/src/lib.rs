//! What one packet costs, layer by layer, without a network: instructions as callgrind counts them.
//!
//! Instructions are the same on a busy machine and on an idle one, so a test can hold them to a bar; times cannot.

pub mod callgrind;
pub mod cases;
pub mod flows;
pub mod packets;
