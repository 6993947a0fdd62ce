//! The NAT64 engine: RFC 6146 and RFC 7915, and NAT44 for IPv4 peers in the same tables.
//!
//! What must stay true:
//! * It is a pure function of what it is handed: no clock, no randomness, no thread, no socket. `now` and the seed are
//!   arguments; packets are changed in the caller's buffer; what it makes itself waits in [`Engine::poll_transmit`].
//! * Every inside endpoint has one outside endpoint per protocol, whatever it speaks to, and nobody else has the same
//!   one.
//! * Nothing private is ever reached: policy speaks before any state exists.
//! * Nothing that arrives can make it panic or grow without bound: every table has a limit, every refusal a
//!   [`DropReason`] with a counter.
#![forbid(unsafe_code)]

mod arrival;
mod bib;
mod chunks;
mod config;
mod drop;
mod engine;
mod error_source;
mod event;
mod filtering;
mod fragments;
mod hash;
mod held;
mod hints;
mod icmp_error;
mod icmp_query;
mod identification;
mod index_table;
mod mapping;
mod network;
mod pairing;
mod peers;
mod policy;
mod pool4;
mod prefixes;
mod probe;
mod reply;
mod session;
mod slab;
mod state;
mod stats;
mod tcp;
mod timers;
mod transmit;
mod tuple;
mod udp;
mod unsolicited;
mod wheel;
mod xlat;

pub use contract::{REGISTRY, Reach, SpecialPurpose, special_purpose};

pub use config::{
    Config, ErrorSource4, EventLog, Filtering, Hairpinning, Limits, MssClamping, OwnErrors, Pool4, Pooling, Reassembly,
    Refresh, TrafficClass, UdpWithoutChecksum, Unsolicited,
};
pub use drop::{DropReason, Verdict};
pub use engine::Engine;
pub use event::{Binding, Event};
pub use mapping::{BibView, MappingError, Removed, SessionView, StaticMapping};
pub use stats::{Stats, TableSize, TableSizes, Traffic};
pub use tcp::TcpState;
pub use timers::Lifetimes;
pub use transmit::{Side, Transmit};
pub use tuple::Protocol;
