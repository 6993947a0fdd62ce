//! Tunnels back to back over a wire in memory: what peers can do to each other, and what they cannot.

#![expect(clippy::unwrap_used, reason = "a test's helpers may panic as the test may")]

mod lab;
mod laws;

use std::time::Duration;

use tunnel::{DropReason, PeerConfig};

use lab::{DB, GATEWAY, Lab, REMOTE, RawPeer, WEB, WEB_INSIDE, address, key, packet};

#[test]
fn the_gateway_dials_a_new_peer_and_packets_go_both_ways() {
    let mut lab = Lab::with_peers(&[WEB]);

    lab.send(WEB, &packet(WEB_INSIDE, REMOTE, b"ping"));
    lab.send(GATEWAY, &packet(REMOTE, WEB_INSIDE, b"pong!"));

    assert_eq!(lab.received(GATEWAY), [packet(WEB_INSIDE, REMOTE, b"ping")]);
    assert_eq!(lab.received(WEB), [packet(REMOTE, WEB_INSIDE, b"pong!")]);
}

#[test]
fn ipv4_inside_a_tunnel_is_the_same_peer() {
    let mut lab = Lab::with_peers(&[WEB]);

    lab.send(WEB, &packet("198.18.0.1", "192.0.2.1", b"ping"));
    lab.send(GATEWAY, &packet("192.0.2.1", "198.18.0.1", b"pong"));

    assert_eq!(lab.received(GATEWAY).len(), 1);
    assert_eq!(lab.received(WEB).len(), 1);
}

#[test]
fn packets_that_wait_for_the_handshake_arrive_after_it_and_in_order() {
    let mut lab = Lab::new(&[WEB]);
    lab.add_peer(WEB, 1);
    let packets: Vec<_> = (0..100).map(|n: u8| packet(REMOTE, WEB_INSIDE, &[n; 40])).collect();

    for packet in &packets {
        lab.node(GATEWAY).handle_packet(packet).unwrap();
    }
    lab.run();

    assert_eq!(lab.received(WEB), packets);
}

#[test]
fn the_queue_for_a_session_is_bounded_and_what_it_pushes_out_is_counted() {
    let mut lab = Lab::new(&[WEB]);
    lab.add_peer(WEB, 1);

    for n in 0..200u8 {
        lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, &[n])).unwrap();
    }
    lab.run();

    let received = lab.received(WEB);
    assert_eq!(received.len(), 128);
    assert_eq!(received.last(), Some(&packet(REMOTE, WEB_INSIDE, &[199])));
    lab.check_drops(GATEWAY, &[(DropReason::QueueFull, 72)]);
}

#[test]
fn a_source_that_is_not_the_peers_own_is_dropped_and_counted() {
    let mut lab = Lab::with_peers(&[WEB, DB]);

    lab.send(WEB, &packet("2001:db8:0:2::1", REMOTE, b"the other peer's"));
    lab.send(WEB, &packet("2001:db8:0:3::1", REMOTE, b"nobody's"));
    lab.send(WEB, &packet("198.18.0.2", "192.0.2.1", b"the other peer's"));
    lab.send(WEB, &packet("192.168.1.1", "192.0.2.1", b"nobody's"));

    assert!(lab.received(GATEWAY).is_empty());
    lab.check_drops(GATEWAY, &[(DropReason::SourceOutsidePrefix, 4)]);
}

#[test]
fn what_is_inside_must_be_a_whole_ip_packet() {
    let mut lab = Lab::with_peers(&[WEB]);
    let mut peer = lab.raw_peer(WEB);

    for garbage in [&b"no IP at all"[..], &[0x60; 39], &[0x45; 19], &packet(WEB_INSIDE, REMOTE, b"cut")[..42]] {
        lab.inject(WEB, &peer.encrypt(garbage));
    }

    lab.check_drops(GATEWAY, &[(DropReason::InnerMalformed, 4)]);
}

#[test]
fn a_datagram_is_padded_and_never_beyond_the_mtu() {
    let mut lab = Lab::with_peers(&[WEB]);
    let lengths: Vec<_> = [41, 48, 1411, 1412]
        .map(|len| {
            lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, &vec![0; len - 40])).unwrap();
            lab.node(GATEWAY).poll_transmit().unwrap().datagram.bytes().len() - 32
        })
        .into();

    assert_eq!(lengths, [48, 48, 1412, 1412]);
}

#[test]
fn a_replayed_datagram_is_dropped_and_counted() {
    let mut lab = Lab::with_peers(&[WEB]);
    lab.node(WEB).handle_packet(&packet(WEB_INSIDE, REMOTE, b"once")).unwrap();
    let datagram = lab.node(WEB).poll_transmit().unwrap().datagram.bytes().to_vec();

    for _ in 0..3 {
        lab.inject(WEB, &datagram);
    }

    assert_eq!(lab.received(GATEWAY).len(), 1);
    lab.check_drops(GATEWAY, &[(DropReason::Replayed, 2)]);
}

#[test]
fn a_replayed_handshake_is_dropped_and_counted() {
    let mut lab = Lab::with_peers(&[WEB]);
    let initiation = lab.raw_peer(WEB).initiation();

    lab.inject(WEB, &initiation);
    lab.now += Duration::from_secs(1);
    lab.inject(WEB, &initiation);

    lab.check_drops(GATEWAY, &[(DropReason::HandshakeReplayed, 1)]);
}

#[test]
fn a_peer_that_roams_is_answered_where_it_is_now() {
    let mut lab = Lab::with_peers(&[WEB]);
    let elsewhere = "[2001:db8:77::5]:1234";

    lab.move_node(WEB, elsewhere);
    lab.send(elsewhere, &packet(WEB_INSIDE, REMOTE, b"ping"));
    lab.send(GATEWAY, &packet(REMOTE, WEB_INSIDE, b"pong"));

    assert_eq!(lab.received(elsewhere).len(), 1);
    assert_eq!(lab.stats(elsewhere).endpoint, Some(address(elsewhere)));
}

#[test]
fn a_forged_datagram_does_not_move_the_endpoint() {
    let mut lab = Lab::with_peers(&[WEB]);
    lab.node(WEB).handle_packet(&packet(WEB_INSIDE, REMOTE, b"ping")).unwrap();
    let mut datagram = lab.node(WEB).poll_transmit().unwrap().datagram.bytes().to_vec();
    *datagram.last_mut().unwrap() ^= 1;

    lab.inject("[2001:db8:666::1]:1", &datagram);

    assert_eq!(lab.stats(WEB).endpoint, Some(address(WEB)));
    lab.check_drops(GATEWAY, &[(DropReason::DecryptFailed, 1)]);
}

#[test]
fn a_changed_endpoint_is_dialled_and_the_session_goes_on() {
    let mut lab = Lab::with_peers(&[WEB]);
    let elsewhere = "[2001:db8:77::5]:46464";
    lab.move_node(WEB, elsewhere);

    let config = PeerConfig { endpoint: Some(address(elsewhere)), ..lab.config(elsewhere, 1) };
    lab.configure(config);
    lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, b"in the old session")).unwrap();
    let first: Vec<_> = std::iter::from_fn(|| lab.node(GATEWAY).poll_transmit()).collect();

    assert!(first.iter().all(|transmit| transmit.to == address(elsewhere)));
    assert_eq!(first.iter().map(|transmit| transmit.datagram.bytes()[0]).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn the_same_configuration_again_sends_nothing() {
    let mut lab = Lab::with_peers(&[WEB]);

    let config = lab.config(WEB, 1);
    lab.configure(config);

    assert!(lab.node(GATEWAY).poll_transmit().is_none());
}

#[test]
fn peers_that_come_and_go_leave_the_others_sessions_alone() {
    let mut lab = Lab::with_peers(&[WEB]);
    let before = lab.stats(WEB).latest_handshake;
    lab.now += Duration::from_secs(5);

    lab.add_node(DB);
    lab.add_peer(DB, 2);
    lab.run();
    lab.remove_peer(DB);
    lab.send(WEB, &packet(WEB_INSIDE, REMOTE, b"still here"));

    assert_eq!(lab.received(GATEWAY).len(), 1);
    assert_eq!(lab.stats(WEB).latest_handshake, before);
}

#[test]
fn a_removed_peer_loses_access_at_once() {
    let mut lab = Lab::with_peers(&[WEB]);

    lab.remove_peer(WEB);
    lab.send(WEB, &packet(WEB_INSIDE, REMOTE, b"let me in"));
    let answer = lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, b""));

    assert!(lab.received(GATEWAY).is_empty());
    assert_eq!(answer, Err(DropReason::NoPeerForDestination));
    lab.check_drops(GATEWAY, &[(DropReason::UnknownSession, 1), (DropReason::NoPeerForDestination, 1)]);
}

#[test]
fn a_peer_in_a_removed_peers_place_has_its_own_identity() {
    let mut lab = Lab::with_peers(&[WEB]);
    lab.remove_peer(WEB);
    lab.add_node(DB);
    lab.add_peer(DB, 2);
    lab.run();

    lab.send(WEB, &packet("2001:db8:0:2::1", REMOTE, b"with the old session"));
    lab.send(DB, &packet("2001:db8:0:2::1", REMOTE, b"with its own"));

    assert_eq!(lab.received(GATEWAY), [packet("2001:db8:0:2::1", REMOTE, b"with its own")]);
}

#[test]
fn a_peer_without_endpoint_may_call() {
    let mut lab = Lab::new(&[WEB]);
    let config = PeerConfig { endpoint: None, ..lab.config(WEB, 1) };
    lab.configure(config);
    let too_early = lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, b"where are you"));

    let mut peer = lab.raw_peer(WEB);
    lab.inject(WEB, &peer.encrypt(&packet(WEB_INSIDE, REMOTE, b"here")));
    lab.node(GATEWAY).handle_packet(&packet(REMOTE, WEB_INSIDE, b"welcome")).unwrap();
    let answer = lab.node(GATEWAY).poll_transmit().unwrap();

    assert_eq!(too_early, Err(DropReason::NoEndpoint));
    assert_eq!(lab.received(GATEWAY).len(), 1);
    assert_eq!((answer.to, answer.datagram.bytes()[0]), (address(WEB), 4));
}

#[test]
fn a_handshake_by_a_strangers_key_is_dropped_and_counted() {
    let mut lab = Lab::with_peers(&[WEB]);
    let initiation = RawPeer::new(&key(77), lab.public_key(GATEWAY)).initiation();

    lab.inject("[2001:db8:666::1]:1", &initiation);

    lab.check_drops(GATEWAY, &[(DropReason::UnknownPeer, 1)]);
}

#[test]
fn a_peer_that_floods_handshakes_is_slowed_down() {
    let mut lab = Lab::with_peers(&[WEB]);
    let mut peer = lab.raw_peer(WEB);

    for _ in 0..10 {
        lab.inject(WEB, &peer.initiation());
    }

    lab.check_drops(GATEWAY, &[(DropReason::HandshakeRateLimited, 9)]);
}

#[test]
fn replayed_handshakes_do_not_keep_their_peer_out() {
    let mut lab = Lab::with_peers(&[WEB]);
    let mut peer = lab.raw_peer(WEB);
    let old = peer.initiation();
    lab.inject(WEB, &old);
    lab.now += Duration::from_secs(1);

    lab.inject("[2001:db8:666::1]:1", &old);
    lab.inject(WEB, &peer.initiation());

    lab.check_drops(GATEWAY, &[(DropReason::HandshakeReplayed, 1)]);
}

#[test]
fn a_flood_of_handshakes_from_one_network_is_answered_with_cookies() {
    let mut lab = Lab::with_peers(&[WEB]);
    let mut stranger = RawPeer::new(&key(77), lab.public_key(GATEWAY));

    for host in 1..=101 {
        lab.inject(&format!("[2001:db8:666::{host}]:1"), &stranger.initiation());
    }
    let cookie = lab.node(GATEWAY).poll_transmit().unwrap();

    assert_eq!((cookie.to, cookie.datagram.bytes()[0]), (address("[2001:db8:666::101]:1"), 3));
    lab.check_drops(GATEWAY, &[(DropReason::HandshakeRateLimited, 1), (DropReason::UnknownPeer, 100)]);
}

#[test]
fn a_peer_that_falls_silent_is_dialled_although_its_session_is_fresh() {
    let mut lab = Lab::with_peers(&[WEB]);

    lab.pass(Duration::from_secs(24));
    let early = lab.node(GATEWAY).poll_transmit();
    lab.pass(Duration::from_secs(1));
    let late = lab.node(GATEWAY).poll_transmit().map(|transmit| transmit.datagram.bytes()[0]);

    assert!(early.is_none());
    assert_eq!(late, Some(1));
}

#[test]
fn a_clock_set_right_makes_unanswered_peers_be_dialled_anew() {
    let mut lab = Lab::new(&[WEB]);
    lab.add_peer(WEB, 1);
    lab.lose_everything(GATEWAY);

    lab.wall += Duration::from_secs(86_400);
    lab.pass(Duration::from_secs(1));

    let sent = lab.node(GATEWAY).poll_transmit().map(|transmit| transmit.datagram.bytes()[0]);
    assert_eq!(sent, Some(1));
}

#[test]
fn a_clock_set_right_leaves_a_session_alone() {
    let mut lab = Lab::with_peers(&[WEB]);

    lab.wall += Duration::from_secs(86_400);
    lab.pass(Duration::from_secs(1));
    let sent = lab.node(GATEWAY).poll_transmit();
    lab.send(WEB, &packet(WEB_INSIDE, REMOTE, b"still here"));

    assert!(sent.is_none());
    assert_eq!(lab.received(GATEWAY).len(), 1);
}

#[test]
fn bytes_are_counted_as_datagrams_in_both_directions() {
    let mut lab = Lab::with_peers(&[WEB]);
    let before = lab.stats(WEB);

    lab.send(WEB, &packet(WEB_INSIDE, REMOTE, &[0; 8]));
    lab.send(GATEWAY, &packet(REMOTE, WEB_INSIDE, &[0; 24]));

    let after = lab.stats(WEB);
    assert_eq!((after.rx_bytes - before.rx_bytes, after.tx_bytes - before.tx_bytes), (48 + 32, 64 + 32));
    assert!(before.rx_bytes > 0 && before.tx_bytes > 0, "the handshake counts");
}
