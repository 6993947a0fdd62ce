//! IPv4 from peers: the same tables, no other header (DESIGN: NAT44 for IPv4 peers).

use nat64::DropReason;

use crate::lab::{Lab, POOL4, at, echo, icmp, see, tcp, udp, via, with_ipv4};

const PEER: &str = "198.18.0.7:40001";
const DNS: &str = "9.9.9.9:53";

#[test]
fn a_datagram_of_an_ipv4_peer_goes_out_from_pool4_and_its_answer_comes_back() {
    let mut lab = Lab::new();

    let out = lab.inside(&udp(PEER, DNS, b"question")).sent();
    assert_eq!((out.source.ip(), out.destination, out.hop_limit), (POOL4.into(), at(DNS), 63));

    let back = lab.outside(&udp(DNS, &out.source.to_string(), b"answer")).sent();
    assert_eq!((back.source, back.destination, back.hop_limit), (at(DNS), at(PEER), 63));
}

#[test]
fn connections_and_echoes_of_ipv4_peers_work_alike() {
    let mut lab = Lab::new();
    let outer = lab.inside(&tcp(PEER, "1.1.1.1:443", "S")).sent().source.to_string();
    assert_eq!(lab.outside(&tcp("1.1.1.1:443", &outer, "SA")).sent().destination, at(PEER));

    let ping = lab.inside(&echo("198.18.0.7", "8.8.8.8", 8, 77)).sent();
    let pong = lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 0, ping.source.port())).sent();
    assert_eq!((pong.icmp, pong.destination.port()), (Some((0, 0)), 77));
}

#[test]
fn one_server_has_different_ports_for_its_two_addresses() {
    let mut lab = Lab::new();

    let four = lab.inside(&udp(PEER, DNS, b"")).sent().source;
    let six = lab.inside(&udp("[2001:db8::7]:40001", &via(DNS), b"")).sent().source;

    assert_ne!(four, six);
}

#[test]
fn sources_that_are_not_peers_are_dropped() {
    let mut lab = Lab::new();
    for source in ["192.168.1.7:1", "198.18.0.1:1", "192.0.2.1:1", "127.0.0.1:1", "0.0.0.0:1"] {
        assert_eq!(lab.inside(&udp(source, DNS, b"")).dropped(), DropReason::IllegalSource, "{source}");
    }
}

#[test]
fn a_datagram_without_checksum_stays_without() {
    let mut lab = Lab::new();
    let mut out = udp(PEER, DNS, b"x");
    out[26..28].fill(0);

    assert_eq!(lab.inside(&out).bytes()[26..28], [0, 0]);
}

#[test]
fn options_stay_and_df_keeps_its_identification() {
    let mut lab = Lab::new();
    let out = with_ipv4(udp(PEER, DNS, b"x"), |ip| {
        ip.options = [7, 4, 4, 0].into();
        (ip.dont_fragment, ip.identification) = (true, 99);
    });

    let bytes = lab.inside(&out).bytes();

    assert_eq!((bytes[0], &bytes[20..24], &bytes[4..6]), (0x46, &[7, 4, 4, 0][..], &[0, 99][..]));
    assert_eq!(see(&bytes).payload, b"x");
}

#[test]
fn an_error_from_outside_reaches_the_ipv4_peer_with_its_own_packet() {
    let mut lab = Lab::new();
    let sent = lab.inside(&udp(PEER, DNS, b"question")).bytes();

    let error = lab.outside(&icmp("203.0.113.1", &POOL4.to_string(), (3, 3), [0; 4], &sent[..28])).sent();

    assert_eq!((error.icmp, error.destination.ip()), (Some((3, 3)), at(PEER).ip()));
    let quoted = etherparse::Ipv4Header::from_slice(&error.payload).unwrap().0;
    assert_eq!((quoted.source, quoted.destination), ([198, 18, 0, 7], [9, 9, 9, 9]));
    assert_eq!(error.payload[20..22], 40001_u16.to_be_bytes());
}

#[test]
fn an_error_from_an_ipv4_peer_goes_out_from_pool4() {
    let mut lab = Lab::new();
    let outer = lab.inside(&udp(PEER, DNS, b"")).sent().source;
    let received = lab.outside(&udp(DNS, &outer.to_string(), b"answer")).bytes();

    let error = lab.inside(&icmp("198.18.0.7", "9.9.9.9", (3, 3), [0; 4], &received)).sent();

    assert_eq!((error.source.ip(), error.destination.ip()), (POOL4.into(), at(DNS).ip()));
    let quoted = etherparse::Ipv4Header::from_slice(&error.payload).unwrap().0;
    assert_eq!((quoted.source, quoted.destination), ([9, 9, 9, 9], POOL4.octets()));
    assert_eq!(error.payload[22..24], outer.port().to_be_bytes());
}
