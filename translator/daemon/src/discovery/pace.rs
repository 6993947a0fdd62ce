//! How often to ask: every 5 seconds while things change, every 30 when they do not, less often when it fails. Pure.

use std::time::Duration;

use super::failure::Failure;

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);
/// What goes wrong for long is asked for this often.
const LONGEST_AFTER_FAILURES: Duration = Duration::from_secs(300);

/// When the next question is due.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    failures: u32,
    random: u64,
}

/// How a question went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went<'a> {
    /// Something is not as it was before.
    Changed,
    Unchanged,
    Failed(&'a Failure),
}

/// How much of the project's limit is left, as the last answer said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) limit: Option<u32>,
    pub(super) remaining: Option<u32>,
}

impl Budget {
    /// The limit is everybody's: when a quarter is left, Terraform needs it more than we do.
    fn is_short(self) -> bool {
        matches!((self.limit, self.remaining), (Some(limit), Some(remaining)) if remaining < limit / 4)
    }
}

impl Pace {
    pub(super) fn new(seed: u64) -> Self {
        Self { interval: SHORTEST, failures: 0, random: seed }
    }

    /// How long to wait after what went so, with `requests` requests.
    pub(super) fn next(&mut self, went: Went<'_>, requests: u32, budget: Budget) -> Duration {
        match went {
            Went::Failed(failure) => {
                self.failures += 1;
                let first = if *failure == Failure::TooMany { LONGEST } else { SHORTEST };
                let back_off = first.saturating_mul(1 << (self.failures - 1).min(6)).min(LONGEST_AFTER_FAILURES);
                return self.jittered(back_off);
            }
            Went::Changed => self.interval = SHORTEST,
            Went::Unchanged => self.interval = (self.interval * 3 / 2).min(LONGEST),
        }
        self.failures = 0;
        // One request in five seconds is a fifth of what a project may ask for in an hour.
        let fair = SHORTEST.saturating_mul(requests);
        self.interval.max(fair).max(if budget.is_short() { LONGEST } else { SHORTEST })
    }

    /// Up to a quarter more, so that those who failed together do not come back together.
    fn jittered(&mut self, duration: Duration) -> Duration {
        // xorshift64*; it decides nothing but when.
        self.random |= 1;
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let share = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 48;
        duration + duration * u32::try_from(share).unwrap_or(0) / (4 << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Budget = Budget { limit: Some(3_600), remaining: Some(3_599) };

    #[test]
    fn unchanged_answers_slow_it_down_to_30_seconds_and_a_change_speeds_it_up_again() {
        let mut pace = Pace::new(1);
        let mut next = |went| pace.next(went, 1, PLENTY).as_millis();

        assert_eq!(next(Went::Changed), 5_000);
        let slower: Vec<u128> = (0..6).map(|_| next(Went::Unchanged)).collect();
        assert_eq!(slower, [7_500, 11_250, 16_875, 25_312, 30_000, 30_000]);
        assert_eq!(next(Went::Changed), 5_000);
    }

    #[test]
    fn more_requests_and_a_small_rest_make_it_slower() {
        let short = Budget { limit: Some(3_600), remaining: Some(899) };

        assert_eq!(Pace::new(1).next(Went::Changed, 4, PLENTY).as_secs(), 20);
        assert_eq!(Pace::new(1).next(Went::Changed, 1, short).as_secs(), 30);
        assert_eq!(Pace::new(1).next(Went::Changed, 1, Budget::default()).as_secs(), 5);
    }

    #[test]
    fn failures_back_off_with_jitter_and_within_bounds() {
        for (failure, first) in [(Failure::Unauthorized, 5_u64), (Failure::TooMany, 30)] {
            for seed in 0..50 {
                let mut pace = Pace::new(seed);
                let mut expected = Duration::from_secs(first);
                for _ in 0..20 {
                    let wait = pace.next(Went::Failed(&failure), 1, PLENTY);
                    assert!((expected..=expected * 5 / 4).contains(&wait), "{wait:?} for {expected:?}");
                    expected = (expected * 2).min(LONGEST_AFTER_FAILURES);
                }
                assert_eq!(pace.next(Went::Changed, 1, PLENTY), SHORTEST);
            }
        }
    }

    #[test]
    fn those_who_failed_together_come_back_apart() {
        let waits: std::collections::BTreeSet<Duration> =
            (0..20).map(|seed| Pace::new(seed << 32).next(Went::Failed(&Failure::TooMany), 1, PLENTY)).collect();

        assert!(waits.len() > 10, "{waits:?}");
    }
}
