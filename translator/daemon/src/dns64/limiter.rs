//! A token bucket for every client: who asks too often waits, and nobody else does.

use std::collections::HashMap;
use std::net::IpAddr;

/// How often a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl Rate {
    /// A busy server asks a hundred times a second.
    pub(crate) const DEFAULT: Self = Self { per_second: 1_000, burst: 2_000 };
}

/// More clients than this at once share what is left: the ones unknown are let through.
const MOST_CLIENTS: usize = 16_384;
/// A full table is looked through no more often than this.
const BETWEEN_LOOKS_MS: u64 = 1_000;

/// Tokens by client; an IPv6 client is its /64.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Option<Rate>,
    buckets: HashMap<u128, Bucket>,
    looked_through_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// In thousandths.
    tokens: u64,
    at_ms: u64,
}

impl Limiter {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, buckets: HashMap::new(), looked_through_ms: None }
    }

    /// Whether `client` may ask now; if not, in how many milliseconds it may.
    pub(crate) fn take(&mut self, client: IpAddr, now_ms: u64) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        // This machine's own programs have the machine to themselves anyway.
        if client.is_loopback() {
            return Ok(());
        }
        let client = who(client);
        let full = u64::from(rate.burst) * 1_000;
        if self.buckets.len() >= MOST_CLIENTS && !self.buckets.contains_key(&client) {
            self.forget_the_idle(rate, now_ms);
            if self.buckets.len() >= MOST_CLIENTS {
                return Ok(());
            }
        }
        let bucket = self.buckets.entry(client).or_insert(Bucket { tokens: full, at_ms: now_ms });
        bucket.tokens = bucket.filled(rate, now_ms);
        bucket.at_ms = now_ms;
        match bucket.tokens.checked_sub(1_000) {
            Some(left) => {
                bucket.tokens = left;
                Ok(())
            }
            None => Err((1_000 - bucket.tokens) / u64::from(rate.per_second) + 1),
        }
    }

    /// A full bucket says nothing.
    fn forget_the_idle(&mut self, rate: Rate, now_ms: u64) {
        if self.looked_through_ms.is_some_and(|then| now_ms < then + BETWEEN_LOOKS_MS) {
            return;
        }
        self.looked_through_ms = Some(now_ms);
        let full = u64::from(rate.burst) * 1_000;
        self.buckets.retain(|_, bucket| bucket.filled(rate, now_ms) < full);
    }
}

impl Bucket {
    fn filled(&self, rate: Rate, now_ms: u64) -> u64 {
        let more = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(rate.per_second));
        self.tokens.saturating_add(more).min(u64::from(rate.burst) * 1_000)
    }
}

/// The same for all addresses of an IPv6 client's /64.
pub(super) fn who(client: IpAddr) -> u128 {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_asks_too_often_waits_and_another_does_not() {
        let mut limiter = Limiter::new(Some(Rate { per_second: 10, burst: 3 }));
        let [first, neighbour, other] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());

        for _ in 0..3 {
            assert_eq!(limiter.take(first, 0), Ok(()));
        }
        assert_eq!(limiter.take(neighbour, 0), Err(101));
        assert_eq!(limiter.take(other, 0), Ok(()));
        assert_eq!(limiter.take(first, 100), Ok(()));
    }

    #[test]
    fn loopback_is_never_limited() {
        let mut limiter = Limiter::new(Some(Rate { per_second: 1, burst: 1 }));

        assert!((0..100).all(|_| limiter.take("127.0.0.1".parse().unwrap(), 0).is_ok()));
    }

    #[test]
    fn ever_new_clients_do_not_fill_the_memory() {
        let mut limiter = Limiter::new(Some(Rate::DEFAULT));
        for client in 0..3 * MOST_CLIENTS as u128 {
            limiter.take(IpAddr::V6((client << 64 | 0x2001 << 112).into()), 0).unwrap();
        }

        assert!(limiter.buckets.len() <= MOST_CLIENTS);
        limiter.take("2001:db8:ffff::1".parse().unwrap(), BETWEEN_LOOKS_MS).unwrap();
        assert_eq!(limiter.buckets.len(), 1, "their buckets are full again");
    }
}
