//! How sessions begin from inside (RFC 6146 §3.5.1.1, §3.5.2.2), and mappings with them.

use super::State;
use crate::DropReason;
use crate::bib::BibIndex;
use crate::drop::Refusal;
use crate::peers::PeerIndex;
use crate::reply::Reply;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Inner, Outer, Protocol, SpokenTo};

impl State {
    /// Starts a session from inside, with a new BIB entry if the inside endpoint has none (RFC 6146 §3.5.1.1).
    pub(crate) fn open(
        &mut self,
        now: Tick,
        protocol: Protocol,
        (inner, to): (Inner, SpokenTo),
        known: Option<BibIndex>,
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> Result<Outer, Refusal> {
        self.open_with(now, protocol, (inner, to), (known, None), (tcp, lifetime))
    }

    /// RFC 6146 §3.5.2.2: starts a connection from inside. If its other end has sent a SYN already, the two are one
    /// connection, and the outside endpoint is the one that end knows.
    pub(crate) fn open_tcp(
        &mut self,
        now: Tick,
        (inner, to): (Inner, SpokenTo),
        known: Option<BibIndex>,
    ) -> Result<Outer, Refusal> {
        let own = known.map(|bib| self.mapping(Protocol::Tcp, bib).outer);
        let held = self.held.find(to.remote, own);
        let opening = (TcpState::V6Init, Lifetime::TcpOpening);
        let outer = self.open_with(now, Protocol::Tcp, (inner, to), (known, held), opening)?;
        if held == Some(outer) {
            self.held.forget(outer, to.remote);
            let found = self.search_incoming(Protocol::Tcp, outer, to.remote);
            if let Some(session) = found.session {
                self.set_tcp(now, session, TcpState::Established, Some(Lifetime::TcpEst));
            }
        }
        Ok(outer)
    }

    fn open_with(
        &mut self,
        now: Tick,
        protocol: Protocol,
        (inner, to): (Inner, SpokenTo),
        (known, wanted): (Option<BibIndex>, Option<Outer>),
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> Result<Outer, Refusal> {
        let full = |reason| Refusal::with(reason, Reply::NoResources);
        let peer = match known {
            Some(bib) => Some(self.mapping(protocol, bib).peer),
            None => self.peers.find(inner.address),
        };
        if peer.is_some_and(|peer| !self.peers.peer_mut(peer).may_start_flow(now, &self.limits)) {
            return Err(full(DropReason::PeerFlowRate));
        }
        let bib = match known {
            Some(bib) => bib,
            None => self.add_mapping(protocol, inner, peer, wanted).map_err(full)?,
        };
        let outer = self.mapping(protocol, bib).outer;
        match self.add_session(now, protocol, bib, to, (tcp, lifetime)) {
            Ok(()) => Ok(outer),
            Err(reason) => {
                self.remove_mapping_if_idle(protocol, bib);
                Err(full(reason))
            }
        }
    }

    /// Whether no table takes another BIB entry.
    pub(super) fn bib_is_full(&self) -> bool {
        self.tables.iter().map(|tables| tables.bib.len()).sum::<usize>() >= self.limits.bib_entries as usize
    }

    fn add_mapping(
        &mut self,
        protocol: Protocol,
        inner: Inner,
        peer: Option<PeerIndex>,
        wanted: Option<Outer>,
    ) -> Result<BibIndex, DropReason> {
        if self.bib_is_full() {
            return Err(DropReason::BibFull);
        }
        let held = peer.map_or(0, |peer| self.peers.peer(peer).bib_entries);
        if held >= self.limits.bib_entries_per_peer {
            return Err(DropReason::PeerBibFull);
        }
        let reserved = wanted.filter(|outer| self.pool.reserve(protocol, inner, *outer));
        let outer = reserved.or_else(|| self.pool.allocate(protocol, inner)).ok_or(DropReason::PoolExhausted)?;
        Ok(self.insert_mapping(protocol, (inner, peer), outer))
    }

    /// Enters a mapping whose port has been taken from the pool, and whose peer may be known.
    pub(super) fn insert_mapping(
        &mut self,
        protocol: Protocol,
        (inner, peer): (Inner, Option<PeerIndex>),
        outer: Outer,
    ) -> BibIndex {
        let peer = peer.unwrap_or_else(|| self.peers.find_or_insert(inner.address));
        self.peers.peer_mut(peer).bib_entries += 1;
        self.events.created(protocol, inner, outer);
        self.tables[protocol as usize].bib.insert(inner, outer, peer)
    }
}
