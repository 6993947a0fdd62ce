//! Identifications of the IPv4 packets the engine makes of others (RFC 6864): unique for a while per destination, and
//! not to be predicted by one who watches another.

use std::net::Ipv4Addr;

use packet::Family;
use packet::ipv4::Fragmentation;

use crate::hash::SipKey;
use crate::network::Network;
use crate::xlat::fragment::Train;

/// The identification that a packet from inside brings along; `None`: it must get one of its own.
#[inline]
pub(crate) fn carried(network: &Network, train: Option<&Train>, wire_len: usize) -> Option<u16> {
    match (network.family, train) {
        // RFC 7915 §5.1.1: the low 16 bits.
        (Family::V6, Some(train)) => Some(train.identification as u16),
        (Family::V6, None) if !network.dont_fragment => Some(network.identification),
        // RFC 7915 §5.1 has a generator's here too. RFC 6864 §4.1: nobody looks at one where DF is set, and those that
        // must not come again are not used up by bulk that needs none.
        (Family::V6, None) if Fragmentation::for_translated(wire_len) == Fragmentation::Never => Some(0),
        (Family::V4, None) if network.dont_fragment => Some(network.identification),
        // RFC 6864 §5.3.1: peers behind one address must not share identifications.
        (Family::V4 | Family::V6, _) => None,
    }
}

const COUNTERS: usize = 256;

/// Counters shared by the destinations of one hash, each starting somewhere else.
#[derive(Debug)]
pub(crate) struct Identifications {
    /// A secret odd factor: multiplication by it spreads destinations over the counters.
    factor: u64,
    next: Box<[u16; COUNTERS]>,
}

impl Identifications {
    pub(crate) fn new(key: SipKey) -> Self {
        Self {
            factor: key.hash([0]) | 1,
            next: Box::new(std::array::from_fn(|index| key.hash([index as u64, 1]) as u16)),
        }
    }

    /// The first of as many identifications as there are packets to come.
    pub(crate) fn take(&mut self, destination: Ipv4Addr, packets: u16) -> u16 {
        let spread = u64::from(destination.to_bits()).wrapping_mul(self.factor);
        let counter = &mut self.next[(spread >> 56) as usize % COUNTERS];
        // Some take a zero for no identification at all.
        let first = (*counter).max(1);
        *counter = first.wrapping_add(packets);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_super_packet_takes_one_for_each_of_its_segments() {
        let mut identifications = Identifications::new(SipKey::from_seed(&[1; 32], 1));
        let to = Ipv4Addr::new(192, 0, 2, 1);

        let first = identifications.take(to, 40);

        assert_eq!(identifications.take(to, 1), first.wrapping_add(40));
    }
}
