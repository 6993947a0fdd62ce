//! Hash tables of indexes into a [`Slab`](crate::slab::Slab) that grow a little with every insertion.
//!
//! A hash table that doubles moves all of its entries at once: at a million of them no packet is handled for a tenth of
//! a second. Here a full table steps aside, and each insertion into its successor moves a few of its entries over.
//! Until that is done a search may have to look into both, with the same hash.

use hashbrown::HashTable;

/// Places of the slab that one insertion moves over.
const MOVED_AT_ONCE: u32 = 16;

#[derive(Debug, Default)]
pub(crate) struct IndexTable {
    current: HashTable<u32>,
    /// What `current` has outgrown, until it is empty.
    outgrown: HashTable<u32>,
    /// Places of the slab below this are in `current`.
    moved: u32,
}

impl IndexTable {
    pub(crate) const fn new() -> Self {
        Self { current: HashTable::new(), outgrown: HashTable::new(), moved: 0 }
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        match self.current.find(hash, |index| is_it(*index)) {
            Some(index) => Some(*index),
            None if self.outgrown.is_empty() => None,
            None => self.outgrown.find(hash, |index| is_it(*index)).copied(),
        }
    }

    /// Adds an index. `extent` bounds the places of the slab, and `hash_at` is the hash of the entry at one of them.
    pub(crate) fn insert(&mut self, hash: u64, index: u32, extent: u32, hash_at: impl Fn(u32) -> Option<u64>) {
        if self.current.len() == self.current.capacity() {
            // `moved` has reached the extent long ago: each insertion takes one place and moves many.
            let capacity = (2 * self.current.len()).max(extent as usize) + MOVED_AT_ONCE as usize;
            self.outgrown = std::mem::replace(&mut self.current, HashTable::with_capacity(capacity));
            self.moved = 0;
        }
        self.current.insert_unique(hash, index, |index| hash_at(*index).unwrap_or_default());
        self.move_some(extent, hash_at);
    }

    pub(crate) fn remove(&mut self, hash: u64, index: u32) {
        for table in [&mut self.current, &mut self.outgrown] {
            if let Ok(entry) = table.find_entry(hash, |other| *other == index) {
                entry.remove();
                return;
            }
        }
    }

    fn move_some(&mut self, extent: u32, hash_at: impl Fn(u32) -> Option<u64>) {
        if self.outgrown.is_empty() {
            return;
        }
        let end = self.moved.saturating_add(MOVED_AT_ONCE).min(extent);
        for place in self.moved..end {
            let Some(hash) = hash_at(place) else { continue };
            if let Ok(entry) = self.outgrown.find_entry(hash, |index| *index == place) {
                entry.remove();
                self.current.insert_unique(hash, place, |index| hash_at(*index).unwrap_or_default());
            }
        }
        self.moved = end;
        if self.outgrown.is_empty() {
            self.outgrown = HashTable::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A bad hash on purpose: neighbours collide.
    const fn hash(index: u32) -> u64 {
        (index as u64 / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[derive(Default)]
    struct Places {
        table: IndexTable,
        used: BTreeSet<u32>,
        extent: u32,
    }

    impl Places {
        fn insert(&mut self) {
            let free = (0..self.extent).find(|place| !self.used.contains(place));
            let index = free.unwrap_or(self.extent);
            self.extent = self.extent.max(index + 1);
            self.used.insert(index);
            let used = &self.used;
            self.table.insert(hash(index), index, self.extent, |at| used.contains(&at).then(|| hash(at)));
        }

        fn remove(&mut self, nth: usize) {
            if let Some(index) = self.used.iter().nth(nth % self.used.len().max(1)).copied() {
                self.used.remove(&index);
                self.table.remove(hash(index), index);
            }
        }

        fn check(&self) {
            for place in 0..self.extent {
                let found = self.table.find(hash(place), |index| index == place);
                assert_eq!(found.is_some(), self.used.contains(&place), "{place}");
            }
            assert_eq!(self.table.current.len() + self.table.outgrown.len(), self.used.len());
        }
    }

    proptest! {
        #[test]
        fn what_is_in_is_found_at_any_time(steps in proptest::collection::vec((0u8..5, any::<usize>()), 1..400)) {
            let mut places = Places::default();
            for (kind, nth) in steps {
                if kind < 3 { places.insert() } else { places.remove(nth) }
                places.check();
            }
        }
    }

    #[test]
    fn nothing_is_left_behind_when_the_next_growth_is_due() {
        let mut places = Places::default();
        for _ in 0..5000 {
            let is_full = places.table.current.len() == places.table.current.capacity();
            assert!(!is_full || places.table.outgrown.is_empty());
            places.insert();
        }
    }

    #[test]
    fn entries_that_come_and_go_never_make_it_move_all_at_once() {
        let mut places = Places::default();
        (0..1000).for_each(|_| places.insert());
        for round in 0..20_000 {
            places.remove(round * 7);
            let is_full = places.table.current.len() == places.table.current.capacity();
            assert!(!is_full || places.table.outgrown.is_empty());
            places.insert();
        }
        places.check();
    }
}
