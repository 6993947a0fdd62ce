//! NSEC3 records (RFC 5155): the hashes of a zone's names in their order, each with its types.

use super::denial::Proof;
use super::nsec::Types;
use super::{Budget, Crypto};
use crate::codes::RecordType;
use crate::name::{Name, NameRef};
use crate::wire::RecordRef;

/// RFC 9276 §3.2: a zone with more iterations is answered as if it were not signed.
const MOST_ITERATIONS: u16 = 100;
const SHA1: u8 = 1;
const HASH: usize = 20;

/// The NSEC3 records of one zone that have the same parameters.
pub(super) struct Nsec3Zone<'a> {
    zone: NameRef<'a>,
    /// Iterations and salt.
    parameters: Option<(u16, &'a [u8])>,
    records: Vec<Nsec3<'a>>,
}

struct Nsec3<'a> {
    hash: [u8; HASH],
    next: &'a [u8],
    opts_out: bool,
    types: Types<'a>,
}

impl<'a> Nsec3Zone<'a> {
    pub(super) fn new(zone: NameRef<'a>) -> Self {
        Self { zone, parameters: None, records: Vec::new() }
    }

    /// Adds a record; one of another zone, algorithm or parameters is left out (RFC 5155 §8.1, §8.2).
    pub(super) fn add(&mut self, record: RecordRef<'a>) {
        let Some((&[SHA1, flags, high, low, salt_length], rest)) = record.rdata.split_first_chunk() else { return };
        let Some((salt, rest)) = rest.split_at_checked(usize::from(salt_length)) else { return };
        let Some((&length, rest)) = rest.split_first() else { return };
        let Some((next, types)) = rest.split_at_checked(usize::from(length)) else { return };
        let hash = record.owner.first_label().and_then(base32hex);
        let (Some(hash), Some(parent)) = (hash, record.owner.parent()) else { return };
        let parameters = (u16::from_be_bytes([high, low]), salt);
        let fits = parent == self.zone && flags & !1 == 0 && next.len() == HASH;
        if fits && *self.parameters.get_or_insert(parameters) == parameters {
            self.records.push(Nsec3 { hash, next, opts_out: flags & 1 != 0, types: Types(types) });
        }
    }

    pub(super) fn no_data(
        &self,
        name: NameRef<'_>,
        rtype: RecordType,
        crypto: &dyn Crypto,
        budget: &mut Budget,
    ) -> Proof {
        let Some(mut hasher) = self.hasher(crypto, budget) else { return self.without_hasher() };
        if let Some(record) = self.matching(name, &mut hasher) {
            return if record.types.deny(rtype) { Proof::Proven } else { Proof::Missing };
        }
        let Some(found) = self.closest_encloser(name, &mut hasher) else { return Proof::Missing };
        // RFC 5155 §8.6 and §8.7.
        let wildcard = Name::child(b"*", found.encloser);
        match wildcard.and_then(|wildcard| self.matching(wildcard.as_ref(), &mut hasher)) {
            Some(record) if record.types.deny(rtype) => Proof::Proven,
            Some(_) => Proof::Missing,
            None if found.opts_out => Proof::Insecure,
            None => Proof::Missing,
        }
    }

    pub(super) fn no_name(&self, name: NameRef<'_>, crypto: &dyn Crypto, budget: &mut Budget) -> Proof {
        let Some(mut hasher) = self.hasher(crypto, budget) else { return self.without_hasher() };
        let Some(found) = self.closest_encloser(name, &mut hasher) else { return Proof::Missing };
        let wildcard = Name::child(b"*", found.encloser);
        let is_denied = wildcard.is_some_and(|wildcard| self.covering(wildcard.as_ref(), &mut hasher).is_some());
        match (is_denied, found.opts_out) {
            (false, _) => Proof::Missing,
            (true, true) => Proof::Insecure,
            (true, false) => Proof::Proven,
        }
    }

    pub(super) fn no_closer(
        &self,
        name: NameRef<'_>,
        labels: usize,
        crypto: &dyn Crypto,
        budget: &mut Budget,
    ) -> Proof {
        let Some(mut hasher) = self.hasher(crypto, budget) else { return self.without_hasher() };
        match self.covering(name.last_labels(labels + 1), &mut hasher) {
            None => Proof::Missing,
            Some(record) if record.opts_out => Proof::Insecure,
            Some(_) => Proof::Proven,
        }
    }

    pub(super) fn is_unsigned_delegation(&self, name: NameRef<'_>, crypto: &dyn Crypto, budget: &mut Budget) -> bool {
        let Some(mut hasher) = self.hasher(crypto, budget) else { return self.without_hasher() == Proof::Insecure };
        match self.matching(name, &mut hasher) {
            Some(record) => record.types.are_of_a_delegation() && !record.types.contain(RecordType::DS),
            None => self.closest_encloser(name, &mut hasher).is_some_and(|found| found.opts_out),
        }
    }

    fn hasher<'b>(&self, crypto: &'b dyn Crypto, budget: &'b mut Budget) -> Option<Hasher<'a, 'b>> {
        let (iterations, salt) = self.parameters.filter(|(iterations, _)| *iterations <= MOST_ITERATIONS)?;
        Some(Hasher { iterations, salt, crypto, budget })
    }

    fn without_hasher(&self) -> Proof {
        if self.parameters.is_some() { Proof::Insecure } else { Proof::Missing }
    }

    fn matching(&self, name: NameRef<'_>, hasher: &mut Hasher<'_, '_>) -> Option<&Nsec3<'a>> {
        let hash = hasher.hash(name)?;
        self.records.iter().find(|record| record.hash == hash)
    }

    fn covering(&self, name: NameRef<'_>, hasher: &mut Hasher<'_, '_>) -> Option<&Nsec3<'a>> {
        let hash = hasher.hash(name)?;
        self.records.iter().find(|record| {
            let (after, before) = (record.hash < hash, hash[..] < *record.next);
            // The last record leads back to the first hash.
            if record.hash[..] < *record.next { after && before } else { after || before }
        })
    }

    /// RFC 5155 §8.3: the longest name above that exists, the one below it being denied.
    fn closest_encloser<'n>(&self, name: NameRef<'n>, hasher: &mut Hasher<'_, '_>) -> Option<Found<'n>> {
        let mut next_closer = None;
        for candidate in name.suffixes().take_while(|suffix| suffix.is_at_or_below(self.zone)) {
            if let Some(record) = self.matching(candidate, hasher) {
                // RFC 5155 §8.3: below a delegation or a DNAME the zone has nothing to say.
                let leads_away = record.types.are_of_a_delegation() || record.types.contain(RecordType::DNAME);
                let denied = self.covering(next_closer?, hasher)?;
                return (!leads_away).then_some(Found { encloser: candidate, opts_out: denied.opts_out });
            }
            next_closer = Some(candidate);
        }
        None
    }
}

struct Found<'n> {
    encloser: NameRef<'n>,
    opts_out: bool,
}

struct Hasher<'a, 'b> {
    iterations: u16,
    salt: &'a [u8],
    crypto: &'b dyn Crypto,
    budget: &'b mut Budget,
}

impl Hasher<'_, '_> {
    /// RFC 5155 §5.
    fn hash(&mut self, name: NameRef<'_>) -> Option<[u8; HASH]> {
        let mut bytes = name.to_lower().as_ref().as_bytes().to_vec();
        self.budget.hash()?;
        for _ in 0..=self.iterations {
            bytes.extend_from_slice(self.salt);
            bytes = self.crypto.digest(SHA1, &bytes)?;
        }
        bytes.try_into().ok()
    }
}

/// RFC 4648 §7, without padding.
fn base32hex(text: &[u8]) -> Option<[u8; HASH]> {
    if text.len() != HASH * 8 / 5 {
        return None;
    }
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::with_capacity(HASH));
    for &letter in text {
        let value = char::from(letter).to_digit(32)?;
        (bits, count) = (bits << 5 | value, count + 5);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out.try_into().ok()
}
