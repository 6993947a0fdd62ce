//! What the fuzz targets do with the bytes they are given: a script is read from them, an engine that has sessions lives
//! through it, and after every step must hold what always holds.
//!
//! The targets in `fuzz/` are one line each around [`TARGETS`], and the test of this crate replays their corpora and
//! every input that ever found a mistake. Bytes that end early end the script: no input is invalid.
#![forbid(unsafe_code)]

mod bench;
mod coalesce;
mod control;
mod document;
mod fragments;
mod icmp_errors;
mod invariants;
mod operations;
mod oracle;
mod packets;
mod reassembly;
mod script;
mod traffic;
mod virtio;

pub mod seeds;

pub use coalesce::coalesce;
pub use control::control;
pub use dns64::drive::{answer as dns_answer, query as dns_query};
pub use document::document;
pub use fragments::fragments;
pub use icmp_errors::icmp_errors;
pub use traffic::{inside, outside};
pub use virtio::virtio;

/// A fuzz target: panics if the bytes show a mistake.
pub type Target = fn(&[u8]);

/// Every target by the name of its binary, its corpus and its crashes.
pub const TARGETS: [(&str, Target); 10] = [
    ("coalesce", coalesce),
    ("control", control),
    ("dns_answer", dns_answer),
    ("dns_query", dns_query),
    ("document", document),
    ("fragments", fragments),
    ("icmp_errors", icmp_errors),
    ("inside", inside),
    ("outside", outside),
    ("virtio", virtio),
];
