//! pool4 (RFC 6146 §3.5.1.1): choosing an outside endpoint for an inside one.
//!
//! A port keeps its class (system ports or not) and its parity where one is free (RFC 4787 REQ-3, REQ-4), cannot be
//! predicted (RFC 6056), and is found in bounded time: a bitmap per address and protocol is searched from a keyed
//! random place, 1024 words at the most, and not at all where nothing is free. A client keeps one address (paired
//! pooling, RFC 4787 REQ-2), and whether it gets another when that has no ports left is for the operator to say (RFC 7857
//! §4).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use crate::config::{Pool4, Pooling};
use crate::hash::SipKey;
use crate::pairing::Pairing;
use crate::tuple::{Inner, Outer, Protocol};

#[derive(Debug)]
pub(crate) struct PortPool {
    key: SipKey,
    addresses: Vec<PoolAddress>,
    pooling: Pooling,
    /// Who has which address, where there are several.
    pairing: Pairing,
    /// Makes every choice a new one, so that ports do not repeat (RFC 6056 §3.1).
    choices: u64,
}

#[derive(Debug)]
struct PoolAddress {
    address: Ipv4Addr,
    /// By protocol.
    ports: [Ports; Protocol::ALL.len()],
}

/// The ports of one address and protocol.
#[derive(Debug)]
struct Ports {
    /// In order and apart from each other.
    ranges: Vec<RangeInclusive<u16>>,
    /// How many that is.
    count: u32,
    used: PortSet,
}

/// Even ports of a word of 64; the others are odd.
const EVEN: u64 = 0x5555_5555_5555_5555;
/// The first port that is no system port (RFC 6335 §6).
const FIRST_USER_PORT: u16 = 1024;

impl PortPool {
    pub(crate) fn new(key: SipKey, pool4: &[Pool4], pooling: Pooling) -> Self {
        let mut parts: BTreeMap<Ipv4Addr, Vec<&Pool4>> = BTreeMap::new();
        for part in pool4 {
            parts.entry(part.address).or_default().push(part);
        }
        let addresses = parts.into_iter().map(|(address, parts)| PoolAddress {
            address,
            ports: Protocol::ALL.map(|protocol| Ports::new(parts.iter().filter(|part| part.is_for(protocol)))),
        });
        Self { key, addresses: addresses.collect(), pooling, pairing: Pairing::new(key), choices: 0 }
    }

    /// Whether packets to this address are ours.
    pub(crate) fn has_address(&self, address: Ipv4Addr) -> bool {
        self.find(address).is_some()
    }

    /// Takes a free endpoint for `inner`.
    pub(crate) fn allocate(&mut self, protocol: Protocol, inner: Inner) -> Option<Outer> {
        let pair = self.pairing.find(inner.address);
        let paired = pair.and_then(|pair| self.find(self.pairing.address(pair)));
        let first = match paired {
            Some(index) => index,
            None => self.draw(inner)?,
        };
        let address = inner.address.to_bits();
        let words = [(address >> 64) as u64, address as u64];
        self.choices = self.choices.wrapping_add(1);
        let random = self.key.hash([words[0], words[1], u64::from(inner.port), self.choices]);
        // An address that has no ports of this protocol at all cannot run out of them.
        let has_ports = |index: &usize| self.addresses[*index].ports[protocol as usize].count > 0;
        let is_bound = self.pooling == Pooling::Paired && paired.as_ref().is_some_and(has_ports);
        let (before, from) = self.addresses.split_at_mut(first);
        let candidates = if is_bound { 1 } else { usize::MAX };
        let mut pools = from.iter_mut().chain(before).take(candidates);
        let outer = pools.find_map(|pool| pool.allocate(protocol, inner.port, random))?;
        if self.addresses.len() > 1 {
            self.pairing.add(pair, inner.address, outer.address);
        }
        Some(outer)
    }

    /// Takes exactly this endpoint for `inner`, if it belongs to the pool and is free.
    pub(crate) fn reserve(&mut self, protocol: Protocol, inner: Inner, outer: Outer) -> bool {
        let Some(index) = self.find(outer.address) else { return false };
        let is_free = self.addresses[index].ports[protocol as usize].reserve(outer.port);
        if is_free && self.addresses.len() > 1 {
            self.pairing.add(self.pairing.find(inner.address), inner.address, outer.address);
        }
        is_free
    }

    /// Gives an endpoint back.
    pub(crate) fn release(&mut self, protocol: Protocol, inner: Inner, outer: Outer) {
        if let Some(index) = self.find(outer.address) {
            self.addresses[index].ports[protocol as usize].used.remove(outer.port);
            if self.addresses.len() > 1 {
                self.pairing.remove(inner.address);
            }
        }
    }

    /// The index of the address that a client without mappings gets first.
    fn draw(&self, inner: Inner) -> Option<usize> {
        if self.addresses.len() == 1 {
            return Some(0);
        }
        let address = inner.address.to_bits();
        let random = self.key.hash([(address >> 64) as u64, address as u64]);
        (random as usize).checked_rem(self.addresses.len())
    }

    fn find(&self, address: Ipv4Addr) -> Option<usize> {
        self.addresses.binary_search_by_key(&address, |pool| pool.address).ok()
    }
}

/// Whether an endpoint is part of a pool, free or not.
pub(crate) fn covers(pool4: &[Pool4], protocol: Protocol, outer: Outer) -> bool {
    let covers =
        |part: &Pool4| part.address == outer.address && part.is_for(protocol) && part.ports.contains(&outer.port);
    pool4.iter().any(covers)
}

impl PoolAddress {
    fn allocate(&mut self, protocol: Protocol, like: u16, random: u64) -> Option<Outer> {
        let port = self.ports[protocol as usize].allocate(like, random)?;
        Some(Outer { address: self.address, port })
    }
}

impl Ports {
    fn new<'p>(parts: impl Iterator<Item = &'p &'p Pool4>) -> Self {
        let ranges = merge(parts.map(|part| part.ports.clone()).collect());
        let count = ranges.iter().map(|range| range.len() as u32).sum();
        Self { ranges, count, used: PortSet::new() }
    }

    fn reserve(&mut self, port: u16) -> bool {
        let is_free = self.ranges.iter().any(|range| range.contains(&port)) && !self.used.has(port);
        if is_free {
            self.used.insert(port);
        }
        is_free
    }

    fn allocate(&mut self, like: u16, random: u64) -> Option<u16> {
        let (first, last) = if like < FIRST_USER_PORT { (1, FIRST_USER_PORT - 1) } else { (FIRST_USER_PORT, u16::MAX) };
        let parity = if like.is_multiple_of(2) { EVEN } else { !EVEN };
        let Self { ranges, count, used } = self;
        if used.len >= *count {
            return None;
        }
        let port = search(used, ranges, (first, last), parity, random)
            .or_else(|| search(used, ranges, (first, last), u64::MAX, random))
            .or_else(|| search(used, ranges, (1, u16::MAX), u64::MAX, random))?;
        used.insert(port);
        Some(port)
    }
}

/// The ports of all the ranges without port 0, which is reserved (RFC 6335 §6), in the fewest ranges.
fn merge(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges {
        let (first, last) = ((*range.start()).max(1), *range.end());
        match merged.last_mut() {
            Some(before) if first <= before.end().saturating_add(1) => {
                *before = *before.start()..=last.max(*before.end());
            }
            Some(_) | None if first <= last => merged.push(first..=last),
            Some(_) | None => {}
        }
    }
    merged
}

/// A free port of the class and parity, starting at a random range.
fn search(used: &PortSet, ranges: &[RangeInclusive<u16>], class: (u16, u16), parity: u64, random: u64) -> Option<u16> {
    let start = (random >> 32) as usize % ranges.len().max(1);
    ranges[start..].iter().chain(&ranges[..start]).find_map(|range| {
        let (first, last) = ((*range.start()).max(class.0), (*range.end()).min(class.1));
        if first <= last { used.free(first, last, parity, random) } else { None }
    })
}

/// The used ones of 65536 ports.
#[derive(Debug)]
struct PortSet {
    words: Vec<u64>,
    len: u32,
}

impl PortSet {
    fn new() -> Self {
        Self { words: vec![0; 1024], len: 0 }
    }

    fn has(&self, port: u16) -> bool {
        self.words[usize::from(port) / 64] >> (port % 64) & 1 == 1
    }

    fn insert(&mut self, port: u16) {
        self.len += u32::from(!self.has(port));
        self.words[usize::from(port) / 64] |= 1 << (port % 64);
    }

    fn remove(&mut self, port: u16) {
        self.len -= u32::from(self.has(port));
        self.words[usize::from(port) / 64] &= !(1 << (port % 64));
    }

    /// A free port from `first` to `last` of the parity, searched from a random place on and around.
    fn free(&self, first: u16, last: u16, parity: u64, random: u64) -> Option<u16> {
        let (low, high) = (usize::from(first) / 64, usize::from(last) / 64);
        let count = high - low + 1;
        let start = random as usize % count;
        (0..count).map(|step| low + (start + step) % count).find_map(|word| {
            let mut candidates = !self.words[word] & parity;
            if word == low {
                candidates &= u64::MAX << (first % 64);
            }
            if word == high {
                candidates &= u64::MAX >> (63 - last % 64);
            }
            let turn = (random >> 16) as u32 % 64;
            let turned = candidates.rotate_right(turn);
            (turned != 0).then(|| word as u16 * 64 + ((turned.trailing_zeros() + turn) % 64) as u16)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn pool(parts: &[(Ipv4Addr, RangeInclusive<u16>)]) -> PortPool {
        let parts: Vec<_> = parts.iter().map(|(address, ports)| Pool4::new(*address, ports.clone())).collect();
        PortPool::new(SipKey::from_seed(&[9; 32], 1), &parts, Pooling::SoftlyPaired)
    }

    fn inner(host: u16, port: u16) -> Inner {
        Inner { address: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host), port }
    }

    #[test]
    fn every_port_of_the_pool_is_given_once_and_then_none() {
        let mut pool = pool(&[(ONE, 100..=150), (ONE, 2000..=2050), (TWO, 3000..=3001)]);

        let given: BTreeSet<_> =
            (0..104).map(|n| pool.allocate(Protocol::Udp, inner(1, n)).unwrap()).map(|o| (o.address, o.port)).collect();

        assert_eq!(given.len(), 104);
        assert_eq!(pool.allocate(Protocol::Udp, inner(1, 1)), None);
        assert!(pool.allocate(Protocol::Tcp, inner(1, 1)).is_some(), "each protocol has its own ports");
    }

    #[test]
    fn ranges_that_overlap_or_touch_count_once() {
        let ranges = [(9, 5), (20, 30), (0, 0), (0, 3), (25, 28), (31, 40), (u16::MAX, u16::MAX), (4, 4)];

        let merged = merge(ranges.map(|(first, last)| first..=last).to_vec());

        assert_eq!(merged, [1..=4, 20..=40, u16::MAX..=u16::MAX]);
    }

    #[test]
    fn each_protocol_may_have_ports_of_its_own() {
        let part = |ports, protocol| Pool4 { address: ONE, ports, protocol };
        let parts = [part(10..=11, Some(Protocol::Tcp)), part(20..=20, Some(Protocol::Udp)), part(30..=30, None)];
        let mut pool = PortPool::new(SipKey::from_seed(&[9; 32], 1), &parts, Pooling::Paired);
        let mut all = |protocol| -> BTreeSet<_> {
            std::iter::from_fn(|| pool.allocate(protocol, inner(1, 7))).map(|outer| outer.port).collect()
        };

        assert_eq!(all(Protocol::Tcp), [10, 11, 30].into());
        assert_eq!(all(Protocol::Udp), [20, 30].into());
        assert_eq!(all(Protocol::Icmp), [30].into());
        let covered = |protocol, port| covers(&parts, protocol, Outer { address: ONE, port });
        assert!(covered(Protocol::Tcp, 10) && !covered(Protocol::Udp, 10) && covered(Protocol::Icmp, 30));
    }

    #[test]
    fn a_released_port_is_given_again() {
        let mut pool = pool(&[(ONE, 7..=7)]);
        let outer = pool.allocate(Protocol::Tcp, inner(1, 40000)).unwrap();
        assert_eq!(pool.allocate(Protocol::Tcp, inner(1, 40000)), None);

        pool.release(Protocol::Tcp, inner(1, 40000), outer);

        assert_eq!(pool.allocate(Protocol::Tcp, inner(2, 1)), Some(outer));
    }

    #[test]
    fn an_empty_pool_and_port_zero_give_nothing() {
        assert_eq!(pool(&[]).allocate(Protocol::Tcp, inner(1, 1)), None);
        assert_eq!(pool(&[(ONE, 0..=0)]).allocate(Protocol::Tcp, inner(1, 1)), None);
    }

    #[test]
    fn a_client_keeps_its_address_while_that_has_ports() {
        let mut pool = pool(&[(ONE, 1024..=1123), (TWO, 1024..=1123)]);
        let first = pool.allocate(Protocol::Udp, inner(1, 5000)).unwrap().address;

        assert!((0..49).all(|n| pool.allocate(Protocol::Udp, inner(1, 5001 + n)).unwrap().address == first));
    }

    #[test]
    fn a_client_keeps_the_address_it_was_given_by_hand() {
        let parts: Vec<_> = (1..=8).map(|host| (Ipv4Addr::new(192, 0, 2, host), 1024..=65535)).collect();
        for host in 1..=8 {
            let mut pool = pool(&parts);
            let address = Ipv4Addr::new(192, 0, 2, host);
            assert!(pool.reserve(Protocol::Tcp, inner(1, 1), Outer { address, port: 2000 }));

            assert_eq!(pool.allocate(Protocol::Udp, inner(1, 5000)).unwrap().address, address);
        }
    }

    #[test]
    fn a_client_whose_address_is_exhausted_gets_no_other_but_one_without_mappings_does() {
        let mut pool = PortPool { pooling: Pooling::Paired, ..pool(&[(ONE, 1024..=1027), (TWO, 1024..=1027)]) };
        let mut given: Vec<_> = std::iter::from_fn(|| pool.allocate(Protocol::Tcp, inner(1, 5000))).collect();
        assert_eq!(given.len(), 4);
        assert!(given.iter().all(|outer| outer.address == given[0].address));

        assert!((2..6).all(|host| pool.allocate(Protocol::Tcp, inner(host, 1)).unwrap().address != given[0].address));
        assert_eq!(pool.allocate(Protocol::Udp, inner(1, 5000)).unwrap().address, given[0].address);
        pool.release(Protocol::Tcp, inner(1, 5000), given[2]);
        assert_eq!(pool.allocate(Protocol::Tcp, inner(1, 5000)), Some(given.swap_remove(2)));
    }

    #[test]
    fn an_address_without_ports_of_a_protocol_binds_nobody_to_them() {
        let part = |address, protocol| Pool4 { address, ports: 7..=9, protocol: Some(protocol) };
        let parts = [part(ONE, Protocol::Tcp), part(TWO, Protocol::Udp)];
        let mut pool = PortPool::new(SipKey::from_seed(&[9; 32], 1), &parts, Pooling::Paired);

        assert_eq!(pool.allocate(Protocol::Tcp, inner(1, 1)).unwrap().address, ONE);
        assert_eq!(pool.allocate(Protocol::Udp, inner(1, 1)).unwrap().address, TWO);
    }

    #[test]
    fn a_client_whose_address_is_exhausted_gets_another_where_the_operator_says_so() {
        let mut pool = pool(&[(ONE, 1024..=1027), (TWO, 1024..=1027)]);
        let given: Vec<_> = (0..8).map(|n| pool.allocate(Protocol::Udp, inner(1, n)).unwrap().address).collect();

        assert!(given[..4].iter().all(|address| *address == given[0]));
        assert!(given[4..].iter().all(|address| *address != given[0]));
    }

    #[test]
    fn a_reserved_port_is_not_given_to_another() {
        let mut pool = pool(&[(ONE, 7..=8)]);

        assert!(pool.reserve(Protocol::Tcp, inner(9, 9), Outer { address: ONE, port: 7 }));
        assert!(!pool.reserve(Protocol::Tcp, inner(9, 9), Outer { address: ONE, port: 7 }));
        assert!(!pool.reserve(Protocol::Tcp, inner(9, 9), Outer { address: ONE, port: 9 }));
        assert_eq!(pool.allocate(Protocol::Tcp, inner(1, 1)), Some(Outer { address: ONE, port: 8 }));
    }

    #[test]
    fn neighbouring_clients_get_ports_far_apart() {
        let mut pool = pool(&[(ONE, 1024..=65535)]);
        let ports: Vec<_> =
            (0..64).map(|n| pool.allocate(Protocol::Tcp, inner(1, 40000 + 2 * n)).unwrap().port).collect();

        let neighbours = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 64).count();
        assert!(neighbours < 4, "{ports:?}");
    }

    proptest! {
        #[test]
        fn class_and_parity_are_kept_while_the_pool_has_such_ports(port in 1u16.., host in any::<u16>()) {
            let outer = pool(&[(ONE, 1..=65535)]).allocate(Protocol::Udp, inner(host, port)).unwrap();

            prop_assert_eq!(outer.port % 2, port % 2);
            prop_assert_eq!(outer.port < 1024, port < 1024);
        }

        #[test]
        fn the_search_finds_the_only_free_port(free in 1u16.., start in any::<u64>()) {
            let mut used = PortSet { words: vec![u64::MAX; 1024], len: 65536 };
            used.remove(free);

            prop_assert_eq!(used.free(1, u16::MAX, u64::MAX, start), Some(free));
            prop_assert_eq!(used.free(free, free, u64::MAX, start), Some(free));
            if free > 1 {
                prop_assert_eq!(used.free(1, free - 1, u64::MAX, start), None);
            }
        }
    }

    /// RFC 6056 §3.1: who sees some of the ports, even all of another gateway's, does not know the next.
    #[test]
    fn the_next_port_is_nobodys_to_foretell() {
        let ports = |seed| {
            let mut pool =
                PortPool::new(SipKey::from_seed(&[seed; 32], 1), &[Pool4::new(ONE, 1024..=65535)], Pooling::Paired);
            (0..100).map(|_| pool.allocate(Protocol::Udp, inner(1, 40_000)).unwrap().port).collect::<Vec<_>>()
        };
        let (one, other) = (ports(1), ports(2));

        assert!(one.iter().zip(&other).filter(|(one, other)| one == other).count() < 5, "{one:?} {other:?}");
        assert!(one.windows(2).filter(|two| two[0].abs_diff(two[1]) < 64).count() < 5, "{one:?}");
    }
}
