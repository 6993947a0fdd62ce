//! Time as the API writes it: RFC 3339, in whole seconds, UTC.

use std::time::Duration;

/// Since 1970-01-01T00:00:00Z.
pub(crate) type Time = Duration;

/// `2026-11-22T14:30:00Z`. The calendar is that of Howard Hinnant's `civil_from_days`.
pub(crate) fn rfc3339(time: Time) -> String {
    let (days, second) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let written = |secs| rfc3339(Duration::from_secs(secs));

        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(written(1_795_357_835), "2026-11-22T14:30:35Z");
    }
}
