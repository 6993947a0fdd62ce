//! The names of things: endpoints, and the tuples of a packet (RFC 6146 §3.4).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use packet::icmp::{self, Icmp};
use packet::tcp::{Flags, Tcp};
use packet::udp::Udp;
use packet::{Family, SegmentKind, protocol, udp};

use crate::DropReason;
use crate::drop::Refusal;
use crate::prefixes::PrefixIndex;
use crate::reply::Reply;

/// A transport address inside, RFC 6146's (X',x). IPv4 peers are ::ffff:a.b.c.d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) address: Ipv6Addr,
    pub(crate) port: u16,
}

/// A transport address of pool4, RFC 6146's (T,t).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outer {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

/// A transport address of the IPv4 internet, RFC 6146's (Z,z); port 0 for ICMP, whose sessions have none (§3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

/// What a packet from inside speaks to. Together they are RFC 6146's (Y',y).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpokenTo {
    pub(crate) remote: Remote,
    pub(crate) prefix: PrefixIndex,
}

/// Whom a packet from outside is for, and the prefix under which that sees its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) inner: Inner,
    pub(crate) prefix: PrefixIndex,
}

impl SpokenTo {
    /// What has spoken itself: nobody inside has chosen a prefix yet.
    pub(crate) const fn first(remote: Remote) -> Self {
        Self { remote, prefix: PrefixIndex::FIRST }
    }
}

impl Inner {
    /// The address as an IPv4 peer's.
    #[inline(always)]
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        let bits = self.address.to_bits();
        (bits >> 32 == 0xffff).then(|| Ipv4Addr::from_bits(bits as u32))
    }
}

impl From<SocketAddr> for Inner {
    fn from(endpoint: SocketAddr) -> Self {
        let address = match endpoint {
            SocketAddr::V4(endpoint) => endpoint.ip().to_ipv6_mapped(),
            SocketAddr::V6(endpoint) => *endpoint.ip(),
        };
        Self { address, port: endpoint.port() }
    }
}

impl From<Inner> for SocketAddr {
    fn from(inner: Inner) -> Self {
        Self::new(inner.address.to_canonical(), inner.port)
    }
}

impl From<SocketAddrV4> for Outer {
    fn from(endpoint: SocketAddrV4) -> Self {
        Self { address: *endpoint.ip(), port: endpoint.port() }
    }
}

impl From<Outer> for SocketAddrV4 {
    fn from(outer: Outer) -> Self {
        Self::new(outer.address, outer.port)
    }
}

impl From<Remote> for SocketAddrV4 {
    fn from(remote: Remote) -> Self {
        Self::new(remote.address, remote.port)
    }
}

/// The protocols that have tables of their own (RFC 6146 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo, with identifiers in place of ports.
    Icmp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// Its name, as metrics and commands write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// The protocol of a number in a family.
    pub(crate) const fn of(family: Family, number: u8) -> Option<Self> {
        match (number, family) {
            (protocol::TCP, _) => Some(Self::Tcp),
            (protocol::UDP, _) => Some(Self::Udp),
            (protocol::ICMPV4, Family::V4) | (protocol::ICMPV6, Family::V6) => Some(Self::Icmp),
            _ => None,
        }
    }

    /// Its number in a family.
    pub(crate) const fn number(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Tcp, _) => protocol::TCP,
            (Self::Udp, _) => protocol::UDP,
            (Self::Icmp, Family::V4) => protocol::ICMPV4,
            (Self::Icmp, Family::V6) => protocol::ICMPV6,
        }
    }
}

/// What the engine reads in a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp { source: u16, destination: u16, flags: Flags, header_len: usize },
    Udp { source: u16, destination: u16 },
    Echo { kind: Echo, identifier: u16 },
    IcmpError,
}

/// The two ICMP queries that are translated (RFC 7915 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    Request,
    Reply,
}

impl Echo {
    /// The type of the message in a family.
    pub(crate) const fn kind(self, family: Family) -> u8 {
        match (self, family) {
            (Self::Request, Family::V4) => icmp::v4::ECHO_REQUEST,
            (Self::Reply, Family::V4) => icmp::v4::ECHO_REPLY,
            (Self::Request, Family::V6) => icmp::v6::ECHO_REQUEST,
            (Self::Reply, Family::V6) => icmp::v6::ECHO_REPLY,
        }
    }

    /// The echo a message of this type and code is.
    pub(crate) const fn of(family: Family, kind: u8, code: u8) -> Option<Self> {
        match (family, kind, code) {
            (Family::V4, icmp::v4::ECHO_REQUEST, 0) | (Family::V6, icmp::v6::ECHO_REQUEST, 0) => Some(Self::Request),
            (Family::V4, icmp::v4::ECHO_REPLY, 0) | (Family::V6, icmp::v6::ECHO_REPLY, 0) => Some(Self::Reply),
            _ => None,
        }
    }
}

impl Transport {
    /// Reads the transport header of a whole packet.
    pub(crate) fn read(family: Family, protocol: u8, bytes: &[u8]) -> Result<Self, Refusal> {
        match (protocol, family) {
            (protocol::TCP, _) => {
                let tcp = Tcp::parse(bytes)?;
                Ok(Self::Tcp {
                    source: tcp.source(),
                    destination: tcp.destination(),
                    flags: tcp.flags(),
                    header_len: tcp.header_len(),
                })
            }
            (protocol::UDP, _) => {
                let udp = Udp::parse(bytes)?;
                Ok(Self::Udp { source: udp.source(), destination: udp.destination() })
            }
            (protocol::ICMPV4, Family::V4) | (protocol::ICMPV6, Family::V6) => {
                let message = Icmp::parse(bytes)?;
                Ok(Self::icmp(family, message).ok_or(DropReason::IcmpNotTranslated)?)
            }
            // RFC 6146 §3.4: other protocols SHOULD be answered with an error.
            _ => Err(Refusal::with(DropReason::ProtocolNotSupported, Reply::ProtocolUnreachable)),
        }
    }

    fn icmp(family: Family, message: Icmp<'_>) -> Option<Self> {
        if let Some(kind) = Echo::of(family, message.kind(), message.code()) {
            return Some(Self::Echo { kind, identifier: message.identifier() });
        }
        let is_error = match family {
            Family::V4 => icmp::v4::is_error(message.kind()),
            Family::V6 => icmp::v6::is_error(message.kind()) && message.kind() != icmp::v6::REDIRECT,
        };
        is_error.then_some(Self::IcmpError)
    }

    /// Whether it announces how large segments may be.
    #[inline(always)]
    pub(crate) const fn is_syn(&self) -> bool {
        matches!(self, Self::Tcp { flags, .. } if flags.has(Flags::SYN))
    }

    /// Whose tables know it.
    pub(crate) const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Tcp { .. } => Some(Protocol::Tcp),
            Self::Udp { .. } => Some(Protocol::Udp),
            Self::Echo { .. } => Some(Protocol::Icmp),
            Self::IcmpError => None,
        }
    }

    /// Where it goes, if that is a port.
    pub(crate) const fn destination(&self) -> Option<(Protocol, u16)> {
        match *self {
            Self::Tcp { destination, .. } => Some((Protocol::Tcp, destination)),
            Self::Udp { destination, .. } => Some((Protocol::Udp, destination)),
            Self::Echo { .. } | Self::IcmpError => None,
        }
    }

    /// The port of pool4, or the identifier, that a packet from outside is for.
    pub(crate) const fn port_outside(&self) -> u16 {
        match *self {
            Self::Tcp { destination, .. } | Self::Udp { destination, .. } => destination,
            Self::Echo { identifier, .. } => identifier,
            Self::IcmpError => 0,
        }
    }

    /// The same from another port, or with another identifier.
    pub(crate) const fn sent_from(self, port: u16) -> Self {
        match self {
            Self::Tcp { destination, flags, header_len, .. } => {
                Self::Tcp { source: port, destination, flags, header_len }
            }
            Self::Udp { destination, .. } => Self::Udp { source: port, destination },
            Self::Echo { kind, .. } => Self::Echo { kind, identifier: port },
            Self::IcmpError => Self::IcmpError,
        }
    }

    /// How a super-packet of this transport is cut, and the length of the header each part gets, in bytes.
    pub(crate) const fn segmentation(&self) -> Option<(SegmentKind, usize)> {
        match self {
            Self::Tcp { header_len, .. } => Some((SegmentKind::Tcp, *header_len)),
            Self::Udp { .. } => Some((SegmentKind::Udp, udp::HEADER_LEN)),
            Self::Echo { .. } | Self::IcmpError => None,
        }
    }
}
