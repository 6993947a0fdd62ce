//! Packets as hosts send them: no options, right checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use packet::checksum::{self, Sum};
use packet::ipv4::{self, Fragmentation};
use packet::{ipv6, protocol};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A UDP datagram.
    Udp,
    /// A TCP segment with these flags.
    Tcp(u8),
    /// An ICMP echo request; the source port is its identifier.
    EchoRequest,
    /// An ICMP echo reply; the destination port is its identifier.
    EchoReply,
}

/// Acknowledgment only: what most segments are.
pub const ACK: u8 = 0x10;
/// The first segment of a connection.
pub const SYN: u8 = 0x02;

/// A packet of `payload_len` bytes behind its transport header.
///
/// # Panics
/// If the addresses are of two families or the packet would be longer than 64 KiB.
#[must_use]
pub fn packet(kind: Kind, from: SocketAddr, to: SocketAddr, payload_len: usize) -> Vec<u8> {
    let mut transport = header(kind, from, to, payload_len);
    transport.extend((0..payload_len).map(|index| index as u8));
    let protocol = number(kind, from);
    let pseudo_header = pseudo_header(from.ip(), to.ip(), protocol, transport.len());
    let at = checksum_at(kind);
    let complete = pseudo_header.bytes(&transport).complete();
    transport[at..at + 2].copy_from_slice(&complete.to_be_bytes());
    [network(from.ip(), to.ip(), protocol, transport.len()), transport].concat()
}

/// The same with the partial checksum of a kernel that leaves the rest to the device.
#[must_use]
pub fn with_partial_checksum(kind: Kind, from: SocketAddr, to: SocketAddr, payload_len: usize) -> Vec<u8> {
    let mut bytes = packet(kind, from, to, payload_len);
    let network_len = if from.is_ipv4() { ipv4::HEADER_LEN } else { ipv6::HEADER_LEN };
    let partial = pseudo_header(from.ip(), to.ip(), number(kind, from), bytes.len() - network_len).fold();
    let at = network_len + checksum_at(kind);
    bytes[at..at + 2].copy_from_slice(&partial.to_be_bytes());
    bytes
}

fn header(kind: Kind, from: SocketAddr, to: SocketAddr, payload_len: usize) -> Vec<u8> {
    let (source, destination) = (from.port().to_be_bytes(), to.port().to_be_bytes());
    match kind {
        Kind::Udp => {
            let len = u16::try_from(8 + payload_len).expect("a datagram is shorter than 64 KiB");
            [source, destination, len.to_be_bytes(), [0, 0]].concat()
        }
        Kind::Tcp(flags) => {
            let ports = [source, destination].concat();
            [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat()
        }
        Kind::EchoRequest => [[if from.is_ipv4() { 8 } else { 128 }, 0], [0, 0], source, [0, 1]].concat(),
        Kind::EchoReply => [[if from.is_ipv4() { 0 } else { 129 }, 0], [0, 0], destination, [0, 1]].concat(),
    }
}

fn number(kind: Kind, from: SocketAddr) -> u8 {
    match (kind, from) {
        (Kind::Udp, _) => protocol::UDP,
        (Kind::Tcp(_), _) => protocol::TCP,
        (Kind::EchoRequest | Kind::EchoReply, SocketAddr::V4(_)) => protocol::ICMPV4,
        (Kind::EchoRequest | Kind::EchoReply, SocketAddr::V6(_)) => protocol::ICMPV6,
    }
}

const fn checksum_at(kind: Kind) -> usize {
    match kind {
        Kind::Udp => packet::udp::CHECKSUM_AT,
        Kind::Tcp(_) => packet::tcp::CHECKSUM_AT,
        Kind::EchoRequest | Kind::EchoReply => packet::icmp::CHECKSUM_AT,
    }
}

fn pseudo_header(from: IpAddr, to: IpAddr, number: u8, len: usize) -> Sum {
    match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) if number == protocol::ICMPV4 => Sum::new(),
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            checksum::addresses4(from, to).plus(checksum::protocol_and_length(number, len))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            checksum::addresses6(from, to).plus(checksum::protocol_and_length(number, len))
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

fn network(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => network4(source, destination, protocol, len),
        (IpAddr::V6(source), IpAddr::V6(destination)) => network6(source, destination, protocol, len),
        _ => panic!("{from} and {to} are of two families"),
    }
}

fn network4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: usize) -> Vec<u8> {
    let header = ipv4::Header {
        traffic_class: 0,
        total_len: u16::try_from(ipv4::HEADER_LEN + len).expect("a packet is shorter than 64 KiB"),
        identification: 1,
        fragmentation: Fragmentation::Never,
        ttl: 64,
        protocol,
        source,
        destination,
    };
    header.to_bytes().to_vec()
}

fn network6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, len: usize) -> Vec<u8> {
    let payload_len = u16::try_from(len).expect("a packet is shorter than 64 KiB");
    let header = ipv6::Header { traffic_class: 0, payload_len, next_header, hop_limit: 64, source, destination };
    header.to_bytes().to_vec()
}
