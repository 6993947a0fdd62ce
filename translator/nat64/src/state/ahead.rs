//! Sessions looked up before their packets are handled.
//!
//! Where the tables are larger than the caches, a packet waits for main memory at every step of its search: bucket,
//! session, mapping. The searches of packets that come together go side by side, so that their waits do, and leave
//! hints: when a packet's turn comes, all of it is near.

use super::{State, Tables};
use crate::bib::Bib;
use crate::hints::{Hint, Hints};
use crate::session::{SessionIndex, Sessions};
use crate::tuple::{Inner, Outer, Protocol, Remote};

/// Searches that go side by side: more than a processor waits for at once.
const ABREAST: usize = 32;
/// Sessions of a bucket that are looked at; almost none has more.
const STEPS: usize = 4;

/// So many sessions of a protocol are 3 MiB with their mappings and indexes: below that, looking ahead costs more than it
/// brings where caches are large and idle.
const FEW: usize = 1 << 15;

/// The end of a session that is ours, as one of its sides knows it.
pub(crate) trait End: Copy {
    fn port(&self) -> u16;
    fn hints(tables: &mut Tables) -> &mut Hints;
    fn first(&self, sessions: &Sessions, remote: Remote) -> SessionIndex;
    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex;
    fn is_at(&self, sessions: &Sessions, bib: &Bib, index: SessionIndex, remote: Remote) -> bool;
}

/// A search that goes on.
#[derive(Clone, Copy, Debug)]
struct Search<E> {
    protocol: Protocol,
    end: E,
    remote: Remote,
    /// The session to look at next.
    at: SessionIndex,
}

impl State {
    /// Whether the tables of a protocol are so large that they are not in a near cache by themselves.
    pub(crate) fn is_worth_looking_ahead(&self) -> bool {
        self.tables.iter().any(|tables| tables.sessions.len() > FEW)
    }

    /// Leaves hints for packets that are about to come.
    pub(crate) fn look_ahead<E: End>(&mut self, mut packets: impl Iterator<Item = (Protocol, E, Remote)>) {
        loop {
            let mut searches = [const { None }; ABREAST];
            let mut open = 0;
            for (place, (protocol, end, remote)) in searches.iter_mut().zip(&mut packets) {
                let at = end.first(&self.tables[protocol as usize].sessions, remote);
                *place = Some(Search { protocol, end, remote, at });
                open += 1;
            }
            if open == 0 {
                return;
            }
            for _ in 0..STEPS {
                open = self.step(&mut searches[..open]);
            }
        }
    }

    /// Takes every search to its next session; how many go on from there is what comes back, and those stand first.
    fn step<E: End>(&mut self, searches: &mut [Option<Search<E>>]) -> usize {
        // Only to have them all asked for before the first one is waited for.
        for Search { protocol, at, .. } in searches.iter().flatten() {
            std::hint::black_box(self.tables[*protocol as usize].sessions.at(*at).is_some());
        }
        let mut open = 0;
        for index in 0..searches.len() {
            let Some(search) = &searches[index] else { continue };
            if let Some(at) = self.look(search) {
                searches[open] = Some(Search { at, ..*search });
                open += 1;
            }
        }
        open
    }

    /// Where a search goes on, unless it ends here.
    #[inline]
    fn look<E: End>(&mut self, search: &Search<E>) -> Option<SessionIndex> {
        let tables = &mut self.tables[search.protocol as usize];
        if search.end.is_at(&tables.sessions, &tables.bib, search.at, search.remote) {
            E::hints(tables).set(Hint::of(search.end.port(), search.remote), search.at);
            return None;
        }
        tables.sessions.at(search.at).map(|_| E::behind(&tables.sessions, search.at))
    }
}

impl End for Inner {
    fn port(&self) -> u16 {
        self.port
    }

    fn hints(tables: &mut Tables) -> &mut Hints {
        &mut tables.outgoing
    }

    fn first(&self, sessions: &Sessions, remote: Remote) -> SessionIndex {
        sessions.first_from_inside(self, remote)
    }

    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex {
        sessions.behind_from_inside(index)
    }

    fn is_at(&self, sessions: &Sessions, bib: &Bib, index: SessionIndex, remote: Remote) -> bool {
        sessions.is_from_inside(bib, index, self, remote)
    }
}

impl End for Outer {
    fn port(&self) -> u16 {
        self.port
    }

    fn hints(tables: &mut Tables) -> &mut Hints {
        &mut tables.incoming
    }

    fn first(&self, sessions: &Sessions, remote: Remote) -> SessionIndex {
        sessions.first_from_outside(*self, remote)
    }

    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex {
        sessions.behind_from_outside(index)
    }

    fn is_at(&self, sessions: &Sessions, bib: &Bib, index: SessionIndex, remote: Remote) -> bool {
        sessions.is_from_outside(bib, index, *self, remote)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::tcp::TcpState;
    use crate::timers::{Lifetime, Tick};
    use crate::tuple::SpokenTo;
    use crate::{Config, Limits, Pool4};

    const PROTOCOL: Protocol = Protocol::Udp;

    fn inner(number: u16) -> Inner {
        Inner { address: Ipv6Addr::new(0x2001, 0xdb8, 0, number % 8, 0, 0, 0, 1), port: number }
    }

    fn remote(number: u16) -> Remote {
        Remote { address: Ipv4Addr::new(9, 9, 9, 9), port: number.wrapping_mul(31) }
    }

    /// A state with so many sessions, and their outside endpoints.
    fn state(sessions: u16) -> (State, Vec<Outer>) {
        let pool4 = vec![Pool4::new(Ipv4Addr::new(192, 0, 2, 1), 1..=65535)];
        let limits = Limits { new_flows_at_once: u32::MAX, bib_entries_per_peer: u32::MAX, ..Limits::default() };
        let mut state = State::new(&Config { pool4, limits, ..Config::default() }, &[1; 32]);
        let mut open = |number| {
            let to = SpokenTo::first(remote(number));
            let fresh = (TcpState::Closed, Lifetime::UdpDefault);
            state.open(Tick::default(), PROTOCOL, (inner(number), to), None, fresh).unwrap()
        };
        let outers = (0..sessions).map(&mut open).collect();
        (state, outers)
    }

    #[test]
    fn packets_of_a_batch_find_hints_to_their_sessions() {
        let (mut state, outers) = state(10_000);
        let chosen = || (0..100).map(|index| index * 97);

        state.look_ahead(chosen().map(|number| (PROTOCOL, inner(number), remote(number))));
        state.look_ahead(chosen().map(|number| (PROTOCOL, outers[usize::from(number)], remote(number))));

        let Tables { bib, sessions, outgoing, incoming, .. } = &state.tables[PROTOCOL as usize];
        let is_inside = |number| {
            let (inner, remote) = (inner(number), remote(number));
            sessions.is_from_inside(bib, outgoing.get(Hint::of(inner.port, remote)), &inner, remote)
        };
        let is_outside = |number| {
            let (outer, remote) = (outers[usize::from(number)], remote(number));
            sessions.is_from_outside(bib, incoming.get(Hint::of(outer.port, remote)), outer, remote)
        };
        // Two of a hundred may share a place, and have one hint.
        assert!(chosen().filter(|number| is_inside(*number)).count() >= 97);
        assert!(chosen().filter(|number| is_outside(*number)).count() >= 97);
    }

    #[test]
    fn what_has_no_session_leaves_no_hint() {
        let (mut state, _) = state(9_000);

        state.look_ahead((9_000..9_100).map(|number| (PROTOCOL, inner(number), remote(number))));

        let hints = &state.tables[PROTOCOL as usize].outgoing;
        let of = |number: u16| hints.get(Hint::of(inner(number).port, remote(number)));
        assert!((9_000..9_100).all(|number| of(number) == SessionIndex::NOWHERE));
    }

    #[test]
    fn few_sessions_are_not_worth_it() {
        assert!(!state(FEW as u16).0.is_worth_looking_ahead());
        assert!(state(FEW as u16 + 1).0.is_worth_looking_ahead());
    }
}
