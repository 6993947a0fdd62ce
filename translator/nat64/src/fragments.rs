//! Fragments that wait for the rest of their datagram (RFC 6146 §3.4, RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Invariants: what waits never exceeds its [bounds](Reassembly), in total and from each source; the parts of a datagram never
//! overlap. A datagram leaves when it is whole, when its time is over, or, after FRAGMENT_MIN, when others need room.
//! Nothing here knows what the fragments carry.

mod datagram;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use hashbrown::HashTable;
use packet::Family;

use crate::drop::Refusal;
use crate::fragments::datagram::Misfit;
use crate::hash::SipKey;
use crate::peers;
use crate::slab::Slab;
use crate::timers::Tick;
use crate::{DropReason, Reassembly, Stats};

pub(crate) use datagram::{Datagram, Piece};

/// RFC 6146 §4: what a fragment may wait at least, whatever else arrives.
const FRAGMENT_MIN: Duration = Duration::from_secs(2);
/// RFC 1122 §3.3.2: the longest that is of any use.
const LONGEST4: Duration = Duration::from_secs(120);
/// RFC 8200 §4.5: after this, reassembly must be abandoned.
const LONGEST6: Duration = Duration::from_secs(60);

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

const SHARES: usize = 256;

/// What the sources of one hash have waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    bytes: usize,
    datagrams: u32,
}

/// The fragments of one direction: whoever floods one leaves the other alone.
#[derive(Debug)]
pub(crate) struct Store {
    key: SipKey,
    bounds: Reassembly,
    datagrams: Slab<Datagram>,
    by_key: HashTable<u32>,
    /// Datagrams by their first arrival, for each family.
    by_age: [BTreeSet<(Tick, u32)>; 2],
    bytes: usize,
    shares: Box<[Share; SHARES]>,
}

impl Store {
    pub(crate) fn new(key: SipKey, bounds: Reassembly) -> Self {
        Self {
            key,
            bounds: possible(bounds),
            datagrams: Slab::new(),
            by_key: HashTable::new(),
            by_age: [const { BTreeSet::new() }; 2],
            bytes: 0,
            shares: Box::new([Share::default(); SHARES]),
        }
    }

    /// Takes other bounds. What exceeds them stays; it only gets no company.
    pub(crate) fn reconfigure(&mut self, bounds: Reassembly) {
        self.bounds = possible(bounds);
    }

    /// Adds a fragment. The datagram it completes leaves the store.
    pub(crate) fn add(
        &mut self,
        now: Tick,
        key: Key,
        piece: &Piece<'_>,
        stats: &mut Stats,
    ) -> Result<Option<Datagram>, Refusal> {
        piece.check(key.family)?;
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
        self.shares[share].bytes += cost;
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
        let datagram = self.remove(index);
        Some(if datagram.is_spoilt() { Expired::Spoilt } else { Expired::Incomplete(Box::new(datagram)) })
    }

    /// When the next datagram's time is over.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.first_due().map(|(due, _)| due)
    }

    fn first_due(&self) -> Option<(Tick, u32)> {
        let first = |(queue, lifetime): (&BTreeSet<(Tick, u32)>, Duration)| {
            queue.first().map(|(born, index)| (born.after(lifetime), *index))
        };
        self.by_age.iter().zip([self.bounds.time4, self.bounds.time6]).filter_map(first).min()
    }

    /// Where a fragment belongs among the parts of its datagram.
    fn place(&mut self, index: u32, piece: &Piece<'_>) -> Result<usize, DropReason> {
        let datagram = &self.datagrams[index];
        let place = datagram.place(piece);
        match place {
            Ok(_) if datagram.parts() >= self.bounds.fragments_per_datagram as usize => {
                Err(DropReason::FragmentsTooMany)
            }
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
        let Share { bytes, datagrams } = self.shares[share];
        let has_too_many = needed.is_none() && datagrams >= self.bounds.datagrams_per_source;
        if bytes + cost > self.bounds.bytes_per_source as usize || has_too_many {
            return Err(DropReason::FragmentsSourceFull);
        }
        while self.bytes + cost > self.bounds.bytes as usize || self.has_too_many(needed) {
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
        needed.is_none() && self.datagrams.len() >= self.bounds.datagrams as usize
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
        let share = self.share(key.source);
        self.shares[share].datagrams += 1;
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
        let share = self.share(key.source);
        self.shares[share].datagrams -= 1;
        datagram
    }

    fn release(&mut self, source: Ipv6Addr, cost: usize) {
        let share = self.share(source);
        self.bytes -= cost;
        self.shares[share].bytes -= cost;
    }

    fn share(&self, source: Ipv6Addr) -> usize {
        let prefix = peers::prefix(source);
        self.key.hash([(prefix >> 64) as u64, prefix as u64]) as usize % SHARES
    }
}

/// What became of a datagram whose time was over.
#[derive(Debug)]
pub(crate) enum Expired {
    /// It was never whole.
    Incomplete(Box<Datagram>),
    /// It had been given up long before.
    Spoilt,
}

/// The nearest bounds that the RFCs allow.
fn possible(bounds: Reassembly) -> Reassembly {
    let (time4, time6) = (bounds.time4.clamp(FRAGMENT_MIN, LONGEST4), bounds.time6.clamp(FRAGMENT_MIN, LONGEST6));
    Reassembly { time4, time6, ..bounds }
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

    const SMALL: Reassembly = Reassembly {
        bytes: 6000,
        bytes_per_source: 3000,
        datagrams: 8,
        datagrams_per_source: 5,
        fragments_per_datagram: 4,
        ..Reassembly::DEFAULT
    };

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
        assert_eq!(store.shares.iter().map(|share| share.bytes).sum::<usize>(), store.bytes);
        assert_eq!(store.shares.iter().map(|share| share.datagrams as usize).sum::<usize>(), datagrams.len());
        assert!(store.bytes <= SMALL.bytes as usize && datagrams.len() <= SMALL.datagrams as usize);
        assert!(store.shares.iter().all(|share| share.bytes <= SMALL.bytes_per_source as usize));
        assert!(store.shares.iter().all(|share| share.datagrams <= SMALL.datagrams_per_source));
        assert!(datagrams.iter().all(|datagram| datagram.parts() <= SMALL.fragments_per_datagram as usize));
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
            let mut store = Store::new(SipKey::from_seed(&[1; 32], 1), SMALL);
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
            while store.expire(now.after(LONGEST6)).is_some() {}
            prop_assert_eq!((store.bytes, store.next_expiry(), store.datagrams.len()), (0, None, 0));
        }
    }
}
