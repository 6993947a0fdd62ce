//! What must hold for any bytes from anywhere.

use proptest::prelude::*;

use crate::lab::{GATEWAY, Lab, REMOTE, WEB, WEB_INSIDE, packet};

proptest! {
    #[test]
    fn random_datagrams_are_dropped(kind in 0u8..6, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut lab = Lab::with_peers(&[WEB]);

        for datagram in [bytes.clone(), [&[kind, 0, 0, 0], &bytes[..]].concat()] {
            lab.inject("[2001:db8:666::1]:1", &datagram);
        }

        prop_assert!(lab.received(GATEWAY).is_empty());
        prop_assert_eq!(lab.node(GATEWAY).drops().non_zero().map(|(_, count)| count).sum::<u64>(), 2);
    }

    #[test]
    fn damaged_datagrams_are_dropped(at in any::<prop::sample::Index>(), bit in 0u8..8, data in any::<bool>()) {
        let mut lab = Lab::with_peers(&[WEB]);
        let mut peer = lab.raw_peer(WEB);
        let mut datagram = if data { peer.encrypt(&packet(WEB_INSIDE, REMOTE, b"ping")) } else { peer.initiation() };
        // Not the three reserved bytes, and not mac2, which is only looked at under load.
        let used: Vec<_> = (0..datagram.len()).filter(|at| !(1..4).contains(at) && (data || *at < 132)).collect();
        datagram[*at.get(&used)] ^= 1 << bit;
        let before = lab.stats(WEB).rx_bytes;

        lab.inject(WEB, &datagram);

        prop_assert!(lab.received(GATEWAY).is_empty());
        prop_assert_eq!(lab.stats(WEB).rx_bytes, before);
    }

    #[test]
    fn random_packets_into_a_tunnel_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut lab = Lab::with_peers(&[WEB]);

        for first in [0x45, 0x60, 0x00] {
            let _ = lab.node(GATEWAY).handle_packet(&[&[first], &bytes[..]].concat());
        }
    }
}
