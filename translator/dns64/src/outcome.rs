//! What came of a question to an upstream, small enough to be kept by the hundred thousand.

use crate::codes::{Ede, Rcode, RecordType};
use crate::name::NameRef;
use crate::wire::{Record, RecordRef};

/// What DNSSEC says about the records (RFC 4035 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Nobody looked.
    Unchecked,
    /// Nothing above the name is signed, or a signed zone says that the name's zone is not.
    Insecure,
    /// Everything is signed, down from a trust anchor.
    Secure,
    /// It should be signed and is not, or not well; and why.
    Bogus(Ede),
}

/// The answer to one question: a result and three sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    facts: Facts,
    /// Owner, type, TTL, length and data of each record; the name that was asked for is one octet.
    packed: Box<[u8]>,
}

/// What an outcome is besides its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    rcode: Rcode,
    security: Security,
    ede: Option<Ede>,
    counts: [u16; 3],
}

/// Stands where a name would begin: no label is so long.
const SAME_AS_QUESTION: u8 = 0xc0;
const FIXED: usize = 8;

impl Outcome {
    /// Packs what an upstream said about `name`.
    pub fn new(name: NameRef<'_>, rcode: Rcode, security: Security, sections: [&[Record]; 3]) -> Self {
        let mut packed = Vec::new();
        for record in sections.iter().flat_map(|section| section.iter()) {
            pack(&mut packed, name, record.as_ref());
        }
        let counts = sections.map(|section| section.len() as u16);
        Self { facts: Facts { rcode, security, ede: None, counts }, packed: packed.into() }
    }

    /// With the reason that an upstream gave for an error.
    #[must_use]
    pub fn because(mut self, ede: Option<Ede>) -> Self {
        self.facts.ede = ede;
        self
    }

    /// What DNSSEC says about the records.
    pub fn security(&self) -> Security {
        self.facts.security
    }

    pub(crate) fn parts(&self) -> (Facts, &[u8]) {
        (self.facts, &self.packed)
    }

    pub(crate) fn of_parts(facts: Facts, packed: &[u8]) -> Self {
        Self { facts, packed: packed.into() }
    }

    /// No upstream gave an answer.
    pub fn failure(ede: Ede) -> Self {
        let (rcode, security) = (Rcode::SERV_FAIL, Security::Unchecked);
        Self { facts: Facts { rcode, security, ede: Some(ede), counts: [0; 3] }, packed: Box::default() }
    }

    /// For how many seconds it may be used again (RFC 2308 §5, RFC 2181 §5.2, RFC 9520 §3.2); 0: not at all.
    pub fn lifetime(&self, name: NameRef<'_>, rtype: RecordType) -> u32 {
        let seen = Seen::new(self, name, 0);
        let answers = seen.answers().map(|record| record.ttl).min().unwrap_or(u32::MAX);
        let is_positive = seen.answers().any(|record| record.rtype == rtype || rtype == RecordType::ANY);
        match self.facts.rcode {
            _ if matches!(self.facts.security, Security::Bogus(_)) => FAILURE_SECS,
            Rcode::NO_ERROR if is_positive => answers.min(LONGEST_POSITIVE_SECS),
            Rcode::NO_ERROR | Rcode::NX_DOMAIN => {
                // RFC 2308 §5: without a SOA record a negative answer should not be cached.
                let negative = seen.soa().map_or(0, |soa| soa.ttl.min(minimum(soa)));
                negative.min(answers).min(LONGEST_NEGATIVE_SECS)
            }
            _ => FAILURE_SECS,
        }
    }
}

/// RFC 9520 §3.2: a failure is remembered for a second at least, so that a broken zone is not asked on every query.
const FAILURE_SECS: u32 = 1;
/// RFC 2308 §5 finds values of one to three hours to work well.
const LONGEST_NEGATIVE_SECS: u32 = 3 * 3_600;
const LONGEST_POSITIVE_SECS: u32 = 86_400;

/// The last field of a SOA record (RFC 2308 §4).
fn minimum(soa: RecordRef<'_>) -> u32 {
    soa.rdata.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn pack(packed: &mut Vec<u8>, name: NameRef<'_>, record: RecordRef<'_>) {
    match record.owner == name {
        true => packed.push(SAME_AS_QUESTION),
        false => packed.extend_from_slice(record.owner.as_bytes()),
    }
    packed.extend_from_slice(&record.rtype.0.to_be_bytes());
    packed.extend_from_slice(&record.ttl.to_be_bytes());
    packed.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
    packed.extend_from_slice(record.rdata);
}

/// An outcome as it is now: some of its time has passed.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    facts: Facts,
    packed: &'a [u8],
    name: NameRef<'a>,
    age_secs: u32,
}

impl<'a> Seen<'a> {
    /// `outcome`, the answer to a question for `name`, `age_secs` after it came.
    pub fn new(outcome: &'a Outcome, name: NameRef<'a>, age_secs: u32) -> Self {
        Self::of_parts(outcome.facts, &outcome.packed, name, age_secs)
    }

    pub(crate) fn of_parts(facts: Facts, packed: &'a [u8], name: NameRef<'a>, age_secs: u32) -> Self {
        Self { facts, packed, name, age_secs }
    }

    /// How it ended.
    pub fn rcode(self) -> Rcode {
        self.facts.rcode
    }

    /// What DNSSEC says about it.
    pub fn security(self) -> Security {
        self.facts.security
    }

    /// Why there is no answer.
    pub fn ede(self) -> Option<Ede> {
        self.facts.ede
    }

    /// The answer section, TTLs as they are now.
    pub fn answers(self) -> Records<'a> {
        self.section(0)
    }

    /// The authority section, TTLs as they are now.
    pub fn authority(self) -> Records<'a> {
        self.section(1)
    }

    /// The additional section without OPT, TTLs as they are now.
    pub fn additional(self) -> Records<'a> {
        self.section(2)
    }

    /// The record by which a negative answer says how long it is good (RFC 2308 §3).
    pub fn soa(self) -> Option<RecordRef<'a>> {
        self.authority().find(|record| record.rtype == RecordType::SOA)
    }

    /// Whether every record is signed down from a trust anchor.
    pub fn is_secure(self) -> bool {
        self.security() == Security::Secure
    }

    fn section(self, index: usize) -> Records<'a> {
        let counts = self.facts.counts.map(usize::from);
        let mut records = Records { rest: self.packed, name: self.name, age_secs: self.age_secs, left: 0 };
        for count in &counts[..index] {
            records.left = *count;
            records.by_ref().for_each(drop);
        }
        records.left = counts[index];
        records
    }
}

/// The records of a section.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    name: NameRef<'a>,
    age_secs: u32,
    left: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        self.left = self.left.checked_sub(1)?;
        let owner = match *self.rest.first()? {
            SAME_AS_QUESTION => {
                self.rest = &self.rest[1..];
                self.name
            }
            _ => {
                let owner = NameRef::at_start_of(self.rest)?;
                self.rest = &self.rest[owner.as_bytes().len()..];
                owner
            }
        };
        let (&[t0, t1, s0, s1, s2, s3, l0, l1], behind) = self.rest.split_first_chunk::<FIXED>()?;
        let (rdata, rest) = behind.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        self.rest = rest;
        let ttl = u32::from_be_bytes([s0, s1, s2, s3]).saturating_sub(self.age_secs);
        Some(RecordRef { owner, rtype: RecordType(u16::from_be_bytes([t0, t1])), ttl, rdata })
    }
}
