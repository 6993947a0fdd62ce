//! Filtering (RFC 6146 §3.5, RFC 4787 §5): who may answer to a mapping.
//!
//! Address-dependent filtering asks whether a mapping has a session with an address, whatever the port. That is counted
//! here rather than searched for: one mapping may have thousands of sessions.

use std::net::Ipv4Addr;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::bib::BibIndex;
use crate::config::Filtering;
use crate::hash::SipKey;

#[derive(Debug)]
pub(crate) struct Filter {
    key: SipKey,
    filtering: Filtering,
    /// Empty unless filtering depends on addresses.
    spoken_to: HashTable<SpokenTo>,
}

/// Sessions of one mapping with one address.
#[derive(Clone, Copy, Debug)]
struct SpokenTo {
    bib: BibIndex,
    address: Ipv4Addr,
    sessions: u32,
}

impl Filter {
    pub(crate) const fn new(key: SipKey, filtering: Filtering) -> Self {
        Self { key, filtering, spoken_to: HashTable::new() }
    }

    pub(crate) const fn filtering(&self) -> Filtering {
        self.filtering
    }

    /// Whether a packet from `address` may reach the mapping although it belongs to no session.
    pub(crate) fn admits(&self, bib: BibIndex, address: Ipv4Addr) -> bool {
        match self.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => {
                let hash = hash(self.key, bib, address);
                self.spoken_to.find(hash, |spoken| spoken.bib == bib && spoken.address == address).is_some()
            }
        }
    }

    pub(crate) fn session_added(&mut self, bib: BibIndex, address: Ipv4Addr) {
        if self.filtering == Filtering::EndpointIndependent {
            return;
        }
        let key = self.key;
        let entry = self.spoken_to.entry(
            hash(key, bib, address),
            |spoken| spoken.bib == bib && spoken.address == address,
            |spoken| hash(key, spoken.bib, spoken.address),
        );
        entry.or_insert(SpokenTo { bib, address, sessions: 0 }).get_mut().sessions += 1;
    }

    pub(crate) fn session_removed(&mut self, bib: BibIndex, address: Ipv4Addr) {
        if self.filtering == Filtering::EndpointIndependent {
            return;
        }
        let key = self.key;
        let entry = self.spoken_to.entry(
            hash(key, bib, address),
            |spoken| spoken.bib == bib && spoken.address == address,
            |spoken| hash(key, spoken.bib, spoken.address),
        );
        if let Entry::Occupied(mut spoken) = entry {
            spoken.get_mut().sessions -= 1;
            if spoken.get().sessions == 0 {
                spoken.remove();
            }
        }
    }
}

fn hash(key: SipKey, bib: BibIndex, address: Ipv4Addr) -> u64 {
    key.hash([u64::from(bib.0) << 32 | u64::from(address.to_bits())])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIB: BibIndex = BibIndex(3);
    const KNOWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn an_address_is_admitted_until_its_last_session_goes() {
        let mut filter = Filter::new(SipKey::from_seed(&[1; 32], 1), Filtering::AddressDependent);
        filter.session_added(BIB, KNOWN);
        filter.session_added(BIB, KNOWN);

        filter.session_removed(BIB, KNOWN);
        assert!(filter.admits(BIB, KNOWN) && !filter.admits(BIB, OTHER) && !filter.admits(BibIndex(4), KNOWN));
        filter.session_removed(BIB, KNOWN);
        assert!(!filter.admits(BIB, KNOWN));
    }

    #[test]
    fn endpoint_independent_filtering_admits_everybody() {
        let filter = Filter::new(SipKey::from_seed(&[1; 32], 1), Filtering::EndpointIndependent);

        assert!(filter.admits(BIB, OTHER));
    }
}
