//! What does not fit the next link (RFC 7915 §1.4, §4.1, §5.1).

use nat64::{DropReason, Side};
use packet::ipv4::Ipv4;
use packet::ipv6::Ipv6;

use crate::lab::{Lab, POOL4, at, see, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const PEER: &str = "198.18.0.7:40001";
const DNS: &str = "9.9.9.9:53";

fn answer(outer: &str, len: usize, dont_fragment: bool) -> Vec<u8> {
    with_ipv4(udp(DNS, outer, &payload(len - 28)), |ip| {
        (ip.dont_fragment, ip.identification) = (dont_fragment, 0xabcd);
    })
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

/// Joins fragments and returns the whole transport datagram.
#[track_caller]
fn join(fragments: &[Vec<u8>], longest: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    for (index, bytes) in fragments.iter().enumerate() {
        assert!(bytes.len() <= longest && packet::Layout::of(bytes).unwrap().end == bytes.len());
        let (offset, more, part) = match bytes[0] >> 4 {
            4 => {
                let ip = Ipv4::parse(bytes).unwrap();
                assert!(ip.checksum_is_right());
                (ip.fragment_offset(), ip.more_fragments(), ip.payload())
            }
            _ => {
                let upper = Ipv6::parse(bytes).unwrap().upper_layer().unwrap();
                let fragment = upper.fragment.unwrap();
                assert_eq!(fragment.identification, 0xabcd);
                (usize::from(fragment.offset_bytes), fragment.more, &bytes[upper.at..])
            }
        };
        assert_eq!((offset, more), (whole.len(), index + 1 < fragments.len()));
        whole.extend(part);
    }
    whole
}

#[test]
fn a_packet_that_may_not_be_fragmented_is_answered_with_the_mtu() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    assert_eq!(lab.outside(&answer(&outer, 1392, true)).sent().len, 1412);
    assert_eq!(lab.outside(&answer(&outer, 1393, true)).dropped(), DropReason::PacketTooBig);

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.rest), (Side::Outside, Some((3, 4)), [0, 0, 5, 112]));
    assert_eq!((error.destination.ip(), error.len), (at(DNS).ip(), 576));
    assert_eq!(error.source.ip(), at(&outer).ip(), "the engine speaks as the pool4 address that was spoken to");
    assert_eq!(u16::from_be_bytes([error.rest[2], error.rest[3]]), 1392);
}

#[test]
fn a_packet_that_may_be_fragmented_arrives_in_parts() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    let first = lab.outside(&answer(&outer, 4000, false)).bytes();
    let rest = lab.transmits();

    assert!(rest.iter().all(|transmit| transmit.side == Side::Inside));
    let fragments: Vec<_> = std::iter::once(first).chain(rest.into_iter().map(|transmit| transmit.bytes)).collect();
    let datagram = join(&fragments, 1280);
    assert_eq!(datagram[8..], payload(3972));
    let mut whole = fragments[0][..40].to_vec();
    (whole[4], whole[5], whole[6]) = ((3980_u16 >> 8) as u8, 3980_u16 as u8, 17);
    whole.extend(datagram);
    assert_eq!(see(&whole).destination, at(WEB));
}

#[test]
fn what_may_be_fragmented_is_made_to_pass_every_ipv6_link() {
    // Requirement 27, RFC 7915 §4.1: 1280 bytes, whatever the next link takes.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    assert_eq!(lab.outside(&answer(&outer, 1260, false)).sent().len, 1280);
    assert!(lab.transmits().is_empty(), "no fragment header without need (requirement 25)");

    let first = lab.outside(&answer(&outer, 1261, false)).bytes();
    let fragments: Vec<_> = std::iter::once(first).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
    assert_eq!(fragments.iter().map(Vec::len).collect::<Vec<_>>(), [1280, 48 + 9]);
    assert_eq!(join(&fragments, 1280)[8..], payload(1261 - 28));
}

#[test]
fn where_the_links_are_known_to_be_larger_so_are_the_fragments() {
    // Requirement 28; never beyond the next link, never below what IPv6 guarantees.
    for (lowest, mtu6, expected) in [(1400, 1412, 1400), (9000, 1412, 1412), (68, 1412, 1280), (1500, 9000, 1500)] {
        let mut lab = Lab::with(|config| (config.lowest_ipv6_mtu, config.mtu6) = (lowest, mtu6));
        let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

        assert_eq!(lab.outside(&answer(&outer, expected - 20, false)).sent().len, expected);
        let first = lab.outside(&answer(&outer, 4000, false)).bytes();
        assert_eq!(first.len(), (expected - 48) / 8 * 8 + 48);
        let fragments: Vec<_> = std::iter::once(first).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
        assert_eq!(join(&fragments, expected)[8..], payload(3972));
    }
}

#[test]
fn towards_an_ipv4_peer_the_tunnel_sets_the_size_too() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(PEER, DNS, b"")).sent().source.to_string();

    assert_eq!(lab.outside(&answer(&outer, 1413, true)).dropped(), DropReason::PacketTooBig);
    assert_eq!(lab.reply().1.rest, [0, 0, 5, 132]);

    let first = lab.outside(&answer(&outer, 3000, false)).bytes();
    let fragments: Vec<_> = std::iter::once(first).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
    assert_eq!(join(&fragments, 1412)[8..], payload(2972));
}

#[test]
fn a_packet_too_big_for_the_outside_is_answered_inside() {
    let mut lab = Lab::with(|config| config.mtu4 = 1400);

    assert_eq!(lab.inside(&udp(WEB, &via(DNS), &payload(1372))).sent().len, 1400);
    assert_eq!(lab.inside(&udp(WEB, &via(DNS), &payload(1373))).dropped(), DropReason::PacketTooBig);

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.rest), (Side::Inside, Some((2, 0)), 1420_u32.to_be_bytes()));
    assert_eq!(error.len, 1280);
}

#[test]
fn below_what_ipv6_guarantees_the_engine_fragments_for_ipv4_itself() {
    let mut lab = Lab::with(|config| config.mtu4 = 600);

    assert_eq!(lab.inside(&udp(WEB, &via(DNS), &payload(1300))).dropped(), DropReason::PacketTooBig);
    assert_eq!(lab.reply().1.rest, 1280_u32.to_be_bytes());

    let first = lab.inside(&udp(WEB, &via(DNS), &payload(1232))).bytes();
    let fragments: Vec<_> = std::iter::once(first).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
    assert_eq!(join(&fragments, 600)[8..], payload(1232));
    let ids: std::collections::BTreeSet<_> =
        fragments.iter().map(|f| Ipv4::parse(f).unwrap().identification()).collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn an_ipv4_peer_hears_of_the_outside_mtu_or_is_fragmented() {
    let mut lab = Lab::with(|config| config.mtu4 = 1000);
    let long = |df| with_ipv4(udp(PEER, DNS, &payload(1300)), |ip| ip.dont_fragment = df);

    assert_eq!(lab.inside(&long(true)).dropped(), DropReason::PacketTooBig);
    assert_eq!(lab.reply().1.rest, [0, 0, 3, 232]);
    let first = lab.inside(&long(false)).bytes();
    let fragments: Vec<_> = std::iter::once(first).chain(lab.transmits().into_iter().map(|t| t.bytes)).collect();
    assert_eq!(join(&fragments, 1000)[8..], payload(1300));
}

#[test]
fn a_queue_that_nobody_collects_is_bounded() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let long = answer(&outer, 60_000, false);

    let full = (0..200).find(|_| lab.outside(&long) == crate::lab::Outcome::Dropped(DropReason::TransmitQueueFull));

    assert!(full.is_some());
    assert!(lab.transmits().len() <= 4096);
    assert_eq!(lab.outside(&udp(DNS, &format!("{POOL4}:1"), b"")).dropped(), DropReason::NoBibEntry);
}

#[test]
fn an_error_of_our_own_passes_links_smaller_than_itself() {
    let mut lab = Lab::with(|config| config.mtu6 = 1280);
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    let identifications: Vec<u16> = (0..2)
        .map(|_| {
            lab.outside(&answer(&outer, 1300, true)).dropped();
            let error = lab.transmits().remove(0).bytes;
            assert!(!see(&error).dont_fragment);
            Ipv4::parse(&error).unwrap().identification()
        })
        .collect();

    assert_ne!(identifications[0], identifications[1]);
}
