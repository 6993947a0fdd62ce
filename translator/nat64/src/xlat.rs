//! Translation of headers (RFC 7915), in the caller's buffer, with checksums updated by difference (RFC 1624).
//!
//! A super-packet is translated once, as the one packet it looks like: everything that a segment does not share with
//! the others is made when it is cut. That this gives the same packets is a law the tests hold.

pub(crate) mod compose;
pub(crate) mod extensions;
pub(crate) mod fragment;
pub(crate) mod icmp;
pub(crate) mod icmp_error;
pub(crate) mod mss;
pub(crate) mod size;
pub(crate) mod transport;

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::checksum::{self, Difference, Sum};
use packet::ipv4::{self, Fragmentation, Ipv4, Ipv4Mut};
use packet::ipv6::{self, Ipv6};
use packet::{Family, Packet, protocol};

use crate::DropReason;
use crate::network::Network;
use crate::tuple::Transport;
use crate::xlat::transport::{Port, rewrite};

/// The addresses a packet is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Addresses {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

impl Addresses {
    pub(crate) const fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }

    /// Their part of a pseudo header.
    pub(crate) fn sum(&self) -> Sum {
        match *self {
            Self::V4 { source, destination } => checksum::addresses4(source, destination),
            Self::V6 { source, destination } => checksum::addresses6(source, destination),
        }
    }

    /// The pseudo header of an ICMP message, which exists in IPv6 only (RFC 4443 §2.3).
    pub(crate) fn icmp_pseudo_header(&self, message_len: usize) -> Sum {
        match self {
            Self::V4 { .. } => Sum::new(),
            Self::V6 { .. } => self.sum().plus(checksum::protocol_and_length(protocol::ICMPV6, message_len)),
        }
    }

    /// The addresses a packet has.
    pub(crate) fn of(bytes: &[u8], family: Family) -> Result<Self, DropReason> {
        let malformed = |_| DropReason::Malformed;
        Ok(match family {
            Family::V4 => {
                let ip = Ipv4::parse_quoted(bytes).map_err(malformed)?;
                Self::V4 { source: ip.source(), destination: ip.destination() }
            }
            Family::V6 => {
                let ip = Ipv6::parse_quoted(bytes).map_err(malformed)?;
                Self::V6 { source: ip.source(), destination: ip.destination() }
            }
        })
    }
}

/// How the addresses of a packet change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) before: Addresses,
    pub(crate) after: Addresses,
}

impl Change {
    /// What it means for the checksums of TCP and UDP. Protocol and length are the same words in both families.
    pub(crate) fn pseudo_header(&self) -> Difference {
        Difference::between(self.before.sum(), self.after.sum())
    }

    /// What it means for the checksum of an ICMP message of this length.
    pub(crate) fn icmp_pseudo_header(&self, message_len: usize) -> Difference {
        Difference::between(self.before.icmp_pseudo_header(message_len), self.after.icmp_pseudo_header(message_len))
    }
}

/// What a new network header needs that the old one and the addresses do not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHeader {
    pub(crate) traffic_class: u8,
    /// Identification of an IPv4 header.
    pub(crate) identification: u16,
    /// Length of the packet on the wire, or of the segments of a super-packet, in bytes.
    pub(crate) wire_len: usize,
}

/// RFC 6146 §3.7: from here on the packet is a new one.
pub(crate) fn translate(
    packet: &mut Packet<'_>,
    network: &Network,
    transport: &Transport,
    (addresses, port): (Addresses, Port),
    new: NewHeader,
) -> Result<(), DropReason> {
    packet.truncate(network.len);
    let transport_len = network.len - network.transport_at;
    let change = self::network(packet, network, addresses, new)?;
    let checksum = packet.offload.checksum;
    let transport_at = packet.len() - transport_len;
    rewrite(&mut packet.bytes_mut()[transport_at..], transport, port, checksum, &change);
    Ok(())
}

/// Gives a packet its new network header.
pub(crate) fn network(
    packet: &mut Packet<'_>,
    network: &Network,
    after: Addresses,
    new: NewHeader,
) -> Result<Change, DropReason> {
    let before = Addresses::of(packet.bytes(), network.family)?;
    match (network.family, after) {
        (Family::V4, Addresses::V4 { source, destination }) => rewrite4(packet, network, (source, destination), new)?,
        (Family::V6, Addresses::V4 { source, destination }) => v6_to_v4(packet, network, (source, destination), new)?,
        (_, Addresses::V6 { source, destination }) => v4_to_v6(packet, network, (source, destination), new)?,
    }
    Ok(Change { before, after })
}

/// RFC 7915 §5.1. Extension headers are left behind.
fn v6_to_v4(
    packet: &mut Packet<'_>,
    network: &Network,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    new: NewHeader,
) -> Result<(), DropReason> {
    packet.shrink_front(network.transport_at);
    packet.grow_front(ipv4::HEADER_LEN).map_err(|_| DropReason::NoHeadroom)?;
    let header = ipv4::Header {
        traffic_class: new.traffic_class,
        total_len: u16::try_from(packet.len()).map_err(|_| DropReason::PacketTooBig)?,
        identification: new.identification,
        fragmentation: match network.dont_fragment {
            true => Fragmentation::for_translated(new.wire_len),
            false => Fragmentation::Allowed,
        },
        ttl: network.next_hop_limit(),
        protocol: if network.protocol == protocol::ICMPV6 { protocol::ICMPV4 } else { network.protocol },
        source,
        destination,
    };
    packet.bytes_mut()[..ipv4::HEADER_LEN].copy_from_slice(&header.to_bytes());
    Ok(())
}

/// RFC 7915 §4.1. Options are left behind.
fn v4_to_v6(
    packet: &mut Packet<'_>,
    network: &Network,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    new: NewHeader,
) -> Result<(), DropReason> {
    packet.shrink_front(network.transport_at);
    let payload_len = u16::try_from(packet.len()).map_err(|_| DropReason::Malformed)?;
    packet.grow_front(ipv6::HEADER_LEN).map_err(|_| DropReason::NoHeadroom)?;
    let header = ipv6::Header {
        traffic_class: new.traffic_class,
        payload_len,
        next_header: if network.protocol == protocol::ICMPV4 { protocol::ICMPV6 } else { network.protocol },
        hop_limit: network.next_hop_limit(),
        source,
        destination,
    };
    packet.bytes_mut()[..ipv6::HEADER_LEN].copy_from_slice(&header.to_bytes());
    Ok(())
}

/// NAT44: the header stays, options included.
fn rewrite4(
    packet: &mut Packet<'_>,
    network: &Network,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    new: NewHeader,
) -> Result<(), DropReason> {
    let mut header = Ipv4Mut::parse(packet.bytes_mut()).map_err(|_| DropReason::Malformed)?;
    header.set_source(source);
    header.set_destination(destination);
    header.set_ttl(network.next_hop_limit());
    header.set_identification(new.identification);
    header.seal();
    Ok(())
}
