//! Fragments that wait for the rest of their datagram (RFC 6146 §3.4, RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Invariants: what waits never exceeds the [`Bounds`], in total and from each source; the parts of a datagram never
//! overlap. A datagram leaves when it is whole, when its time is over, or, after FRAGMENT_MIN, when others need room.
//! Nothing here knows what the fragments carry.

mod datagram;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use hashbrown::HashTable;
use packet::Family;

use crate::fragments::datagram::Misfit;
use crate::hash::SipKey;
use crate::peers;
use crate::slab::Slab;
use crate::timers::Tick;
use crate::{DropReason, Stats};

pub(crate) use datagram::{Datagram, Piece};

/// RFC 6146 §4: what a fragment may wait at least, whatever else arrives.
const FRAGMENT_MIN: Duration = Duration::from_secs(2);
/// RFC 791 §3.2: the initial setting of the reassembly timer.
const LIFETIME4: Duration = Duration::from_secs(15);
/// RFC 8200 §4.5: after this, reassembly must be abandoned.
const LIFETIME6: Duration = Duration::from_secs(60);

/// What tells datagrams apart (RFC 791 §3.2; RFC 8200 §4.5 does without the protocol, which keeps no datagram of one
/// protocol apart). IPv4 addresses are mapped ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) family: Family,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) identification: u32,
    pub(crate) protocol: u8,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Bytes of fragments, what it takes to keep them included; what keeps them grows by doubling.
    bytes: usize,
    /// The same from one source, or rather from all sources of one hash: an inside /64, an IPv4 address.
    bytes_per_source: usize,
    datagrams: usize,
    parts_per_datagram: usize,
}

/// The bytes are Linux' `ipfrag_high_thresh`. 64 KiB in 256 parts is what a link of 296 bytes makes of them (RFC 1191's
/// second smallest).
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, bytes_per_source: 1 << 20, datagrams: 4096, parts_per_datagram: 256 };

const SHARES: usize = 256;

/// The fragments of one direction: whoever floods one leaves the other alone.
#[derive(Debug)]
pub(crate) struct Store {
    key: SipKey,
    bounds: Bounds,
    datagrams: Slab<Datagram>,
    by_key: HashTable<u32>,
    /// Datagrams by their first arrival, for each family.
    by_age: [BTreeSet<(Tick, u32)>; 2],
    bytes: usize,
    shares: Box<[usize; SHARES]>,
}

impl Store {
    pub(crate) fn new(key: SipKey) -> Self {
        Self {
            key,
            bounds: BOUNDS,
            datagrams: Slab::new(),
            by_key: HashTable::new(),
            by_age: [const { BTreeSet::new() }; 2],
            bytes: 0,
            shares: Box::new([0; SHARES]),
        }
    }

    /// Adds a fragment. The datagram it completes leaves the store.
    pub(crate) fn add(
        &mut self,
        now: Tick,
        key: Key,
        piece: &Piece<'_>,
        stats: &mut Stats,
    ) -> Result<Option<Datagram>, DropReason> {
        piece.check()?;
        let known = self.find(&key);
        let place = match known {
            Some(index) => self.place(index, piece)?,
            None => 0,
        };
        let share = self.share(key.source);
        let cost = piece.cost() + if known.is_none() { Datagram::COST } else { 0 };
        self.make_room(now, known, (share, cost), stats)?;
        let index = known.unwrap_or_else(|| self.insert(now, key));
        self.bytes += cost;
        self.shares[share] += cost;
        let datagram = &mut self.datagrams[index];
        datagram.insert(place, piece);
        Ok(if datagram.is_whole() { Some(self.remove(index)) } else { None })
    }

    /// Lets go of a datagram whose time is over; one that was spoilt has been counted before.
    pub(crate) fn expire(&mut self, now: Tick) -> Option<Expired> {
        let (due, index) = self.first_due()?;
        if due > now {
            return None;
        }
        Some(if self.remove(index).is_spoilt() { Expired::Spoilt } else { Expired::Incomplete })
    }

    /// When the next datagram's time is over.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.first_due().map(|(due, _)| due)
    }

    fn first_due(&self) -> Option<(Tick, u32)> {
        let first = |(queue, lifetime): (&BTreeSet<(Tick, u32)>, Duration)| {
            queue.first().map(|(born, index)| (born.after(lifetime), *index))
        };
        self.by_age.iter().zip([LIFETIME4, LIFETIME6]).filter_map(first).min()
    }

    /// Where a fragment belongs among the parts of its datagram.
    fn place(&mut self, index: u32, piece: &Piece<'_>) -> Result<usize, DropReason> {
        let datagram = &self.datagrams[index];
        let place = datagram.place(piece);
        match place {
            Ok(_) if datagram.parts() >= self.bounds.parts_per_datagram => Err(DropReason::FragmentsFull),
            Ok(place) => Ok(place),
            // RFC 8200 §4.5: the network may repeat a fragment.
            Err(Misfit::Repeated) => Err(DropReason::FragmentRepeated),
            Err(Misfit::Overlap) => {
                self.spoil(index);
                Err(DropReason::FragmentsOverlap)
            }
        }
    }

    /// RFC 5722 §4: the datagram goes, and so do those of its fragments that are still to come.
    fn spoil(&mut self, index: u32) {
        let (source, freed) = {
            let datagram = &mut self.datagrams[index];
            (datagram.key().source, datagram.spoil())
        };
        self.release(source, freed);
    }

    fn make_room(
        &mut self,
        now: Tick,
        needed: Option<u32>,
        (share, cost): (usize, usize),
        stats: &mut Stats,
    ) -> Result<(), DropReason> {
        if self.shares[share] + cost > self.bounds.bytes_per_source {
            return Err(DropReason::FragmentsFull);
        }
        while self.bytes + cost > self.bounds.bytes || self.has_too_many(needed) {
            let oldest =
                |queue: &BTreeSet<(Tick, u32)>| queue.iter().find(|(_, index)| Some(*index) != needed).copied();
            let oldest = self.by_age.iter().filter_map(oldest).min();
            let Some((_, index)) = oldest.filter(|(born, _)| born.after(FRAGMENT_MIN) <= now) else {
                return Err(DropReason::FragmentsFull);
            };
            self.remove(index);
            stats.count_drop(DropReason::FragmentsFull);
        }
        Ok(())
    }

    fn has_too_many(&self, needed: Option<u32>) -> bool {
        needed.is_none() && self.datagrams.len() >= self.bounds.datagrams
    }

    fn find(&self, key: &Key) -> Option<u32> {
        let same = |index: &u32| self.datagrams[*index].key() == key;
        self.by_key.find(hash(self.key, key), same).copied()
    }

    fn insert(&mut self, now: Tick, key: Key) -> u32 {
        let (sip, datagrams) = (self.key, &mut self.datagrams);
        let index = datagrams.insert(Datagram::new(now, key));
        self.by_key.insert_unique(hash(sip, &key), index, |index| hash(sip, datagrams[*index].key()));
        self.by_age[key.family as usize].insert((now, index));
        index
    }

    fn remove(&mut self, index: u32) -> Datagram {
        let datagram = self.datagrams.remove(index);
        let key = *datagram.key();
        if let Ok(entry) = self.by_key.find_entry(hash(self.key, &key), |other| *other == index) {
            entry.remove();
        }
        self.by_age[key.family as usize].remove(&(datagram.born(), index));
        self.release(key.source, datagram.cost());
        datagram
    }

    fn release(&mut self, source: Ipv6Addr, cost: usize) {
        let share = self.share(source);
        self.bytes -= cost;
        self.shares[share] -= cost;
    }

    fn share(&self, source: Ipv6Addr) -> usize {
        let prefix = peers::prefix(source);
        self.key.hash([(prefix >> 64) as u64, prefix as u64]) as usize % SHARES
    }
}

/// What became of a datagram whose time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// It was never whole.
    Incomplete,
    /// It had been given up long before.
    Spoilt,
}

fn hash(sip: SipKey, key: &Key) -> u64 {
    let (source, destination) = (key.source.to_bits(), key.destination.to_bits());
    sip.hash([
        (source >> 64) as u64,
        source as u64,
        (destination >> 64) as u64,
        destination as u64,
        u64::from(key.identification) << 16 | u64::from(key.protocol) << 8 | key.family as u64,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use packet::ipv6::Fragment;
    use proptest::prelude::*;

    const SMALL: Bounds = Bounds { bytes: 6000, bytes_per_source: 3000, datagrams: 8, parts_per_datagram: 4 };

    fn network(len: usize) -> Network {
        Network {
            family: Family::V6,
            traffic_class: 0,
            hop_limit: 64,
            protocol: packet::protocol::UDP,
            transport_at: 48,
            len,
            dont_fragment: true,
            identification: 0,
            is_fragment: true,
        }
    }

    fn key(source: u16, identification: u32, is_v4: bool) -> Key {
        let address = |host| Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, 1);
        Key {
            family: if is_v4 { Family::V4 } else { Family::V6 },
            source: address(source),
            destination: address(0xffff),
            identification,
            protocol: packet::protocol::UDP,
        }
    }

    /// What must be true after every step.
    fn check(store: &Store) {
        let datagrams: Vec<_> = (0..store.datagrams.extent()).filter_map(|index| store.datagrams.at(index)).collect();
        assert_eq!(datagrams.iter().map(|datagram| datagram.cost()).sum::<usize>(), store.bytes);
        assert_eq!(store.shares.iter().sum::<usize>(), store.bytes);
        assert!(store.bytes <= store.bounds.bytes && datagrams.len() <= store.bounds.datagrams);
        assert!(store.shares.iter().all(|share| *share <= store.bounds.bytes_per_source));
        assert!(datagrams.iter().all(|datagram| datagram.parts() <= store.bounds.parts_per_datagram));
        let queued: usize = store.by_age.iter().map(BTreeSet::len).sum();
        assert_eq!((queued, store.by_key.len()), (datagrams.len(), datagrams.len()));
    }

    proptest! {
        /// Requirement 69: whatever arrives, the bounds hold, and in the end nothing is left.
        #[test]
        fn nothing_waits_beyond_the_bounds_and_nothing_for_ever(
            pieces in proptest::collection::vec(
                (0u16..4, 0u32..4, any::<bool>(), 0u16..40, 1usize..200, any::<bool>(), 0u64..4000), 1..300),
        ) {
            let mut store = Store { bounds: SMALL, ..Store::new(SipKey::from_seed(&[1; 32], 1)) };
            let (mut now, mut stats) = (Tick::default(), Stats::default());
            for (source, identification, is_v4, offset, len, more, millis) in pieces {
                let bytes = vec![7; 48 + if more { len.next_multiple_of(8) } else { len }];
                let place = Fragment { offset_bytes: offset * 8, more, identification };
                let piece = Piece::new(&bytes, &network(bytes.len()), place);

                let whole = store.add(now, key(source, identification, is_v4), &piece, &mut stats);

                check(&store);
                if let Ok(Some(datagram)) = whole {
                    prop_assert!(datagram.is_whole() && datagram.train().longest <= 200);
                }
                now = now.after(Duration::from_millis(millis / 10));
                while store.expire(now).is_some() {}
                check(&store);
            }
            while store.expire(now.after(LIFETIME6)).is_some() {}
            prop_assert_eq!((store.bytes, store.next_expiry(), store.datagrams.len()), (0, None, 0));
        }
    }
}
