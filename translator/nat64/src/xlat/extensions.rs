//! Extensions of ICMP errors (RFC 4884): what stands behind the quoted packet, and the length that says where.
//!
//! They are carried as they are, whole or not at all (RFC 7915 §4.2, §5.2): only the field in front of them, the quoted
//! packet, is laid out anew.

use packet::Family;
use packet::icmp::{Icmp, v4, v6};

use crate::xlat::icmp::Words;

/// RFC 4884 §3: a quote with extensions behind it is padded to this at least, in bytes.
const SHORTEST_QUOTE: usize = 128;
/// RFC 4884 §7: the header of the extension structure.
const HEADER_LEN: usize = 4;

/// The body of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    /// The quoted packet. Padding may stand behind it if there are extensions.
    pub(crate) quote: &'a [u8],
    /// Empty if there are none.
    pub(crate) extensions: &'a [u8],
}

impl<'a> Body<'a> {
    /// Takes the body of an error apart.
    pub(crate) fn of(family: Family, message: &Icmp<'a>) -> Self {
        let body = message.body();
        let len = Length::of(family, message.kind()).map_or(0, |length| length.read(message.rest()));
        let (quote, extensions) = match len {
            0 => (body, &[][..]),
            _ => body.split_at_checked(len).unwrap_or((body, &[])),
        };
        Self { quote, extensions: if extensions.len() < HEADER_LEN { &[] } else { extensions } }
    }
}

/// The message behind its header, at most `room` bytes, and the words of the header with the length in them.
pub(crate) fn lay_out(family: Family, words: Words, quote: &[u8], extensions: &[u8], room: usize) -> (Words, Vec<u8>) {
    let with_extensions = Length::of(family, words.kind).and_then(|length| {
        let unit = length.unit;
        let room = room.checked_sub(extensions.len())? / unit * unit;
        // Whole units of the quote rather than padding that a reader could take for its bytes.
        let len = (quote.len() / unit * unit).max(SHORTEST_QUOTE).min(room.min(length.longest()));
        (!extensions.is_empty() && len >= SHORTEST_QUOTE).then(|| {
            let mut body = quote[..quote.len().min(len)].to_vec();
            body.resize(len, 0);
            body.extend(extensions);
            (Words { rest: length.write(words.rest, len), ..words }, body)
        })
    });
    with_extensions.unwrap_or_else(|| (words, quote[..quote.len().min(room)].to_vec()))
}

/// The length attribute of an error: where in the four bytes behind the checksum, in units of how many bytes.
#[derive(Clone, Copy, Debug)]
struct Length {
    at: usize,
    unit: usize,
}

impl Length {
    /// RFC 4884 §4: which errors have one.
    const fn of(family: Family, kind: u8) -> Option<Self> {
        match (family, kind) {
            (Family::V4, v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM) => Some(Self { at: 1, unit: 4 }),
            (Family::V6, v6::UNREACHABLE | v6::TIME_EXCEEDED) => Some(Self { at: 0, unit: 8 }),
            _ => None,
        }
    }

    fn read(self, rest: [u8; 4]) -> usize {
        usize::from(rest[self.at]) * self.unit
    }

    const fn write(self, mut rest: [u8; 4], len: usize) -> [u8; 4] {
        rest[self.at] = (len / self.unit) as u8;
        rest
    }

    /// Longest it can say, in bytes.
    const fn longest(self) -> usize {
        u8::MAX as usize * self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENSIONS: [u8; 12] = [0x20, 0, 0, 0, 0, 8, 1, 1, 1, 2, 3, 4];
    const UNREACHABLE6: Words = Words { kind: v6::UNREACHABLE, code: 0, rest: [0; 4] };

    #[track_caller]
    fn check(family: Family, kind: u8, quote_len: usize, room: usize, expected: (u8, usize, bool)) {
        let words = Words { kind, code: 0, rest: [0; 4] };
        let (words, body) = lay_out(family, words, &vec![7; quote_len], &EXTENSIONS, room);
        let is_extended = body.ends_with(&EXTENSIONS);
        assert_eq!((words.rest[0].max(words.rest[1]), body.len(), is_extended), expected);
        assert!(body.len() <= room);
    }

    #[test]
    fn the_length_counts_in_the_units_of_the_family() {
        // RFC 4884 §4.1 to §4.5: 32-bit words in ICMPv4, 64-bit words in ICMPv6.
        check(Family::V4, v4::TIME_EXCEEDED, 200, 548, (50, 212, true));
        check(Family::V6, v6::TIME_EXCEEDED, 200, 1232, (25, 212, true));
    }

    #[test]
    fn beyond_128_bytes_a_quote_ends_with_a_whole_unit_and_nothing_is_padded() {
        check(Family::V6, v6::TIME_EXCEEDED, 148, 1232, (18, 144 + 12, true));
        check(Family::V4, v4::TIME_EXCEEDED, 151, 548, (37, 148 + 12, true));
        check(Family::V6, v6::TIME_EXCEEDED, 129, 1232, (16, 128 + 12, true));
    }

    #[test]
    fn a_short_quote_is_padded_to_128_bytes() {
        check(Family::V4, v4::UNREACHABLE, 30, 548, (32, 140, true));
        check(Family::V6, v6::UNREACHABLE, 30, 1232, (16, 140, true));
    }

    #[test]
    fn a_long_quote_makes_room_for_the_extensions_down_to_128_bytes() {
        check(Family::V4, v4::UNREACHABLE, 600, 548, (134, 548, true));
        check(Family::V6, v6::UNREACHABLE, 1300, 1232, (152, 1228, true));
        check(Family::V6, v6::UNREACHABLE, 1300, 140, (16, 140, true));
        check(Family::V6, v6::UNREACHABLE, 1300, 139, (0, 139, false));
        check(Family::V6, v6::UNREACHABLE, 1300, 3, (0, 3, false));
    }

    #[test]
    fn errors_without_a_length_lose_their_extensions_whole() {
        check(Family::V6, v6::PACKET_TOO_BIG, 200, 1232, (0, 200, false));
        check(Family::V6, v6::PARAMETER_PROBLEM, 200, 1232, (0, 200, false));
    }

    #[test]
    fn without_extensions_there_is_neither_length_nor_padding() {
        assert_eq!(lay_out(Family::V6, UNREACHABLE6, &[7; 30], &[], 1232), (UNREACHABLE6, vec![7; 30]));
    }

    #[test]
    fn a_body_is_taken_apart_where_its_length_says() {
        let body = |length: u8, len: usize| [&[3, 0, 0, 0, 0, length, 0, 0][..], &vec![7; len]].concat();
        let parts = |message: &[u8]| {
            let Body { quote, extensions } = Body::of(Family::V4, &Icmp::parse(message).unwrap());
            (quote.len(), extensions.len())
        };

        assert_eq!(parts(&body(32, 140)), (128, 12));
        assert_eq!(parts(&body(0, 140)), (140, 0));
        assert_eq!(parts(&body(32, 131)), (128, 0), "less than the header of an extension structure");
        assert_eq!(parts(&body(255, 140)), (140, 0), "a length beyond the message");
    }
}
