//! How a datapath is doing, for status and metrics.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use contract::{Name, PublicKey};
use ipnet::Ipv6Net;
use nat64::Engine;
use serde::{Deserialize, Serialize};

/// A datapath at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By name.
    pub(crate) peers: Vec<PeerSnapshot>,
    /// UDP.
    pub(crate) listen_port: u16,
    pub(crate) traffic: Traffic,
}

/// An engine and its interface at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Endpoints that are mapped to pool4, by protocol.
    pub(crate) bib: BTreeMap<&'static str, usize>,
    /// Flows, by protocol.
    pub(crate) sessions: BTreeMap<&'static str, usize>,
    /// From inside to IPv4.
    pub(crate) packets_out: u64,
    /// From inside to IPv4.
    pub(crate) bytes_out: u64,
    /// From IPv4 to the inside.
    pub(crate) packets_in: u64,
    /// From IPv4 to the inside.
    pub(crate) bytes_in: u64,
    /// Every reason that applied at least once.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    /// What the kernel does for many packets at once: `tso+uso`, `tso`, `checksum` or `none` on the TUN interface, and `gso` (it cuts
    /// runs of datagrams) and `gro` (it joins them) on the UDP socket.
    pub(crate) offload: String,
}

/// What `status` says of the kernel's help.
pub(super) fn offload(tun: &str, socket: tunnel::Offload) -> String {
    let udp = match (socket.send, socket.receive) {
        (true, true) => "gso+gro",
        (true, false) => "gso",
        (false, true) => "gro",
        (false, false) => "none",
    };
    format!("{tun}, UDP {udp}")
}

impl Traffic {
    /// Of an engine, with what others dropped beside it.
    pub(crate) fn of(
        engine: &Engine,
        dropped_by_others: impl Iterator<Item = (&'static str, u64)>,
        offload: String,
    ) -> Self {
        let (stats, sizes) = (engine.stats(), engine.table_sizes().by_protocol());
        let mut dropped = BTreeMap::new();
        let of_engine = stats.drops().map(|(reason, count)| (reason.as_str(), count));
        for (reason, count) in of_engine.chain(dropped_by_others).filter(|&(_, count)| count > 0) {
            *dropped.entry(reason).or_default() += count;
        }
        Self {
            bib: sizes.iter().map(|(protocol, size)| (*protocol, size.bib_entries)).collect(),
            sessions: sizes.iter().map(|(protocol, size)| (*protocol, size.sessions)).collect(),
            packets_out: stats.outgoing.packets,
            bytes_out: stats.outgoing.bytes,
            packets_in: stats.incoming.packets,
            bytes_in: stats.incoming.bytes,
            dropped,
            offload,
        }
    }
}

/// One peer at one moment; what `status` reports of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerSnapshot {
    pub(crate) name: Name,
    pub(crate) public_key: PublicKey,
    /// `None`: not found yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<Ipv6Net>,
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
