//! The signals that a translator obeys: SIGTERM and SIGINT end it, SIGHUP makes it look again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Reason};

/// Signals that come before the main loop wait for it, so that set-up is never torn in two.
pub(crate) struct Signals {
    pub(crate) terminate: Signal,
    pub(crate) interrupt: Signal,
    pub(crate) hang_up: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub(crate) fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|source| Error::Internal(format!("cannot listen for signals: {}", Reason(&source))))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }
}
