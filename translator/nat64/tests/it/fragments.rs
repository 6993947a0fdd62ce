//! Packets that come in fragments, and how they leave (RFC 6146 §3.4, RFC 7915 §4.1 and §5.1.1).

use std::time::Duration;

use nat64::{DropReason, Event, EventLog, Side, UdpWithoutChecksum, Verdict};
use packet::ipv6::Fragment;
use packet::{Checksum, HEADROOM, Offload, Packet};

use crate::lab::{Lab, Outcome, POOL4, at, echo, icmp, see, tcp_with, transport_checksum, udp, via};
use crate::lab::{tcp, with_ipv4};
use crate::trains::{cut, fragment, join, place};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const WEB_ADDRESS: &str = "2001:db8:1:2::7";
const PEER: &str = "198.18.0.7:40001";
const DNS: &str = "9.9.9.9:53";
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

/// A lab in which the inside host spoke to DNS, and its mapping.
pub(crate) fn lab_with_session(inner: &str) -> (Lab, String) {
    let mut lab = Lab::new();
    let to = if inner.starts_with('[') { via(DNS) } else { DNS.to_owned() };
    let outer = lab.inside(&udp(inner, &to, b"")).sent().source.to_string();
    (lab, outer)
}

fn places(fragments: &[Vec<u8>]) -> Vec<(u16, bool, u32, usize)> {
    let of = |(at, part): (Fragment, &[u8])| (at.offset_bytes, at.more, at.identification, part.len());
    fragments.iter().map(|bytes| of(place(bytes))).collect()
}

#[test]
fn fragments_from_inside_leave_as_the_same_fragments_whatever_their_order() {
    // Requirements 9 and 68: offset and M are copied, DF is clear, the identification is the low 16 bits.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut lab = Lab::new();
        let fragments = cut(&udp(WEB, &via(DNS), &payload(1000)), &[400, 800], 0xdead_beef);

        let sent = lab.feed(Side::Inside, &order.map(|index| fragments[index].clone()));

        let expected = [(0, true, 0xbeef, 400), (400, true, 0xbeef, 400), (800, false, 0xbeef, 208)];
        assert_eq!(places(&sent), expected);
        let whole = see(&join(&sent));
        assert_eq!((whole.source.ip(), whole.destination), (POOL4.into(), at(DNS)));
        assert_eq!((whole.payload, whole.hop_limit), (payload(1000), 63));
    }
}

#[test]
fn fragments_from_outside_leave_as_the_same_fragments_whatever_their_order() {
    // Requirements 29 and 68: the 16 bits of the identification are extended with zeros.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (mut lab, outer) = lab_with_session(WEB);
        let fragments = cut(&udp(DNS, &outer, &payload(1000)), &[400, 800], 0xbeef);

        let sent = lab.feed(Side::Outside, &order.map(|index| fragments[index].clone()));

        let expected = [(0, true, 0xbeef, 400), (400, true, 0xbeef, 400), (800, false, 0xbeef, 208)];
        assert_eq!(places(&sent), expected);
        let whole = see(&join(&sent));
        assert_eq!((whole.source, whole.destination), (at(&via(DNS)), at(WEB)));
        assert_eq!((whole.payload, whole.hop_limit), (payload(1000), 63));
    }
}

#[test]
fn only_the_fragment_that_completes_its_datagram_is_forwarded() {
    let mut lab = Lab::new();
    let fragments = cut(&udp(WEB, &via(DNS), &payload(100)), &[48], 7);

    assert_eq!(lab.inside(&fragments[1]), Outcome::Taken);
    assert_eq!(lab.sizes(), (0, 0), "a fragment alone makes no state");
    let first = lab.inside(&fragments[0]).bytes();

    assert_eq!(place(&first).0.offset_bytes, 0);
    assert_eq!(lab.transmits().len(), 1);
    assert_eq!((lab.engine.stats().outgoing.packets, lab.engine.stats().outgoing.bytes), (1, 128));
}

#[test]
fn ipv4_peers_send_and_receive_fragments_too() {
    let (mut lab, outer) = lab_with_session(PEER);

    let sent = lab.feed(Side::Inside, &cut(&udp(PEER, DNS, &payload(1000)), &[800], 7));
    assert_eq!(see(&join(&sent)).source, at(&outer));
    // RFC 6864 §5.3.1: two peers may use the same identification.
    assert_ne!(place(&sent[0]).0.identification, 7);

    let sent = lab.feed(Side::Outside, &cut(&udp(DNS, &outer, &payload(1000)), &[800], 7));
    assert_eq!((see(&join(&sent)).destination, places(&sent)[1]), (at(PEER), (800, false, 7, 208)));
}

#[test]
fn the_largest_datagram_there_is_arrives() {
    let (mut lab, outer) = lab_with_session(WEB);
    let whole = udp(DNS, &outer, &payload(65_507));
    let cuts: Vec<_> = (1..45).map(|index| index * 1480).collect();

    let sent = lab.feed(Side::Outside, &cut(&whole, &cuts, 7));

    assert!(sent.iter().all(|bytes| bytes.len() <= 1280));
    assert_eq!(see(&join(&sent)).payload, payload(65_507));
}

#[test]
fn a_missing_checksum_is_made_for_the_whole_datagram() {
    // Requirement 38, RFC 6146 §3.4.
    let (mut lab, outer) = lab_with_session(WEB);
    let mut whole = udp(DNS, &outer, &payload(2000));
    whole[26..28].fill(0);

    let sent = join(&lab.feed(Side::Outside, &cut(&whole, &[1000], 7)));

    assert_ne!(sent[46..48], [0, 0]);
    assert_eq!(see(&sent).payload, payload(2000));
}

#[test]
fn a_datagram_without_checksum_can_be_dropped_and_leaves_its_addresses_and_ports() {
    // RFC 7915 §4.5; to a peer of IPv4 it goes as it is.
    let mut lab = Lab::with(|config| {
        (config.udp_without_checksum, config.event_log) = (UdpWithoutChecksum::Dropped, EventLog::On);
    });
    let [outer, outer4] = [(WEB, via(DNS)), ("198.18.0.7:5000", DNS.to_owned())]
        .map(|(from, to)| lab.inside(&udp(from, &to, b"")).sent().source.to_string());
    while lab.engine.poll_event().is_some() {}
    let without = |outer: &str| {
        let mut datagram = udp(DNS, outer, &payload(100));
        datagram[26..28].fill(0);
        datagram
    };

    assert_eq!(lab.outside(&without(&outer)).dropped(), DropReason::UdpWithoutChecksum);
    let (source, destination) = (DNS.parse().unwrap(), outer.parse().unwrap());
    assert_eq!(lab.engine.poll_event(), Some(Event::WithoutChecksum { source, destination }));
    assert!(lab.feed(Side::Outside, &cut(&without(&outer), &[48], 7)).is_empty());
    assert_eq!(lab.engine.stats().dropped(DropReason::UdpWithoutChecksum), 2);

    lab.outside(&without(&outer4)).sent();
    lab.outside(&udp(DNS, &outer, b"with")).sent();
}

#[test]
fn echoes_in_fragments_are_translated_whole() {
    // Requirement 74: the pseudo header of ICMPv6 needs the length of the whole message.
    let mut lab = Lab::new();
    let ask = icmp(WEB_ADDRESS, "64:ff9b::808:808", (128, 0), [0, 77, 0, 7], &payload(1800));
    let asked = see(&join(&lab.feed(Side::Inside, &cut(&ask, &[1232], 7))));
    assert_eq!((asked.icmp, &asked.payload), (Some((8, 0)), &payload(1800)));

    let [high, low] = asked.source.port().to_be_bytes();
    let answer = icmp("8.8.8.8", &POOL4.to_string(), (0, 0), [high, low, 0, 7], &payload(1800));
    let answered = see(&join(&lab.feed(Side::Outside, &cut(&answer, &[1480], 7))));
    assert_eq!((answered.icmp, answered.source.port(), answered.payload), (Some((129, 0)), 77, payload(1800)));
}

#[test]
fn an_icmp_error_in_fragments_is_dropped() {
    let (mut lab, _) = lab_with_session(WEB);
    let sent = lab.inside(&udp(WEB, &via(DNS), &payload(500))).bytes();
    let error = icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &sent);
    let fragments = cut(&error, &[400], 7);

    assert_eq!(lab.outside(&fragments[0]), Outcome::Taken);
    assert_eq!(lab.outside(&fragments[1]).dropped(), DropReason::FragmentNotSupported);
}

#[test]
fn a_first_fragment_without_the_whole_transport_header_leaves_with_it() {
    // RFC 1858 §3, RFC 7112 §5: tiny fragments get past nobody's filter.
    let mut lab = Lab::new();
    let header = etherparse::TcpHeader { syn: true, ..etherparse::TcpHeader::new(40001, 443, 1, 1000) };
    let syn = tcp_with(WEB, &via("1.1.1.1:443"), header, &payload(40));

    let sent = lab.feed(Side::Inside, &cut(&syn, &[8, 16, 24, 48], 7));

    assert_eq!(places(&sent), [(0, true, 7, 24), (24, true, 7, 24), (48, false, 7, 12)]);
    assert_eq!(see(&join(&sent)).payload, payload(40));
}

#[test]
fn a_transport_header_that_is_not_whole_in_all_fragments_together_is_malformed() {
    // Requirement 12.
    let mut lab = Lab::new();
    let syn = tcp(WEB, &via("1.1.1.1:443"), "S");
    let header = &syn[..40];
    let at = |offset_bytes, more| Fragment { offset_bytes, more, identification: 7 };

    assert_eq!(lab.inside(&fragment(header, &syn[40..48], at(0, true))), Outcome::Taken);
    assert_eq!(lab.inside(&fragment(header, &syn[48..59], at(8, false))).dropped(), DropReason::Malformed);
}

#[test]
fn fragments_longer_than_the_next_link_are_cut_further() {
    // Requirements 27 and 70: 1500 bytes of IPv4 become 1528 of IPv6, and small ones together still arrive.
    let (mut lab, outer) = lab_with_session(WEB);
    let long = lab.feed(Side::Outside, &cut(&udp(DNS, &outer, &payload(2000)), &[1480], 7));

    assert!(long.iter().all(|bytes| bytes.len() <= 1280));
    assert_eq!(places(&long), [(0, true, 7, 1232), (1232, true, 7, 248), (1480, false, 7, 528)]);
    assert_eq!(see(&join(&long)).payload, payload(2000));

    let small = lab.feed(Side::Outside, &cut(&udp(DNS, &outer, &payload(2000)), &[1000], 7));
    assert_eq!(places(&small), [(0, true, 7, 1000), (1000, false, 7, 1008)]);
}

#[test]
fn ipv6_fragments_too_long_for_the_outside_are_cut_further() {
    let mut lab = Lab::with(|config| config.mtu4 = 1000);

    let sent = lab.feed(Side::Inside, &cut(&udp(WEB, &via(DNS), &payload(2000)), &[1232], 7));

    assert!(sent.iter().all(|bytes| bytes.len() <= 1000));
    assert_eq!(see(&join(&sent)).payload, payload(2000));
}

#[test]
fn df_on_fragments_stops_only_those_that_are_too_long() {
    // Requirement 30; RFC 7915 §4.1 with the fragment header counted.
    let (mut lab, outer) = lab_with_session(WEB);
    let train = |first: usize| {
        let whole = udp(DNS, &outer, &payload(2000));
        cut(&whole, &[first], 7).into_iter().map(|bytes| with_ipv4(bytes, |ip| ip.dont_fragment = true))
    };

    let sent: Vec<_> = lab.feed(Side::Outside, &train(1360).collect::<Vec<_>>());
    assert_eq!((sent[0].len(), see(&join(&sent)).payload), (1408, payload(2000)));

    let [first, last] = [0, 1].map(|index| train(1368).nth(index).unwrap());
    lab.outside(&first);
    assert_eq!(lab.outside(&last).dropped(), DropReason::PacketTooBig);
    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.rest), (Side::Outside, Some((3, 4)), [0, 0, 5, 104]));
    assert_eq!(error.payload, first[..548], "the error quotes the first fragment");
}

#[test]
fn a_fragment_without_hops_is_refused_at_once_and_only_the_first_is_answered() {
    // Requirement 67.
    let mut lab = Lab::new();
    let mut whole = udp(WEB, &via(DNS), &payload(100));
    whole[7] = 1;
    let fragments = cut(&whole, &[48], 7);

    assert_eq!(lab.inside(&fragments[1]).dropped(), DropReason::HopLimitExceeded);
    assert!(lab.transmits().is_empty());
    assert_eq!(lab.inside(&fragments[0]).dropped(), DropReason::HopLimitExceeded);
    assert_eq!(lab.reply().1.icmp, Some((3, 0)));
}

#[test]
fn a_datagram_that_is_refused_is_answered_as_its_first_fragment() {
    let mut lab = Lab::with(|config| config.pool4[0].ports = 5000..=5000);
    lab.inside(&udp("[2001:db8:9::9]:1", &via(DNS), b"")).sent();
    let fragments = cut(&udp(WEB, &via(DNS), &payload(100)), &[48], 7);

    lab.inside(&fragments[0]);
    assert_eq!(lab.inside(&fragments[1]).dropped(), DropReason::PoolExhausted);

    let (_, error) = lab.reply();
    assert_eq!((error.icmp, error.payload), (Some((1, 3)), fragments[0].clone()));
}

#[test]
fn fragments_of_other_protocols_are_refused_at_once() {
    let mut lab = Lab::new();
    let mut whole = udp(WEB, &via(DNS), &payload(100));
    whole[6] = 132;
    let fragments = cut(&whole, &[48], 7);

    assert_eq!(lab.inside(&fragments[1]).dropped(), DropReason::ProtocolNotSupported);
    assert_eq!(lab.inside(&fragments[0]).dropped(), DropReason::ProtocolNotSupported);
    assert_eq!(lab.reply().1.icmp, Some((1, 4)));
}

#[test]
fn a_super_packet_is_no_fragment() {
    let mut lab = Lab::new();
    let fragments = cut(&udp(WEB, &via(DNS), &payload(100)), &[48], 7);
    let partial = Offload { checksum: Checksum::Partial, segments: None };

    assert_eq!(lab.handle(Side::Inside, &fragments[0], partial).0.dropped(), DropReason::OffloadMismatch);
}

#[test]
fn where_the_callers_buffer_is_too_small_all_of_it_is_collected() {
    let mut lab = Lab::new();
    let mut fragments = cut(&udp(WEB, &via(DNS), &payload(1200)), &[1200], 7);
    lab.inside(&fragments[0]);
    let last = fragments.pop().unwrap();
    let mut buffer = [&[0; HEADROOM][..], &last].concat();
    let end = buffer.len();
    let mut packet = Packet::new(&mut buffer, HEADROOM..end);

    let verdict = lab.engine.handle_inside(lab.now, &mut packet);

    assert_eq!(verdict, Verdict::Taken);
    let sent: Vec<_> = lab.transmits().into_iter().map(|transmit| transmit.bytes).collect();
    assert_eq!(see(&join(&sent)).payload, payload(1200));
}

#[test]
fn congestion_of_one_fragment_is_the_packets_if_it_speaks_ecn() {
    // RFC 3168 §5.3.
    let (mut lab, outer) = lab_with_session(WEB);
    for (first, second, expected) in [(0b10, 0b11, 0b11), (0b10, 0b10, 0b10), (0, 0b11, 0)] {
        let mut fragments = cut(&udp(DNS, &outer, &payload(100)), &[48], 7);
        for (bytes, ecn) in fragments.iter_mut().zip([first, second]) {
            *bytes = with_ipv4(bytes.clone(), |ip| ip.ecn = etherparse::IpEcn::try_new(ecn).unwrap());
        }

        assert_eq!(see(&join(&lab.feed(Side::Outside, &fragments))).traffic_class, expected);
    }
}

#[test]
fn extension_headers_in_front_of_the_fragment_header_are_left_behind() {
    let mut lab = Lab::new();
    let fragments = cut(&udp(WEB, &via(DNS), &payload(100)), &[48], 7).into_iter().map(|bytes| {
        let mut bytes = [&bytes[..40], &[44, 0, 1, 4, 0, 0, 0, 0], &bytes[40..]].concat();
        (bytes[5], bytes[6]) = (bytes[5] + 8, 60);
        bytes
    });

    let sent = lab.feed(Side::Inside, &fragments.collect::<Vec<_>>());

    assert_eq!((sent.len(), see(&join(&sent)).payload), (2, payload(100)));
}

#[test]
fn the_low_bits_of_a_checksum_that_was_wrong_stay_wrong() {
    // Requirement 35, through reassembly.
    let mut lab = Lab::new();
    let mut whole = udp(WEB, &via(DNS), &payload(100));
    whole[46] ^= 1;

    let sent = join(&lab.feed(Side::Inside, &cut(&whole, &[48], 7)));

    assert_ne!(transport_checksum(&sent), 0);
}

#[test]
fn an_echo_that_is_not_whole_leaves_nothing() {
    let mut lab = Lab::new();
    let fragments = cut(&echo(WEB_ADDRESS, "64:ff9b::808:808", 128, 77), &[8], 7);

    assert_eq!(lab.inside(&fragments[0]), Outcome::Taken);
    lab.pass(SECOND * 60);

    assert_eq!((lab.sizes(), lab.reply().0), ((0, 0), Side::Inside), "but its sender hears of it");
}
