//! What operators see of the tables, and the mappings they make by hand.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use contract::Pool6;

use crate::Protocol;
use crate::tcp::TcpState;

/// A BIB entry made by hand (RFC 6146 §3.1): either side may start a session with it, and it never expires.
///
/// For ICMP the port is the identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticMapping {
    /// Whose BIB.
    pub protocol: Protocol,
    /// The endpoint of pool4 that the outside speaks to.
    pub outer: SocketAddrV4,
    /// The inside endpoint: IPv6, or the IPv4 of a peer that has NAT44.
    pub inner: SocketAddr,
}

/// What [`Engine::remove_mapping`](crate::Engine::remove_mapping) took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Who had the outside endpoint.
    pub inner: SocketAddr,
    /// Whether it was made by hand.
    pub is_static: bool,
    /// Sessions that went with it.
    pub sessions: usize,
}

/// Why a mapping could not be made or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// The outside endpoint is not part of pool4.
    OutsidePool4 {
        /// The endpoint asked for.
        outer: SocketAddrV4,
    },
    /// Somebody else has the outside endpoint.
    Taken {
        /// The endpoint asked for.
        outer: SocketAddrV4,
        /// Who has it.
        by: SocketAddr,
    },
    /// The inside endpoint has another outside endpoint already.
    InnerMapped {
        /// The inside endpoint.
        inner: SocketAddr,
        /// What it has.
        outer: SocketAddrV4,
    },
    /// No host inside can have the address.
    InnerImpossible {
        /// The inside endpoint asked for.
        inner: SocketAddr,
    },
    /// The BIB is full.
    BibFull,
    /// Nobody has the outside endpoint.
    NotMapped {
        /// The endpoint asked for.
        outer: SocketAddrV4,
    },
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsidePool4 { outer } => {
                write!(f, "{outer} is not in pool4; choose one of its addresses and ports, or add it to pool4")
            }
            Self::Taken { outer, by } => write!(f, "{outer} belongs to {by}; remove that mapping first"),
            Self::InnerMapped { inner, outer } => {
                write!(f, "{inner} is mapped to {outer} already; remove that mapping first")
            }
            Self::InnerImpossible { inner } => write!(
                f,
                "{inner} cannot be a host inside; give a global IPv6 address outside pool6, or a peer's IPv4 address"
            ),
            Self::BibFull => write!(f, "the BIB is full; remove mappings or raise its limit"),
            Self::NotMapped { outer } => write!(f, "{outer} is not mapped; the BIB lists what is"),
        }
    }
}

impl std::error::Error for MappingError {}

/// A BIB entry as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BibView {
    /// Whose BIB.
    pub protocol: Protocol,
    /// The inside endpoint; for ICMP the port is the identifier.
    pub inner: SocketAddr,
    /// The outside endpoint.
    pub outer: SocketAddrV4,
    /// Whether it was made by hand.
    pub is_static: bool,
    /// Its sessions.
    pub sessions: u32,
}

/// A session as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Whose session table.
    pub protocol: Protocol,
    /// The inside endpoint.
    pub inner: SocketAddr,
    /// The outside endpoint.
    pub outer: SocketAddrV4,
    /// The IPv4 endpoint it speaks to; port 0 for ICMP.
    pub remote: SocketAddrV4,
    /// The prefix of pool6 under which the inside speaks to it, and is answered; `None` for a peer that has NAT44.
    pub pool6: Option<Pool6>,
    /// The state of a TCP session.
    pub state: Option<TcpState>,
    /// How long it has to live if nobody speaks.
    pub expires_in: Duration,
}
