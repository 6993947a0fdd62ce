//! SYNs announce no larger segments than the links on both sides carry.

use etherparse::TcpHeader;
use nat64::{MssClamping, Side};
use packet::{Checksum, Offload, segment};
use proptest::prelude::*;

use crate::lab::{Lab, tcp, tcp_with, via};
use crate::supers::make_partial;

const WEB: &str = "[2001:db8:1:2::7]:40001";
const PEER: &str = "198.18.0.7:40001";
const REMOTE: &str = "9.9.9.9:443";

/// The options of a segment that was seen to be right, checksum included.
#[track_caller]
fn options(bytes: &[u8]) -> Vec<u8> {
    crate::lab::see(bytes);
    let at = if bytes[0] >> 4 == 6 { 40 } else { 20 };
    bytes[at + 20..at + usize::from(bytes[at + 12] >> 4) * 4].to_vec()
}

fn segment_with(from: &str, to: &str, flags: &str, options: &[u8]) -> Vec<u8> {
    let port = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().port();
    let mut header = TcpHeader::new(port(from), port(to), 1, 1000);
    (header.syn, header.ack) = (flags.contains('S'), flags.contains('A'));
    header.set_options_raw(options).unwrap();
    tcp_with(from, to, header, b"")
}

fn mss(size: u16) -> Vec<u8> {
    [&[2, 4][..], &size.to_be_bytes()].concat()
}

/// What becomes of the announcements of a connection from inside, there and back.
#[track_caller]
fn check(lab: &mut Lab, inner: &str, (there, back): (u16, u16), expected: (u16, u16)) {
    let remote = if inner.starts_with('[') { via(REMOTE) } else { REMOTE.to_owned() };
    let syn = lab.inside(&segment_with(inner, &remote, "S", &mss(there))).bytes();
    let outer = crate::lab::see(&syn).source.to_string();
    let answer = lab.outside(&segment_with(REMOTE, &outer, "SA", &mss(back))).bytes();

    assert_eq!((options(&syn), options(&answer)), (mss(expected.0), mss(expected.1)));
}

#[test]
fn both_ends_hear_what_the_tunnel_carries() {
    // A tunnel of 1412 bytes, less the headers.
    check(&mut Lab::new(), WEB, (1440, 1460), (1352, 1352));
    check(&mut Lab::new(), PEER, (1460, 1460), (1372, 1372));
}

#[test]
fn a_small_link_outside_counts_too() {
    check(&mut Lab::with(|config| config.mtu4 = 1300), WEB, (1440, 1460), (1260, 1260));
    check(&mut Lab::with(|config| config.mtu4 = 1300), PEER, (1440, 1460), (1260, 1260));
}

#[test]
fn no_announcement_grows() {
    check(&mut Lab::new(), WEB, (1352, 536), (1352, 536));
    check(&mut Lab::new(), PEER, (0, 1), (0, 1));
}

#[test]
fn a_connection_between_peers_fits_both_tunnels() {
    let mut lab = Lab::new();
    let outer = lab.inside(&tcp(PEER, REMOTE, "S")).sent().source.to_string();

    let syn = lab.hairpinned_bytes(&segment_with(WEB, &via(&outer), "S", &mss(1440)));

    assert_eq!(options(&syn), mss(1352));
}

#[test]
fn who_announces_nothing_is_given_no_option() {
    let syn = Lab::new().inside(&segment_with(WEB, &via(REMOTE), "S", &[1, 1, 4, 2])).bytes();

    assert_eq!(options(&syn), [1, 1, 4, 2]);
}

#[test]
fn only_syns_announce() {
    let mut lab = Lab::new();
    lab.inside(&tcp(WEB, &via(REMOTE), "S")).sent();

    let data = lab.inside(&segment_with(WEB, &via(REMOTE), "A", &mss(9000))).bytes();

    assert_eq!(options(&data), mss(9000));
}

#[test]
fn clamping_can_be_left_to_others() {
    let mut lab = Lab::with(|config| config.clamp_mss = MssClamping::Off);

    check(&mut lab, WEB, (1440, 1460), (1440, 1460));
}

#[test]
fn what_stands_behind_a_malformed_option_is_left_alone() {
    let large = mss(9000);
    for broken in [&[8, 1][..], &[8, 0], &[8, 40], &[2, 3, 35, 40], &[0, 0]] {
        let options_sent = [broken, &large, &[1; 6][broken.len() - 2..]].concat();
        let options_sent = &options_sent[..options_sent.len() / 4 * 4];

        let syn = Lab::new().inside(&segment_with(WEB, &via(REMOTE), "S", options_sent)).bytes();

        assert_eq!(options(&syn), options_sent, "{broken:?}");
    }
    let cut = [&[1, 1][..], &[2, 4]].concat();
    let syn = Lab::new().inside(&segment_with(WEB, &via(REMOTE), "S", &cut)).bytes();
    assert_eq!(options(&syn), cut, "an option that leaves the header");
}

#[test]
fn a_syn_whose_checksum_the_kernel_left_to_us_stays_completable() {
    let mut lab = Lab::new();
    let mut bytes = segment_with(WEB, &via(REMOTE), "S", &mss(1440));
    make_partial(&mut bytes);

    let (outcome, offload) = lab.handle(Side::Inside, &bytes, Offload { checksum: Checksum::Partial, segments: None });

    let mut buffer = outcome.bytes();
    let end = buffer.len();
    let mut packet = packet::Packet::new(&mut buffer, 0..end);
    packet.offload = offload;
    segment::complete_checksum(&mut packet).unwrap();
    assert_eq!(options(packet.bytes()), mss(1352));
}

proptest! {
    #[test]
    fn the_checksum_stays_right_wherever_the_option_stands(
        size in any::<u16>(), before in 0usize..9, flags in prop::sample::select(vec!["S", "SA"]),
    ) {
        let mut options_sent = [vec![1; before], mss(size)].concat();
        options_sent.resize(options_sent.len().next_multiple_of(4), 1);
        let mut lab = Lab::new();
        let outer = lab.inside(&tcp(WEB, &via(REMOTE), "S")).sent().source.to_string();
        let sent = match flags {
            "S" => lab.inside(&segment_with(WEB, &via(REMOTE), flags, &options_sent)).bytes(),
            _ => lab.outside(&segment_with(REMOTE, &outer, flags, &options_sent)).bytes(),
        };

        let announced = options(&sent);
        prop_assert_eq!(&announced[before..before + 4], mss(size.min(1352)));
    }
}
