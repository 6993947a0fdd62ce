//! What is remembered, for how long, and what a new configuration keeps.

use std::time::Duration;

use nat64::{DropReason, Filtering, Lifetimes, Pool4, Protocol, Refresh, Side};

use crate::lab::{Lab, POOL4, at, echo, tcp, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const PEER: &str = "198.18.0.7:40001";
const DNS: &str = "9.9.9.9:53";
const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn lasts(lab: &mut Lab, lifetime: Duration) {
    assert_eq!(lab.engine.sessions(lab.now).map(|session| session.expires_in).collect::<Vec<_>>(), [lifetime]);
    assert!(lab.engine.poll_timeout().is_some_and(|due| due <= lab.now + lifetime));
    lab.pass(lifetime - SECOND);
    assert_eq!(lab.sizes(), (1, 1), "a second before");
    lab.pass(SECOND);
    assert_eq!(lab.sizes(), (0, 0), "at the end");
    assert_eq!(lab.engine.poll_timeout(), None);
}

#[test]
fn a_udp_session_lasts_five_minutes_after_its_last_datagram() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    lab.pass(Duration::from_secs(299));
    lab.outside(&udp(DNS, &outer, b"")).sent();

    lasts(&mut lab, Duration::from_secs(300));
    assert_eq!(lab.outside(&udp(DNS, &outer, b"")).dropped(), DropReason::NoBibEntry);
}

#[test]
fn datagrams_of_either_side_keep_a_session() {
    let mut lab = Lab::new();
    for _ in 0..3 {
        lab.inside(&udp(WEB, &via(DNS), b"")).sent();
        lab.pass(Duration::from_secs(200));
    }
    assert_eq!(lab.sizes(), (1, 1));
}

#[test]
fn the_outside_can_be_kept_from_keeping_a_session() {
    let mut lab = Lab::with(|config| config.refresh = Refresh::InsideOnly);
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    let id = lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 128, 77)).sent().source.port();
    lab.pass(Duration::from_secs(59));
    lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 0, id)).sent();
    lab.outside(&udp(DNS, &outer, b"")).sent();

    // RFC 4787 REQ-6.
    lab.pass(SECOND);
    assert_eq!(lab.sizes(), (1, 1));
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lasts(&mut lab, Duration::from_secs(300));
}

#[test]
fn lifetimes_are_for_the_operator_to_say_above_the_minima_of_the_rfcs() {
    let lifetimes = Lifetimes {
        udp: Duration::from_secs(600),
        tcp_opening: Duration::from_secs(300),
        icmp: Duration::from_secs(1),
        ..Lifetimes::default()
    };
    let mut lab = Lab::with(|config| config.lifetimes = lifetimes);

    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lasts(&mut lab, Duration::from_secs(600));
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent();
    lasts(&mut lab, Duration::from_secs(300));
    lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 128, 77)).sent();
    lasts(&mut lab, Duration::from_secs(60));
}

#[test]
fn a_connection_that_opens_and_one_that_closes_have_lifetimes_of_their_own() {
    // RFC 7857 §2.1.
    let lifetimes = Lifetimes {
        tcp_opening: Duration::from_secs(300),
        tcp_closing: Duration::from_secs(400),
        ..Lifetimes::default()
    };
    let mut lab = Lab::with(|config| config.lifetimes = lifetimes);
    let to = via("1.1.1.1:443");
    let open = |lab: &mut Lab| {
        let outer = lab.inside(&tcp(WEB, &to, "S")).sent().source.to_string();
        lab.outside(&tcp("1.1.1.1:443", &outer, "SA")).sent();
        outer
    };

    lab.inside(&tcp(WEB, &to, "S")).sent();
    lasts(&mut lab, Duration::from_secs(300));
    open(&mut lab);
    lab.inside(&tcp(WEB, &to, "R")).sent();
    lasts(&mut lab, Duration::from_secs(400));
    let outer = open(&mut lab);
    lab.inside(&tcp(WEB, &to, "FA")).sent();
    lab.outside(&tcp("1.1.1.1:443", &outer, "FA")).sent();
    lasts(&mut lab, Duration::from_secs(400));
}

#[test]
fn a_new_lifetime_holds_for_the_sessions_there_are() {
    let mut lab = Lab::new();
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lab.pass(Duration::from_secs(100));

    lab.reconfigure(|config| config.lifetimes.udp = Duration::from_secs(120));

    lasts(&mut lab, Duration::from_secs(20));
}

#[test]
fn the_port_of_an_expired_mapping_is_free_again() {
    let mut lab = Lab::with(|config| config.pool4[0].ports = 5000..=5000);
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lab.pass(Duration::from_secs(300));

    assert_eq!(lab.inside(&udp("[2001:db8:9::9]:1", &via(DNS), b"")).sent().source.port(), 5000);
}

#[test]
fn an_echo_lasts_a_minute() {
    let mut lab = Lab::new();
    lab.inside(&echo("2001:db8::7", "64:ff9b::808:808", 128, 77)).sent();

    lasts(&mut lab, Duration::from_secs(60));
}

#[test]
fn a_connection_that_nobody_answers_lasts_four_minutes() {
    let mut lab = Lab::new();
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent();

    lasts(&mut lab, Duration::from_secs(240));
}

fn established() -> (Lab, String) {
    let mut lab = Lab::new();
    let outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source.to_string();
    lab.outside(&tcp("1.1.1.1:443", &outer, "SA")).sent();
    (lab, outer)
}

#[test]
fn an_established_connection_is_asked_after_two_hours_and_four_minutes() {
    let (mut lab, _) = established();
    lab.pass(Duration::from_secs(7439));
    assert!(lab.transmits().is_empty());
    lab.pass(SECOND);

    let (side, probe) = lab.reply();
    assert_eq!((side, probe.source, probe.destination), (Side::Inside, at(&via("1.1.1.1:443")), at(WEB)));
    lasts(&mut lab, Duration::from_secs(240));
}

#[test]
fn the_answer_to_the_probe_keeps_the_connection() {
    let (mut lab, _) = established();
    lab.pass(Duration::from_secs(7440));
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "A")).sent();
    lab.transmits();

    lab.pass(Duration::from_secs(7439));

    assert_eq!(lab.sizes(), (1, 1));
}

#[test]
fn an_ipv4_peer_is_asked_in_ipv4() {
    let mut lab = Lab::new();
    let outer = lab.inside(&tcp(PEER, "1.1.1.1:443", "S")).sent().source.to_string();
    lab.outside(&tcp("1.1.1.1:443", &outer, "SA")).sent();

    lab.pass(Duration::from_secs(7440));

    let (_, probe) = lab.reply();
    assert_eq!((probe.source, probe.destination), (at("1.1.1.1:443"), at(PEER)));
}

#[test]
fn fins_of_both_sides_leave_four_minutes() {
    let (mut lab, outer) = established();
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "FA")).sent();
    lab.outside(&tcp("1.1.1.1:443", &outer, "FA")).sent();

    lasts(&mut lab, Duration::from_secs(240));
}

#[test]
fn a_syn_that_is_sent_again_keeps_its_port() {
    // Requirement 90.
    let mut lab = Lab::new();
    let first = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source;
    lab.pass(SECOND);

    assert_eq!(lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source, first);
    assert_eq!(lab.sizes(), (1, 1));
}

#[test]
fn one_fin_keeps_data_flowing_and_the_last_ack_passes_after_both() {
    // Requirement 95, RFC 6146 §3.5.2.2.
    for (closes, answers) in [(Side::Inside, Side::Outside), (Side::Outside, Side::Inside)] {
        let (mut lab, outer) = established();
        let send = |lab: &mut Lab, side: Side, flags: &str| match side {
            Side::Inside => lab.inside(&tcp(WEB, &via("1.1.1.1:443"), flags)).sent(),
            Side::Outside => lab.outside(&tcp("1.1.1.1:443", &outer, flags)).sent(),
        };
        send(&mut lab, closes, "FA");
        lab.pass(Duration::from_secs(3600));
        send(&mut lab, answers, "A");
        send(&mut lab, closes, "A");
        send(&mut lab, answers, "FA");

        send(&mut lab, closes, "A");

        lasts(&mut lab, Duration::from_secs(240));
    }
}

#[test]
fn a_reset_leaves_four_minutes_unless_it_was_none() {
    let (mut lab, outer) = established();
    lab.outside(&tcp("1.1.1.1:443", &outer, "R")).sent();
    lab.pass(Duration::from_secs(239));
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "A")).sent();
    lab.pass(Duration::from_secs(7439));
    assert_eq!(lab.sizes(), (1, 1));

    lab.outside(&tcp("1.1.1.1:443", &outer, "R")).sent();
    lasts(&mut lab, Duration::from_secs(240));
}

#[test]
fn the_last_session_takes_its_mapping_along_and_no_other() {
    let mut lab = Lab::new();
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lab.pass(Duration::from_secs(200));
    lab.inside(&udp(WEB, &via("8.8.8.8:53"), b"")).sent();

    lab.pass(Duration::from_secs(100));
    assert_eq!(lab.sizes(), (1, 1));
    lab.pass(Duration::from_secs(200));
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn a_great_many_sessions_expire_in_portions() {
    let mut lab = Lab::new();
    for port in 1..=5000 {
        lab.inside(&udp(&format!("[2001:db8::7]:{port}"), &via(DNS), b"")).sent();
    }
    lab.pass(Duration::from_secs(300));
    assert!(lab.sizes().1 > 0 && lab.engine.poll_timeout().unwrap() <= lab.now);

    while lab.engine.poll_timeout().is_some_and(|due| due <= lab.now) {
        lab.pass(Duration::ZERO);
    }

    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn who_leaves_is_forgotten_and_nobody_else() {
    let mut lab = Lab::new();
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent();
    lab.inside(&udp("[2001:db8:1:3::7]:1", &via(DNS), b"")).sent();
    lab.inside(&udp(PEER, DNS, b"")).sent();

    lab.engine.forget_inside("2001:db8:1:2::/64".parse().unwrap());
    assert_eq!(lab.sizes(), (2, 2));
    lab.engine.forget_inside("198.18.0.7/32".parse().unwrap());
    assert_eq!(lab.sizes(), (1, 1));
    lab.engine.forget_inside("::/0".parse().unwrap());
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn a_new_configuration_keeps_what_it_allows() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source;
    lab.inside(&udp(WEB, &via("8.8.8.8:53"), b"")).sent();

    lab.reconfigure(|config| {
        config.mtu6 = 1300;
        config.own_addresses = vec!["8.8.8.8".parse().unwrap()];
        config.pool4.push(Pool4::new("192.0.2.2".parse().unwrap(), 1..=65535));
    });

    assert_eq!(lab.sizes(), (1, 1));
    assert_eq!(lab.inside(&udp(WEB, &via(DNS), b"")).sent().source, outer);
    assert_eq!(lab.outside(&udp(DNS, &outer.to_string(), b"")).sent().destination, at(WEB));
}

#[test]
fn ports_in_use_stay_in_use_after_a_reconfiguration() {
    let mut lab = Lab::with(|config| config.pool4[0].ports = 2000..=2001);
    let one = lab.inside(&udp("[2001:db8::1]:1", &via(DNS), b"")).sent().source;

    lab.reconfigure(|_| {});

    let two = lab.inside(&udp("[2001:db8::2]:1", &via(DNS), b"")).sent().source;
    assert_ne!(one, two);
    assert_eq!(lab.inside(&udp("[2001:db8::3]:1", &via(DNS), b"")).dropped(), DropReason::PoolExhausted);
}

#[test]
fn a_smaller_pool_another_prefix_or_other_peers_forget_what_they_no_longer_have() {
    let mut lab = Lab::new();
    let port = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port();
    lab.inside(&udp(PEER, DNS, b"")).sent();

    lab.reconfigure(|config| config.pool6 = vec!["2001:db8:64::/96".parse().unwrap()]);
    assert_eq!(lab.sizes(), (1, 1));
    lab.reconfigure(|config| config.ipv4_peers = "198.19.0.0/16".parse().unwrap());
    assert_eq!(lab.sizes(), (0, 0));
    lab.reconfigure(|config| config.pool6 = vec!["64:ff9b::/96".parse().unwrap()]);
    let again = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port();
    assert!(port > 0 && again > 0);
    lab.reconfigure(|config| config.pool4 = vec![Pool4::new(POOL4, 1..=1000)]);
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn a_port_that_is_left_to_another_protocol_takes_its_mapping_along() {
    let mut lab = Lab::new();
    lab.inside(&udp(WEB, &via(DNS), b"")).sent();
    lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent();
    lab.inside(&echo("2001:db8:1:2::7", "64:ff9b::808:808", 128, 40001)).sent();

    let part = |ports, protocol| Pool4 { address: POOL4, ports, protocol: Some(protocol) };
    lab.reconfigure(|config| config.pool4 = vec![part(1..=65535, Protocol::Tcp), part(500..=500, Protocol::Udp)]);

    assert_eq!(lab.engine.bib().map(|entry| entry.protocol).collect::<Vec<_>>(), [Protocol::Tcp]);
    assert_eq!(lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port(), 500);
    let ping = echo("2001:db8:1:2::7", "64:ff9b::808:808", 128, 40001);
    assert_eq!(lab.inside(&ping).dropped(), DropReason::PoolExhausted);
}

#[test]
fn filtering_by_address_knows_the_sessions_from_before() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();

    lab.reconfigure(|config| config.filtering = Filtering::AddressDependent);

    lab.outside(&udp("9.9.9.9:9999", &outer, b"")).sent();
    assert_eq!(lab.outside(&udp("8.8.8.8:53", &outer, b"")).dropped(), DropReason::FilteredByAddress);
}
