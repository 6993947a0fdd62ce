//! pool6 of several prefixes: the inside is answered from the one it has spoken to.

use std::time::Duration;

use nat64::{DropReason, Protocol, Side, StaticMapping, TcpState};

use crate::lab::{Lab, Outcome, POOL4, at, echo, icmp, tcp, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const WEB_ADDRESS: &str = "2001:db8:1:2::7";
const BOB: &str = "[2001:db8:1:3::7]:40002";
const DNS: &str = "9.9.9.9:53";
/// The same endpoint in the second prefix and in the third, which is inside the second.
const DNS_IN_SECOND: &str = "[2001:db8:64:909:9:900::]:53";
const DNS_IN_THIRD: &str = "[2001:db8:64::909:909]:53";
const PREFIXES: [&str; 3] = ["64:ff9b::/96", "2001:db8:64::/48", "2001:db8:64::/96"];

fn lab() -> Lab {
    Lab::with(|config| config.pool6 = PREFIXES.map(|prefix| prefix.parse().unwrap()).to_vec())
}

#[test]
fn the_inside_is_answered_from_the_prefix_it_has_spoken_to() {
    for to in [via(DNS).as_str(), DNS_IN_SECOND, DNS_IN_THIRD] {
        let mut lab = lab();
        let out = lab.inside(&udp(WEB, to, b"")).sent();
        assert_eq!(out.destination, at(DNS));

        assert_eq!(lab.outside(&udp(DNS, &out.source.to_string(), b"")).sent().source, at(to));
    }
}

#[test]
fn connections_and_echoes_keep_their_prefix_too() {
    let mut lab = lab();
    let outer = lab.inside(&tcp(WEB, DNS_IN_SECOND, "S")).sent().source.to_string();
    assert_eq!(lab.outside(&tcp(DNS, &outer, "SA")).sent().source, at(DNS_IN_SECOND));

    let ping = lab.inside(&echo(WEB_ADDRESS, "2001:db8:64::909:909", 128, 77)).sent();
    let pong = lab.outside(&echo("9.9.9.9", &POOL4.to_string(), 0, ping.source.port())).sent();
    assert_eq!(pong.source.ip(), at(DNS_IN_THIRD).ip());
}

#[test]
fn one_remote_under_two_prefixes_is_one_session_which_answers_from_the_one_used_last() {
    let mut lab = lab();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    for to in [DNS_IN_SECOND, &via(DNS), DNS_IN_THIRD] {
        assert_eq!(lab.inside(&udp(WEB, to, b"")).sent().source, outer, "RFC 4787 REQ-1");
        assert_eq!(lab.outside(&udp(DNS, &outer.to_string(), b"")).sent().source, at(to));
    }
    assert_eq!(lab.sizes(), (1, 1));
}

#[test]
fn who_starts_from_outside_is_seen_under_the_first_prefix_until_the_inside_says_otherwise() {
    let mut lab = lab();
    let outer = lab.inside(&udp(WEB, DNS_IN_SECOND, b"")).sent().source.to_string();

    assert_eq!(lab.outside(&udp("8.8.8.8:53", &outer, b"")).sent().source, at(&via("8.8.8.8:53")));
    lab.inside(&udp(WEB, "[2001:db8:64:808:8:800::]:53", b"")).sent();
    assert_eq!(lab.outside(&udp("8.8.8.8:53", &outer, b"")).sent().source, at("[2001:db8:64:808:8:800::]:53"));
}

#[test]
fn a_mapping_made_by_hand_lets_the_outside_in_under_the_first_prefix() {
    let mut lab = lab();
    let outer = std::net::SocketAddrV4::new(POOL4, 8000);
    lab.engine.add_mapping(lab.now, StaticMapping { protocol: Protocol::Tcp, outer, inner: at(WEB) }).unwrap();

    assert_eq!(lab.outside(&tcp(DNS, &outer.to_string(), "S")).sent().source, at(&via(DNS)));
}

#[test]
fn an_error_from_outside_comes_from_the_prefix_and_quotes_it() {
    let mut lab = lab();
    let mut original = udp(WEB, DNS_IN_SECOND, b"question");
    let sent = lab.inside(&original).bytes();

    let error = lab.outside(&icmp("172.20.0.1", &POOL4.to_string(), (11, 0), [0; 4], &sent)).sent();

    original[7] -= 1;
    assert_eq!(error.payload, original);
    assert_eq!(error.source.ip().to_string(), "2001:db8:64:ac14:0:100::");
}

#[test]
fn an_error_from_inside_may_quote_any_prefix() {
    let mut lab = lab();
    let outer = lab.inside(&udp(WEB, DNS_IN_SECOND, b"")).sent().source;
    let received = lab.outside(&udp(DNS, &outer.to_string(), b"answer")).bytes();

    let to = at(DNS_IN_SECOND).ip().to_string();
    let error = lab.inside(&icmp(WEB_ADDRESS, &to, (1, 4), [0; 4], &received)).sent();

    assert_eq!((error.icmp, error.destination.ip()), (Some((3, 3)), at(DNS).ip()));
}

#[test]
fn a_silent_connection_is_asked_from_its_prefix() {
    let mut lab = lab();
    let outer = lab.inside(&tcp(WEB, DNS_IN_THIRD, "S")).sent().source.to_string();
    lab.outside(&tcp(DNS, &outer, "SA")).sent();

    lab.pass(Duration::from_secs(7440));

    assert_eq!(lab.reply().1.source, at(DNS_IN_THIRD));
}

#[test]
fn peers_reach_one_another_through_any_prefix() {
    let mut lab = lab();
    let bob = lab.inside(&udp(BOB, DNS_IN_SECOND, b"")).sent().source;
    let in_third = format!("[2001:db8:64::c000:201]:{}", bob.port());

    let seen = lab.hairpinned(&udp(WEB, &in_third, b"x"));
    assert_eq!((seen.source.ip(), seen.destination), (at(&via("192.0.2.1:1")).ip(), at(BOB)));
    let back = lab.hairpinned(&udp(BOB, &seen.source.to_string(), b"y"));
    assert_eq!((back.source, back.destination), (at(&in_third), at(WEB)));

    // A packet too big on the way back, from a router: it quotes what was received.
    let received = lab.hairpinned_bytes(&udp(BOB, &seen.source.to_string(), &[7; 1300]));
    let to = in_third.parse::<std::net::SocketAddrV6>().unwrap().ip().to_string();
    let error = lab.hairpinned(&icmp("2001:db8:9::1", &to, (2, 0), 1280_u32.to_be_bytes(), &received));
    assert_eq!((error.icmp, error.destination.ip()), (Some((2, 0)), at(BOB).ip()));
}

#[test]
fn policy_holds_in_every_prefix() {
    let mut lab = lab();
    for to in ["[2001:db8:64:a00:0:100::]:80", "[2001:db8:64::10.0.0.1]:80", "[64:ff9b::10.0.0.1]:80"] {
        assert_eq!(lab.inside(&udp(WEB, to, b"")).dropped(), DropReason::DestinationNotGlobal, "{to}");
        let (side, error) = lab.reply();
        assert_eq!(
            (side, error.icmp, error.source.ip().to_string()),
            (Side::Inside, Some((1, 1)), "fd64:ff9b::1".into())
        );
    }
    for from in ["[2001:db8:64:a00:0:100::]:80", "[2001:db8:64::10.0.0.1]:80", "[64:ff9b::8.8.8.8]:80"] {
        assert_eq!(lab.inside(&udp(from, &via(DNS), b"")).dropped(), DropReason::SourceInPool6, "{from}");
    }
    assert_eq!(lab.inside(&udp(WEB, "[2001:db8:65::10.0.0.1]:80", b"")).dropped(), DropReason::DestinationOutsidePool6);
    let inner = at("[2001:db8:64::7]:80");
    let outer = std::net::SocketAddrV4::new(POOL4, 8000);
    assert!(lab.engine.add_mapping(lab.now, StaticMapping { protocol: Protocol::Tcp, outer, inner }).is_err());
}

#[test]
fn a_prefix_that_goes_takes_its_sessions_along_and_no_others() {
    let mut lab = lab();
    let outer = lab.inside(&udp(WEB, DNS_IN_SECOND, b"")).sent().source.to_string();
    lab.inside(&udp(WEB, &via("8.8.8.8:53"), b"")).sent();
    lab.inside(&udp("198.18.0.7:40001", DNS, b"")).sent();

    // The first goes, the second becomes the first, and the third the last.
    lab.reconfigure(|config| {
        config.pool6 =
            ["2001:db8:64::/48", "2001:db8:65::/96", "2001:db8:64::/96"].map(|net| net.parse().unwrap()).to_vec();
    });

    assert_eq!(lab.sizes(), (2, 2));
    assert_eq!(lab.outside(&udp(DNS, &outer, b"")).sent().source, at(DNS_IN_SECOND));
    assert_eq!(lab.inside(&udp(WEB, &via(DNS), b"")).dropped(), DropReason::DestinationOutsidePool6);
    assert_eq!(lab.outside(&udp("8.8.4.4:53", &outer, b"")).sent().source, at("[2001:db8:64:808:4:400::]:53"));
}

#[test]
fn fragments_are_answered_from_the_prefix_of_their_datagram() {
    let mut lab = lab();
    let whole = udp(WEB, DNS_IN_THIRD, &[1; 100]);
    let sent = lab.feed(Side::Inside, &crate::trains::cut(&whole, &[48], 7));
    let outer = crate::lab::see(&crate::trains::join(&sent)).source.to_string();

    assert_eq!(lab.outside(&udp(DNS, &outer, b"")).sent().source, at(DNS_IN_THIRD));
}

#[test]
fn simultaneous_open_answers_from_the_prefix_of_the_inside() {
    let mut lab = Lab::with(|config| {
        config.pool6 = PREFIXES.map(|prefix| prefix.parse().unwrap()).to_vec();
        config.pool4[0].ports = 5001..=5001;
    });
    assert_eq!(lab.outside(&tcp(DNS, "192.0.2.1:5001", "S")), Outcome::Taken);

    lab.inside(&tcp(WEB, DNS_IN_SECOND, "S")).sent();

    assert_eq!(lab.outside(&tcp(DNS, "192.0.2.1:5001", "SA")).sent().source, at(DNS_IN_SECOND));
    assert_eq!(lab.engine.sessions(lab.now).next().unwrap().state, Some(TcpState::Established));
}
