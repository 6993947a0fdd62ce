//! When to dial a peer without being asked by traffic.
//!
//! The gateway is the only side that can dial: a server that lost its session (it rebooted) does not know where we
//! are. So a session is renewed before it dies, silence is answered by a handshake, and giving up is only a pause.

use std::time::{Duration, Instant};

/// Between WireGuard's own give-up (90 s of retries) and the next attempt.
const PAUSE: Duration = Duration::from_secs(10);

/// Whether the peer has a session that need not be renewed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    Fresh,
    Stale,
}

#[derive(Default)]
pub(crate) struct Redial {
    last_heard: Option<Instant>,
    /// Set while the noise core has given up.
    retry_at: Option<Instant>,
}

impl Redial {
    /// Something authenticated came from the peer.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
        self.retry_at = None;
    }

    /// The noise core says, at every tick, that it has given up; `true` the first time.
    pub(crate) fn gave_up(&mut self, now: Instant) -> bool {
        let first = self.retry_at.is_none();
        self.retry_at.get_or_insert(now + PAUSE);
        first
    }

    /// We dial, for whatever reason.
    pub(crate) fn dialled(&mut self) {
        self.retry_at = None;
    }

    /// Whether a handshake is due. It may be in progress already; the noise core knows.
    pub(crate) fn is_due(&self, now: Instant, session: Session, keepalive: Duration) -> bool {
        if let Some(retry_at) = self.retry_at {
            return now >= retry_at;
        }
        session == Session::Stale || self.is_silent(now, keepalive)
    }

    /// A keepalive proves nothing to us; a handshake is a keepalive that must be answered.
    fn is_silent(&self, now: Instant, keepalive: Duration) -> bool {
        !keepalive.is_zero() && self.last_heard.is_none_or(|heard| now.duration_since(heard) >= keepalive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: Duration = Duration::from_secs(25);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_peer_without_a_fresh_session_is_dialled() {
        assert!(Redial::default().is_due(Instant::now(), Session::Stale, KEEPALIVE));
    }

    #[test]
    fn a_talking_peer_with_a_fresh_session_is_left_alone() {
        let start = Instant::now();
        let mut redial = Redial::default();

        redial.heard(start);

        assert!(!redial.is_due(start + KEEPALIVE - SECOND, Session::Fresh, KEEPALIVE));
    }

    #[test]
    fn a_peer_silent_for_a_keepalive_interval_is_dialled_despite_its_session() {
        let start = Instant::now();
        let mut redial = Redial::default();

        redial.heard(start);

        assert!(redial.is_due(start + KEEPALIVE, Session::Fresh, KEEPALIVE));
        assert!(!redial.is_due(start + KEEPALIVE, Session::Fresh, Duration::ZERO), "keepalives are off");
    }

    #[test]
    fn giving_up_is_a_pause_and_the_peer_is_dialled_for_ever() {
        let start = Instant::now();
        let mut redial = Redial::default();

        for round in 0..100 {
            let now = start + round * Duration::from_secs(100);
            assert!(redial.gave_up(now));
            assert!(!redial.gave_up(now + SECOND), "said once per give-up");
            assert!(!redial.is_due(now + PAUSE - SECOND, Session::Stale, KEEPALIVE));
            assert!(redial.is_due(now + PAUSE, Session::Stale, KEEPALIVE));
            redial.dialled();
        }
    }

    #[test]
    fn a_peer_that_calls_during_the_pause_ends_it() {
        let start = Instant::now();
        let mut redial = Redial::default();
        redial.gave_up(start);

        redial.heard(start + SECOND);

        assert!(redial.gave_up(start + KEEPALIVE), "a new give-up is a new one");
    }
}
