//! All that the engine remembers: BIBs, sessions, ports and peers, kept consistent with one another.
//!
//! Invariants: every session has a BIB entry; the last session to leave takes its BIB entry with it, and the entry its
//! port; a peer's counts are those of its entries. Nothing here touches packets.

use crate::bib::{Bib, BibEntry, BibIndex};
use crate::config::{Filtering, Limits, Pool4};
use crate::drop::Refusal;
use crate::filtering::Filter;
use crate::hash::SipKey;
use crate::peers::Peers;
use crate::pool4::PortPool;
use crate::reply::Reply;
use crate::session::{Session, SessionIndex, Sessions};
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Inner, Outer, Protocol, Remote};
use crate::{Config, DropReason, TableSize};

#[derive(Debug)]
pub(crate) struct State {
    table_key: SipKey,
    pool_key: SipKey,
    tables: [Tables; Protocol::ALL.len()],
    pool: PortPool,
    peers: Peers,
    limits: Limits,
}

/// The tables of one protocol.
#[derive(Debug)]
struct Tables {
    bib: Bib,
    sessions: Sessions,
    filter: Filter,
}

/// What the tables know about a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) bib: Option<BibIndex>,
    pub(crate) session: Option<SessionIndex>,
}

/// What became of a session whose time had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// It is gone.
    Session,
    /// It may still be in use: the inside endpoint is to be asked (RFC 6146 §3.5.2.2).
    Probe { inner: Inner, remote: Remote },
}

impl State {
    pub(crate) fn new(config: &Config, seed: &[u8; 32]) -> Self {
        let [table_key, pool_key] = [1, 2].map(|purpose| SipKey::from_seed(seed, purpose));
        let tables = |_| Tables {
            bib: Bib::new(table_key),
            sessions: Sessions::new(table_key),
            filter: Filter::new(table_key, config.filtering),
        };
        Self {
            table_key,
            pool_key,
            tables: Protocol::ALL.map(tables),
            pool: PortPool::new(pool_key, &config.pool4),
            peers: Peers::new(table_key),
            limits: config.limits,
        }
    }

    pub(crate) const fn pool(&self) -> &PortPool {
        &self.pool
    }

    pub(crate) fn find_outgoing(&self, protocol: Protocol, inner: Inner, remote: Remote) -> Found {
        let tables = &self.tables[protocol as usize];
        let bib = tables.bib.find_inner(inner);
        Found { bib, session: bib.and_then(|bib| tables.sessions.find(bib, remote)) }
    }

    pub(crate) fn find_incoming(&self, protocol: Protocol, outer: Outer, remote: Remote) -> Found {
        let tables = &self.tables[protocol as usize];
        let bib = tables.bib.find_outer(outer);
        Found { bib, session: bib.and_then(|bib| tables.sessions.find(bib, remote)) }
    }

    pub(crate) fn mapping(&self, protocol: Protocol, bib: BibIndex) -> &BibEntry {
        self.tables[protocol as usize].bib.entry(bib)
    }

    /// Whether a packet from outside may start a session with a mapping.
    ///
    /// Filtering decides; and whoever floods a mapping from outside takes half of the sessions at most, so that the
    /// inside can still start some.
    pub(crate) fn admits(&self, protocol: Protocol, bib: BibIndex, remote: Remote) -> Result<(), DropReason> {
        let tables = &self.tables[protocol as usize];
        if !tables.filter.admits(bib, remote.address) {
            return Err(DropReason::FilteredByAddress);
        }
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

    pub(crate) fn touch(&mut self, now: Tick, protocol: Protocol, session: SessionIndex, lifetime: Lifetime) {
        self.tables[protocol as usize].sessions.touch(now, session, lifetime);
    }

    /// Starts a session from inside, with a new BIB entry if the inside endpoint has none (RFC 6146 §3.5.1.1).
    pub(crate) fn open(
        &mut self,
        now: Tick,
        protocol: Protocol,
        (inner, remote): (Inner, Remote),
        known: Option<BibIndex>,
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> Result<Outer, Refusal> {
        // RFC 6146 §3.5.1.1: a packet that finds no resources is dropped, with an address unreachable.
        let full = |reason| Refusal::with(reason, Reply::AddressUnreachable);
        let bib = match known {
            Some(bib) => bib,
            None => self.add_mapping(protocol, inner).map_err(full)?,
        };
        let outer = self.mapping(protocol, bib).outer;
        match self.add_session(now, protocol, bib, remote, (tcp, lifetime)) {
            Ok(()) => Ok(outer),
            Err(reason) => {
                self.remove_mapping_if_idle(protocol, bib);
                Err(full(reason))
            }
        }
    }

    /// Starts a session with an existing mapping.
    pub(crate) fn add_session(
        &mut self,
        now: Tick,
        protocol: Protocol,
        bib: BibIndex,
        remote: Remote,
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
        mapping.sessions += 1;
        tables.filter.session_added(bib, remote.address);
        tables.sessions.insert(now, bib, remote, tcp, lifetime);
        Ok(())
    }

    fn add_mapping(&mut self, protocol: Protocol, inner: Inner) -> Result<BibIndex, DropReason> {
        if self.tables.iter().map(|tables| tables.bib.len()).sum::<usize>() >= self.limits.bib_entries as usize {
            return Err(DropReason::BibFull);
        }
        let known = self.peers.find(inner.address);
        let held = known.map_or(0, |peer| self.peers.peer(peer).bib_entries);
        if held >= self.limits.bib_entries_per_peer {
            return Err(DropReason::PeerBibFull);
        }
        let outer = self.pool.allocate(protocol, inner).ok_or(DropReason::PoolExhausted)?;
        let peer = self.peers.find_or_insert(inner.address);
        self.peers.peer_mut(peer).bib_entries += 1;
        Ok(self.tables[protocol as usize].bib.insert(inner, outer, peer))
    }

    fn remove_session(&mut self, protocol: Protocol, index: SessionIndex) {
        let tables = &mut self.tables[protocol as usize];
        let Session { bib, remote, .. } = tables.sessions.remove(index);
        tables.filter.session_removed(bib, remote.address);
        let mapping = tables.bib.entry_mut(bib);
        mapping.sessions -= 1;
        self.peers.peer_mut(mapping.peer).sessions -= 1;
        self.remove_mapping_if_idle(protocol, bib);
    }

    fn remove_mapping_if_idle(&mut self, protocol: Protocol, bib: BibIndex) {
        let tables = &mut self.tables[protocol as usize];
        if tables.bib.entry(bib).sessions > 0 {
            return;
        }
        let BibEntry { outer, peer, .. } = tables.bib.remove(bib);
        self.pool.release(protocol, outer);
        self.peers.peer_mut(peer).bib_entries -= 1;
        self.peers.remove_if_idle(peer);
    }

    /// When the next session expires.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.tables.iter().filter_map(|tables| tables.sessions.next_expiry()).min()
    }

    /// Deals with one session whose time has come.
    pub(crate) fn expire(&mut self, now: Tick) -> Option<Expired> {
        let expired = |protocol: &Protocol| {
            let session = self.tables[*protocol as usize].sessions.expired(now)?;
            Some((*protocol, session))
        };
        let (protocol, index) = Protocol::ALL.iter().find_map(expired)?;
        let tables = &self.tables[protocol as usize];
        let session = tables.sessions.session(index);
        if session.tcp.is_probed_at_expiry() {
            let (inner, remote) = (tables.bib.entry(session.bib).inner, session.remote);
            self.set_tcp(now, index, TcpState::Trans, Some(Lifetime::TcpTrans));
            return Some(Expired::Probe { inner, remote });
        }
        self.remove_session(protocol, index);
        Some(Expired::Session)
    }

    /// Removes every session that `keep` refuses, and with the last of a mapping the mapping.
    pub(crate) fn retain(&mut self, keep: impl Fn(&BibEntry, Remote) -> bool) {
        for protocol in Protocol::ALL {
            for place in self.tables[protocol as usize].sessions.places() {
                let tables = &self.tables[protocol as usize];
                let refused = tables
                    .sessions
                    .at(place)
                    .is_some_and(|session| !keep(tables.bib.entry(session.bib), session.remote));
                if refused {
                    self.remove_session(protocol, place);
                }
            }
        }
    }

    /// Takes another pool, whose endpoints must include all that are in use, another filtering and other limits.
    ///
    /// What exceeds a limit stays; it only gets no company.
    pub(crate) fn reconfigure(&mut self, pool4: &[Pool4], filtering: Filtering, limits: Limits) {
        self.limits = limits;
        self.pool = PortPool::new(self.pool_key, pool4);
        for protocol in Protocol::ALL {
            let tables = &mut self.tables[protocol as usize];
            for mapping in tables.bib.entries() {
                self.pool.reserve(protocol, mapping.outer);
            }
            if tables.filter.filtering() != filtering {
                tables.filter = Filter::new(self.table_key, filtering);
                for session in tables.sessions.places().filter_map(|place| tables.sessions.at(place)) {
                    tables.filter.session_added(session.bib, session.remote.address);
                }
            }
        }
    }

    pub(crate) fn size(&self, protocol: Protocol) -> TableSize {
        let tables = &self.tables[protocol as usize];
        TableSize { bib_entries: tables.bib.len(), sessions: tables.sessions.len() }
    }
}
