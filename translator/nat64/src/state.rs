//! All that the engine remembers: BIBs, sessions, ports and peers, kept consistent with one another.
//!
//! Invariants: every session has a BIB entry; the last session to leave takes its BIB entry with it, and the entry its
//! port, unless it was made by hand; a peer's counts are those of its entries. Nothing here touches packets.

mod ahead;
mod hits;
mod mappings;
mod opening;

use crate::bib::{Bib, BibEntry, BibIndex};
use crate::config::{Limits, Refresh, Unsolicited};
use crate::event::{Event, Events};
use crate::filtering::Filter;
use crate::hash::SipKey;
use crate::held::HeldSyns;
use crate::hints::Hints;
use crate::peers::Peers;
use crate::pool4::{self, PortPool};
use crate::prefixes::PrefixIndex;
use crate::session::{Due, Session, SessionIndex, Sessions};
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo};
use crate::{Config, DropReason, Side, TableSize};

#[derive(Debug)]
pub(crate) struct State {
    table_key: SipKey,
    pool_key: SipKey,
    tables: [Tables; Protocol::ALL.len()],
    pool: PortPool,
    peers: Peers,
    held: HeldSyns,
    events: Events,
    refresh: Refresh,
    limits: Limits,
}

/// The tables of one protocol.
#[derive(Debug)]
pub(crate) struct Tables {
    bib: Bib,
    sessions: Sessions,
    filter: Filter,
    /// Hints for packets from inside, and from outside.
    outgoing: Hints,
    incoming: Hints,
}

/// What the tables know about a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) bib: Option<BibIndex>,
    pub(crate) session: Option<SessionIndex>,
}

/// What became of something whose time had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// A session is gone, or found to be in use.
    Session,
    /// A SYN to pool4 met none the other way, and is to be answered on the side it came from (RFC 5382 REQ-4).
    Syn(Side, Box<[u8]>),
    /// A session may still be in use: the inside endpoint is to be asked (RFC 6146 §3.5.2.2).
    Probe { to: Receiver, from: Remote },
}

impl State {
    pub(crate) fn new(config: &Config, seed: &[u8; 32]) -> Self {
        let [table_key, pool_key] = [1, 2].map(|purpose| SipKey::from_seed(seed, purpose));
        let tables = |_| Tables {
            bib: Bib::new(table_key),
            sessions: Sessions::new(table_key, config.lifetimes),
            filter: Filter::new(table_key, config.filtering),
            outgoing: Hints::new(),
            incoming: Hints::new(),
        };
        Self {
            table_key,
            pool_key,
            tables: Protocol::ALL.map(tables),
            pool: PortPool::new(pool_key, &config.pool4, config.pooling),
            peers: Peers::new(table_key),
            held: HeldSyns::new(config.lifetimes.tcp_incoming_syn),
            events: Events::new(config.event_log),
            refresh: config.refresh,
            limits: config.limits,
        }
    }

    pub(crate) const fn pool(&self) -> &PortPool {
        &self.pool
    }

    /// A datagram without checksum is dropped.
    pub(crate) fn log_without_checksum(&mut self, remote: Remote, outer: Outer) {
        self.events.without_checksum(remote, outer);
    }

    /// What is known of a packet from inside. Its session is spoken to under its prefix from now on.
    pub(crate) fn find_outgoing(&mut self, protocol: Protocol, inner: Inner, to: SpokenTo) -> Found {
        let found = self.search_outgoing(protocol, inner, to.remote);
        if let Some(session) = found.session {
            self.tables[protocol as usize].sessions.set_prefix(session, to.prefix);
        }
        found
    }

    /// Whether a packet from there may reach a mapping although it belongs to no session.
    pub(crate) fn filter_admits(&self, protocol: Protocol, bib: BibIndex, remote: Remote) -> bool {
        self.tables[protocol as usize].filter.admits(bib, remote.address)
    }

    pub(crate) fn search_outgoing(&self, protocol: Protocol, inner: Inner, remote: Remote) -> Found {
        let tables = &self.tables[protocol as usize];
        match tables.sessions.find_from_inside(&tables.bib, &inner, remote) {
            Some(session) => Found { bib: Some(tables.sessions.session(session).bib), session: Some(session) },
            None => Found { bib: tables.bib.find_inner(inner), session: None },
        }
    }

    /// What is known of a packet from outside.
    pub(crate) fn search_incoming(&self, protocol: Protocol, outer: Outer, remote: Remote) -> Found {
        let tables = &self.tables[protocol as usize];
        match tables.sessions.find_from_outside(&tables.bib, outer, remote) {
            Some(session) => Found { bib: Some(tables.sessions.session(session).bib), session: Some(session) },
            None => Found { bib: tables.bib.find_outer(outer), session: None },
        }
    }

    pub(crate) fn mapping(&self, protocol: Protocol, bib: BibIndex) -> &BibEntry {
        self.tables[protocol as usize].bib.entry(bib)
    }

    /// Whom a packet of a session from outside is for; without a session, of one that is about to start.
    pub(crate) fn receiver(&self, protocol: Protocol, bib: BibIndex, session: Option<SessionIndex>) -> Receiver {
        let tables = &self.tables[protocol as usize];
        let prefix = session.map_or(PrefixIndex::FIRST, |session| tables.sessions.session(session).prefix);
        Receiver { inner: tables.bib.entry(bib).inner, prefix }
    }

    /// Who has an outside endpoint.
    pub(crate) fn mapping_of(&self, protocol: Protocol, outer: Outer) -> Option<&BibEntry> {
        let bib = &self.tables[protocol as usize].bib;
        bib.find_outer(outer).map(|index| bib.entry(index))
    }

    /// Whether anybody has an outside endpoint.
    pub(crate) fn has_mapping(&self, protocol: Protocol, outer: Outer) -> bool {
        self.mapping_of(protocol, outer).is_some()
    }

    /// Whether a packet from outside may start a session with a mapping.
    ///
    /// Filtering decides; and whoever floods a mapping from outside takes half of the sessions at most, so that the
    /// inside can still start some.
    pub(crate) fn admits(&self, protocol: Protocol, bib: BibIndex, remote: Remote) -> Result<(), DropReason> {
        if !self.filter_admits(protocol, bib, remote) {
            return Err(DropReason::FilteredByAddress);
        }
        let tables = &self.tables[protocol as usize];
        if self.sessions() >= self.limits.sessions as usize / 2 {
            return Err(DropReason::SessionsFull);
        }
        if self.peers.peer(tables.bib.entry(bib).peer).sessions >= self.limits.sessions_per_peer / 2 {
            return Err(DropReason::PeerSessionsFull);
        }
        Ok(())
    }

    /// Sessions of all protocols.
    fn sessions(&self) -> usize {
        self.tables.iter().map(|tables| tables.sessions.len()).sum()
    }

    pub(crate) fn tcp(&self, session: SessionIndex) -> TcpState {
        self.tables[Protocol::Tcp as usize].sessions.session(session).tcp
    }

    /// Moves a TCP session on; without a lifetime the clock runs on.
    pub(crate) fn set_tcp(&mut self, now: Tick, session: SessionIndex, tcp: TcpState, lifetime: Option<Lifetime>) {
        self.tables[Protocol::Tcp as usize].sessions.set_tcp(session, tcp);
        if let Some(lifetime) = lifetime {
            self.touch(now, Protocol::Tcp, session, lifetime);
        }
    }

    /// A packet from outside: whether it counts is for the operator to say (RFC 4787 REQ-6).
    pub(crate) fn touch_from_outside(
        &mut self,
        now: Tick,
        protocol: Protocol,
        session: SessionIndex,
        lifetime: Lifetime,
    ) {
        match self.refresh {
            Refresh::BothSides => self.touch(now, protocol, session, lifetime),
            Refresh::InsideOnly => {}
        }
    }

    pub(crate) fn touch(&mut self, now: Tick, protocol: Protocol, session: SessionIndex, lifetime: Lifetime) {
        self.tables[protocol as usize].sessions.touch(now.second(), session, lifetime);
    }

    /// Keeps a SYN to pool4 that nobody inside waits for yet, or says that there is no room.
    pub(crate) fn hold(&mut self, now: Tick, outer: Outer, remote: Remote, syn: (Side, &[u8])) -> bool {
        self.held.hold(now, outer, remote, syn)
    }

    /// A SYN from outside has been let in after all.
    pub(crate) fn forget_held(&mut self, outer: Outer, remote: Remote) {
        self.held.forget(outer, remote);
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Starts a session with an existing mapping.
    pub(crate) fn add_session(
        &mut self,
        now: Tick,
        protocol: Protocol,
        bib: BibIndex,
        to: SpokenTo,
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> Result<(), DropReason> {
        if self.sessions() >= self.limits.sessions as usize {
            return Err(DropReason::SessionsFull);
        }
        let tables = &mut self.tables[protocol as usize];
        let mapping = tables.bib.entry_mut(bib);
        let peer = self.peers.peer_mut(mapping.peer);
        if peer.sessions >= self.limits.sessions_per_peer {
            return Err(DropReason::PeerSessionsFull);
        }
        peer.sessions += 1;
        mapping.session_added();
        tables.filter.session_added(bib, to.remote.address);
        tables.sessions.insert(now, (&tables.bib, bib), to, (tcp, lifetime));
        Ok(())
    }

    fn remove_session(&mut self, protocol: Protocol, index: SessionIndex) {
        let tables = &mut self.tables[protocol as usize];
        let Session { bib, remote, .. } = tables.sessions.remove(&tables.bib, index);
        tables.filter.session_removed(bib, remote.address);
        let mapping = tables.bib.entry_mut(bib);
        mapping.session_removed();
        self.peers.peer_mut(mapping.peer).sessions -= 1;
        self.remove_mapping_if_idle(protocol, bib);
    }

    fn remove_mapping_if_idle(&mut self, protocol: Protocol, bib: BibIndex) {
        let tables = &mut self.tables[protocol as usize];
        let entry = tables.bib.entry(bib);
        if entry.sessions() > 0 || entry.is_static() {
            return;
        }
        let BibEntry { inner, outer, peer, .. } = tables.bib.remove(bib);
        self.events.ended(protocol, inner, outer);
        self.pool.release(protocol, inner, outer);
        self.peers.peer_mut(peer).bib_entries -= 1;
        self.peers.remove_if_idle(peer);
    }

    /// When a session or held SYN is to be looked at.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        self.tables.iter().filter_map(|tables| tables.sessions.next_due()).chain(self.held.next_expiry()).min()
    }

    /// Deals with one session or held SYN whose time has come.
    pub(crate) fn expire(&mut self, now: Tick) -> Option<Expired> {
        if let Some((side, syn)) = self.held.expire(now) {
            return Some(Expired::Syn(side, syn));
        }
        let mut poll = |protocol: &Protocol| Some((*protocol, self.tables[*protocol as usize].sessions.poll_due(now)?));
        let (protocol, due) = Protocol::ALL.iter().find_map(&mut poll)?;
        let Due::Expired(index) = due else { return Some(Expired::Session) };
        let tables = &self.tables[protocol as usize];
        let session = tables.sessions.session(index);
        if session.tcp.is_probed_at_expiry() {
            let to = Receiver { inner: tables.bib.entry(session.bib).inner, prefix: session.prefix };
            let from = session.remote;
            self.set_tcp(now, index, TcpState::Trans, Some(Lifetime::TcpClosing));
            return Some(Expired::Probe { to, from });
        }
        self.remove_session(protocol, index);
        Some(Expired::Session)
    }

    /// Removes every session that `keep` refuses, and with the last of a mapping the mapping.
    pub(crate) fn retain(&mut self, keep: impl Fn(Protocol, &BibEntry, &Session) -> bool) {
        for protocol in Protocol::ALL {
            for place in self.tables[protocol as usize].sessions.places() {
                let tables = &self.tables[protocol as usize];
                let refused = tables
                    .sessions
                    .at(place)
                    .is_some_and(|session| !keep(protocol, tables.bib.entry(session.bib), session));
                if refused {
                    self.remove_session(protocol, place);
                }
            }
        }
    }

    /// Takes another pool, whose endpoints must include all that are in use, another filtering, other lifetimes and
    /// other limits.
    ///
    /// What exceeds a limit stays; it only gets no company.
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.limits = config.limits;
        self.refresh = config.refresh;
        self.events.set_log(config.event_log);
        self.pool = PortPool::new(self.pool_key, &config.pool4, config.pooling);
        let keeps_syns = config.unsolicited != Unsolicited::Silent;
        self.held.reconfigure(config.lifetimes.tcp_incoming_syn, |outer| {
            keeps_syns && pool4::covers(&config.pool4, Protocol::Tcp, outer)
        });
        for protocol in Protocol::ALL {
            let tables = &mut self.tables[protocol as usize];
            tables.sessions.set_lifetimes(config.lifetimes);
            for mapping in tables.bib.entries() {
                self.pool.reserve(protocol, mapping.inner, mapping.outer);
            }
            if tables.filter.filtering() != config.filtering {
                tables.filter = Filter::new(self.table_key, config.filtering);
                for session in tables.sessions.places().filter_map(|place| tables.sessions.at(place)) {
                    tables.filter.session_added(session.bib, session.remote.address);
                }
            }
        }
    }

    /// Gives every session the prefix that `other` finds for its own, if it finds one.
    pub(crate) fn change_prefixes(&mut self, other: impl Fn(PrefixIndex) -> Option<PrefixIndex>) {
        for tables in &mut self.tables {
            for place in tables.sessions.places() {
                if let Some(prefix) = tables.sessions.at(place).and_then(|session| other(session.prefix)) {
                    tables.sessions.set_prefix(place, prefix);
                }
            }
        }
    }

    pub(crate) fn size(&self, protocol: Protocol) -> TableSize {
        let tables = &self.tables[protocol as usize];
        TableSize { bib_entries: tables.bib.len(), sessions: tables.sessions.len() }
    }
}
