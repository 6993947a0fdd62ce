//! Packets that are whole and have a fragment header all the same (RFC 6946, RFC 7915 §5.1.1).

use nat64::Side;
use packet::ipv6::Fragment;

use crate::lab::{Lab, at, icmp, is_fragment, see, udp, via};
use crate::trains::{fragment, part};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

/// A datagram from inside behind such a header.
fn atomic(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let whole = udp(from, to, payload);
    let place = Fragment { offset_bytes: 0, more: false, identification: 0xdead_beef };
    fragment(&whole[..40], &whole[40..], place)
}

fn identification(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[4], bytes[5]])
}

#[test]
fn they_are_whole_in_isolation() {
    // Requirement 10, RFC 6946 §4: no matter what waits under the same identification.
    let mut lab = Lab::new();
    lab.inside(&part(&udp(WEB, &via(DNS), &[1; 100]), (0, 48), 0xdead_beef));

    let sent = lab.inside(&atomic(WEB, &via(DNS), b"x")).bytes();

    assert!(!is_fragment(&sent));
    assert_eq!(see(&sent).payload, b"x");
}

#[test]
fn they_keep_their_identification_and_may_be_fragmented_however_long_they_are() {
    let mut lab = Lab::new();

    for len in [1, 1000, 1400] {
        let sent = lab.inside(&atomic(WEB, &via(DNS), &vec![1; len])).bytes();

        assert_eq!((identification(&sent), see(&sent).dont_fragment), (0xbeef, false), "{len}");
    }
}

#[test]
fn beyond_the_next_link_they_are_fragmented_under_that_identification() {
    let mut lab = Lab::with(|config| config.mtu4 = 1300);

    let first = lab.inside(&atomic(WEB, &via(DNS), &[1; 1400])).bytes();

    let rest = lab.transmits();
    assert_eq!(rest.len(), 1);
    assert_eq!([identification(&first), identification(&rest[0].bytes)], [0xbeef; 2]);
}

#[test]
fn between_peers_they_are_packets_like_others() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    let back = lab.hairpinned(&atomic("[2001:db8:3:4::9]:50001", &via(&outer), &[1; 1350]));

    assert_eq!((back.destination, back.payload.len()), (at(WEB), 1350));
}

#[test]
fn an_error_that_quotes_one_quotes_what_the_outside_sent() {
    // RFC 7915 §5.3: the quoted header is translated like any other.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    let received = atomic(&via(DNS), WEB, b"x");

    let error = icmp("2001:db8:1:2::7", &at(&via(DNS)).ip().to_string(), (1, 4), [0; 4], &received);
    let (outcome, _) = lab.handle(Side::Inside, &error, packet::Offload::default());
    let quote = outcome.sent().payload;

    assert_eq!((identification(&quote), quote[6..8].to_vec()), (0xbeef, vec![0, 0]));
    assert_eq!(quote[22..24], outer.port().to_be_bytes());
}

#[test]
fn an_error_that_is_one_keeps_its_identification_too() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let received = lab.outside(&udp(DNS, &outer, b"x")).bytes();
    let whole = icmp("2001:db8:1:2::7", &at(&via(DNS)).ip().to_string(), (1, 4), [0; 4], &received);
    let place = Fragment { offset_bytes: 0, more: false, identification: 0xdead_beef };

    let error = lab.inside(&fragment(&whole[..40], &whole[40..], place)).bytes();

    assert_eq!((identification(&error), see(&error).dont_fragment), (0xbeef, false));
}
