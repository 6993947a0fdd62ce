//! DNS64 (RFC 6147): what to answer an IPv6-only client, as a pure function of the policy and of two outcomes.
//!
//! What must stay true:
//! * No clock, no randomness, no thread, no socket: `now` and seeds are arguments.
//! * Nothing that arrives, from a client or from an upstream, can make it panic or grow without bound.
//! * An address is embedded by [`contract::Pool6`], the function by which the NAT64 extracts it.
#![forbid(unsafe_code)]

mod cache;
mod chain;
mod codes;
pub mod dnssec;
pub mod drive;
mod local;
mod name;
mod outcome;
mod policy;
mod question;
mod reply;
mod synth;
mod wire;

pub use cache::{Cache, Key, Limits, Slot};
pub use chain::{MOST_ALIASES, Step, follow, substitute};
pub use codes::{CLASS_IN, Ede, Rcode, RecordType};
pub use dnssec::Anchor;
pub use local::{Local, local, ptr_reply};
pub use name::{MAX_NAME, Name, NameError, NameRef};
pub use outcome::{Outcome, Records, Security, Seen};
pub use policy::{AddressList, Family, Healthy, MOST_PREFIXES, Matched, Policy, PolicyError, Prefix, View};
pub use question::{Dnssec, answers, write_question};
pub use reply::{Kind, LARGEST_UDP, Reply, Transport, write_wrong};
pub use synth::{Verdict, decide};
pub use wire::{Edns, HEADER, Malformed, Message, NoQuery, Query, Question, Record, RecordRef};
