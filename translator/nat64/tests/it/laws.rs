//! Laws that hold whatever arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use nat64::{Engine, Filtering, Limits, Side, Verdict};
use packet::{Checksum, HEADROOM, Offload, Packet, SegmentKind, Segments};
use proptest::prelude::*;

use crate::lab::{self, Lab, Outcome, POOL4, at, echo, see, tcp, udp, via};

const REMOTES: [&str; 3] = ["9.9.9.9:53", "1.1.1.1:443", "8.8.8.8:443"];

fn endpoint() -> impl Strategy<Value = String> {
    (0u16..4, 0u16..3, 1024u16..1034, any::<bool>()).prop_map(|(net, host, port, is_v6)| {
        if is_v6 { format!("[2001:db8:0:{net}::{host:x}]:{port}") } else { format!("198.18.{net}.{}:{port}", host + 2) }
    })
}

fn towards(inner: &str, remote: &str) -> String {
    if inner.starts_with('[') { via(remote) } else { remote.to_owned() }
}

proptest! {
    #[test]
    fn there_and_back_only_the_hop_limit_changes(
        payload in proptest::collection::vec(any::<u8>(), 0..1200), traffic_class in any::<u8>(),
    ) {
        let (inner, remote) = ("[2001:db8:1:2::7]:40001", "9.9.9.9:53");
        let mut lab = Lab::new();
        let mut original = udp(inner, &via(remote), &payload);
        (original[0], original[1]) = (0x60 | traffic_class >> 4, traffic_class << 4);

        let mut outside = lab.inside(&original).bytes();
        // The answer with the same content: addresses and ports swap, checksums do not change.
        let (source, destination) = (outside[12..16].to_vec(), outside[16..20].to_vec());
        outside[12..16].copy_from_slice(&destination);
        outside[16..20].copy_from_slice(&source);
        let ports = outside[20..24].to_vec();
        outside[20..22].copy_from_slice(&ports[2..]);
        outside[22..24].copy_from_slice(&ports[..2]);
        let mut back = lab.outside(&outside).bytes();

        prop_assert_eq!(back[7], original[7] - 2);
        back[7] = original[7];
        let (source, destination) = (original[8..24].to_vec(), original[24..40].to_vec());
        original[8..24].copy_from_slice(&destination);
        original[24..40].copy_from_slice(&source);
        let ports = original[40..44].to_vec();
        original[40..42].copy_from_slice(&ports[2..]);
        original[42..44].copy_from_slice(&ports[..2]);
        prop_assert_eq!(back, original);
    }

    #[test]
    fn mappings_are_a_bijection_and_the_same_for_every_destination(
        packets in proptest::collection::vec((endpoint(), 0usize..3, 0u8..3), 1..200),
    ) {
        let mut lab = Lab::new();
        let mut mappings: BTreeMap<(u8, SocketAddr), SocketAddr> = BTreeMap::new();
        for (inner, remote, protocol) in packets {
            let remote = REMOTES[remote];
            let to = towards(&inner, remote);
            let bytes = match protocol {
                0 => tcp(&inner, &to, "S"),
                1 => udp(&inner, &to, b"x"),
                _ => {
                    let (from, to) = (at(&inner), at(&to));
                    let kind = if from.is_ipv6() { 128 } else { 8 };
                    echo(&from.ip().to_string(), &to.ip().to_string(), kind, from.port())
                }
            };
            let seen = lab.inside(&bytes).sent();
            prop_assert_eq!(seen.destination.ip(), at(remote).ip());
            let known = *mappings.entry((protocol, at(&inner))).or_insert(seen.source);
            prop_assert_eq!(known, seen.source);
        }
        let outers: BTreeSet<_> = mappings.iter().map(|((protocol, _), outer)| (*protocol, *outer)).collect();
        prop_assert_eq!(outers.len(), mappings.len());
        prop_assert_eq!(lab.sizes().0, mappings.len());
        for ((protocol, inner), outer) in mappings.into_iter().filter(|((protocol, _), _)| *protocol == 1) {
            let back = lab.outside(&udp(REMOTES[0], &outer.to_string(), b"x")).sent();
            prop_assert_eq!((protocol, back.destination), (1, inner));
        }
    }

    #[test]
    fn tables_stay_within_their_limits_and_empty_in_the_end(
        packets in proptest::collection::vec((endpoint(), 0usize..3, any::<bool>(), 0u64..100), 1..200),
    ) {
        let limits = Limits { bib_entries: 20, sessions: 30, bib_entries_per_peer: 6, sessions_per_peer: 8, ..Limits::default() };
        let mut lab = Lab::with(|config| config.limits = limits);
        for (inner, remote, is_tcp, secs) in packets {
            let to = towards(&inner, REMOTES[remote]);
            let packet = if is_tcp { tcp(&inner, &to, "S") } else { udp(&inner, &to, b"") };
            lab.inside(&packet);
            lab.pass(Duration::from_secs(secs));
            let (bib, sessions) = lab.sizes();
            prop_assert!(bib <= 20 && sessions <= 30 && bib <= sessions);
        }
        while lab.engine.poll_timeout().is_some() {
            lab.pass(Duration::from_secs(240));
        }
        prop_assert_eq!(lab.sizes(), (0, 0));
    }
}

/// What can happen to an engine.
#[derive(Clone, Debug)]
enum Event {
    FromInside { inner: String, remote: usize, flags: Option<&'static str> },
    FromOutside { port: u16, remote: usize, flags: Option<&'static str> },
    Passes(u64),
    Leaves(usize),
    Reconfigured { ports: u16, filtering: Filtering, allows_first_remote: bool },
}

const PREFIXES: [&str; 4] = ["2001:db8::/64", "2001:db8:0:1::/64", "198.18.0.0/24", "2001:db8::/32"];

fn event() -> impl Strategy<Value = Event> {
    let flags = || proptest::sample::select(vec![None, Some("S"), Some("SA"), Some("A"), Some("FA"), Some("R")]);
    prop_oneof![
        8 => (endpoint(), 0usize..3, flags())
            .prop_map(|(inner, remote, flags)| Event::FromInside { inner, remote, flags }),
        4 => (2000u16..2030, 0usize..3, flags())
            .prop_map(|(port, remote, flags)| Event::FromOutside { port, remote, flags }),
        2 => (0u64..400).prop_map(Event::Passes),
        1 => (0usize..PREFIXES.len()).prop_map(Event::Leaves),
        1 => (1u16..30, any::<bool>(), any::<bool>()).prop_map(|(ports, by_address, allows_first_remote)| {
            let filtering = if by_address { Filtering::AddressDependent } else { Filtering::EndpointIndependent };
            Event::Reconfigured { ports, filtering, allows_first_remote }
        }),
    ]
}

fn happen(lab: &mut Lab, event: Event) {
    match event {
        Event::FromInside { inner, remote, flags } => {
            let to = towards(&inner, REMOTES[remote]);
            let packet = flags.map_or_else(|| udp(&inner, &to, b"x"), |flags| tcp(&inner, &to, flags));
            if let Outcome::Sent(bytes) = lab.inside(&packet) {
                let seen = see(&bytes);
                assert!(
                    lab.config.pool4[0].ports.contains(&seen.source.port()) && seen.destination == at(REMOTES[remote])
                );
            }
        }
        Event::FromOutside { port, remote, flags } => {
            let to = format!("{POOL4}:{port}");
            let packet =
                flags.map_or_else(|| udp(REMOTES[remote], &to, b"x"), |flags| tcp(REMOTES[remote], &to, flags));
            if let Outcome::Sent(bytes) = lab.outside(&packet) {
                see(&bytes);
            }
        }
        Event::Passes(secs) => lab.pass(Duration::from_secs(secs)),
        Event::Leaves(prefix) => lab.engine.forget_inside(PREFIXES[prefix].parse().unwrap()),
        Event::Reconfigured { ports, filtering, allows_first_remote } => lab.reconfigure(|config| {
            config.pool4[0].ports = 2000..=2000 + ports;
            config.filtering = filtering;
            config.own_addresses = if allows_first_remote { vec![] } else { vec!["9.9.9.9".parse().unwrap()] };
        }),
    }
    lab.transmits().iter().for_each(|transmit| drop(see(&transmit.bytes)));
}

proptest! {
    #[test]
    fn whatever_happens_nothing_leaks(events in proptest::collection::vec(event(), 1..150)) {
        let mut lab = Lab::with(|config| {
            config.pool4[0].ports = 2000..=2019;
            config.limits = Limits { bib_entries: 30, sessions: 40, bib_entries_per_peer: 20, sessions_per_peer: 20, ..Limits::default() };
        });
        for event in events {
            happen(&mut lab, event);
            let (bib, sessions) = lab.sizes();
            prop_assert!(bib <= 30 && sessions <= 40 && bib <= sessions);
            prop_assert!(lab.engine.poll_timeout().is_some() || sessions == 0);
        }
        lab.engine.forget_inside("::/0".parse().unwrap());
        lab.engine.forget_inside("0.0.0.0/0".parse().unwrap());
        prop_assert_eq!(lab.sizes(), (0, 0));

        // Every port and every peer's share is free again.
        lab.reconfigure(|config| (config.pool4[0].ports, config.own_addresses) = (2000..=2019, vec![]));
        for port in 3000..3020 {
            lab.inside(&udp(&format!("[2001:db8::1]:{port}"), &via(REMOTES[0]), b"")).sent();
        }
    }
}

/// A packet that was right once, and where bytes of it are then changed.
fn almost_right() -> impl Strategy<Value = Vec<u8>> {
    let outer = format!("{POOL4}:5000");
    let templates = vec![
        udp("[2001:db8::7]:1024", &via("9.9.9.9:53"), b"payload"),
        tcp("[2001:db8::7]:1024", &via("9.9.9.9:53"), "S"),
        echo("2001:db8::7", "64:ff9b::909:909", 128, 7),
        lab::icmp(
            "2001:db8::7",
            "64:ff9b::909:909",
            (2, 0),
            [0, 0, 5, 0],
            &udp(&via("9.9.9.9:53"), "[2001:db8::7]:1024", b"quoted"),
        ),
        udp("198.18.0.7:1024", "9.9.9.9:53", b"payload"),
        udp("9.9.9.9:53", &outer, b"payload"),
        tcp("9.9.9.9:53", &outer, "SA"),
        echo("9.9.9.9", &POOL4.to_string(), 0, 5000),
        lab::icmp("9.9.9.9", &POOL4.to_string(), (3, 4), [0, 0, 5, 0], &udp(&outer, "9.9.9.9:53", b"quoted")),
    ];
    let changes = proptest::collection::vec((0usize..120, any::<u8>()), 0..6);
    (proptest::sample::select(templates), changes, 0usize..140, any::<bool>()).prop_map(
        |(mut bytes, changes, len, cut)| {
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            if cut {
                bytes.truncate(len);
            }
            // Keep header checksums right, or little would get past them.
            if let Ok(ip) = packet::ipv4::Ipv4Mut::parse(&mut bytes) {
                ip.seal();
            }
            bytes
        },
    )
}

fn offload() -> impl Strategy<Value = Offload> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<u16>()).prop_map(|(partial, is_super, is_tcp, size_bytes)| {
        Offload {
            checksum: if partial { Checksum::Partial } else { Checksum::Complete },
            segments: is_super
                .then_some(Segments { kind: if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp }, size_bytes }),
        }
    })
}

/// Hands bytes to an engine that knows every port of pool4, and checks what comes back for what must always hold.
fn throw(engine: &mut Engine, now: std::time::Instant, side: Side, bytes: &[u8], offload: Offload) {
    let mut buffer = [&[0; HEADROOM][..], bytes].concat();
    let end = buffer.len();
    let mut packet = Packet::new(&mut buffer, HEADROOM..end);
    packet.offload = offload;
    let verdict = match side {
        Side::Inside => engine.handle_inside(now, &mut packet),
        Side::Outside => engine.handle_outside(now, &mut packet),
    };
    if verdict == Verdict::Forward {
        let layout = packet::Layout::of(packet.bytes()).expect("what is forwarded can be read");
        assert_eq!(layout.end, packet.len());
        if side == Side::Inside {
            let ip = packet::ipv4::Ipv4::parse(packet.bytes()).expect("IPv4 goes out");
            assert!(ip.source() == POOL4 && ip.checksum_is_right() && !ip.destination().is_private());
        }
        packet::virtio::with_header(&mut packet).expect("there is room for the virtio-net header");
        packet::segment::segment(&packet, |part| assert!(packet::Layout::of(part).is_ok())).expect("it can be cut");
    }
    while let Some(transmit) = engine.poll_transmit() {
        if !lab::is_fragment(&transmit.bytes) {
            see(&transmit.bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_bytes_make_it_panic(
        packets in proptest::collection::vec((almost_right(), offload(), any::<bool>()), 1..12),
        noise in proptest::collection::vec(any::<u8>(), 0..100), first in any::<u8>(),
    ) {
        let mut lab = Lab::with(|config| config.pool4[0].ports = 5000..=5000);
        lab.inside(&udp("[2001:db8::7]:1024", &via("9.9.9.9:53"), b""));
        lab.inside(&tcp("[2001:db8::7]:1024", &via("9.9.9.9:53"), "S"));
        for (bytes, offload, is_inside) in packets {
            let side = if is_inside { Side::Inside } else { Side::Outside };
            throw(&mut lab.engine, lab.now, side, &bytes, offload);
            throw(&mut lab.engine, lab.now, side, &bytes, Offload::default());
        }
        for version in [0x40, 0x60] {
            let bytes = [&[version | first & 0x0f][..], &noise].concat();
            throw(&mut lab.engine, lab.now, Side::Inside, &bytes, Offload::default());
            throw(&mut lab.engine, lab.now, Side::Outside, &bytes, Offload::default());
        }
        let (bib, sessions) = lab.sizes();
        prop_assert!(bib <= 3 && sessions <= 64);
        assert!(matches!(lab.inside(&[]), Outcome::Dropped(_)));
    }
}
