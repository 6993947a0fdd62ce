//! Logs as Terraform wants them: hclog's JSON, one line each on standard error; and panics in Go's words.
//!
//! Only this crate's and the provider's own events are written. What dependencies say may quote messages, and messages
//! hold private keys.

use std::fmt;
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging for the provider `name`, whose events have the target `target`.
pub(crate) fn init(name: &str, target: &str) {
    let level = level(name, |variable| std::env::var(variable).ok());
    let targets = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_target(target, level);
    // A second call means a test or an embedding program logs already.
    drop(tracing_subscriber::registry().with(Hclog { module: name.to_owned() }.with_filter(targets)).try_init());
    std::panic::set_hook(Box::new(report_panic));
}

/// The most specific of Terraform's variables that is set decides.
fn level(name: &str, env: impl Fn(&str) -> Option<String>) -> LevelFilter {
    let variables = [format!("TF_LOG_PROVIDER_{}", name.to_uppercase()), "TF_LOG_PROVIDER".into(), "TF_LOG".into()];
    let wanted = variables.iter().filter_map(|variable| env(variable)).find(|value| !value.is_empty());
    match wanted.map(|value| value.to_uppercase()).as_deref() {
        None | Some("OFF") => LevelFilter::OFF,
        Some("DEBUG") => LevelFilter::DEBUG,
        Some("INFO") => LevelFilter::INFO,
        Some("WARN") => LevelFilter::WARN,
        Some("ERROR") => LevelFilter::ERROR,
        Some(_) => LevelFilter::TRACE,
    }
}

/// Terraform recognises a crash by the word `panic: ` and then shows what follows as the plugin's stack trace.
fn report_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("unknown");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::force_capture();
    // Terraform may be gone, and standard error with it: that must not panic again.
    drop(writeln!(io::stderr(), "panic: {message} ({place})\n\n{backtrace}"));
}

struct Hclog {
    module: String,
}

impl<S: Subscriber> Layer<S> for Hclog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Map::new();
        event.record(&mut Fields(&mut entry));
        let message = entry.remove("message").unwrap_or_else(|| json!(""));
        // Terraform itself panics if one of these is not a string.
        entry.insert("@level".to_owned(), json!(event.metadata().level().as_str().to_lowercase()));
        entry.insert("@message".to_owned(), message);
        entry.insert("@module".to_owned(), json!(self.module));
        entry.insert("@timestamp".to_owned(), json!(timestamp(SystemTime::now())));
        drop(writeln!(io::stderr(), "{}", Value::Object(entry)));
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }
}

/// RFC 3339 in UTC with exactly six fractional digits: with any other number hclog gives up on the whole line.
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since_epoch.as_secs(), since_epoch.subsec_micros());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The Gregorian date of a day since 1970-01-01, by counting from 1 March of year 0: then leap days come last.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days_since_epoch + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64, micros: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros))
    }

    #[test]
    fn timestamps_have_six_digits_and_the_right_date() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399, 1), "2000-02-28T23:59:59.000001Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_795_392_000, 123_456), "2026-11-23T00:00:00.123456Z");
    }

    #[test]
    fn the_most_specific_variable_decides() {
        let level_with = |variables: &[(&str, &str)]| {
            level("hetznat", |name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };

        assert_eq!(level_with(&[]), LevelFilter::OFF);
        assert_eq!(level_with(&[("TF_LOG", "json")]), LevelFilter::TRACE);
        assert_eq!(level_with(&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "off")]), LevelFilter::OFF);
        assert_eq!(level_with(&[("TF_LOG_PROVIDER_HETZNAT", "warn"), ("TF_LOG", "trace")]), LevelFilter::WARN);
    }
}
