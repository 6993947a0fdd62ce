//! The engine: the only file that knows the order of the steps.

use std::time::Instant;

use ipnet::IpNet;
use packet::{Family, Packet};

use crate::{Config, DropReason, Stats, TableSizes, Verdict};

/// A packet the engine made itself, with complete checksums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it is to go.
    pub side: Side,
    /// The packet, from the first byte of its IP header.
    pub bytes: Vec<u8>,
}

/// The two sides of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the peers.
    Inside,
    /// Towards the IPv4 internet.
    Outside,
}

/// The NAT64 engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    stats: Stats,
}

impl Engine {
    /// An engine with empty tables. The seed must be unpredictable: ports and hash tables depend on it.
    pub fn new(config: Config, _seed: [u8; 32], _now: Instant) -> Self {
        Self { config, stats: Stats::default() }
    }

    /// Takes a packet from a peer: IPv6 towards pool6, or IPv4.
    pub fn handle_inside(&mut self, _now: Instant, packet: &mut Packet<'_>) -> Verdict {
        let reason = match Family::of(packet.bytes()) {
            Some(Family::V6) => DropReason::DestinationOutsidePool6,
            Some(Family::V4) => DropReason::NoBibEntry,
            None => DropReason::Malformed,
        };
        self.stats.count_drop(reason);
        Verdict::Drop(reason)
    }

    /// Takes an IPv4 packet to pool4.
    pub fn handle_outside(&mut self, _now: Instant, _packet: &mut Packet<'_>) -> Verdict {
        self.stats.count_drop(DropReason::NoBibEntry);
        Verdict::Drop(DropReason::NoBibEntry)
    }

    /// The next packet the engine made itself: an ICMP error or a fragment.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// Lets time pass: what has expired goes.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`handle_timeout`](Self::handle_timeout) next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Changes the configuration and keeps what the new one allows.
    pub fn reconfigure(&mut self, _now: Instant, config: Config) {
        self.config = config;
    }

    /// A peer left: its BIB entries and sessions go.
    pub fn forget_inside(&mut self, _prefix: IpNet) {}

    /// Counters since the engine was made.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How full the tables are.
    pub fn table_sizes(&self) -> TableSizes {
        TableSizes::default()
    }
}
