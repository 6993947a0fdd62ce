//! Plain packets: whole, without options and extension headers, without padding, with hops left; and in a transport that
//! is translated, with nothing in its header that would open or end a session.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::checksum::{self, Difference, Sum};
use packet::ipv4::Ipv4;
use packet::ipv6::Ipv6;
use packet::tcp::Flags;
use packet::{Checksum, Family, Offload, SegmentKind, icmp, ipv4, ipv6, protocol, tcp, udp};

use crate::tuple::{Echo, Protocol};
use crate::xlat::transport::{Port, update_echo, update_tcp, update_udp};

/// What opens or ends a connection.
const NOT_PLAIN: u8 = Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0;

/// A plain IPv6 header.
pub(super) struct Plain6 {
    pub(super) traffic_class: u8,
    pub(super) hop_limit: u8,
    pub(super) protocol: u8,
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) side: Side,
}

impl Plain6 {
    /// The header, and what stands behind it.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, transport) = bytes.split_first_chunk::<{ ipv6::HEADER_LEN }>()?;
        let ip = Ipv6::parse_quoted(header).ok()?;
        let plain = Self {
            traffic_class: ip.traffic_class(),
            hop_limit: ip.hop_limit(),
            protocol: ip.next_header(),
            source: ip.source(),
            destination: ip.destination(),
            side: Side { family: Family::V6, addresses: Sum::new().bytes(&header[8..40]) },
        };
        (ip.payload_len() == transport.len() && plain.hop_limit > 1).then_some((plain, transport))
    }
}

/// A plain IPv4 header with a right checksum.
pub(super) struct Plain4 {
    pub(super) traffic_class: u8,
    pub(super) hop_limit: u8,
    pub(super) protocol: u8,
    pub(super) dont_fragment: bool,
    pub(super) identification: u16,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) side: Side,
}

impl Plain4 {
    /// The header, and what stands behind it.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, transport) = bytes.split_first_chunk::<{ ipv4::HEADER_LEN }>()?;
        let ip = Ipv4::parse_quoted(header).ok()?;
        let addresses = Sum::new().bytes(&header[12..20]);
        let plain = Self {
            traffic_class: ip.traffic_class(),
            hop_limit: ip.ttl(),
            protocol: ip.protocol(),
            dont_fragment: ip.dont_fragment(),
            identification: ip.identification(),
            source: ip.source(),
            destination: ip.destination(),
            side: Side { family: Family::V4, addresses },
        };
        let is_plain = ip.total_len() == bytes.len()
            && !ip.is_fragment()
            && plain.hop_limit > 1
            && Sum::new().bytes(&header[..12]).plus(addresses).complete() == 0;
        is_plain.then_some((plain, transport))
    }

    /// Writes other addresses over those of this header, one hop later.
    #[inline(always)]
    pub(super) fn readdress(
        &self,
        header: &mut [u8; ipv4::HEADER_LEN],
        (source, destination): (Ipv4Addr, Ipv4Addr),
        identification: u16,
    ) -> Side {
        let addresses = checksum::addresses4(source, destination);
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        header[8] = self.hop_limit - 1;
        header[10..12].copy_from_slice(&[0, 0]);
        let complete = Sum::new().bytes(&header[..12]).plus(addresses).complete();
        header[10..12].copy_from_slice(&complete.to_be_bytes());
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        Side { family: Family::V4, addresses }
    }
}

/// A transport header, and how what follows it is cut.
pub(super) struct Part {
    pub(super) protocol: Protocol,
    /// A port, or an echo's identifier.
    pub(super) source: u16,
    /// A port, or an echo's identifier.
    pub(super) destination: u16,
    /// Header and payload of the longest packet it will be, in bytes.
    pub(super) longest: usize,
    /// How many packets it will be.
    pub(super) packets: u16,
}

impl Part {
    /// A segment that neither opens nor ends its connection.
    #[inline(always)]
    pub(super) fn tcp(bytes: &[u8], offload: Offload) -> Option<Self> {
        let header: &[u8; tcp::HEADER_LEN] = bytes.first_chunk()?;
        let header_len = usize::from(header[12] >> 4) * 4;
        let is_plain = header_len >= tcp::HEADER_LEN && header_len <= bytes.len() && header[13] & NOT_PLAIN == 0;
        let (longest, packets) = cut(bytes.len(), header_len, SegmentKind::Tcp, offload)?;
        let part =
            Self { protocol: Protocol::Tcp, source: word(header, 0), destination: word(header, 2), longest, packets };
        is_plain.then_some(part)
    }

    /// A datagram that has a checksum.
    #[inline(always)]
    pub(super) fn udp(bytes: &[u8], offload: Offload) -> Option<Self> {
        let header: &[u8; udp::HEADER_LEN] = bytes.first_chunk()?;
        let len = usize::from(word(header, 4));
        let has_checksum = offload.checksum == Checksum::Partial || word(header, udp::CHECKSUM_AT) != 0;
        let is_plain = len >= udp::HEADER_LEN && len <= bytes.len() && has_checksum;
        let (longest, packets) = cut(bytes.len(), udp::HEADER_LEN, SegmentKind::Udp, offload)?;
        let part =
            Self { protocol: Protocol::Udp, source: word(header, 0), destination: word(header, 2), longest, packets };
        is_plain.then_some(part)
    }

    /// An echo request or reply.
    #[inline(always)]
    pub(super) fn echo(family: Family, bytes: &[u8], offload: Offload) -> Option<Self> {
        let header: &[u8; icmp::HEADER_LEN] = bytes.first_chunk()?;
        Echo::of(family, header[0], header[1])?;
        let identifier = word(header, icmp::IDENTIFIER_AT);
        let part = Self {
            protocol: Protocol::Icmp,
            source: identifier,
            destination: identifier,
            longest: bytes.len(),
            packets: 1,
        };
        (offload == Offload::default()).then_some(part)
    }

    /// Gives the header its new port, and its checksum what follows from that and from other addresses.
    #[inline(always)]
    pub(super) fn rewrite(&self, bytes: &mut [u8], checksum: Checksum, port: Port, (before, after): (Side, Side)) {
        match self.protocol {
            Protocol::Tcp => update_tcp(bytes, port, checksum, Difference::between(before.addresses, after.addresses)),
            Protocol::Udp => update_udp(bytes, port, checksum, Difference::between(before.addresses, after.addresses)),
            Protocol::Icmp => {
                let len = bytes.len();
                let Some(kind) = bytes.first().and_then(|kind| Echo::of(before.family, *kind, 0)) else { return };
                let change = Difference::between(before.icmp_pseudo_header(len), after.icmp_pseudo_header(len));
                update_echo(bytes, kind.kind(after.family), port, change);
            }
        }
    }
}

/// The addresses of a packet, before or after.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) family: Family,
    pub(super) addresses: Sum,
}

impl Side {
    #[inline(always)]
    fn icmp_pseudo_header(self, len: usize) -> Sum {
        match self.family {
            Family::V4 => Sum::new(),
            Family::V6 => self.addresses.plus(checksum::protocol_and_length(protocol::ICMPV6, len)),
        }
    }
}

/// The length of the longest packet behind its network header, and how many there will be.
#[inline(always)]
fn cut(len: usize, header_len: usize, kind: SegmentKind, offload: Offload) -> Option<(usize, u16)> {
    match offload.segments {
        None => Some((len, 1)),
        Some(segments) if segments.kind == kind && segments.size_bytes > 0 => {
            let (payload_len, size) = (len.checked_sub(header_len)?, usize::from(segments.size_bytes));
            Some((len.min(header_len + size), payload_len.div_ceil(size).max(1) as u16))
        }
        Some(_) => None,
    }
}

#[inline(always)]
fn word<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}
