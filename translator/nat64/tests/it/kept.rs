//! What translation keeps of a packet, to the last bit, and what it leaves behind (RFC 7915 §4.1, §5.1, §4.5, §5.5).

use etherparse::TcpHeader;
use nat64::{DropReason, Filtering, TrafficClass};

use crate::lab::{Lab, POOL4, at, icmp, see, tcp_with, transport_checksum, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

#[test]
fn all_eight_bits_of_the_traffic_class_are_kept_both_ways() {
    // Requirements 2 and 19, ECN included.
    let mut lab = Lab::new();
    for class in 0..=255_u8 {
        let mut out = udp(WEB, &via(DNS), b"");
        (out[0], out[1]) = (0x60 | class >> 4, class << 4);
        let outer = lab.inside(&out).sent();
        assert_eq!(outer.traffic_class, class);

        let mut back = udp(DNS, &outer.source.to_string(), b"");
        back[1] = class;
        let back = with_ipv4(back, |_| {});
        assert_eq!(lab.outside(&back).sent().traffic_class, class);
    }
}

#[test]
fn the_traffic_class_of_either_side_can_be_ignored() {
    // RFC 7915 §4.1, §5.1; a known session and a packet with options, which takes the longer way.
    let classes = (TrafficClass::always(0), TrafficClass::always(0x20));
    let mut lab = Lab::with(|config| (config.traffic_class, config.tos) = classes);
    for _ in 0..2 {
        let mut out = udp(WEB, &via(DNS), b"");
        (out[0], out[1]) = (0x6b, 0x90);
        let outer = lab.inside(&out).sent();
        assert_eq!(outer.traffic_class, 0x20);

        let mut back = udp(DNS, &outer.source.to_string(), b"");
        back[1] = 0xb9;
        let plain = with_ipv4(back.clone(), |_| {});
        let with_options = with_ipv4(back, |ip| ip.options = [1, 1, 1, 0].into());
        let received = lab.outside(&plain).bytes();
        assert_eq!((see(&received).traffic_class, lab.outside(&with_options).sent().traffic_class), (0, 0));

        let error = icmp("2001:db8:1:2::7", "64:ff9b::909:909", (1, 4), [0; 4], &received);
        assert_eq!(lab.inside(&error).sent().traffic_class, 0x20);
    }

    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    let hairpinned = lab.hairpinned(&udp("[2001:db8:1:2::8]:5000", &via(&outer.to_string()), b""));
    assert_eq!(hairpinned.traffic_class, 0, "it is translated twice");

    let from_peer = with_ipv4(udp("198.18.0.7:5000", DNS, b""), |ip| ip.dscp = 46.try_into().unwrap());
    assert_eq!(lab.inside(&from_peer).sent().traffic_class, 0xb8, "where the family stays, it stays");
}

#[test]
fn a_flow_label_is_left_behind_and_none_is_made() {
    // Requirements 7 and 19.
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"x");
    (out[1], out[2], out[3]) = (0x0f, 0xff, 0xff);
    let outer = lab.inside(&out).sent();
    assert_eq!((outer.traffic_class, &outer.payload[..]), (0, &b"x"[..]));

    let back = lab.outside(&udp(DNS, &outer.source.to_string(), b"")).bytes();
    assert_eq!(back[..4], [0x60, 0, 0, 0]);
}

#[test]
fn a_header_of_ipv4_is_twenty_bytes_with_a_right_checksum_and_length() {
    // Requirement 1; `see` checks the checksum.
    let mut lab = Lab::new();
    for len in [0, 1, 7, 1232, 1400] {
        let out = lab.inside(&udp(WEB, &via(DNS), &vec![1; len])).bytes();

        assert_eq!((out[0], usize::from(u16::from_be_bytes([out[2], out[3]])), out[9]), (0x45, 28 + len, 17));
        see(&out);
    }
}

#[test]
fn options_of_tcp_pass_untouched_both_ways() {
    // Requirement 40: selective acknowledgement, timestamps, window scale, and one that nobody knows.
    let mut lab = Lab::new();
    let options = [4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 3, 3, 7, 253, 5, 9, 9, 9];
    let header = |from: &str, to: &str, syn, ack| {
        let mut header = TcpHeader::new(at(from).port(), at(to).port(), 1, 1000);
        (header.syn, header.ack) = (syn, ack);
        header.set_options_raw(&options).unwrap();
        tcp_with(from, to, header, b"data")
    };
    let to = via("1.1.1.1:443");

    for (syn, ack) in [(true, false), (false, true)] {
        let out = lab.inside(&header(WEB, &to, syn, false)).bytes();
        let outer = see(&out).source.to_string();
        assert_eq!(out[40..60], options);
        let back = lab.outside(&header("1.1.1.1:443", &outer, syn, ack || syn)).bytes();
        assert_eq!(back[60..80], options);
    }
}

#[test]
fn a_datagram_of_ipv6_without_checksum_gets_no_wrong_one() {
    // Requirement 39: IPv4 may do without; a receiver of IPv6 is to decide for itself (RFC 8200 §8.1).
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"payload");
    out[46..48].fill(0);

    let outer = lab.inside(&out).bytes();

    assert_eq!(outer[26..28], [0, 0]);
    assert_eq!(transport_checksum(&outer), 0);
}

#[test]
fn a_checksum_that_becomes_zero_towards_ipv6_is_sent_as_all_ones() {
    // Requirement 36.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let first = lab.outside(&udp(DNS, &outer, &[0, 0])).bytes();
    let balance = [first[46], first[47]];

    let back = lab.outside(&udp(DNS, &outer, &balance)).bytes();

    assert_eq!((&back[46..48], &see(&back).payload), (&[0xff, 0xff][..], &balance.to_vec()));
}

#[test]
fn an_error_from_an_address_that_nobody_has_is_translated_and_nothing_else_from_there() {
    // Requirement 32, RFC 7915 §4.1.
    let mut lab = Lab::with(|config| config.filtering = Filtering::EndpointIndependent);
    let sent = lab.inside(&udp(WEB, &via(DNS), b"question")).bytes();
    let outer = see(&sent).source.to_string();
    for router in ["127.0.0.1", "0.0.0.0", "10.1.2.3"] {
        let error = icmp(router, &POOL4.to_string(), (11, 0), [0; 4], &sent);

        assert_eq!(lab.outside(&error).sent().source.ip(), at(&via(&format!("{router}:0"))).ip());
    }
    assert_eq!(lab.outside(&udp("127.0.0.1:53", &outer, b"")).dropped(), DropReason::IllegalSource);
}

#[test]
fn every_prefix_length_carries_an_address_there_and_back_whatever_stands_around_it() {
    // Requirement 18, RFC 6052 §2.3, §2.4; reserved octet and suffix have bits set.
    let prefixes = [
        ("2001:db8::/32", "[2001:db8:808:808:ab00:1:2:3]:53", "[2001:db8:808:808::]:53"),
        ("2001:db8:100::/40", "[2001:db8:108:808:ab08:1:2:3]:53", "[2001:db8:108:808:8::]:53"),
        ("2001:db8:122::/48", "[2001:db8:122:808:ab08:801:2:3]:53", "[2001:db8:122:808:8:800::]:53"),
        ("2001:db8:122:300::/56", "[2001:db8:122:308:ab08:808:2:3]:53", "[2001:db8:122:308:8:808::]:53"),
        ("2001:db8:122:344::/64", "[2001:db8:122:344:ab08:808:801:3]:53", "[2001:db8:122:344:8:808:800::]:53"),
        ("2001:db8:122:344::/96", "[2001:db8:122:344::808:808]:53", "[2001:db8:122:344::808:808]:53"),
    ];
    for (prefix, to, from) in prefixes {
        let mut lab = Lab::with(|config| config.pool6 = vec![prefix.parse().unwrap()]);
        let inner = "[2001:db9::7]:40001";

        let out = lab.inside(&udp(inner, to, b"")).sent();
        assert_eq!(out.destination, at("8.8.8.8:53"), "{prefix}");
        assert_eq!(lab.outside(&udp("8.8.8.8:53", &out.source.to_string(), b"")).sent().source, at(from), "{prefix}");
    }
}

#[test]
fn packets_of_a_flow_keep_their_order_whatever_their_size() {
    // Requirement 33: one that is cut does not overtake the one before, nor fall behind the one after it.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let packet = |len| with_ipv4(udp(DNS, &outer, &vec![1; len]), |ip| ip.dont_fragment = false);
    let packets: Vec<_> = [100, 3000, 200, 1300, 50].map(packet).to_vec();

    let sent = lab.feed(nat64::Side::Outside, &packets);

    let starts: Vec<_> = sent.iter().map(|bytes| bytes.len() - 40).collect();
    assert_eq!(starts, [108, 1240, 1240, 552, 208, 1240, 84, 58]);
}
