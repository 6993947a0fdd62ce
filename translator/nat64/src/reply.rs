//! ICMP errors the engine makes itself (RFC 792, RFC 1812 §4.3, RFC 4443), and how many of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::icmp;
use packet::ipv4::{self, Ipv4};
use packet::ipv6::{self, Ipv6};
use packet::{Family, protocol};

use crate::hash::SipKey;
use crate::timers::Tick;
use crate::xlat::Addresses;
use crate::xlat::compose::{Fields, compose};
use crate::xlat::transport::seal_icmp;

/// RFC 1812 §4.3.2.3: an ICMPv4 error SHOULD NOT exceed this.
pub(crate) const LONGEST_ERROR4: usize = 576;
/// RFC 4443 §2.4 (c): an ICMPv6 error MUST NOT exceed this.
pub(crate) const LONGEST_ERROR6: usize = 1280;

/// What an error says. Its type and code depend on the family of the packet it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The destination is refused by policy.
    Prohibited,
    /// No transport address, or nothing else that a session needs, is left for the sender.
    NoResources,
    /// Nobody has the address.
    AddressUnreachable,
    /// Nobody has the port.
    PortUnreachable,
    /// The transport protocol is not translated.
    ProtocolUnreachable,
    /// No hop is left.
    HopLimitExceeded,
    /// The packet is larger than the next link.
    TooBig { mtu: u16 },
    /// The route its sender chose cannot be followed; in IPv6, the byte at `pointer` says so.
    SourceRoute { pointer: u32 },
    /// The rest of a datagram has not come in time.
    ReassemblyTimeExceeded,
    /// An IPv6 fragment that is part of no datagram: the field at `pointer` says so.
    FragmentProblem { pointer: u32 },
}

impl Reply {
    /// Type, code and the four bytes behind the checksum, in ICMPv4.
    const fn v4(self) -> (u8, u8, u32) {
        match self {
            // RFC 5508 REQ-8: a flow that finds no resources hears the same.
            Self::Prohibited | Self::NoResources => (icmp::v4::UNREACHABLE, 13, 0),
            Self::AddressUnreachable => (icmp::v4::UNREACHABLE, 1, 0),
            Self::PortUnreachable => (icmp::v4::UNREACHABLE, 3, 0),
            Self::ProtocolUnreachable => (icmp::v4::UNREACHABLE, 2, 0),
            Self::HopLimitExceeded => (icmp::v4::TIME_EXCEEDED, 0, 0),
            Self::TooBig { mtu } => (icmp::v4::UNREACHABLE, 4, mtu as u32),
            Self::SourceRoute { .. } => (icmp::v4::UNREACHABLE, 5, 0),
            Self::ReassemblyTimeExceeded => (icmp::v4::TIME_EXCEEDED, 1, 0),
            Self::FragmentProblem { pointer } => (icmp::v4::PARAMETER_PROBLEM, 0, pointer << 24),
        }
    }

    /// Type, code and the four bytes behind the checksum, in ICMPv6.
    const fn v6(self) -> (u8, u8, u32) {
        match self {
            Self::Prohibited => (icmp::v6::UNREACHABLE, 1, 0),
            // RFC 6146 §3.5.1.1 asks for address unreachable where no resources are left.
            Self::AddressUnreachable | Self::NoResources => (icmp::v6::UNREACHABLE, 3, 0),
            // RFC 6146 §3.4 asks for port unreachable where the protocol is.
            Self::PortUnreachable | Self::ProtocolUnreachable => (icmp::v6::UNREACHABLE, 4, 0),
            Self::HopLimitExceeded => (icmp::v6::TIME_EXCEEDED, 0, 0),
            // RFC 8200 §5: no IPv6 link is smaller.
            Self::TooBig { mtu } => (icmp::v6::PACKET_TOO_BIG, 0, if mtu < 1280 { 1280 } else { mtu as u32 }),
            Self::SourceRoute { pointer } | Self::FragmentProblem { pointer } => {
                (icmp::v6::PARAMETER_PROBLEM, 0, pointer)
            }
            Self::ReassemblyTimeExceeded => (icmp::v6::TIME_EXCEEDED, 1, 0),
        }
    }
}

/// Whether an error may be sent about `packet` at all (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)).
pub(crate) fn may_be_answered(reply: Reply, packet: &[u8]) -> bool {
    match Family::of(packet) {
        Some(Family::V4) => Ipv4::parse_quoted(packet).ok().and_then(sender4).is_some(),
        Some(Family::V6) => Ipv6::parse_quoted(packet).ok().and_then(|about| sender6(reply, about)).is_some(),
        None => false,
    }
}

/// Where errors come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    /// Identification of an ICMPv4 error: no longer than 576 bytes, it must pass links that are smaller still, and nobody
    /// would hear of it if it did not.
    pub(crate) identification: u16,
}

/// The error about `packet`, or nothing where none may be sent.
pub(crate) fn error(reply: Reply, packet: &[u8], source: Source) -> Option<Vec<u8>> {
    let (words, addresses, traffic_class, longest) = match Family::of(packet)? {
        Family::V4 => {
            let about = Ipv4::parse_quoted(packet).ok()?;
            let addresses = Addresses::V4 { source: source.v4, destination: sender4(about)? };
            (reply.v4(), addresses, about.traffic_class(), LONGEST_ERROR4 - ipv4::HEADER_LEN)
        }
        Family::V6 => {
            let about = Ipv6::parse_quoted(packet).ok()?;
            let addresses = Addresses::V6 { source: source.v6, destination: sender6(reply, about)? };
            (reply.v6(), addresses, about.traffic_class(), LONGEST_ERROR6 - ipv6::HEADER_LEN)
        }
    };
    let (kind, code, rest) = words;
    let quote = &packet[..packet.len().min(longest - icmp::HEADER_LEN)];
    let mut message = Vec::with_capacity(icmp::HEADER_LEN + quote.len());
    message.extend([kind, code, 0, 0]);
    message.extend(rest.to_be_bytes());
    message.extend(quote);
    seal_icmp(&mut message, addresses);
    let fields = Fields {
        // RFC 5508 §7.7: the class of service is that of the packet, congestion is not.
        traffic_class: traffic_class & !0b11,
        identification: Some(source.identification),
        ..Fields::own_icmp(addresses.family())
    };
    Some(compose(addresses, fields, &message))
}

/// Who hears of an error about an IPv4 packet.
fn sender4(about: Ipv4<'_>) -> Option<Ipv4Addr> {
    let source = about.source();
    let is_host = !matches!(source.octets()[0], 0 | 127 | 224..);
    let is_error =
        about.protocol() == protocol::ICMPV4 && about.payload().first().is_none_or(|kind| icmp::v4::is_error(*kind));
    let is_later_fragment = about.fragment_offset() > 0;
    (is_host && !is_error && !is_later_fragment && !about.destination().is_multicast()).then_some(source)
}

/// Who hears of an error about an IPv6 packet.
///
/// RFC 8200 §4.5 wants to be told of later fragments that are wrong by themselves; of an ICMP message they may be part of
/// an error.
fn sender6(reply: Reply, about: Ipv6<'_>) -> Option<Ipv6Addr> {
    let source = about.source();
    let upper = about.upper_layer_to_answer().ok()?;
    let is_host = !source.is_multicast() && !source.is_unspecified() && !source.is_loopback();
    let is_error =
        upper.protocol == protocol::ICMPV6 && about.bytes().get(upper.at).is_none_or(|kind| icmp::v6::is_error(*kind));
    let is_later_fragment = upper.fragment.is_some_and(|fragment| fragment.offset_bytes > 0);
    let may_be_later = matches!(reply, Reply::FragmentProblem { .. }) && upper.protocol != protocol::ICMPV6;
    (is_host && !is_error && (may_be_later || !is_later_fragment) && !about.destination().is_multicast())
        .then_some(source)
}

/// Token buckets, one for each of many groups of receivers (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).
///
/// A receiver shares its bucket with those of the same hash, so one that provokes errors cannot use up the others'.
#[derive(Debug)]
pub(crate) struct RateLimit {
    key: SipKey,
    buckets: Box<[Bucket; BUCKETS]>,
}

const BUCKETS: usize = 256;
/// Errors a receiver can get at once.
const BURST: u64 = 50;
/// One more error per so many milliseconds.
const MILLIS_PER_ERROR: u64 = 20;

/// A bucket is empty until the time it would be full again is less than a burst away.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at_millis: u64,
}

impl RateLimit {
    pub(crate) fn new(key: SipKey) -> Self {
        Self { key, buckets: Box::new([Bucket::default(); BUCKETS]) }
    }

    /// Takes a token for an error about `packet`.
    pub(crate) fn admits(&mut self, now: Tick, packet: &[u8]) -> bool {
        let receiver = match Family::of(packet) {
            Some(Family::V4) => Ipv4::parse_quoted(packet).map(|ip| u64::from(ip.source().to_bits())),
            // The /64 is the peer.
            _ => Ipv6::parse_quoted(packet).map(|ip| (ip.source().to_bits() >> 64) as u64),
        };
        let index = self.key.hash([receiver.unwrap_or(0)]) as usize % BUCKETS;
        let full_at = self.buckets[index].full_at_millis.max(now.millis()) + MILLIS_PER_ERROR;
        if full_at > now.millis() + BURST * MILLIS_PER_ERROR {
            return false;
        }
        self.buckets[index].full_at_millis = full_at;
        true
    }
}
