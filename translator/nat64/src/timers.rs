//! Time as the engine counts it, and the lifetimes of sessions by their RFC names.

use std::time::{Duration, Instant};

/// How long sessions are remembered after their last packet, by the names of RFC 6146 §4.
///
/// They are counted in whole seconds, begun ones included. Values below the minima of the RFCs are taken as those, values
/// above a year as a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// UDP_DEFAULT: 5 minutes. At least 2 minutes (UDP_MIN; RFC 4787 REQ-5).
    pub udp: Duration,
    /// TCP_EST, an established connection: 2 hours 4 minutes, which is also the least (RFC 5382 REQ-5).
    pub tcp_established: Duration,
    /// TCP_TRANS of a connection that opens (RFC 7857 §2.1): 4 minutes, which is also the least (RFC 5382 REQ-5).
    pub tcp_opening: Duration,
    /// TCP_TRANS of a connection that closes, or may have ended: the same.
    pub tcp_closing: Duration,
    /// TCP_INCOMING_SYN, a SYN from outside that waits for one from inside: 6 seconds, also the least (RFC 5382 REQ-4).
    pub tcp_incoming_syn: Duration,
    /// ICMP_DEFAULT: 60 seconds, which is also the least (RFC 5508 REQ-2).
    pub icmp: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { udp: Duration::from_secs(5 * 60), ..Self::SHORTEST }
    }
}

impl Lifetimes {
    const SHORTEST: Self = Self {
        udp: Duration::from_secs(2 * 60),
        tcp_established: Duration::from_secs(2 * 60 * 60 + 4 * 60),
        tcp_opening: Duration::from_secs(4 * 60),
        tcp_closing: Duration::from_secs(4 * 60),
        tcp_incoming_syn: Duration::from_secs(6),
        icmp: Duration::from_secs(60),
    };

    /// The nearest lifetimes that the RFCs allow.
    pub(crate) fn possible(self) -> Self {
        let possible = |wanted: Duration, shortest| {
            let wanted = wanted.clamp(shortest, Duration::from_secs(365 * 24 * 60 * 60));
            Duration::from_secs(wanted.as_secs() + u64::from(wanted.subsec_nanos() > 0))
        };
        Self {
            udp: possible(self.udp, Self::SHORTEST.udp),
            tcp_established: possible(self.tcp_established, Self::SHORTEST.tcp_established),
            tcp_opening: possible(self.tcp_opening, Self::SHORTEST.tcp_opening),
            tcp_closing: possible(self.tcp_closing, Self::SHORTEST.tcp_closing),
            tcp_incoming_syn: possible(self.tcp_incoming_syn, Self::SHORTEST.tcp_incoming_syn),
            icmp: possible(self.icmp, Self::SHORTEST.icmp),
        }
    }

    /// All of them in seconds, in the order of [`Lifetime::ALL`].
    pub(crate) fn seconds(&self) -> [u32; Lifetime::ALL.len()] {
        Lifetime::ALL.map(|lifetime| self.of(lifetime).as_secs() as u32)
    }

    pub(crate) const fn of(&self, lifetime: Lifetime) -> Duration {
        match lifetime {
            Lifetime::UdpDefault => self.udp,
            Lifetime::TcpEst => self.tcp_established,
            Lifetime::TcpOpening => self.tcp_opening,
            Lifetime::TcpClosing => self.tcp_closing,
            Lifetime::IcmpDefault => self.icmp,
        }
    }
}

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

/// Nanoseconds since the engine was made, enough for 584 years; and the second they belong to, begun ones included, because
/// every packet asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick {
    nanos: u64,
    second: Second,
}

impl Tick {
    const fn new(nanos: u64) -> Self {
        Self { nanos, second: Second(nanos.div_ceil(NANOS) as u32) }
    }

    pub(crate) const fn after(self, duration: Duration) -> Self {
        Self::new(self.nanos.saturating_add(duration.as_nanos() as u64))
    }

    /// The second that this time belongs to, begun ones included.
    #[inline]
    pub(crate) const fn second(self) -> Second {
        self.second
    }

    /// Seconds that are over.
    pub(crate) const fn whole_seconds(self) -> u32 {
        (self.nanos / NANOS) as u32
    }

    /// From this time to a later one.
    pub(crate) const fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.nanos.saturating_sub(self.nanos))
    }

    /// Microseconds since the engine was made.
    pub(crate) const fn micros(self) -> u64 {
        self.nanos / 1_000
    }

    /// Milliseconds since the engine was made.
    pub(crate) const fn millis(self) -> u64 {
        self.nanos / 1_000_000
    }
}

/// Whole seconds since the engine was made: half the size of a [`Tick`], and all that packets of one second change in what
/// they keep alive, which is nothing after the first. Enough for 136 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u32);

impl Second {
    /// The second of a number.
    pub(crate) const fn of(number: u32) -> Self {
        Self(number)
    }

    /// How many seconds it is after the first one.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) const fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The end of a lifetime that has changed since it began.
    pub(crate) const fn with_lifetime(self, before: u32, after: u32) -> Self {
        Self(self.0.saturating_sub(before)).plus(after)
    }

    /// When it begins.
    pub(crate) const fn tick(self) -> Tick {
        Tick::new(self.0 as u64 * NANOS)
    }
}

/// Turns the caller's time into ticks that never run backwards, so that what expires in order is kept in order.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// What the caller said last: packets of one batch share their time.
    said: Instant,
    latest: Tick,
}

impl Clock {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start, said: start, latest: Tick::new(0) }
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        if now == self.said {
            return self.latest;
        }
        self.said = now;
        let elapsed = now.saturating_duration_since(self.start);
        self.latest = self.latest.max(Tick::new(0).after(elapsed));
        self.latest
    }

    /// The tick of a time that does not count as having come.
    pub(crate) fn peek(&self, now: Instant) -> Tick {
        Tick::new(0).after(now.saturating_duration_since(self.start)).max(self.latest)
    }

    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        self.start + Duration::from_nanos(tick.nanos)
    }
}

/// The lifetimes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    UdpDefault,
    TcpEst,
    TcpOpening,
    TcpClosing,
    IcmpDefault,
}

impl Lifetime {
    pub(crate) const ALL: [Self; 5] =
        [Self::UdpDefault, Self::TcpEst, Self::TcpOpening, Self::TcpClosing, Self::IcmpDefault];
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
    fn lifetimes_in_seconds_stand_where_their_names_do() {
        let lifetimes = Lifetimes::default();

        for lifetime in Lifetime::ALL {
            assert_eq!(u64::from(lifetimes.seconds()[lifetime as usize]), lifetimes.of(lifetime).as_secs());
        }
    }

    #[test]
    fn lifetimes_keep_the_minima_of_the_rfcs() {
        let none = Duration::ZERO;
        let shortest = Lifetimes {
            udp: none,
            tcp_established: none,
            tcp_opening: none,
            tcp_closing: none,
            tcp_incoming_syn: none,
            icmp: none,
        };

        assert_eq!(shortest.possible(), Lifetimes::SHORTEST);
        assert_eq!(Lifetimes::default().possible(), Lifetimes::default());
        let forever = Lifetimes { udp: Duration::MAX, ..Lifetimes::default() };
        assert_eq!(forever.possible().udp, Duration::from_secs(31_536_000));
    }
}
