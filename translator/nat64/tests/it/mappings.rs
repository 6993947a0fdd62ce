//! Mappings made by hand (RFC 6146 §3.1), and what operators see of the tables.

use std::net::SocketAddrV4;
use std::time::Duration;

use nat64::{BibView, DropReason, MappingError, Pool4, Protocol, Removed, StaticMapping, TcpState};

use crate::lab::{Lab, POOL4, at, echo, tcp, udp, via};

const WEB: &str = "[2001:db8:1:2::7]:8080";
const PEER: &str = "198.18.0.7:8080";
const DNS: &str = "9.9.9.9:53";

fn outer(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(POOL4, port)
}

fn mapping(protocol: Protocol, port: u16, inner: &str) -> StaticMapping {
    StaticMapping { protocol, outer: outer(port), inner: at(inner) }
}

fn lab_with(mappings: &[StaticMapping]) -> Lab {
    let mut lab = Lab::new();
    for mapping in mappings {
        lab.engine.add_mapping(lab.now, *mapping).unwrap();
    }
    lab
}

#[test]
fn either_side_may_start() {
    let mut lab = lab_with(&[mapping(Protocol::Tcp, 8000, WEB), mapping(Protocol::Udp, 8000, WEB)]);

    let syn = lab.outside(&tcp("9.9.9.9:1", &outer(8000).to_string(), "S")).sent();
    assert_eq!((syn.source, syn.destination), (at(&via("9.9.9.9:1")), at(WEB)));
    assert_eq!(lab.inside(&udp(WEB, &via(DNS), b"")).sent().source, outer(8000).into());
}

#[test]
fn an_ipv4_peer_and_an_identifier_can_be_mapped() {
    let mut lab =
        lab_with(&[mapping(Protocol::Udp, 8000, PEER), mapping(Protocol::Icmp, 9000, "[2001:db8:1:2::7]:77")]);

    assert_eq!(lab.outside(&udp(DNS, &outer(8000).to_string(), b"")).sent().destination, at(PEER));
    let ping = lab.outside(&echo("9.9.9.9", &POOL4.to_string(), 8, 9000)).sent();
    assert_eq!((ping.icmp, ping.source.port()), (Some((128, 0)), 77));
}

#[test]
fn a_mapping_made_by_hand_never_expires_and_its_port_is_nobody_elses() {
    let mut lab = lab_with(&[mapping(Protocol::Udp, 5000, WEB)]);
    lab.reconfigure(|config| config.pool4[0].ports = 5000..=5001);
    lab.outside(&udp(DNS, &outer(5000).to_string(), b"")).sent();
    assert_eq!(lab.inside(&udp("[2001:db8::9]:2", &via(DNS), b"")).sent().source.port(), 5001);
    assert_eq!(lab.inside(&udp("[2001:db8::9]:4", &via(DNS), b"")).dropped(), DropReason::PoolExhausted);

    lab.pass(Duration::from_secs(100_000));

    let left: Vec<_> = lab.engine.bib().collect();
    let expected =
        BibView { protocol: Protocol::Udp, inner: at(WEB), outer: outer(5000), is_static: true, sessions: 0 };
    assert_eq!(left, [expected]);
    lab.outside(&udp(DNS, &outer(5000).to_string(), b"")).sent();
}

#[test]
fn a_mapping_stays_as_long_as_its_endpoints_are_possible() {
    let mut lab = lab_with(&[mapping(Protocol::Udp, 5000, WEB), mapping(Protocol::Udp, 6000, PEER)]);
    lab.outside(&udp(DNS, &outer(5000).to_string(), b"")).sent();

    lab.reconfigure(|config| config.pool6 = vec!["2001:db8:64::/96".parse().unwrap()]);
    assert_eq!(lab.sizes(), (2, 0), "its sessions had another prefix");
    lab.reconfigure(|config| config.ipv4_peers = "198.19.0.0/16".parse().unwrap());
    assert_eq!(lab.engine.bib().map(|entry| entry.inner).collect::<Vec<_>>(), [at(WEB)]);
    lab.reconfigure(|config| config.pool4 = vec![Pool4::new(POOL4, 1..=4999)]);
    assert_eq!(lab.sizes(), (0, 0));
}

#[test]
fn a_peer_that_leaves_takes_its_mappings_along() {
    let mut lab = lab_with(&[mapping(Protocol::Udp, 5000, WEB), mapping(Protocol::Udp, 6000, PEER)]);

    lab.engine.forget_inside("2001:db8:1:2::/64".parse().unwrap());

    assert_eq!(lab.engine.bib().map(|entry| entry.inner).collect::<Vec<_>>(), [at(PEER)]);
}

#[test]
fn what_cannot_be_mapped_is_refused_with_the_reason() {
    let mut lab = lab_with(&[mapping(Protocol::Tcp, 5000, WEB)]);
    let mut add = |mapping| lab.engine.add_mapping(lab.now, mapping);

    assert_eq!(add(mapping(Protocol::Tcp, 5000, WEB)), Ok(()), "once more changes nothing");
    assert_eq!(add(mapping(Protocol::Tcp, 80, PEER)), Err(MappingError::OutsidePool4 { outer: outer(80) }));
    let taken = MappingError::Taken { outer: outer(5000), by: at(WEB) };
    assert_eq!(add(mapping(Protocol::Tcp, 5000, PEER)), Err(taken));
    let mapped = MappingError::InnerMapped { inner: at(WEB), outer: outer(5000) };
    assert_eq!(add(mapping(Protocol::Tcp, 5001, WEB)), Err(mapped));
    for nobody in ["[fe80::1]:1", "[::1]:1", "192.168.1.1:1", "[64:ff9b::1]:1", "198.18.0.1:1"] {
        let impossible = MappingError::InnerImpossible { inner: at(nobody) };
        assert_eq!(add(mapping(Protocol::Tcp, 5002, nobody)), Err(impossible));
    }
    assert_eq!(taken.to_string(), format!("{POOL4}:5000 belongs to {WEB}; remove that mapping first"));
    assert_eq!(lab.sizes(), (1, 0));
}

#[test]
fn the_bib_has_an_end_for_operators_too() {
    let mut lab = Lab::with(|config| config.limits.bib_entries = 1);
    lab.engine.add_mapping(lab.now, mapping(Protocol::Tcp, 5000, WEB)).unwrap();

    assert_eq!(lab.engine.add_mapping(lab.now, mapping(Protocol::Udp, 5000, WEB)), Err(MappingError::BibFull));
}

#[test]
fn a_mapping_that_traffic_made_can_be_kept_by_hand() {
    let mut lab = Lab::new();
    let port = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port();

    lab.engine.add_mapping(lab.now, mapping(Protocol::Udp, port, WEB)).unwrap();
    lab.pass(Duration::from_secs(300));

    assert_eq!(lab.sizes(), (1, 0));
}

#[test]
fn a_mapping_is_removed_with_its_sessions_and_its_port_is_free() {
    let mut lab = lab_with(&[mapping(Protocol::Udp, 5000, WEB)]);
    lab.outside(&udp(DNS, &outer(5000).to_string(), b"")).sent();
    lab.outside(&udp("8.8.8.8:53", &outer(5000).to_string(), b"")).sent();
    lab.inside(&udp("[2001:db8::9]:2", &via(DNS), b"")).sent();

    let removed = lab.engine.remove_mapping(Protocol::Udp, outer(5000));

    assert_eq!(removed, Ok(Removed { inner: at(WEB), is_static: true, sessions: 2 }));
    assert_eq!(lab.sizes(), (1, 1));
    lab.engine.add_mapping(lab.now, mapping(Protocol::Udp, 5000, PEER)).unwrap();
    let nobody = lab.engine.remove_mapping(Protocol::Tcp, outer(5000));
    assert_eq!(nobody, Err(MappingError::NotMapped { outer: outer(5000) }));
}

#[test]
fn a_mapping_that_traffic_made_is_removed_alike() {
    let mut lab = Lab::new();
    let port = lab.inside(&udp(WEB, &via(DNS), b"")).sent().source.port();

    let removed = lab.engine.remove_mapping(Protocol::Udp, outer(port));

    assert_eq!(removed, Ok(Removed { inner: at(WEB), is_static: false, sessions: 1 }));
    assert_eq!((lab.sizes(), lab.engine.poll_timeout()), ((0, 0), None));
}

#[test]
fn sessions_show_who_speaks_to_whom_and_for_how_long() {
    let mut lab = Lab::new();
    let tcp_outer = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).sent().source;
    lab.pass(Duration::from_secs(40));
    lab.inside(&udp(PEER, DNS, b"")).sent();

    let sessions: Vec<_> = lab.engine.sessions(lab.now + Duration::from_secs(1)).collect();

    let [tcp, udp] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((tcp.protocol, tcp.inner, tcp.outer.into()), (Protocol::Tcp, at(WEB), tcp_outer));
    assert_eq!((tcp.state, tcp.expires_in), (Some(TcpState::V6Init), Duration::from_secs(240 - 41)));
    assert_eq!((udp.inner, udp.remote.to_string().as_str(), udp.state), (at(PEER), DNS, None));
    assert_eq!(udp.expires_in, Duration::from_secs(299));
    assert_eq!((tcp.pool6.map(|pool6| pool6.to_string()).as_deref(), udp.pool6), (Some("64:ff9b::/96"), None));
}

#[test]
fn an_echo_reply_goes_out_by_a_mapping_that_is_there_and_makes_none() {
    let mut lab = Lab::new();
    let reply = |identifier| echo("2001:db8:1:2::7", "64:ff9b::909:909", 129, identifier);
    let (inner, outer) = (at("[2001:db8:1:2::7]:77"), "192.0.2.1:5000".parse().unwrap());
    let mapping = StaticMapping { protocol: Protocol::Icmp, outer, inner };
    lab.engine.add_mapping(lab.now, mapping).unwrap();

    let sent = lab.inside(&reply(77)).sent();

    assert_eq!((sent.icmp, sent.source.port()), (Some((0, 0)), 5000));
    assert_eq!(lab.inside(&reply(78)).dropped(), DropReason::NoSession);
}
