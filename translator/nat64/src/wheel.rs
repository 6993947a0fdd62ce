//! When sessions are looked at: a wheel of seconds (Varghese and Lauck, 1987).
//!
//! A packet keeps its session alive by writing a later time into it, and touches no other: the session stays in the second
//! it stands in, is looked at when that has come, and then put where it belongs by now. So every session is looked at
//! once in a lifetime, however many packets it has.
//!
//! Invariant: sessions stand in the `SECONDS` from `base` on, and none in a later second than it expires in.

use crate::session::Session;
use crate::slab::Slab;
use crate::timers::{Second, Tick};

/// One more than TCP_EST, rounded up: whatever lives longer is looked at more often.
const SECONDS: usize = 8192;

/// The end of a chain.
pub(crate) const NONE: u32 = u32::MAX;

/// Where a session stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    before: u32,
    behind: u32,
    second: u16,
}

impl Link {
    /// Nowhere yet.
    pub(crate) const NEW: Self = Self { before: NONE, behind: NONE, second: 0 };
}

#[derive(Debug)]
pub(crate) struct Wheel {
    /// The first session of each second.
    heads: Box<[u32; SECONDS]>,
    base: u32,
    /// No session stands before it.
    front: u32,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { heads: Box::new([NONE; SECONDS]), base: 0, front: u32::MAX }
    }

    /// Nobody stands anywhere, so what comes may stand anywhere from now on.
    pub(crate) const fn rewind(&mut self, now: Tick) {
        (self.base, self.front) = (now.whole_seconds(), u32::MAX);
    }

    /// Puts a session into the second it expires in, or as near to that as may be.
    pub(crate) fn link(&mut self, sessions: &mut Slab<Session>, index: u32) {
        let latest = self.base.saturating_add(SECONDS as u32 - 1);
        let second = sessions[index].expires.number().clamp(self.base, latest);
        let behind = std::mem::replace(&mut self.heads[second as usize % SECONDS], index);
        if behind != NONE {
            sessions[behind].link.before = index;
        }
        sessions[index].link = Link { before: NONE, behind, second: (second as usize % SECONDS) as u16 };
        self.front = self.front.min(second);
    }

    pub(crate) fn unlink(&mut self, sessions: &mut Slab<Session>, index: u32) {
        let Link { before, behind, second } = sessions[index].link;
        match before {
            NONE => self.heads[usize::from(second) % SECONDS] = behind,
            _ => sessions[before].link.behind = behind,
        }
        if behind != NONE {
            sessions[behind].link.before = before;
        }
    }

    /// A session whose second has come. There must be one in the wheel.
    pub(crate) fn due(&mut self, now: Tick) -> Option<u32> {
        let now = now.whole_seconds();
        let end = self.base.saturating_add(SECONDS as u32);
        while self.front < end && self.head(self.front) == NONE {
            self.front += 1;
        }
        self.base = self.front.min(now);
        let head = self.head(self.front);
        (self.front <= now && head != NONE).then_some(head)
    }

    /// When a session is to be looked at, if there is one.
    pub(crate) const fn next(&self) -> Tick {
        Second::of(self.front).tick()
    }

    const fn head(&self, second: u32) -> u32 {
        self.heads[second as usize % SECONDS]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use super::*;
    use crate::bib::Bib;
    use crate::hash::SipKey;
    use crate::peers::PeerIndex;
    use crate::prefixes::PrefixIndex;
    use crate::session::{Due, SessionIndex, Sessions};
    use crate::tcp::TcpState;
    use crate::timers::{Lifetime, Lifetimes};
    use crate::tuple::{Inner, Outer, Remote, SpokenTo};

    /// Sessions, when they expire, and what they live by.
    type Living = Vec<(SessionIndex, u64, Lifetime)>;

    fn lifetimes(long: u64) -> Lifetimes {
        Lifetimes { udp: Duration::from_secs(120), tcp_established: Duration::from_secs(long), ..Lifetimes::default() }
    }

    fn at(secs: u64) -> Tick {
        Tick::default().after(Duration::from_secs(secs))
    }

    fn poll_all(sessions: &mut Sessions, bib: &Bib, now: u64, living: &mut Living) {
        let mut expired = Vec::new();
        while let Some(due) = sessions.poll_due(at(now)) {
            if let Due::Expired(session) = due {
                sessions.remove(bib, session);
                expired.push(session);
            }
        }
        let (mut expected, left): (Living, Living) = living.iter().partition(|(_, expires, _)| *expires <= now);
        expected.retain(|(session, ..)| !expired.contains(session));
        assert_eq!((expected, living.len() - left.len()), (vec![], expired.len()), "at {now}");
        *living = left;
        let first = living.iter().map(|(_, expires, _)| at(*expires)).min();
        assert!(sessions.next_due() <= first && sessions.next_due().is_some() == first.is_some());
        assert!(sessions.next_due().is_none_or(|due| due > at(now)), "what is due has been dealt with");
    }

    proptest! {
        /// Whatever happens meanwhile, however long lifetimes are, and however seldom anybody looks.
        #[test]
        fn every_session_expires_in_its_second(
            long in 7440u64..100_000,
            steps in proptest::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u64..2_000), 1..80),
        ) {
            let key = SipKey::from_seed(&[1; 32], 1);
            let (mut bib, mut sessions) = (Bib::new(key), Sessions::new(key, lifetimes(long)));
            let inner = Inner { address: Ipv6Addr::LOCALHOST, port: 1 };
            let mapping = bib.insert(inner, Outer { address: Ipv4Addr::LOCALHOST, port: 2 }, PeerIndex(0));
            let (mut now, mut living, mut long) = (0, Living::new(), long);
            for (port, (step, which, secs)) in (1..).zip(steps) {
                let (lifetime, lives) = if secs % 2 == 0 { (Lifetime::UdpDefault, 120) } else { (Lifetime::TcpEst, long) };
                let chosen = (!living.is_empty()).then(|| which.index(living.len()));
                match (step, chosen) {
                    (0 | 1, _) | (_, None) => {
                        let to = SpokenTo { remote: Remote { address: Ipv4Addr::LOCALHOST, port }, prefix: PrefixIndex::FIRST };
                        let session = sessions.insert(at(now), (&bib, mapping), to, (TcpState::Closed, lifetime));
                        living.push((session, now + lives, lifetime));
                    }
                    (2, Some(chosen)) => {
                        sessions.touch(at(now).second(), living[chosen].0, lifetime);
                        (living[chosen].1, living[chosen].2) = (now + lives, lifetime);
                    }
                    (3, Some(chosen)) => drop(sessions.remove(&bib, living.swap_remove(chosen).0)),
                    (_, Some(_)) => {
                        now += secs * u64::from(port % 7);
                        poll_all(&mut sessions, &bib, now, &mut living);
                        let before = std::mem::replace(&mut long, 7440 + secs * 10);
                        sessions.set_lifetimes(lifetimes(long));
                        for (_, expires, _) in living.iter_mut().filter(|(.., lifetime)| *lifetime == Lifetime::TcpEst) {
                            *expires = *expires - before + long;
                        }
                    }
                }
            }
            poll_all(&mut sessions, &bib, now + 200_000, &mut living);
            prop_assert_eq!(living, vec![]);
        }
    }
}
