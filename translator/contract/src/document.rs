//! The document's types and its one written form.
//!
//! Invariant: equal documents render to equal bytes. Maps are sorted, known keys come first and in a fixed order, keys
//! that this version does not know come last.

mod options;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::{Discovery, Dns64, Egress, FORMAT, Group, Name, Policy, Pool6, PrivateKey, PublicKey};

/// Everything the translators of one Terraform author have to know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Grows by one with every write; a smaller one than last time is a rollback.
    pub serial: u64,
    /// The gateways, each with its peers.
    pub gateways: BTreeMap<Name, Gateway>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// One translator at home.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// What servers know the gateway by.
    pub public_key: PublicKey,
    /// Present only if Terraform made the pair.
    pub private_key: Option<PrivateKey>,
    /// The prefix that stands for IPv4.
    pub pool6: Pool6,
    /// The tunnel's MTU in bytes, 1280 to 65535.
    pub mtu: u16,
    /// WireGuard's persistent keepalive in seconds; 0 is off.
    pub keepalive_secs: u16,
    /// The gateway's own address inside the tunnel: DNS64, ping.
    pub address6: Ipv6Addr,
    /// Where the peers' tunnel IPv4 addresses come from.
    pub ipv4_prefix: Ipv4Net,
    /// How translated packets leave.
    pub egress: Egress,
    /// Whether and how the gateway resolves names.
    pub dns64: Option<Dns64>,
    /// Where it looks for peers that have no prefix here; none means that all have one.
    pub discovery: Option<Discovery>,
    /// What peers may reach; none means [`Policy::default`].
    pub policy: Option<Policy>,
    /// A mark of the resource that wrote the entry.
    pub owner: String,
    /// Servers that have no entry of their own.
    pub groups: BTreeMap<Name, Group>,
    /// The servers.
    pub peers: BTreeMap<Name, Peer>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Gateway {
    /// The gateway's own IPv4 address inside the tunnel: the first host address of `ipv4_prefix`.
    pub fn address4(&self) -> Ipv4Addr {
        u32::from(self.ipv4_prefix.network()).wrapping_add(1).into()
    }

    /// The last host address of `ipv4_prefix`, which no peer has: what the engine translates sources to where the kernel
    /// masquerades, and where packets for a shared uplink's address are led through.
    pub fn pool4(&self) -> Ipv4Addr {
        u32::from(self.ipv4_prefix.broadcast()).wrapping_sub(1).into()
    }

    /// The lowest address that a new peer may have; `None` if `ipv4_prefix` is full.
    pub fn lowest_free_ipv4(&self) -> Option<Ipv4Addr> {
        let taken: BTreeSet<Ipv4Addr> = self.peers.values().map(|peer| peer.ipv4).collect();
        let first = u32::from(self.address4()).saturating_add(1);
        (first..u32::from(self.pool4())).map(Ipv4Addr::from).find(|address| !taken.contains(address))
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// What the gateway knows the server by.
    pub public_key: PublicKey,
    /// The server's own /64: the IPv6 sources it may use. Absent if the gateway finds out, by [`Gateway::discovery`].
    pub prefix: Option<Ipv6Net>,
    /// The server's IPv4 address inside the tunnel.
    pub ipv4: Ipv4Addr,
    /// Where the gateway dials it; absent if something else finds out.
    pub endpoint: Option<SocketAddrV6>,
    /// A mark of the resource that wrote the entry.
    pub owner: String,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Document {
    pub(crate) const KEYS: &[&str] = &["format", "serial", "gateways"];

    /// Pretty-printed JSON with a final newline. Contains the gateways' private keys, if there are any.
    pub fn render(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("maps with text keys always serialize");
        text.push('\n');
        text
    }
}

impl Gateway {
    pub(crate) const KEYS: &[&str] = &[
        "public_key",
        "private_key",
        "pool6",
        "mtu",
        "keepalive_secs",
        "address6",
        "ipv4_prefix",
        "egress",
        "egress_ports",
        "pool4",
        "dns64",
        "discovery",
        "policy",
        "owner",
        "groups",
        "peers",
    ];
}

impl Peer {
    pub(crate) const KEYS: &[&str] = &["public_key", "prefix", "ipv4", "endpoint", "owner"];
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", &FORMAT)?;
        map.serialize_entry("serial", &self.serial)?;
        map.serialize_entry("gateways", &self.gateways)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Serialize for Gateway {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("public_key", &self.public_key)?;
        if let Some(private_key) = &self.private_key {
            map.serialize_entry("private_key", private_key.to_base64().as_str())?;
        }
        map.serialize_entry("pool6", &self.pool6)?;
        map.serialize_entry("mtu", &self.mtu)?;
        map.serialize_entry("keepalive_secs", &self.keepalive_secs)?;
        map.serialize_entry("address6", &self.address6)?;
        map.serialize_entry("ipv4_prefix", &self.ipv4_prefix)?;
        serialize_egress(&mut map, &self.egress)?;
        serialize_some(&mut map, "dns64", &self.dns64)?;
        serialize_some(&mut map, "discovery", &self.discovery)?;
        serialize_some(&mut map, "policy", &self.policy)?;
        serialize_owner(&mut map, &self.owner)?;
        if !self.groups.is_empty() {
            map.serialize_entry("groups", &self.groups)?;
        }
        map.serialize_entry("peers", &self.peers)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("public_key", &self.public_key)?;
        serialize_some(&mut map, "prefix", &self.prefix)?;
        map.serialize_entry("ipv4", &self.ipv4)?;
        serialize_some(&mut map, "endpoint", &self.endpoint)?;
        serialize_owner(&mut map, &self.owner)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

/// Masquerading is what a gateway does that says nothing.
fn serialize_egress<M: SerializeMap>(map: &mut M, egress: &Egress) -> Result<(), M::Error> {
    match egress {
        Egress::Masquerade => Ok(()),
        Egress::Shared { ports } => {
            map.serialize_entry("egress", &egress.mode())?;
            map.serialize_entry("egress_ports", ports)
        }
        Egress::Routed { pool4 } => {
            map.serialize_entry("egress", &egress.mode())?;
            map.serialize_entry("pool4", pool4)
        }
    }
}

pub(crate) fn serialize_some<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &'static str,
    value: &Option<T>,
) -> Result<(), M::Error> {
    value.iter().try_for_each(|value| map.serialize_entry(key, value))
}

pub(crate) fn serialize_owner<M: SerializeMap>(map: &mut M, owner: &str) -> Result<(), M::Error> {
    if owner.is_empty() { Ok(()) } else { map.serialize_entry("owner", owner) }
}

/// A known key among the unknown ones would be written twice, and the document could not be read again.
pub(crate) fn serialize_other<M: SerializeMap>(
    map: &mut M,
    other: &BTreeMap<String, Value>,
    known: &[&str],
) -> Result<(), M::Error> {
    for (key, value) in other.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        map.serialize_entry(key, value)?;
    }
    Ok(())
}
