//! ICMP queries, which are echoes (RFC 6146 §3.5.3): mapped by identifier, and only a request from inside makes a mapping.

use crate::DropReason;
use crate::drop::Refusal;
use crate::state::State;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Echo, Inner, Outer, Protocol, Receiver, Remote, SpokenTo};

/// RFC 6146 §3.5.3: the outside address and identifier of an echo from inside.
pub(crate) fn outgoing(state: &mut State, now: Tick, inner: Inner, to: SpokenTo, kind: Echo) -> Result<Outer, Refusal> {
    let found = state.find_outgoing(Protocol::Icmp, inner, to);
    match (found.bib, found.session, kind) {
        (Some(bib), Some(session), _) => {
            state.touch(now, Protocol::Icmp, session, Lifetime::IcmpDefault);
            Ok(state.mapping(Protocol::Icmp, bib).outer)
        }
        (_, _, Echo::Request) | (Some(_), None, Echo::Reply) => {
            let fresh = (TcpState::Closed, Lifetime::IcmpDefault);
            state.open(now, Protocol::Icmp, (inner, to), found.bib, fresh)
        }
        (None, _, Echo::Reply) => Err(DropReason::NoSession.into()),
    }
}

/// RFC 6146 §3.5.3: the inside address and identifier of an echo from outside.
pub(crate) fn incoming(state: &mut State, now: Tick, outer: Outer, remote: Remote) -> Result<Receiver, DropReason> {
    let found = state.search_incoming(Protocol::Icmp, outer, remote);
    let bib = found.bib.ok_or(DropReason::NoBibEntry)?;
    match found.session {
        Some(session) => state.touch_from_outside(now, Protocol::Icmp, session, Lifetime::IcmpDefault),
        None => {
            state.admits(Protocol::Icmp, bib, remote)?;
            state.add_session(
                now,
                Protocol::Icmp,
                bib,
                SpokenTo::first(remote),
                (TcpState::Closed, Lifetime::IcmpDefault),
            )?;
        }
    }
    Ok(state.receiver(Protocol::Icmp, bib, found.session))
}
