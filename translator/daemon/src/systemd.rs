//! What systemd wants to hear. Without systemd every call is a no-op.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The translator is set up and serves.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What `systemctl status` shows.
pub(crate) fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The translator takes down what it set up.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// All is well; expected once within each period of [`Watchdog`].
pub(crate) fn alive() {
    send(&[NotifyState::Watchdog]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd was not told: {error}");
    }
}

/// When systemd wants a sign of life.
pub(crate) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Twice as often as systemd asks (sd_watchdog_enabled(3)).
    pub(crate) fn new() -> Self {
        let period = sd_notify::watchdog_enabled().map(|period| (period / 2).max(Duration::from_millis(1)));
        Self(period.map(|period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        }))
    }

    /// Returns when it is time; never, without a watchdog.
    pub(crate) async fn due(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}
