//! That something does not exist: the proofs of RFC 4035 §5.4 and of RFC 5155 §8, whichever a zone has.

use super::nsec::Nsec;
use super::nsec3::Nsec3Zone;
use super::{Budget, Crypto, RrSet, Signed, ZoneKey};
use crate::codes::RecordType;
use crate::name::NameRef;

/// What a proof shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It does not exist.
    Proven,
    /// It may exist, but not signed: an NSEC3 record opts out, or its hashes cost too much (RFC 9276 §3.2).
    Insecure,
    /// Nothing.
    Missing,
}

/// The verified NSEC and NSEC3 records of an answer.
pub struct Denial<'a> {
    zone: NameRef<'a>,
    nsec: Vec<Nsec<'a>>,
    nsec3: Nsec3Zone<'a>,
}

impl<'a> Denial<'a> {
    /// Takes the records of `sets` that `zone` signed.
    pub fn of(
        zone: NameRef<'a>,
        sets: &'a [RrSet<'a>],
        keys: &[ZoneKey],
        now: u32,
        crypto: &dyn Crypto,
        budget: &mut Budget,
    ) -> Self {
        let (mut nsec, mut nsec3) = (Vec::new(), Nsec3Zone::new(zone));
        for set in sets.iter().filter(|set| matches!(set.rtype(), RecordType::NSEC | RecordType::NSEC3)) {
            // RFC 4035 §5.4: a record of a proof that was made from a wildcard proves nothing.
            let is_whole = |signed: Signed| {
                signed.labels == set.owner().label_count() - usize::from(set.owner().first_label() == Some(b"*"))
            };
            if !set.verify(zone, keys, now, crypto, budget).is_ok_and(is_whole) {
                continue;
            }
            for record in set.records() {
                match set.rtype() {
                    RecordType::NSEC => nsec.extend(Nsec::parse(record.as_ref())),
                    _ => nsec3.add(record.as_ref()),
                }
            }
        }
        Self { zone, nsec, nsec3 }
    }

    /// That `name` exists, or a wildcard for it, but without records of `rtype` or an alias.
    pub fn no_data(&self, name: NameRef<'_>, rtype: RecordType, crypto: &dyn Crypto, budget: &mut Budget) -> Proof {
        if super::nsec::no_data(&self.nsec, name, rtype) {
            return Proof::Proven;
        }
        self.nsec3.no_data(name, rtype, crypto, budget)
    }

    /// That neither `name` nor a wildcard for it exists.
    pub fn no_name(&self, name: NameRef<'_>, crypto: &dyn Crypto, budget: &mut Budget) -> Proof {
        if super::nsec::no_name(&self.nsec, name) {
            return Proof::Proven;
        }
        self.nsec3.no_name(name, crypto, budget)
    }

    /// That no name stands between `name` and the wildcard at its last `labels` labels.
    pub fn no_closer(&self, name: NameRef<'_>, labels: usize, crypto: &dyn Crypto, budget: &mut Budget) -> Proof {
        if super::nsec::no_closer(&self.nsec, name, labels) {
            return Proof::Proven;
        }
        self.nsec3.no_closer(name, labels, crypto, budget)
    }

    /// The zone whose records these are.
    pub fn zone(&self) -> NameRef<'a> {
        self.zone
    }
}

/// What a zone says about a name below it that has no DS records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// Another zone begins there, and it is not signed.
    Delegation,
    /// No zone begins there, as far as is proven.
    NoDelegation,
}

/// Whether `name` is a delegation without DS records (RFC 6840 §4.4).
pub fn delegation(denial: &Denial<'_>, name: NameRef<'_>, crypto: &dyn Crypto, budget: &mut Budget) -> Unsigned {
    let is_one = super::nsec::is_unsigned_delegation(&denial.nsec, name)
        || denial.nsec3.is_unsigned_delegation(name, crypto, budget);
    if is_one { Unsigned::Delegation } else { Unsigned::NoDelegation }
}
