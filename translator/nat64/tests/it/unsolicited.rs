//! What the outside sends unasked: SYNs that wait for one from inside (RFC 6146 §3.5.2.2, RFC 5382 REQ-4), and the rest.

use std::time::Duration;

use nat64::{DropReason, Filtering, Side, TcpState, Unsolicited};

use crate::lab::{Lab, Outcome, POOL4, at, echo, tcp, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const REMOTE: &str = "9.9.9.9:443";
const SIX_SECONDS: Duration = Duration::from_secs(6);

fn pool(port: u16) -> String {
    format!("{POOL4}:{port}")
}

#[test]
fn a_syn_that_nobody_waits_for_is_answered_after_six_seconds_and_not_before() {
    let mut lab = Lab::new();
    let syn = tcp(REMOTE, &pool(5001), "S");
    assert_eq!(lab.outside(&syn), Outcome::Taken);
    assert_eq!(lab.engine.poll_timeout(), Some(lab.now + SIX_SECONDS));

    lab.pass(SIX_SECONDS - Duration::from_millis(1));
    assert!(lab.transmits().is_empty());
    lab.pass(Duration::from_millis(1));

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.payload), (Side::Outside, Some((3, 3)), syn));
    assert_eq!((error.source.ip(), error.destination.ip()), (POOL4.into(), at(REMOTE).ip()));
    assert_eq!((lab.engine.poll_timeout(), lab.sizes()), (None, (0, 0)));
}

#[test]
fn a_syn_from_inside_meanwhile_makes_the_two_one_connection() {
    let mut lab = Lab::new();
    lab.outside(&tcp(REMOTE, &pool(5001), "S"));

    let out = lab.inside(&tcp(WEB, &via(REMOTE), "S")).sent();
    assert_eq!(out.source, at(&pool(5001)), "the endpoint that the other end knows");

    let states: Vec<_> = lab.engine.sessions(lab.now).map(|session| session.state).collect();
    assert_eq!(states, [Some(TcpState::Established)]);
    assert_eq!(lab.outside(&tcp(REMOTE, &pool(5001), "SA")).sent().destination, at(WEB));
    lab.pass(SIX_SECONDS);
    assert!(lab.transmits().is_empty(), "RFC 5382 REQ-4: the SYN is dropped silently");
}

#[test]
fn a_syn_from_inside_to_somebody_else_changes_nothing() {
    let mut lab = Lab::new();
    lab.outside(&tcp(REMOTE, &pool(5001), "S"));
    lab.inside(&tcp(WEB, &via("9.9.9.9:444"), "S")).sent();

    lab.pass(SIX_SECONDS);

    assert_eq!(lab.reply().1.icmp, Some((3, 3)));
}

#[test]
fn a_syn_that_the_filter_refuses_waits_too() {
    let mut lab = Lab::with(|config| config.filtering = Filtering::AddressDependent);
    let outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source.to_string();

    assert_eq!(lab.outside(&tcp(REMOTE, &outer, "S")), Outcome::Taken);
    assert_eq!(lab.outside(&tcp("8.8.8.8:443", &outer, "S")), Outcome::Taken);
    assert_eq!(lab.inside(&tcp(WEB, &via(REMOTE), "S")).sent().source.to_string(), outer);

    let met = lab.engine.sessions(lab.now).find(|session| session.remote.to_string() == REMOTE).unwrap();
    assert_eq!(met.state, Some(TcpState::Established));
    lab.pass(SIX_SECONDS);
    assert_eq!(lab.reply().1.destination.ip().to_string(), "8.8.8.8", "the other still waited");
}

#[test]
fn a_syn_that_is_let_in_when_it_comes_again_is_not_answered() {
    let mut lab = Lab::with(|config| config.filtering = Filtering::AddressDependent);
    let outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source.to_string();
    assert_eq!(lab.outside(&tcp(REMOTE, &outer, "S")), Outcome::Taken);
    lab.inside(&tcp(WEB, &via("9.9.9.9:444"), "S")).sent();

    lab.outside(&tcp(REMOTE, &outer, "S")).sent();

    lab.pass(SIX_SECONDS);
    assert!(lab.transmits().is_empty());
}

#[test]
fn a_syn_to_a_mapping_goes_in_and_the_answer_establishes() {
    let mut lab = Lab::new();
    let outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source.to_string();

    assert_eq!(lab.outside(&tcp(REMOTE, &outer, "S")).sent().destination, at(WEB));
    lab.inside(&tcp(WEB, &via(REMOTE), "SA")).sent();

    let states: Vec<_> = lab.engine.sessions(lab.now).filter_map(|session| session.state).collect();
    assert_eq!(states, [TcpState::V6Init, TcpState::Established]);
}

#[test]
fn a_syn_retransmitted_is_held_once_and_what_is_no_syn_not_at_all() {
    let mut lab = Lab::new();
    for flags in ["SA", "A", "FA", "R", "SR"] {
        assert_eq!(lab.outside(&tcp(REMOTE, &pool(5001), flags)).dropped(), DropReason::NoBibEntry, "{flags}");
    }
    lab.outside(&tcp(REMOTE, &pool(5001), "S"));
    lab.pass(Duration::from_secs(3));
    lab.outside(&tcp(REMOTE, &pool(5001), "S"));

    lab.pass(Duration::from_secs(3));

    assert_eq!(lab.transmits().len(), 1);
    lab.pass(SIX_SECONDS);
    assert_eq!(lab.transmits().len(), 0);
}

#[test]
fn ports_that_are_not_in_the_pool_are_not_ours_to_answer_for() {
    let mut lab = Lab::new();

    assert_eq!(lab.outside(&tcp(REMOTE, &pool(22), "S")).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.outside(&udp(REMOTE, &pool(22), b"")).dropped(), DropReason::NoBibEntry);

    lab.pass(SIX_SECONDS);
    assert!(lab.transmits().is_empty());
}

#[test]
fn where_everything_is_answered_so_is_what_goes_to_ports_that_are_not_in_the_pool() {
    let mut lab = Lab::with(|config| config.unsolicited = Unsolicited::Answer);

    assert_eq!(lab.outside(&udp(REMOTE, &pool(22), b"")).dropped(), DropReason::NoBibEntry);
    assert_eq!(lab.reply().1.icmp, Some((3, 3)));
    assert_eq!(lab.outside(&tcp(REMOTE, &pool(22), "S")), Outcome::Taken);
    lab.pass(SIX_SECONDS);
    assert_eq!(lab.reply().1.icmp, Some((3, 3)));
}

#[test]
fn a_flood_of_syns_finds_the_store_full_and_is_dropped_silently() {
    let mut lab = Lab::new();
    let taken =
        (1..2000).filter(|port| lab.outside(&tcp(&format!("9.9.9.9:{port}"), &pool(5001), "S")) == Outcome::Taken);

    assert_eq!((taken.count(), lab.engine.stats().syns_held), (256, 256));
    assert_eq!(lab.engine.stats().dropped(DropReason::NoBibEntry), 1999 - 256);
    lab.pass(SIX_SECONDS);
    assert!(lab.transmits().len() <= 50, "errors are rare");
}

#[test]
fn silence_can_be_had() {
    let mut lab = Lab::with(|config| config.unsolicited = Unsolicited::Silent);

    assert_eq!(lab.outside(&tcp(REMOTE, &pool(5001), "S")).dropped(), DropReason::NoBibEntry);

    assert_eq!(lab.engine.poll_timeout(), None);
}

#[test]
fn answers_can_be_had() {
    let mut lab = Lab::with(|config| {
        (config.unsolicited, config.filtering) = (Unsolicited::Answer, Filtering::AddressDependent);
    });
    let outer = lab.inside(&udp(WEB, &via("1.1.1.1:53"), b"")).sent().source.to_string();

    // RFC 6146 §3.5.1.2 and §3.5.3.2, each a MAY.
    for (packet, reason, code) in [
        (udp(REMOTE, &pool(5001), b""), DropReason::NoBibEntry, 3),
        (udp(REMOTE, &outer, b""), DropReason::FilteredByAddress, 13),
        (echo("9.9.9.9", &POOL4.to_string(), 8, 5001), DropReason::NoBibEntry, 1),
    ] {
        assert_eq!(lab.outside(&packet).dropped(), reason);
        let (side, error) = lab.reply();
        assert_eq!((side, error.icmp, error.source.ip()), (Side::Outside, Some((3, code)), POOL4.into()));
    }
}

#[test]
fn a_pool_that_loses_the_address_forgets_what_waited_for_it() {
    let mut lab = Lab::new();
    lab.outside(&tcp(REMOTE, &pool(5001), "S"));

    lab.reconfigure(|config| config.pool4[0].ports = 6000..=7000);
    lab.pass(SIX_SECONDS);

    assert!(lab.transmits().is_empty());
}
