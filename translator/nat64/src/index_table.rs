//! Hash tables of places in a [`Slab`](crate::slab::Slab) that grow by one bucket at a time (linear hashing, Litwin 1980).
//!
//! A hash table that doubles moves all of its entries at once: at a million of them no packet is handled for a tenth of
//! a second. Here an insertion splits as many buckets as there are to be for an entry, the next in order, so that no operation
//! ever costs more than the few entries of a chain. Four bytes a bucket, the head of a chain, and four an entry, the link
//! to the next: the more buckets, the fewer entries of others stand in the way of a search.
//!
//! Invariant: buckets below `buckets - low_mask - 1` and from `low_mask + 1` on have been split, so their entries have one
//! more bit of their hash in common than the others.

use crate::chunks::Chunks;

/// The end of a chain, and no place of any slab.
const NONE: u32 = u32::MAX;

/// What a hash belongs to, until the table grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket(u32);

impl Bucket {
    /// The one that every table has.
    pub(crate) const FIRST: Self = Self(0);
}

#[derive(Debug)]
pub(crate) struct IndexTable {
    /// The first place of each bucket's chain.
    heads: Chunks<u32>,
    /// The place behind each place of the slab.
    next: Chunks<u32>,
    buckets: u32,
    buckets_per_entry: u32,
    /// The bits of a hash that every bucket is chosen by: `low_mask < buckets <= 2 * low_mask + 1`.
    low_mask: u32,
    len: u32,
}

impl IndexTable {
    pub(crate) const fn new() -> Self {
        Self::sparse(1)
    }

    /// A table of so many buckets an entry.
    pub(crate) const fn sparse(buckets_per_entry: u32) -> Self {
        Self { heads: Chunks::new(), next: Chunks::new(), buckets: 1, buckets_per_entry, low_mask: 0, len: 0 }
    }

    /// The first place of a bucket, which may have none.
    #[inline(always)]
    pub(crate) fn first(&self, bucket: Bucket) -> u32 {
        self.heads.get(bucket.0).copied().unwrap_or(NONE)
    }

    /// The place behind one of a chain.
    #[inline(always)]
    pub(crate) fn behind(&self, place: u32) -> u32 {
        self.next.get(place).copied().unwrap_or(NONE)
    }

    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = *self.heads.get(self.bucket(hash).0)?;
        while place != NONE && !is_it(place) {
            place = self.next[place];
        }
        (place != NONE).then_some(place)
    }

    /// Adds a place of the slab; `hash_at` is the hash of the entry at any place in the table.
    pub(crate) fn insert(&mut self, hash: u64, place: u32, hash_at: impl Fn(u32) -> u64) {
        self.next.reach(place, || NONE);
        self.heads.reach(0, || NONE);
        self.push(self.bucket(hash), place);
        self.len += 1;
        while self.len.saturating_mul(self.buckets_per_entry) > self.buckets {
            self.split(&hash_at);
        }
    }

    pub(crate) fn remove(&mut self, hash: u64, place: u32) {
        let Bucket(bucket) = self.bucket(hash);
        let behind = self.next[place];
        if self.heads[bucket] == place {
            self.heads[bucket] = behind;
        } else {
            let mut before = self.heads[bucket];
            while self.next[before] != place {
                before = self.next[before];
            }
            self.next[before] = behind;
        }
        self.len -= 1;
    }

    #[inline(always)]
    pub(crate) const fn bucket(&self, hash: u64) -> Bucket {
        let wide = hash as u32 & (self.low_mask << 1 | 1);
        Bucket(if wide < self.buckets { wide } else { hash as u32 & self.low_mask })
    }

    fn push(&mut self, bucket: Bucket, place: u32) {
        self.next[place] = std::mem::replace(&mut self.heads[bucket.0], place);
    }

    /// Adds a bucket, and moves to it what belongs there of the one it was part of.
    fn split(&mut self, hash_at: &impl Fn(u32) -> u64) {
        let from = self.buckets & self.low_mask;
        self.heads.reach(self.buckets, || NONE);
        self.buckets += 1;
        let mut place = std::mem::replace(&mut self.heads[from], NONE);
        while place != NONE {
            let next = self.next[place];
            self.push(self.bucket(hash_at(place)), place);
            place = next;
        }
        if self.buckets > self.low_mask << 1 | 1 {
            self.low_mask = self.low_mask << 1 | 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A bad hash on purpose: neighbours collide.
    const fn hash(place: u32) -> u64 {
        (place as u64 / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }

    struct Places {
        table: IndexTable,
        used: BTreeSet<u32>,
        extent: u32,
    }

    impl Places {
        const fn of(table: IndexTable) -> Self {
            Self { table, used: BTreeSet::new(), extent: 0 }
        }

        fn insert(&mut self) {
            let free = (0..self.extent).find(|place| !self.used.contains(place));
            let place = free.unwrap_or(self.extent);
            self.extent = self.extent.max(place + 1);
            self.used.insert(place);
            self.table.insert(hash(place), place, hash);
        }

        fn remove(&mut self, nth: usize) {
            if let Some(place) = self.used.iter().nth(nth % self.used.len().max(1)).copied() {
                self.used.remove(&place);
                self.table.remove(hash(place), place);
            }
        }

        fn check(&self) {
            for place in 0..self.extent {
                let found = self.table.find(hash(place), |other| other == place);
                assert_eq!(found.is_some(), self.used.contains(&place), "{place}");
            }
            assert_eq!(self.table.len as usize, self.used.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_in_is_found_at_any_time(
            sparse in 1u32..5,
            steps in proptest::collection::vec((0u8..5, any::<usize>()), 1..400),
        ) {
            let mut places = Places::of(IndexTable::sparse(sparse));
            for (kind, nth) in steps {
                if kind < 3 { places.insert() } else { places.remove(nth) }
                places.check();
            }
        }
    }

    /// The longest chain that a search goes along, and how many have no other entry before them.
    fn chains(mut table: IndexTable) -> (usize, usize) {
        let key = crate::hash::SipKey::from_seed(&[1; 32], 1);
        let spread = |place: u32| key.hash([u64::from(place)]);
        let steps_to = |table: &IndexTable, place: u32| {
            let steps = std::cell::Cell::new(0);
            table.find(spread(place), |other| {
                steps.set(steps.get() + 1);
                other == place
            });
            steps.get()
        };
        let mut longest = 0;
        for place in 0..100_000 {
            table.insert(spread(place), place, spread);
            longest = longest.max(steps_to(&table, place / 2));
        }
        (longest, (0..100_000).filter(|place| steps_to(&table, *place) == 1).count())
    }

    #[test]
    fn chains_stay_short_however_many_there_are() {
        let (longest, _) = chains(IndexTable::new());

        assert!(longest <= 12, "{longest}");
    }

    #[test]
    fn with_more_buckets_fewer_stand_in_the_way() {
        let [(_, dense), (_, sparse)] = [IndexTable::new(), IndexTable::sparse(3)].map(chains);

        assert!(dense < 70_000 && sparse > 82_000, "{dense} and {sparse} of 100,000");
    }
}
