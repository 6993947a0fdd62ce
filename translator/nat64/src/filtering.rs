//! Filtering (RFC 6146 §3.5, RFC 4787 §5): who may answer to a mapping.
//!
//! Address-dependent filtering asks whether a mapping has a session with an address, whatever the port. That is counted
//! here rather than searched for: one mapping may have thousands of sessions.

use std::net::Ipv4Addr;

use crate::bib::BibIndex;
use crate::config::Filtering;
use crate::hash::SipKey;
use crate::index_table::IndexTable;
use crate::slab::Slab;

#[derive(Debug)]
pub(crate) struct Filter {
    key: SipKey,
    filtering: Filtering,
    /// Empty unless filtering depends on addresses.
    spoken_to: Slab<SpokenTo>,
    by_address: IndexTable,
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
        Self { key, filtering, spoken_to: Slab::new(), by_address: IndexTable::new() }
    }

    pub(crate) const fn filtering(&self) -> Filtering {
        self.filtering
    }

    /// Whether a packet from `address` may reach the mapping although it belongs to no session.
    pub(crate) fn admits(&self, bib: BibIndex, address: Ipv4Addr) -> bool {
        match self.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.find(bib, address).is_some(),
        }
    }

    pub(crate) fn session_added(&mut self, bib: BibIndex, address: Ipv4Addr) {
        if self.filtering == Filtering::EndpointIndependent {
            return;
        }
        if let Some(index) = self.find(bib, address) {
            self.spoken_to[index].sessions += 1;
            return;
        }
        let key = self.key;
        let index = self.spoken_to.insert(SpokenTo { bib, address, sessions: 1 });
        let spoken_to = &self.spoken_to;
        let hash_at = |place| hash(key, spoken_to[place].bib, spoken_to[place].address);
        self.by_address.insert(hash(key, bib, address), index, hash_at);
    }

    pub(crate) fn session_removed(&mut self, bib: BibIndex, address: Ipv4Addr) {
        // Nothing is ever found where filtering does not depend on addresses.
        let Some(index) = self.find(bib, address) else { return };
        self.spoken_to[index].sessions -= 1;
        if self.spoken_to[index].sessions == 0 {
            self.spoken_to.remove(index);
            self.by_address.remove(hash(self.key, bib, address), index);
        }
    }

    fn find(&self, bib: BibIndex, address: Ipv4Addr) -> Option<u32> {
        let same = |index| {
            let spoken: &SpokenTo = &self.spoken_to[index];
            spoken.bib == bib && spoken.address == address
        };
        self.by_address.find(hash(self.key, bib, address), same)
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
