//! Where the sessions of recent packets stand: most packets belong to a session that had one just before.
//!
//! A hint is a place in the session table and nothing more. Whoever takes one compares what stands there with the
//! packet, so a hint that is old, or another session's, costs a search and nothing else.

use crate::session::SessionIndex;
use crate::tuple::Remote;

const SLOTS: usize = 256;

#[derive(Debug)]
pub(crate) struct Hints(Box<[SessionIndex; SLOTS]>);

impl Hints {
    pub(crate) fn new() -> Self {
        Self(Box::new([SessionIndex::NOWHERE; SLOTS]))
    }

    /// Where the session of one of our ports and a remote may stand.
    #[inline]
    pub(crate) fn get(&self, port: u16, remote: Remote) -> SessionIndex {
        self.0[slot(port, remote)]
    }

    /// The session has been found the long way.
    pub(crate) fn set(&mut self, port: u16, remote: Remote, session: SessionIndex) {
        self.0[slot(port, remote)] = session;
    }
}

/// Sessions that differ in any number should differ here; who makes two of his own collide slows only those.
#[inline]
const fn slot(port: u16, remote: Remote) -> usize {
    let address = remote.address.to_bits();
    let mixed = (port ^ remote.port) as u32 ^ address ^ address >> 16;
    ((mixed ^ mixed >> 8) & 0xff) as usize
}
