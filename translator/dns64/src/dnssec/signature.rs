//! Signatures over sets of records (RFC 4034 §3, §6; RFC 4035 §5.3).

use super::{Budget, Crypto, ZoneKey};
use crate::codes::{Ede, RecordType};
use crate::name::{Name, NameRef};
use crate::wire::{Part, Record, parts};

/// Records of one name and type with the signatures over them.
#[derive(Debug, Clone)]
pub struct RrSet<'r> {
    records: Vec<&'r Record>,
    signatures: Vec<&'r Record>,
}

/// A signature that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// How many labels of the owner the zone has: fewer than the owner's if a wildcard was expanded.
    pub labels: usize,
}

/// More signatures over one set are not looked at (CVE-2023-50387).
const MOST_SIGNATURES: usize = 8;
/// More keys of one tag are not tried (CVE-2023-50387).
const MOST_KEYS_PER_SIGNATURE: usize = 4;

/// The sets of a section, in its order. Signatures over nothing that is there are left out.
pub fn rrsets(records: &[Record]) -> Vec<RrSet<'_>> {
    let mut sets: Vec<RrSet<'_>> = Vec::new();
    for record in records.iter().filter(|record| record.rtype != RecordType::RRSIG) {
        match sets.iter_mut().find(|set| set.rtype() == record.rtype && set.owner() == record.owner.as_ref()) {
            Some(set) => set.records.push(record),
            None => sets.push(RrSet { records: vec![record], signatures: Vec::new() }),
        }
    }
    for record in records {
        let Some(covered) = record.as_ref().covered() else { continue };
        if let Some(set) = sets.iter_mut().find(|set| set.rtype() == covered && set.owner() == record.owner.as_ref()) {
            set.signatures.push(record);
        }
    }
    sets
}

impl<'r> RrSet<'r> {
    /// The name.
    pub fn owner(&self) -> NameRef<'r> {
        self.records[0].owner.as_ref()
    }

    /// The type.
    pub fn rtype(&self) -> RecordType {
        self.records[0].rtype
    }

    /// The records, one at least.
    pub fn records(&self) -> &[&'r Record] {
        &self.records
    }

    /// Who says to have signed it: the zones of its signatures that may have.
    pub fn signers(&self) -> Vec<Name> {
        let mut signers: Vec<Name> = Vec::new();
        for signature in self.signatures.iter().filter_map(|record| Signature::parse(&record.rdata)) {
            if self.owner().is_at_or_below(signature.signer) && !signers.contains(&signature.signer.to_name()) {
                signers.push(signature.signer.to_name());
            }
        }
        signers.truncate(2);
        signers
    }

    /// Looks for a signature of `zone` that is good at `now`, in seconds of 1970.
    ///
    /// # Errors
    /// Why there is none.
    pub fn verify(
        &self,
        zone: NameRef<'_>,
        keys: &[ZoneKey],
        now: u32,
        crypto: &dyn Crypto,
        budget: &mut Budget,
    ) -> Result<Signed, Ede> {
        let mut why = Ede::RRSIGS_MISSING;
        let signatures = self.signatures.iter().filter_map(|record| Signature::parse(&record.rdata));
        for signature in signatures.filter(|signature| signature.signer == zone).take(MOST_SIGNATURES) {
            match self.check(&signature, keys, now, crypto, budget) {
                Ok(signed) => return Ok(signed),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn check(
        &self,
        signature: &Signature<'_>,
        keys: &[ZoneKey],
        now: u32,
        crypto: &dyn Crypto,
        budget: &mut Budget,
    ) -> Result<Signed, Ede> {
        let owner_labels = self.owner().label_count() - usize::from(self.owner().first_label() == Some(b"*"));
        let labels = usize::from(signature.labels);
        // RFC 4035 §5.3.1.
        if !self.owner().is_at_or_below(signature.signer) || labels > owner_labels {
            return Err(Ede::DNSSEC_BOGUS);
        }
        // RFC 1982: times wrap.
        if now.wrapping_sub(signature.expiration) as i32 > 0 {
            return Err(Ede::SIGNATURE_EXPIRED);
        }
        if (signature.inception.wrapping_sub(now) as i32) > 0 {
            return Err(Ede::SIGNATURE_NOT_YET_VALID);
        }
        let fits = |key: &&ZoneKey| (key.tag, key.algorithm) == (signature.tag, signature.algorithm);
        let mut message = None;
        let mut why = Ede::DNSKEY_MISSING;
        for key in keys.iter().filter(fits).take(MOST_KEYS_PER_SIGNATURE) {
            budget.signature().ok_or(Ede::DNSSEC_BOGUS)?;
            let message = message.get_or_insert_with(|| self.signed_data(signature, labels, owner_labels));
            if crypto.verifies(key.algorithm, &key.key, message, signature.bytes) {
                return Ok(Signed { labels });
            }
            why = Ede::DNSSEC_BOGUS;
        }
        Err(why)
    }

    /// RFC 4034 §3.1.8.1.
    fn signed_data(&self, signature: &Signature<'_>, labels: usize, owner_labels: usize) -> Vec<u8> {
        let mut message = signature.head.to_vec();
        message.extend_from_slice(signature.signer.to_lower().as_ref().as_bytes());
        let mut owner = self.owner().to_lower();
        if labels < owner_labels {
            let above = owner.as_ref().last_labels(labels).to_name();
            owner = Name::child(b"*", above.as_ref()).unwrap_or(above);
        }
        let mut data: Vec<Vec<u8>> = self.records.iter().map(|record| canonical(record)).collect();
        data.sort();
        data.dedup();
        for rdata in data {
            message.extend_from_slice(owner.as_ref().as_bytes());
            message.extend_from_slice(&self.rtype().0.to_be_bytes());
            message.extend_from_slice(&[0, 1]);
            message.extend_from_slice(&signature.original_ttl.to_be_bytes());
            message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
            message.extend_from_slice(&rdata);
        }
        message
    }
}

/// RFC 4034 §6.2: names in the data are in lower case; RFC 6840 §5.1: those of NSEC are not.
fn canonical(record: &Record) -> Vec<u8> {
    let mut data = record.rdata.to_vec();
    if record.rtype == RecordType::NSEC {
        return data;
    }
    let mut at = 0;
    for part in parts(record.rtype) {
        let length = match part {
            Part::Octets(count) => usize::from(*count),
            Part::Text => data.get(at).map_or(0, |length| 1 + usize::from(*length)),
            Part::Name => {
                let Some(name) = NameRef::at_start_of(data.get(at..).unwrap_or_default()) else { return data };
                let length = name.as_bytes().len();
                data[at..at + length].make_ascii_lowercase();
                length
            }
            Part::Rest => break,
        };
        at += length;
    }
    data
}

/// The data of an RRSIG record.
struct Signature<'a> {
    /// Everything in front of the signer's name.
    head: &'a [u8],
    algorithm: u8,
    labels: u8,
    original_ttl: u32,
    expiration: u32,
    inception: u32,
    tag: u16,
    signer: NameRef<'a>,
    bytes: &'a [u8],
}

impl<'a> Signature<'a> {
    fn parse(rdata: &'a [u8]) -> Option<Self> {
        let (head, rest) = rdata.split_at_checked(18)?;
        let signer = NameRef::at_start_of(rest)?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Self {
            head,
            algorithm: head[2],
            labels: head[3],
            original_ttl: word(4),
            expiration: word(8),
            inception: word(12),
            tag: u16::from_be_bytes([head[16], head[17]]),
            signer,
            bytes: &rest[signer.as_bytes().len()..],
        })
    }
}
