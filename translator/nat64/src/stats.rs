//! What an engine has done so far, and how full its tables are.

use crate::DropReason;

/// Counters since the engine was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Forwarded from inside to outside.
    pub outgoing: Traffic,
    /// Forwarded from outside to inside.
    pub incoming: Traffic,
    /// From inside to inside (RFC 6146 §3.8).
    pub hairpinned: Traffic,
    /// SYNs from outside that waited for one from inside; retransmissions count too.
    pub syns_held: u64,
    /// ICMP errors the engine made.
    pub errors_sent: u64,
    /// ICMP errors it did not make because of the rate limit, or because it is to make none.
    pub errors_suppressed: u64,
    dropped: [u64; DropReason::ALL.len()],
}

/// Packets of one direction, as they leave the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets: a super-packet counts as what it will be cut into, one that must be fragmented as one.
    pub packets: u64,
    /// Their bytes, IP headers included; headers that cutting repeats count once.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) const fn count(&mut self, packets: u16, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }
}

impl Stats {
    /// How many packets were dropped for this reason.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Every reason that occurred, with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.dropped(*reason))).filter(|(_, count)| *count > 0)
    }

    pub(crate) const fn count_drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            outgoing: Traffic::default(),
            incoming: Traffic::default(),
            hairpinned: Traffic::default(),
            syns_held: 0,
            errors_sent: 0,
            errors_suppressed: 0,
            dropped: [0; DropReason::ALL.len()],
        }
    }
}

/// How full the tables are, per protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSizes {
    /// TCP.
    pub tcp: TableSize,
    /// UDP.
    pub udp: TableSize,
    /// ICMP echo.
    pub icmp: TableSize,
}

/// How full the tables of one protocol are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// BIB entries.
    pub bib_entries: usize,
    /// Sessions.
    pub sessions: usize,
}

impl TableSizes {
    /// The sizes with the names of their protocols.
    pub const fn by_protocol(&self) -> [(&'static str, TableSize); 3] {
        [("tcp", self.tcp), ("udp", self.udp), ("icmp", self.icmp)]
    }
}
