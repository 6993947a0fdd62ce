//! ICMP errors with extensions (RFC 4884): carried to the other family, made for routers without an IPv4 address (RFC 6791).

use nat64::ErrorSource4;

use crate::errors::{lab_with_session, quoted};
use crate::lab::{Lab, POOL4, at, icmp, see, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const WEB_ADDRESS: &str = "2001:db8:1:2::7";
const DNS: &str = "9.9.9.9:53";

/// An MPLS label stack (RFC 4950) as an extension structure (RFC 4884).
const EXTENSIONS: [u8; 12] = [0x20, 0, 0xda, 0xf0, 0, 8, 1, 1, 1, 2, 3, 4];

/// The body of an error with extensions: the quote, padded to a length, and they.
fn extended(quote: &[u8], len: usize) -> Vec<u8> {
    let mut body = quote.to_vec();
    body.resize(len, 0);
    [&body[..], &EXTENSIONS].concat()
}

#[test]
fn extensions_from_outside_keep_their_place_in_units_of_eight() {
    // Requirement 57, RFC 7915 §4.2, RFC 4884 §4.
    let (mut lab, sent) = lab_with_session();
    let long = lab.inside(&udp(WEB, &via(DNS), &[7; 172])).bytes();
    let cases = [
        ((3, 1), &sent, 32, (1, 0), 16),
        ((11, 0), &sent, 33, (3, 0), 16),
        ((3, 3), &long, 50, (1, 4), (200 + 20) / 8),
    ];
    for (kind, quote, length, expected, length6) in cases {
        let body = extended(quote, length * 4);
        let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), kind, [0, length as u8, 0, 0], &body)).sent();

        assert_eq!((error.icmp, error.rest), (Some(expected), [length6 as u8, 0, 0, 0]));
        assert_eq!(error.payload.len(), length6 * 8 + EXTENSIONS.len());
        let (padded, extensions) = error.payload.split_at(length6 * 8);
        assert_eq!((extensions, quoted(padded).0), (&EXTENSIONS[..], at(WEB)));
        assert!(padded.iter().skip(quote.len() + 20).all(|byte| *byte == 0), "padding is zeros");
    }
}

#[test]
fn extensions_from_inside_keep_their_place_in_units_of_four_within_576_bytes() {
    // Requirements 57 and 66, RFC 7915 §5.2.
    let (mut lab, sent) = lab_with_session();
    let outer = see(&sent).source.to_string();
    for (payload_len, length6, length4) in [(10, 16, 32), (150, 25, 44), (1000, 131, 134)] {
        let received = lab.outside(&udp(DNS, &outer, &vec![7; payload_len])).bytes();
        let body = extended(&received, length6 * 8);

        let to = "64:ff9b::909:909";
        let error = lab.inside(&icmp("2001:db8:9::1", to, (1, 4), [length6 as u8, 0, 0, 0], &body)).sent();

        assert_eq!((error.icmp, error.rest), (Some((3, 3)), [0, length4, 0, 0]));
        let (padded, extensions) = error.payload.split_at(usize::from(length4) * 4);
        assert_eq!((extensions, quoted(padded).1), (&EXTENSIONS[..], at(&outer)));
        assert!(error.len <= 576);
    }
}

#[test]
fn extensions_towards_an_ipv4_peer_are_carried_too() {
    let mut lab = Lab::new();
    let sent = lab.inside(&udp("198.18.0.7:40001", DNS, b"question")).bytes();
    let body = extended(&sent, 128);

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (11, 0), [0, 32, 0, 0], &body)).sent();

    assert_eq!((error.rest, error.payload.len()), ([0, 32, 0, 0], 140));
    assert!(error.payload.ends_with(&EXTENSIONS));
}

/// What RFC 5837 makes of the address of a router: header, object, address.
fn interface_address(router: &str) -> Vec<u8> {
    let router: std::net::Ipv6Addr = router.parse().unwrap();
    [&[0, 24, 2, 4, 0, 2, 0, 0][..], &router.octets()].concat()
}

#[test]
fn errors_of_routers_come_from_a_pool_if_there_is_one_and_say_who_they_are() {
    // Requirement 63, RFC 6791.
    let pool: Vec<std::net::Ipv4Addr> = vec!["192.0.2.101".parse().unwrap(), "192.0.2.102".parse().unwrap()];
    let mut lab = Lab::with(|config| config.error_source4 = ErrorSource4::Pool(pool.clone()));
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let received = lab.outside(&udp(DNS, &outer, &[1; 100])).bytes();

    let mut sources = std::collections::BTreeSet::new();
    for router in (1..20).map(|host| format!("2001:db8:9::{host}")) {
        let error = icmp(&router, "64:ff9b::909:909", (3, 0), [0; 4], &received);
        let seen = lab.inside(&error).sent();
        let again = lab.inside(&error).sent();

        assert_eq!((seen.icmp, seen.destination.ip(), seen.rest), (Some((11, 0)), at(DNS).ip(), [0, 32, 0, 0]));
        assert_eq!(seen.source, again.source, "a router does not look like several");
        assert_eq!(quoted(&seen.payload[..128]), (at(DNS), at(&outer), 63));
        assert_eq!((&seen.payload[128..130], &seen.payload[132..]), (&[0x20, 0][..], &interface_address(&router)[..]));
        sources.insert(seen.source.ip());
    }
    assert_eq!(sources, pool.iter().map(|address| (*address).into()).collect());

    let own = lab.inside(&icmp(WEB_ADDRESS, "64:ff9b::909:909", (1, 4), [0; 4], &received)).sent();
    assert_eq!((own.source.ip(), own.rest), (POOL4.into(), [0; 4]), "the host has an address outside");
}

#[test]
fn the_object_of_a_router_stands_behind_its_own_and_only_where_there_is_room() {
    let pool = ErrorSource4::Pool(vec!["192.0.2.101".parse().unwrap()]);
    let mut lab = Lab::with(|config| config.error_source4 = pool);
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let received = lab.outside(&udp(DNS, &outer, b"answer")).bytes();
    let (router, to) = ("2001:db8:9::1", "64:ff9b::909:909");

    let labels = lab.inside(&icmp(router, to, (1, 0), [16, 0, 0, 0], &extended(&received, 128))).sent();
    assert_eq!((labels.payload.len(), &labels.payload[132..140]), (128 + 36, &EXTENSIONS[4..]));
    assert!(labels.payload.ends_with(&interface_address(router)));

    let long = lab.outside(&udp(DNS, &outer, &[1; 1000])).bytes();
    let too_big = lab.inside(&icmp(router, to, (2, 0), 1280_u32.to_be_bytes(), &long)).sent();
    assert_eq!((too_big.icmp, too_big.rest[2..].to_vec()), (Some((3, 4)), vec![4, 236]));
    assert!(too_big.payload.ends_with(&interface_address(router)) && too_big.len <= 576);
}

#[test]
fn errors_that_have_no_length_in_ipv6_lose_their_extensions_whole() {
    // Requirement 57: packet too big and parameter problem end with the quote (RFC 4884 §4).
    let (mut lab, sent) = lab_with_session();
    for (kind, rest) in [((3, 4), [0, 32, 5, 20]), ((3, 2), [0, 32, 0, 0]), ((12, 0), [9, 32, 0, 0])] {
        let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), kind, rest, &extended(&sent, 128))).sent();

        assert_eq!((error.payload.len(), error.rest[0]), (sent.len() + 20, 0), "{kind:?}");
    }
}

#[test]
fn extensions_that_leave_no_room_for_a_quote_are_cut_off_whole() {
    // Requirements 56 and 57.
    let (mut lab, sent) = lab_with_session();
    let body = [extended(&sent, 128), vec![9; 1200]].concat();

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (11, 0), [0, 32, 0, 0], &body)).sent();

    assert_eq!((error.rest, error.payload.len()), ([0; 4], sent.len() + 20));
}
