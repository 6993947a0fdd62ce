//! The log of mappings (RFC 6888 REQ-12): who had which outside endpoint, for whoever must be able to tell.
//!
//! Off by default, as RFC 6888 §4 asks for as little as possible to be known; bounded, and honest about what it lost.

use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};

use crate::Protocol;
use crate::config::EventLog;
use crate::tuple::{Inner, Outer, Remote};

/// What happened to the BIB. The caller knows the time of day, and who the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A BIB entry was made.
    Created(Binding),
    /// A BIB entry is gone.
    Ended(Binding),
    /// A datagram from outside without checksum was dropped (RFC 7915 §4.5).
    WithoutChecksum {
        /// Where it came from.
        source: SocketAddrV4,
        /// Where it was to go to.
        destination: SocketAddrV4,
    },
    /// Nobody collected events: so many are missing here.
    Lost {
        /// How many.
        count: u64,
    },
}

/// The two endpoints of a BIB entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Whose BIB.
    pub protocol: Protocol,
    /// The inside endpoint; for ICMP the port is the identifier.
    pub inner: SocketAddr,
    /// The outside endpoint.
    pub outer: SocketAddrV4,
}

/// Events that wait at once: as many as a portion of expiry makes, several times over.
const LONGEST_QUEUE: usize = 4096;

#[derive(Debug)]
pub(crate) struct Events {
    log: EventLog,
    queue: VecDeque<Event>,
    lost: u64,
}

impl Events {
    pub(crate) const fn new(log: EventLog) -> Self {
        Self { log, queue: VecDeque::new(), lost: 0 }
    }

    pub(crate) const fn set_log(&mut self, log: EventLog) {
        self.log = log;
    }

    pub(crate) fn created(&mut self, protocol: Protocol, inner: Inner, outer: Outer) {
        self.push(Event::Created(binding(protocol, inner, outer)));
    }

    pub(crate) fn ended(&mut self, protocol: Protocol, inner: Inner, outer: Outer) {
        self.push(Event::Ended(binding(protocol, inner, outer)));
    }

    pub(crate) fn without_checksum(&mut self, remote: Remote, outer: Outer) {
        let source = SocketAddrV4::new(remote.address, remote.port);
        self.push(Event::WithoutChecksum { source, destination: outer.into() });
    }

    fn push(&mut self, event: Event) {
        if self.log == EventLog::Off {
            return;
        }
        // Until all is collected nothing follows a gap, so that it shows where it is.
        if self.lost > 0 || self.queue.len() >= LONGEST_QUEUE {
            self.lost += 1;
            return;
        }
        self.queue.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        match self.queue.pop_front() {
            Some(event) => Some(event),
            None if self.lost > 0 => Some(Event::Lost { count: std::mem::take(&mut self.lost) }),
            None => None,
        }
    }
}

fn binding(protocol: Protocol, inner: Inner, outer: Outer) -> Binding {
    Binding { protocol, inner: inner.into(), outer: outer.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: Inner = Inner { address: std::net::Ipv6Addr::LOCALHOST, port: 1 };
    const OUTER: Outer = Outer { address: std::net::Ipv4Addr::LOCALHOST, port: 2 };

    #[test]
    fn what_is_lost_is_said_in_its_place() {
        let mut events = Events::new(EventLog::On);
        (0..LONGEST_QUEUE + 7).for_each(|_| events.created(Protocol::Udp, INNER, OUTER));

        let first: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
        events.ended(Protocol::Udp, INNER, OUTER);

        assert_eq!((first.len(), first.last()), (LONGEST_QUEUE + 1, Some(&Event::Lost { count: 7 })));
        assert!(matches!(events.pop(), Some(Event::Ended(_))) && events.pop().is_none());
    }

    #[test]
    fn nothing_is_kept_unless_asked_for() {
        let mut events = Events::new(EventLog::Off);
        events.created(Protocol::Udp, INNER, OUTER);

        assert_eq!(events.pop(), None);
    }
}
