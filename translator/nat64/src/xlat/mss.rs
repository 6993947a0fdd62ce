//! The maximum segment size that a SYN announces (RFC 9293 §3.7.1), made to fit links its sender does not know.
//!
//! Path MTU discovery would find out too, unless somebody filters ICMP. Announcements only become smaller, none is added,
//! and what stands behind a malformed option is left alone.

use packet::checksum::Difference;
use packet::{Checksum, Family, ipv4, ipv6, tcp};

use crate::Config;
use crate::tuple::Transport;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const OPTION_LEN: usize = 4;

/// The largest segment that fits both links, in bytes: packets of either side cross both.
pub(crate) fn largest_segment(config: &Config, inside: Family) -> u16 {
    let inside_header_len = match inside {
        Family::V4 => ipv4::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN,
    };
    let of = |mtu: u16, header_len: usize| mtu.saturating_sub((header_len + tcp::HEADER_LEN) as u16);
    of(config.mtu6, inside_header_len).min(of(config.mtu4, ipv4::HEADER_LEN))
}

/// Lowers what a SYN announces to `most` bytes.
#[cold]
pub(crate) fn clamp(segment: &mut [u8], transport: &Transport, most: u16, checksum: Checksum) {
    let Transport::Tcp { header_len, .. } = *transport else { return };
    let mut at = tcp::HEADER_LEN;
    while let Some(option) = segment.get(at..header_len) {
        at += match *option {
            [] | [END, ..] => return,
            [NO_OPERATION, ..] => 1,
            [MAXIMUM_SEGMENT_SIZE, 4, high, low, ..] => {
                let announced = u16::from_be_bytes([high, low]);
                if announced > most {
                    announce(segment, at + 2, (announced, most), checksum);
                }
                OPTION_LEN
            }
            // RFC 9293 §3.1: the length counts itself and the kind.
            [_, len, ..] if (2..=option.len()).contains(&usize::from(len)) => usize::from(len),
            _ => return,
        };
    }
}

/// A partial checksum counts the pseudo header only, which knows nothing of options.
fn announce(segment: &mut [u8], at: usize, (old, new): (u16, u16), checksum: Checksum) {
    segment[at..at + 2].copy_from_slice(&new.to_be_bytes());
    if checksum == Checksum::Partial {
        return;
    }
    // RFC 1071 §2 (B): at an odd place the bytes count for the other halves of two words.
    let (old, new) = if at.is_multiple_of(2) { (old, new) } else { (old.swap_bytes(), new.swap_bytes()) };
    let field = u16::from_be_bytes([segment[tcp::CHECKSUM_AT], segment[tcp::CHECKSUM_AT + 1]]);
    let field = Difference::default().word(old, new).apply_to_complete(field);
    segment[tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2].copy_from_slice(&field.to_be_bytes());
}
