//! One packet that may grow into a super-packet.

use std::fmt;

use super::candidate::{self, Candidate, Flow, Headers};
use super::{LARGEST_SUPER_PACKET, MOST_SEGMENTS};
use crate::buffer::LARGEST_PACKET;
use crate::checksum::{self, Sum};
use crate::ipv4::Ipv4Mut;
use crate::tcp::{self, Flags};
use crate::{Checksum, Family, HEADROOM, Offload, Packet, SegmentKind, Segments, ipv6, udp};

pub(super) struct Slot {
    /// The packet stands at `HEADROOM`.
    buffer: Box<[u8]>,
    end: usize,
    flow: Option<Flow>,
    /// `None`: nothing joins it any more. `finish` still needs to know what did.
    growth: Option<Growth>,
    merged: Option<Merged>,
}

/// What the next packet must be like.
#[derive(Clone, Copy)]
struct Growth {
    headers: Headers,
    /// Whether the checksums of the first packet are known to be right.
    is_verified: bool,
    next_sequence: u32,
}

/// What a super-packet is made of.
#[derive(Clone, Copy)]
struct Merged {
    headers: Headers,
    size_bytes: u16,
    count: u16,
    /// Of the last segment.
    flags: Flags,
}

impl Slot {
    pub(super) fn new() -> Self {
        let buffer = vec![0; HEADROOM + LARGEST_PACKET].into();
        Self { buffer, end: HEADROOM, flow: None, growth: None, merged: None }
    }

    pub(super) fn is_of(&self, flow: &Flow) -> bool {
        self.flow.as_ref() == Some(flow)
    }

    /// The first packet, with the payload of all.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[HEADROOM..self.end]
    }

    /// Starts with a packet, whatever it is. It is not longer than the buffer.
    pub(super) fn open(&mut self, first: &Candidate<'_>) {
        self.end = HEADROOM + first.bytes.len();
        self.buffer[HEADROOM..self.end].copy_from_slice(first.bytes);
        self.flow = first.flow;
        self.merged = None;
        self.growth = first.headers.and_then(|headers| {
            let next_sequence = next_sequence(first, &headers);
            let growth = Growth { headers, is_verified: false, next_sequence };
            (!candidate::flags(first.bytes, &headers).ends_data()).then_some(growth)
        });
    }

    /// Appends the payload of a packet of the same flow; `false` if it must stay a packet of its own, behind this one.
    pub(super) fn append(&mut self, next: &Candidate<'_>) -> bool {
        let Some(growth) = self.growth else { return false };
        let first = &self.buffer[HEADROOM..self.end];
        let merged = self.merged.unwrap_or_else(|| Merged {
            headers: growth.headers,
            // A packet is not longer than its length field can say.
            size_bytes: (first.len() - growth.headers.payload_at) as u16,
            count: 1,
            flags: Flags(0),
        });
        if !may_follow(first, &growth, &merged, next) {
            return false;
        }
        if !growth.is_verified && !candidate::checksums_are_right(first, &growth.headers) {
            self.growth = None;
            return false;
        }
        if !candidate::checksums_are_right(next.bytes, &growth.headers) {
            return false;
        }
        self.take(next, growth, merged);
        true
    }

    fn take(&mut self, next: &Candidate<'_>, growth: Growth, merged: Merged) {
        let payload = next.payload(&growth.headers);
        let end = self.end + payload.len();
        self.buffer[self.end..end].copy_from_slice(payload);
        self.end = end;
        let flags = candidate::flags(next.bytes, &growth.headers);
        self.merged = Some(Merged { count: merged.count + 1, flags, ..merged });
        let is_last = payload.len() < usize::from(merged.size_bytes) || flags.ends_data();
        let next_sequence = next_sequence(next, &growth.headers);
        self.growth = (!is_last).then_some(Growth { is_verified: true, next_sequence, ..growth });
    }

    /// The packet, with what is left to do to it if it is a super-packet.
    pub(super) fn finish(&mut self) -> Packet<'_> {
        let mut packet = Packet::new(&mut self.buffer, HEADROOM..self.end);
        if let Some(merged) = self.merged {
            write_whole(packet.bytes_mut(), &merged);
            let segments = Segments { kind: merged.headers.kind, size_bytes: merged.size_bytes };
            packet.offload = Offload { checksum: Checksum::Partial, segments: Some(segments) };
        }
        packet
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("len", &(self.end - HEADROOM)).field("flow", &self.flow).finish_non_exhaustive()
    }
}

fn next_sequence(packet: &Candidate<'_>, headers: &Headers) -> u32 {
    candidate::sequence(packet.bytes, headers).wrapping_add(packet.payload(headers).len() as u32)
}

/// Everything but the checksums, which cost most.
fn may_follow(first: &[u8], growth: &Growth, merged: &Merged, next: &Candidate<'_>) -> bool {
    let headers = &growth.headers;
    if next.headers != Some(*headers) {
        return false;
    }
    let payload_len = next.payload(headers).len();
    payload_len <= usize::from(merged.size_bytes)
        && first.len() + payload_len <= LARGEST_SUPER_PACKET
        && merged.count < MOST_SEGMENTS
        && candidate::may_share_headers(first, next.bytes, headers)
        && candidate::identification_follows(first, next.bytes, headers, merged.count)
        && (headers.kind == SegmentKind::Udp || candidate::sequence(next.bytes, headers) == growth.next_sequence)
}

/// Gives a super-packet the lengths, flags and partial checksum of the whole.
fn write_whole(bytes: &mut [u8], merged: &Merged) {
    let Headers { family, kind, transport_at, .. } = merged.headers;
    let transport_len = bytes.len() - transport_at;
    let sum = checksum::protocol_and_length(candidate::number(kind), transport_len)
        .plus(Sum::new().bytes(&bytes[candidate::addresses(family)]))
        .fold();
    match family {
        Family::V4 => {
            let total_len = bytes.len() as u16;
            if let Ok(mut header) = Ipv4Mut::parse(bytes) {
                header.set_total_len(total_len);
                header.seal();
            }
        }
        Family::V6 => ipv6::set_payload_len(bytes, transport_len as u16),
    }
    let transport = &mut bytes[transport_at..];
    let checksum_at = match kind {
        SegmentKind::Tcp => {
            transport[tcp::FLAGS_AT] |= merged.flags.0;
            tcp::CHECKSUM_AT
        }
        SegmentKind::Udp => {
            transport[udp::LENGTH_AT..udp::LENGTH_AT + 2].copy_from_slice(&(transport_len as u16).to_be_bytes());
            udp::CHECKSUM_AT
        }
    };
    transport[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
}
