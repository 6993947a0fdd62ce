//! Where the headers of a packet stand, for code that does not care about the family.

use crate::ipv4::Ipv4;
use crate::ipv6::Ipv6;
use crate::tcp::Tcp;
use crate::udp::Udp;
use crate::{Malformed, protocol, tcp, udp};

/// The IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of the packet that starts with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Some(Self::V4),
            6 => Some(Self::V6),
            _ => None,
        }
    }
}

/// Where the headers of a packet stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The IP version.
    pub family: Family,
    /// Protocol of the payload, behind all extension headers.
    pub protocol: u8,
    /// Where the transport header starts.
    pub transport_at: usize,
    /// Where the packet ends by its own length field; padding may follow.
    pub end: usize,
    /// Whether the packet is a part of a larger one.
    pub is_fragment: bool,
}

impl Layout {
    /// Finds the headers of a whole packet.
    ///
    /// # Errors
    /// If the network headers are not valid; the transport header is not looked at.
    pub fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        match Family::of(bytes).ok_or(Malformed::Version)? {
            Family::V4 => {
                let ip = Ipv4::parse(bytes)?;
                Ok(Self {
                    family: Family::V4,
                    protocol: ip.protocol(),
                    transport_at: ip.header_len(),
                    end: ip.bytes().len(),
                    is_fragment: ip.is_fragment(),
                })
            }
            Family::V6 => {
                let ip = Ipv6::parse(bytes)?;
                let upper = ip.upper_layer()?;
                Ok(Self {
                    family: Family::V6,
                    protocol: upper.protocol,
                    transport_at: upper.at,
                    end: ip.bytes().len(),
                    is_fragment: upper.fragment.is_some_and(|fragment| !fragment.is_atomic()),
                })
            }
        }
    }

    /// The transport header and its payload.
    #[inline]
    pub fn transport<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.transport_at..self.end).unwrap_or_default()
    }

    /// Length of the transport header and the place of the checksum in it, for TCP and UDP.
    ///
    /// # Errors
    /// If the transport header is not valid. Other protocols, and fragments, have no answer.
    pub fn transport_header(&self, bytes: &[u8]) -> Result<Option<TransportHeader>, Malformed> {
        if self.is_fragment {
            return Ok(None);
        }
        match self.protocol {
            protocol::TCP => {
                let len = Tcp::parse(self.transport(bytes))?.header_len();
                Ok(Some(TransportHeader { len, checksum_at: tcp::CHECKSUM_AT }))
            }
            protocol::UDP => {
                Udp::parse(self.transport(bytes))?;
                Ok(Some(TransportHeader { len: udp::HEADER_LEN, checksum_at: udp::CHECKSUM_AT }))
            }
            _ => Ok(None),
        }
    }
}

/// Extent of a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportHeader {
    /// Length in bytes, options included.
    pub len: usize,
    /// Where the checksum stands in it.
    pub checksum_at: usize,
}
