//! Keys of zones (RFC 4034 §2) and their digests in the zone above (§5).

use super::{Budget, Crypto, RrSet};
use crate::codes::{Ede, RecordType};
use crate::name::NameRef;
use crate::wire::Record;

/// A key that may sign the records of its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneKey {
    pub(super) algorithm: u8,
    pub(super) tag: u16,
    pub(super) key: Box<[u8]>,
    rdata: Box<[u8]>,
}

/// The data of a DS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationSigner {
    pub tag: u16,
    pub algorithm: u8,
    pub digest_type: u8,
    pub digest: Vec<u8>,
}

/// More keys of a zone are not looked at.
const MOST_KEYS: usize = 16;
/// More digests for a zone are not looked at.
const MOST_DS: usize = 16;

impl ZoneKey {
    /// The data of a DNSKEY record; `None` if it is no key for signing a zone.
    pub fn parse(rdata: &[u8]) -> Option<Self> {
        let (&[high, low, protocol, algorithm], key) = rdata.split_first_chunk()?;
        let flags = u16::from_be_bytes([high, low]);
        // RFC 4034 §2.1.1 and §2.1.2; RFC 5011 §2.1: a revoked key signs its own revocation and nothing else.
        let is_zone_key = flags & 0x0100 != 0 && flags & 0x0080 == 0 && protocol == 3;
        is_zone_key.then(|| Self { algorithm, tag: tag(rdata), key: key.into(), rdata: rdata.into() })
    }
}

/// RFC 4034 appendix B.
fn tag(rdata: &[u8]) -> u16 {
    let words = rdata.iter().enumerate().map(|(index, &octet)| u32::from(octet) << if index % 2 == 0 { 8 } else { 0 });
    // 64 KiB of octets stay below 2^32.
    let sum = words.fold(0_u32, u32::wrapping_add);
    (sum + (sum >> 16 & 0xffff)) as u16
}

impl DelegationSigner {
    /// The data of a DS record.
    pub fn parse(rdata: &[u8]) -> Option<Self> {
        let (&[high, low, algorithm, digest_type], digest) = rdata.split_first_chunk()?;
        Some(Self { tag: u16::from_be_bytes([high, low]), algorithm, digest_type, digest: digest.into() })
    }

    /// Whether both its algorithm and its digest can be computed.
    pub fn is_known(&self, crypto: &dyn Crypto) -> bool {
        crypto.knows_algorithm(self.algorithm) && crypto.digest(self.digest_type, &[]).is_some()
    }

    /// RFC 4034 §5.1.4.
    fn is_of(&self, zone: NameRef<'_>, key: &ZoneKey, crypto: &dyn Crypto) -> bool {
        if (self.tag, self.algorithm) != (key.tag, key.algorithm) {
            return false;
        }
        let message = [zone.to_lower().as_ref().as_bytes(), &key.rdata].concat();
        crypto.digest(self.digest_type, &message).is_some_and(|digest| digest == self.digest)
    }
}

/// The keys of `zone`, if one of them that a DS record stands for signs them all (RFC 4035 §5.2).
///
/// # Errors
/// Why they cannot be trusted.
pub fn trusted_keys(
    zone: NameRef<'_>,
    records: &[Record],
    signers: &[DelegationSigner],
    now: u32,
    crypto: &dyn Crypto,
    budget: &mut Budget,
) -> Result<Vec<ZoneKey>, Ede> {
    let sets = super::rrsets(records);
    let is_keys = |set: &&RrSet<'_>| set.rtype() == RecordType::DNSKEY && set.owner() == zone;
    let set = sets.iter().find(is_keys).ok_or(Ede::DNSKEY_MISSING)?;
    let keys: Vec<ZoneKey> =
        set.records().iter().filter_map(|record| ZoneKey::parse(&record.rdata)).take(MOST_KEYS).collect();
    // RFC 4509 §3: with a better digest, SHA-1 is not looked at.
    let known: Vec<_> = signers.iter().filter(|ds| ds.is_known(crypto)).take(MOST_DS).collect();
    let has_better = known.iter().any(|ds| ds.digest_type != 1);
    let vouched =
        |key: &&ZoneKey| known.iter().any(|ds| (ds.digest_type != 1 || !has_better) && ds.is_of(zone, key, crypto));
    let entry: Vec<ZoneKey> = keys.iter().filter(vouched).cloned().collect();
    if entry.is_empty() {
        return Err(Ede::DNSKEY_MISSING);
    }
    set.verify(zone, &entry, now, crypto, budget)?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_revoked_or_not_for_a_zone_is_none() {
        assert!(ZoneKey::parse(&[1, 0, 3, 13, 9]).is_some());
        assert!(ZoneKey::parse(&[1, 0x80, 3, 13, 9]).is_none());
        assert!(ZoneKey::parse(&[0, 0, 3, 13, 9]).is_none());
        assert!(ZoneKey::parse(&[1, 0, 2, 13, 9]).is_none());
        assert!(ZoneKey::parse(&[1, 0, 3]).is_none());
    }
}
