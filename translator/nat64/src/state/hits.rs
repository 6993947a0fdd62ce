//! Packets of sessions that are there and stay as they are: all that they change is until when.

use super::{State, Tables};
use crate::config::Refresh;
use crate::hints::Hint;
use crate::session::SessionIndex;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Second, Tick};
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo};

/// The session of a packet from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    session: SessionIndex,
    /// Whom the packet is for.
    pub(crate) receiver: Receiver,
}

impl State {
    /// A packet from inside, without SYN, FIN and RST: its outside endpoint, if it has a settled session.
    #[inline(always)]
    pub(crate) fn hit_from_inside(
        &mut self,
        now: Tick,
        protocol: Protocol,
        inner: &Inner,
        to: SpokenTo,
    ) -> Option<Outer> {
        self.tables[protocol as usize].hit_from_inside(now.second(), protocol, inner, to)
    }

    /// A packet from outside, without SYN, FIN and RST: its session, if it has a settled one.
    #[inline(always)]
    pub(crate) fn known_from_outside(&mut self, protocol: Protocol, outer: Outer, remote: Remote) -> Option<Hit> {
        self.tables[protocol as usize].known_from_outside(protocol, outer, remote)
    }

    /// The packet is let through. Whether it counts is for the operator to say, but for connections.
    #[inline(always)]
    pub(crate) fn keep_from_outside(&mut self, now: Tick, protocol: Protocol, hit: &Hit) {
        if protocol == Protocol::Tcp || self.refresh == Refresh::BothSides {
            self.tables[protocol as usize].sessions.touch(now.second(), hit.session, lifetime(protocol));
        }
    }
}

impl Tables {
    #[inline(never)]
    fn hit_from_inside(&mut self, now: Second, protocol: Protocol, inner: &Inner, to: SpokenTo) -> Option<Outer> {
        let SpokenTo { remote, prefix } = to;
        let hint = Hint::of(inner.port, remote);
        let index = match self.outgoing.get(hint) {
            index if self.sessions.is_from_inside(&self.bib, index, inner, remote) => index,
            _ => {
                let index = self.sessions.find_from_inside(&self.bib, inner, remote)?;
                self.outgoing.set(hint, index);
                index
            }
        };
        let session = self.sessions.session_mut(index);
        if !is_settled(protocol, session.tcp) {
            return None;
        }
        session.prefix = prefix;
        let outer = self.bib.entry(session.bib).outer;
        self.sessions.touch(now, index, lifetime(protocol));
        Some(outer)
    }

    #[inline(never)]
    fn known_from_outside(&mut self, protocol: Protocol, outer: Outer, remote: Remote) -> Option<Hit> {
        let hint = Hint::of(outer.port, remote);
        let index = match self.incoming.get(hint) {
            index if self.sessions.is_from_outside(&self.bib, index, outer, remote) => index,
            _ => {
                let index = self.sessions.find_from_outside(&self.bib, outer, remote)?;
                self.incoming.set(hint, index);
                index
            }
        };
        let session = self.sessions.session(index);
        let receiver = Receiver { inner: self.bib.entry(session.bib).inner, prefix: session.prefix };
        is_settled(protocol, session.tcp).then_some(Hit { session: index, receiver })
    }
}

/// Whether a packet that neither opens nor ends anything leaves a session in its state.
#[inline(always)]
const fn is_settled(protocol: Protocol, tcp: TcpState) -> bool {
    match protocol {
        Protocol::Tcp => matches!(tcp, TcpState::Established),
        Protocol::Udp | Protocol::Icmp => true,
    }
}

#[inline(always)]
const fn lifetime(protocol: Protocol) -> Lifetime {
    match protocol {
        Protocol::Tcp => Lifetime::TcpEst,
        Protocol::Udp => Lifetime::UdpDefault,
        Protocol::Icmp => Lifetime::IcmpDefault,
    }
}
