//! The TCP state machine (RFC 6146 §3.5.2.2).
//!
//! It follows connections for one purpose only: to know how long to remember them.

use packet::tcp::Flags;

use crate::DropReason;
use crate::drop::Refusal;
use crate::state::State;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo};

/// The states of RFC 6146 §3.5.2.2, by their names there. V6 is inside, also for peers that speak IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// No connection; also the state of what is not TCP.
    Closed,
    /// The outside has sent a SYN.
    V4Init,
    /// The inside has sent a SYN.
    V6Init,
    /// Both sides have.
    Established,
    /// The outside has sent a FIN.
    V4FinRcv,
    /// The inside has sent a FIN.
    V6FinRcv,
    /// Both sides have.
    V4FinV6FinRcv,
    /// A RST was seen, or nothing for too long: about to be forgotten.
    Trans,
}

/// What a segment means to the state machine. V6 is inside, also for peers that speak IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    V4Syn,
    V6Syn,
    V4Fin,
    V6Fin,
    Rst,
    Other,
}

impl Event {
    const fn from_inside(flags: Flags) -> Self {
        if flags.has(Flags::RST) {
            Self::Rst
        } else if flags.has(Flags::SYN) {
            Self::V6Syn
        } else if flags.has(Flags::FIN) {
            Self::V6Fin
        } else {
            Self::Other
        }
    }

    const fn from_outside(flags: Flags) -> Self {
        match Self::from_inside(flags) {
            Self::V6Syn => Self::V4Syn,
            Self::V6Fin => Self::V4Fin,
            same @ (Self::V4Syn | Self::V4Fin | Self::Rst | Self::Other) => same,
        }
    }
}

impl TcpState {
    /// Its name, as RFC 6146 writes it but for the case and the blanks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::V4Init => "v4_init",
            Self::V6Init => "v6_init",
            Self::Established => "established",
            Self::V4FinRcv => "v4_fin_rcv",
            Self::V6FinRcv => "v6_fin_rcv",
            Self::V4FinV6FinRcv => "v4_fin_v6_fin_rcv",
            Self::Trans => "trans",
        }
    }

    /// The next state, and the lifetime that starts; none leaves the clock running.
    const fn next(self, event: Event) -> (Self, Option<Lifetime>) {
        const TCP_EST: Option<Lifetime> = Some(Lifetime::TcpEst);
        const OPENING: Option<Lifetime> = Some(Lifetime::TcpOpening);
        const CLOSING: Option<Lifetime> = Some(Lifetime::TcpClosing);
        match (self, event) {
            (Self::V4Init, Event::V6Syn) | (Self::V6Init, Event::V4Syn) => (Self::Established, TCP_EST),
            (Self::V6Init, Event::V6Syn) => (self, OPENING),
            // A port used again while its old connection is remembered: without this, the new one would be forgotten
            // with the old one's clock.
            (Self::V4FinV6FinRcv, Event::V6Syn) => (Self::V6Init, OPENING),
            (Self::Closed | Self::V4Init | Self::V6Init | Self::V4FinV6FinRcv, _) => (self, None),
            // RFC 7857 §2.2: a RST begins the closing phase, also of a connection that is half closed.
            (Self::Established | Self::V4FinRcv | Self::V6FinRcv, Event::Rst) => (Self::Trans, CLOSING),
            (Self::Established, Event::V4Fin) => (Self::V4FinRcv, TCP_EST),
            (Self::Established, Event::V6Fin) => (Self::V6FinRcv, TCP_EST),
            (Self::V4FinRcv, Event::V6Fin) | (Self::V6FinRcv, Event::V4Fin) => (Self::V4FinV6FinRcv, CLOSING),
            (Self::Established | Self::V4FinRcv | Self::V6FinRcv, _) => (self, TCP_EST),
            (Self::Trans, Event::Rst) => (self, None),
            (Self::Trans, _) => (Self::Established, TCP_EST),
        }
    }

    /// RFC 6146 §3.5.2.2: an established connection is asked before it is forgotten.
    pub(crate) const fn is_probed_at_expiry(self) -> bool {
        matches!(self, Self::Established)
    }
}

/// The outside endpoint of a segment from inside.
pub(crate) fn outgoing(
    state: &mut State,
    now: Tick,
    inner: Inner,
    to: SpokenTo,
    flags: Flags,
) -> Result<Outer, Refusal> {
    let event = Event::from_inside(flags);
    let found = state.find_outgoing(Protocol::Tcp, inner, to);
    match (found.bib, found.session) {
        (Some(bib), Some(session)) => {
            let (tcp, lifetime) = state.tcp(session).next(event);
            state.set_tcp(now, session, tcp, lifetime);
            Ok(state.mapping(Protocol::Tcp, bib).outer)
        }
        (known, _) if event == Event::V6Syn => state.open_tcp(now, (inner, to), known),
        // RFC 6146 §3.5.2.2, CLOSED: with a BIB entry the segment is translated, and nothing is remembered.
        (Some(bib), None) => Ok(state.mapping(Protocol::Tcp, bib).outer),
        (None, _) => Err(DropReason::NoSession.into()),
    }
}

/// The inside endpoint of a segment from outside.
pub(crate) fn incoming(
    state: &mut State,
    now: Tick,
    outer: Outer,
    remote: Remote,
    flags: Flags,
) -> Result<Receiver, DropReason> {
    let event = Event::from_outside(flags);
    let found = state.search_incoming(Protocol::Tcp, outer, remote);
    let bib = found.bib.ok_or(DropReason::NoBibEntry)?;
    match found.session {
        Some(session) => {
            let (tcp, lifetime) = state.tcp(session).next(event);
            state.set_tcp(now, session, tcp, lifetime);
        }
        None if event == Event::V4Syn => {
            state.admits(Protocol::Tcp, bib, remote)?;
            state.add_session(
                now,
                Protocol::Tcp,
                bib,
                SpokenTo::first(remote),
                (TcpState::V4Init, Lifetime::TcpOpening),
            )?;
            state.forget_held(outer, remote);
        }
        None => return Err(DropReason::NoSession),
    }
    Ok(state.receiver(Protocol::Tcp, bib, found.session))
}

#[cfg(test)]
mod tests {
    use super::Event::{Other, Rst, V4Fin, V4Syn, V6Fin, V6Syn};
    use super::TcpState::{Established, Trans, V4FinRcv, V4FinV6FinRcv, V4Init, V6FinRcv, V6Init};
    use super::*;
    use crate::timers::Lifetime::{TcpClosing, TcpEst, TcpOpening};

    #[track_caller]
    fn check(from: TcpState, events: &[Event], expected: (TcpState, Option<Lifetime>)) {
        for event in events {
            assert_eq!(from.next(*event), expected, "{from:?} on {event:?}");
        }
    }

    #[test]
    fn the_answer_to_a_syn_establishes_and_nothing_else_does() {
        check(V6Init, &[V4Syn], (Established, Some(TcpEst)));
        check(V4Init, &[V6Syn], (Established, Some(TcpEst)));
        check(V6Init, &[V4Fin, V6Fin, Rst, Other], (V6Init, None));
        check(V4Init, &[V4Syn, V4Fin, V6Fin, Rst, Other], (V4Init, None));
    }

    #[test]
    fn a_repeated_syn_from_inside_starts_the_clock_again() {
        check(V6Init, &[V6Syn], (V6Init, Some(TcpOpening)));
    }

    #[test]
    fn traffic_keeps_an_established_connection_also_when_half_closed() {
        check(Established, &[V4Syn, V6Syn, Other], (Established, Some(TcpEst)));
        check(V4FinRcv, &[V4Syn, V6Syn, V4Fin, Other], (V4FinRcv, Some(TcpEst)));
        check(V6FinRcv, &[V4Syn, V6Syn, V6Fin, Other], (V6FinRcv, Some(TcpEst)));
    }

    #[test]
    fn fins_of_both_sides_in_either_order_begin_the_end() {
        check(Established, &[V4Fin], (V4FinRcv, Some(TcpEst)));
        check(Established, &[V6Fin], (V6FinRcv, Some(TcpEst)));
        check(V4FinRcv, &[V6Fin], (V4FinV6FinRcv, Some(TcpClosing)));
        check(V6FinRcv, &[V4Fin], (V4FinV6FinRcv, Some(TcpClosing)));
        check(V4FinV6FinRcv, &[V4Syn, V4Fin, V6Fin, Rst, Other], (V4FinV6FinRcv, None));
    }

    #[test]
    fn a_reset_shortens_the_life_and_anything_else_restores_it() {
        check(Established, &[Rst], (Trans, Some(TcpClosing)));
        check(Trans, &[Rst], (Trans, None));
        check(Trans, &[V4Syn, V6Syn, V4Fin, V6Fin, Other], (Established, Some(TcpEst)));
    }

    #[test]
    fn a_port_used_again_after_both_fins_is_a_new_connection() {
        check(V4FinV6FinRcv, &[V6Syn], (V6Init, Some(TcpOpening)));
    }

    #[test]
    fn a_reset_outweighs_the_other_flags_of_a_segment() {
        assert_eq!(Event::from_inside(Flags(Flags::SYN.0 | Flags::RST.0)), Rst);
        assert_eq!(Event::from_outside(Flags(Flags::SYN.0 | Flags::ACK.0)), V4Syn);
        assert_eq!(Event::from_inside(Flags(Flags::FIN.0 | Flags::ACK.0)), V6Fin);
    }
}
