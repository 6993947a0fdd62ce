//! The engine beside the model: random packets, time, operators and configurations; the same tables after every step.

use std::collections::BTreeSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use contract::Pool6;
use nat64::{Config, Filtering, Hairpinning, Limits, Protocol, Refresh, StaticMapping};
use proptest::prelude::*;

use crate::lab::{Lab, Outcome, POOL4, at, echo, see, tcp, udp};
use crate::model::{Fate, Model, Sent, sorted};

const INNERS: [&str; 6] = [
    "[2001:db8::1]:1030",
    "[2001:db8::1]:1031",
    "[2001:db8::2]:1030",
    "[2001:db8:0:1::1]:1030",
    "198.18.0.7:1031",
    "198.18.0.8:1030",
];
const REMOTES: [&str; 4] = ["9.9.9.9:443", "9.9.9.9:444", "1.1.1.1:443", "8.8.8.8:53"];
const PREFIXES: [&str; 3] = ["2001:db8::/64", "198.18.0.0/16", "::/0"];
const POOL6: [&str; 3] = ["64:ff9b::/96", "2001:db8:64::/48", "2001:db8:65::/96"];
const FIRST_PORT: u16 = 2000;

#[derive(Clone, Debug)]
enum Step {
    FromInside {
        sent: Sent,
        inner: usize,
        remote: usize,
    },
    Hairpin {
        sent: Sent,
        inner: usize,
        port: u16,
    },
    FromOutside {
        sent: Sent,
        remote: usize,
        port: u16,
    },
    Passes(u64),
    Adds {
        protocol: Protocol,
        inner: usize,
        port: u16,
    },
    Removes {
        protocol: Protocol,
        port: u16,
    },
    Leaves(usize),
    Reconfigures {
        ports: u16,
        by_address: bool,
        hairpins: bool,
        inside_only: bool,
        denies: bool,
        turns: bool,
        udp_secs: u64,
    },
}

fn sent() -> impl Strategy<Value = Sent> {
    let tcp = proptest::sample::select(vec!["S", "SA", "A", "FA", "R"]);
    let kind = prop_oneof![
        4 => tcp.prop_map(|flags| (Protocol::Tcp, flags)),
        2 => Just((Protocol::Udp, "")),
        1 => proptest::sample::select(vec!["S", ""]).prop_map(|flags| (Protocol::Icmp, flags)),
    ];
    let prefix = proptest::sample::select(pool6(false));
    (kind, prefix).prop_map(|((protocol, flags), prefix)| Sent { protocol, flags, prefix })
}

/// The prefixes in one order or the other, once without the last.
fn pool6(is_turned: bool) -> Vec<Pool6> {
    let nets = if is_turned { vec![POOL6[1], POOL6[0]] } else { POOL6.to_vec() };
    nets.into_iter().map(|net| net.parse().unwrap()).collect()
}

fn protocol() -> impl Strategy<Value = Protocol> {
    proptest::sample::select(Protocol::ALL.to_vec())
}

fn port() -> std::ops::Range<u16> {
    FIRST_PORT..FIRST_PORT + 9
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (sent(), 0..INNERS.len(), 0..REMOTES.len())
            .prop_map(|(sent, inner, remote)| Step::FromInside { sent, inner, remote }),
        3 => (sent(), 0..INNERS.len(), port()).prop_map(|(sent, inner, port)| Step::Hairpin { sent, inner, port }),
        8 => (sent(), 0..REMOTES.len(), port())
            .prop_map(|(sent, remote, port)| Step::FromOutside { sent, remote, port }),
        3 => prop_oneof![0u64..10, 0u64..300, 7000u64..8000].prop_map(Step::Passes),
        1 => (protocol(), 0..INNERS.len(), port())
            .prop_map(|(protocol, inner, port)| Step::Adds { protocol, inner, port }),
        1 => (protocol(), port()).prop_map(|(protocol, port)| Step::Removes { protocol, port }),
        1 => (0..PREFIXES.len()).prop_map(Step::Leaves),
        1 => (2u16..9, any::<[bool; 5]>(), 120u64..400).prop_map(
            |(ports, [by_address, hairpins, inside_only, denies, turns], udp_secs)| Step::Reconfigures {
                ports, by_address, hairpins, inside_only, denies, turns, udp_secs,
            }
        ),
    ]
}

/// The packet that a sentence describes; `from` and `to` are of one family.
fn packet(sent: Sent, from: &str, to: &str, identifier: u16) -> Vec<u8> {
    match sent.protocol {
        Protocol::Tcp => tcp(from, to, sent.flags),
        Protocol::Udp => udp(from, to, b"x"),
        Protocol::Icmp => {
            let (from, to) = (at(from), at(to));
            let kind = match (from.is_ipv6(), sent.flags) {
                (true, "S") => 128,
                (true, _) => 129,
                (false, "S") => 8,
                (false, _) => 0,
            };
            echo(&from.ip().to_string(), &to.ip().to_string(), kind, identifier)
        }
    }
}

/// Source and destination as the tables know them: an echo has its identifier inside and in pool4, and none elsewhere.
fn endpoints(sent: Sent, bytes: &[u8], is_towards_inside: bool) -> (SocketAddr, SocketAddr) {
    let seen = see(bytes);
    let (mut source, mut destination) = (seen.source, seen.destination);
    if sent.protocol == Protocol::Icmp {
        if is_towards_inside { source.set_port(0) } else { destination.set_port(0) }
    }
    (source, destination)
}

/// How a peer sees an IPv4 endpoint.
fn seen_by(inner: SocketAddr, under: Pool6, endpoint: SocketAddrV4) -> SocketAddr {
    if inner.is_ipv6() { SocketAddr::new(under.embed(*endpoint.ip()).into(), endpoint.port()) } else { endpoint.into() }
}

fn check_fate(lab: &mut Lab, sent: Sent, outcome: Outcome, fate: Fate) {
    let transmits = lab.transmits();
    match (outcome, fate) {
        (Outcome::Sent(bytes), Fate::Outside { from, to }) => {
            assert_eq!(endpoints(sent, &bytes, false), (from.into(), to.into()));
        }
        (Outcome::Sent(bytes), Fate::Inside { from, under, to }) => {
            assert_eq!(endpoints(sent, &bytes, true), (seen_by(to, under, from), to));
        }
        (Outcome::Taken, Fate::Hairpinned { from, under, to }) => {
            assert_eq!(transmits.len(), 1);
            assert_eq!(endpoints(sent, &transmits[0].bytes, true), (seen_by(to, under, from), to));
        }
        (Outcome::Taken, Fate::Held) => assert!(transmits.is_empty()),
        (Outcome::Dropped(reason), Fate::Dropped(expected)) => assert_eq!(reason, expected),
        (outcome, fate) => panic!("{outcome:?} where the model says {fate:?}"),
    }
}

fn from_inside(lab: &mut Lab, model: &mut Model, sent: Sent, inner: &str, remote: &str) {
    let to = seen_by(at(inner), sent.prefix, remote.parse().unwrap()).to_string();
    let outcome = lab.inside(&packet(sent, inner, &to, at(inner).port()));
    let bib: Vec<_> = lab.engine.bib().collect();
    let learn = |protocol, inner| {
        bib.iter().find(|entry| (entry.protocol, entry.inner) == (protocol, inner)).map(|entry| entry.outer)
    };
    let fate = model.inside(sent, at(inner), remote.parse().unwrap(), &learn);
    check_fate(lab, sent, outcome, fate);
}

fn take(lab: &mut Lab, model: &mut Model, step: Step) {
    let outer = |port| SocketAddrV4::new(POOL4, port);
    match step {
        Step::FromInside { sent, inner, remote } => from_inside(lab, model, sent, INNERS[inner], REMOTES[remote]),
        Step::Hairpin { sent, inner, port } => from_inside(lab, model, sent, INNERS[inner], &outer(port).to_string()),
        Step::FromOutside { sent, remote, port } => {
            let outcome = lab.outside(&packet(sent, REMOTES[remote], &outer(port).to_string(), port));
            let mut remote: SocketAddrV4 = REMOTES[remote].parse().unwrap();
            if sent.protocol == Protocol::Icmp {
                remote.set_port(0);
            }
            let fate = model.outside(sent, remote, outer(port));
            check_fate(lab, sent, outcome, fate);
        }
        Step::Passes(secs) => {
            lab.pass(Duration::from_secs(secs));
            model.pass(Duration::from_secs(secs));
            lab.transmits().iter().for_each(|transmit| drop(see(&transmit.bytes)));
        }
        Step::Adds { protocol, inner, port } => {
            let mapping = StaticMapping { protocol, outer: outer(port), inner: at(INNERS[inner]) };
            assert_eq!(lab.engine.add_mapping(lab.now, mapping), model.add_mapping(mapping));
        }
        Step::Removes { protocol, port } => {
            let removed = lab.engine.remove_mapping(protocol, outer(port)).ok();
            let expected = model.remove_mapping(protocol, outer(port));
            assert_eq!(removed.map(|removed| (removed.inner, removed.sessions)), expected);
        }
        Step::Leaves(prefix) => {
            lab.engine.forget_inside(PREFIXES[prefix].parse().unwrap());
            model.leaves(PREFIXES[prefix].parse().unwrap());
        }
        Step::Reconfigures { ports, by_address, hairpins, inside_only, denies, turns, udp_secs } => {
            lab.reconfigure(|config| {
                config.pool4[0].ports = FIRST_PORT..=FIRST_PORT + ports;
                config.pool6 = pool6(turns);
                config.filtering =
                    if by_address { Filtering::AddressDependent } else { Filtering::EndpointIndependent };
                config.hairpinning = if hairpins { Hairpinning::On } else { Hairpinning::Off };
                config.refresh = if inside_only { Refresh::InsideOnly } else { Refresh::BothSides };
                config.denied_ports = if denies { vec![(Protocol::Tcp, 444)] } else { vec![] };
                config.own_addresses = if denies { vec!["1.1.1.1".parse().unwrap()] } else { vec![] };
                config.lifetimes.udp = Duration::from_secs(udp_secs);
            });
            model.reconfigure(lab.config.clone());
        }
    }
}

fn check_tables(lab: &Lab, model: &Model) {
    let bib = lab.engine.bib().map(|row| (row.protocol, row.inner, row.outer, row.is_static, row.sessions));
    let bib = sorted(bib);
    assert_eq!(bib, model.bib());
    let sessions = lab.engine.sessions(lab.now);
    let sessions = sessions.map(|row| {
        let prefix = row.pool6.map(|pool6| pool6.to_string());
        (row.protocol, row.inner, row.outer, row.remote, prefix, row.state, row.expires_in)
    });
    assert_eq!(sorted(sessions), model.sessions());
    // A session that was in use meanwhile is looked at before it expires, one that has got a shorter lifetime at once.
    let (due, expires) = (lab.engine.poll_timeout(), model.next_expiry().map(|expires| expires.max(lab.now)));
    assert!(due <= expires && due.is_some() == expires.is_some(), "{due:?} {expires:?}");
    assert_eq!(lab.sizes(), (model.bib().len(), model.sessions().len()));

    let inners: BTreeSet<_> = bib.iter().map(|row| (row.0, row.1)).collect();
    let outers: BTreeSet<_> = bib.iter().map(|row| (row.0, row.2)).collect();
    assert_eq!((inners.len(), outers.len()), (bib.len(), bib.len()), "a BIB is a bijection");
}

fn small(config: &mut Config) {
    config.pool4[0].ports = FIRST_PORT..=FIRST_PORT + 5;
    config.pool6 = pool6(false);
    config.limits =
        Limits { bib_entries: 10, sessions: 24, bib_entries_per_peer: 6, sessions_per_peer: 10, ..Limits::default() };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_engine_does_what_the_model_says(steps in proptest::collection::vec(step(), 1..120)) {
        let mut lab = Lab::with(small);
        let mut model = Model::new(lab.config.clone(), lab.now);
        for step in steps {
            take(&mut lab, &mut model, step);
            check_tables(&lab, &model);
        }
    }
}
