//! ICMP errors that are made here: when, from where, how many (RFC 7915 §4.4, §5.4; RFC 6791; RFC 1812 §4.3.2.8).

use std::time::Duration;

use nat64::{DropReason, ErrorSource4, OwnErrors, Side};

use crate::errors::lab_with_session;
use crate::lab::{Lab, POOL4, config, icmp, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const WEB_ADDRESS: &str = "2001:db8:1:2::7";
const DNS: &str = "9.9.9.9:53";

#[test]
fn what_the_engine_says_comes_from_the_pool_too() {
    let pool = ErrorSource4::Pool(vec!["192.0.2.101".parse().unwrap()]);
    for (error_source4, expected) in [(pool, "192.0.2.101"), (ErrorSource4::Pool(Vec::new()), "192.0.2.1")] {
        let mut lab = Lab::with(|config| config.error_source4 = error_source4);
        let expiring = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), b""), |ip| ip.time_to_live = 1);
        assert_eq!(lab.outside(&expiring).dropped(), DropReason::HopLimitExceeded);

        let (side, error) = lab.reply();
        assert_eq!((side, error.source.ip().to_string()), (Side::Outside, expected.into()));
    }
}

#[test]
fn without_hops_left_the_sender_hears_of_it_on_both_sides() {
    let mut lab = Lab::new();
    let mut out = udp(WEB, &via(DNS), b"x");
    for hops in [0, 1] {
        out[7] = hops;
        assert_eq!(lab.inside(&out).dropped(), DropReason::HopLimitExceeded);
        let (side, error) = lab.reply();
        assert_eq!((side, error.icmp, error.payload), (Side::Inside, Some((3, 0)), out.clone()));
    }

    let back = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), b"x"), |ip| ip.time_to_live = 1);
    assert_eq!(lab.outside(&back).dropped(), DropReason::HopLimitExceeded);
    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.payload), (Side::Outside, Some((11, 0)), back));
}

#[test]
fn errors_to_the_outside_come_from_pool4_or_from_the_address_that_was_given() {
    for (error_source4, expected) in [(ErrorSource4::SpokenTo, POOL4), (ErrorSource4::Address4, config().address4)] {
        let mut lab = Lab::with(|config| config.error_source4 = error_source4);
        let late = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), b"x"), |ip| ip.time_to_live = 1);

        assert_eq!(lab.outside(&late).dropped(), DropReason::HopLimitExceeded);

        assert_eq!(lab.reply().1.source.ip(), expected);
    }
}

#[test]
fn routes_that_their_sender_chose_are_refused_with_an_error() {
    let mut lab = Lab::new();
    let plain = udp(WEB, &via(DNS), b"x");
    let mut routed = [&plain[..40], &[60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 0], &plain[40..]].concat();
    (routed[5], routed[6]) = (routed[5] + 16, 43);
    (routed[40], routed[48]) = (60, 17);
    (routed[42], routed[43]) = (0, 1);

    assert_eq!(lab.inside(&routed).dropped(), DropReason::RoutingHeader);
    let (_, error) = lab.reply();
    assert_eq!((error.icmp, error.rest), (Some((4, 0)), [0, 0, 0, 43]));

    let back = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), b"x"), |ip| {
        ip.options = [131, 7, 4, 10, 0, 0, 1, 0].into();
    });
    assert_eq!(lab.outside(&back).dropped(), DropReason::SourceRoute);
    assert_eq!(lab.reply().1.icmp, Some((3, 5)));
}

#[test]
fn errors_can_be_switched_off_and_those_of_others_pass_all_the_same() {
    // RFC 7915 §4.4, §5.4.
    let (mut lab, sent) = lab_with_session();
    lab.reconfigure(|config| config.own_errors = OwnErrors::Off);
    let mut expiring = udp(WEB, &via(DNS), b"");
    expiring[7] = 1;
    assert_eq!(lab.inside(&expiring).dropped(), DropReason::HopLimitExceeded);
    let expiring = with_ipv4(udp(DNS, &format!("{POOL4}:5000"), b""), |ip| ip.time_to_live = 1);
    assert_eq!(lab.outside(&expiring).dropped(), DropReason::HopLimitExceeded);

    assert!(lab.transmits().is_empty());
    assert_eq!((lab.engine.stats().errors_sent, lab.engine.stats().errors_suppressed), (0, 2));
    lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 3), [0; 4], &sent)).sent();

    lab.reconfigure(|config| config.own_errors = OwnErrors::Limited);
    assert_eq!(lab.outside(&expiring).dropped(), DropReason::HopLimitExceeded);
    assert_eq!(lab.reply().1.icmp, Some((11, 0)));
}

#[test]
fn errors_are_never_answered_with_errors() {
    let mut lab = Lab::new();
    let mut error = icmp(WEB_ADDRESS, "64:ff9b::808:808", (1, 4), [0; 4], &[0; 48]);
    error[7] = 1;
    assert_eq!(lab.inside(&error).dropped(), DropReason::HopLimitExceeded);

    let error = icmp(WEB_ADDRESS, "64:ff9b::a00:1", (1, 4), [0; 4], &[0; 48]);
    assert_eq!(lab.inside(&error).dropped(), DropReason::DestinationNotGlobal);

    let error = with_ipv4(icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &[0; 28]), |ip| ip.time_to_live = 1);
    assert_eq!(lab.outside(&error).dropped(), DropReason::HopLimitExceeded);
    assert!(lab.transmits().is_empty());
}

#[test]
fn one_receiver_gets_no_flood_of_errors_and_others_still_get_theirs() {
    let mut lab = Lab::new();
    let refused = |lab: &mut Lab, from: &str| drop(lab.inside(&udp(from, &via("10.0.0.1:1"), b"")));
    for _ in 0..1000 {
        refused(&mut lab, WEB);
    }
    assert_eq!(lab.transmits().len(), 50);
    assert_eq!((lab.engine.stats().errors_sent, lab.engine.stats().errors_suppressed), (50, 950));

    refused(&mut lab, "[2001:db8:1:3::7]:1");
    assert_eq!(lab.transmits().len(), 1);
    lab.pass(Duration::from_millis(100));
    for _ in 0..1000 {
        refused(&mut lab, WEB);
    }
    assert_eq!(lab.transmits().len(), 5);
}
