//! Tests of cutting.

use super::*;
use crate::Offload;
use etherparse::{SlicedPacket, TcpHeader, TransportSlice, UdpHeader};
use proptest::prelude::*;

fn ip_header(family: Family, protocol: u8, payload_len: usize) -> Vec<u8> {
    match family {
        Family::V4 => {
            let mut header =
                etherparse::Ipv4Header::new(payload_len as u16, 64, protocol.into(), [192, 0, 2, 1], [198, 51, 100, 2])
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
