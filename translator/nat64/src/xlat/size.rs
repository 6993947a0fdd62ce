//! Sizes (RFC 7915 §4.1, §5.1, §1.4): what fits the next link, what is fragmented, and what its sender must hear about.
//!
//! A super-packet is as long as the packets it will be cut into.

use packet::ipv4::Fragmentation;
use packet::{Family, Packet, ipv4, ipv6};

use crate::drop::Refusal;
use crate::network::Network;
use crate::reply::Reply;
use crate::tuple::Transport;
use crate::xlat::fragment::{Cutting, Train};
use crate::{Config, DropReason};

/// Whether a packet goes out as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Whole,
    Fragmented,
}

impl Fit {
    /// What is to become of it for a link of `mtu` bytes.
    pub(crate) fn cutting(self, mtu: u16, identification: u16) -> Option<Cutting> {
        match self {
            Self::Whole => None,
            Self::Fragmented => Some(Cutting { mtu, identification }),
        }
    }
}

/// How far the headers of the two families differ in length, in bytes.
const DIFFERENCE: u16 = (ipv6::HEADER_LEN - ipv4::HEADER_LEN) as u16;

/// Length of a packet on the wire after translation, in bytes; of a super-packet that of its longest segment.
pub(crate) fn on_the_wire(packet: &Packet<'_>, network: &Network, transport: &Transport, to: Family) -> usize {
    let header_len = match (network.family, to) {
        (Family::V4, Family::V4) => network.transport_at,
        (_, Family::V4) => ipv4::HEADER_LEN,
        (_, Family::V6) => ipv6::HEADER_LEN,
    };
    let payload_len = network.len - network.transport_at;
    match (packet.offload.segments, transport.segmentation()) {
        (Some(segments), Some((_, transport_len))) => {
            header_len + payload_len.min(transport_len + usize::from(segments.size_bytes))
        }
        _ => header_len + payload_len,
    }
}

/// How many packets will be on the wire.
pub(crate) fn packets(packet: &Packet<'_>, network: &Network, transport: &Transport) -> u16 {
    match (packet.offload.segments, transport.segmentation()) {
        (Some(segments), Some((_, transport_len))) => {
            let payload_len = (network.len - network.transport_at).saturating_sub(transport_len);
            payload_len.div_ceil(usize::from(segments.size_bytes).max(1)).max(1) as u16
        }
        _ => 1,
    }
}

/// Longest packet towards the inside, in bytes (RFC 7915 §4.1): nobody asked for an IPv4 packet that may be fragmented to
/// be as long as it is, so it is made to pass every link.
pub(crate) fn mtu_inside(config: &Config, network: &Network, to: Family) -> u16 {
    match to {
        Family::V6 if network.family == Family::V4 && !network.dont_fragment => config.lowest_ipv6_mtu,
        Family::V4 | Family::V6 => config.mtu6,
    }
}

/// Whether a packet that came in fragments fits a link of `mtu` bytes in the same ones.
///
/// It leaves in fragments in any case; only a sender that sets DF on them wants to hear that they are too long.
pub(crate) fn fit_train(network: &Network, train: &Train, to: Family, mtu: u16) -> Result<Fit, Refusal> {
    let (header_len, difference) = match (network.family, to) {
        (Family::V4, Family::V4) => (network.transport_at, 0),
        (Family::V6, Family::V4) => return Ok(Fit::Fragmented),
        // From one peer to another: nobody fragments for IPv6 on the way.
        (Family::V6, Family::V6) => (ipv6::HEADER_LEN + ipv6::FRAGMENT_HEADER_LEN, 0),
        (Family::V4, Family::V6) => {
            (ipv6::HEADER_LEN + ipv6::FRAGMENT_HEADER_LEN, DIFFERENCE + ipv6::FRAGMENT_HEADER_LEN as u16)
        }
    };
    if network.dont_fragment && header_len + train.longest > usize::from(mtu) {
        let mtu = mtu.saturating_sub(difference);
        return Err(Refusal::with(DropReason::PacketTooBig, Reply::TooBig { mtu }));
    }
    Ok(Fit::Fragmented)
}

/// Whether a packet of `wire_len` bytes fits a link of `mtu` bytes.
pub(crate) fn fit(network: &Network, wire_len: usize, to: Family, mtu: u16) -> Result<Fit, Refusal> {
    if wire_len <= usize::from(mtu) {
        return Ok(Fit::Whole);
    }
    let (may_fragment, mtu) = match (network.family, to) {
        // From one peer to another: nobody fragments for IPv6 on the way.
        (Family::V6, Family::V6) => (false, mtu),
        // RFC 7915 §5.1: what is short enough for DF to stay clear is for the IPv4 side to fragment.
        (Family::V6, Family::V4) => {
            let is_short = Fragmentation::for_translated(wire_len) == Fragmentation::Allowed;
            (is_short || !network.dont_fragment, mtu.saturating_add(DIFFERENCE))
        }
        (Family::V4, Family::V6) => (!network.dont_fragment, mtu.saturating_sub(DIFFERENCE)),
        (Family::V4, Family::V4) => (!network.dont_fragment, mtu),
    };
    if may_fragment { Ok(Fit::Fragmented) } else { Err(Refusal::with(DropReason::PacketTooBig, Reply::TooBig { mtu })) }
}
