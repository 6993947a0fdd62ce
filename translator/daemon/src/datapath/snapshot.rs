//! How a datapath is doing, for status and metrics.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use contract::{Name, PublicKey};
use ipnet::Ipv6Net;
use serde::Serialize;

/// A datapath at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Snapshot {
    /// By name.
    pub(crate) peers: Vec<PeerSnapshot>,
    /// Endpoints that are mapped to pool4, by protocol.
    pub(crate) bib: BTreeMap<&'static str, usize>,
    /// Flows, by protocol.
    pub(crate) sessions: BTreeMap<&'static str, usize>,
    /// From peers to IPv4.
    pub(crate) packets_out: u64,
    /// From peers to IPv4.
    pub(crate) bytes_out: u64,
    /// From IPv4 to peers.
    pub(crate) packets_in: u64,
    /// From IPv4 to peers.
    pub(crate) bytes_in: u64,
    /// Every reason that applied at least once.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    /// UDP.
    pub(crate) listen_port: u16,
    /// What the kernel leaves to us: `tso+uso`, `tso` or `none`.
    pub(crate) offload: &'static str,
}

/// One peer at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PeerSnapshot {
    pub(crate) name: Name,
    pub(crate) public_key: PublicKey,
    pub(crate) prefix: Ipv6Net,
    pub(crate) ipv4: Ipv4Addr,
    /// Where it was last heard, or where it is dialled.
    pub(crate) endpoint: Option<SocketAddr>,
    /// `None`: never.
    pub(crate) latest_handshake_secs_ago: Option<u64>,
    /// Authenticated datagrams from the peer.
    pub(crate) rx_bytes: u64,
    /// Datagrams to the peer.
    pub(crate) tx_bytes: u64,
}
