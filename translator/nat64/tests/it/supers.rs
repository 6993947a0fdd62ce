//! Super-packets: translating one and cutting it gives the packets that cutting it and translating them gives.

use etherparse::TcpHeader;
use nat64::{DropReason, Side};
use packet::ipv4::Ipv4;
use packet::{Checksum, Offload, Packet, SegmentKind, Segments, segment};
use proptest::prelude::*;

use crate::lab::{Lab, tcp, tcp_with, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const PEER: &str = "198.18.0.7:40001";
const REMOTE: &str = "9.9.9.9:443";

/// Replaces the checksum by the pseudo-header sum, as a kernel that left it to us.
pub(crate) fn make_partial(bytes: &mut [u8]) {
    let layout = packet::Layout::of(bytes).unwrap();
    let header = layout.transport_header(bytes).unwrap().unwrap();
    let len = layout.end - layout.transport_at;
    let addresses = if bytes[0] >> 4 == 4 { &bytes[12..20] } else { &bytes[8..40] };
    let sum = packet::checksum::Sum::new()
        .bytes(addresses)
        .plus(packet::checksum::protocol_and_length(layout.protocol, len))
        .fold();
    let at = layout.transport_at + header.checksum_at;
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn cut(bytes: &[u8], offload: Offload) -> Vec<Vec<u8>> {
    let mut buffer = bytes.to_vec();
    let end = buffer.len();
    let mut packet = Packet::new(&mut buffer, 0..end);
    packet.offload = offload;
    let mut parts = Vec::new();
    segment::segment(&packet, |part| parts.push(part.to_vec())).unwrap();
    parts
}

pub(crate) fn offload(kind: SegmentKind, size_bytes: u16) -> Offload {
    Offload { checksum: Checksum::Partial, segments: Some(Segments { kind, size_bytes }) }
}

/// DF and identification of a short last part follow its own length when it is translated alone (RFC 7915 §5.1); as
/// part of a super-packet it shares those of the others. Everything else is the same.
pub(crate) fn without_fragmentation(bytes: &[u8]) -> Vec<u8> {
    if bytes[0] >> 4 == 6 {
        return bytes.to_vec();
    }
    with_ipv4(bytes.to_vec(), |ip| (ip.dont_fragment, ip.identification) = (false, 0))
}

/// Two engines of one seed with the same session; its outside endpoint.
pub(crate) fn twins(inner: &str, remote: &str, kind: SegmentKind) -> (Lab, Lab, String) {
    let (mut one, mut two) = (Lab::new(), Lab::new());
    let opening = match kind {
        SegmentKind::Tcp => tcp(inner, remote, "S"),
        SegmentKind::Udp => udp(inner, remote, b""),
    };
    let outer = one.inside(&opening).sent().source.to_string();
    two.inside(&opening).sent();
    (one, two, outer)
}

#[track_caller]
fn check(side: Side, bytes: &[u8], offload: Offload, (mut one, mut two): (Lab, Lab)) {
    let (translated, carried) = one.handle(side, bytes, offload);
    assert_eq!(carried, offload, "the offload is carried along");
    let after = cut(&translated.bytes(), carried);
    let before: Vec<_> =
        cut(bytes, offload).iter().map(|part| two.handle(side, part, Offload::default()).0.bytes()).collect();

    assert_eq!(after.len(), before.len());
    let last = before.len() - 1;
    for (index, (after, before)) in after.iter().zip(&before).enumerate() {
        // RFC 6864 §4.1: an identification means nothing where DF is set.
        if index < last && !crate::lab::see(after).dont_fragment {
            assert_eq!(after, before);
        }
        assert_eq!(without_fragmentation(after), without_fragmentation(before));
    }
    let (one, two) = (one.engine.stats().clone(), two.engine.stats().clone());
    assert_eq!((one.outgoing.packets, one.incoming.packets), (two.outgoing.packets, two.incoming.packets));
}

pub(crate) fn whole(from: &str, to: &str, kind: SegmentKind, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match kind {
        SegmentKind::Udp => udp(from, to, payload),
        SegmentKind::Tcp => {
            let ports = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().port();
            let mut header = TcpHeader::new(ports(from), ports(to), 0xffff_f000, 1000);
            (header.ack, header.psh, header.fin) = (true, flags & 1 != 0, flags & 2 != 0);
            (header.cwr, header.ece) = (flags & 4 != 0, flags & 8 != 0);
            header.set_options_raw(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
            tcp_with(from, to, header, payload)
        }
    };
    if bytes[0] >> 4 == 4 {
        bytes = with_ipv4(bytes, |ip| (ip.dont_fragment, ip.identification) = (true, 0xfff0));
    }
    make_partial(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn cutting_and_translating_commute(
        is_tcp in any::<bool>(), is_v6 in any::<bool>(), goes_out in any::<bool>(), flags in any::<u8>(),
        size in 1000u16..1340, len in 1usize..20_000, seed in any::<u8>(),
    ) {
        let kind = if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        let (inner, remote) = if is_v6 { (WEB, via(REMOTE)) } else { (PEER, REMOTE.to_owned()) };
        let (one, two, outer) = twins(inner, &remote, kind);
        let payload: Vec<u8> = (0..len).map(|n| (n as u8).wrapping_mul(31) ^ seed).collect();

        if goes_out {
            check(Side::Inside, &whole(inner, &remote, kind, flags, &payload), offload(kind, size), (one, two));
        } else {
            check(Side::Outside, &whole(REMOTE, &outer, kind, flags, &payload), offload(kind, size), (one, two));
        }
    }

    #[test]
    fn completing_and_translating_commute(is_tcp in any::<bool>(), goes_out in any::<bool>(), len in 0usize..1200) {
        let kind = if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        let (one, two, outer) = twins(WEB, &via(REMOTE), kind);
        let (side, bytes) = if goes_out {
            (Side::Inside, whole(WEB, &via(REMOTE), kind, 0, &vec![7; len]))
        } else {
            (Side::Outside, whole(REMOTE, &outer, kind, 0, &vec![7; len]))
        };

        check(side, &bytes, Offload { checksum: Checksum::Partial, segments: None }, (one, two));
    }
}

#[test]
fn segments_larger_than_the_tunnel_are_answered_with_its_mtu() {
    let (mut lab, _, outer) = twins(WEB, &via(REMOTE), SegmentKind::Tcp);
    let bytes = whole(REMOTE, &outer, SegmentKind::Tcp, 0, &[1; 30_000]);

    let (outcome, _) = lab.handle(Side::Outside, &bytes, offload(SegmentKind::Tcp, 1400));

    assert_eq!(outcome.dropped(), DropReason::PacketTooBig);
    let (_, error) = lab.reply();
    assert_eq!(error.rest, [0, 0, 5, 112]);
    let sent = &cut(&bytes, offload(SegmentKind::Tcp, 1400))[0];
    assert_eq!(error.payload, sent[..error.payload.len()], "the quote is a packet the sender knows");
}

#[test]
fn a_super_packet_larger_than_the_tunnel_passes_if_its_segments_fit() {
    let (mut lab, _, outer) = twins(WEB, &via(REMOTE), SegmentKind::Tcp);
    let bytes = whole(REMOTE, &outer, SegmentKind::Tcp, 0, &[1; 60_000]);

    lab.handle(Side::Outside, &bytes, offload(SegmentKind::Tcp, 1412 - 40 - 32)).0.bytes();
}

#[test]
fn datagrams_of_a_super_packet_that_may_be_fragmented_are() {
    let (mut lab, _, outer) = twins(WEB, &via(REMOTE), SegmentKind::Udp);
    let bytes = udp(REMOTE, &outer, &[1; 4400]);
    let mut bytes = with_ipv4(bytes, |ip| (ip.dont_fragment, ip.identification) = (false, 500));
    make_partial(&mut bytes);

    let (first, carried) = lab.handle(Side::Outside, &bytes, offload(SegmentKind::Udp, 1472));

    assert_eq!(carried, Offload::default());
    let all: Vec<_> = std::iter::once(first.bytes()).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
    let ids: Vec<_> = all
        .iter()
        .filter_map(|bytes| packet::ipv6::Ipv6::parse(bytes).unwrap().upper_layer().unwrap().fragment)
        .map(|fragment| fragment.identification)
        .collect();
    assert_eq!(ids, [500, 500, 501, 501, 502, 502]);
    assert!(all.iter().all(|bytes| bytes.len() <= 1412));
}

#[test]
fn what_the_device_says_must_fit_the_packet() {
    let (mut lab, _, _) = twins(WEB, &via(REMOTE), SegmentKind::Tcp);
    let bytes = whole(WEB, &via(REMOTE), SegmentKind::Tcp, 0, b"x");
    for wrong in [offload(SegmentKind::Udp, 1000), offload(SegmentKind::Tcp, 0)] {
        let (outcome, _) = lab.handle(Side::Inside, &bytes, wrong);
        assert_eq!(outcome.dropped(), DropReason::OffloadMismatch);
    }
    let ping = crate::lab::echo("2001:db8::7", "64:ff9b::808:808", 128, 1);
    let partial = Offload { checksum: Checksum::Partial, segments: None };
    assert_eq!(lab.handle(Side::Inside, &ping, partial).0.dropped(), DropReason::OffloadMismatch);
}

#[test]
fn identifications_go_on_behind_a_super_packet() {
    let (mut lab, _, _) = twins(WEB, &via(REMOTE), SegmentKind::Udp);
    let bytes = whole(WEB, &via(REMOTE), SegmentKind::Udp, 0, &[1; 5000]);

    let first = lab.handle(Side::Inside, &bytes, offload(SegmentKind::Udp, 1000)).0.bytes();
    let next = lab.inside(&udp(WEB, &via(REMOTE), b"")).bytes();

    let id = |bytes: &[u8]| Ipv4::parse(bytes).unwrap().identification();
    assert_eq!(id(&next), id(&first).wrapping_add(5));
}
