//! The Internet checksum (RFC 1071), and its update by difference (RFC 1624).
//!
//! Two conventions meet here, and mixing them up is the classic mistake:
//! * a *complete* field holds the complement of the sum, so a difference is applied to its complement;
//! * a *partial* field (checksum offload) holds the sum of the pseudo header itself, so a difference is simply added,
//!   and only addresses, protocol and length are part of it: ports are not.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A ones' complement sum in the making.
///
/// Words are added in the byte order of the machine and swapped once at the end (RFC 1071 §2 (B)). 64 bits hold the sum
/// of any packet without a carry being lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The empty sum.
    #[inline]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes; an odd one at the end counts as the high half of a word (RFC 1071 §1).
    #[must_use]
    #[inline]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.split_at(bytes.len() - bytes.len() % BLOCK);
        if !blocks.is_empty() {
            self.0 += sum_of_blocks(blocks);
        }
        let mut words = rest.chunks_exact(4);
        for word in &mut words {
            self.0 += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
        let mut halves = words.remainder().chunks_exact(2);
        for half in &mut halves {
            self.0 += u64::from(u16::from_ne_bytes([half[0], half[1]]));
        }
        if let [last] = halves.remainder() {
            self.0 += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        self
    }

    /// Adds one 16-bit word.
    #[must_use]
    #[inline]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word.to_be() as u64)
    }

    /// Takes one 16-bit word away: adds its complement.
    #[must_use]
    #[inline]
    pub const fn without_word(self, word: u16) -> Self {
        self.word(!word)
    }

    /// Adds another sum.
    #[must_use]
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Takes another sum away.
    #[must_use]
    #[inline]
    pub const fn minus(self, other: Self) -> Self {
        // A multiple of 0xffff is a zero of ones' complement; this one is larger than what a half-folded sum can be.
        const ZERO: u64 = 0xffff << 32;
        let half_folded = (other.0 & 0xffff_ffff) + (other.0 >> 32);
        Self(self.0 + (ZERO - half_folded))
    }

    /// The sum as 16 bits, in the order of the numbers one reads.
    #[inline]
    pub const fn fold(self) -> u16 {
        let mut sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        u16::from_be(sum as u16)
    }

    /// What a complete checksum field holds for this sum.
    #[inline]
    pub const fn complete(self) -> u16 {
        !self.fold()
    }
}

/// Payloads are summed in blocks of this many bytes; headers are shorter.
const BLOCK: usize = 64;

/// Eight bytes at a time, in rows that do not wait for each other; the carries go to the upper halves.
fn sum_of_blocks(blocks: &[u8]) -> u64 {
    let (mut even, mut odd) = (0_u128, 0_u128);
    for block in blocks.chunks_exact(BLOCK) {
        for pair in block.as_chunks::<8>().0.as_chunks::<2>().0 {
            even += u128::from(u64::from_ne_bytes(pair[0]));
            odd += u128::from(u64::from_ne_bytes(pair[1]));
        }
    }
    let sum = even + odd;
    // 2^32 and 2^64 are 1 in ones' complement.
    (sum as u64 & 0xffff_ffff) + (sum as u64 >> 32) + (sum >> 64) as u64
}

/// What a change of fields means for a checksum: the sum of the new words minus that of the old ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Difference(Sum);

impl Difference {
    /// From the sum of what was there to the sum of what is there now.
    #[inline]
    pub const fn between(old: Sum, new: Sum) -> Self {
        Self(new.minus(old))
    }

    /// Adds the change of one 16-bit word.
    #[must_use]
    #[inline]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0.without_word(old).word(new))
    }

    /// The complete checksum that was `field`, updated (RFC 1624 §3, equation 3).
    #[inline]
    pub const fn apply_to_complete(self, field: u16) -> u16 {
        self.0.without_word(field).complete()
    }

    /// The partial checksum that was `field`, updated.
    #[inline]
    pub const fn apply_to_partial(self, field: u16) -> u16 {
        self.0.word(field).fold()
    }
}

/// Sum of the addresses of an IPv4 pseudo header.
#[inline]
pub fn addresses4(source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
    Sum::new().bytes(&source.octets()).bytes(&destination.octets())
}

/// Sum of the addresses of an IPv6 pseudo header.
#[inline]
pub fn addresses6(source: Ipv6Addr, destination: Ipv6Addr) -> Sum {
    Sum::new().bytes(&source.octets()).bytes(&destination.octets())
}

/// Sum of the rest of a pseudo header, the same words for both families as long as packets are shorter than 64 KiB
/// (RFC 9293 §3.1, RFC 8200 §8.1).
#[inline]
pub const fn protocol_and_length(protocol: u8, transport_len: usize) -> Sum {
    let len = transport_len as u32;
    Sum::new().word(protocol as u16).word((len >> 16) as u16).word(len as u16)
}

/// RFC 768, RFC 8200 §8.1: zero means "no checksum", so a computed zero is sent as all ones.
#[inline]
pub const fn udp_never_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn obvious(bytes: &[u8]) -> u16 {
        let sum: u32 =
            bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        !((sum & 0xffff) + (sum >> 16)) as u16
    }

    #[test]
    fn the_example_of_rfc_1071_section_3_sums_to_ddf2() {
        assert_eq!(Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).fold(), 0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_section_4_gives_zero_and_not_all_ones() {
        let difference = Difference::default().word(0x5555, 0x3285);

        assert_eq!(difference.apply_to_complete(0xdd2f), 0x0000);
    }

    #[test]
    fn a_computed_zero_of_udp_is_sent_as_all_ones() {
        assert_eq!(udp_never_zero(0), 0xffff);
        assert_eq!(udp_never_zero(1), 1);
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_obvious_sum(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(Sum::new().bytes(&bytes).complete(), obvious(&bytes));
        }

        #[test]
        fn an_update_by_difference_is_the_checksum_from_scratch(
            mut bytes in proptest::collection::vec(any::<u8>(), 40..200), at in 0usize..20, new in any::<u16>(),
        ) {
            bytes[0] = 0x45; // A header is never all zeros, so the sum has one representation.
            bytes[38] = 1;
            let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
            let before = Sum::new().bytes(&bytes);
            bytes[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
            let after = Sum::new().bytes(&bytes);

            let word = Difference::default().word(old, new);
            prop_assert_eq!(word.apply_to_complete(before.complete()), after.complete());
            prop_assert_eq!(Difference::between(before, after).apply_to_complete(before.complete()), after.complete());
            prop_assert_eq!(word.apply_to_partial(before.fold()), after.fold());
        }
    }
}
