//! Binding Information Base (RFC 6146 §3.1), one per protocol: which outside endpoint stands for which inside one.
//!
//! Invariant: a bijection. An inside endpoint has one outside endpoint whatever it speaks to (endpoint-independent
//! mapping, RFC 4787 REQ-1), and no other inside endpoint has the same one.

use std::num::NonZeroU32;

use crate::hash::SipKey;
use crate::index_table::IndexTable;
use crate::peers::PeerIndex;
use crate::slab::Slab;
use crate::tuple::{Inner, Outer};

/// Place of an entry; valid as long as the entry lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BibIndex(pub(crate) u32);

impl BibIndex {
    /// A place where no entry ever stands.
    pub(crate) const NOWHERE: Self = Self(u32::MAX);
}

/// Half a cache line, and never in two.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct BibEntry {
    pub(crate) inner: Inner,
    pub(crate) outer: Outer,
    /// Whose limits the entry counts against.
    pub(crate) peer: PeerIndex,
    uses: Uses,
}

/// What keeps an entry alive, in one word that is never zero: a place without an entry takes no more than one with.
#[derive(Clone, Copy, Debug)]
struct Uses(NonZeroU32);

impl Uses {
    const fn new(sessions: u32, is_static: bool) -> Self {
        Self(NonZeroU32::MIN.saturating_add(sessions << 1 | is_static as u32))
    }
}

impl BibEntry {
    /// Its sessions.
    pub(crate) const fn sessions(&self) -> u32 {
        (self.uses.0.get() - 1) >> 1
    }

    /// Whether it stays without sessions (RFC 6146 §3.1: configured by hand).
    pub(crate) const fn is_static(&self) -> bool {
        (self.uses.0.get() - 1) & 1 == 1
    }

    pub(crate) const fn session_added(&mut self) {
        self.uses = Uses::new(self.sessions() + 1, self.is_static());
    }

    pub(crate) const fn session_removed(&mut self) {
        self.uses = Uses::new(self.sessions() - 1, self.is_static());
    }

    pub(crate) const fn set_static(&mut self, is_static: bool) {
        self.uses = Uses::new(self.sessions(), is_static);
    }
}

#[derive(Debug)]
pub(crate) struct Bib {
    key: SipKey,
    entries: Slab<BibEntry>,
    by_inner: IndexTable,
    by_outer: IndexTable,
}

impl Bib {
    pub(crate) const fn new(key: SipKey) -> Self {
        Self { key, entries: Slab::new(), by_inner: IndexTable::new(), by_outer: IndexTable::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn find_inner(&self, inner: Inner) -> Option<BibIndex> {
        let hash = hash_inner(self.key, inner);
        self.by_inner.find(hash, |index| self.entries[index].inner == inner).map(BibIndex)
    }

    pub(crate) fn find_outer(&self, outer: Outer) -> Option<BibIndex> {
        let hash = hash_outer(self.key, outer);
        self.by_outer.find(hash, |index| self.entries[index].outer == outer).map(BibIndex)
    }

    /// Adds an entry without sessions. Neither of its endpoints may have one already.
    pub(crate) fn insert(&mut self, inner: Inner, outer: Outer, peer: PeerIndex) -> BibIndex {
        let key = self.key;
        let index = self.entries.insert(BibEntry { inner, outer, peer, uses: Uses::new(0, false) });
        let entries = &self.entries;
        self.by_inner.insert(hash_inner(key, inner), index, |place| hash_inner(key, entries[place].inner));
        self.by_outer.insert(hash_outer(key, outer), index, |place| hash_outer(key, entries[place].outer));
        BibIndex(index)
    }

    pub(crate) fn remove(&mut self, index: BibIndex) -> BibEntry {
        let entry = self.entries.remove(index.0);
        self.by_inner.remove(hash_inner(self.key, entry.inner), index.0);
        self.by_outer.remove(hash_outer(self.key, entry.outer), index.0);
        entry
    }

    #[inline(always)]
    pub(crate) fn entry(&self, index: BibIndex) -> &BibEntry {
        &self.entries[index.0]
    }

    pub(crate) fn entry_mut(&mut self, index: BibIndex) -> &mut BibEntry {
        &mut self.entries[index.0]
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &BibEntry> {
        (0..self.entries.extent()).filter_map(|index| self.entries.at(index))
    }

    /// Every place an entry may stand at, for a walk that removes some.
    pub(crate) fn places(&self) -> impl Iterator<Item = BibIndex> + use<> {
        (0..self.entries.extent()).map(BibIndex)
    }

    /// Reads something of the entry at a place, if there is one, to have it near.
    #[inline(always)]
    pub(crate) fn ask(&self, index: BibIndex) -> u32 {
        self.at(index).map_or(0, |entry| entry.peer.0)
    }

    /// The entry at a place, if there is one.
    #[inline(always)]
    pub(crate) fn at(&self, index: BibIndex) -> Option<&BibEntry> {
        self.entries.at(index.0)
    }
}

fn hash_inner(key: SipKey, inner: Inner) -> u64 {
    let address = inner.address.to_bits();
    key.hash([(address >> 64) as u64, address as u64, inner.port.into()])
}

fn hash_outer(key: SipKey, outer: Outer) -> u64 {
    key.hash([u64::from(outer.address.to_bits()) << 16 | u64::from(outer.port)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerIndex = PeerIndex(0);

    fn inner(port: u16) -> Inner {
        Inner { address: "2001:db8::1".parse().unwrap(), port }
    }

    fn outer(port: u16) -> Outer {
        Outer { address: "192.0.2.1".parse().unwrap(), port }
    }

    #[test]
    fn an_entry_is_found_from_both_sides_until_it_is_removed() {
        let mut bib = Bib::new(SipKey::from_seed(&[1; 32], 1));
        let one = bib.insert(inner(1), outer(11), PEER);
        let two = bib.insert(inner(2), outer(12), PEER);

        assert_eq!((bib.find_inner(inner(1)), bib.find_outer(outer(11))), (Some(one), Some(one)));
        bib.remove(one);
        assert_eq!((bib.find_inner(inner(1)), bib.find_outer(outer(11))), (None, None));
        assert_eq!((bib.find_inner(inner(2)), bib.find_outer(outer(12))), (Some(two), Some(two)));
        assert_eq!((bib.len(), bib.entries().count()), (1, 1));
    }

    #[test]
    fn sessions_and_what_was_made_by_hand_keep_an_entry_apart_from_each_other() {
        let mut bib = Bib::new(SipKey::from_seed(&[1; 32], 1));
        let index = bib.insert(inner(1), outer(11), PEER);
        let entry = bib.entry_mut(index);
        entry.set_static(true);
        (0..3).for_each(|_| entry.session_added());
        entry.session_removed();

        assert_eq!((entry.sessions(), entry.is_static()), (2, true));
        entry.set_static(false);
        assert_eq!((entry.sessions(), entry.is_static()), (2, false));
    }

    #[test]
    fn growing_loses_nothing() {
        let mut bib = Bib::new(SipKey::from_seed(&[1; 32], 1));
        for port in 0..5000 {
            bib.insert(inner(port), outer(port), PEER);
        }

        assert!((0..5000).all(|port| bib.find_inner(inner(port)) == bib.find_outer(outer(port))));
        assert!((0..5000).all(|port| bib.find_inner(inner(port)).is_some()));
    }
}
