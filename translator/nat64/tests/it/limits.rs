//! Every table has an end, and reaching it is a counted drop.

use nat64::{DropReason, Limits};

use crate::lab::{Lab, Outcome, tcp, udp, via};

const DNS: &str = "9.9.9.9:53";

fn from(host: u16, port: u16) -> String {
    format!("[2001:db8:0:{host:x}::7]:{port}")
}

fn lab(limits: Limits) -> Lab {
    Lab::with(|config| config.limits = limits)
}

#[test]
fn the_bib_ends() {
    let mut lab = lab(Limits { bib_entries: 3, ..Limits::default() });
    for host in 0..3 {
        lab.inside(&udp(&from(host, 1), &via(DNS), b"")).sent();
    }

    assert_eq!(lab.inside(&udp(&from(9, 1), &via(DNS), b"")).dropped(), DropReason::BibFull);
    assert_eq!(lab.reply().1.icmp, Some((1, 3)));
    lab.inside(&udp(&from(0, 1), &via("8.8.8.8:53"), b"")).sent();
}

#[test]
fn the_session_table_ends_and_leaves_no_mapping_behind() {
    let mut lab = lab(Limits { sessions: 2, ..Limits::default() });
    lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent();
    lab.inside(&udp(&from(0, 1), &via("8.8.8.8:53"), b"")).sent();

    assert_eq!(lab.inside(&udp(&from(1, 1), &via(DNS), b"")).dropped(), DropReason::SessionsFull);
    assert_eq!(lab.sizes(), (1, 2));
}

#[test]
fn a_flood_from_outside_takes_half_of_the_sessions_and_leaves_the_rest() {
    let mut lab = lab(Limits { sessions: 8, sessions_per_peer: 4, ..Limits::default() });
    let one = lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent().source.to_string();
    let two = lab.inside(&udp(&from(1, 1), &via(DNS), b"")).sent().source.to_string();
    lab.outside(&udp("8.8.8.8:1", &one, b"")).sent();

    assert_eq!(lab.outside(&udp("8.8.8.8:2", &one, b"")).dropped(), DropReason::PeerSessionsFull);
    lab.outside(&udp("8.8.8.8:1", &two, b"")).sent();
    let three = lab.inside(&udp(&from(2, 1), &via(DNS), b"")).sent().source.to_string();
    assert_eq!(lab.outside(&udp("8.8.8.8:1", &three, b"")).dropped(), DropReason::SessionsFull);
    lab.inside(&udp(&from(0, 1), &via("8.8.4.4:53"), b"")).sent();
    lab.outside(&udp(DNS, &one, b"")).sent();
}

#[test]
fn one_peer_cannot_take_what_the_others_need() {
    let mut lab = lab(Limits { bib_entries_per_peer: 2, sessions_per_peer: 3, ..Limits::default() });
    lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent();
    lab.inside(&udp("[2001:db8::ffff]:1", &via(DNS), b"")).sent();

    assert_eq!(lab.inside(&udp(&from(0, 3), &via(DNS), b"")).dropped(), DropReason::PeerBibFull);
    lab.inside(&udp(&from(0, 1), &via("8.8.8.8:1"), b"")).sent();
    assert_eq!(lab.inside(&udp(&from(0, 1), &via("8.8.8.8:2"), b"")).dropped(), DropReason::PeerSessionsFull);
    lab.inside(&udp(&from(1, 1), &via(DNS), b"")).sent();
    lab.inside(&udp("198.18.0.7:1", DNS, b"")).sent();
    lab.inside(&udp("198.18.0.8:1", DNS, b"")).sent();
}

#[test]
fn a_peer_starts_flows_no_faster_than_it_may_and_others_are_not_slowed() {
    // RFC 6888 REQ-4.
    let mut lab = lab(Limits { new_flows_per_second: 10, new_flows_at_once: 20, ..Limits::default() });
    let start = |lab: &mut Lab, port| lab.inside(&udp(&from(0, port), &via(DNS), b""));
    // The flow that makes a peer known is free.
    (0..21).for_each(|port| drop(start(&mut lab, 2000 + port).sent()));

    assert_eq!(start(&mut lab, 3000).dropped(), DropReason::PeerFlowRate);
    assert_eq!(lab.reply().1.icmp, Some((1, 3)));
    lab.inside(&udp(&from(1, 1), &via(DNS), b"")).sent();
    lab.inside(&udp(&from(0, 2000), &via(DNS), b"")).sent();
    lab.pass(std::time::Duration::from_millis(200));
    start(&mut lab, 3001).sent();
    start(&mut lab, 3002).sent();
    assert_eq!(start(&mut lab, 3003).dropped(), DropReason::PeerFlowRate);
}

#[test]
fn a_peer_without_any_flow_rate_starts_but_one() {
    let mut lab = lab(Limits { new_flows_per_second: 0, ..Limits::default() });
    lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent();

    assert_eq!(lab.inside(&udp(&from(0, 2), &via(DNS), b"")).dropped(), DropReason::PeerFlowRate);
}

#[test]
fn a_flood_of_syns_from_one_peer_leaves_every_flow_of_another_working() {
    let mut lab = Lab::new();
    let mut refused = 0;
    for round in 0..40_u16 {
        for port in 0..1000 {
            let from = format!("[2001:db8::{round:x}]:{}", 1024 + port);
            let outcome = lab.inside(&tcp(&from, &via("9.9.9.9:443"), "S"));
            refused +=
                u32::from(matches!(outcome, Outcome::Dropped(DropReason::PeerFlowRate | DropReason::PeerBibFull)));
        }
        let own = from(1, 1024 + round);
        let outer = lab.inside(&tcp(&own, &via("9.9.9.9:443"), "S")).sent().source.to_string();
        assert_eq!(lab.outside(&tcp("9.9.9.9:443", &outer, "SA")).sent().destination, crate::lab::at(&own));
        lab.transmits();
        lab.pass(std::time::Duration::from_millis(100));
    }

    assert!(refused > 20_000, "{refused} were too many");
}

#[test]
fn what_a_peer_lost_it_may_have_again() {
    let mut lab = lab(Limits { bib_entries_per_peer: 1, sessions_per_peer: 1, ..Limits::default() });
    for _ in 0..3 {
        lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent();
        lab.pass(std::time::Duration::from_secs(300));
    }
}

#[test]
fn a_pool_without_ports_is_a_counted_drop_and_an_address_unreachable() {
    let mut lab = Lab::with(|config| config.pool4[0].ports = 5000..=5003);
    for port in 1..=4 {
        lab.inside(&udp(&from(0, port), &via(DNS), b"")).sent();
    }

    assert_eq!(lab.inside(&udp(&from(0, 5), &via(DNS), b"")).dropped(), DropReason::PoolExhausted);
    assert_eq!(lab.reply().1.icmp, Some((1, 3)));
    assert_eq!(lab.engine.stats().dropped(DropReason::PoolExhausted), 1);
}

#[test]
fn a_client_whose_address_has_no_port_left_gets_another_only_where_the_operator_says_so() {
    // RFC 7857 §4, for TCP and UDP.
    let two = ["192.0.2.1", "192.0.2.2"].map(|address| nat64::Pool4::new(address.parse().unwrap(), 5000..=5003));
    let mut lab = Lab::with(|config| config.pool4 = two.to_vec());
    for port in 1..=4 {
        lab.inside(&udp(&from(0, port), &via(DNS), b"")).sent();
        lab.inside(&tcp(&from(0, port), &via(DNS), "S")).sent();
    }
    assert_eq!(lab.inside(&udp(&from(0, 5), &via(DNS), b"")).dropped(), DropReason::PoolExhausted);
    assert_eq!(lab.inside(&tcp(&from(0, 5), &via(DNS), "S")).dropped(), DropReason::PoolExhausted);

    lab.reconfigure(|config| config.pooling = nat64::Pooling::SoftlyPaired);
    let first = lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent().source.ip();
    assert_ne!(lab.inside(&udp(&from(0, 5), &via(DNS), b"")).sent().source.ip(), first);
}

#[test]
fn an_engine_without_pool_passes_nothing() {
    let mut lab = Lab::with(|config| config.pool4.clear());

    assert_eq!(lab.inside(&udp(&from(0, 1), &via(DNS), b"")).dropped(), DropReason::PoolExhausted);
}

#[test]
fn a_buffer_without_room_in_front_is_a_drop() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(&from(0, 1), &via(DNS), b"")).sent().source.to_string();
    let mut answer = udp(DNS, &outer, b"x");
    let end = answer.len();
    let mut packet = packet::Packet::new(&mut answer, 0..end);

    let verdict = lab.engine.handle_outside(lab.now, &mut packet);

    assert_eq!(verdict, nat64::Verdict::Drop(DropReason::NoHeadroom));
}

#[test]
fn an_ipv4_peer_without_resources_hears_that_it_is_prohibited() {
    let mut lab = Lab::with(|config| config.limits.bib_entries_per_peer = 1);
    for (peer, remote, expected) in [
        ("198.18.0.7", "9.9.9.9:53".to_owned(), (3, 13)),
        // RFC 6146 §3.5.1.1 has a word of its own for those who speak IPv6.
        ("[2001:db8::7]", via("9.9.9.9:53"), (1, 3)),
    ] {
        lab.inside(&udp(&format!("{peer}:1024"), &remote, b"")).sent();

        assert_eq!(lab.inside(&udp(&format!("{peer}:1025"), &remote, b"")).dropped(), DropReason::PeerBibFull);
        assert_eq!(lab.reply().1.icmp, Some(expected));
    }
}
