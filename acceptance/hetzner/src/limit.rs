//! The rate limit: 3600 requests an hour, of which one comes back every second.

use std::time::Duration;

use crate::error::{ApiError, Outcome};
use crate::time::Time;

#[derive(Debug, Clone)]
pub(crate) struct Limit {
    most: u32,
    left: f64,
    seen: Time,
}

impl Limit {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, left: f64::from(most), seen: Time::ZERO }
    }

    /// Lets come back what has come back by now.
    pub(crate) fn refill(&mut self, now: Time) {
        let per_second = f64::from(self.most) / 3_600.0;
        let since = now.saturating_sub(self.seen).as_secs_f64();
        self.left = (self.left + since * per_second).min(f64::from(self.most));
        self.seen = now;
    }

    /// Takes one request out.
    pub(crate) fn take(&mut self) -> Outcome<()> {
        if self.left < 1.0 {
            let message = format!("limit of {} requests per hour reached", self.most);
            return Err(ApiError::new(429, "rate_limit_exceeded", message));
        }
        self.left -= 1.0;
        Ok(())
    }

    /// So many are left from now on.
    pub(crate) fn set_left(&mut self, left: u32) {
        self.left = f64::from(left.min(self.most));
    }

    /// How many there may be, how many are left, and when all will be there again.
    pub(crate) fn headers(&self, now: Time) -> [(&'static str, String); 3] {
        let missing = (f64::from(self.most) - self.left).max(0.0);
        let full = now + Duration::from_secs_f64(missing * 3_600.0 / f64::from(self.most.max(1)));
        [
            ("ratelimit-limit", self.most.to_string()),
            ("ratelimit-remaining", format!("{}", self.left.floor())),
            ("ratelimit-reset", full.as_secs().to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_comes_back_every_second() {
        let now = Duration::from_secs(1_000_000);
        let mut limit = Limit::new(3_600);
        limit.refill(now);
        limit.set_left(1);

        limit.take().unwrap();

        assert_eq!(limit.take().unwrap_err().code, "rate_limit_exceeded");
        assert_eq!(limit.headers(now)[1].1, "0");
        limit.refill(now + Duration::from_secs(1));
        limit.take().unwrap();
    }
}
