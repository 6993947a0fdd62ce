//! Reads packets with etherparse, and adds up their checksums the obvious way.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket};
use packet::{Family, Layout, protocol};

/// What of a packet's transport checksum can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It was right before, so it must be now.
    Right,
    /// It was wrong, or covers what nobody checked.
    Unknown,
}

/// A packet as etherparse reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) family: Family,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) layout: Layout,
}

/// Reads a packet that is to be sent, and checks lengths and checksums.
pub(crate) fn read(bytes: &[u8], trust: Trust) -> Seen {
    let sliced = SlicedPacket::from_ip(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
    let (family, source, destination) = match sliced.net.as_ref() {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            // Not by etherparse, which leaves out the flag that is reserved (RFC 791 §3.1).
            let sum = sum_of_words(&bytes[..header.header_len()]);
            assert_eq!(sum, 0xffff, "IPv4 header checksum of {bytes:02x?}");
            assert_eq!(usize::from(header.total_len), bytes.len(), "total length of {bytes:02x?}");
            (Family::V4, header.source.into(), header.destination.into())
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(usize::from(header.payload_length) + 40, bytes.len(), "payload length of {bytes:02x?}");
            (Family::V6, header.source_addr().into(), header.destination_addr().into())
        }
        Some(NetSlice::Arp(_)) | None => panic!("no IP packet: {bytes:02x?}"),
    };
    let layout = Layout::of(bytes).expect("what etherparse reads can be read");
    if trust == Trust::Right && !layout.is_fragment {
        assert!(transport_is_right(bytes, &layout), "transport checksum of {bytes:02x?}");
    }
    Seen { family, source, destination, layout }
}

/// Whether the checksum of TCP, UDP or ICMP is right, or is absent where that is allowed.
pub(crate) fn transport_is_right(bytes: &[u8], layout: &Layout) -> bool {
    let transport = layout.transport(bytes);
    let has_none =
        layout.family == Family::V4 && layout.protocol == protocol::UDP && transport.get(6..8) == Some(&[0; 2]);
    has_none || sum_of_transport(bytes, layout) == 0xffff
}

/// The sum of the words of transport and pseudo header (RFC 9293 §3.1, RFC 8200 §8.1), which is all ones if the checksum
/// among them is right.
pub(crate) fn sum_of_transport(bytes: &[u8], layout: &Layout) -> u16 {
    let transport = transport(bytes, layout);
    let addresses: &[u8] = match (layout.family, layout.protocol) {
        (Family::V4, protocol::ICMPV4) => &[],
        (Family::V4, _) => &bytes[12..20],
        (Family::V6, _) => &bytes[8..40],
    };
    let pseudo = [addresses, &[0, layout.protocol], &(transport.len() as u16).to_be_bytes()].concat();
    let pseudo: &[u8] = if addresses.is_empty() { &[] } else { &pseudo };
    sum_of_words(&[pseudo, transport].concat())
}

/// Without what may follow a datagram that is shorter than its packet (RFC 768; surplus area in RFC 9868 §3).
fn transport<'b>(bytes: &'b [u8], layout: &Layout) -> &'b [u8] {
    let transport = layout.transport(bytes);
    let Some(&[high, low]) = transport.get(4..6) else { return transport };
    match usize::from(u16::from_be_bytes([high, low])) {
        len @ 8.. if layout.protocol == protocol::UDP && len < transport.len() => &transport[..len],
        _ => transport,
    }
}

/// The ones' complement sum of RFC 1071.
pub(crate) fn sum_of_words(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
