//! Why a packet was dropped. The labels are metric labels: once released they never change.

use packet::{Malformed, NoHeadroom};

use crate::reply::Reply;

/// The outcome of handing a packet to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet now holds what is to be sent on.
    Forward,
    /// The engine has taken the packet in: it waits there, or has become packets that
    /// [`poll_transmit`](crate::Engine::poll_transmit) gives. Its content is undefined.
    Taken,
    /// The packet is to be forgotten; its content is undefined.
    Drop(DropReason),
}

/// Why the engine does not pass a packet on, and what its sender should hear about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: DropReason,
    pub(crate) reply: Option<Reply>,
}

impl Refusal {
    pub(crate) const fn with(reason: DropReason, reply: Reply) -> Self {
        Self { reason, reply: Some(reply) }
    }
}

impl From<DropReason> for Refusal {
    fn from(reason: DropReason) -> Self {
        Self { reason, reply: None }
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        DropReason::Malformed.into()
    }
}

impl From<NoHeadroom> for Refusal {
    fn from(_: NoHeadroom) -> Self {
        DropReason::NoHeadroom.into()
    }
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])+ $variant:ident => $label:literal,)+) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason { $($(#[$doc])+ $variant,)+ }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

drop_reasons! {
    /// The headers cannot be read.
    Malformed => "malformed",
    /// What the device said about checksums and segments does not fit the packet.
    OffloadMismatch => "offload_mismatch",
    /// The IPv4 header checksum is wrong.
    Ipv4Checksum => "ipv4_checksum",
    /// The checksum of an ICMP error is wrong.
    IcmpChecksum => "icmp_checksum",
    /// A source that no host may have, or none that lies inside (RFC 7915 §4.1, §5.1).
    IllegalSource => "illegal_source",
    /// An IPv6 source inside pool6: a loop (RFC 6146 §3.5).
    SourceInPool6 => "source_in_pool6",
    /// An IPv6 destination outside pool6.
    DestinationOutsidePool6 => "destination_outside_pool6",
    /// An IPv4 destination outside pool4.
    DestinationOutsidePool4 => "destination_outside_pool4",
    /// A destination of the special-purpose registry (RFC 6890).
    DestinationNotGlobal => "destination_not_global",
    /// A destination that is the home's own address.
    DestinationOwnAddress => "destination_own_address",
    /// A port that peers may not send to.
    DestinationPortDenied => "destination_port_denied",
    /// A destination in pool4 from inside, where peers may not reach one another.
    HairpinningOff => "hairpinning_off",
    /// No hop is left.
    HopLimitExceeded => "hop_limit_exceeded",
    /// An IPv4 source route that has not expired (RFC 7915 §4.1).
    SourceRoute => "source_route",
    /// An IPv6 routing header with segments left (RFC 7915 §5.1).
    RoutingHeader => "routing_header",
    /// An ICMP error in fragments, or one that quotes a later fragment (RFC 7915 §4.3, §5.3).
    FragmentNotSupported => "fragment_not_supported",
    /// A fragment that is there already.
    FragmentRepeated => "fragment_repeated",
    /// A fragment that overlaps another; the whole datagram goes with it, and what is still to come (RFC 5722).
    FragmentsOverlap => "fragments_overlap",
    /// No room for a fragment; or a datagram, counted once, that had to make room.
    FragmentsFull => "fragments_full",
    /// A source has as many bytes or datagrams waiting as it may have.
    FragmentsSourceFull => "fragments_source_full",
    /// A datagram of more fragments than it may have.
    FragmentsTooMany => "fragments_too_many",
    /// A datagram, counted once, of which fragments were still missing when its time was over.
    FragmentsIncomplete => "fragments_incomplete",
    /// UDP over IPv4 without checksum, which the operator wants to be dropped (RFC 7915 §4.5).
    UdpWithoutChecksum => "udp_without_checksum",
    /// Neither TCP, UDP nor ICMP of the right family.
    ProtocolNotSupported => "protocol_not_supported",
    /// An ICMP type or code that has no counterpart (RFC 7915 §4.2, §5.2).
    IcmpNotTranslated => "icmp_not_translated",
    /// An ICMP error about an ICMP error (RFC 7915 §4.3, §5.3).
    IcmpErrorAboutError => "icmp_error_about_error",
    /// An ICMP error about a packet that no mapping can have carried.
    IcmpErrorWithoutSession => "icmp_error_without_session",
    /// From outside to a transport address that nobody inside has mapped.
    NoBibEntry => "no_bib_entry",
    /// Belongs to no session, and cannot start one.
    NoSession => "no_session",
    /// From an address the inside endpoint has never spoken to.
    FilteredByAddress => "filtered_by_address",
    /// No transport address is free in pool4.
    PoolExhausted => "pool4_exhausted",
    /// The BIB is full.
    BibFull => "bib_full",
    /// The session table is full.
    SessionsFull => "sessions_full",
    /// The peer has all the BIB entries it may have.
    PeerBibFull => "peer_bib_full",
    /// The peer has all the sessions it may have.
    PeerSessionsFull => "peer_sessions_full",
    /// The peer starts more sessions in a second than it may.
    PeerFlowRate => "peer_flow_rate",
    /// Too large for the next link, and not to be fragmented.
    PacketTooBig => "packet_too_big",
    /// Nobody collects the packets the engine makes.
    TransmitQueueFull => "transmit_queue_full",
    /// The caller left too little room in front of the packet.
    NoHeadroom => "no_headroom",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_snake_case() {
        let labels: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();

        assert_eq!(labels.len(), DropReason::ALL.len());
        assert!(labels.iter().all(|label| label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))));
    }

    #[test]
    fn the_order_of_all_is_the_order_of_the_counters() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
