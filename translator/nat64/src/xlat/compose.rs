//! Packets from nothing: a network header of the engine's own in front of a payload.

use packet::ipv4::{self, Fragmentation};
use packet::ipv6;
use packet::{Family, protocol};

use crate::xlat::Addresses;

/// Hops a packet of ours may take (RFC 1700's default).
pub(crate) const HOP_LIMIT: u8 = 64;

/// The fields of a header that addresses and payload do not determine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    /// By its number in the family of the addresses.
    pub(crate) protocol: u8,
    /// Identification of an IPv4 packet that routers may fragment. RFC 6864 §4.1: none is needed where they may not.
    pub(crate) identification: Option<u16>,
}

impl Fields {
    /// An ICMP message of our own.
    pub(crate) const fn own_icmp(family: Family) -> Self {
        let protocol = match family {
            Family::V4 => protocol::ICMPV4,
            Family::V6 => protocol::ICMPV6,
        };
        Self { traffic_class: 0, hop_limit: HOP_LIMIT, protocol, identification: None }
    }
}

/// The packet. `payload` must be shorter than 65516 bytes.
pub(crate) fn compose(addresses: Addresses, fields: Fields, payload: &[u8]) -> Vec<u8> {
    match addresses {
        Addresses::V4 { source, destination } => {
            let (fragmentation, identification) = match fields.identification {
                Some(identification) => (Fragmentation::Allowed, identification),
                None => (Fragmentation::Never, 0),
            };
            let header = ipv4::Header {
                traffic_class: fields.traffic_class,
                total_len: (ipv4::HEADER_LEN + payload.len()) as u16,
                identification,
                fragmentation,
                ttl: fields.hop_limit,
                protocol: fields.protocol,
                source,
                destination,
            };
            [&header.to_bytes()[..], payload].concat()
        }
        Addresses::V6 { source, destination } => {
            let header = ipv6::Header {
                traffic_class: fields.traffic_class,
                payload_len: payload.len() as u16,
                next_header: fields.protocol,
                hop_limit: fields.hop_limit,
                source,
                destination,
            };
            [&header.to_bytes()[..], payload].concat()
        }
    }
}
