//! Mappings made by hand, and what operators see of the tables.

use super::State;
use crate::bib::{BibEntry, BibIndex};
use crate::mapping::{BibView, MappingError, Removed, SessionView, StaticMapping};
use crate::prefixes::Prefixes;
use crate::tcp::TcpState;
use crate::timers::Tick;
use crate::tuple::{Inner, Outer, Protocol};

impl State {
    /// Makes a BIB entry that stays. The limits of its peer do not hold for it: it is not the peer that asked.
    pub(crate) fn add_static(&mut self, mapping: StaticMapping) -> Result<(), MappingError> {
        let StaticMapping { protocol, outer: endpoint, inner: host } = mapping;
        let (inner, outer) = (Inner::from(host), Outer::from(endpoint));
        let bib = &self.tables[protocol as usize].bib;
        if let Some(index) = bib.find_inner(inner) {
            let known = bib.entry(index).outer;
            if known != outer {
                return Err(MappingError::InnerMapped { inner: host, outer: known.into() });
            }
            self.tables[protocol as usize].bib.entry_mut(index).set_static(true);
            return Ok(());
        }
        if let Some(index) = bib.find_outer(outer) {
            return Err(MappingError::Taken { outer: endpoint, by: bib.entry(index).inner.into() });
        }
        if self.bib_is_full() {
            return Err(MappingError::BibFull);
        }
        // The pool and the BIB agree: what nobody has mapped is free, or not part of the pool.
        if !self.pool.reserve(protocol, inner, outer) {
            return Err(MappingError::OutsidePool4 { outer: endpoint });
        }
        let index = self.insert_mapping(protocol, (inner, None), outer);
        self.tables[protocol as usize].bib.entry_mut(index).set_static(true);
        Ok(())
    }

    /// Takes an outside endpoint from whoever has it, with all of its sessions.
    pub(crate) fn remove_mapping(&mut self, protocol: Protocol, outer: Outer) -> Result<Removed, MappingError> {
        let bib = &self.tables[protocol as usize].bib;
        let index = bib.find_outer(outer).ok_or_else(|| MappingError::NotMapped { outer: outer.into() })?;
        let entry = *bib.entry(index);
        self.remove_with_sessions(protocol, index);
        Ok(Removed { inner: entry.inner.into(), is_static: entry.is_static(), sessions: entry.sessions() as usize })
    }

    /// Removes every mapping made by hand that `keep` refuses.
    pub(crate) fn retain_static(&mut self, keep: impl Fn(Protocol, &BibEntry) -> bool) {
        for protocol in Protocol::ALL {
            for place in self.tables[protocol as usize].bib.places() {
                let entry = self.tables[protocol as usize].bib.at(place);
                if entry.is_some_and(|entry| entry.is_static() && !keep(protocol, entry)) {
                    self.remove_with_sessions(protocol, place);
                }
            }
        }
    }

    fn remove_with_sessions(&mut self, protocol: Protocol, index: BibIndex) {
        let tables = &mut self.tables[protocol as usize];
        let entry = tables.bib.entry_mut(index);
        entry.set_static(false);
        let mut left = entry.sessions();
        if left == 0 {
            return self.remove_mapping_if_idle(protocol, index);
        }
        // The last session takes the entry along, and its place may be another's from then on.
        for place in tables.sessions.places() {
            let is_its = self.tables[protocol as usize].sessions.at(place).is_some_and(|session| session.bib == index);
            if is_its {
                self.remove_session(protocol, place);
                left -= 1;
            }
            if left == 0 {
                return;
            }
        }
    }

    /// The BIBs.
    pub(crate) fn bib(&self) -> impl Iterator<Item = BibView> + '_ {
        Protocol::ALL.into_iter().flat_map(|protocol| {
            self.tables[protocol as usize].bib.entries().map(move |entry| BibView {
                protocol,
                inner: entry.inner.into(),
                outer: entry.outer.into(),
                is_static: entry.is_static(),
                sessions: entry.sessions(),
            })
        })
    }

    /// The session tables.
    pub(crate) fn session_views<'s>(
        &'s self,
        now: Tick,
        prefixes: &'s Prefixes,
    ) -> impl Iterator<Item = SessionView> + 's {
        Protocol::ALL.into_iter().flat_map(move |protocol| {
            let tables = &self.tables[protocol as usize];
            tables.sessions.places().filter_map(|place| tables.sessions.at(place)).map(move |session| {
                let entry = tables.bib.entry(session.bib);
                SessionView {
                    protocol,
                    inner: entry.inner.into(),
                    outer: entry.outer.into(),
                    remote: session.remote.into(),
                    pool6: entry.inner.ipv4().is_none().then(|| prefixes.at(session.prefix)),
                    state: (session.tcp != TcpState::Closed).then_some(session.tcp),
                    expires_in: now.until(session.expires.tick()),
                }
            })
        })
    }
}
