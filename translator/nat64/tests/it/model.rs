//! A slow and obvious translator: everything in lists, nothing but what RFC 6146 says. It sees what the engine sees, says
//! first what must come of it, and afterwards the tables of the two are the same to the last entry and second.
//!
//! The one thing it does not foretell is the port of a new mapping: that it reads in the engine's BIB, and checks.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use contract::Pool6;
use nat64::{Config, DropReason, Filtering, Hairpinning, MappingError, Protocol, Refresh, StaticMapping, TcpState};

use crate::lab::POOL4;

#[derive(Clone, Debug)]
struct Entry {
    protocol: Protocol,
    inner: SocketAddr,
    outer: SocketAddrV4,
    is_static: bool,
}

#[derive(Clone, Debug)]
struct Session {
    protocol: Protocol,
    inner: SocketAddr,
    remote: SocketAddrV4,
    state: Option<TcpState>,
    /// The prefix of pool6 the inside used last.
    prefix: Pool6,
    expires: Instant,
}

/// A packet as both sides of a translator would describe it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) protocol: Protocol,
    /// Flags of TCP; `"S"` for an echo request.
    pub(crate) flags: &'static str,
    /// Of pool6, by which the inside speaks to it.
    pub(crate) prefix: Pool6,
}

/// What must come of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Outside { from: SocketAddrV4, to: SocketAddrV4 },
    Inside { from: SocketAddrV4, under: Pool6, to: SocketAddr },
    Hairpinned { from: SocketAddrV4, under: Pool6, to: SocketAddr },
    Held,
    Dropped(DropReason),
}

/// A row of the tables: what they hold can be compared as sorted lists of these.
pub(crate) type BibRow = (Protocol, SocketAddr, SocketAddrV4, bool, u32);
pub(crate) type SessionRow =
    (Protocol, SocketAddr, SocketAddrV4, SocketAddrV4, Option<String>, Option<TcpState>, Duration);

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    bib: Vec<Entry>,
    sessions: Vec<Session>,
    held: Vec<(SocketAddrV4, SocketAddrV4, Instant)>,
}

/// Where the engine put a mapping that the model expects it to have made.
pub(crate) type Learn<'a> = &'a dyn Fn(Protocol, SocketAddr) -> Option<SocketAddrV4>;

impl Model {
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        Self { config, now, bib: Vec::new(), sessions: Vec::new(), held: Vec::new() }
    }

    pub(crate) fn inside(&mut self, sent: Sent, inner: SocketAddr, to: SocketAddrV4, learn: Learn<'_>) -> Fate {
        if inner.is_ipv6() && !self.config.pool6.contains(&sent.prefix) {
            return Fate::Dropped(DropReason::DestinationOutsidePool6);
        }
        let is_hairpin = *to.ip() == POOL4;
        if is_hairpin && self.config.hairpinning == Hairpinning::Off {
            return Fate::Dropped(DropReason::HairpinningOff);
        }
        if self.config.own_addresses.contains(to.ip()) {
            return Fate::Dropped(DropReason::DestinationOwnAddress);
        }
        if sent.protocol != Protocol::Icmp && self.config.denied_ports.contains(&(sent.protocol, to.port())) {
            return Fate::Dropped(DropReason::DestinationPortDenied);
        }
        let remote = if sent.protocol == Protocol::Icmp { SocketAddrV4::new(*to.ip(), 0) } else { to };
        let outer = match self.outgoing(sent, inner, remote, learn) {
            Ok(outer) => outer,
            Err(reason) => return Fate::Dropped(reason),
        };
        if !is_hairpin {
            return Fate::Outside { from: outer, to: remote };
        }
        // RFC 6146 §3.8: as if it had come from outside.
        let (from, to) = match sent.protocol {
            Protocol::Icmp => (SocketAddrV4::new(*outer.ip(), 0), SocketAddrV4::new(POOL4, outer.port())),
            Protocol::Tcp | Protocol::Udp => (outer, to),
        };
        match self.incoming(sent, from, to) {
            Ok((to, under)) => Fate::Hairpinned { from, under, to },
            Err(reason) => self.unsolicited(sent, from, to, reason),
        }
    }

    pub(crate) fn outside(&mut self, sent: Sent, remote: SocketAddrV4, outer: SocketAddrV4) -> Fate {
        match self.incoming(sent, remote, outer) {
            Ok((to, under)) => Fate::Inside { from: remote, under, to },
            Err(reason) => self.unsolicited(sent, remote, outer, reason),
        }
    }

    /// RFC 6146 §3.5.2.2: a SYN may be about to meet another.
    fn unsolicited(&mut self, sent: Sent, remote: SocketAddrV4, outer: SocketAddrV4, reason: DropReason) -> Fate {
        let is_held = sent.protocol == Protocol::Tcp
            && sent.flags == "S"
            && (*remote.ip() == POOL4 || self.config.pool4[0].ports.contains(&outer.port()))
            && matches!(reason, DropReason::NoBibEntry | DropReason::FilteredByAddress);
        if !is_held {
            return Fate::Dropped(reason);
        }
        if !self.held.iter().any(|(to, from, _)| (*to, *from) == (outer, remote)) {
            self.held.push((outer, remote, self.now));
        }
        Fate::Held
    }

    /// RFC 6146 §3.5, from the IPv6 side.
    fn outgoing(
        &mut self,
        sent: Sent,
        inner: SocketAddr,
        remote: SocketAddrV4,
        learn: Learn<'_>,
    ) -> Result<SocketAddrV4, DropReason> {
        let Sent { protocol, flags, prefix } = sent;
        let known = self.bib.iter().find(|entry| (entry.protocol, entry.inner) == (protocol, inner)).cloned();
        if let Some(index) = self.session(protocol, inner, remote) {
            self.carry_on(index, true, flags);
            self.sessions[index].prefix = prefix;
            return Ok(known.expect("a session has a mapping").outer);
        }
        let opens = match protocol {
            Protocol::Udp => true,
            Protocol::Tcp => flags.contains('S'),
            // A reply makes no mapping, but uses the one there is.
            Protocol::Icmp => flags.contains('S') || known.is_some(),
        };
        match (known, opens) {
            (known, true) => self.open(sent, inner, remote, known, learn),
            // RFC 6146 §3.5.2.2, CLOSED: a segment with a mapping is translated, and nothing is remembered.
            (Some(entry), false) if protocol == Protocol::Tcp => Ok(entry.outer),
            (_, false) => Err(DropReason::NoSession),
        }
    }

    fn open(
        &mut self,
        Sent { protocol, prefix, .. }: Sent,
        inner: SocketAddr,
        remote: SocketAddrV4,
        known: Option<Entry>,
        learn: Learn<'_>,
    ) -> Result<SocketAddrV4, DropReason> {
        let limits = self.config.limits;
        if known.is_none() {
            if self.bib.len() >= limits.bib_entries as usize {
                return Err(DropReason::BibFull);
            }
            if self.bib.iter().filter(|entry| peer(entry.inner) == peer(inner)).count()
                >= limits.bib_entries_per_peer as usize
            {
                return Err(DropReason::PeerBibFull);
            }
            if self.config.pool4[0].ports.clone().all(|port| self.is_taken(protocol, port)) {
                return Err(DropReason::PoolExhausted);
            }
        }
        if self.sessions.len() >= limits.sessions as usize {
            return Err(DropReason::SessionsFull);
        }
        if self.sessions_of(inner) >= limits.sessions_per_peer as usize {
            return Err(DropReason::PeerSessionsFull);
        }
        let own = known.as_ref().map(|entry| entry.outer);
        let waiting = (protocol == Protocol::Tcp)
            .then(|| self.held.iter().find(|held| held.1 == remote && own.is_none_or(|own| held.0 == own)))
            .flatten()
            .map(|held| held.0);
        let outer = match known {
            Some(entry) => entry.outer,
            None => self.learn(protocol, inner, waiting, learn),
        };
        let (state, lifetime) = match protocol {
            // A SYN of the other end has come before: the two are one connection.
            Protocol::Tcp if waiting == Some(outer) => {
                self.held.retain(|(to, from, _)| (*to, *from) != (outer, remote));
                (Some(TcpState::Established), self.config.lifetimes.tcp_established)
            }
            Protocol::Tcp => (Some(TcpState::V6Init), self.config.lifetimes.tcp_opening),
            Protocol::Udp => (None, self.config.lifetimes.udp),
            Protocol::Icmp => (None, self.config.lifetimes.icmp),
        };
        self.sessions.push(Session { protocol, inner, remote, state, prefix, expires: self.now + lifetime });
        Ok(outer)
    }

    /// Takes a new mapping over from the engine, and checks that it may be what it is.
    fn learn(
        &mut self,
        protocol: Protocol,
        inner: SocketAddr,
        waiting: Option<SocketAddrV4>,
        learn: Learn<'_>,
    ) -> SocketAddrV4 {
        let outer = learn(protocol, inner).expect("the engine has made a mapping");
        let ports = &self.config.pool4[0].ports;
        assert!(*outer.ip() == POOL4 && ports.contains(&outer.port()) && !self.is_taken(protocol, outer.port()));
        match waiting.filter(|outer| ports.contains(&outer.port()) && !self.is_taken(protocol, outer.port())) {
            Some(waiting) => assert_eq!(outer, waiting, "the endpoint that the other end knows"),
            None => {
                let same_parity = |port: u16| port % 2 == inner.port() % 2;
                let could_keep_parity = ports.clone().any(|port| same_parity(port) && !self.is_taken(protocol, port));
                assert!(!could_keep_parity || same_parity(outer.port()), "RFC 4787 REQ-4");
            }
        }
        self.bib.push(Entry { protocol, inner, outer, is_static: false });
        outer
    }

    /// RFC 6146 §3.5, from the IPv4 side.
    fn incoming(
        &mut self,
        sent: Sent,
        remote: SocketAddrV4,
        outer: SocketAddrV4,
    ) -> Result<(SocketAddr, Pool6), DropReason> {
        let Sent { protocol, flags, .. } = sent;
        let found = self.bib.iter().find(|entry| (entry.protocol, entry.outer) == (protocol, outer));
        let inner = found.ok_or(DropReason::NoBibEntry)?.inner;
        if let Some(index) = self.session(protocol, inner, remote) {
            self.carry_on(index, false, flags);
            return Ok((inner, self.sessions[index].prefix));
        }
        if protocol == Protocol::Tcp && !flags.contains('S') {
            return Err(DropReason::NoSession);
        }
        let has_spoken_to = |session: &Session| {
            (session.protocol, session.inner, session.remote.ip()) == (protocol, inner, remote.ip())
        };
        if self.config.filtering == Filtering::AddressDependent && !self.sessions.iter().any(has_spoken_to) {
            return Err(DropReason::FilteredByAddress);
        }
        // The outside may start half of the sessions.
        if self.sessions.len() >= self.config.limits.sessions as usize / 2 {
            return Err(DropReason::SessionsFull);
        }
        if self.sessions_of(inner) >= self.config.limits.sessions_per_peer as usize / 2 {
            return Err(DropReason::PeerSessionsFull);
        }
        let (state, lifetime) = match protocol {
            Protocol::Tcp => (Some(TcpState::V4Init), self.config.lifetimes.tcp_opening),
            Protocol::Udp => (None, self.config.lifetimes.udp),
            Protocol::Icmp => (None, self.config.lifetimes.icmp),
        };
        self.held.retain(|(to, from, _)| protocol != Protocol::Tcp || (*to, *from) != (outer, remote));
        let prefix = self.config.pool6[0];
        self.sessions.push(Session { protocol, inner, remote, state, prefix, expires: self.now + lifetime });
        Ok((inner, prefix))
    }

    /// A packet of a session there is.
    fn carry_on(&mut self, index: usize, is_from_inside: bool, flags: &str) {
        let lifetimes = self.config.lifetimes;
        let session = &mut self.sessions[index];
        let lifetime = match session.state {
            Some(state) => {
                let (next, lifetime) = next(state, is_from_inside, flags);
                session.state = Some(next);
                lifetime.map(|clock| match clock {
                    Clock::Est => lifetimes.tcp_established,
                    Clock::Opening => lifetimes.tcp_opening,
                    Clock::Closing => lifetimes.tcp_closing,
                })
            }
            None if !is_from_inside && self.config.refresh == Refresh::InsideOnly => None,
            None if session.protocol == Protocol::Udp => Some(lifetimes.udp),
            None => Some(lifetimes.icmp),
        };
        if let Some(lifetime) = lifetime {
            session.expires = self.now + lifetime;
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let (now, lifetimes) = (self.now, self.config.lifetimes);
        for session in self.sessions.iter_mut().filter(|session| session.expires <= now) {
            // RFC 6146 §3.5.2.2: an established connection is asked first.
            if session.state == Some(TcpState::Established) {
                (session.state, session.expires) = (Some(TcpState::Trans), now + lifetimes.tcp_closing);
            }
        }
        self.sessions.retain(|session| session.expires > now);
        self.held.retain(|(_, _, since)| *since + lifetimes.tcp_incoming_syn > now);
        self.sweep();
    }

    pub(crate) fn reconfigure(&mut self, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        let config = &self.config;
        let lies_in_pool = |outer: &SocketAddrV4| config.pool4[0].ports.contains(&outer.port());
        self.bib.retain(|entry| lies_in_pool(&entry.outer));
        self.held.retain(|(outer, _, _)| lies_in_pool(outer));
        let is_mapped = |session: &Session| {
            self.bib.iter().any(|entry| (entry.protocol, entry.inner) == (session.protocol, session.inner))
        };
        self.sessions.retain(|session| {
            let may_hairpin = *session.remote.ip() != POOL4 || config.hairpinning == Hairpinning::On;
            let is_denied = config.denied_ports.contains(&(session.protocol, session.remote.port()));
            let is_own = config.own_addresses.contains(session.remote.ip());
            let has_prefix = session.inner.is_ipv4() || config.pool6.contains(&session.prefix);
            is_mapped(session) && may_hairpin && !is_denied && !is_own && has_prefix
        });
        for session in self.sessions.iter_mut().filter(|session| session.protocol == Protocol::Udp) {
            session.expires = session.expires - before.lifetimes.udp + config.lifetimes.udp;
        }
        self.sweep();
    }

    pub(crate) fn leaves(&mut self, prefix: ipnet::IpNet) {
        self.bib.retain(|entry| !prefix.contains(&entry.inner.ip()));
        self.sessions.retain(|session| !prefix.contains(&session.inner.ip()));
    }

    pub(crate) fn add_mapping(&mut self, mapping: StaticMapping) -> Result<(), MappingError> {
        let StaticMapping { protocol, outer, inner } = mapping;
        for entry in self.bib.iter_mut().filter(|entry| entry.protocol == protocol) {
            match (entry.inner == inner, entry.outer == outer) {
                (true, true) => {
                    entry.is_static = true;
                    return Ok(());
                }
                (true, false) => return Err(MappingError::InnerMapped { inner, outer: entry.outer }),
                (false, _) => {}
            }
        }
        if let Some(other) = self.bib.iter().find(|entry| (entry.protocol, entry.outer) == (protocol, outer)) {
            return Err(MappingError::Taken { outer, by: other.inner });
        }
        if self.bib.len() >= self.config.limits.bib_entries as usize {
            return Err(MappingError::BibFull);
        }
        if !self.config.pool4[0].ports.contains(&outer.port()) {
            return Err(MappingError::OutsidePool4 { outer });
        }
        self.bib.push(Entry { protocol, inner, outer, is_static: true });
        Ok(())
    }

    /// Who had the mapping, and how many sessions went with it.
    pub(crate) fn remove_mapping(&mut self, protocol: Protocol, outer: SocketAddrV4) -> Option<(SocketAddr, usize)> {
        let index = self.bib.iter().position(|entry| (entry.protocol, entry.outer) == (protocol, outer))?;
        let inner = self.bib.remove(index).inner;
        let before = self.sessions.len();
        self.sessions.retain(|session| (session.protocol, session.inner) != (protocol, inner));
        Some((inner, before - self.sessions.len()))
    }

    pub(crate) fn bib(&self) -> Vec<BibRow> {
        let sessions = |entry: &Entry| {
            self.sessions.iter().filter(|of| (of.protocol, of.inner) == (entry.protocol, entry.inner)).count() as u32
        };
        let row = |entry: &Entry| (entry.protocol, entry.inner, entry.outer, entry.is_static, sessions(entry));
        sorted(self.bib.iter().map(row))
    }

    pub(crate) fn sessions(&self) -> Vec<SessionRow> {
        let row = |session: &Session| {
            let is_its = |entry: &&Entry| (entry.protocol, entry.inner) == (session.protocol, session.inner);
            let outer = self.bib.iter().find(is_its).expect("every session has a BIB entry").outer;
            let left = session.expires - self.now;
            let prefix = session.inner.is_ipv6().then(|| session.prefix.to_string());
            (session.protocol, session.inner, outer, session.remote, prefix, session.state, left)
        };
        sorted(self.sessions.iter().map(row))
    }

    /// When time next changes something.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let held = self.held.iter().map(|(_, _, since)| *since + self.config.lifetimes.tcp_incoming_syn);
        self.sessions.iter().map(|session| session.expires).chain(held).min()
    }

    /// The last session takes its mapping along, unless that was made by hand.
    fn sweep(&mut self) {
        let Self { bib, sessions, .. } = self;
        bib.retain(|entry| {
            let is_its = |session: &Session| (session.protocol, session.inner) == (entry.protocol, entry.inner);
            entry.is_static || sessions.iter().any(is_its)
        });
    }

    fn session(&self, protocol: Protocol, inner: SocketAddr, remote: SocketAddrV4) -> Option<usize> {
        self.sessions.iter().position(|of| (of.protocol, of.inner, of.remote) == (protocol, inner, remote))
    }

    fn sessions_of(&self, inner: SocketAddr) -> usize {
        self.sessions.iter().filter(|session| peer(session.inner) == peer(inner)).count()
    }

    fn is_taken(&self, protocol: Protocol, port: u16) -> bool {
        self.bib.iter().any(|entry| (entry.protocol, entry.outer.port()) == (protocol, port))
    }
}

pub(crate) fn sorted<T: Ord>(rows: impl Iterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows
}

/// Whose limits hold: a /64 is one peer, an IPv4 address another.
fn peer(inner: SocketAddr) -> String {
    match inner.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:?}", &address.segments()[..4]),
    }
}

enum Clock {
    Est,
    Opening,
    Closing,
}

/// RFC 6146 §3.5.2.2, with RFC 7857 §2.2 for RST, and a port used again after both FINs as a new connection.
fn next(state: TcpState, is_from_inside: bool, flags: &str) -> (TcpState, Option<Clock>) {
    use TcpState::{Closed, Established, Trans, V4FinRcv, V4FinV6FinRcv, V4Init, V6FinRcv, V6Init};
    let (syn, fin, rst) = (flags.contains('S'), flags.contains('F'), flags.contains('R'));
    let (v6, v4) = (is_from_inside, !is_from_inside);
    match state {
        V4Init if v6 && syn => (Established, Some(Clock::Est)),
        V6Init if v4 && syn => (Established, Some(Clock::Est)),
        V6Init if v6 && syn => (V6Init, Some(Clock::Opening)),
        V4FinV6FinRcv if v6 && syn => (V6Init, Some(Clock::Opening)),
        Closed | V4Init | V6Init | V4FinV6FinRcv => (state, None),
        Established | V4FinRcv | V6FinRcv if rst => (Trans, Some(Clock::Closing)),
        Established if v4 && fin => (V4FinRcv, Some(Clock::Est)),
        Established if v6 && fin => (V6FinRcv, Some(Clock::Est)),
        V4FinRcv if v6 && fin => (V4FinV6FinRcv, Some(Clock::Closing)),
        V6FinRcv if v4 && fin => (V4FinV6FinRcv, Some(Clock::Closing)),
        Established | V4FinRcv | V6FinRcv => (state, Some(Clock::Est)),
        Trans if rst => (Trans, None),
        Trans => (Established, Some(Clock::Est)),
    }
}
