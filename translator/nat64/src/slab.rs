//! Entries that keep their place: tables refer to them by 32-bit index.
//!
//! Invariant: an index is given out by `insert` and dies with `remove`; whoever keeps one longer has a bug, and says so
//! by panicking rather than by reading somebody else's entry. Growing moves nothing, so that it takes no time.

use crate::chunks::Chunks;

const END: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Chunks<Slot<T>>,
    extent: u32,
    first_free: u32,
    len: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: u32 },
    Used(T),
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Chunks::new(), extent: 0, first_free: END, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// What a place takes.
    #[cfg(test)]
    pub(crate) const ROW_BYTES: usize = size_of::<Slot<T>>();

    /// Indexes ever used: a bound for a walk with [`at`](Self::at).
    pub(crate) const fn extent(&self) -> u32 {
        self.extent
    }

    pub(crate) fn insert(&mut self, entry: T) -> u32 {
        self.len += 1;
        let index = if self.first_free == END { self.extent } else { self.first_free };
        if index == self.extent {
            self.slots.reach(index, || Slot::Free { next: END });
            self.extent += 1;
        } else if let Slot::Free { next } = self.slots[index] {
            self.first_free = next;
        }
        self.slots[index] = Slot::Used(entry);
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> T {
        let slot = std::mem::replace(&mut self.slots[index], Slot::Free { next: self.first_free });
        let Slot::Used(entry) = slot else { unreachable!("an index dies with its entry") };
        self.first_free = index;
        self.len -= 1;
        entry
    }

    /// The entry at `index`, if there is one.
    #[inline(always)]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        match self.slots.get(index)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free { .. } => None,
        }
    }

    /// The entry at `index`, if there is one, to be changed.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index)? {
            Slot::Used(entry) => Some(entry),
            Slot::Free { .. } => None,
        }
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        let Slot::Used(entry) = &self.slots[index] else { unreachable!("an index dies with its entry") };
        entry
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        let Slot::Used(entry) = &mut self.slots[index] else { unreachable!("an index dies with its entry") };
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_place_is_used_again_and_others_stay() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));

        assert_eq!(slab.remove(a), 'a');
        let c = slab.insert('c');

        assert_eq!((c, slab[b], slab[c], slab.len(), slab.extent()), (a, 'b', 'c', 2, 2));
    }

    #[test]
    fn a_free_place_has_no_entry() {
        let mut slab = Slab::new();
        let a = slab.insert('a');
        slab.remove(a);

        assert_eq!((slab.at(a), slab.at(9), slab.len()), (None, None, 0));
    }
}
