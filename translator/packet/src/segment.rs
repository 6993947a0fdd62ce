//! Cutting super-packets into the packets they stand for (TSO, USO), and completing partial checksums.
//!
//! Law: what comes out is what the sender would have sent without offload. Translating a super-packet and cutting it
//! gives the same bytes as cutting it and translating the parts.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::checksum::{self, Sum};
use crate::ipv4::{Ipv4, Ipv4Mut};
use crate::ipv6::{self, Ipv6};
use crate::tcp::{Flags, Tcp};
use crate::{
    Checksum, Family, Layout, Malformed, Offload, Packet, SegmentKind, Segments, TransportHeader, protocol, tcp, udp,
};

/// Segments up to this length are built on the stack; links with larger packets cost one allocation per super-packet.
const ON_STACK: usize = 2048;

/// Why a packet cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentError {
    /// Its headers cannot be read.
    Malformed(Malformed),
    /// It does not carry the transport it is to be cut as.
    WrongKind,
    /// Segments of zero bytes were asked for.
    ZeroSize,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::WrongKind => f.write_str("the packet does not carry the transport it is to be cut as"),
            Self::ZeroSize => f.write_str("the segment size is zero"),
        }
    }
}

impl std::error::Error for SegmentError {}

impl From<Malformed> for SegmentError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Hands every packet that `packet` stands for to `emit`, in order, with complete checksums.
///
/// An ordinary packet is emitted once as it is; one with a partial checksum once with that completed.
///
/// # Errors
/// If the packet cannot be cut; nothing was emitted then.
pub fn segment(packet: &Packet<'_>, emit: impl FnMut(&[u8])) -> Result<(), SegmentError> {
    let mut emit = emit;
    if packet.offload == Offload::default() {
        emit(packet.bytes());
        return Ok(());
    }
    let parts = Parts::of(packet)?;
    let longest = parts.part_len(0);
    if longest <= ON_STACK {
        parts.write_all(&mut [0; ON_STACK][..longest], emit);
    } else {
        parts.write_all(&mut vec![0; longest], emit);
    }
    Ok(())
}

/// Completes a partial checksum in place.
///
/// # Errors
/// If the headers cannot be read, or the transport has no checksum we know; the packet is unchanged then.
pub fn complete_checksum(packet: &mut Packet<'_>) -> Result<(), SegmentError> {
    if packet.offload.checksum == Checksum::Partial {
        let layout = Layout::of(packet.bytes())?;
        let transport = layout.transport_header(packet.bytes())?.ok_or(SegmentError::WrongKind)?;
        let bytes = &mut packet.bytes_mut()[layout.transport_at..layout.end];
        complete(bytes, transport.checksum_at, layout.protocol);
        packet.offload.checksum = Checksum::Complete;
    }
    Ok(())
}

/// The packets that a packet stands for, to be written where they are needed.
#[derive(Debug)]
pub struct Parts<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    AsItIs(&'a [u8]),
    Cut(Cut<'a>),
}

impl<'a> Parts<'a> {
    /// Plans the cutting of a packet.
    ///
    /// # Errors
    /// If the packet cannot be cut.
    pub fn of(packet: &'a Packet<'_>) -> Result<Self, SegmentError> {
        if packet.offload == Offload::default() {
            return Ok(Self(Kind::AsItIs(packet.bytes())));
        }
        Cut::plan(packet.bytes(), packet.offload.segments).map(|cut| Self(Kind::Cut(cut)))
    }

    /// How many there are, one at least.
    pub fn count(&self) -> usize {
        match &self.0 {
            Kind::AsItIs(_) => 1,
            Kind::Cut(cut) => cut.count(),
        }
    }

    /// Length of part `index`, in bytes. The first is the longest.
    pub fn part_len(&self, index: usize) -> usize {
        match &self.0 {
            Kind::AsItIs(bytes) => bytes.len(),
            Kind::Cut(cut) => cut.headers.len() + cut.payload_of(index).len(),
        }
    }

    /// Writes part `index`, with complete checksums, to the start of `to`.
    ///
    /// # Panics
    /// If there is less room than [`part_len`](Self::part_len).
    pub fn write(&self, index: usize, to: &mut [u8]) {
        let to = &mut to[..self.part_len(index)];
        match &self.0 {
            Kind::AsItIs(bytes) => to.copy_from_slice(bytes),
            Kind::Cut(cut) => cut.write(index, to),
        }
    }

    fn write_all(&self, scratch: &mut [u8], mut emit: impl FnMut(&[u8])) {
        for index in 0..self.count() {
            let part = &mut scratch[..self.part_len(index)];
            self.write(index, part);
            emit(part);
        }
    }
}

/// A super-packet taken apart: the headers each segment starts with, and the payload to be shared out.
#[derive(Debug)]
struct Cut<'a> {
    layout: Layout,
    transport: TransportHeader,
    headers: &'a [u8],
    payload: &'a [u8],
    size: usize,
    kind: Option<SegmentKind>,
    addresses: Sum,
}

impl<'a> Cut<'a> {
    fn plan(bytes: &'a [u8], segments: Option<Segments>) -> Result<Self, SegmentError> {
        let layout = Layout::of(bytes)?;
        let transport = layout.transport_header(bytes)?.ok_or(SegmentError::WrongKind)?;
        let headers_len = layout.transport_at + transport.len;
        let (headers, payload) = bytes[..layout.end].split_at(headers_len);
        let size = segments.map_or(payload.len(), |segments| usize::from(segments.size_bytes));
        match segments.map(|segments| segments.kind) {
            Some(SegmentKind::Tcp) if layout.protocol != protocol::TCP => Err(SegmentError::WrongKind),
            Some(SegmentKind::Udp) if layout.protocol != protocol::UDP => Err(SegmentError::WrongKind),
            Some(_) if size == 0 => Err(SegmentError::ZeroSize),
            kind => {
                let addresses = addresses(bytes, layout.family)?;
                Ok(Self { layout, transport, headers, payload, size, kind, addresses })
            }
        }
    }

    fn count(&self) -> usize {
        self.payload.len().div_ceil(self.size.max(1)).max(1)
    }

    fn payload_of(&self, index: usize) -> &'a [u8] {
        let from = (index * self.size).min(self.payload.len());
        &self.payload[from..self.payload.len().min(from + self.size)]
    }

    fn write(&self, index: usize, segment: &mut [u8]) {
        let (headers, payload) = segment.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(self.payload_of(index));
        if let Some(kind) = self.kind {
            self.renumber(segment, kind, index);
            self.seed_checksum(segment);
        }
        complete(&mut segment[self.layout.transport_at..], self.transport.checksum_at, self.layout.protocol);
    }

    /// Gives segment `index` its own lengths, numbers and flags.
    fn renumber(&self, segment: &mut [u8], kind: SegmentKind, index: usize) {
        set_network_len(segment, self.layout.family, index);
        let transport = &mut segment[self.layout.transport_at..];
        match kind {
            SegmentKind::Tcp => {
                if let Ok(whole) = Tcp::parse(transport) {
                    let sequence = whole.sequence().wrapping_add((index * self.size) as u32);
                    let flags = flags_of_segment(whole.flags(), index == 0, index + 1 == self.count());
                    transport[tcp::SEQUENCE_AT..tcp::SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
                    transport[tcp::FLAGS_AT] = flags.0;
                }
            }
            SegmentKind::Udp => {
                let len = transport.len() as u16;
                transport[udp::LENGTH_AT..udp::LENGTH_AT + 2].copy_from_slice(&len.to_be_bytes());
            }
        }
    }

    /// Puts the pseudo-header sum of this segment in place: that of the super-packet counts its whole length.
    fn seed_checksum(&self, segment: &mut [u8]) {
        let transport = &mut segment[self.layout.transport_at..];
        let sum = self.addresses.plus(checksum::protocol_and_length(self.layout.protocol, transport.len())).fold();
        let at = self.transport.checksum_at;
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// FIN and PSH belong to the end of the data; CWR answers one ECE and must not be repeated (RFC 3168 §6.1.2).
fn flags_of_segment(whole: Flags, is_first: bool, is_last: bool) -> Flags {
    let mut flags = whole.0;
    if !is_last {
        flags &= !(Flags::FIN.0 | Flags::PSH.0);
    }
    if !is_first {
        flags &= !Flags::CWR.0;
    }
    Flags(flags)
}

fn set_network_len(segment: &mut [u8], family: Family, index: usize) {
    let len = segment.len();
    match family {
        Family::V4 => {
            let identification = Ipv4::parse_quoted(segment).map_or(0, |ip| ip.identification());
            if let Ok(mut header) = Ipv4Mut::parse(segment) {
                header.set_total_len(len as u16);
                header.set_identification(identification.wrapping_add(index as u16));
                header.seal();
            }
        }
        Family::V6 => ipv6::set_payload_len(segment, (len - ipv6::HEADER_LEN) as u16),
    }
}

/// Turns the partial checksum of a transport header and payload into the complete one, as hardware would.
fn complete(transport: &mut [u8], checksum_at: usize, protocol: u8) {
    let checksum = match (Sum::new().bytes(transport).complete(), protocol) {
        (sum, protocol::UDP) => checksum::udp_never_zero(sum),
        (sum, _) => sum,
    };
    transport[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn addresses(bytes: &[u8], family: Family) -> Result<Sum, Malformed> {
    match family {
        Family::V4 => Ipv4::parse(bytes).map(|ip| checksum::addresses4(ip.source(), ip.destination())),
        Family::V6 => Ipv6::parse(bytes).map(|ip| checksum::addresses6(ip.source(), ip.destination())),
    }
}
