//! Reading a network header: what is kept of it, and what is refused at once (RFC 7915 §4.1, §5.1).

use packet::ipv4::Ipv4;
use packet::ipv6::{Fragment, Ipv6};
use packet::{Family, Malformed};

use crate::DropReason;
use crate::drop::Refusal;
use crate::reply::Reply;

/// What translation needs of a network header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) family: Family,
    pub(crate) traffic_class: u8,
    /// Hops left on arrival; at least 2.
    pub(crate) hop_limit: u8,
    pub(crate) protocol: u8,
    pub(crate) transport_at: usize,
    /// Length of the packet by its own header; padding is cut off.
    pub(crate) len: usize,
    /// Whether the sender wants to hear about packets that are too large instead of having them fragmented.
    pub(crate) dont_fragment: bool,
    /// Identification of an IPv4 packet, or the low half of an atomic fragment's.
    pub(crate) identification: u16,
    /// Whether it is a part of a larger packet.
    pub(crate) is_fragment: bool,
}

impl Network {
    /// Hops left on departure.
    pub(crate) const fn next_hop_limit(&self) -> u8 {
        self.hop_limit - 1
    }
}

/// Reads the header of an IPv4 packet.
pub(crate) fn read4(ip: Ipv4<'_>) -> Result<Network, Refusal> {
    if !ip.checksum_is_right() {
        return Err(DropReason::Ipv4Checksum.into());
    }
    // RFC 7915 §4.1: a source route that has not expired cannot be translated.
    if ip.unexpired_source_route().is_some() {
        return Err(Refusal::with(DropReason::SourceRoute, Reply::SourceRoute { pointer: 0 }));
    }
    Ok(own4(ip, hop_limit(ip.ttl())?))
}

/// The header of an IPv4 packet that the engine has made, as if so many hops were left.
pub(crate) fn own4(ip: Ipv4<'_>, hop_limit: u8) -> Network {
    Network {
        family: Family::V4,
        traffic_class: ip.traffic_class(),
        hop_limit,
        protocol: ip.protocol(),
        transport_at: ip.header_len(),
        len: ip.bytes().len(),
        dont_fragment: ip.dont_fragment(),
        identification: ip.identification(),
        is_fragment: ip.is_fragment(),
    }
}

/// Reads the header of an IPv6 packet.
pub(crate) fn read6(ip: Ipv6<'_>) -> Result<Network, Refusal> {
    let upper = ip.upper_layer().map_err(|malformed| match malformed {
        // RFC 7915 §5.1.1, §5.4: such a packet is dropped, and its sender should hear of it.
        Malformed::HeaderChain => Refusal::with(DropReason::Malformed, Reply::Prohibited),
        Malformed::Version | Malformed::Truncated | Malformed::Length => malformed.into(),
    })?;
    // RFC 7915 §5.1: a route that is not finished is answered with a pointer to the segments left.
    if let Some(pointer) = upper.segments_left_at {
        let pointer = u32::try_from(pointer).map_err(|_| Malformed::Length)?;
        return Err(Refusal::with(DropReason::RoutingHeader, Reply::SourceRoute { pointer }));
    }
    let atomic = upper.fragment.filter(Fragment::is_atomic);
    Ok(Network {
        family: Family::V6,
        traffic_class: ip.traffic_class(),
        hop_limit: hop_limit(ip.hop_limit())?,
        protocol: upper.protocol,
        transport_at: upper.at,
        len: ip.bytes().len(),
        // RFC 7915 §5.1.1: whatever has a fragment header may be fragmented further.
        dont_fragment: atomic.is_none(),
        identification: atomic.map_or(0, |atomic| atomic.identification as u16),
        // RFC 6946: a fragment that is the whole packet is no fragment.
        is_fragment: upper.fragment.is_some() && atomic.is_none(),
    })
}

/// Which part of a larger packet a fragment is.
pub(crate) fn place(family: Family, bytes: &[u8]) -> Result<Fragment, Malformed> {
    match family {
        Family::V4 => {
            let ip = Ipv4::parse(bytes)?;
            Ok(Fragment {
                offset_bytes: ip.fragment_offset() as u16,
                more: ip.more_fragments(),
                identification: u32::from(ip.identification()),
            })
        }
        Family::V6 => Ipv6::parse(bytes)?.upper_layer()?.fragment.ok_or(Malformed::HeaderChain),
    }
}

fn hop_limit(left: u8) -> Result<u8, Refusal> {
    if left <= 1 { Err(Refusal::with(DropReason::HopLimitExceeded, Reply::HopLimitExceeded)) } else { Ok(left) }
}
