//! Session table (RFC 6146 §3.2), one per protocol: which remote a mapping speaks to, and until when we remember it.
//!
//! A session is found from either side by one search, endpoint and remote together.
//!
//! A packet touches the row of its session and nothing else of the table; expiry is the [`wheel`](crate::wheel)'s.

use crate::bib::{Bib, BibIndex};
use crate::hash::SipKey;
use crate::index_table::{Bucket, IndexTable};
use crate::prefixes::PrefixIndex;
use crate::slab::Slab;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Lifetimes, Second, Tick};
use crate::tuple::{Inner, Outer, Remote, SpokenTo};
use crate::wheel::{Link, NONE, Wheel};

/// Every packet is searched for here, and each session of others in its way is two loads from memory.
const BUCKETS_PER_SESSION: u32 = 3;

/// Place of a session; valid as long as the session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionIndex(pub(crate) u32);

impl SessionIndex {
    /// A place where no session ever stands.
    pub(crate) const NOWHERE: Self = Self(NONE);
}

/// Half a cache line, and never in two.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Session {
    pub(crate) bib: BibIndex,
    pub(crate) remote: Remote,
    /// Closed for what is not TCP.
    pub(crate) tcp: TcpState,
    /// What the inside last spoke to it under.
    pub(crate) prefix: PrefixIndex,
    lifetime: Lifetime,
    pub(crate) expires: Second,
    pub(crate) link: Link,
}

/// A session whose second has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its time is over.
    Expired(SessionIndex),
    /// It was in use meanwhile, and stands in a later second now.
    InUse,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    key: SipKey,
    sessions: Slab<Session>,
    from_inside: IndexTable,
    from_outside: IndexTable,
    wheel: Wheel,
    /// How long they live, by [`Lifetime`].
    seconds: [u32; Lifetime::ALL.len()],
}

impl Sessions {
    pub(crate) fn new(key: SipKey, lifetimes: Lifetimes) -> Self {
        Self {
            key,
            sessions: Slab::new(),
            from_inside: IndexTable::sparse(BUCKETS_PER_SESSION),
            from_outside: IndexTable::sparse(BUCKETS_PER_SESSION),
            wheel: Wheel::new(),
            seconds: lifetimes.seconds(),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The session of an inside endpoint with a remote. `bib` is what this table's sessions refer to, here and below.
    #[inline(always)]
    pub(crate) fn find_from_inside(&self, bib: &Bib, inner: &Inner, remote: Remote) -> Option<SessionIndex> {
        let is_it = |place| self.is_from_inside(bib, SessionIndex(place), inner, remote);
        self.from_inside.find(hash_inside(self.key, inner, remote), is_it).map(SessionIndex)
    }

    /// The session of an outside endpoint with a remote.
    #[inline(always)]
    pub(crate) fn find_from_outside(&self, bib: &Bib, outer: Outer, remote: Remote) -> Option<SessionIndex> {
        let is_it = |place| self.is_from_outside(bib, SessionIndex(place), outer, remote);
        self.from_outside.find(hash_outside(self.key, outer, remote), is_it).map(SessionIndex)
    }

    /// The bucket a session is in, here and below.
    #[inline(always)]
    pub(crate) fn bucket_from_inside(&self, inner: &Inner, remote: Remote) -> Bucket {
        self.from_inside.bucket(hash_inside(self.key, inner, remote))
    }

    #[inline(always)]
    pub(crate) fn bucket_from_outside(&self, outer: Outer, remote: Remote) -> Bucket {
        self.from_outside.bucket(hash_outside(self.key, outer, remote))
    }

    /// The first session of a bucket, here and below.
    #[inline(always)]
    pub(crate) fn first_from_inside(&self, bucket: Bucket) -> SessionIndex {
        SessionIndex(self.from_inside.first(bucket))
    }

    #[inline(always)]
    pub(crate) fn first_from_outside(&self, bucket: Bucket) -> SessionIndex {
        SessionIndex(self.from_outside.first(bucket))
    }

    /// Reads something of the session at a place, if there is one, to have it near.
    #[inline(always)]
    pub(crate) fn ask(&self, index: SessionIndex) -> u32 {
        self.at(index).map_or(0, |session| session.bib.0)
    }

    /// The mapping of the session at a place, if there is one and it is one with this remote.
    #[inline(always)]
    pub(crate) fn mapping_at(&self, index: SessionIndex, remote: Remote) -> BibIndex {
        let is_with = |session: &&Session| session.remote == remote;
        self.at(index).filter(is_with).map_or(BibIndex::NOWHERE, |session| session.bib)
    }

    /// Where the search goes on behind a session, here and below.
    pub(crate) fn behind_from_inside(&self, index: SessionIndex) -> SessionIndex {
        SessionIndex(self.from_inside.behind(index.0))
    }

    pub(crate) fn behind_from_outside(&self, index: SessionIndex) -> SessionIndex {
        SessionIndex(self.from_outside.behind(index.0))
    }

    /// Whether there is a session at a place, of this inside endpoint and with this remote.
    #[inline(always)]
    pub(crate) fn is_from_inside(&self, bib: &Bib, index: SessionIndex, inner: &Inner, remote: Remote) -> bool {
        let is_it = |session: &Session| session.remote == remote && bib.entry(session.bib).inner == *inner;
        self.sessions.at(index.0).is_some_and(is_it)
    }

    /// The same for an outside endpoint.
    #[inline(always)]
    pub(crate) fn is_from_outside(&self, bib: &Bib, index: SessionIndex, outer: Outer, remote: Remote) -> bool {
        let is_it = |session: &Session| session.remote == remote && bib.entry(session.bib).outer == outer;
        self.sessions.at(index.0).is_some_and(is_it)
    }

    /// Adds a session. The mapping must not have one with this remote already.
    pub(crate) fn insert(
        &mut self,
        now: Tick,
        (bibs, bib): (&Bib, BibIndex),
        SpokenTo { remote, prefix }: SpokenTo,
        (tcp, lifetime): (TcpState, Lifetime),
    ) -> SessionIndex {
        if self.len() == 0 {
            self.wheel.rewind(now);
        }
        let expires = now.second().plus(self.seconds[lifetime as usize]);
        let session = Session { bib, remote, tcp, prefix, lifetime, expires, link: Link::NEW };
        let key = self.key;
        let index = self.sessions.insert(session);
        let sessions = &self.sessions;
        let at = |place| (bibs.entry(sessions[place].bib), sessions[place].remote);
        let inside_at = |place| hash_inside(key, &at(place).0.inner, at(place).1);
        let outside_at = |place| hash_outside(key, at(place).0.outer, at(place).1);
        self.from_inside.insert(inside_at(index), index, inside_at);
        self.from_outside.insert(outside_at(index), index, outside_at);
        self.wheel.link(&mut self.sessions, index);
        SessionIndex(index)
    }

    /// Gives a session a lifetime that starts now.
    #[inline(always)]
    pub(crate) fn touch(&mut self, now: Second, index: SessionIndex, lifetime: Lifetime) {
        let expires = now.plus(self.seconds[lifetime as usize]);
        let session = &mut self.sessions[index.0];
        let before = std::mem::replace(&mut session.expires, expires);
        session.lifetime = lifetime;
        if expires < before {
            self.relink(index.0);
        }
    }

    /// Puts a session where it belongs by now.
    #[cold]
    fn relink(&mut self, index: u32) {
        self.wheel.unlink(&mut self.sessions, index);
        self.wheel.link(&mut self.sessions, index);
    }

    pub(crate) fn remove(&mut self, bib: &Bib, index: SessionIndex) -> Session {
        self.wheel.unlink(&mut self.sessions, index.0);
        let session = self.sessions.remove(index.0);
        let mapping = bib.entry(session.bib);
        self.from_inside.remove(hash_inside(self.key, &mapping.inner, session.remote), index.0);
        self.from_outside.remove(hash_outside(self.key, mapping.outer, session.remote), index.0);
        session
    }

    #[inline(always)]
    pub(crate) fn session(&self, index: SessionIndex) -> &Session {
        &self.sessions[index.0]
    }

    #[inline(always)]
    pub(crate) fn session_mut(&mut self, index: SessionIndex) -> &mut Session {
        &mut self.sessions[index.0]
    }

    pub(crate) fn set_tcp(&mut self, index: SessionIndex, tcp: TcpState) {
        self.sessions[index.0].tcp = tcp;
    }

    pub(crate) fn set_prefix(&mut self, index: SessionIndex, prefix: PrefixIndex) {
        self.sessions[index.0].prefix = prefix;
    }

    /// Gives every session the lifetime it would have had.
    pub(crate) fn set_lifetimes(&mut self, lifetimes: Lifetimes) {
        let before = std::mem::replace(&mut self.seconds, lifetimes.seconds());
        if before == self.seconds {
            return;
        }
        for place in 0..self.sessions.extent() {
            if let Some(session) = self.sessions.at_mut(place) {
                let lifetime = session.lifetime as usize;
                session.expires = session.expires.with_lifetime(before[lifetime], self.seconds[lifetime]);
                self.relink(place);
            }
        }
    }

    /// Deals with one session whose second has come.
    pub(crate) fn poll_due(&mut self, now: Tick) -> Option<Due> {
        let index = if self.len() == 0 { None } else { self.wheel.due(now) }?;
        if self.sessions[index].expires.tick() <= now {
            return Some(Due::Expired(SessionIndex(index)));
        }
        self.relink(index);
        Some(Due::InUse)
    }

    /// When a session is to be looked at: when the next one expires, or would if it were not in use.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        (self.len() > 0).then(|| self.wheel.next())
    }

    /// Every place a session may stand at, for a walk that removes some.
    pub(crate) fn places(&self) -> impl Iterator<Item = SessionIndex> + use<> {
        (0..self.sessions.extent()).map(SessionIndex)
    }

    /// The session at a place, if there is one.
    #[inline]
    pub(crate) fn at(&self, index: SessionIndex) -> Option<&Session> {
        self.sessions.at(index.0)
    }
}

#[inline(always)]
fn hash_inside(key: SipKey, inner: &Inner, remote: Remote) -> u64 {
    let (address, ports) = (inner.address.to_bits(), u64::from(inner.port) << 16 | u64::from(remote.port));
    key.hash([(address >> 64) as u64, address as u64, ports << 32 | u64::from(remote.address.to_bits())])
}

#[inline(always)]
fn hash_outside(key: SipKey, outer: Outer, remote: Remote) -> u64 {
    let addresses = u64::from(outer.address.to_bits()) << 32 | u64::from(remote.address.to_bits());
    key.hash([addresses, u64::from(outer.port) << 16 | u64::from(remote.port)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const UDP_DEFAULT: Duration = Duration::from_secs(300);
    const TCP_TRANS: Duration = Duration::from_secs(240);
    const INNER: Inner = Inner { address: std::net::Ipv6Addr::LOCALHOST, port: 1 };
    const OUTER: Outer = Outer { address: std::net::Ipv4Addr::LOCALHOST, port: 2 };

    /// Sessions of one mapping.
    struct Table {
        sessions: Sessions,
        bibs: Bib,
        bib: BibIndex,
    }

    fn table() -> Table {
        let key = SipKey::from_seed(&[1; 32], 1);
        let mut bibs = Bib::new(key);
        let bib = bibs.insert(INNER, OUTER, crate::peers::PeerIndex(0));
        Table { sessions: Sessions::new(key, Lifetimes::default()), bibs, bib }
    }

    fn remote(port: u16) -> Remote {
        Remote { address: "192.0.2.1".parse().unwrap(), port }
    }

    fn at(secs: u64) -> Tick {
        Tick::default().after(Duration::from_secs(secs))
    }

    impl Table {
        fn insert(&mut self, now: Tick, port: u16, kind: (TcpState, Lifetime)) -> SessionIndex {
            let to = SpokenTo { remote: remote(port), prefix: PrefixIndex::FIRST };
            self.sessions.insert(now, (&self.bibs, self.bib), to, kind)
        }

        fn udp(&mut self, now: Tick, port: u16) -> SessionIndex {
            self.insert(now, port, (TcpState::Closed, Lifetime::UdpDefault))
        }

        fn remove(&mut self, index: SessionIndex) {
            self.sessions.remove(&self.bibs, index);
        }

        /// The next session that expires.
        fn expired(&mut self, now: Tick) -> Option<SessionIndex> {
            std::iter::from_fn(|| self.sessions.poll_due(now)).find_map(|due| match due {
                Due::Expired(session) => Some(session),
                Due::InUse => None,
            })
        }

        #[track_caller]
        fn find(&self, port: u16) -> Option<SessionIndex> {
            let found = self.sessions.find_from_inside(&self.bibs, &INNER, remote(port));
            assert_eq!(self.sessions.find_from_outside(&self.bibs, OUTER, remote(port)), found);
            found
        }
    }

    #[test]
    fn a_session_takes_no_more_than_its_share_of_the_budget() {
        // 128 bytes for a BIB entry with its session, their indexes included: four links, and as many bytes a bucket.
        assert!(
            size_of::<Session>() + size_of::<crate::bib::BibEntry>()
                <= 128 - 4 * 4 - 2 * 4 * (1 + BUCKETS_PER_SESSION as usize)
        );
        // A place that is free takes no more than one that is not, and no row lies in two cache lines.
        assert_eq!((Slab::<Session>::ROW_BYTES, Slab::<crate::bib::BibEntry>::ROW_BYTES), (32, 32));
    }

    #[test]
    fn a_touched_session_outlives_one_that_was_not() {
        let mut table = table();
        let (one, two) = (table.udp(at(0), 1), table.udp(at(1), 2));
        table.sessions.touch(at(2).second(), one, Lifetime::UdpDefault);

        assert_eq!(table.expired(at(0).after(UDP_DEFAULT)), None);
        assert_eq!(table.sessions.next_due(), Some(at(1).after(UDP_DEFAULT)));
        assert_eq!(table.expired(at(1).after(UDP_DEFAULT)), Some(two));
        table.remove(two);
        assert_eq!(table.expired(at(1).after(UDP_DEFAULT)), None);
        assert_eq!(table.expired(at(2).after(UDP_DEFAULT)), Some(one));
    }

    #[test]
    fn a_shorter_lifetime_expires_first_whatever_the_order() {
        let mut table = table();
        table.udp(at(0), 1);
        let short = table.insert(at(1), 2, (TcpState::Trans, Lifetime::TcpClosing));

        assert_eq!(table.sessions.next_due(), Some(at(1).after(TCP_TRANS)));
        assert_eq!(table.expired(at(1).after(TCP_TRANS)), Some(short));
    }

    #[test]
    fn removing_from_the_middle_loses_no_other() {
        let mut table = table();
        let all: Vec<_> = (1..=3).map(|port| table.udp(at(1), port)).collect();
        table.remove(all[1]);
        table.remove(all[0]);

        assert_eq!(table.expired(at(9999)), Some(all[2]));
        assert_eq!((table.find(2), table.find(3)), (None, Some(all[2])));
        table.remove(all[2]);
        assert_eq!((table.sessions.next_due(), table.sessions.len()), (None, 0));
    }

    #[test]
    fn another_lifetime_holds_from_the_last_packet_on() {
        let mut table = table();
        let (one, two) = (table.udp(at(0), 1), table.udp(at(1), 2));
        table.sessions.set_lifetimes(Lifetimes { udp: Duration::from_secs(120), ..Lifetimes::default() });

        assert_eq!(
            (table.sessions.session(one).expires.tick(), table.sessions.session(two).expires.tick()),
            (at(120), at(121))
        );
        table.sessions.touch(at(100).second(), one, Lifetime::UdpDefault);
        assert_eq!((table.expired(at(120)), table.sessions.next_due()), (None, Some(at(121))));
    }

    #[test]
    fn a_session_is_looked_at_once_in_a_lifetime_however_many_packets_it_has() {
        let mut table = table();
        let one = table.udp(at(0), 1);
        (1..300).for_each(|secs| table.sessions.touch(at(secs).second(), one, Lifetime::UdpDefault));

        let looks: Vec<_> = (0..600).filter_map(|secs| table.sessions.poll_due(at(secs))).collect();

        assert_eq!(looks, [Due::InUse, Due::Expired(one)]);
    }
}
