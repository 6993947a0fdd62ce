//! SYNs to pool4 that nobody inside waits for (RFC 6146 §3.5.2.2, RFC 5382 REQ-4), from outside or, by hairpinning, from
//! inside.
//!
//! Both ends of a connection may open it at once. So the SYN is neither answered nor forgotten for TCP_INCOMING_SYN: if
//! the inside sends its own meanwhile, the two are one connection; if not, its sender hears that the port is
//! unreachable. The store is bounded: what finds it full is dropped silently, as security policy may ask for anyway.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Side;
use crate::timers::Tick;
use crate::tuple::{Outer, Remote};

/// SYNs held at once: simultaneous opens are rare, port scans are not.
const MOST: usize = 256;
/// What an ICMP error quotes at most: 576 bytes (RFC 1812 §4.3.2.3) without its two headers.
const LONGEST_QUOTE: usize = 576 - 28;

#[derive(Debug)]
pub(crate) struct HeldSyns {
    lifetime: Duration,
    /// In the order they came, which is the order they expire in.
    syns: VecDeque<HeldSyn>,
}

#[derive(Debug)]
struct HeldSyn {
    outer: Outer,
    remote: Remote,
    since: Tick,
    /// Where it came from, as it came.
    packet: (Side, Box<[u8]>),
}

impl HeldSyns {
    pub(crate) const fn new(lifetime: Duration) -> Self {
        Self { lifetime, syns: VecDeque::new() }
    }

    /// Keeps a SYN, or says that there is no room. One that is held already keeps its clock: its sender retransmits.
    pub(crate) fn hold(&mut self, now: Tick, outer: Outer, remote: Remote, (side, packet): (Side, &[u8])) -> bool {
        if self.find(remote, Some(outer)).is_some() {
            return true;
        }
        let has_room = self.syns.len() < MOST;
        if has_room {
            let packet = packet[..packet.len().min(LONGEST_QUOTE)].into();
            self.syns.push_back(HeldSyn { outer, remote, since: now, packet: (side, packet) });
        }
        has_room
    }

    /// The outside endpoint that `remote` wants to open a connection with; only `outer` if that is given.
    pub(crate) fn find(&self, remote: Remote, outer: Option<Outer>) -> Option<Outer> {
        let is_meant = |syn: &&HeldSyn| syn.remote == remote && outer.is_none_or(|outer| syn.outer == outer);
        self.syns.iter().find(is_meant).map(|syn| syn.outer)
    }

    /// RFC 5382 REQ-4: the inside has spoken, so the SYN is dropped silently.
    pub(crate) fn forget(&mut self, outer: Outer, remote: Remote) {
        self.syns.retain(|syn| syn.outer != outer || syn.remote != remote);
    }

    /// Keeps what `keep` wants, and gives all another lifetime.
    pub(crate) fn reconfigure(&mut self, lifetime: Duration, keep: impl Fn(Outer) -> bool) {
        self.lifetime = lifetime;
        self.syns.retain(|syn| keep(syn.outer));
    }

    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.syns.front().map(|syn| syn.since.after(self.lifetime))
    }

    /// A SYN whose time has come, to be answered.
    pub(crate) fn expire(&mut self, now: Tick) -> Option<(Side, Box<[u8]>)> {
        self.next_expiry().filter(|due| *due <= now)?;
        self.syns.pop_front().map(|syn| syn.packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: Outer = Outer { address: std::net::Ipv4Addr::new(192, 0, 2, 1), port: 5000 };
    const SIX_SECONDS: Duration = Duration::from_secs(6);

    fn remote(port: u16) -> Remote {
        Remote { address: std::net::Ipv4Addr::new(9, 9, 9, 9), port }
    }

    #[test]
    fn a_syn_is_answered_six_seconds_after_it_first_came() {
        let mut held = HeldSyns::new(SIX_SECONDS);
        let start = Tick::default();
        assert!(held.hold(start, OUTER, remote(1), (Side::Outside, b"syn")));
        assert!(held.hold(start.after(Duration::from_secs(3)), OUTER, remote(1), (Side::Outside, b"again")));

        assert_eq!(held.expire(start.after(Duration::from_secs(5))), None);
        assert_eq!(held.expire(start.after(SIX_SECONDS)), Some((Side::Outside, b"syn"[..].into())));
        assert_eq!(held.next_expiry(), None);
    }

    #[test]
    fn the_store_is_bounded_in_number_and_size() {
        let mut held = HeldSyns::new(SIX_SECONDS);
        let syn = |port| (OUTER, remote(port), (Side::Inside, &[0; 1500][..]));
        let all = (0..1000)
            .map(syn)
            .filter(|(outer, remote, packet)| held.hold(Tick::default(), *outer, *remote, *packet))
            .count();

        assert_eq!(all, MOST);
        assert_eq!(held.expire(Tick::default().after(SIX_SECONDS)).unwrap().1.len(), LONGEST_QUOTE);
    }

    #[test]
    fn only_the_connection_that_is_meant_is_found_and_forgotten() {
        let mut held = HeldSyns::new(SIX_SECONDS);
        held.hold(Tick::default(), OUTER, remote(1), (Side::Outside, b"one"));
        held.hold(Tick::default(), OUTER, remote(2), (Side::Outside, b"two"));

        assert_eq!((held.find(remote(1), None), held.find(remote(3), None)), (Some(OUTER), None));
        assert_eq!(held.find(remote(1), Some(Outer { port: 1, ..OUTER })), None);
        held.forget(OUTER, remote(1));
        assert_eq!((held.find(remote(1), None), held.find(remote(2), Some(OUTER))), (None, Some(OUTER)));
    }
}
