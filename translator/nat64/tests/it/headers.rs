//! Header chains and options: what is skipped, what is refused (RFC 7915 §4.1, §5.1, §5.1.1).

use nat64::{DropReason, Side};

use crate::lab::{Lab, POOL4, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

/// A datagram behind extension headers, the first of which has this number.
fn extended(first: u8, headers: &[u8]) -> Vec<u8> {
    let plain = udp(WEB, &via(DNS), b"x");
    let mut bytes = [&plain[..40], headers, &plain[40..]].concat();
    (bytes[5], bytes[6]) = (bytes[5] + headers.len() as u8, first);
    bytes
}

#[test]
fn whatever_extends_the_chain_behind_a_fragment_header_is_refused() {
    // Requirements 11 and 12, RFC 7915 §5.1.1.
    for next in [0, 43, 44, 60] {
        for more in [0, 1] {
            let mut lab = Lab::new();
            let bytes = extended(44, &[next, 0, 0, more, 0, 0, 0, 7, 17, 0, 0, 0, 0, 0, 0, 0]);

            assert_eq!(lab.inside(&bytes).dropped(), DropReason::Malformed, "{next}");
            assert_eq!(lab.engine.poll_timeout(), None);
            match next {
                // Whatever that is, nobody sends it by mistake.
                44 => assert!(lab.transmits().is_empty()),
                _ => assert_eq!((lab.reply().1.icmp, lab.transmits().len()), (Some((1, 1)), 0), "{next}, §5.4"),
            }
        }
    }
}

#[test]
fn no_error_is_answered_whatever_stands_in_front_of_it() {
    // RFC 4443 §2.4 (e.1): an error behind a destination options header behind a fragment header; a later fragment.
    for (low, kind) in [(1, 1), (9, 128)] {
        let mut lab = Lab::new();
        let mut bytes = extended(44, &[60, 0, 0, low, 0, 0, 0, 7, 58, 0, 1, 4, 0, 0, 0, 0]);
        bytes[40 + 16] = kind;

        assert_eq!(lab.inside(&bytes).dropped(), DropReason::Malformed);
        assert!(lab.transmits().is_empty());
    }
}

#[test]
fn a_chain_or_a_transport_header_beyond_the_packet_is_refused() {
    // Requirement 12.
    let mut lab = Lab::new();
    for headers in [&[17, 9, 1, 4, 0, 0, 0, 0][..], &[60, 0, 1, 4, 0, 0, 0, 0, 17, 2, 1, 4, 0, 0, 0, 0]] {
        assert_eq!(lab.inside(&extended(60, headers)).dropped(), DropReason::Malformed);
    }
    let mut cut = udp(WEB, &via(DNS), b"");
    cut[5] = 7;
    assert_eq!(lab.inside(&cut).dropped(), DropReason::Malformed);
}

#[test]
fn protocols_that_are_headers_in_ipv6_stay_out_of_it() {
    // Requirement 31; RFC 6146 §3.4 asks for the error.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    for protocol in [0, 43, 44, 58, 60] {
        let bytes = with_ipv4(udp(DNS, &outer, &[17; 20]), |ip| ip.protocol = protocol.into());

        assert_eq!(lab.outside(&bytes).dropped(), DropReason::ProtocolNotSupported, "{protocol}");
        let (side, error) = lab.reply();
        assert_eq!((side, error.icmp), (Side::Outside, Some((3, 2))));
    }
    let mut bytes = udp(WEB, &via(DNS), b"x");
    bytes[6] = 1;
    assert_eq!(lab.inside(&bytes).dropped(), DropReason::ProtocolNotSupported);
    assert_eq!(lab.reply().1.icmp, Some((1, 4)));
}

#[test]
fn every_option_but_an_unexpired_source_route_is_skipped() {
    // Requirements 21 and 22.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    for kind in 0..=255 {
        let with = |pointer| {
            let option = [kind, 11, pointer, 10, 0, 0, 1, 10, 0, 0, 2, 0];
            with_ipv4(udp(DNS, &outer, b"x"), |ip| ip.options = option.into())
        };
        let is_source_route = matches!(kind, 131 | 137);

        assert_eq!(lab.outside(&with(12)).sent().payload, b"x", "an expired one says nothing any more");
        let outcome = lab.outside(&with(8));
        if is_source_route {
            assert_eq!(outcome.dropped(), DropReason::SourceRoute);
            assert_eq!(lab.reply().1.icmp, Some((3, 5)));
        } else {
            assert_eq!(outcome.sent().payload, b"x", "{kind}");
        }
    }
}

#[test]
fn options_of_impossible_length_end_the_walk() {
    // Requirement 23.
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    for option in [[7, 0, 131, 4], [7, 1, 131, 4], [7, 255, 131, 4], [1, 1, 1, 131], [1, 1, 131, 7]] {
        let bytes = with_ipv4(udp(DNS, &outer, b"x"), |ip| ip.options = option.into());

        assert_eq!(lab.outside(&bytes).sent().payload, b"x", "{option:?}");
    }
}

#[test]
fn a_source_route_is_refused_on_fragments_too() {
    let mut lab = Lab::new();
    let bytes = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), &[1; 8]), |ip| {
        ip.options = [137, 7, 4, 10, 0, 0, 1, 0].into();
        ip.more_fragments = true;
    });

    assert_eq!(lab.outside(&bytes).dropped(), DropReason::SourceRoute);
    assert_eq!(lab.engine.poll_timeout(), None);
}

/// Every sequence of these headers, up to four.
fn chains() -> Vec<Vec<u8>> {
    let mut chains: Vec<Vec<u8>> = vec![vec![]];
    let mut shorter = chains.clone();
    for _ in 0..4 {
        shorter = shorter.iter().flat_map(|chain| [0_u8, 43, 60].map(|next| [&chain[..], &[next]].concat())).collect();
        chains.extend(shorter.clone());
    }
    chains
}

/// The bytes of a chain whose last header is followed by `last`; a routing header has no segments left.
fn chain(headers: &[u8], last: u8) -> Vec<u8> {
    let following = headers.iter().skip(1).copied().chain([last]);
    headers.iter().zip(following).flat_map(|(_, next)| [next, 0, 0, 0, 0, 0, 0, 0]).collect()
}

#[test]
fn headers_that_are_for_routers_and_hosts_are_left_behind_in_any_number_and_order() {
    // Requirement 4, RFC 7915 §5.1: they MUST be ignored.
    let mut lab = Lab::new();
    for headers in chains() {
        let first = headers.first().copied().unwrap_or(17);

        let seen = lab.inside(&extended(first, &chain(&headers, 17))).sent();

        assert_eq!((seen.len, seen.payload), (29, b"x".to_vec()), "{headers:?}");
    }
}

#[test]
fn a_route_that_is_not_finished_is_pointed_at_behind_any_number_of_headers() {
    // Requirement 8: the pointer is that of segments left, of the first header that has some.
    let mut lab = Lab::with(|config| config.pool4[0].ports = 1024..=65535);
    for headers in chains() {
        let at = 40 + 8 * headers.len() as u32 + 3;
        let first = headers.first().copied().unwrap_or(43);
        let bytes = extended(first, &[&chain(&headers, 43)[..], &[17, 0, 0, 1, 0, 0, 0, 0]].concat());

        assert_eq!(lab.inside(&bytes).dropped(), DropReason::RoutingHeader);

        let (side, error) = lab.reply();
        assert_eq!((side, error.icmp, error.rest), (Side::Inside, Some((4, 0)), at.to_be_bytes()), "{headers:?}");
        lab.pass(std::time::Duration::from_secs(1));
    }
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn a_routing_header_of_any_type_counts_by_its_segments() {
    // RFC 8200 §4.4, RFC 7915 §5.1.
    let mut lab = Lab::new();
    for kind in [0, 2, 3, 4, 253] {
        let with = |left| extended(43, &[17, 1, kind, left, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);

        assert_eq!(lab.inside(&with(0)).sent().payload, b"x");
        assert_eq!(lab.inside(&with(9)).dropped(), DropReason::RoutingHeader);
    }
}

#[test]
fn options_that_a_router_does_not_know_are_ignored_whatever_they_ask_for() {
    // RFC 7915 §5.1 ignores the header, RFC 8200 §4.3 lets routers do so: the two high bits of an option mean nothing here.
    let mut lab = Lab::new();
    for action in [0x1e, 0x5e, 0x9e, 0xde] {
        for header in [0, 60] {
            assert_eq!(lab.inside(&extended(header, &[17, 0, action, 4, 1, 2, 3, 4])).sent().payload, b"x");
        }
    }
}

#[test]
fn what_is_neither_a_header_nor_a_protocol_of_ours_is_refused_behind_headers_too() {
    // Requirement 41: encapsulation, security, nothing at all, numbers nobody has.
    let mut lab = Lab::new();
    for number in [4, 41, 47, 50, 51, 59, 132, 135, 136, 139, 140, 253] {
        for headers in [&[][..], &[0], &[0, 60, 60]] {
            let first = headers.first().copied().unwrap_or(number);

            let outcome = lab.inside(&extended(first, &chain(headers, number)));

            assert_eq!(outcome.dropped(), DropReason::ProtocolNotSupported, "{number}");
            assert_eq!(lab.reply().1.icmp, Some((1, 4)), "{number}");
            lab.pass(std::time::Duration::from_secs(1));
        }
    }
}
