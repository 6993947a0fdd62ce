//! Transport headers: the port that changes, and the checksum (RFC 7915 §4.5, §5.5; RFC 6146 §3.4).

use packet::checksum::{self, Difference, Sum};
use packet::udp::Udp;
use packet::{Checksum, icmp, protocol, tcp, udp};

use crate::tuple::Transport;
use crate::xlat::{Addresses, Change};

/// The port, or echo identifier, that a packet is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Source(u16),
    Destination(u16),
}

impl Port {
    const fn number(self) -> u16 {
        match self {
            Self::Source(number) | Self::Destination(number) => number,
        }
    }

    /// Where it stands in a TCP or UDP header.
    const fn at(self) -> usize {
        match self {
            Self::Source(_) => 0,
            Self::Destination(_) => 2,
        }
    }
}

/// Rewrites the transport header of a whole packet whose network header is new already.
pub(crate) fn rewrite(bytes: &mut [u8], transport: &Transport, port: Port, checksum: Checksum, change: &Change) {
    match transport {
        Transport::Tcp { .. } => update_tcp(bytes, port, checksum, change.pseudo_header()),
        Transport::Udp { .. } => rewrite_udp(bytes, port, checksum, change),
        Transport::Echo { kind, .. } => {
            let pseudo_header = change.icmp_pseudo_header(bytes.len());
            update_echo(bytes, kind.kind(change.after.family()), port, pseudo_header);
        }
        Transport::IcmpError => {}
    }
}

fn rewrite_udp(bytes: &mut [u8], port: Port, checksum: Checksum, change: &Change) {
    if checksum == Checksum::Complete && word(bytes, udp::CHECKSUM_AT) == 0 {
        set_word(bytes, port.at(), port.number());
        // RFC 6146 §3.4: IPv6 cannot do without a checksum. Elsewhere a missing one stays missing: one made up for
        // bytes that nobody vouches for would hide damage.
        if let Change { before: Addresses::V4 { .. }, after: Addresses::V6 { .. } } = change {
            make_udp_checksum(bytes, change.after.sum());
        }
        return;
    }
    update_udp(bytes, port, checksum, change.pseudo_header());
}

fn make_udp_checksum(bytes: &mut [u8], addresses: Sum) {
    let Ok(len) = Udp::parse(bytes).map(|udp| udp.len()) else { return };
    let sum = addresses.plus(checksum::protocol_and_length(protocol::UDP, len)).bytes(&bytes[..len]);
    set_word(bytes, udp::CHECKSUM_AT, checksum::udp_never_zero(sum.complete()));
}

/// The port of a segment, and its checksum after that and a change of the pseudo header.
#[inline(always)]
pub(crate) fn update_tcp(bytes: &mut [u8], port: Port, checksum: Checksum, pseudo_header: Difference) {
    update(bytes, tcp::CHECKSUM_AT, port, checksum, pseudo_header);
}

/// The same of a datagram that has a checksum.
#[inline(always)]
pub(crate) fn update_udp(bytes: &mut [u8], port: Port, checksum: Checksum, pseudo_header: Difference) {
    update(bytes, udp::CHECKSUM_AT, port, checksum, pseudo_header);
    if checksum == Checksum::Complete {
        let field = word(bytes, udp::CHECKSUM_AT);
        set_word(bytes, udp::CHECKSUM_AT, checksum::udp_never_zero(field));
    }
}

/// A partial field knows the addresses only, a complete one the ports too.
#[inline(always)]
fn update(bytes: &mut [u8], checksum_at: usize, port: Port, checksum: Checksum, pseudo_header: Difference) {
    let (old, field) = (word(bytes, port.at()), word(bytes, checksum_at));
    let updated = match checksum {
        Checksum::Partial => pseudo_header.apply_to_partial(field),
        Checksum::Complete => pseudo_header.word(old, port.number()).apply_to_complete(field),
    };
    set_word(bytes, port.at(), port.number());
    set_word(bytes, checksum_at, updated);
}

/// An echo's type and identifier, and its checksum after these and a change of the pseudo header.
#[inline(always)]
pub(crate) fn update_echo(bytes: &mut [u8], kind: u8, port: Port, pseudo_header: Difference) {
    let old = (word(bytes, 0), word(bytes, icmp::IDENTIFIER_AT));
    bytes[0] = kind;
    set_word(bytes, icmp::IDENTIFIER_AT, port.number());
    let difference = pseudo_header.word(old.0, word(bytes, 0)).word(old.1, word(bytes, icmp::IDENTIFIER_AT));
    let field = word(bytes, icmp::CHECKSUM_AT);
    set_word(bytes, icmp::CHECKSUM_AT, difference.apply_to_complete(field));
}

/// Rewrites the start of a transport header that an ICMP error quotes: 8 bytes at least, the checksum if it is there.
///
/// The checksum is updated, right or not: its receiver sent it, and may compare. `message_len` is that of the whole message.
pub(crate) fn rewrite_quoted(bytes: &mut [u8], transport: &Transport, port: Port, change: &Change, message_len: usize) {
    match transport {
        Transport::Tcp { .. } if bytes.len() < tcp::CHECKSUM_AT + 2 => set_word(bytes, port.at(), port.number()),
        Transport::Tcp { .. } => update_tcp(bytes, port, Checksum::Complete, change.pseudo_header()),
        Transport::Udp { .. } if word(bytes, udp::CHECKSUM_AT) == 0 => set_word(bytes, port.at(), port.number()),
        Transport::Udp { .. } => update_udp(bytes, port, Checksum::Complete, change.pseudo_header()),
        Transport::Echo { kind, .. } => {
            update_echo(bytes, kind.kind(change.after.family()), port, change.icmp_pseudo_header(message_len));
        }
        Transport::IcmpError => {}
    }
}

/// Computes the checksum of an ICMP message.
pub(crate) fn seal_icmp(message: &mut [u8], addresses: Addresses) {
    set_word(message, icmp::CHECKSUM_AT, 0);
    let sum = addresses.icmp_pseudo_header(message.len()).bytes(message);
    set_word(message, icmp::CHECKSUM_AT, sum.complete());
}

/// Whether the checksum of an ICMP message is right.
pub(crate) fn icmp_checksum_is_right(message: &[u8], addresses: Addresses) -> bool {
    addresses.icmp_pseudo_header(message.len()).bytes(message).complete() == 0
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
fn set_word(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}
