//! Sessions looked up before their packets are handled.
//!
//! Where the tables are larger than the caches, a packet waits for main memory at every step of its search: bucket,
//! session, mapping. The searches of packets that come together go side by side, so that their waits do, and leave
//! hints: when a packet's turn comes, all of it is near.

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{State, Tables};
use crate::bib::{BibEntry, BibIndex};
use crate::hints::{Hint, Hints};
use crate::index_table::Bucket;
use crate::session::{SessionIndex, Sessions};
use crate::tuple::{Inner, Outer, Protocol, Remote};

/// Searches that go side by side: more than a processor waits for at once.
const ABREAST: usize = 32;
/// Sessions of a bucket that are looked at: for the few packets that are left, the others would wait two loads longer.
const STEPS: usize = 2;

/// So many sessions of a protocol are 1 MiB with their mappings and indexes, and as many as there are hints: below that,
/// looking ahead costs more than it brings.
const FEW: usize = 1 << 13;

/// The end of a session that is ours, as one of its sides knows it.
pub(crate) trait End: Copy {
    const NOBODY: Self;

    fn port(&self) -> u16;
    fn hints(tables: &mut Tables) -> &mut Hints;
    fn bucket(&self, sessions: &Sessions, remote: Remote) -> Bucket;
    fn first(sessions: &Sessions, bucket: Bucket) -> SessionIndex;
    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex;
    fn is_of(&self, mapping: &BibEntry) -> bool;
}

/// A search that goes on.
#[derive(Clone, Copy, Debug)]
struct Search<E> {
    end: E,
    remote: Remote,
    /// Where it begins.
    bucket: Bucket,
    /// The session to look at.
    at: SessionIndex,
    /// The mapping of that session, if it is one with the remote.
    mapping: BibIndex,
}

/// The searches of one protocol.
struct Abreast<E> {
    searches: [Search<E>; ABREAST],
    open: usize,
}

impl<E: End> Abreast<E> {
    const NONE: Search<E> = Search {
        end: E::NOBODY,
        remote: Remote { address: Ipv4Addr::UNSPECIFIED, port: 0 },
        bucket: Bucket::FIRST,
        at: SessionIndex::NOWHERE,
        mapping: BibIndex::NOWHERE,
    };

    const fn new() -> Self {
        Self { searches: [Self::NONE; ABREAST], open: 0 }
    }

    #[inline(always)]
    fn begin(&mut self, end: E, remote: Remote, sessions: &Sessions) {
        let bucket = end.bucket(sessions, remote);
        let search = &mut self.searches[self.open % ABREAST];
        (search.end, search.remote, search.bucket) = (end, remote, bucket);
        self.open += 1;
    }

    fn open(&mut self) -> &mut [Search<E>] {
        &mut self.searches[..self.open.min(ABREAST)]
    }
}

impl State {
    /// Whether the tables of a protocol are so large that they are not in a near cache by themselves.
    pub(crate) fn is_worth_looking_ahead(&self) -> bool {
        self.tables.iter().any(|tables| tables.sessions.len() > FEW)
    }

    /// Leaves hints for packets that are about to come, where they can be read.
    #[inline(always)]
    pub(crate) fn look_ahead<P, E: End>(
        &mut self,
        mut packets: impl Iterator<Item = P>,
        read: impl Fn(P) -> Option<(Protocol, E, Remote)>,
    ) {
        let [tcp_tables, udp_tables, _] = &mut self.tables;
        let [mut tcp, mut udp] = [Abreast::<E>::new(), Abreast::new()];
        let mut is_last = false;
        while !is_last {
            (tcp.open, udp.open) = (0, 0);
            for _ in 0..ABREAST {
                let Some(packet) = packets.next() else {
                    is_last = true;
                    break;
                };
                match read(packet) {
                    Some((Protocol::Tcp, end, remote)) => tcp.begin(end, remote, &tcp_tables.sessions),
                    Some((Protocol::Udp, end, remote)) => udp.begin(end, remote, &udp_tables.sessions),
                    Some((Protocol::Icmp, ..)) | None => {}
                }
            }
            tcp_tables.search(tcp.open());
            udp_tables.search(udp.open());
        }
    }
}

impl Tables {
    /// Goes from one end of the searches to the other for each thing that is to be read, in loops so short that all of
    /// it has been asked for when the first is there. None of those depends on what it reads.
    #[inline(never)]
    fn search<E: End>(&mut self, mut searches: &mut [Search<E>]) {
        for search in &mut *searches {
            search.at = E::first(&self.sessions, search.bucket);
        }
        for _ in 0..STEPS {
            black_box(searches.iter().fold(0, |sum, search| sum ^ self.sessions.ask(search.at)));
            for search in &mut *searches {
                search.mapping = self.sessions.mapping_at(search.at, search.remote);
            }
            black_box(searches.iter().fold(0, |sum, search| sum ^ self.ask_next(search)));
            let open = self.compare(searches);
            if open == 0 {
                return;
            }
            searches = &mut searches[..open];
            for search in &mut *searches {
                search.at = E::behind(&self.sessions, search.at);
            }
        }
    }

    /// Reads something of what a search will look at behind its session.
    #[inline(always)]
    fn ask_next<E: End>(&self, search: &Search<E>) -> u32 {
        match search.mapping {
            BibIndex::NOWHERE => E::behind(&self.sessions, search.at).0,
            mapping => self.bib.ask(mapping),
        }
    }

    /// Leaves hints to what has been found; how many searches go on is what comes back, and those stand first.
    #[inline(always)]
    fn compare<E: End>(&mut self, searches: &mut [Search<E>]) -> usize {
        let mut open = 0;
        for index in 0..searches.len() {
            let search = &searches[index];
            if self.bib.at(search.mapping).is_some_and(|mapping| search.end.is_of(mapping)) {
                E::hints(self).set(Hint::of(search.end.port(), search.remote), search.at);
            } else if search.at != SessionIndex::NOWHERE {
                searches[open] = *search;
                open += 1;
            }
        }
        open
    }
}

impl End for Inner {
    const NOBODY: Self = Self { address: Ipv6Addr::UNSPECIFIED, port: 0 };

    fn port(&self) -> u16 {
        self.port
    }

    fn hints(tables: &mut Tables) -> &mut Hints {
        &mut tables.outgoing
    }

    #[inline(always)]
    fn bucket(&self, sessions: &Sessions, remote: Remote) -> Bucket {
        sessions.bucket_from_inside(self, remote)
    }

    fn first(sessions: &Sessions, bucket: Bucket) -> SessionIndex {
        sessions.first_from_inside(bucket)
    }

    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex {
        sessions.behind_from_inside(index)
    }

    fn is_of(&self, mapping: &BibEntry) -> bool {
        mapping.inner == *self
    }
}

impl End for Outer {
    const NOBODY: Self = Self { address: Ipv4Addr::UNSPECIFIED, port: 0 };

    fn port(&self) -> u16 {
        self.port
    }

    fn hints(tables: &mut Tables) -> &mut Hints {
        &mut tables.incoming
    }

    #[inline(always)]
    fn bucket(&self, sessions: &Sessions, remote: Remote) -> Bucket {
        sessions.bucket_from_outside(*self, remote)
    }

    fn first(sessions: &Sessions, bucket: Bucket) -> SessionIndex {
        sessions.first_from_outside(bucket)
    }

    fn behind(sessions: &Sessions, index: SessionIndex) -> SessionIndex {
        sessions.behind_from_outside(index)
    }

    fn is_of(&self, mapping: &BibEntry) -> bool {
        mapping.outer == *self
    }
}

#[cfg(test)]
mod tests {
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

        state.look_ahead(chosen(), |number| Some((PROTOCOL, inner(number), remote(number))));
        state.look_ahead(chosen(), |number| Some((PROTOCOL, outers[usize::from(number)], remote(number))));

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

        state.look_ahead(9_000..9_100, |number| Some((PROTOCOL, inner(number), remote(number))));

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
