//! What became of the state document, and since when.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::Error;
use crate::report::{DocumentReport, DocumentState};

/// Whether the document on disk is what the translator runs on.
#[derive(Debug)]
pub(crate) struct DocumentStatus {
    path: PathBuf,
    state: DocumentState,
    since: Instant,
    /// Of the configuration that serves.
    serial: u64,
}

impl DocumentStatus {
    /// Of a translator that just started: on the document, or on the last good copy for the given reason.
    pub(crate) fn new(now: Instant, path: PathBuf, serial: u64, refused: Option<&Error>) -> Self {
        let mut status = Self { path, state: DocumentState::Applied, since: now, serial };
        if let Some(error) = refused {
            status.refused(now, error);
        }
        status
    }

    /// The document is applied.
    pub(crate) fn applied(&mut self, now: Instant, serial: u64) {
        if serial < self.serial {
            tracing::warn!(
                "the document's serial went back from {} to {serial}; was an old one restored?",
                self.serial
            );
        }
        let again = self.state == DocumentState::Applied && self.serial == serial;
        if !again {
            tracing::info!("state document applied, serial {serial}");
            self.since = now;
        }
        self.serial = serial;
        self.state = DocumentState::Applied;
    }

    /// The document cannot be used; the last good configuration serves on.
    pub(crate) fn refused(&mut self, now: Instant, error: &Error) {
        self.enter(now, DocumentState::Refused { reason: error.line() });
    }

    /// The document is good, but the gateway is not in it.
    pub(crate) fn withdrawn(&mut self, now: Instant, error: &Error) {
        self.enter(now, DocumentState::Withdrawn { reason: error.line() });
    }

    fn enter(&mut self, now: Instant, state: DocumentState) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.since = now;
        tracing::warn!("{}", self.sentence());
    }

    /// For the log and for `systemctl status`.
    pub(crate) fn sentence(&self) -> String {
        match &self.state {
            DocumentState::Applied => format!("serving, document serial {}", self.serial),
            DocumentState::Refused { reason } => format!("serving the last good configuration: {reason}"),
            DocumentState::Withdrawn { reason } => format!("serving no peer: {reason}"),
        }
    }

    /// For the control socket.
    pub(crate) fn report(&self, now: Instant) -> DocumentReport {
        DocumentReport {
            path: self.path.clone(),
            serial: self.serial,
            state: self.state.clone(),
            since_secs_ago: now.saturating_duration_since(self.since).as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refusal() -> Error {
        Error::NoNft
    }

    #[test]
    fn the_same_refusal_again_keeps_its_time() {
        let start = Instant::now();
        let later = start + Duration::from_secs(90);
        let mut status = DocumentStatus::new(start, "state.json".into(), 42, None);
        status.refused(start, &refusal());

        status.refused(later, &refusal());

        assert_eq!(status.report(later).since_secs_ago, 90);
        assert_eq!(status.report(later).state, DocumentState::Refused { reason: refusal().line() });
    }

    #[test]
    fn a_good_document_ends_a_refusal() {
        let start = Instant::now();
        let later = start + Duration::from_secs(90);
        let mut status = DocumentStatus::new(start, "state.json".into(), 42, Some(&refusal()));

        status.applied(later, 43);

        let report = status.report(later);
        assert_eq!((report.state, report.serial, report.since_secs_ago), (DocumentState::Applied, 43, 0));
    }
}
