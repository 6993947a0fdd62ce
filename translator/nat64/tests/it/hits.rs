//! Packets of known sessions have a way of their own; it leads where the general one leads.
//!
//! A packet with a few bytes of padding behind it is the same packet, and always goes the general way.

use std::time::Duration;

use nat64::{Config, Protocol, Refresh, Side, TrafficClass};
use packet::{Checksum, Offload, SegmentKind, Segments};
use proptest::prelude::*;

use crate::lab::{Lab, Outcome, echo, tcp, udp, via, with_ipv4};

const PEERS: [&str; 3] = ["[2001:db8:1:2::7]:40001", "[2001:db8:1:2::8]:40002", "198.18.0.7:40003"];
const REMOTES: [&str; 4] = ["9.9.9.9:443", "8.8.8.8:53", "192.0.2.200:80", "9.9.9.9:25"];

#[derive(Clone, Debug)]
struct Sent {
    protocol: Protocol,
    flags: &'static str,
    peer: usize,
    remote: usize,
    side: Side,
    payload_len: usize,
    hop_limit: u8,
    has_checksum: bool,
    may_be_fragmented: bool,
    segment_len: Option<u16>,
    after_millis: u64,
}

fn sent() -> impl Strategy<Value = Sent> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Icmp)];
    let flags = prop_oneof![1 => Just("S"), 1 => Just("SA"), 6 => Just("A"), 1 => Just("FA"), 1 => Just("R")];
    let side = prop_oneof![Just(Side::Inside), Just(Side::Outside)];
    let payload_len = prop_oneof![6 => 0usize..200, 2 => 1200usize..1480, 1 => Just(9000usize)];
    let segment_len = prop_oneof![4 => Just(None), 1 => (0u16..1400).prop_map(Some)];
    let hop_limit = prop_oneof![6 => Just(64u8), 1 => 0u8..4];
    let after_millis = prop_oneof![4 => 0u64..3, 1 => 0u64..3000];
    (
        (protocol, flags, 0..PEERS.len(), 0..REMOTES.len(), side),
        (payload_len, hop_limit, proptest::bool::weighted(0.9), any::<bool>(), segment_len, after_millis),
    )
        .prop_map(|((protocol, flags, peer, remote, side), rest)| {
            let (payload_len, hop_limit, has_checksum, may_be_fragmented, segment_len, after_millis) = rest;
            Sent {
                protocol,
                flags,
                peer,
                remote,
                side,
                payload_len,
                hop_limit,
                has_checksum,
                may_be_fragmented,
                segment_len,
                after_millis,
            }
        })
}

impl Sent {
    /// The packet, and what a device has left to do to it. `outer` is where the peer's packets come from.
    fn packet(&self, outer: &str) -> (Vec<u8>, Offload) {
        let (peer, remote) = (PEERS[self.peer], REMOTES[self.remote]);
        let towards = if peer.starts_with('[') { via(remote) } else { remote.to_owned() };
        let (from, to) = match self.side {
            Side::Inside => (peer, towards.as_str()),
            Side::Outside => (remote, outer),
        };
        let mut bytes = match self.protocol {
            Protocol::Tcp => tcp(from, to, self.flags),
            Protocol::Udp => udp(from, to, &vec![7; self.payload_len]),
            Protocol::Icmp => self.echo(from, to),
        };
        if bytes[0] >> 4 == 6 {
            bytes[7] = self.hop_limit;
        } else {
            bytes = with_ipv4(bytes, |ip| {
                (ip.time_to_live, ip.dont_fragment) = (self.hop_limit, !self.may_be_fragmented);
                ip.identification = 77;
            });
        }
        if !self.has_checksum && self.protocol == Protocol::Udp {
            let at = if bytes[0] >> 4 == 6 { 46 } else { 26 };
            bytes[at..at + 2].fill(0);
        }
        (bytes, self.offload())
    }

    fn echo(&self, from: &str, to: &str) -> Vec<u8> {
        let (from, to) = (crate::lab::at(from), crate::lab::at(to));
        let kind = match (from.is_ipv6(), self.flags) {
            (true, "S" | "A") => 128,
            (true, _) => 129,
            (false, "S") => 8,
            (false, _) => 0,
        };
        let identifier = if self.side == Side::Inside { from.port() } else { to.port() };
        echo(&from.ip().to_string(), &to.ip().to_string(), kind, identifier)
    }

    /// Also what is not possible.
    fn offload(&self) -> Offload {
        let kind = if self.protocol == Protocol::Tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        match self.segment_len {
            None => Offload::default(),
            Some(size_bytes) => Offload { checksum: Checksum::Partial, segments: Some(Segments { kind, size_bytes }) },
        }
    }
}

/// Two engines of one seed that know the flows of every peer, and where those come from.
fn twins(change: fn(&mut Config)) -> (Lab, Lab, Vec<String>) {
    let (mut one, mut two) = (Lab::with(change), Lab::with(change));
    let mut outers = Vec::new();
    for peer in PEERS {
        let to = if peer.starts_with('[') { via(REMOTES[0]) } else { REMOTES[0].to_owned() };
        for opening in [udp(peer, &to, b""), tcp(peer, &to, "S")] {
            let outer = one.inside(&opening).sent().source.to_string();
            assert_eq!(two.inside(&opening).sent().source.to_string(), outer);
            outers.push(outer);
        }
        let answer = tcp(REMOTES[0], outers.last().expect("a peer was opened"), "SA");
        assert_eq!(one.outside(&answer), two.outside(&answer));
    }
    (one, two, outers)
}

fn check(change: fn(&mut Config), all: &[Sent]) {
    let (mut plain, mut padded, outers) = twins(change);
    for sent in all {
        let outer = &outers[2 * sent.peer + usize::from(sent.protocol == Protocol::Tcp)];
        let (bytes, offload) = sent.packet(outer);
        [&mut plain, &mut padded].into_iter().for_each(|lab| lab.now += Duration::from_millis(sent.after_millis));

        let (outcome, left) = plain.handle(sent.side, &bytes, offload);
        let (expected, expected_left) = padded.handle(sent.side, &[&bytes[..], &[0xa5; 3]].concat(), offload);

        let (transmits, mut expected_transmits) = (plain.transmits(), padded.transmits());
        if matches!(expected, Outcome::Dropped(_)) {
            // An error quotes the padding too.
            expected_transmits.clone_from(&transmits);
        }
        assert_eq!((outcome, left, transmits), (expected, expected_left, expected_transmits), "{sent:?}");
    }
    assert_eq!(plain.engine.stats(), padded.engine.stats());
    let sessions = |lab: &Lab| lab.engine.sessions(lab.now).collect::<Vec<_>>();
    assert_eq!(sessions(&plain), sessions(&padded));
}

proptest! {
    #[test]
    fn both_ways_lead_to_the_same(all in proptest::collection::vec(sent(), 1..60)) {
        check(|_| {}, &all);
    }

    #[test]
    fn both_ways_lead_to_the_same_where_only_the_inside_refreshes(all in proptest::collection::vec(sent(), 1..60)) {
        check(|config| (config.refresh, config.mtu4, config.mtu6) = (Refresh::InsideOnly, 1400, 1300), &all);
    }

    #[test]
    fn both_ways_lead_to_the_same_whatever_becomes_of_the_traffic_class(
        all in proptest::collection::vec(sent(), 1..60),
    ) {
        let change = |config: &mut Config| {
            (config.traffic_class, config.tos) = (TrafficClass::always(0), TrafficClass::always(0xb8));
        };
        check(change, &all);
    }
}

#[test]
fn a_port_that_is_denied_later_is_denied_to_known_sessions_too() {
    let mut lab = Lab::new();
    let mail = udp(PEERS[0], &via("9.9.9.9:25"), b"x");
    lab.inside(&mail).sent();

    lab.reconfigure(|config| config.denied_ports = vec![(Protocol::Udp, 25)]);

    assert!(matches!(lab.inside(&mail), Outcome::Dropped(nat64::DropReason::DestinationPortDenied)));
}
