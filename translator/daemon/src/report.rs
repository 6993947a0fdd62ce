//! What a running translator tells about itself: one type for both ends of the control socket.
//!
//! Sizes are in bytes, times in seconds. Fields may be added; a reader ignores those it does not know.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use contract::{Name, Pool6, PublicKey};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::datapath::{PeerSnapshot, Snapshot, Traffic};
use crate::details::Details;
use crate::dns64::Counts;
use crate::mapping::Protocol;
use crate::pools::{Addresses, Ports};
use crate::settings::{Filtering, Switch, Unsolicited};

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Of the running program, not of the one that asks.
    pub(crate) version: String,
    pub(crate) uptime_secs: u64,
    pub(crate) gateway: GatewayReport,
    pub(crate) document: DocumentReport,
    pub(crate) datapath: DatapathReport,
    /// `None`: the document asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns64: Option<Dns64Report>,
    /// `None`: the document gives nothing to find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<DiscoveryReport>,
}

/// What was found by labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DiscoveryReport {
    pub(crate) servers: usize,
    /// `None`: nothing was, so far.
    pub(crate) found_secs_ago: Option<u64>,
    pub(crate) interval_secs: u64,
    /// Why Hetzner was asked in vain the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// What was found and does not fit together, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// What the resolver does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dns64Report {
    /// Why it does not do what the document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// Since it was started.
    pub(crate) answered: Counts,
}

/// The answer to `status` of the stand-alone mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Nat64Report {
    /// Of the running program, not of the one that asks.
    pub(crate) version: String,
    pub(crate) uptime_secs: u64,
    pub(crate) nat64: SettingsReport,
    pub(crate) datapath: TrafficReport,
}

/// How the stand-alone mode translates now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SettingsReport {
    pub(crate) interface: String,
    pub(crate) pool6: Vec<Pool6>,
    pub(crate) pool4: Vec<Addresses>,
    pub(crate) ports: Vec<Ports>,
    /// `None`: the pool4 address that was spoken to, or one of `error_source4` if there are some.
    pub(crate) address4: Option<Ipv4Addr>,
    pub(crate) error_source4: Vec<Addresses>,
    pub(crate) address6: Ipv6Addr,
    pub(crate) mtu4: MtuReport,
    pub(crate) mtu6: MtuReport,
    pub(crate) lowest_ipv6_mtu_bytes: u16,
    pub(crate) filtering: Filtering,
    pub(crate) hairpinning: Switch,
    pub(crate) unsolicited: Unsolicited,
    #[serde(flatten)]
    pub(crate) details: Details,
    pub(crate) allow: Vec<Ipv4Net>,
}

/// How large a packet may be, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MtuReport {
    pub(crate) bytes: u16,
    /// Whether it follows the kernel's routes.
    pub(crate) followed: bool,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Whether there is another page.
    pub(crate) more: bool,
}

/// An entry of the Binding Information Base (RFC 6146 §3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BibReport {
    pub(crate) protocol: Protocol,
    pub(crate) inner: SocketAddr,
    pub(crate) outer: SocketAddrV4,
    #[serde(rename = "static")]
    pub(crate) is_static: bool,
    pub(crate) sessions: usize,
}

/// A session (RFC 6146 §3.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionReport {
    pub(crate) protocol: Protocol,
    pub(crate) inner: SocketAddr,
    pub(crate) outer: SocketAddrV4,
    pub(crate) remote: SocketAddrV4,
    /// What the inside speaks to it under; nothing for a peer that has NAT44.
    pub(crate) pool6: Option<Pool6>,
    /// Of TCP (RFC 6146 §3.5.2).
    pub(crate) state: Option<String>,
    pub(crate) expires_in_secs: u64,
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
    /// Whose addresses and ports translated packets leave from, and how.
    pub(crate) pool4: String,
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

/// What flows between the tunnels and IPv4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DatapathReport {
    pub(crate) listen_port: u16,
    pub(crate) peers: Vec<PeerSnapshot>,
    #[serde(flatten)]
    pub(crate) traffic: TrafficReport,
}

/// What flows through an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrafficReport {
    pub(crate) offload: String,
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

impl From<Snapshot> for DatapathReport {
    fn from(snapshot: Snapshot) -> Self {
        Self { listen_port: snapshot.listen_port, peers: snapshot.peers, traffic: snapshot.traffic.into() }
    }
}

impl From<Traffic> for TrafficReport {
    fn from(traffic: Traffic) -> Self {
        let owned =
            |counts: BTreeMap<&'static str, usize>| counts.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        Self {
            offload: traffic.offload,
            bib: owned(traffic.bib),
            sessions: owned(traffic.sessions),
            packets_out: traffic.packets_out,
            bytes_out: traffic.bytes_out,
            packets_in: traffic.packets_in,
            bytes_in: traffic.bytes_in,
            dropped: traffic.dropped.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        }
    }
}
