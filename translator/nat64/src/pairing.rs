//! Paired pooling (RFC 4787 REQ-2, RFC 6146 §3.5.1.1): all mappings of an inside address share one outside address.
//!
//! The first one is drawn by hash. Where there are several addresses, clients keep theirs as long as they have a mapping,
//! whatever becomes of the pool meanwhile, and whatever address an operator gives them by hand.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::hash::SipKey;
use crate::index_table::IndexTable;
use crate::slab::Slab;

#[derive(Debug)]
pub(crate) struct Pairing {
    key: SipKey,
    pairs: Slab<Pair>,
    by_client: IndexTable,
}

/// Place of a pair; valid as long as its client has a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairIndex(u32);

#[derive(Clone, Copy, Debug)]
struct Pair {
    client: Ipv6Addr,
    address: Ipv4Addr,
    mappings: u32,
}

impl Pairing {
    pub(crate) const fn new(key: SipKey) -> Self {
        Self { key, pairs: Slab::new(), by_client: IndexTable::new() }
    }

    /// What `client` has, if it has mappings.
    pub(crate) fn find(&self, client: Ipv6Addr) -> Option<PairIndex> {
        let is_it = |index| {
            let pair: &Pair = &self.pairs[index];
            pair.client == client
        };
        // A pool of one address has no pairs.
        if self.pairs.len() == 0 { None } else { self.by_client.find(hash(self.key, client), is_it).map(PairIndex) }
    }

    /// The outside address of a pair.
    pub(crate) fn address(&self, pair: PairIndex) -> Ipv4Addr {
        self.pairs[pair.0].address
    }

    /// A mapping of `client` begins, which has this pair; the `address` of the first one is the client's.
    pub(crate) fn add(&mut self, pair: Option<PairIndex>, client: Ipv6Addr, address: Ipv4Addr) {
        if let Some(PairIndex(index)) = pair {
            self.pairs[index].mappings += 1;
            return;
        }
        let key = self.key;
        let index = self.pairs.insert(Pair { client, address, mappings: 1 });
        let pairs = &self.pairs;
        self.by_client.insert(hash(key, client), index, |place| hash(key, pairs[place].client));
    }

    /// A mapping ends.
    pub(crate) fn remove(&mut self, client: Ipv6Addr) {
        let Some(PairIndex(index)) = self.find(client) else { return };
        self.pairs[index].mappings -= 1;
        if self.pairs[index].mappings == 0 {
            self.pairs.remove(index);
            self.by_client.remove(hash(self.key, client), index);
        }
    }
}

fn hash(key: SipKey, client: Ipv6Addr) -> u64 {
    let bits = client.to_bits();
    key.hash([(bits >> 64) as u64, bits as u64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_its_address_until_its_last_mapping_goes() {
        let mut pairing = Pairing::new(SipKey::from_seed(&[1; 32], 1));
        let (one, two) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let client = Ipv6Addr::LOCALHOST;
        pairing.add(None, client, one);
        pairing.add(pairing.find(client), client, two);

        pairing.remove(client);
        assert_eq!(pairing.find(client).map(|pair| pairing.address(pair)), Some(one));
        pairing.remove(client);
        assert!(pairing.find(client).is_none());
    }
}
