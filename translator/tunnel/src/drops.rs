//! Why a datagram or packet went no further, and how often.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $label:literal,)*) => {
        /// Why the tunnels dropped something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name in metrics and status.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// The datagram has no WireGuard message's type and length.
    NotWireguard => "not_wireguard",
    /// A handshake message whose mac1 was not made for our public key.
    BadMac => "bad_mac",
    /// More handshakes from one peer or /64 than allowed; the latter was sent a cookie.
    HandshakeRateLimited => "handshake_rate_limited",
    /// A handshake by a key that is no peer's.
    UnknownPeer => "unknown_peer",
    /// A message for a session that we do not have, or no longer.
    UnknownSession => "unknown_session",
    /// A handshake that is older than one already seen: a replay, or the peer's clock went back.
    HandshakeReplayed => "handshake_replayed",
    /// A handshake message that does not authenticate, or that answers nothing we sent.
    HandshakeFailed => "handshake_failed",
    /// A data message that was seen before, or is too old to tell.
    Replayed => "replayed",
    /// A data message that does not authenticate.
    DecryptFailed => "decrypt_failed",
    /// What came out of a tunnel is no whole IPv4 or IPv6 packet.
    InnerMalformed => "inner_malformed",
    /// A peer used a source address that is not its own.
    SourceOutsidePrefix => "source_outside_prefix",
    /// No peer owns the destination of a packet.
    NoPeerForDestination => "no_peer_for_destination",
    /// The peer of a packet has no endpoint yet.
    NoEndpoint => "no_endpoint",
    /// Packets that waited for a session, pushed out by newer ones.
    QueueFull => "queue_full",
    /// Packets that waited for a session that did not come.
    HandshakeTimedOut => "handshake_timed_out",
    /// More datagrams to send than the caller took.
    TransmitFull => "transmit_full",
}

/// How often each reason applied.
#[derive(Clone, Debug, Default)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    pub(crate) fn add(&mut self, reason: DropReason, packets: usize) {
        self.0[reason as usize] += packets as u64;
    }

    /// Dropped for `reason` since the start.
    pub fn count(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// The reasons that applied at least once.
    pub fn non_zero(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.count(reason))).filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_snake_case_name() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));

        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), DropReason::ALL.len());
    }

    #[test]
    fn only_reasons_that_applied_are_listed() {
        let mut drops = Drops::default();
        drops.add(DropReason::Replayed, 2);

        assert_eq!(drops.non_zero().collect::<Vec<_>>(), [(DropReason::Replayed, 2)]);
    }
}
