//! ICMP errors of others: translated with what they quote, or refused (RFC 7915 §4.2 to §4.5, §5.2 to §5.5).

use nat64::{DropReason, Filtering};

use crate::lab::{Lab, POOL4, at, echo, icmp, see, tcp, udp, via, with_ipv4};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const WEB_ADDRESS: &str = "2001:db8:1:2::7";
const DNS: &str = "9.9.9.9:53";

/// A session, and the packet outside that belongs to it.
pub(crate) fn lab_with_session() -> (Lab, Vec<u8>) {
    let mut lab = Lab::new();
    let sent = lab.inside(&udp(WEB, &via(DNS), b"a question long enough to be quoted in part")).bytes();
    (lab, sent)
}

/// The packet inside an error, made readable: what was cut off is filled up.
#[track_caller]
pub(crate) fn quoted(payload: &[u8]) -> (std::net::SocketAddr, std::net::SocketAddr, u8) {
    let mut whole = payload.to_vec();
    whole.resize(2000, 0);
    let sliced = etherparse::LaxSlicedPacket::from_ip(&whole).unwrap();
    let hop_limit = match sliced.net.unwrap() {
        etherparse::LaxNetSlice::Ipv4(ip) => ip.header().ttl(),
        etherparse::LaxNetSlice::Ipv6(ip) => ip.header().hop_limit(),
        etherparse::LaxNetSlice::Arp(_) => unreachable!(),
    };
    let layout = packet::Layout::of(&whole).unwrap();
    let ports = &whole[layout.transport_at..];
    let (source, destination) = match layout.family {
        packet::Family::V4 => {
            let ip = packet::ipv4::Ipv4::parse(&whole).unwrap();
            (ip.source().into(), ip.destination().into())
        }
        packet::Family::V6 => {
            let ip = packet::ipv6::Ipv6::parse(&whole).unwrap();
            (ip.source().into(), ip.destination().into())
        }
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let (from, to) = if matches!(layout.protocol, 1 | 58) { (port(4), port(4)) } else { (port(0), port(2)) };
    (std::net::SocketAddr::new(source, from), std::net::SocketAddr::new(destination, to), hop_limit)
}

#[test]
fn an_error_from_a_router_outside_reaches_the_host_with_its_own_packet() {
    let (mut lab, sent) = lab_with_session();

    let error = lab.outside(&icmp("172.20.0.1", &POOL4.to_string(), (11, 0), [0; 4], &sent)).sent();

    assert_eq!((error.icmp, error.hop_limit), (Some((3, 0)), 63));
    assert_eq!(error.source.ip(), at(&via("172.20.0.1:0")).ip());
    assert_eq!(error.destination.ip().to_string(), WEB_ADDRESS);
    assert_eq!(quoted(&error.payload), (at(WEB), at(&via(DNS)), 63), "hop limit of a quote is not decremented");
}

#[test]
fn the_quote_is_the_packet_the_host_sent_to_the_last_bit() {
    let mut lab = Lab::new();
    let mut original = udp(WEB, &via(DNS), b"question");
    let sent = lab.inside(&original).bytes();

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &sent)).sent();

    original[7] -= 1;
    assert_eq!(error.payload, original);
}

#[test]
fn twenty_eight_bytes_of_quote_are_enough_for_tcp_too() {
    let mut lab = Lab::new();
    let sent = lab.inside(&tcp(WEB, &via("1.1.1.1:443"), "S")).bytes();

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &sent[..28])).sent();

    let (from, to, _) = quoted(&error.payload);
    assert_eq!((error.icmp, from, to), (Some((1, 0)), at(WEB), at(&via("1.1.1.1:443"))));
}

#[test]
fn an_error_about_an_echo_is_found_by_its_identifier() {
    let mut lab = Lab::new();
    let sent = lab.inside(&echo(WEB_ADDRESS, "64:ff9b::808:808", 128, 77)).bytes();

    let error = lab.outside(&icmp("8.8.4.4", &POOL4.to_string(), (11, 0), [0; 4], &sent)).sent();

    let (from, to, _) = quoted(&error.payload);
    assert_eq!((from.ip().to_string(), from.port()), (WEB_ADDRESS.into(), 77));
    assert_eq!((to.ip(), error.payload[40]), (at(&via("8.8.8.8:0")).ip(), 128));
    assert_eq!(crate::lab::transport_checksum(&error.payload), 0);
}

#[test]
fn path_mtu_outside_is_told_inside_20_bytes_larger() {
    let (mut lab, sent) = lab_with_session();

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 4), [0, 0, 5, 20], &sent)).sent();

    assert_eq!((error.icmp, error.rest), (Some((2, 0)), 1320_u32.to_be_bytes()));
}

#[test]
fn path_mtu_inside_is_told_outside_20_bytes_smaller_from_pool4() {
    let (mut lab, sent) = lab_with_session();
    let outer = see(&sent).source;
    let received = lab.outside(&udp(DNS, &outer.to_string(), &[1; 600])).bytes();

    // A router on the way to the host, not the host itself.
    let error =
        lab.inside(&icmp("2001:db8:9::1", "64:ff9b::909:909", (2, 0), 1300_u32.to_be_bytes(), &received)).sent();

    assert_eq!((error.icmp, error.rest), (Some((3, 4)), [0, 0, 5, 0]));
    assert_eq!((error.source.ip(), error.destination.ip()), (POOL4.into(), at(DNS).ip()));
    assert_eq!(quoted(&error.payload), (at(DNS), outer, 63));
    assert!(error.len <= 576);
}

#[test]
fn an_error_inside_may_quote_extension_headers_and_an_echo_reply() {
    let mut lab = Lab::new();
    let ping = lab.inside(&echo(WEB_ADDRESS, "64:ff9b::808:808", 128, 77)).sent();
    let pong = lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 0, ping.source.port())).bytes();
    let mut quote = [&pong[..40], &[58, 0, 1, 4, 0, 0, 0, 0], &pong[40..]].concat();
    (quote[5], quote[6]) = (quote[5] + 8, 60);

    let error = lab.inside(&icmp(WEB_ADDRESS, "64:ff9b::808:808", (1, 1), [0; 4], &quote)).sent();

    let (from, to, _) = quoted(&error.payload);
    assert_eq!((error.icmp, from.ip(), to.port()), (Some((3, 10)), at("8.8.8.8:0").ip(), ping.source.port()));
    assert_eq!((error.payload.len(), error.payload[20]), (pong.len() - 20, 0));
}

#[test]
fn an_error_outside_about_an_echo_reply_is_found_like_one_about_a_request() {
    // Requirement 65.
    let mut lab = Lab::new();
    let ping = lab.inside(&echo(WEB_ADDRESS, "64:ff9b::808:808", 128, 77)).sent();
    lab.outside(&echo("8.8.8.8", &POOL4.to_string(), 8, ping.source.port())).sent();
    let pong = lab.inside(&echo(WEB_ADDRESS, "64:ff9b::808:808", 129, 77)).bytes();

    let error = lab.outside(&icmp("8.8.4.4", &POOL4.to_string(), (11, 0), [0; 4], &pong)).sent();

    let (from, to, _) = quoted(&error.payload);
    assert_eq!((from.ip().to_string(), from.port(), to.ip()), (WEB_ADDRESS.into(), 77, at(&via("8.8.8.8:0")).ip()));
    assert_eq!((error.icmp, error.payload[40]), (Some((3, 0)), 129));
}

#[test]
fn options_of_a_quoted_packet_are_left_behind_and_its_length_tells() {
    // Requirement 51.
    let (mut lab, sent) = lab_with_session();
    let with_options = with_ipv4(sent.clone(), |ip| ip.options = [7, 7, 4, 0, 0, 0, 0, 0].into());

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (11, 0), [0; 4], &with_options)).sent();

    assert_eq!(quoted(&error.payload), (at(WEB), at(&via(DNS)), 63));
    assert_eq!((error.payload.len(), error.payload[5]), (sent.len() + 20, sent.len() as u8 - 20));
}

#[test]
fn what_a_quote_claims_of_its_length_is_not_believed() {
    // Requirements 49 and 105.
    let (mut lab, sent) = lab_with_session();
    for claimed in [0_u16, 19, 20, 28, 65_535] {
        let mut quote = sent[..28].to_vec();
        quote[2..4].copy_from_slice(&claimed.to_be_bytes());

        let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (11, 0), [0; 4], &quote)).sent();

        assert_eq!(error.payload.len(), 48, "{claimed}");
    }
}

#[test]
fn errors_about_nothing_we_know_are_dropped() {
    let (mut lab, sent) = lab_with_session();
    let to = POOL4.to_string();
    let (mut other_port, mut other_source) = (sent.clone(), sent);
    other_port[21] ^= 1;
    other_source[12] ^= 1;

    for quote in [other_port, other_source] {
        let error = icmp("8.8.8.8", &to, (3, 1), [0; 4], &quote);
        assert_eq!(lab.outside(&error).dropped(), DropReason::IcmpErrorWithoutSession);
    }
    let misdirected = icmp(WEB_ADDRESS, "64:ff9b::808:808", (1, 4), [0; 4], &udp(&via(DNS), WEB, b""));
    assert_eq!(lab.inside(&misdirected).dropped(), DropReason::IcmpErrorWithoutSession);
}

#[test]
fn an_error_needs_a_mapping_and_a_session_only_where_answers_do() {
    // RFC 6146 §3.6.1; Filtering speaks of who may answer.
    for (filtering, passes) in [(Filtering::EndpointIndependent, true), (Filtering::AddressDependent, false)] {
        let mut lab = Lab::with(|config| config.filtering = filtering);
        let mut other_remote = lab.inside(&udp(WEB, &via(DNS), b"question")).bytes();
        other_remote[19] ^= 1;

        let outcome = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &other_remote));

        match passes {
            true => assert_eq!(quoted(&outcome.sent().payload).0, at(WEB)),
            false => assert_eq!(outcome.dropped(), DropReason::IcmpErrorWithoutSession),
        }
        assert_eq!(lab.sizes(), (1, 1), "it changes nothing");
        let mut private = other_remote.clone();
        private[16..20].copy_from_slice(&[192, 168, 1, 1]);
        let impossible = icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &private);
        assert_eq!(lab.outside(&impossible).dropped(), DropReason::IcmpErrorWithoutSession);
    }
}

#[test]
fn an_error_to_one_address_of_the_pool_says_nothing_about_another() {
    let mut lab = Lab::with(|config| {
        let mut second = config.pool4[0].clone();
        second.address = "192.0.2.2".parse().unwrap();
        config.pool4.push(second);
    });
    let sent = lab.inside(&udp(WEB, &via(DNS), b"question")).bytes();
    let ours = see(&sent).source.ip().to_string();
    let other = if ours == "192.0.2.1" { "192.0.2.2" } else { "192.0.2.1" };

    let misdirected = icmp("8.8.8.8", other, (3, 1), [0; 4], &sent);

    assert_eq!(lab.outside(&misdirected).dropped(), DropReason::IcmpErrorWithoutSession);
    lab.outside(&icmp("8.8.8.8", &ours, (3, 1), [0; 4], &sent)).sent();
}

#[test]
fn errors_about_errors_and_about_later_fragments_are_dropped() {
    let (mut lab, sent) = lab_with_session();
    let to = POOL4.to_string();
    let about_error = icmp(&to, "9.9.9.9", (3, 3), [0; 4], &sent);
    let later = with_ipv4(sent, |ip| ip.fragment_offset = 5.try_into().unwrap());

    assert_eq!(
        lab.outside(&icmp("8.8.8.8", &to, (11, 0), [0; 4], &about_error)).dropped(),
        DropReason::IcmpErrorAboutError
    );
    assert_eq!(lab.outside(&icmp("8.8.8.8", &to, (11, 0), [0; 4], &later)).dropped(), DropReason::FragmentNotSupported);
}

#[test]
fn a_quoted_first_fragment_gets_a_fragment_header() {
    let (mut lab, sent) = lab_with_session();
    let first = with_ipv4(sent, |ip| (ip.more_fragments, ip.identification) = (true, 0x1234));

    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (11, 1), [0; 4], &first)).sent();

    assert_eq!((error.icmp, error.payload[6]), (Some((3, 1)), 44));
    assert_eq!(error.payload[40..48], [17, 0, 0, 1, 0, 0, 0x12, 0x34]);
}

#[test]
fn a_long_quote_is_cut_to_1280_bytes_and_to_576() {
    // Requirements 56 and 66.
    let (mut lab, sent) = lab_with_session();
    let sent = [sent, vec![0; 1400]].concat();
    let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &sent)).sent();
    assert_eq!(error.len, 1280);

    let received = lab.outside(&udp(DNS, &see(&sent[..71]).source.to_string(), &[1; 1200])).bytes();
    let error = lab.inside(&icmp(WEB_ADDRESS, "64:ff9b::909:909", (1, 4), [0; 4], &received)).sent();
    assert_eq!(error.len, 576);
}

#[test]
fn a_quoted_fragment_header_becomes_flags_and_offset() {
    // Requirement 64, RFC 7915 §5.3: the low 16 bits of the identification, DF clear.
    let (mut lab, sent) = lab_with_session();
    let received = lab.outside(&udp(DNS, &see(&sent).source.to_string(), &[1; 100])).bytes();
    let mut first = [&received[..40], &[17, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef], &received[40..]].concat();
    (first[5], first[6]) = (first[5] + 8, 44);

    let error = lab.inside(&icmp(WEB_ADDRESS, "64:ff9b::909:909", (3, 1), [0; 4], &first)).sent();
    assert_eq!((error.icmp, &error.payload[4..8]), (Some((11, 1)), &[0xbe, 0xef, 0x20, 0][..]));

    first[43] = 8;
    let later = icmp(WEB_ADDRESS, "64:ff9b::909:909", (3, 1), [0; 4], &first);
    assert_eq!(lab.inside(&later).dropped(), DropReason::FragmentNotSupported);
}

#[test]
fn an_mtu_of_zero_is_the_plateau_below_what_was_sent() {
    // Requirement 45, RFC 1191 §7.1.
    let mut lab = Lab::with(|config| (config.mtu4, config.mtu6) = (9000, 9000));
    for (len, expected) in [(8000, 4352 + 20), (1501, 1492 + 20), (1492, 1280)] {
        let sent = lab.inside(&udp(WEB, &via(DNS), &vec![1; len - 28])).bytes();

        let error = lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 4), [0; 4], &sent)).sent();

        assert_eq!((error.icmp, error.rest), (Some((2, 0)), u32::to_be_bytes(expected)), "{len}");
    }
}

#[test]
fn a_translated_error_may_be_fragmented_and_has_an_identification() {
    // Requirements 5 and 6: it is far below 1260 bytes.
    let (mut lab, sent) = lab_with_session();
    let received = lab.outside(&udp(DNS, &see(&sent).source.to_string(), b"x")).bytes();

    let error = lab.inside(&icmp(WEB_ADDRESS, "64:ff9b::909:909", (1, 4), [0; 4], &received)).bytes();

    assert!(!see(&error).dont_fragment);
    assert_ne!(error[4..6], [0, 0]);
}

#[test]
fn an_error_with_a_wrong_checksum_is_dropped() {
    let (mut lab, sent) = lab_with_session();
    let mut error = icmp("8.8.8.8", &POOL4.to_string(), (3, 1), [0; 4], &sent);
    error[22] ^= 1;

    assert_eq!(lab.outside(&error).dropped(), DropReason::IcmpChecksum);
}

#[test]
fn errors_that_mean_nothing_on_the_other_side_are_dropped() {
    let (mut lab, sent) = lab_with_session();
    let to = POOL4.to_string();
    for (kind, code) in [(4, 0), (5, 0), (3, 14), (12, 1)] {
        let error = icmp("8.8.8.8", &to, (kind, code), [0; 4], &sent);
        assert_eq!(lab.outside(&error).dropped(), DropReason::IcmpNotTranslated, "{kind}/{code}");
    }
}

#[test]
fn an_error_ends_no_session() {
    let (mut lab, sent) = lab_with_session();

    lab.outside(&icmp("8.8.8.8", &POOL4.to_string(), (3, 3), [0; 4], &sent)).sent();

    assert_eq!(lab.sizes(), (1, 1));
}
