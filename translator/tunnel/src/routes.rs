//! Which peer owns an address: longest prefix first.
//!
//! Peers have one length per family in practice (/64 and /32), so a hash map per length beats a trie.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;

/// A map that is looked into for every packet, by keys that nobody outside chooses: prefixes of the operator, and our own
/// random session indices. Collisions cannot be made, so the hash need not be a secret.
pub(crate) type Map<K, T> = HashMap<K, T, BuildHasherDefault<Spread>>;

/// Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4): the upper bits depend on all of the key.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Spread {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(32) ^ word).wrapping_mul(Self::GOLDEN);
    }
}

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        // The map takes its place from the lower bits and compares the upper ones first.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn write_u32(&mut self, word: u32) {
        self.add(u64::from(word));
    }

    fn write_u128(&mut self, word: u128) {
        self.add(word as u64);
        self.add((word >> 64) as u64);
    }
}

/// Prefixes and their owners.
pub(crate) struct Routes<T> {
    /// Longest first: a /64 inside a /48 would otherwise never match.
    v4: Vec<(u8, Map<u32, T>)>,
    v6: Vec<(u8, Map<u128, T>)>,
}

impl<T: Copy + PartialEq> Routes<T> {
    pub(crate) fn new() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }

    /// Gives `prefix` to `owner`, whoever had it before.
    pub(crate) fn insert(&mut self, prefix: IpNet, owner: T) {
        match prefix {
            IpNet::V4(net) => {
                of_length(&mut self.v4, net.prefix_len()).insert(net.network().to_bits(), owner);
            }
            IpNet::V6(net) => {
                of_length(&mut self.v6, net.prefix_len()).insert(net.network().to_bits(), owner);
            }
        }
    }

    /// Takes every prefix of `owner` away.
    pub(crate) fn remove(&mut self, owner: T) {
        forget(&mut self.v4, owner);
        forget(&mut self.v6, owner);
    }

    /// The owner of the longest prefix that holds `address`.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<T> {
        match address {
            IpAddr::V4(address) => find(&self.v4, |len| address.to_bits() & mask_v4(len)),
            IpAddr::V6(address) => find(&self.v6, |len| address.to_bits() & mask_v6(len)),
        }
    }
}

fn of_length<K, T>(table: &mut Vec<(u8, Map<K, T>)>, len: u8) -> &mut Map<K, T> {
    let at = table.partition_point(|&(other, _)| other > len);
    if table.get(at).is_none_or(|&(other, _)| other != len) {
        table.insert(at, (len, Map::default()));
    }
    &mut table[at].1
}

fn forget<K, T: PartialEq>(table: &mut Vec<(u8, Map<K, T>)>, owner: T) {
    for (_, prefixes) in table.iter_mut() {
        prefixes.retain(|_, other| *other != owner);
    }
    table.retain(|(_, prefixes)| !prefixes.is_empty());
}

fn find<K: std::hash::Hash + Eq, T: Copy>(table: &[(u8, Map<K, T>)], network: impl Fn(u8) -> K) -> Option<T> {
    table.iter().find_map(|(len, prefixes)| prefixes.get(&network(*len)).copied())
}

fn mask_v4(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

fn mask_v6(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(prefixes: &[(&str, char)]) -> Routes<char> {
        let mut routes = Routes::new();
        for (prefix, owner) in prefixes {
            routes.insert(prefix.parse().unwrap(), *owner);
        }
        routes
    }

    fn check(routes: &Routes<char>, address: &str, owner: Option<char>) {
        assert_eq!(routes.lookup(address.parse().unwrap()), owner, "{address}");
    }

    #[test]
    fn neighbouring_prefixes_and_indices_spread() {
        let places = |words: &mut dyn Iterator<Item = Spread>| {
            words.map(|spread| spread.finish() & 0xff).collect::<std::collections::BTreeSet<_>>().len()
        };
        let hashed = |write: &dyn Fn(&mut Spread)| {
            let mut spread = Spread::default();
            write(&mut spread);
            spread
        };

        let networks =
            places(&mut (0..256_u128).map(|n| hashed(&|spread| spread.write_u128(0x2001_0db8 << 96 | n << 64))));
        let indices = places(&mut (0..256_u32).map(|n| hashed(&|spread| spread.write_u32(n << 8))));

        // 256 keys thrown at random fill 162 of 256 places.
        assert!(networks > 120 && indices > 120, "{networks} {indices}");
    }

    #[test]
    fn an_address_belongs_to_the_prefix_around_it() {
        let routes = routes(&[("2001:db8:0:1::/64", 'a'), ("198.18.0.7/32", 'a'), ("2001:db8:0:2::/64", 'b')]);

        check(&routes, "2001:db8:0:1::5", Some('a'));
        check(&routes, "2001:db8:0:2:ffff::", Some('b'));
        check(&routes, "198.18.0.7", Some('a'));
        check(&routes, "198.18.0.8", None);
        check(&routes, "2001:db8:0:3::1", None);
    }

    #[test]
    fn the_longest_prefix_wins_in_whatever_order_they_came() {
        let routes = routes(&[("::/0", 'd'), ("2001:db8::/64", 'a'), ("2001:db8::1/128", 'b'), ("0.0.0.0/0", 'd')]);

        check(&routes, "2001:db8::1", Some('b'));
        check(&routes, "2001:db8::2", Some('a'));
        check(&routes, "fe80::1", Some('d'));
        check(&routes, "192.0.2.1", Some('d'));
    }

    #[test]
    fn removing_an_owner_leaves_prefixes_that_moved_on() {
        let mut routes = routes(&[("2001:db8::/64", 'a'), ("198.18.0.7/32", 'a'), ("198.18.0.7/32", 'b')]);

        routes.remove('a');

        check(&routes, "2001:db8::1", None);
        check(&routes, "198.18.0.7", Some('b'));
    }
}
