//! The question whether a silent connection still lives (RFC 6146 §3.5.2.2): a segment whose answer is an ACK.

use packet::checksum::protocol_and_length;
use packet::tcp::{CHECKSUM_AT, Flags, HEADER_LEN};
use packet::{Family, protocol};

use crate::prefixes::Prefixes;
use crate::tuple::{Receiver, Remote};
use crate::xlat::Addresses;
use crate::xlat::compose::{Fields, compose};

/// A segment without data to the inside endpoint: all numbers zero, only ACK set.
pub(crate) fn probe(prefixes: &Prefixes, Receiver { inner, prefix }: Receiver, remote: Remote) -> Vec<u8> {
    let addresses = match inner.ipv4() {
        Some(destination) => Addresses::V4 { source: remote.address, destination },
        None => Addresses::V6 { source: prefixes.embed(prefix, remote.address), destination: inner.address },
    };
    let mut segment = [0; HEADER_LEN];
    segment[0..2].copy_from_slice(&remote.port.to_be_bytes());
    segment[2..4].copy_from_slice(&inner.port.to_be_bytes());
    segment[12] = (HEADER_LEN as u8 / 4) << 4;
    segment[13] = Flags::ACK.0;
    let sum = addresses.sum().plus(protocol_and_length(protocol::TCP, HEADER_LEN)).bytes(&segment);
    segment[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.complete().to_be_bytes());
    compose(addresses, Fields { protocol: protocol::TCP, ..Fields::own_icmp(Family::V6) }, &segment)
}
