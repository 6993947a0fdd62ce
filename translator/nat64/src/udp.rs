//! UDP (RFC 6146 §3.5.1): every datagram keeps its session alive, any datagram from inside starts one.

use crate::DropReason;
use crate::drop::Refusal;
use crate::state::State;
use crate::tcp::TcpState;
use crate::timers::{Lifetime, Tick};
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo};

/// RFC 6146 §3.5.1.1: the outside endpoint of a datagram from inside.
pub(crate) fn outgoing(state: &mut State, now: Tick, inner: Inner, to: SpokenTo) -> Result<Outer, Refusal> {
    let found = state.find_outgoing(Protocol::Udp, inner, to);
    if let (Some(bib), Some(session)) = (found.bib, found.session) {
        state.touch(now, Protocol::Udp, session, Lifetime::UdpDefault);
        return Ok(state.mapping(Protocol::Udp, bib).outer);
    }
    state.open(now, Protocol::Udp, (inner, to), found.bib, (TcpState::Closed, Lifetime::UdpDefault))
}

/// RFC 6146 §3.5.1.2: the inside endpoint of a datagram from outside.
pub(crate) fn incoming(state: &mut State, now: Tick, outer: Outer, remote: Remote) -> Result<Receiver, DropReason> {
    let found = state.search_incoming(Protocol::Udp, outer, remote);
    let bib = found.bib.ok_or(DropReason::NoBibEntry)?;
    match found.session {
        Some(session) => state.touch_from_outside(now, Protocol::Udp, session, Lifetime::UdpDefault),
        None => {
            state.admits(Protocol::Udp, bib, remote)?;
            state.add_session(
                now,
                Protocol::Udp,
                bib,
                SpokenTo::first(remote),
                (TcpState::Closed, Lifetime::UdpDefault),
            )?;
        }
    }
    Ok(state.receiver(Protocol::Udp, bib, found.session))
}
