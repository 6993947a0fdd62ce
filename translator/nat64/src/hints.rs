//! Where the sessions of recent packets stand: most packets belong to a session that had one just before.
//!
//! A hint is a place in the session table and nothing more. Whoever takes one compares what stands there with the
//! packet, so a hint that is old, or another session's, costs a search and nothing else.

use crate::session::SessionIndex;
use crate::tuple::Remote;

const SLOTS: usize = 8192;

#[derive(Debug)]
pub(crate) struct Hints(Box<[SessionIndex; SLOTS]>);

/// Where the hint for a packet is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hint(usize);

impl Hint {
    /// By the port that is ours and the remote. Who makes two sessions of his own collide slows only those.
    #[inline(always)]
    pub(crate) fn of(port: u16, remote: Remote) -> Self {
        let mixed = (u32::from(port) << 16 | u32::from(remote.port)) ^ remote.address.to_bits();
        Self((mixed.wrapping_mul(0x9e37_79b1) >> 19) as usize % SLOTS)
    }
}

impl Hints {
    pub(crate) fn new() -> Self {
        Self(Box::new([SessionIndex::NOWHERE; SLOTS]))
    }

    #[inline(always)]
    pub(crate) fn get(&self, hint: Hint) -> SessionIndex {
        self.0[hint.0 % SLOTS]
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, hint: Hint, session: SessionIndex) {
        self.0[hint.0 % SLOTS] = session;
    }
}
