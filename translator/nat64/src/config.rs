//! What an engine is told: addresses, sizes, policy and limits.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use contract::Pool6;
use ipnet::Ipv4Net;

/// The configuration of an [`Engine`](crate::Engine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The prefix that stands for IPv4 (RFC 6052).
    pub pool6: Pool6,
    /// The transport addresses the engine may show to the outside (RFC 6146 §2).
    pub pool4: Vec<Pool4>,
    /// Inside sources that are IPv4 already; they get NAT44.
    pub ipv4_peers: Ipv4Net,
    /// Source of the ICMPv6 errors the engine makes.
    pub address6: Ipv6Addr,
    /// Source of the ICMPv4 errors to peers; no peer may use it. To the internet, errors come from pool4.
    pub address4: Ipv4Addr,
    /// Largest packet towards the inside, in bytes; the tunnel's for IPv6 and IPv4 alike.
    pub mtu6: u16,
    /// Largest packet towards the outside, in bytes.
    pub mtu4: u16,
    /// The home's own addresses, refused as destinations whatever `allow` says.
    pub own_addresses: Vec<Ipv4Addr>,
    /// Exceptions to the refusal of special-purpose destinations (RFC 6890).
    pub allow: Vec<Ipv4Net>,
    /// Who may answer to a mapping.
    pub filtering: Filtering,
    /// Bounds of the tables.
    pub limits: Limits,
}

/// Part of the outside transport addresses of an engine. Port 0 is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool4 {
    /// The address.
    pub address: Ipv4Addr,
    /// Its TCP and UDP ports and ICMP identifiers.
    pub ports: RangeInclusive<u16>,
}

/// Who may send to a mapping (RFC 4787 §5, RFC 6146 §3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Anybody: the choice of RFC 4787 REQ-8 where application transparency matters most.
    #[default]
    EndpointIndependent,
    /// Only addresses the inside endpoint has spoken to, from any of their ports.
    AddressDependent,
}

/// Bounds of the tables. What would exceed one is a counted drop.
///
/// A peer is an inside /64 or a single inside IPv4 address. Sessions that the outside starts may take half of the
/// sessions there are, in total and of each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// BIB entries of all protocols together.
    pub bib_entries: u32,
    /// Sessions of all protocols together.
    pub sessions: u32,
    /// BIB entries of one peer, all protocols together.
    pub bib_entries_per_peer: u32,
    /// Sessions of one peer, all protocols together.
    pub sessions_per_peer: u32,
}

impl Default for Limits {
    /// A BIB entry with a session was measured at 104 bytes: full tables cost some 40 MiB. A peer may take a quarter of
    /// the ports of one pool4 address, its share when four are busy, and far more than a server's software opens.
    fn default() -> Self {
        Self { bib_entries: 1 << 18, sessions: 1 << 19, bib_entries_per_peer: 1 << 14, sessions_per_peer: 1 << 16 }
    }
}

impl Default for Config {
    /// The defaults of a gateway, without any pool4: nothing is translated until there is one.
    fn default() -> Self {
        Self {
            pool6: Pool6::default(),
            pool4: Vec::new(),
            ipv4_peers: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16),
            address6: Ipv6Addr::new(0xfd64, 0xff9b, 0, 0, 0, 0, 0, 1),
            address4: Ipv4Addr::new(198, 18, 0, 1),
            mtu6: 1412,
            mtu4: 1500,
            own_addresses: Vec::new(),
            allow: Vec::new(),
            filtering: Filtering::default(),
            limits: Limits::default(),
        }
    }
}
