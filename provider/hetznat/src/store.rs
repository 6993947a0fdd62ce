//! Where the state document lives, and how many writers edit it without losing each other's work.
//!
//! Invariant: a document is replaced only by whoever has read exactly that document; one that cannot be read is never
//! replaced.

mod file;
mod ledger;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use contract::{FORMAT, MAX_DOCUMENT_BYTES, ParseError};

pub(crate) use file::FileStore;
pub(crate) use ledger::{EditError, Ledger};

/// A place that keeps one small document for several writers.
pub(crate) trait Store: Send + Sync + 'static {
    /// What is there now; no bytes if nothing is.
    fn load(&self) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Replaces what `load` returned along with `expected`; [`SaveError::Conflict`] if something else is there by now.
    fn save(&self, bytes: Vec<u8>, expected: Version) -> impl Future<Output = Result<(), SaveError>> + Send;

    /// The place as error messages name it.
    fn place(&self) -> String;
}

/// What a store holds at one moment.
pub(crate) struct Loaded {
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) version: Version,
}

/// Tells one content of a store from every other; opaque to all but the store. `None` is the empty store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(Option<String>);

/// Why a document was not saved.
#[derive(Debug)]
pub(crate) enum SaveError {
    /// Somebody else has written in between: load, edit and save again.
    Conflict,
    /// The store cannot be written.
    Store(StoreError),
}

/// Why the store cannot be used. Cloned to everybody whose edit was in the same write.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("state file {path}: directory {directory} does not exist; create it with mkdir -p {directory}")]
    NoDirectory { path: PathBuf, directory: PathBuf },
    #[error("state file {path}: this is not a regular file; set `state` to the path of a file")]
    NotAFile { path: PathBuf },
    #[error("state file {path}: permission denied on {on}; run terraform as root or as the owner of {on}")]
    PermissionDenied { path: PathBuf, on: PathBuf },
    #[error("state file {path}: another process has held {lock} for {secs} s; wait for it to finish, then try again")]
    Locked { path: PathBuf, lock: PathBuf, secs: u64 },
    #[error("state file {path}: cannot {action}: {error}")]
    Io { path: PathBuf, action: &'static str, error: Arc<io::Error> },
    #[error(
        "state file {place}: format version {found} is newer than this provider understands ({FORMAT}); \
         upgrade the hetznat provider"
    )]
    NewerFormat { place: String, found: u64 },
    #[error("state file {place}: {error}")]
    Unreadable { place: String, error: ParseError },
    #[error(
        "state file {place}: {bytes} bytes are more than the {MAX_DOCUMENT_BYTES} that the translator reads; \
         spread the gateways over several files"
    )]
    TooLarge { place: String, bytes: usize },
    #[error("state file {place}: other writers were faster {attempts} times; wait for them to finish, then try again")]
    Contended { place: String, attempts: u32 },
    #[error("state file {place}: the provider is shutting down; try again")]
    Stopped { place: String },
}
