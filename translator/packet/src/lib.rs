//! Packets as bytes: borrowed views of the headers, checksums, the virtio-net header, cutting super-packets and merging
//! packets into them.
//!
//! Everything here treats its bytes as hostile. Lengths are checked once, when a view is made (`parse`); afterwards a
//! view only reads inside what it checked. Nothing here allocates for a packet of ordinary size, and nothing but a
//! coalescer keeps state.
#![forbid(unsafe_code)]

pub mod checksum;
pub mod coalesce;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod segment;
pub mod tcp;
pub mod udp;
pub mod virtio;

mod buffer;
mod frame;
mod layout;
mod malformed;

pub use buffer::{Checksum, HEADROOM, NoHeadroom, Offload, Packet, SegmentKind, Segments};
pub use frame::Frame;
pub use layout::{Family, Layout, TransportHeader};
pub use malformed::Malformed;

/// The protocol numbers the translator knows (IANA protocol numbers).
pub mod protocol {
    /// IPv6 hop-by-hop options (RFC 8200 §4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4 (RFC 792).
    pub const ICMPV4: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// IPv6 routing header (RFC 8200 §4.4).
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header (RFC 8200 §4.5).
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options (RFC 8200 §4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
}
