//! Who may be spoken to: refused before any state exists, counted, and told.

use nat64::{DropReason, Protocol, Side};

use crate::lab::{Lab, POOL4, at, echo, icmp, tcp, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";

#[test]
fn the_home_network_is_out_of_reach_and_the_sender_hears_why() {
    let mut lab = Lab::new();

    assert_eq!(lab.inside(&udp(WEB, &via("192.168.1.1:80"), b"x")).dropped(), DropReason::DestinationNotGlobal);

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp), (Side::Inside, Some((1, 1))));
    assert_eq!((error.source.ip().to_string(), error.destination.ip()), ("fd64:ff9b::1".into(), at(WEB).ip()));
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn nothing_special_is_reached_by_any_protocol_or_family() {
    let mut lab = Lab::new();
    for block in ["10.0.0.1", "172.16.9.9", "100.64.0.1", "169.254.169.254", "198.18.0.9", "240.0.0.1", "224.0.0.1"] {
        let to = format!("{block}:80");
        for packet in [udp(WEB, &via(&to), b""), tcp(WEB, &via(&to), "S"), udp("198.18.0.7:1", &to, b"")] {
            assert_eq!(lab.inside(&packet).dropped(), DropReason::DestinationNotGlobal, "{block}");
        }
    }
    assert_eq!(lab.inside(&echo("198.18.0.7", "10.0.0.1", 8, 1)).dropped(), DropReason::DestinationNotGlobal);
}

#[test]
fn an_exception_opens_what_is_restricted_but_not_what_nobody_forwards() {
    let mut lab = Lab::with(|config| config.allow = vec!["0.0.0.0/0".parse().unwrap()]);

    lab.inside(&udp(WEB, &via("10.0.0.1:80"), b"")).sent();
    for never in ["0.0.0.1:1", "127.0.0.1:1", "224.0.0.1:1", "255.255.255.255:1"] {
        assert_eq!(lab.inside(&udp(WEB, &via(never), b"")).dropped(), DropReason::DestinationNotGlobal, "{never}");
    }
}

#[test]
fn own_addresses_are_refused_whatever_is_allowed() {
    let mut lab = Lab::with(|config| {
        config.own_addresses = vec!["85.1.2.3".parse().unwrap()];
        config.allow = vec!["0.0.0.0/0".parse().unwrap()];
    });

    assert_eq!(lab.inside(&udp(WEB, &via("85.1.2.3:22"), b"")).dropped(), DropReason::DestinationOwnAddress);
    assert_eq!(lab.inside(&udp(WEB, &via("198.18.0.1:53"), b"")).dropped(), DropReason::DestinationOwnAddress);
    lab.inside(&udp(WEB, &via("85.1.2.4:22"), b"")).sent();
}

#[test]
fn sources_no_host_may_have_are_dropped_silently() {
    let mut lab = Lab::new();
    for source in ["::", "::1", "ff02::1", "fe80::1", "::ffff:1.2.3.4", "::1.2.3.4"] {
        let packet = udp(&format!("[{source}]:1"), &via("9.9.9.9:53"), b"");
        assert_eq!(lab.inside(&packet).dropped(), DropReason::IllegalSource, "{source}");
    }
    let looped = udp(&via("8.8.8.8:1"), &via("9.9.9.9:53"), b"");
    assert_eq!(lab.inside(&looped).dropped(), DropReason::SourceInPool6);
    assert!(lab.transmits().is_empty());
}

#[test]
fn from_outside_come_only_sources_that_exist() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(WEB, &via("9.9.9.9:53"), b"")).sent().source.to_string();
    for source in ["0.0.0.0:53", "127.0.0.1:53", "224.0.0.1:53", "255.255.255.255:53", "192.0.2.1:53"] {
        assert_eq!(lab.outside(&udp(source, &outer, b"")).dropped(), DropReason::IllegalSource, "{source}");
    }
}

#[test]
fn the_well_known_prefix_shows_nobody_who_has_no_global_address() {
    // RFC 6052 §3.1.
    let lan = "10.1.2.3:53";
    for (pool6, allow, is_shown) in
        [("64:ff9b::/96", None, false), ("64:ff9b::/96", Some("10.1.0.0/16"), true), ("2001:db8:64::/96", None, true)]
    {
        let mut lab = Lab::with(|config| {
            config.pool6 = vec![pool6.parse().unwrap()];
            config.allow = allow.into_iter().map(|allow| allow.parse().unwrap()).collect();
        });
        let dns = if pool6.starts_with("64:") { "[64:ff9b::808:808]:53" } else { "[2001:db8:64::808:808]:53" };
        let [six, four] = [(WEB, dns), ("198.18.0.7:40001", "8.8.8.8:53")]
            .map(|(from, to)| lab.inside(&udp(from, to, b"")).sent().source.to_string());

        match is_shown {
            true => drop(lab.outside(&udp(lan, &six, b"")).sent()),
            false => assert_eq!(lab.outside(&udp(lan, &six, b"")).dropped(), DropReason::IllegalSource),
        }
        lab.outside(&udp(lan, &four, b"")).sent();
    }
}

#[test]
fn a_denied_port_is_refused_before_any_state_and_the_sender_hears_why() {
    let mut lab = Lab::with(|config| config.denied_ports = vec![(Protocol::Tcp, 25)]);

    assert_eq!(lab.inside(&tcp(WEB, &via("9.9.9.9:25"), "S")).dropped(), DropReason::DestinationPortDenied);
    assert_eq!(lab.reply().1.icmp, Some((1, 1)));
    assert_eq!(lab.inside(&tcp("198.18.0.7:1", "9.9.9.9:25", "S")).dropped(), DropReason::DestinationPortDenied);
    assert_eq!(lab.reply().1.icmp, Some((3, 13)));
    assert_eq!(lab.sizes(), (0, 0));
    lab.inside(&udp(WEB, &via("9.9.9.9:25"), b"")).sent();
    lab.inside(&tcp(WEB, &via("9.9.9.9:26"), "S")).sent();
}

#[test]
fn a_port_that_becomes_denied_ends_its_sessions() {
    let mut lab = Lab::new();
    lab.inside(&tcp(WEB, &via("9.9.9.9:25"), "S")).sent();
    lab.inside(&tcp(WEB, &via("9.9.9.9:443"), "S")).sent();

    lab.reconfigure(|config| config.denied_ports = vec![(Protocol::Tcp, 25)]);

    assert_eq!(lab.sizes(), (1, 1));
}

#[test]
fn what_is_not_for_the_prefix_is_not_ours() {
    let mut lab = Lab::new();
    let elsewhere = udp(WEB, "[2001:db8::53]:53", b"");
    let gateway = udp(WEB, "[fd64:ff9b::1]:53", b"");

    assert_eq!(lab.inside(&elsewhere).dropped(), DropReason::DestinationOutsidePool6);
    assert_eq!(lab.inside(&gateway).dropped(), DropReason::DestinationOutsidePool6);
    assert!(lab.transmits().is_empty());
}

#[test]
fn other_protocols_are_refused_with_an_error() {
    let mut lab = Lab::new();
    let mut gre = udp(WEB, &via("9.9.9.9:53"), b"x");
    gre[6] = 47;
    assert_eq!(lab.inside(&gre).dropped(), DropReason::ProtocolNotSupported);
    assert_eq!(lab.reply().1.icmp, Some((1, 4)));

    let gre = with_ipv4(udp("9.9.9.9:53", &format!("{POOL4}:9"), b"x"), |ip| ip.protocol = 47.into());
    assert_eq!(lab.outside(&gre).dropped(), DropReason::ProtocolNotSupported);
    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp), (Side::Outside, Some((3, 2))));
}

#[test]
fn icmp_that_is_neither_echo_nor_error_is_dropped() {
    let mut lab = Lab::new();
    for kind in [130, 133, 135, 137, 200] {
        let packet = icmp("2001:db8::7", "64:ff9b::808:808", (kind, 0), [0; 4], b"");
        assert_eq!(lab.inside(&packet).dropped(), DropReason::IcmpNotTranslated, "{kind}");
    }
    for kind in [9, 10, 13, 15, 17, 42] {
        let packet = icmp("8.8.8.8", &POOL4.to_string(), (kind, 0), [0; 4], b"");
        assert_eq!(lab.outside(&packet).dropped(), DropReason::IcmpNotTranslated, "{kind}");
    }
}

#[test]
fn a_wrong_ipv4_header_checksum_is_dropped() {
    let mut lab = Lab::new();
    let mut packet = udp("9.9.9.9:53", &format!("{POOL4}:5000"), b"");
    packet[10] ^= 1;

    assert_eq!(lab.outside(&packet).dropped(), DropReason::Ipv4Checksum);
}

/// Every way in which a destination is refused, in the words of a configuration.
fn refusing() -> Lab {
    Lab::with(|config| {
        config.own_addresses = vec!["85.1.2.3".parse().unwrap()];
        config.denied_ports = vec![(Protocol::Tcp, 25), (Protocol::Udp, 25)];
        config.hairpinning = nat64::Hairpinning::Off;
    })
}

#[test]
fn every_refusal_of_policy_is_counted_and_told_in_both_families() {
    let refusals = [
        ("10.0.0.1:80", DropReason::DestinationNotGlobal),
        ("127.0.0.1:80", DropReason::DestinationNotGlobal),
        ("85.1.2.3:80", DropReason::DestinationOwnAddress),
        ("9.9.9.9:25", DropReason::DestinationPortDenied),
        ("192.0.2.1:5000", DropReason::HairpinningOff),
    ];
    for (to, reason) in refusals {
        let mut lab = refusing();
        let packets = [
            udp(WEB, &via(to), b""),
            tcp(WEB, &via(to), "S"),
            udp("198.18.0.7:1", to, b""),
            tcp("198.18.0.7:1", to, "S"),
        ];
        for (packet, expected) in packets.into_iter().zip([(1, 1), (1, 1), (3, 13), (3, 13)]) {
            assert_eq!(lab.inside(&packet).dropped(), reason, "{to}");

            let (side, error) = lab.reply();
            assert_eq!((side, error.icmp), (Side::Inside, Some(expected)), "{to}");
            assert_eq!(error.payload, packet);
        }
        assert_eq!((lab.engine.stats().dropped(reason), lab.sizes()), (4, (0, 0)), "{to}");
    }
}

#[test]
fn echoes_are_refused_where_datagrams_are() {
    for (to, reason) in [
        ("10.0.0.1", DropReason::DestinationNotGlobal),
        ("85.1.2.3", DropReason::DestinationOwnAddress),
        ("192.0.2.1", DropReason::HairpinningOff),
    ] {
        let mut lab = refusing();
        assert_eq!(lab.inside(&echo("2001:db8::7", &format!("64:ff9b::{to}"), 128, 1)).dropped(), reason);
        assert_eq!(lab.reply().1.icmp, Some((1, 1)));
        assert_eq!(lab.inside(&echo("198.18.0.7", to, 8, 1)).dropped(), reason);
        assert_eq!(lab.reply().1.icmp, Some((3, 13)));
    }
}

#[test]
fn fragments_are_refused_where_their_datagram_is() {
    let mut lab = refusing();
    let whole = udp(WEB, &via("9.9.9.9:25"), &[1; 100]);
    let fragments = crate::trains::cut(&whole, &[48], 7);

    assert_eq!(lab.inside(&fragments[1]), crate::lab::Outcome::Taken, "a later fragment has no port");
    assert_eq!(lab.inside(&fragments[0]).dropped(), DropReason::DestinationPortDenied);

    let (_, error) = lab.reply();
    assert_eq!((error.icmp, error.payload), (Some((1, 1)), fragments[0].clone()));
}

#[test]
fn what_is_refused_from_outside_is_told_only_where_answers_were_asked_for() {
    // Sources that lie are never answered; a filter says so if it may (RFC 6146 §3.5.1.2, §3.5.3.2).
    for (unsolicited, answer) in [(nat64::Unsolicited::HoldSyns, None), (nat64::Unsolicited::Answer, Some((3, 13)))] {
        let mut lab = Lab::with(|config| {
            (config.unsolicited, config.filtering) = (unsolicited, nat64::Filtering::AddressDependent);
        });
        let outer = lab.inside(&udp(WEB, &via("9.9.9.9:53"), b"")).sent().source.to_string();

        assert_eq!(lab.outside(&udp("8.8.8.8:53", &outer, b"")).dropped(), DropReason::FilteredByAddress);
        assert_eq!(lab.transmits().pop().map(|error| crate::lab::see(&error.bytes).icmp.unwrap()), answer);
        assert_eq!(lab.outside(&udp("127.0.0.1:53", &outer, b"")).dropped(), DropReason::IllegalSource);
        let elsewhere = udp("8.8.8.8:53", "192.0.2.99:53", b"");
        assert_eq!(lab.outside(&elsewhere).dropped(), DropReason::DestinationOutsidePool4);
        assert!(lab.transmits().is_empty());
    }
}
