//! Identifications of the IPv4 packets the engine makes of others (RFC 6864): unique for a while per destination, and
//! not to be predicted by one who watches another.

use std::net::Ipv4Addr;

use crate::hash::SipKey;

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
