//! The log on standard error, as journald likes it: no colours, no time of its own where journald adds one.
//!
//! Nothing in it is a key or a packet's contents; events name peers, never what they say.

use std::env;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;
use crate::error::{Error, one_line};

const VARIABLE: &str = "HETZNAT_LOG";

/// Starts the log.
///
/// # Errors
/// [`Error::Usage`] if `HETZNAT_LOG` cannot be understood.
pub(crate) fn start(format: LogFormat) -> Result<(), Error> {
    let directives = env::var(VARIABLE).unwrap_or_default();
    let directives = if directives.trim().is_empty() { "info" } else { &directives };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Error::Usage(format!("{VARIABLE}: {}; use error, warn, info or debug", one_line(&error.to_string())))
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // systemd sets this when standard error is the journal.
    let in_journal = env::var_os("JOURNAL_STREAM").is_some();
    match format {
        LogFormat::Json => registry.with(layer.json()).init(),
        LogFormat::Text if in_journal => registry.with(layer.without_time()).init(),
        LogFormat::Text => registry.with(layer).init(),
    }
    Ok(())
}
