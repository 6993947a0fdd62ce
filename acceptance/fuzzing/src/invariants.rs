//! What holds after every step.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::time::Instant;

use nat64::{Config, Engine, ErrorSource4, Event, Protocol, Reach, Side, special_purpose};
use packet::{Family, protocol};

use crate::oracle::Seen;

/// The BIBs as the engine's events tell of them.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    bindings: BTreeSet<(Protocol, SocketAddr, SocketAddrV4)>,
}

impl Mirror {
    /// Limits are kept, the BIBs are bijections, every session has a mapping, and events tell of every mapping.
    pub(crate) fn check(&mut self, engine: &mut Engine, now: Instant, config: &Config) {
        self.follow(engine);
        let bib: Vec<_> = engine.bib().collect();
        let inners: BTreeSet<_> = bib.iter().map(|entry| (entry.protocol, entry.inner)).collect();
        let outers: BTreeSet<_> = bib.iter().map(|entry| (entry.protocol, entry.outer)).collect();
        assert_eq!((inners.len(), outers.len()), (bib.len(), bib.len()), "the BIB is a bijection: {bib:?}");
        for entry in &bib {
            let is_pool4 = |outer: SocketAddrV4| {
                config.pool4.iter().any(|part| part.address == *outer.ip() && part.ports.contains(&outer.port()))
            };
            assert!(is_pool4(entry.outer), "{entry:?} lies in pool4");
            assert!(entry.is_static || entry.sessions > 0, "{entry:?} has a reason to stay");
        }
        let told: BTreeSet<_> = bib.iter().map(|entry| (entry.protocol, entry.inner, entry.outer)).collect();
        assert_eq!(told, self.bindings, "events tell of every mapping");

        let sessions: Vec<_> = engine.sessions(now).collect();
        let unique: BTreeSet<_> =
            sessions.iter().map(|session| (session.protocol, session.inner, session.remote)).collect();
        assert_eq!(unique.len(), sessions.len(), "a session is there once");
        assert!(sessions.iter().all(|session| told.contains(&(session.protocol, session.inner, session.outer))));
        assert_eq!(bib.iter().map(|entry| entry.sessions as usize).sum::<usize>(), sessions.len());
        assert!(sessions.is_empty() || engine.poll_timeout().is_some(), "sessions expire");
        check_limits(engine, config, (bib.len(), sessions.len()));
        for entry in bib.iter().filter(|entry| !entry.is_static) {
            let own = bib.iter().filter(|other| !other.is_static && peer(other.inner) == peer(entry.inner)).count();
            assert!(own <= config.limits.bib_entries_per_peer as usize, "{} has {own} mappings", entry.inner);
        }
    }

    fn follow(&mut self, engine: &mut Engine) {
        while let Some(event) = engine.poll_event() {
            match event {
                Event::Created(of) => {
                    assert!(self.bindings.insert((of.protocol, of.inner, of.outer)), "{of:?} is made once");
                }
                Event::Ended(of) => {
                    assert!(self.bindings.remove(&(of.protocol, of.inner, of.outer)), "{of:?} was there");
                }
                Event::WithoutChecksum { .. } => {}
                Event::Lost { count } => panic!("{count} events are lost although all are collected"),
            }
        }
    }
}

fn check_limits(engine: &Engine, config: &Config, (bib, sessions): (usize, usize)) {
    let sizes = engine.table_sizes().by_protocol();
    assert_eq!(sizes.iter().map(|(_, size)| size.bib_entries).sum::<usize>(), bib);
    assert_eq!(sizes.iter().map(|(_, size)| size.sessions).sum::<usize>(), sessions);
    assert!(bib <= config.limits.bib_entries as usize, "{bib} mappings");
    assert!(sessions <= config.limits.sessions as usize, "{sessions} sessions");
}

/// Whose limits hold: a /64 is one peer, an IPv4 address another.
fn peer(inner: SocketAddr) -> IpAddr {
    match inner.ip() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Only what is translated leaves, and nothing private is reached.
pub(crate) fn check_direction(config: &Config, to: Side, seen: &Seen) {
    match (to, seen.source, seen.destination) {
        (Side::Outside, IpAddr::V4(source), IpAddr::V4(destination)) => {
            let is_error_source = config.error_source4 == ErrorSource4::Address4 && source == config.address4;
            assert!(is_error_source || config.pool4.iter().any(|part| part.address == source), "{seen:?}");
            let never = special_purpose(destination).is_some_and(|block| block.reach == Reach::Never);
            // The home may hear what became of its own packets to pool4.
            let is_icmp = seen.layout.protocol == protocol::ICMPV4;
            assert!(!never && (is_icmp || !config.own_addresses.contains(&destination)), "{seen:?}");
        }
        (Side::Inside, IpAddr::V6(source), IpAddr::V6(destination)) => {
            let is_pool6 = |address: &Ipv6Addr| config.pool6.iter().any(|prefix| prefix.net().contains(address));
            assert!(source == config.address6 || is_pool6(&source), "{seen:?}");
            assert!(!is_pool6(&destination) && !destination.is_multicast(), "{seen:?}");
        }
        (Side::Inside, IpAddr::V4(_), IpAddr::V4(destination)) => {
            assert!(config.ipv4_peers.contains(&destination), "{seen:?}");
        }
        (Side::Outside | Side::Inside, _, _) => panic!("of the wrong family: {seen:?}"),
    }
}

/// Nothing is larger than the next link takes, except for ICMPv4 errors, which any router may fragment.
pub(crate) fn check_size(config: &Config, to: Side, bytes: &[u8], seen: &Seen) {
    let is_icmp4 = seen.family == Family::V4 && seen.layout.protocol == protocol::ICMPV4;
    if is_icmp4 && bytes[6] & 0x40 == 0 && bytes.len() <= 576 {
        return;
    }
    let mtu = match to {
        Side::Inside => config.mtu6.max(1280),
        Side::Outside => config.mtu4.max(68),
    };
    assert!(bytes.len() <= usize::from(mtu), "{} bytes to the {to:?}, whose MTU is {mtu}: {bytes:02x?}", bytes.len());
}
