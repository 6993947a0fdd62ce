//! Time as the engine counts it, and the lifetimes of sessions by their RFC names.

use std::time::{Duration, Instant};

/// RFC 6146 §4: lifetime of a UDP session.
pub(crate) const UDP_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// RFC 6146 §4: lifetime of an established TCP session, 2 h 4 min.
pub(crate) const TCP_EST: Duration = Duration::from_secs(2 * 60 * 60 + 4 * 60);
/// RFC 6146 §4: lifetime of a TCP session that is not established, or no longer.
pub(crate) const TCP_TRANS: Duration = Duration::from_secs(4 * 60);
/// RFC 6146 §4: lifetime of an ICMP session.
pub(crate) const ICMP_DEFAULT: Duration = Duration::from_secs(60);

/// Nanoseconds since the engine was made; half the size of an [`Instant`], and enough for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

impl Tick {
    pub(crate) const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as u64))
    }

    /// Milliseconds since the engine was made.
    pub(crate) const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// Turns the caller's time into ticks that never run backwards, which keeps every queue in order.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    latest: Tick,
}

impl Clock {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start, latest: Tick(0) }
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        let elapsed = now.saturating_duration_since(self.start);
        self.latest = self.latest.max(Tick(0).after(elapsed));
        self.latest
    }

    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        self.start + Duration::from_nanos(tick.0)
    }
}

/// The lifetimes there are. Sessions of one lifetime expire in the order they were last touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    UdpDefault,
    TcpEst,
    TcpTrans,
    IcmpDefault,
}

impl Lifetime {
    pub(crate) const ALL: [Self; 4] = [Self::UdpDefault, Self::TcpEst, Self::TcpTrans, Self::IcmpDefault];

    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::UdpDefault => UDP_DEFAULT,
            Self::TcpEst => TCP_EST,
            Self::TcpTrans => TCP_TRANS,
            Self::IcmpDefault => ICMP_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let start = Instant::now();
        let mut clock = Clock::new(start);

        let later = clock.tick(start + Duration::from_secs(5));

        assert_eq!(clock.tick(start), later);
        assert_eq!(clock.instant(later), start + Duration::from_secs(5));
    }

    #[test]
    fn lifetimes_keep_the_minima_of_the_rfcs() {
        assert!(UDP_DEFAULT >= Duration::from_secs(120), "RFC 4787 REQ-5");
        assert_eq!(TCP_EST, Duration::from_secs(7_440), "RFC 5382 REQ-5");
        assert_eq!(TCP_TRANS, Duration::from_secs(240), "RFC 5382 REQ-5");
        assert_eq!(ICMP_DEFAULT, Duration::from_secs(60), "RFC 5508 REQ-1");
    }
}
