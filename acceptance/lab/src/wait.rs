//! Waiting for something to become true: with a deadline, and never by sleeping for "long enough".

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long one look may be apart from the next; short enough that no test is slowed by it.
const INTERVAL: Duration = Duration::from_millis(25);

/// Looks until `probe` finds something, and returns it with the time it took.
///
/// # Errors
/// `what` did not happen within `limit`; the message carries what the last look saw.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        let last = probe();
        if let Ok(Some(found)) = last {
            return Ok((found, start.elapsed()));
        }
        if start.elapsed() >= limit {
            match last {
                Err(error) => bail!("waited {limit:?} for {what}: {error:#}"),
                Ok(_) => bail!("waited {limit:?} for {what}"),
            }
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn what_is_there_at_the_third_look_is_returned() {
        let mut looks = 0;

        let found = until("the third look", Duration::from_secs(10), || {
            looks += 1;
            Ok((looks == 3).then_some("found"))
        });

        assert_eq!(found.unwrap().0, "found");
    }

    #[test]
    fn a_wait_in_vain_says_what_the_last_look_saw() {
        let error = until("a miracle", Duration::ZERO, || Err::<Option<()>, _>(anyhow!("nothing moves"))).unwrap_err();

        assert_eq!(error.to_string(), "waited 0ns for a miracle: nothing moves");
    }
}
