//! TCP, UDP and ICMP echo through the prefix and back (RFC 6146 §3.5).

use nat64::{DropReason, Filtering};

use crate::lab::{Lab, POOL4, at, echo, see, tcp, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

#[test]
fn a_datagram_goes_out_from_pool4_and_its_answer_comes_back() {
    let mut lab = Lab::new();

    let out = lab.inside(&udp(WEB, &via(DNS), b"question")).sent();
    assert_eq!((out.source.ip(), out.destination), (POOL4.into(), at(DNS)));
    assert_eq!(out.payload, b"question");

    let back = lab.outside(&udp(DNS, &out.source.to_string(), b"answer")).sent();
    assert_eq!((back.source, back.destination), (at(&via(DNS)), at(WEB)));
    assert_eq!(back.payload, b"answer");
}

#[test]
fn a_mapped_port_keeps_class_and_parity() {
    let mut lab = Lab::new();

    let odd = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port();
    let even = lab.inside(&udp("[2001:db8:1:2::7]:40002", &via(DNS), b"")).sent().source.port();

    assert!(odd % 2 == 1 && even.is_multiple_of(2) && odd >= 1024 && even >= 1024);
}

#[test]
fn a_connection_opens_carries_and_closes() {
    let mut lab = Lab::new();
    let remote = "1.1.1.1:443";

    let outer = lab.inside(&tcp(WEB, &via(remote), "S")).sent().source.to_string();
    for (from_inside, flags) in [(false, "SA"), (true, "A"), (false, "A"), (true, "FA"), (false, "FA"), (true, "A")] {
        let seen = if from_inside {
            lab.inside(&tcp(WEB, &via(remote), flags)).sent()
        } else {
            lab.outside(&tcp(remote, &outer, flags)).sent()
        };
        let expected = if from_inside { (at(&outer), at(remote)) } else { (at(&via(remote)), at(WEB)) };
        assert_eq!((seen.source, seen.destination), expected);
    }
}

#[test]
fn an_echo_is_mapped_by_its_identifier() {
    let mut lab = Lab::new();

    let out = lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 128, 77)).sent();
    assert_eq!((out.icmp, out.destination.ip()), (Some((8, 0)), "8.8.8.8".parse().unwrap()));
    assert_eq!((out.rest[2..].to_vec(), out.payload.clone()), (vec![0, 7], b"are you there?".to_vec()));

    let back = lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 0, out.source.port())).sent();
    assert_eq!((back.icmp, back.source.port()), (Some((129, 0)), 77));
    assert_eq!(back.destination.ip().to_string(), "2001:db8::7");
}

#[test]
fn a_mapped_identifier_can_be_pinged_and_the_host_answers() {
    let mut lab = Lab::new();
    let id = lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 128, 77)).sent().source.port();

    let ping = lab.outside(&echo("8.8.4.4", &POOL4.to_string(), 8, id)).sent();
    assert_eq!((ping.icmp, ping.source.port()), (Some((128, 0)), 77));
    let pong = lab.inside(&echo("2001:db8::7", "64:ff9b::808:404", 129, 77)).sent();
    assert_eq!((pong.icmp, pong.source.port()), (Some((0, 0)), id));
}

#[test]
fn an_echo_reply_starts_nothing() {
    let mut lab = Lab::new();

    assert_eq!(lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 129, 77)).dropped(), DropReason::NoSession);
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn the_same_inside_endpoint_has_one_port_for_every_destination_and_one_per_protocol() {
    let mut lab = Lab::new();

    let first = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    let second = lab.inside(&udp(WEB, &via("8.8.8.8:4242"), b"")).sent().source;
    lab.inside(&tcp(WEB, &via(DNS), "S")).sent();

    assert_eq!(first, second);
    let sizes = lab.engine.table_sizes();
    assert_eq!((sizes.udp.bib_entries, sizes.udp.sessions, sizes.tcp.bib_entries), (1, 2, 1));
}

#[test]
fn traffic_class_is_kept_and_the_hop_limit_counts_down_both_ways() {
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"");
    (out[0], out[1], out[7]) = (0x6b, 0x9a, 2);
    let outer = lab.inside(&out).sent();
    assert_eq!((outer.traffic_class, outer.hop_limit), (0xb9, 1));

    let answer = with_ipv4(udp(DNS, &outer.source.to_string(), b""), |ip| {
        (ip.dscp, ip.ecn) = (0x2e.try_into().unwrap(), 1.try_into().unwrap());
        ip.time_to_live = 200;
    });
    let back = lab.outside(&answer).sent();
    assert_eq!((back.traffic_class, back.hop_limit), (0xb9, 199));
}

#[test]
fn from_outside_only_what_is_mapped_gets_in() {
    let mut lab = Lab::new();
    let pool = format!("{POOL4}:5000");

    assert_eq!(lab.outside(&udp(DNS, &pool, b"")).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.outside(&tcp(DNS, &pool, "SA")).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 8, 5000)).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.outside(&udp(DNS, "192.0.2.9:5000", b"")).dropped(), DropReason::DestinationOutsidePool4);
    assert!(lab.transmits().is_empty(), "nobody outside is answered");
}

#[test]
fn anybody_may_send_to_a_mapped_port_when_filtering_is_endpoint_independent() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    assert_eq!(lab.outside(&udp("8.8.8.8:1", &outer, b"")).sent().destination, at(WEB));
}

#[test]
fn only_known_addresses_may_send_when_filtering_by_address_whatever_their_port() {
    let mut lab = Lab::with(|config| config.filtering = Filtering::AddressDependent);
    let udp_outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let tcp_outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source.to_string();

    assert_eq!(lab.outside(&udp("9.9.9.9:9999", &udp_outer, b"")).sent().destination, at(WEB));
    assert_eq!(lab.outside(&udp("8.8.8.8:53", &udp_outer, b"")).dropped(), DropReason::FilteredByAddress);
    assert_eq!(lab.outside(&tcp("8.8.8.8:443", &tcp_outer, "SA")).dropped(), DropReason::FilteredByAddress);
    assert_eq!(lab.outside(&tcp("1.1.1.1:9999", &tcp_outer, "S")).sent().destination, at(WEB));
}

#[test]
fn segments_that_open_nothing_need_a_mapping_inside_and_a_session_outside() {
    let mut lab = Lab::new();
    assert_eq!(lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "A")).dropped(), DropReason::NoSession);

    let outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source;
    // RFC 6146 §3.5.2.2, CLOSED: forwarded, and nothing remembered.
    assert_eq!(lab.inside(&tcp(WEB, &via("1.0.0.1:443"), "A")).sent().source, outer);
    assert_eq!(lab.outside(&tcp("1.0.0.1:443", &outer.to_string(), "A")).dropped(), DropReason::NoSession);
    assert_eq!(lab.engine.table_sizes().tcp.sessions, 1);
}

#[test]
fn a_missing_checksum_is_made_for_ipv6() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let mut answer = udp(DNS, &outer, b"without a checksum");
    answer[26..28].fill(0);

    let back = lab.outside(&answer).bytes();

    assert_ne!(back[46..48], [0, 0]);
    assert_eq!(see(&back).payload, b"without a checksum");
}

#[test]
fn a_checksum_that_becomes_zero_is_sent_as_all_ones() {
    let mut lab = Lab::new();
    let first = lab.inside(&udp(WEB, &via(DNS), &[0, 0])).bytes();
    // What the checksum was, added to the sum, makes it zero.
    let balance = [first[26], first[27]];

    let bytes = lab.inside(&udp(WEB, &via(DNS), &balance)).bytes();

    assert_eq!(bytes[26..28], [0xff, 0xff]);
    assert_eq!(see(&bytes).payload, balance);
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"damaged");
    out[46] ^= 1;

    let bytes = lab.inside(&out).bytes();

    assert_ne!(crate::lab::transport_checksum(&bytes), 0);
}

#[test]
fn padding_behind_the_packet_is_cut_off() {
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"x");
    out.extend([0; 15]);

    let seen = lab.inside(&out).sent();

    assert_eq!((seen.len, seen.payload), (29, b"x".to_vec()));
}

#[test]
fn options_of_ipv4_are_left_behind() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    for options in [[7, 4, 4, 0], [1, 1, 1, 1], [7, 0, 0, 0], [148, 200, 0, 0]] {
        let answer = with_ipv4(udp(DNS, &outer, b"x"), |ip| ip.options = options.into());

        assert_eq!(lab.outside(&answer).sent().payload, b"x");
    }
}

#[test]
fn forty_bytes_of_options_are_left_behind_too() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let answer = with_ipv4(udp(DNS, &outer, b"x"), |ip| ip.options = [1; 40].into());

    assert_eq!(lab.outside(&answer).sent().payload, b"x");
}

#[test]
fn extension_headers_and_atomic_fragment_headers_are_left_behind() {
    let mut lab = Lab::new();
    let plain = udp(WEB, &via(DNS), b"x");
    for (number, header) in
        [(0, [17, 0, 1, 4, 0, 0, 0, 0]), (60, [17, 0, 1, 4, 0, 0, 0, 0]), (44, [17, 0, 0, 0, 0, 0, 0, 9])]
    {
        let mut extended = [&plain[..40], &header, &plain[40..]].concat();
        extended[5] += 8;
        extended[6] = number;

        let seen = lab.inside(&extended).sent();

        assert_eq!((seen.len, seen.payload), (29, b"x".to_vec()));
    }
}

#[test]
fn short_packets_may_be_fragmented_later_and_long_ones_not() {
    let mut lab = Lab::new();
    // RFC 7915 §5.1: DF stays clear up to 1260 bytes.
    let short = lab.inside(&udp(WEB, &via(DNS), &[1; 1260 - 28])).sent();
    let long = lab.inside(&udp(WEB, &via(DNS), &[1; 1261 - 28])).sent();

    assert_eq!((short.len, short.dont_fragment), (1260, false));
    assert_eq!((long.len, long.dont_fragment), (1261, true));
}

#[test]
fn packets_that_may_be_fragmented_have_identifications_of_their_own() {
    let mut lab = Lab::new();
    let identification = |lab: &mut Lab| lab.inside(&udp(WEB, &via(DNS), b"")).bytes()[4..6].to_vec();

    let (first, second) = (identification(&mut lab), identification(&mut lab));

    assert_ne!(first, second);
    let long = lab.inside(&udp(WEB, &via(DNS), &[1; 1261 - 28])).bytes();
    assert_eq!(long[4..6], [0, 0], "RFC 6864 §4.1: DF is set");
}

#[test]
fn what_was_forwarded_is_counted_both_ways() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"12")).sent().source.to_string();
    lab.outside(&udp(DNS, &outer, b"123456")).sent();

    let stats = lab.engine.stats();
    assert_eq!((stats.outgoing.packets, stats.outgoing.bytes), (1, 30));
    assert_eq!((stats.incoming.packets, stats.incoming.bytes), (1, 54));
}
