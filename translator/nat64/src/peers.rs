//! What each peer has in the tables, for the limits (RFC 6888 REQ-4): nobody takes the ports of the others.
//!
//! A peer is an inside /64 or a single inside IPv4 address. It is known as long as it has a BIB entry, so the table is
//! never longer than the BIBs.

use std::net::Ipv6Addr;

use crate::config::Limits;
use crate::hash::SipKey;
use crate::index_table::IndexTable;
use crate::slab::Slab;
use crate::timers::Tick;

/// Place of a peer; valid as long as the peer has a BIB entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerIndex(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct Peer {
    prefix: u128,
    pub(crate) bib_entries: u32,
    pub(crate) sessions: u32,
    /// When the bucket of new flows would be full again.
    flows_full_at_micros: u64,
}

impl Peer {
    /// Takes a token for a new flow (RFC 6888 REQ-4).
    ///
    /// The bucket goes with the peer, whose last session is older than any bucket takes to fill.
    pub(crate) fn may_start_flow(&mut self, now: Tick, limits: &Limits) -> bool {
        let Some(micros_per_flow) = 1_000_000_u64.checked_div(u64::from(limits.new_flows_per_second)) else {
            return false;
        };
        let full_at = self.flows_full_at_micros.max(now.micros()) + micros_per_flow;
        let is_in_time = full_at <= now.micros() + u64::from(limits.new_flows_at_once) * micros_per_flow;
        if is_in_time {
            self.flows_full_at_micros = full_at;
        }
        is_in_time
    }
}

#[derive(Debug)]
pub(crate) struct Peers {
    key: SipKey,
    peers: Slab<Peer>,
    by_prefix: IndexTable,
}

impl Peers {
    pub(crate) const fn new(key: SipKey) -> Self {
        Self { key, peers: Slab::new(), by_prefix: IndexTable::new() }
    }

    pub(crate) fn find(&self, address: Ipv6Addr) -> Option<PeerIndex> {
        let prefix = prefix(address);
        let same = |index| self.peers[index].prefix == prefix;
        self.by_prefix.find(hash(self.key, prefix), same).map(PeerIndex)
    }

    pub(crate) fn find_or_insert(&mut self, address: Ipv6Addr) -> PeerIndex {
        if let Some(known) = self.find(address) {
            return known;
        }
        let prefix = prefix(address);
        let key = self.key;
        let index = self.peers.insert(Peer { prefix, bib_entries: 0, sessions: 0, flows_full_at_micros: 0 });
        let peers = &self.peers;
        self.by_prefix.insert(hash(key, prefix), index, |place| hash(key, peers[place].prefix));
        PeerIndex(index)
    }

    pub(crate) fn peer(&self, index: PeerIndex) -> &Peer {
        &self.peers[index.0]
    }

    pub(crate) fn peer_mut(&mut self, index: PeerIndex) -> &mut Peer {
        &mut self.peers[index.0]
    }

    /// Forgets a peer that has nothing left.
    pub(crate) fn remove_if_idle(&mut self, index: PeerIndex) {
        let Peer { prefix, bib_entries: 0, sessions: 0, .. } = self.peers[index.0] else { return };
        self.peers.remove(index.0);
        self.by_prefix.remove(hash(self.key, prefix), index.0);
    }
}

/// What the addresses of one peer have in common.
pub(crate) fn prefix(address: Ipv6Addr) -> u128 {
    match address.to_ipv4_mapped() {
        Some(_) => address.to_bits(),
        None => address.to_bits() >> 64 << 64,
    }
}

fn hash(key: SipKey, prefix: u128) -> u64 {
    key.hash([(prefix >> 64) as u64, prefix as u64])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(peers: &mut Peers, address: &str) -> PeerIndex {
        peers.find_or_insert(address.parse().unwrap())
    }

    #[test]
    fn a_slash_64_is_one_peer_and_each_ipv4_address_another() {
        let mut peers = Peers::new(SipKey::from_seed(&[1; 32], 1));
        let web = peer(&mut peers, "2001:db8:0:1::1");

        assert_eq!(peer(&mut peers, "2001:db8:0:1:ffff::2"), web);
        assert_ne!(peer(&mut peers, "2001:db8:0:2::1"), web);
        assert_ne!(peer(&mut peers, "::ffff:198.18.0.7"), peer(&mut peers, "::ffff:198.18.0.8"));
    }

    #[test]
    fn a_peer_without_entries_is_forgotten() {
        let mut peers = Peers::new(SipKey::from_seed(&[1; 32], 1));
        let web = peer(&mut peers, "2001:db8::1");
        peers.peer_mut(web).bib_entries = 1;

        peers.remove_if_idle(web);
        assert_eq!(peers.find("2001:db8::9".parse().unwrap()), Some(web));
        peers.peer_mut(web).bib_entries = 0;
        peers.remove_if_idle(web);
        assert_eq!(peers.find("2001:db8::9".parse().unwrap()), None);
    }
}
