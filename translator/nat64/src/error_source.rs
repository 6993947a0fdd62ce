//! ICMP errors of routers inside that have no IPv4 address (RFC 6791): which one they get, and how they stay known.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::checksum::Sum;

use crate::hash::SipKey;

/// The address of a pool that stands for a router; none if the pool is empty.
///
/// RFC 6791 §5 asks for a random choice, so that the routers of one traceroute look different. This one is random, too,
/// but the same for every error of a router, so that it does not look like several.
pub(crate) fn choose(key: SipKey, pool: &[Ipv4Addr], router: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = router.to_bits();
    let random = key.hash([(bits >> 64) as u64, bits as u64]) as usize;
    pool.get(random.checked_rem(pool.len())?).copied()
}

/// RFC 4884 §7: version 2, and the checksum still to come.
const HEADER: [u8; 4] = [2 << 4, 0, 0, 0];
/// RFC 5837 §4.1: an object of 24 bytes about the interface that a packet arrived at, of which the address is known.
const INTERFACE_ADDRESS: [u8; 4] = [0, 24, 2, 0x04];
/// RFC 5837 §4.2: the address family number of IPv6.
const IPV6: [u8; 4] = [0, 2, 0, 0];

/// The extension structure of an error with one object more (RFC 6791 §4): the router's IPv6 address.
///
/// A structure that is none, of another version or with a wrong checksum, is left as it is.
pub(crate) fn with_address(extensions: &[u8], router: Ipv6Addr) -> Vec<u8> {
    let objects = match *extensions {
        [] => &[][..],
        // A checksum of zero was not computed.
        [version, _, a, b, ref objects @ ..] if version >> 4 == 2 && ([a, b] == [0, 0] || is_right(extensions)) => {
            objects
        }
        _ => return extensions.to_vec(),
    };
    let mut whole = [&HEADER[..], objects, &INTERFACE_ADDRESS, &IPV6, &router.octets()].concat();
    let sum = Sum::new().bytes(&whole).complete();
    whole[2..4].copy_from_slice(&sum.to_be_bytes());
    whole
}

fn is_right(extensions: &[u8]) -> bool {
    Sum::new().bytes(extensions).complete() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1);

    #[test]
    fn a_router_has_one_address_and_many_routers_have_all() {
        let key = SipKey::from_seed(&[1; 32], 7);
        let pool: Vec<_> = (1..=4).map(|host| Ipv4Addr::new(192, 0, 2, host)).collect();
        let of = |host: u16| choose(key, &pool, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host)).unwrap();

        assert!((0..100).all(|host| of(host) == of(host)));
        assert_eq!((0..100).map(of).collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(choose(key, &[], ROUTER), None);
    }

    #[test]
    fn the_object_is_added_behind_those_there_are() {
        let one = with_address(&[], ROUTER);
        assert_eq!((one.len(), &one[..2], is_right(&one)), (28, &[0x20, 0][..], true));
        assert_eq!(one[4..12], [0, 24, 2, 4, 0, 2, 0, 0]);
        assert_eq!(one[12..], ROUTER.octets());

        let two = with_address(&one, Ipv6Addr::LOCALHOST);
        assert_eq!((&two[4..28], two.len(), is_right(&two)), (&one[4..], 52, true));
    }

    #[test]
    fn what_is_no_structure_is_left_alone() {
        let mut wrong = with_address(&[], ROUTER);
        wrong[9] ^= 1;
        let other_version = [0x10, 0, 0, 0, 0, 4, 1, 1];

        assert_eq!(with_address(&wrong, ROUTER), wrong);
        assert_eq!(with_address(&other_version, ROUTER), other_version);
        assert_eq!(with_address(&[0x20, 0, 0, 0, 0, 4, 1, 1], ROUTER).len(), 32, "no checksum was sent");
    }
}
