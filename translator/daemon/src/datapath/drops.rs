//! What the datapath itself drops, before or after tunnels and engine.

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    /// The kernel routed a packet to us that is neither for the engine nor from the gateway's own addresses.
    NotForUs,
    /// One of our own datagrams: without a route to the peer, the kernel sends it from the gateway's address, into the
    /// interface, and it would go round for ever.
    OwnDatagram,
    /// A packet from the TUN interface that contradicts its virtio-net header.
    TunMalformed,
    /// A super-packet that cannot be cut.
    Unsegmentable,
    /// The TUN interface took no packet: it is down, the kernel short of memory, or the packet not to its taste.
    TunWriteFailed,
    /// The kernel took no datagram: no route to the peer, most often.
    SendFailed,
}

impl DropReason {
    const ALL: [Self; 6] = [
        Self::NotForUs,
        Self::OwnDatagram,
        Self::TunMalformed,
        Self::Unsegmentable,
        Self::TunWriteFailed,
        Self::SendFailed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotForUs => "not_for_us",
            Self::OwnDatagram => "own_datagram",
            Self::TunMalformed => "tun_malformed",
            Self::Unsegmentable => "unsegmentable",
            Self::TunWriteFailed => "tun_write_failed",
            Self::SendFailed => "send_failed",
        }
    }
}

/// How often each reason applied.
#[derive(Default)]
pub(super) struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    pub(super) fn add(&mut self, reason: DropReason) {
        self.add_many(reason, 1);
    }

    pub(super) fn add_many(&mut self, reason: DropReason, packets: usize) {
        self.0[reason as usize] += packets as u64;
    }

    /// Takes over what was counted elsewhere.
    pub(super) fn take(&mut self, other: &mut Self) {
        for (count, more) in self.0.iter_mut().zip(std::mem::take(&mut other.0)) {
            *count += more;
        }
    }

    /// By the stable names in metrics and status.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason.as_str(), self.0[reason as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_own_name() {
        let mut drops = Drops::default();
        for (times, reason) in DropReason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| drops.add(reason));
        }

        assert_eq!(
            drops.iter().collect::<Vec<_>>(),
            [
                ("not_for_us", 0),
                ("own_datagram", 1),
                ("tun_malformed", 2),
                ("unsegmentable", 3),
                ("tun_write_failed", 4),
                ("send_failed", 5)
            ]
        );
    }
}
