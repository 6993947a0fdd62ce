//! pool6 of several prefixes (RFC 6052, RFC 6146 §3.5.4): which one an IPv6 address lies in, and which one answers.
//!
//! A session knows the prefix its inside endpoint last used and answers from it. It is still one session: outside, the
//! same remote under two prefixes is the same remote, and nothing in its answers says which of the two was meant.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Pool6;

/// How many prefixes there may be: an index takes one byte.
pub(crate) const MOST: usize = 256;

/// A prefix, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixIndex(u8);

impl PrefixIndex {
    /// The prefix of sessions that the outside starts.
    pub(crate) const FIRST: Self = Self(0);
}

/// The prefixes. That there is only one is the case that costs nothing.
#[derive(Debug)]
pub(crate) struct Prefixes {
    first: Pool6,
    /// The one to look at first, which the others are not inside of.
    longest: (Pool6, PrefixIndex),
    /// All the others, longest first.
    shorter: Vec<(Pool6, PrefixIndex)>,
    /// In the order of the configuration.
    all: Vec<Pool6>,
    /// The bits that all prefixes share, and which of an address's they are.
    common: (u128, u128),
}

impl Prefixes {
    /// `pool6` without any prefix is taken as the well-known one; what comes behind the [`MOST`] there may be is left
    /// out.
    pub(crate) fn new(pool6: &[Pool6]) -> Self {
        let all: Vec<_> =
            if pool6.is_empty() { vec![Pool6::default()] } else { pool6[..pool6.len().min(MOST)].to_vec() };
        let mut by_length: Vec<_> =
            (0..=u8::MAX).map(PrefixIndex).zip(&all).map(|(index, net)| (*net, index)).collect();
        by_length.sort_by_key(|(pool6, _)| std::cmp::Reverse(pool6.net().prefix_len()));
        let first = all[0];
        let longest = by_length.remove(0);
        Self { first, longest, shorter: by_length, common: common(&all), all }
    }

    /// The IPv4 address that `address` stands for, and by which prefix; of several, by the longest.
    #[inline]
    pub(crate) fn extract(&self, address: Ipv6Addr) -> Option<(Ipv4Addr, PrefixIndex)> {
        match self.longest.0.extract(address) {
            Some(inside) => Some((inside, self.longest.1)),
            None => self.extract_shorter(address),
        }
    }

    #[cold]
    fn extract_shorter(&self, address: Ipv6Addr) -> Option<(Ipv4Addr, PrefixIndex)> {
        self.shorter.iter().find_map(|(pool6, index)| pool6.extract(address).map(|inside| (inside, *index)))
    }

    /// The IPv6 address that stands for `address` in a prefix.
    #[inline]
    pub(crate) fn embed(&self, index: PrefixIndex, address: Ipv4Addr) -> Ipv6Addr {
        let pool6 = if index == PrefixIndex::FIRST { self.first } else { self.at(index) };
        pool6.embed(address)
    }

    /// Whether sessions that the outside starts are seen under the well-known prefix (RFC 6052 §2.1).
    pub(crate) fn first_is_well_known(&self) -> bool {
        self.first == Pool6::default()
    }

    /// The prefix itself.
    #[cold]
    pub(crate) fn at(&self, index: PrefixIndex) -> Pool6 {
        self.all.get(usize::from(index.0)).copied().unwrap_or(self.first)
    }

    /// Whether an address lies in any of the prefixes.
    #[inline]
    pub(crate) fn contain(&self, address: Ipv6Addr) -> bool {
        address.to_bits() & self.common.1 == self.common.0 && self.contain_exactly(address)
    }

    #[cold]
    fn contain_exactly(&self, address: Ipv6Addr) -> bool {
        self.all.iter().any(|pool6| pool6.net().contains(&address))
    }

    /// Where a prefix of these stands among others, if it does.
    pub(crate) fn index_among(&self, index: PrefixIndex, others: &Self) -> Option<PrefixIndex> {
        let pool6 = self.at(index);
        (0..=u8::MAX).map(PrefixIndex).zip(&others.all).find(|(_, other)| **other == pool6).map(|(index, _)| index)
    }
}

fn common(all: &[Pool6]) -> (u128, u128) {
    let first = all[0].net();
    let (bits, mut mask) = (first.network().to_bits(), first.netmask().to_bits());
    for net in all.iter().map(Pool6::net) {
        mask &= net.netmask().to_bits();
        let differing = (bits ^ net.network().to_bits()) & mask;
        mask &= !u128::MAX.checked_shr(differing.leading_zeros()).unwrap_or(0);
    }
    (bits & mask, mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefixes(nets: &[&str]) -> Prefixes {
        Prefixes::new(&nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(prefixes: &Prefixes, address: &str, expected: Option<(&str, u8)>) {
        let expected = expected.map(|(inside, index)| (inside.parse().unwrap(), PrefixIndex(index)));
        assert_eq!(prefixes.extract(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order() {
        for nets in [["2001:db8::/32", "2001:db8::/96"], ["2001:db8::/96", "2001:db8::/32"]] {
            let (prefixes, longer) = (prefixes(&nets), u8::from(nets[0].ends_with("32")));

            check(&prefixes, "2001:db8::192.0.2.1", Some(("192.0.2.1", longer)));
            check(&prefixes, "2001:db8:c000:201::", Some(("192.0.2.1", 1 - longer)));
            check(&prefixes, "2001:db9::192.0.2.1", None);
        }
    }

    #[test]
    fn a_prefix_gives_back_what_it_was_given() {
        let prefixes = prefixes(&["64:ff9b::/96", "2001:db8:64::/48", "2001:db8:1::/96"]);
        let inside = Ipv4Addr::new(192, 0, 2, 33);

        for index in (0..3).map(PrefixIndex) {
            assert_eq!(prefixes.extract(prefixes.embed(index, inside)), Some((inside, index)));
        }
    }

    #[test]
    fn no_prefix_is_the_well_known_one_and_too_many_are_cut_off() {
        check(&prefixes(&[]), "64:ff9b::192.0.2.1", Some(("192.0.2.1", 0)));

        let many: Vec<_> = (0..300).map(|index| format!("2001:db8:{index:x}::/48")).collect();
        let many = prefixes(&many.iter().map(String::as_str).collect::<Vec<_>>());
        check(&many, "2001:db8:ff:c000:2:100::", Some(("192.0.2.1", 255)));
        check(&many, "2001:db8:100:c000:2:100::", None);
    }

    #[test]
    fn a_prefix_is_known_again_in_another_place() {
        let before = prefixes(&["64:ff9b::/96", "2001:db8:64::/48"]);
        let after = prefixes(&["2001:db8:64::/48", "2001:db8:65::/48"]);

        assert_eq!(before.index_among(PrefixIndex(1), &after), Some(PrefixIndex::FIRST));
        assert_eq!(before.index_among(PrefixIndex(0), &after), None);
    }

    proptest! {
        #[test]
        fn an_address_is_contained_where_one_prefix_contains_it(
            nets in proptest::collection::vec((0u16..4, proptest::sample::select(vec![32u8, 48, 64, 96])), 1..5),
            (third, fourth, low) in (0u16..4, 0u16..2, any::<u32>()),
        ) {
            let nets: Vec<Pool6> =
                nets.iter().map(|(third, len)| format!("2001:db8:{third:x}::/{len}")).filter_map(|net| net.parse().ok()).collect();
            let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(third) << 80 | u128::from(fourth) << 64 | u128::from(low));

            let expected = if nets.is_empty() { false } else { nets.iter().any(|pool6| pool6.net().contains(&address)) };

            prop_assert_eq!(Prefixes::new(&nets).contain(address), expected);
        }
    }
}
