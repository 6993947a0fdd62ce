//! DNS messages: what a client asks, what an upstream answers, and what we send.

mod message;
mod query;
mod rdata;
mod reader;
mod writer;

pub use message::{Message, Question, Record, RecordRef};
pub use query::{Edns, NoQuery, Query};
pub(crate) use rdata::{Part, parts};
pub use reader::Malformed;
pub(crate) use reader::Reader;
pub(crate) use writer::{Section, Writer};

/// The octets of a header (RFC 1035 §4.1.1).
pub const HEADER: usize = 12;

/// Flags of the header's second word.
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 0x8000;
    pub(crate) const TRUNCATED: u16 = 0x0200;
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(crate) const AUTHENTIC_DATA: u16 = 0x0020;
    pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
    pub(crate) const OPCODE: u16 = 0x7800;
}
