//! What decides whether two packets may become one: where the headers stand, and which fields must be equal.

use crate::checksum;
use crate::ipv4::{self, Ipv4};
use crate::ipv6;
use crate::tcp::{self, Flags, Tcp};
use crate::udp::{self, Udp};
use crate::{Family, Layout, SegmentKind, protocol};

/// Whose order must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    protocol: u8,
    /// The addresses as they stand in the header, zeros behind those of IPv4.
    addresses: [u8; 32],
    ports: [u8; 4],
}

/// A packet that wants to be merged, or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) bytes: &'a [u8],
    /// `None`: a fragment, an ICMP message, or nothing we can read. It may belong to any flow.
    pub(super) flow: Option<Flow>,
    /// Set if it may be part of a super-packet at all.
    pub(super) headers: Option<Headers>,
}

/// Where the headers of a mergeable packet stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) family: Family,
    pub(super) kind: SegmentKind,
    pub(super) transport_at: usize,
    pub(super) payload_at: usize,
}

impl<'a> Candidate<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let Ok(layout) = Layout::of(bytes) else { return Self { bytes, flow: None, headers: None } };
        let bytes = &bytes[..layout.end];
        Self { bytes, flow: flow(&layout, bytes), headers: headers(&layout, bytes) }
    }

    pub(super) fn payload(&self, headers: &Headers) -> &'a [u8] {
        &self.bytes[headers.payload_at..]
    }
}

fn flow(layout: &Layout, bytes: &[u8]) -> Option<Flow> {
    if layout.is_fragment || !matches!(layout.protocol, protocol::TCP | protocol::UDP) {
        return None;
    }
    let mut addresses = [0; 32];
    match layout.family {
        Family::V4 => addresses[..8].copy_from_slice(&bytes[12..20]),
        Family::V6 => addresses.copy_from_slice(&bytes[8..40]),
    }
    let ports = *layout.transport(bytes).first_chunk()?;
    Some(Flow { protocol: layout.protocol, addresses, ports })
}

/// The packets that a sender with segmentation offload makes: no options or extension headers, whole, with a payload.
fn headers(layout: &Layout, bytes: &[u8]) -> Option<Headers> {
    let fixed = match layout.family {
        Family::V4 => ipv4::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN,
    };
    if layout.transport_at != fixed || layout.is_fragment || has_reserved_bit(layout, bytes) {
        return None;
    }
    let transport = layout.transport(bytes);
    let (kind, header_len) = match layout.protocol {
        protocol::TCP => (SegmentKind::Tcp, mergeable_tcp(transport)?),
        protocol::UDP => (SegmentKind::Udp, mergeable_udp(transport)?),
        _ => return None,
    };
    (transport.len() > header_len).then_some(Headers {
        family: layout.family,
        kind,
        transport_at: fixed,
        payload_at: fixed + header_len,
    })
}

/// Cutting keeps the flags of IPv4, but nobody knows what this one says of a packet.
fn has_reserved_bit(layout: &Layout, bytes: &[u8]) -> bool {
    layout.family == Family::V4 && bytes[6] & 0x80 != 0
}

/// Data and acknowledgments. CWR would be the first segment's alone, and what the kernel makes of it depends on a kind
/// of offload that is not negotiated.
fn mergeable_tcp(transport: &[u8]) -> Option<usize> {
    let tcp = Tcp::parse(transport).ok()?;
    let flags = tcp.flags();
    (flags.has(Flags::ACK) && !flags.has(Flags::SYN) && !flags.has(Flags::RST) && !flags.has(Flags::CWR))
        .then_some(())?;
    (!flags.has(Flags::URG)).then(|| tcp.header_len())
}

/// Datagrams with a checksum: cutting gives every part one.
fn mergeable_udp(transport: &[u8]) -> Option<usize> {
    let udp = Udp::parse(transport).ok()?;
    (udp.len() == transport.len() && udp.checksum() != 0).then_some(udp::HEADER_LEN)
}

/// Whether the headers agree in everything that the parts of a super-packet share.
pub(super) fn may_share_headers(first: &[u8], next: &[u8], headers: &Headers) -> bool {
    let same = |from: usize, to: usize| first[from..to] == next[from..to];
    let network = match headers.family {
        // All but length, identification and checksum.
        Family::V4 => same(0, 2) && same(6, 10),
        // All but the length: traffic class, flow label and hop limit too.
        Family::V6 => same(0, 4) && same(6, 8),
    };
    let at = headers.transport_at;
    network
        && match headers.kind {
            SegmentKind::Udp => true,
            // Acknowledgment; data offset; window; urgent pointer and options.
            SegmentKind::Tcp => {
                same(at + 8, at + 13)
                    && same(at + 14, at + 16)
                    && same(at + 18, headers.payload_at)
                    && flags(first, headers).without_end() == flags(next, headers).without_end()
            }
        }
}

/// RFC 6864 §4.1: the identification of a packet that may not be fragmented means nothing. The others count up.
pub(super) fn identification_follows(first: &[u8], next: &[u8], headers: &Headers, count: u16) -> bool {
    if headers.family == Family::V6 {
        return true;
    }
    let (Ok(first), Ok(next)) = (Ipv4::parse_quoted(first), Ipv4::parse_quoted(next)) else { return false };
    first.dont_fragment() || next.identification() == first.identification().wrapping_add(count)
}

/// Whether all checksums of a packet are right.
pub(super) fn checksums_are_right(bytes: &[u8], headers: &Headers) -> bool {
    let transport = &bytes[headers.transport_at..];
    let (number, addresses) = (number(headers.kind), &bytes[addresses(headers.family)]);
    let sum = checksum::protocol_and_length(number, transport.len()).bytes(addresses).bytes(transport);
    let header = match headers.family {
        Family::V4 => checksum::Sum::new().bytes(&bytes[..headers.transport_at]).complete(),
        Family::V6 => 0,
    };
    sum.complete() == 0 && header == 0
}

/// Where the addresses stand.
pub(super) const fn addresses(family: Family) -> std::ops::Range<usize> {
    match family {
        Family::V4 => 12..20,
        Family::V6 => 8..40,
    }
}

/// The protocol number.
pub(super) const fn number(kind: SegmentKind) -> u8 {
    match kind {
        SegmentKind::Tcp => protocol::TCP,
        SegmentKind::Udp => protocol::UDP,
    }
}

/// TCP flags; none for UDP.
pub(super) fn flags(bytes: &[u8], headers: &Headers) -> Flags {
    match headers.kind {
        SegmentKind::Tcp => Flags(bytes[headers.transport_at + tcp::FLAGS_AT]),
        SegmentKind::Udp => Flags(0),
    }
}

/// TCP sequence number; 0 for UDP.
pub(super) fn sequence(bytes: &[u8], headers: &Headers) -> u32 {
    let at = headers.transport_at + tcp::SEQUENCE_AT;
    match (headers.kind, bytes.get(at..).and_then(<[u8]>::first_chunk)) {
        (SegmentKind::Tcp, Some(number)) => u32::from_be_bytes(*number),
        (SegmentKind::Tcp, None) | (SegmentKind::Udp, _) => 0,
    }
}
