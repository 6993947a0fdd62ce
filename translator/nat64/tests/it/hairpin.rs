//! From one peer to another through pool4 (RFC 6146 §3.8, RFC 4787 REQ-9).

use std::time::Duration;

use nat64::{DropReason, Filtering, Hairpinning, Side};
use packet::{Checksum, Offload, SegmentKind, Segments};

use crate::lab::{Lab, POOL4, at, echo, icmp, see, tcp, udp, via, with_ipv4};
use crate::trains::{cut, join};

const ALICE: &str = "[2001:db8:1:2::7]:40001";
const BOB: &str = "[2001:db8:3:4::9]:50001";
const CAROL: &str = "198.18.0.7:40001";
const DNS: &str = "9.9.9.9:53";

/// The outside endpoint of a peer that has spoken to somebody.
fn outer(lab: &mut Lab, inner: &str) -> String {
    let to = if inner.starts_with('[') { via(DNS) } else { DNS.to_owned() };
    lab.inside(&udp(inner, &to, b"")).sent().source.to_string()
}

#[test]
fn a_datagram_to_a_mapped_port_goes_back_in_from_the_outside_endpoint_of_its_sender() {
    let mut lab = Lab::new();
    let (alice, bob) = (outer(&mut lab, ALICE), outer(&mut lab, BOB));

    let there = lab.hairpinned(&udp(ALICE, &via(&bob), b"hello"));
    assert_eq!((there.source, there.destination, there.hop_limit), (at(&via(&alice)), at(BOB), 63));
    assert_eq!(there.payload, b"hello");
    let back = lab.hairpinned(&udp(BOB, &there.source.to_string(), b"hi"));
    assert_eq!((back.source, back.destination), (at(&via(&bob)), at(ALICE)));
    assert_eq!(lab.engine.stats().hairpinned.packets, 2);
}

#[test]
fn peers_of_both_families_meet_there() {
    let mut lab = Lab::new();
    let (alice, carol) = (outer(&mut lab, ALICE), outer(&mut lab, CAROL));

    let there = lab.hairpinned(&udp(ALICE, &via(&carol), b"six"));
    assert_eq!((there.source, there.destination), (at(&alice), at(CAROL)));
    let back = lab.hairpinned(&udp(CAROL, &alice, b"four"));
    assert_eq!((back.source, back.destination), (at(&via(&carol)), at(ALICE)));
    let own = lab.hairpinned(&udp(CAROL, &carol, b"self"));
    assert_eq!((own.source, own.destination), (at(&carol), at(CAROL)));
}

#[test]
fn fragments_between_peers_go_back_in_as_fragments() {
    // Requirement 101.
    let mut lab = Lab::new();
    let (alice, bob, carol) = (outer(&mut lab, ALICE), outer(&mut lab, BOB), outer(&mut lab, CAROL));
    let payload: Vec<u8> = (0..2000).map(|at| (at % 251) as u8).collect();
    let trains = [
        (udp(ALICE, &via(&bob), &payload), via(&alice), BOB),
        (udp(ALICE, &via(&carol), &payload), alice.clone(), CAROL),
        (udp(CAROL, &alice, &payload), via(&carol), ALICE),
    ];

    for (whole, source, destination) in trains {
        for fragment in cut(&whole, &[600, 1200], 7).iter().rev() {
            assert_eq!(lab.inside(fragment), crate::lab::Outcome::Taken);
        }
        let back = lab.transmits();

        assert!(back.len() == 3 && back.iter().all(|transmit| transmit.side == Side::Inside));
        let seen = see(&join(&back.into_iter().map(|transmit| transmit.bytes).collect::<Vec<_>>()));
        assert_eq!((seen.source, seen.destination, seen.hop_limit), (at(&source), at(destination), 63));
        assert_eq!(seen.payload, payload);
    }
}

#[test]
fn a_connection_between_peers_opens_and_carries() {
    let mut lab = Lab::new();
    let bob = lab.inside(&tcp(BOB, &via("1.1.1.1:443"), "S")).sent().source.to_string();

    let syn = lab.hairpinned(&tcp(ALICE, &via(&bob), "S"));
    let answer = lab.hairpinned(&tcp(BOB, &syn.source.to_string(), "SA"));
    assert_eq!((answer.source, answer.destination), (at(&via(&bob)), at(ALICE)));
    lab.hairpinned(&tcp(ALICE, &via(&bob), "A"));

    let established =
        lab.engine.sessions(lab.now).filter(|session| session.state == Some(nat64::TcpState::Established)).count();
    assert_eq!(established, 2, "each end has its own session");
}

#[test]
fn an_echo_to_pool4_comes_back_once_and_does_not_loop() {
    let mut lab = Lab::new();
    let pool = at(&via(&format!("{POOL4}:0"))).ip().to_string();

    let ping = lab.hairpinned(&echo("2001:db8:1:2::7", &pool, 128, 77));
    assert_eq!((ping.icmp, ping.source.ip().to_string()), (Some((128, 0)), pool.clone()));
    assert_eq!((ping.destination.ip().to_string(), ping.source.port()), ("2001:db8:1:2::7".into(), 77));
    let pong = lab.hairpinned(&echo("2001:db8:1:2::7", &pool, 129, 77));
    assert_eq!((pong.icmp, pong.destination.ip().to_string()), (Some((129, 0)), "2001:db8:1:2::7".into()));
}

#[test]
fn twice_translated_a_packet_has_passed_one_router() {
    let mut lab = Lab::new();
    let bob = outer(&mut lab, BOB);
    let with_hops = |hops| {
        let mut packet = udp(ALICE, &via(&bob), b"x");
        packet[7] = hops;
        packet
    };

    for hops in [255, 2] {
        assert_eq!(lab.hairpinned(&with_hops(hops)).hop_limit, hops - 1);
    }
    assert_eq!(lab.inside(&with_hops(1)).dropped(), DropReason::HopLimitExceeded);
    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.payload), (Side::Inside, Some((3, 0)), with_hops(1)));
}

#[test]
fn an_error_about_a_hairpinned_packet_is_translated_twice() {
    let mut lab = Lab::new();
    let (alice, bob) = (outer(&mut lab, ALICE), outer(&mut lab, BOB));
    let sent = udp(ALICE, &via(&bob), &[7; 1300]);
    let received = lab.hairpinned_bytes(&sent);

    // RFC 4443 §3.2, from a router on the way to the receiver.
    let to = at(&via(&alice)).ip().to_string();
    let too_big = icmp("2001:db8:9::1", &to, (2, 0), 1280_u32.to_be_bytes(), &received);
    let error = lab.hairpinned(&too_big);

    assert_eq!((error.icmp, error.rest, error.hop_limit), (Some((2, 0)), 1280_u32.to_be_bytes(), 63));
    assert_eq!((error.source.ip(), error.destination.ip()), (at(&via(&bob)).ip(), at(ALICE).ip()));
    assert_eq!(error.payload[..7], sent[..7]);
    assert_eq!(error.payload[8..100], sent[8..100], "it quotes what was sent");
}

#[test]
fn whom_nobody_has_mapped_nobody_reaches() {
    let mut lab = Lab::new();
    let nobody = format!("{POOL4}:5000");

    assert_eq!(lab.inside(&udp(ALICE, &via(&nobody), b"x")).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.reply().1.icmp, Some((1, 4)));
    assert_eq!(lab.inside(&tcp(ALICE, &via(&nobody), "A")).dropped(), DropReason::NoSession);
    assert!(lab.transmits().is_empty());
}

#[test]
fn a_syn_that_no_peer_waits_for_is_answered_after_six_seconds_and_not_before() {
    // RFC 6146 §3.5.2.2 and §3.8, RFC 5382 REQ-4.
    let mut lab = Lab::new();
    let syn = tcp(ALICE, &via(&format!("{POOL4}:5000")), "S");

    assert_eq!(lab.inside(&syn), crate::lab::Outcome::Taken);
    lab.pass(Duration::from_secs(5));
    assert!(lab.transmits().is_empty());
    lab.pass(Duration::from_secs(1));

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.destination.ip()), (Side::Inside, Some((1, 4)), at(ALICE).ip()));
    assert_eq!(error.payload, syn);
}

#[test]
fn peers_that_open_to_one_another_at_once_have_one_connection() {
    let mut lab = Lab::new();
    let alice = lab.inside(&tcp(ALICE, &via("1.1.1.1:443"), "S")).sent().source.to_string();
    let bob = format!("{POOL4}:5000");

    assert_eq!(lab.inside(&tcp(ALICE, &via(&bob), "S")), crate::lab::Outcome::Taken);
    let syn = lab.hairpinned(&tcp(BOB, &via(&alice), "S"));

    assert_eq!((syn.source, syn.destination), (at(&via(&bob)), at(ALICE)), "from where it was expected");
    let answer = lab.hairpinned(&tcp(ALICE, &via(&bob), "SA"));
    assert_eq!((answer.source, answer.destination), (at(&via(&alice)), at(BOB)));
    lab.pass(Duration::from_secs(6));
    assert!(lab.transmits().is_empty());
}

#[test]
fn filtering_by_address_holds_between_peers_too() {
    let mut lab = Lab::with(|config| config.filtering = Filtering::AddressDependent);
    let (alice, bob) = (outer(&mut lab, ALICE), outer(&mut lab, BOB));

    assert_eq!(lab.inside(&udp(ALICE, &via(&bob), b"")).dropped(), DropReason::FilteredByAddress);
    lab.transmits();
    // Bob speaks to the address of Alice, who has spoken to it before: both are let in.
    lab.hairpinned(&udp(BOB, &via(&alice), b""));
    lab.hairpinned(&udp(ALICE, &via(&bob), b""));
}

#[test]
fn where_it_is_off_pool4_is_refused() {
    let mut lab = Lab::with(|config| config.hairpinning = Hairpinning::Off);
    let bob = outer(&mut lab, BOB);

    assert_eq!(lab.inside(&udp(ALICE, &via(&bob), b"")).dropped(), DropReason::HairpinningOff);
    assert_eq!(lab.reply().1.icmp, Some((1, 1)));
}

#[test]
fn a_super_packet_arrives_as_the_packets_it_stands_for() {
    let mut lab = Lab::new();
    let bob = outer(&mut lab, BOB);
    let bytes = udp(ALICE, &via(&bob), &[9; 2500]);
    let segments = Some(Segments { kind: SegmentKind::Udp, size_bytes: 1000 });

    let (outcome, _) = lab.handle(Side::Inside, &bytes, Offload { checksum: Checksum::Complete, segments });

    assert_eq!(outcome, crate::lab::Outcome::Taken);
    let lens: Vec<_> = lab.transmits().iter().map(|transmit| see(&transmit.bytes).payload.len()).collect();
    assert_eq!(lens, [1000, 1000, 500]);
    assert_eq!(lab.engine.stats().hairpinned.packets, 3);
}

#[test]
fn what_has_become_too_long_is_fragmented_or_answered() {
    let mut lab = Lab::new();
    let alice = outer(&mut lab, ALICE);
    let long = |df| with_ipv4(udp(CAROL, &alice, &[1; 1380]), |ip| ip.dont_fragment = df);

    assert_eq!(lab.inside(&long(true)).dropped(), DropReason::PacketTooBig);
    assert_eq!(lab.reply().1.rest, [0, 0, 5, 112]);
    assert_eq!(lab.inside(&long(false)), crate::lab::Outcome::Taken);
    assert_eq!(lab.transmits().len(), 2);
}
