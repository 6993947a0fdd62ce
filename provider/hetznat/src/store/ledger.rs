//! One process's view of the document: reads from memory, writes in groups.
//!
//! Terraform creates many resources at once. While one write is under way, further edits queue, and all that queued
//! become one load, n edits and one save. An edit sees every edit before it; one that fails leaves no trace and does
//! not spoil the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use contract::{Document, Invalid, MAX_DOCUMENT_BYTES, ParseError};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{FileStore, SaveError, Store, StoreError, Version};

/// As many edits as one write carries at most; more wait for the next one.
const GROUP: usize = 256;
/// Every lost race is a write that somebody else finished, so this many in a row means that something is wrong.
const ATTEMPTS: u32 = 100;

/// A handle to the document in a store; clones share one cache and one queue.
#[derive(Clone)]
pub(crate) struct Ledger<S = FileStore> {
    store: S,
    cache: Cache,
    queue: mpsc::Sender<Box<dyn Pending>>,
}

type Cache = Arc<Mutex<Option<Arc<Document>>>>;

/// Why an edit did not take place. `E` is the caller's own reason.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum EditError<E> {
    /// The edit itself declined.
    #[error(transparent)]
    Refused(E),
    /// The edit would have made the document invalid.
    #[error(transparent)]
    Invalid(Invalid),
    /// The document cannot be read or written.
    #[error(transparent)]
    Store(StoreError),
}

impl Ledger {
    /// The ledger of the document in the file `path`. Must be called inside a tokio runtime.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Self {
        Self::over(FileStore::new(path))
    }
}

impl<S: Store + Clone> Ledger<S> {
    /// The ledger of the document in `store`. Must be called inside a tokio runtime.
    pub(crate) fn over(store: S) -> Self {
        let cache = Cache::default();
        let (queue, edits) = mpsc::channel(GROUP);
        tokio::spawn(write_groups(store.clone(), cache.clone(), edits));
        Self { store, cache, queue }
    }

    /// The document as this process last read or wrote it; the store is asked once. A missing document is an empty one.
    ///
    /// # Errors
    /// The store cannot be read, or the document in it is invalid or newer.
    pub(crate) async fn read(&self) -> Result<Arc<Document>, StoreError> {
        let mut cache = self.cache.lock().await;
        if let Some(document) = &*cache {
            return Ok(document.clone());
        }
        let (document, _) = load(&self.store).await?;
        let document = Arc::new(document);
        *cache = Some(document.clone());
        Ok(document)
    }

    /// Changes the document and returns when the change is on disk. `edit` runs again if another process wrote in
    /// between.
    ///
    /// # Errors
    /// What `edit` returned, or that the result is not a valid document, or that it cannot be stored.
    pub(crate) async fn edit<R, E, F>(&self, edit: F) -> Result<R, EditError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Document) -> Result<R, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let stopped = || EditError::Store(StoreError::Stopped { place: self.store.place() });
        self.queue.send(Box::new(Edit { edit, outcome: None, reply })).await.map_err(|_| stopped())?;
        match answer.await {
            Ok(Ok(outcome)) => outcome,
            // A panic belongs to the task that brought the edit.
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(stopped()),
        }
    }
}

async fn write_groups<S: Store>(store: S, cache: Cache, mut edits: mpsc::Receiver<Box<dyn Pending>>) {
    let mut group = Vec::new();
    while edits.recv_many(&mut group, GROUP).await > 0 {
        let stored = write_group(&store, &cache, &mut group).await;
        for edit in group.drain(..) {
            edit.finish(stored.clone());
        }
    }
}

async fn write_group<S: Store>(store: &S, cache: &Cache, group: &mut [Box<dyn Pending>]) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        let (before, version) = load(store).await?;
        let mut after = before.clone();
        for edit in &mut *group {
            edit.apply(&mut after);
        }
        after.serial = before.serial;
        if after != before {
            after.serial = before.serial.saturating_add(1);
            match store.save(rendered(store, &after)?, version).await {
                Ok(()) => {}
                Err(SaveError::Conflict) => continue,
                Err(SaveError::Store(error)) => return Err(error),
            }
        }
        *cache.lock().await = Some(Arc::new(after));
        return Ok(());
    }
    Err(StoreError::Contended { place: store.place(), attempts: ATTEMPTS })
}

async fn load<S: Store>(store: &S) -> Result<(Document, Version), StoreError> {
    let loaded = store.load().await?;
    let document = match &loaded.bytes {
        Some(bytes) => Document::parse(bytes).map_err(|error| unreadable(store.place(), error))?,
        None => Document::default(),
    };
    Ok((document, loaded.version))
}

fn unreadable(place: String, error: ParseError) -> StoreError {
    match error {
        ParseError::NewerFormat { found } => StoreError::NewerFormat { place, found },
        ParseError::TooLarge { .. } | ParseError::Json { .. } | ParseError::Invalid(_) => {
            StoreError::Unreadable { place, error }
        }
    }
}

fn rendered<S: Store>(store: &S, document: &Document) -> Result<Vec<u8>, StoreError> {
    let bytes = document.render().into_bytes();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(StoreError::TooLarge { place: store.place(), bytes: bytes.len() });
    }
    Ok(bytes)
}

/// An [`Edit`] without its types, for the queue.
trait Pending: Send {
    /// Changes `document`, or leaves it as it is and remembers why.
    fn apply(&mut self, document: &mut Document);
    /// Tells the caller how it went, once the group is stored or has failed.
    fn finish(self: Box<Self>, stored: Result<(), StoreError>);
}

struct Edit<F, R, E> {
    edit: F,
    outcome: Option<Outcome<R, E>>,
    reply: oneshot::Sender<Outcome<R, E>>,
}

/// The outer error is a panic inside the edit.
type Outcome<R, E> = Result<Result<R, EditError<E>>, Box<dyn Any + Send>>;

impl<F, R, E> Pending for Edit<F, R, E>
where
    R: Send,
    E: Send,
    F: FnMut(&mut Document) -> Result<R, E> + Send,
{
    fn apply(&mut self, document: &mut Document) {
        let mut draft = document.clone();
        // The draft is dropped after a panic, so nobody sees it half changed.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let result = (self.edit)(&mut draft).map_err(EditError::Refused)?;
            draft.validate().map_err(EditError::Invalid)?;
            Ok(result)
        }));
        if matches!(outcome, Ok(Ok(_))) {
            *document = draft;
        }
        self.outcome = Some(outcome);
    }

    fn finish(self: Box<Self>, stored: Result<(), StoreError>) {
        let outcome = match (self.outcome, stored) {
            // It would have failed whatever the store says, and its own reason is the more useful one.
            (Some(outcome @ (Err(_) | Ok(Err(_)))), _) => outcome,
            (Some(outcome), Ok(())) => outcome,
            (_, Err(error)) => Ok(Err(EditError::Store(error))),
            (None, Ok(())) => unreachable!("a group is stored only after each of its edits was applied"),
        };
        // A caller that has gone away needs no answer.
        let _ = self.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests;
