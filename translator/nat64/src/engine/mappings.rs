//! What operators and their tools do with a running engine: look at the tables, and change them.

use std::net::SocketAddrV4;
use std::time::Instant;

use super::Engine;
use crate::event::Event;
use crate::mapping::{BibView, MappingError, Removed, SessionView, StaticMapping};
use crate::tuple::Protocol;

impl Engine {
    /// Makes a BIB entry by hand; its port is taken from pool4. One that is there already stays for good from now on.
    ///
    /// It lasts until it is removed, its peer is forgotten, or pool4 no longer has its outside endpoint.
    ///
    /// # Errors
    ///
    /// The outside endpoint is not in pool4 or belongs to somebody else; the inside endpoint has another one, or is
    /// nobody's; the BIB is full.
    pub fn add_mapping(&mut self, now: Instant, mapping: StaticMapping) -> Result<(), MappingError> {
        self.clock.tick(now);
        if !self.policy.may_be_inside(&self.config, mapping.inner.into()) {
            return Err(MappingError::InnerImpossible { inner: mapping.inner });
        }
        self.state.add_static(mapping)
    }

    /// Takes an outside endpoint from whoever has it, by hand or not. Its sessions go with it.
    ///
    /// # Errors
    ///
    /// Nobody has it.
    pub fn remove_mapping(&mut self, protocol: Protocol, outer: SocketAddrV4) -> Result<Removed, MappingError> {
        self.state.remove_mapping(protocol, outer.into())
    }

    /// The BIBs, in no particular order.
    pub fn bib(&self) -> impl Iterator<Item = BibView> + '_ {
        self.state.bib()
    }

    /// The session tables, in no particular order.
    pub fn sessions(&self, now: Instant) -> impl Iterator<Item = SessionView> + '_ {
        self.state.session_views(self.clock.peek(now), &self.policy.prefixes)
    }

    /// The next thing that happened to the BIBs, if [`Config::event_log`](crate::Config::event_log) is on.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.state.poll_event()
    }
}
