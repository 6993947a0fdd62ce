//! What upstreams said, until its time is over: the raw outcomes, so that neither a new prefix nor another client makes
//! any of it wrong.
//!
//! Invariant: the entries in the order list, in the table and in the slab are the same ones; their number and size stay
//! below the limits.

use hashbrown::HashTable;

use crate::codes::RecordType;
use crate::name::NameRef;
use crate::outcome::{Facts, Outcome, Seen};

/// What an outcome is the answer to.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub name: NameRef<'a>,
    pub rtype: RecordType,
    /// How the upstream was asked; different values never share an answer.
    pub flavour: u8,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub entries: u32,
    /// Of names and records, with what each entry takes besides.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 250_000, bytes: 48 << 20 }
    }
}

/// A place in the cache, good until the next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

const NONE: u32 = u32::MAX;
/// An entry's own fields, its place in the table, and what an allocator adds to its allocation.
const OVERHEAD: usize = size_of::<Entry>() + 8 + 16;
/// Room for more entries comes by so many: doubling would leave half of it empty.
const STEP: usize = 4_096;

#[derive(Debug)]
struct Entry {
    /// The name, and behind it the records of the outcome: one allocation.
    octets: Box<[u8]>,
    facts: Facts,
    rtype: RecordType,
    name_length: u8,
    flavour: u8,
    came: Moment,
    ends: Moment,
    newer: u32,
    older: u32,
}

/// A time in tenths of a second since there is a cache: good for thirteen years. An entry leaves up to one of them early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u32);

impl Moment {
    fn of(ms: u64) -> Self {
        Self(u32::try_from(ms / 100).unwrap_or(u32::MAX))
    }

    fn ms(self) -> u64 {
        u64::from(self.0) * 100
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        OVERHEAD + self.octets.len()
    }

    fn split(&self) -> (NameRef<'_>, &[u8]) {
        let (name, packed) = self.octets.split_at(usize::from(self.name_length));
        (NameRef::trusted(name), packed)
    }

    fn is(&self, key: Key<'_>) -> bool {
        self.rtype == key.rtype && self.flavour == key.flavour && self.split().0 == key.name
    }
}

/// The cache; who was not asked for the longest time leaves first.
#[derive(Debug)]
pub struct Cache {
    limits: Limits,
    seed: u64,
    table: HashTable<u32>,
    entries: Vec<Entry>,
    newest: u32,
    oldest: u32,
    bytes: usize,
}

impl Cache {
    /// An empty one; nobody outside may know `seed`.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self { limits, seed, table: HashTable::new(), entries: Vec::new(), newest: NONE, oldest: NONE, bytes: 0 }
    }

    /// Finds what is still good at `now_ms`.
    pub fn find(&mut self, now_ms: u64, key: Key<'_>) -> Option<Slot> {
        let hash = hash(self.seed, key);
        let entries = &self.entries;
        let index = *self.table.find(hash, |index| entries[*index as usize].is(key))?;
        if self.entries[index as usize].ends <= Moment::of(now_ms) {
            self.remove(index);
            return None;
        }
        if self.newest != index {
            self.unlink(index);
            self.link(index);
        }
        Some(Slot(index))
    }

    /// What was found, as it is at `now_ms`.
    pub fn get(&self, now_ms: u64, slot: Slot) -> Seen<'_> {
        let entry = &self.entries[slot.0 as usize];
        let age_secs = now_ms.saturating_sub(entry.came.ms()) / 1_000;
        let (name, packed) = entry.split();
        Seen::of_parts(entry.facts, packed, name, u32::try_from(age_secs).unwrap_or(u32::MAX))
    }

    /// A copy of what was found, and since when it is there.
    pub fn kept(&self, slot: Slot) -> (Outcome, u64) {
        let entry = &self.entries[slot.0 as usize];
        (Outcome::of_parts(entry.facts, entry.split().1), entry.came.ms())
    }

    /// Keeps `outcome` for as long as it says; one that is not to be used again is not kept (RFC 1035 §3.2.1: TTL 0).
    pub fn insert(&mut self, now_ms: u64, key: Key<'_>, outcome: &Outcome) {
        let lifetime = outcome.lifetime(key.name, key.rtype);
        let hash = hash(self.seed, key);
        let entries = &self.entries;
        if let Some(&old) = self.table.find(hash, |index| entries[*index as usize].is(key)) {
            self.remove(old);
        }
        if lifetime == 0 {
            return;
        }
        let (facts, packed) = outcome.parts();
        let name = key.name.as_bytes();
        let entry = Entry {
            octets: [name, packed].concat().into(),
            facts,
            rtype: key.rtype,
            // A name has 255 octets at most.
            name_length: name.len() as u8,
            flavour: key.flavour,
            came: Moment::of(now_ms),
            ends: Moment::of(now_ms + u64::from(lifetime) * 1_000),
            newer: NONE,
            older: NONE,
        };
        if entry.bytes() > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        self.bytes += entry.bytes();
        while self.bytes > self.limits.bytes || self.entries.len() >= self.limits.entries as usize {
            self.remove(self.oldest);
        }
        let index = self.entries.len() as u32;
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(STEP);
        }
        self.entries.push(entry);
        let (seed, entries) = (self.seed, &self.entries);
        self.table.insert_unique(hash, index, |index| hash_of(seed, &entries[*index as usize]));
        self.link(index);
    }

    /// How many outcomes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.limits, self.seed);
    }

    fn remove(&mut self, index: u32) {
        self.unlink(index);
        self.forget_place(index);
        let entry = self.entries.swap_remove(index as usize);
        self.bytes -= entry.bytes();
        let moved = self.entries.len() as u32;
        if moved != index {
            self.rename(moved, index);
        }
    }

    fn forget_place(&mut self, index: u32) {
        let hash = hash_of(self.seed, &self.entries[index as usize]);
        if let Ok(place) = self.table.find_entry(hash, |other| *other == index) {
            place.remove();
        }
    }

    /// The entry that was at `from` is now at `to`.
    fn rename(&mut self, from: u32, to: u32) {
        let hash = hash_of(self.seed, &self.entries[to as usize]);
        if let Some(place) = self.table.find_mut(hash, |other| *other == from) {
            *place = to;
        }
        let (newer, older) = (self.entries[to as usize].newer, self.entries[to as usize].older);
        match newer {
            NONE => self.newest = to,
            newer => self.entries[newer as usize].older = to,
        }
        match older {
            NONE => self.oldest = to,
            older => self.entries[older as usize].newer = to,
        }
    }

    fn link(&mut self, index: u32) {
        let second = std::mem::replace(&mut self.newest, index);
        let entry = &mut self.entries[index as usize];
        (entry.newer, entry.older) = (NONE, second);
        match second {
            NONE => self.oldest = index,
            second => self.entries[second as usize].newer = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let (newer, older) = (self.entries[index as usize].newer, self.entries[index as usize].older);
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }
}

fn hash_of(seed: u64, entry: &Entry) -> u64 {
    hash(seed, Key { name: entry.split().0, rtype: entry.rtype, flavour: entry.flavour })
}

/// A hash that nobody can predict who does not know the seed: a folded multiplication for every eight octets.
fn hash(seed: u64, key: Key<'_>) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let secret = fold(seed ^ ODD, ODD.rotate_left(17)) | 1;
    let mut state = seed ^ u64::from(key.rtype.0) << 8 ^ u64::from(key.flavour);
    for chunk in key.name.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // Upper and lower case are one; other octets that this changes may share a place, no more.
        let word = u64::from_le_bytes(word) | 0x2020_2020_2020_2020;
        state = fold(state ^ word, secret ^ ODD);
    }
    fold(state, secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::Rcode;
    use crate::name::Name;
    use crate::outcome::Security;
    use crate::wire::Record;

    fn key(name: &Name) -> Key<'_> {
        Key { name: name.as_ref(), rtype: RecordType::A, flavour: 0 }
    }

    fn outcome(name: &Name, ttl: u32) -> Outcome {
        let record = Record { owner: name.clone(), rtype: RecordType::A, ttl, rdata: [192, 0, 2, 1].into() };
        Outcome::new(name.as_ref(), Rcode::NO_ERROR, Security::Unchecked, [&[record], &[], &[]])
    }

    fn name(number: usize) -> Name {
        format!("n{number}.example").parse().unwrap()
    }

    #[test]
    fn what_is_kept_grows_old_and_leaves() {
        let mut cache = Cache::new(Limits::default(), 1);
        let name = name(1);
        cache.insert(5_000, key(&name), &outcome(&name, 10));

        let upper: Name = "N1.EXAMPLE".parse().unwrap();
        let slot = cache.find(14_999, key(&upper)).unwrap();
        assert_eq!(cache.get(14_999, slot).answers().next().unwrap().ttl, 1);
        assert_eq!(cache.find(15_000, key(&name)), None);
        assert!(cache.is_empty());
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn questions_of_another_type_or_flavour_have_answers_of_their_own() {
        let mut cache = Cache::new(Limits::default(), 1);
        let name = name(1);
        cache.insert(0, key(&name), &outcome(&name, 10));

        assert_eq!(cache.find(0, Key { rtype: RecordType::AAAA, ..key(&name) }), None);
        assert_eq!(cache.find(0, Key { flavour: 1, ..key(&name) }), None);
    }

    #[test]
    fn the_one_nobody_asked_for_leaves_first() {
        let mut cache = Cache::new(Limits { entries: 2, bytes: 1 << 20 }, 1);
        let names = [name(1), name(2), name(3)];
        cache.insert(0, key(&names[0]), &outcome(&names[0], 10));
        cache.insert(0, key(&names[1]), &outcome(&names[1], 10));
        cache.find(0, key(&names[0]));
        cache.insert(0, key(&names[2]), &outcome(&names[2], 10));

        assert_eq!(names.each_ref().map(|name| cache.find(0, key(name)).is_some()), [true, false, true]);
    }

    #[test]
    fn a_hundred_thousand_names_with_two_outcomes_each_fit_into_the_default() {
        let mut cache = Cache::new(Limits::default(), 1);
        for number in 0..100_000 {
            let name = name(number);
            for rtype in [RecordType::A, RecordType::AAAA] {
                cache.insert(0, Key { rtype, ..key(&name) }, &outcome(&name, 60));
            }
        }

        assert!(cache.len() >= 100_000, "{} entries, {} bytes", cache.len(), cache.bytes());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(usize, u32),
        Find(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_usize..12, 0_u32..5).prop_map(|(name, ttl)| Step::Insert(name, ttl)),
            (0_usize..12).prop_map(Step::Find),
            (0_u64..30).prop_map(|tenths| Step::Wait(tenths * 100)),
        ]
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map_that_forgets(steps in prop::collection::vec(step(), 0..200), entries in 1_u32..8) {
            let mut cache = Cache::new(Limits { entries, bytes: 2_000 }, 9);
            // With its end each; who was not asked for the longest time comes first.
            let mut model: Vec<(usize, u64)> = Vec::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Insert(number, ttl) => {
                        let name = name(number);
                        cache.insert(now, key(&name), &outcome(&name, ttl));
                        model.retain(|(other, _)| *other != number);
                        if ttl > 0 {
                            if model.len() == entries as usize {
                                model.remove(0);
                            }
                            model.push((number, now + u64::from(ttl) * 1_000));
                        }
                    }
                    Step::Find(number) => {
                        let name = name(number);
                        let place = model.iter().position(|(other, _)| *other == number);
                        let good = place.map(|place| model.remove(place)).filter(|(_, end)| *end > now);
                        model.extend(good);
                        let found = cache.find(now, key(&name)).is_some();
                        prop_assert!(!found || good.is_some());
                        // More than four may have too many bytes.
                        if entries < 5 {
                            prop_assert_eq!(found, good.is_some());
                        }
                    }
                    Step::Wait(ms) => now += ms,
                }
                prop_assert!(cache.len() <= entries as usize && cache.bytes() <= 2_000);
            }
        }
    }
}
