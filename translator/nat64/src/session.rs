//! Session table (RFC 6146 §3.2), one per protocol: which remote a mapping speaks to, and until when we remember it.
//!
//! Sessions of one lifetime stand in a queue in the order they were last touched, which is the order they expire in: a
//! touch moves one to the end, expiry looks at the front. Nothing is ever searched for by time.

use crate::bib::BibIndex;
use crate::hash::SipKey;
use crate::index_table::IndexTable;
use crate::prefixes::PrefixIndex;
use crate::slab::Slab;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Lifetimes, Tick};
use crate::tuple::{Remote, SpokenTo};

/// Place of a session; valid as long as the session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionIndex(u32);

impl SessionIndex {
    /// A place where no session ever stands.
    pub(crate) const NOWHERE: Self = Self(NONE);
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) bib: BibIndex,
    pub(crate) remote: Remote,
    /// Closed for what is not TCP.
    pub(crate) tcp: TcpState,
    /// What the inside last spoke to it under.
    pub(crate) prefix: PrefixIndex,
    lifetime: Lifetime,
    pub(crate) expires: Tick,
    older: u32,
    newer: u32,
}

/// The end of a queue.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Queue {
    oldest: u32,
    newest: u32,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    key: SipKey,
    sessions: Slab<Session>,
    by_remote: IndexTable,
    queues: [Queue; Lifetime::ALL.len()],
    lifetimes: Lifetimes,
}

impl Sessions {
    pub(crate) const fn new(key: SipKey, lifetimes: Lifetimes) -> Self {
        Self {
            key,
            lifetimes,
            sessions: Slab::new(),
            by_remote: IndexTable::new(),
            queues: [Queue { oldest: NONE, newest: NONE }; Lifetime::ALL.len()],
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn find(&self, bib: BibIndex, remote: Remote) -> Option<SessionIndex> {
        let same = |index| {
            let session = &self.sessions[index];
            session.bib == bib && session.remote == remote
        };
        self.by_remote.find(hash(self.key, bib, remote), same).map(SessionIndex)
    }

    /// Adds a session. The mapping must not have one with this remote already.
    pub(crate) fn insert(
        &mut self,
        now: Tick,
        bib: BibIndex,
        SpokenTo { remote, prefix }: SpokenTo,
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> SessionIndex {
        let expires = now.after(self.lifetimes.of(lifetime));
        let session = Session { bib, remote, tcp, prefix, lifetime, expires, older: NONE, newer: NONE };
        let key = self.key;
        let index = self.sessions.insert(session);
        let sessions = &self.sessions;
        let hash_at = |place| hash(key, sessions[place].bib, sessions[place].remote);
        self.by_remote.insert(hash(key, bib, remote), index, hash_at);
        self.append(index);
        SessionIndex(index)
    }

    /// Gives a session a lifetime that starts now.
    pub(crate) fn touch(&mut self, now: Tick, index: SessionIndex, lifetime: Lifetime) {
        let expires = now.after(self.lifetimes.of(lifetime));
        let session = &mut self.sessions[index.0];
        // Packets of one flow come in rows: most of the time it stands at the end of its queue already.
        if session.lifetime == lifetime && session.newer == NONE {
            session.expires = expires;
            return;
        }
        self.unlink(index.0);
        let session = &mut self.sessions[index.0];
        (session.lifetime, session.expires) = (lifetime, expires);
        self.append(index.0);
    }

    pub(crate) fn remove(&mut self, index: SessionIndex) -> Session {
        self.unlink(index.0);
        let session = self.sessions.remove(index.0);
        self.by_remote.remove(hash(self.key, session.bib, session.remote), index.0);
        session
    }

    pub(crate) fn session(&self, index: SessionIndex) -> &Session {
        &self.sessions[index.0]
    }

    pub(crate) fn set_tcp(&mut self, index: SessionIndex, tcp: TcpState) {
        self.sessions[index.0].tcp = tcp;
    }

    pub(crate) fn set_prefix(&mut self, index: SessionIndex, prefix: PrefixIndex) {
        self.sessions[index.0].prefix = prefix;
    }

    /// Gives every session the lifetime it would have had. All of one queue move by the same time: it stays in order.
    pub(crate) fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        let before = std::mem::replace(&mut self.lifetimes, lifetimes);
        for place in (0..self.sessions.extent()).filter(|_| before != lifetimes) {
            if let Some(session) = self.sessions.at_mut(place) {
                let (before, after) = (before.of(session.lifetime), lifetimes.of(session.lifetime));
                session.expires = session.expires.with_lifetime(before, after);
            }
        }
    }

    /// A session whose time has come.
    pub(crate) fn expired(&self, now: Tick) -> Option<SessionIndex> {
        let oldest = self.queues.iter().map(|queue| queue.oldest).filter(|oldest| *oldest != NONE);
        oldest.filter(|oldest| self.sessions[*oldest].expires <= now).map(SessionIndex).next()
    }

    /// When the next session expires.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        let oldest = self.queues.iter().map(|queue| queue.oldest).filter(|oldest| *oldest != NONE);
        oldest.map(|oldest| self.sessions[oldest].expires).min()
    }

    /// Every place a session may stand at, for a walk that removes some.
    pub(crate) fn places(&self) -> impl Iterator<Item = SessionIndex> + use<> {
        (0..self.sessions.extent()).map(SessionIndex)
    }

    /// The session at a place, if there is one.
    pub(crate) fn at(&self, index: SessionIndex) -> Option<&Session> {
        self.sessions.at(index.0)
    }

    fn append(&mut self, index: u32) {
        let queue = &mut self.queues[self.sessions[index].lifetime as usize];
        let older = std::mem::replace(&mut queue.newest, index);
        match older {
            NONE => queue.oldest = index,
            _ => self.sessions[older].newer = index,
        }
        let session = &mut self.sessions[index];
        (session.older, session.newer) = (older, NONE);
    }

    fn unlink(&mut self, index: u32) {
        let Session { older, newer, lifetime, .. } = self.sessions[index];
        let queue = &mut self.queues[lifetime as usize];
        match older {
            NONE => queue.oldest = newer,
            _ => self.sessions[older].newer = newer,
        }
        match newer {
            NONE => queue.newest = older,
            _ => self.sessions[newer].older = older,
        }
    }
}

fn hash(key: SipKey, bib: BibIndex, remote: Remote) -> u64 {
    key.hash_with_ports([u64::from(bib.0) << 32 | u64::from(remote.address.to_bits())], [remote.port])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BIB: BibIndex = BibIndex(3);
    const UDP_DEFAULT: Duration = Duration::from_secs(300);
    const TCP_TRANS: Duration = Duration::from_secs(240);

    fn table() -> Sessions {
        Sessions::new(SipKey::from_seed(&[1; 32], 1), Lifetimes::default())
    }

    fn remote(port: u16) -> Remote {
        Remote { address: "192.0.2.1".parse().unwrap(), port }
    }

    fn spoken_to(port: u16) -> SpokenTo {
        SpokenTo { remote: remote(port), prefix: PrefixIndex::FIRST }
    }

    fn at(secs: u64) -> Tick {
        Tick::default().after(Duration::from_secs(secs))
    }

    fn udp(sessions: &mut Sessions, now: Tick, port: u16) -> SessionIndex {
        sessions.insert(now, BIB, spoken_to(port), (TcpState::Closed, Lifetime::UdpDefault))
    }

    #[test]
    fn a_session_takes_no_more_than_its_share_of_the_budget() {
        // 128 bytes for a BIB entry with its session, their indexes included (8 bytes each of three).
        assert!(size_of::<Session>() + size_of::<crate::bib::BibEntry>() <= 128 - 3 * 8 - 2 * 4);
    }

    #[test]
    fn a_touched_session_outlives_one_that_was_not() {
        let mut sessions = table();
        let (one, two) = (udp(&mut sessions, at(0), 1), udp(&mut sessions, at(1), 2));
        sessions.touch(at(2), one, Lifetime::UdpDefault);

        assert_eq!(sessions.next_expiry(), Some(at(1).after(UDP_DEFAULT)));
        assert_eq!(sessions.expired(at(1).after(UDP_DEFAULT)), Some(two));
        sessions.remove(two);
        assert_eq!(sessions.expired(at(1).after(UDP_DEFAULT)), None);
        assert_eq!(sessions.expired(at(2).after(UDP_DEFAULT)), Some(one));
    }

    #[test]
    fn a_shorter_lifetime_expires_first_whatever_the_order() {
        let mut sessions = table();
        udp(&mut sessions, at(0), 1);
        let short = sessions.insert(at(1), BIB, spoken_to(2), (TcpState::Trans, Lifetime::TcpTrans));

        assert_eq!(sessions.next_expiry(), Some(at(1).after(TCP_TRANS)));
        assert_eq!(sessions.expired(at(1).after(TCP_TRANS)), Some(short));
    }

    #[test]
    fn removing_from_the_middle_keeps_the_queue_whole() {
        let mut sessions = table();
        let all: Vec<_> = (1..=3).map(|port| udp(&mut sessions, at(u64::from(port)), port)).collect();
        sessions.remove(all[1]);
        sessions.remove(all[0]);

        assert_eq!(sessions.expired(at(9999)), Some(all[2]));
        assert_eq!((sessions.find(BIB, remote(2)), sessions.find(BIB, remote(3))), (None, Some(all[2])));
        sessions.remove(all[2]);
        assert_eq!((sessions.next_expiry(), sessions.len()), (None, 0));
    }

    #[test]
    fn another_lifetime_holds_from_the_last_packet_on() {
        let mut sessions = table();
        let (one, two) = (udp(&mut sessions, at(0), 1), udp(&mut sessions, at(1), 2));
        sessions.set_lifetimes(Lifetimes { udp: Duration::from_secs(120), ..Lifetimes::default() });

        assert_eq!((sessions.session(one).expires, sessions.session(two).expires), (at(120), at(121)));
        sessions.touch(at(100), one, Lifetime::UdpDefault);
        assert_eq!(sessions.next_expiry(), Some(at(121)));
    }
}
