//! ICMP errors: types, codes, pointers and MTUs in the words of the other family (RFC 7915 §4.2, §5.2).

use packet::icmp::{v4, v6};
use packet::{ipv4, ipv6};

/// Type, code, and the four bytes behind the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) rest: [u8; 4],
}

/// The MTUs of the next links, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtus {
    pub(crate) mtu6: u16,
    pub(crate) mtu4: u16,
}

/// How far the headers of the two families differ in length, in bytes.
const DIFFERENCE: u32 = (ipv6::HEADER_LEN - ipv4::HEADER_LEN) as u32;
/// RFC 8200 §5: no IPv6 link is smaller.
const MINIMUM_MTU6: u32 = 1280;
/// RFC 791 §3.2: every IPv4 host takes fragments of this size.
const MINIMUM_MTU4: u32 = 68;
/// RFC 1191 §7.1: what a link is likely to be that did not say.
const PLATEAUS: [u32; 10] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// RFC 7915 §4.2. `quoted_len` is the length the quoted packet claims.
pub(crate) fn to_v6(words: Words, quoted_len: usize, mtus: Mtus) -> Option<Words> {
    let plain = |kind, code| Some(Words { kind, code, rest: [0; 4] });
    match (words.kind, words.code) {
        (v4::UNREACHABLE, 0 | 1 | 5 | 6 | 7 | 8 | 11 | 12) => plain(v6::UNREACHABLE, 0),
        // Protocol unreachable: the next header field is the problem.
        (v4::UNREACHABLE, 2) => Some(Words { kind: v6::PARAMETER_PROBLEM, code: 1, rest: 6_u32.to_be_bytes() }),
        (v4::UNREACHABLE, 3) => plain(v6::UNREACHABLE, 4),
        (v4::UNREACHABLE, 4) => {
            let mtu = mtu_to_v6(u16::from_be_bytes([words.rest[2], words.rest[3]]), quoted_len, mtus);
            Some(Words { kind: v6::PACKET_TOO_BIG, code: 0, rest: mtu.to_be_bytes() })
        }
        (v4::UNREACHABLE, 9 | 10 | 13 | 15) => plain(v6::UNREACHABLE, 1),
        (v4::TIME_EXCEEDED, code) => plain(v6::TIME_EXCEEDED, code),
        (v4::PARAMETER_PROBLEM, 0 | 2) => {
            let pointer = u32::from(pointer_to_v6(words.rest[0])?);
            Some(Words { kind: v6::PARAMETER_PROBLEM, code: 0, rest: pointer.to_be_bytes() })
        }
        _ => None,
    }
}

/// RFC 7915 §5.2.
pub(crate) fn to_v4(words: Words, mtus: Mtus) -> Option<Words> {
    let plain = |kind, code| Some(Words { kind, code, rest: [0; 4] });
    let number = u32::from_be_bytes(words.rest);
    match (words.kind, words.code) {
        (v6::UNREACHABLE, 0 | 2 | 3) => plain(v4::UNREACHABLE, 1),
        (v6::UNREACHABLE, 1) => plain(v4::UNREACHABLE, 10),
        (v6::UNREACHABLE, 4) => plain(v4::UNREACHABLE, 3),
        (v6::PACKET_TOO_BIG, _) => {
            let [high, low] = mtu_to_v4(number, mtus).to_be_bytes();
            Some(Words { kind: v4::UNREACHABLE, code: 4, rest: [0, 0, high, low] })
        }
        (v6::TIME_EXCEEDED, code) => plain(v4::TIME_EXCEEDED, code),
        (v6::PARAMETER_PROBLEM, 0) => {
            Some(Words { kind: v4::PARAMETER_PROBLEM, code: 0, rest: [pointer_to_v4(number)?, 0, 0, 0] })
        }
        (v6::PARAMETER_PROBLEM, 1) => plain(v4::UNREACHABLE, 2),
        _ => None,
    }
}

/// NAT44: the same words but for the length (RFC 4884), which depends on what is quoted now.
pub(crate) const fn keep_v4(words: Words) -> Option<Words> {
    let Words { kind, code, rest: [pointer, _, high, low] } = words;
    match kind {
        v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM => {
            Some(Words { kind, code, rest: [pointer, 0, high, low] })
        }
        _ => None,
    }
}

/// RFC 7915 §4.2, "Fragmentation Needed": never below what IPv6 guarantees, never beyond the next links.
fn mtu_to_v6(mtu: u16, quoted_len: usize, mtus: Mtus) -> u32 {
    // RFC 1191 §5: a router that does not say its MTU sends zero.
    let mtu = match mtu {
        0 => PLATEAUS.iter().copied().find(|plateau| (*plateau as usize) < quoted_len).unwrap_or(MINIMUM_MTU4),
        said => u32::from(said),
    };
    let limit = u32::from(mtus.mtu6).min(u32::from(mtus.mtu4) + DIFFERENCE);
    (mtu + DIFFERENCE).min(limit).max(MINIMUM_MTU6)
}

/// RFC 7915 §5.2, "Packet Too Big".
fn mtu_to_v4(mtu: u32, mtus: Mtus) -> u16 {
    let limit = u32::from(mtus.mtu4).min(u32::from(mtus.mtu6).saturating_sub(DIFFERENCE));
    mtu.saturating_sub(DIFFERENCE).min(limit).max(MINIMUM_MTU4) as u16
}

/// RFC 7915 §4.2, figure 3.
const fn pointer_to_v6(pointer: u8) -> Option<u8> {
    match pointer {
        0 | 1 => Some(pointer),
        2 | 3 => Some(4),
        8 => Some(7),
        9 => Some(6),
        12..=15 => Some(8),
        16..=19 => Some(24),
        _ => None,
    }
}

/// RFC 7915 §5.2, figure 6.
const fn pointer_to_v4(pointer: u32) -> Option<u8> {
    match pointer {
        0 => Some(0),
        1 => Some(1),
        4 | 5 => Some(2),
        6 => Some(9),
        7 => Some(8),
        8..=23 => Some(12),
        24..=39 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTUS: Mtus = Mtus { mtu6: 1412, mtu4: 1500 };

    #[track_caller]
    fn check_to_v6((kind, code): (u8, u8), rest: u32, expected: Option<(u8, u8, u32)>) {
        let words = to_v6(Words { kind, code, rest: rest.to_be_bytes() }, 1500, MTUS);
        assert_eq!(words.map(|w| (w.kind, w.code, u32::from_be_bytes(w.rest))), expected, "{kind}/{code} {rest}");
    }

    #[track_caller]
    fn check_to_v4((kind, code): (u8, u8), rest: u32, expected: Option<(u8, u8, u32)>) {
        let words = to_v4(Words { kind, code, rest: rest.to_be_bytes() }, MTUS);
        assert_eq!(words.map(|w| (w.kind, w.code, u32::from_be_bytes(w.rest))), expected, "{kind}/{code} {rest}");
    }

    #[test]
    fn unreachables_of_ipv4_find_their_word_in_ipv6() {
        for code in [0, 1, 5, 6, 7, 8, 11, 12] {
            check_to_v6((3, code), 0, Some((1, 0, 0)));
        }
        for code in [9, 10, 13, 15] {
            check_to_v6((3, code), 0, Some((1, 1, 0)));
        }
        check_to_v6((3, 2), 0, Some((4, 1, 6)));
        check_to_v6((3, 3), 0, Some((1, 4, 0)));
        check_to_v6((3, 14), 0, None);
        check_to_v6((3, 16), 0, None);
    }

    #[test]
    fn an_mtu_for_ipv6_is_20_more_within_the_next_links_and_what_ipv6_guarantees() {
        check_to_v6((3, 4), 1300, Some((2, 0, 1320)));
        check_to_v6((3, 4), 1480, Some((2, 0, 1412)));
        check_to_v6((3, 4), 600, Some((2, 0, 1280)));
    }

    #[test]
    fn an_mtu_is_never_more_than_the_next_link_of_either_side_carries() {
        let small4 = Mtus { mtu6: 1500, mtu4: 1300 };

        assert_eq!([1200, 1290, 1480].map(|mtu| mtu_to_v6(mtu, 1500, small4)), [1280, 1310, 1320]);
        assert_eq!([1300, 1321, 1500].map(|mtu| mtu_to_v4(mtu, small4)), [1280, 1300, 1300]);
    }

    #[test]
    fn an_mtu_that_was_not_said_is_guessed_from_the_plateaus() {
        let large = Mtus { mtu6: 9000, mtu4: 9000 };

        assert_eq!(mtu_to_v6(0, 1500, large), 1512);
        assert_eq!(mtu_to_v6(0, 4000, large), 2022);
        assert_eq!(mtu_to_v6(0, 60, large), 1280);
    }

    #[test]
    fn time_exceeded_keeps_its_code_both_ways() {
        check_to_v6((11, 1), 0, Some((3, 1, 0)));
        check_to_v4((3, 1), 0, Some((11, 1, 0)));
    }

    #[test]
    fn pointers_point_at_the_same_field() {
        let cases = [(0, 0), (1, 1), (2, 4), (3, 4), (8, 7), (9, 6), (12, 8), (15, 8), (16, 24), (19, 24)];
        for (from, to) in cases {
            check_to_v6((12, 0), from << 24, Some((4, 0, to)));
            check_to_v6((12, 2), from << 24, Some((4, 0, to)));
        }
        for pointer in [4, 5, 6, 7, 10, 11, 20] {
            check_to_v6((12, 0), pointer << 24, None);
        }
        for (from, to) in [(0, 0), (1, 1), (4, 2), (5, 2), (6, 9), (7, 8), (8, 12), (23, 12), (24, 16), (39, 16)] {
            check_to_v4((4, 0), from, Some((12, 0, to << 24)));
        }
        for pointer in [2, 3, 40, u32::MAX] {
            check_to_v4((4, 0), pointer, None);
        }
    }

    #[test]
    fn unreachables_of_ipv6_find_their_word_in_ipv4() {
        for code in [0, 2, 3] {
            check_to_v4((1, code), 0, Some((3, 1, 0)));
        }
        check_to_v4((1, 1), 0, Some((3, 10, 0)));
        check_to_v4((1, 4), 0, Some((3, 3, 0)));
        check_to_v4((4, 1), 6, Some((3, 2, 0)));
        check_to_v4((1, 5), 0, None);
        check_to_v4((4, 2), 0, None);
    }

    #[test]
    fn an_mtu_for_ipv4_is_20_less_and_never_underflows() {
        check_to_v4((2, 0), 1400, Some((3, 4, 1380)));
        check_to_v4((2, 0), 9000, Some((3, 4, 1392)));
        check_to_v4((2, 0), 0, Some((3, 4, 68)));
        check_to_v4((2, 0), u32::MAX, Some((3, 4, 1392)));
    }

    #[test]
    fn other_errors_have_no_counterpart() {
        for kind in [4, 5, 6, 13] {
            check_to_v6((kind, 0), 0, None);
        }
        for kind in [100, 127, 137] {
            check_to_v4((kind, 0), 0, None);
        }
        check_to_v6((12, 1), 0, None);
    }
}
