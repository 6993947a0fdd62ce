//! Cutting super-packets into the packets they stand for (TSO, USO), and completing partial checksums.
//!
//! Law: what comes out is what the sender would have sent without offload. Translating a super-packet and cutting it
//! gives the same bytes as cutting it and translating the parts.

use std::fmt;

use crate::checksum::{self, Sum};
use crate::ipv4::{Ipv4, Ipv4Mut};
use crate::ipv6::{self, Ipv6};
use crate::tcp::{Flags, Tcp};
use crate::{Checksum, Family, Layout, Malformed, Packet, SegmentKind, Segments, TransportHeader, protocol, tcp, udp};

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
    if packet.offload.checksum == Checksum::Complete && packet.offload.segments.is_none() {
        emit(packet.bytes());
        return Ok(());
    }
    let cut = Cut::plan(packet.bytes(), packet.offload.segments)?;
    let longest = cut.headers.len() + cut.size.min(cut.payload.len());
    if longest <= ON_STACK {
        cut.run(&mut [0; ON_STACK][..longest], emit);
    } else {
        cut.run(&mut vec![0; longest], emit);
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

/// A super-packet taken apart: the headers each segment starts with, and the payload to be shared out.
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

    fn run(&self, scratch: &mut [u8], mut emit: impl FnMut(&[u8])) {
        let count = self.payload.len().div_ceil(self.size.max(1)).max(1);
        for index in 0..count {
            let from = index * self.size;
            let part = &self.payload[from..self.payload.len().min(from + self.size)];
            let segment = &mut scratch[..self.headers.len() + part.len()];
            segment[..self.headers.len()].copy_from_slice(self.headers);
            segment[self.headers.len()..].copy_from_slice(part);
            if let Some(kind) = self.kind {
                self.renumber(segment, kind, index, from, index + 1 == count);
                self.seed_checksum(segment);
            }
            complete(&mut segment[self.layout.transport_at..], self.transport.checksum_at, self.layout.protocol);
            emit(segment);
        }
    }

    /// Gives segment `index`, whose payload starts `from` bytes into the whole, its own lengths, numbers and flags.
    fn renumber(&self, segment: &mut [u8], kind: SegmentKind, index: usize, from: usize, is_last: bool) {
        set_network_len(segment, self.layout.family, index);
        let transport = &mut segment[self.layout.transport_at..];
        match kind {
            SegmentKind::Tcp => {
                if let Ok(whole) = Tcp::parse(transport) {
                    let sequence = whole.sequence().wrapping_add(from as u32);
                    let flags = flags_of_segment(whole.flags(), index == 0, is_last);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offload;
    use etherparse::{SlicedPacket, TcpHeader, TransportSlice, UdpHeader};
    use proptest::prelude::*;

    fn ip_header(family: Family, protocol: u8, payload_len: usize) -> Vec<u8> {
        match family {
            Family::V4 => {
                let mut header = etherparse::Ipv4Header::new(
                    payload_len as u16,
                    64,
                    protocol.into(),
                    [192, 0, 2, 1],
                    [198, 51, 100, 2],
                )
                .unwrap();
                header.identification = 0xfffe;
                header.header_checksum = header.calc_header_checksum();
                header.to_bytes().to_vec()
            }
            Family::V6 => ipv6::Header {
                traffic_class: 0,
                payload_len: payload_len as u16,
                next_header: protocol,
                hop_limit: 64,
                source: "2001:db8::1".parse().unwrap(),
                destination: "64:ff9b::1".parse().unwrap(),
            }
            .to_bytes()
            .to_vec(),
        }
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 % 251) as u8).collect()
    }

    fn tcp_super(family: Family, header: &TcpHeader, len: usize) -> Vec<u8> {
        let ip = ip_header(family, protocol::TCP, header.header_len() + len);
        [ip, header.to_bytes().to_vec(), payload(len)].concat()
    }

    fn udp_super(family: Family, len: usize) -> Vec<u8> {
        let udp = UdpHeader { source_port: 1, destination_port: 2, length: (8 + len) as u16, checksum: 0 };
        [ip_header(family, protocol::UDP, 8 + len), udp.to_bytes().to_vec(), payload(len)].concat()
    }

    /// Puts the pseudo-header sum where the kernel puts it.
    fn partial(bytes: &mut [u8]) {
        let layout = Layout::of(bytes).unwrap();
        let at = layout.transport_at + layout.transport_header(bytes).unwrap().unwrap().checksum_at;
        let len = layout.end - layout.transport_at;
        let sum = addresses(bytes, layout.family).unwrap().plus(checksum::protocol_and_length(layout.protocol, len));
        bytes[at..at + 2].copy_from_slice(&sum.fold().to_be_bytes());
    }

    fn cut(mut bytes: Vec<u8>, segments: Option<Segments>) -> Result<Vec<Vec<u8>>, SegmentError> {
        partial(&mut bytes);
        let end = bytes.len();
        let mut packet = Packet::new(&mut bytes, 0..end);
        packet.offload = Offload { checksum: Checksum::Partial, segments };
        let mut parts = Vec::new();
        segment(&packet, |part| parts.push(part.to_vec())).map(|()| parts)
    }

    fn tso(size_bytes: u16) -> Option<Segments> {
        Some(Segments { kind: SegmentKind::Tcp, size_bytes })
    }

    fn uso(size_bytes: u16) -> Option<Segments> {
        Some(Segments { kind: SegmentKind::Udp, size_bytes })
    }

    #[track_caller]
    fn assert_checksums_are_right(bytes: &[u8]) {
        let layout = Layout::of(bytes).unwrap();
        assert_eq!(layout.end, bytes.len());
        let transport = layout.transport(bytes);
        let sum = addresses(bytes, layout.family)
            .unwrap()
            .plus(checksum::protocol_and_length(layout.protocol, transport.len()))
            .bytes(transport);
        assert_eq!(sum.complete(), 0);
        SlicedPacket::from_ip(bytes).unwrap();
    }

    fn tcp_of(bytes: &[u8]) -> TcpHeader {
        let Some(TransportSlice::Tcp(tcp)) = SlicedPacket::from_ip(bytes).unwrap().transport else { panic!("no TCP") };
        tcp.to_header()
    }

    #[test]
    fn sequence_numbers_grow_and_flags_stay_where_they_belong() {
        let mut header = TcpHeader::new(40000, 443, u32::MAX - 999, 1000);
        (header.fin, header.psh, header.cwr, header.ack) = (true, true, true, true);

        let parts: Vec<_> =
            cut(tcp_super(Family::V6, &header, 2500), tso(1000)).unwrap().iter().map(|p| tcp_of(p)).collect();

        assert_eq!(parts.iter().map(|p| p.sequence_number).collect::<Vec<_>>(), [u32::MAX - 999, 0, 1000]);
        assert_eq!(parts.iter().map(|p| p.fin).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(parts.iter().map(|p| p.psh).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(parts.iter().map(|p| p.cwr).collect::<Vec<_>>(), [true, false, false]);
        assert!(parts.iter().all(|p| p.ack && p.source_port == 40000));
    }

    #[test]
    fn identifications_count_up_and_wrap() {
        let parts = cut(udp_super(Family::V4, 2500), uso(1000)).unwrap();

        let ids: Vec<_> = parts.iter().map(|part| Ipv4::parse(part).unwrap().identification()).collect();
        assert_eq!(ids, [0xfffe, 0xffff, 0]);
        assert!(parts.iter().all(|part| Ipv4::parse(part).unwrap().checksum_is_right()));
    }

    #[test]
    fn every_datagram_has_its_own_length() {
        let parts = cut(udp_super(Family::V6, 2500), uso(1000)).unwrap();

        let lengths: Vec<_> = parts.iter().map(|part| udp::Udp::parse(&part[40..]).unwrap().len()).collect();
        assert_eq!(lengths, [1008, 1008, 508]);
    }

    #[test]
    fn an_ordinary_packet_is_emitted_as_it_is() {
        let mut bytes = udp_super(Family::V4, 10);
        let expected = bytes.clone();
        let packet = Packet::new(&mut bytes, 0..38);

        let mut parts = Vec::new();
        segment(&packet, |part| parts.push(part.to_vec())).unwrap();

        assert_eq!(parts, [expected]);
    }

    #[test]
    fn what_cannot_be_cut_is_refused_and_nothing_is_emitted() {
        assert_eq!(cut(udp_super(Family::V4, 100), tso(10)), Err(SegmentError::WrongKind));
        assert_eq!(cut(udp_super(Family::V4, 100), uso(0)), Err(SegmentError::ZeroSize));
    }

    #[test]
    fn a_partial_checksum_is_completed_in_place() {
        let mut bytes = udp_super(Family::V6, 101);
        partial(&mut bytes);
        let end = bytes.len();
        let mut packet = Packet::new(&mut bytes, 0..end);
        packet.offload.checksum = Checksum::Partial;

        complete_checksum(&mut packet).unwrap();

        assert_eq!(packet.offload, Offload::default());
        assert_checksums_are_right(packet.bytes());
    }

    proptest! {
        #[test]
        fn the_parts_carry_the_payload_and_right_checksums(
            v6 in any::<bool>(), is_tcp in any::<bool>(), len in 0usize..9000, size in 1u16..3000,
        ) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            let header = TcpHeader::new(1, 2, 3, 4);
            let (whole, segments, header_len) = if is_tcp {
                (tcp_super(family, &header, len), tso(size), 20)
            } else {
                (udp_super(family, len), uso(size), 8)
            };

            let parts = cut(whole, segments).unwrap();

            let at = if v6 { 40 } else { 20 } + header_len;
            let joined: Vec<u8> = parts.iter().flat_map(|part| part[at..].to_vec()).collect();
            prop_assert_eq!(joined, payload(len));
            prop_assert_eq!(parts.len(), len.div_ceil(usize::from(size)).max(1));
            parts.iter().for_each(|part| assert_checksums_are_right(part));
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..120), size in any::<u16>(), is_tcp in any::<bool>(),
        ) {
            let mut bytes = bytes;
            let end = bytes.len();
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x0f | if is_tcp { 0x40 } else { 0x60 };
            }
            let mut packet = Packet::new(&mut bytes, 0..end);
            let segments = if is_tcp { tso(size) } else { uso(size) };
            packet.offload = Offload { checksum: Checksum::Partial, segments };

            let _ = segment(&packet, |_| {});
            let _ = crate::virtio::encode(&packet);
            let _ = complete_checksum(&mut packet);
        }
    }
}
