//! What a running translator tells about itself: one type for both ends of the control socket.
//!
//! Sizes are in bytes, times in seconds. Fields may be added; a reader ignores those it does not know.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use contract::{Name, Pool6, PublicKey};
use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::datapath::{PeerSnapshot, Snapshot};

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Of the running program, not of the one that asks.
    pub(crate) version: String,
    pub(crate) uptime_secs: u64,
    pub(crate) gateway: GatewayReport,
    pub(crate) document: DocumentReport,
    pub(crate) datapath: DatapathReport,
}

/// Who the translator is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GatewayReport {
    pub(crate) name: Name,
    pub(crate) public_key: PublicKey,
    pub(crate) interface: String,
    pub(crate) pool6: Pool6,
    pub(crate) address6: Ipv6Addr,
    pub(crate) address4: Ipv4Addr,
    pub(crate) pool4: Ipv4Addr,
    pub(crate) mtu_bytes: u16,
}

/// What the translator runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DocumentReport {
    pub(crate) path: PathBuf,
    /// Of the configuration that is applied, whatever the document holds now.
    pub(crate) serial: u64,
    #[serde(flatten)]
    pub(crate) state: DocumentState,
    /// How long the state has been what it is.
    pub(crate) since_secs_ago: u64,
}

/// Whether the document on disk is the configuration that is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum DocumentState {
    Applied,
    /// The last good configuration serves on.
    Refused {
        reason: String,
    },
    /// The document is good, but the gateway is not in it: every peer has lost access.
    Withdrawn {
        reason: String,
    },
}

/// What flows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DatapathReport {
    pub(crate) listen_port: u16,
    pub(crate) offload: String,
    pub(crate) peers: Vec<PeerReport>,
    /// Entries of the Binding Information Base (RFC 6146 §3.1) by protocol.
    pub(crate) bib: BTreeMap<String, usize>,
    pub(crate) sessions: BTreeMap<String, usize>,
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
    /// Packets by reason; reasons that never occurred are absent.
    pub(crate) dropped: BTreeMap<String, u64>,
}

/// One tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerReport {
    pub(crate) name: Name,
    pub(crate) public_key: PublicKey,
    pub(crate) prefix: Ipv6Net,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) latest_handshake_secs_ago: Option<u64>,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
}

impl From<Snapshot> for DatapathReport {
    fn from(snapshot: Snapshot) -> Self {
        let owned =
            |counts: BTreeMap<&'static str, usize>| counts.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        Self {
            listen_port: snapshot.listen_port,
            offload: snapshot.offload.to_owned(),
            peers: snapshot.peers.into_iter().map(PeerReport::from).collect(),
            bib: owned(snapshot.bib),
            sessions: owned(snapshot.sessions),
            packets_out: snapshot.packets_out,
            bytes_out: snapshot.bytes_out,
            packets_in: snapshot.packets_in,
            bytes_in: snapshot.bytes_in,
            dropped: snapshot.dropped.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        }
    }
}

impl From<PeerSnapshot> for PeerReport {
    fn from(peer: PeerSnapshot) -> Self {
        Self {
            name: peer.name,
            public_key: peer.public_key,
            prefix: peer.prefix,
            ipv4: peer.ipv4,
            endpoint: peer.endpoint,
            latest_handshake_secs_ago: peer.latest_handshake_secs_ago,
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
        }
    }
}
