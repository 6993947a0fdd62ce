//! The task that a datapath is: started once, spoken to by commands, ended by letting go.

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use super::DatapathError;

/// Callers wait for answers, so there are never more commands than callers.
const COMMAND_QUEUE: usize = 8;

/// A running task. Dropping it ends the task as [`Task::stop`] does, but nobody waits for that.
pub(super) struct Task<C> {
    commands: mpsc::Sender<C>,
    /// `None` once its end was reported.
    task: Option<JoinHandle<Result<(), DatapathError>>>,
}

impl<C> Task<C> {
    /// Starts a task of the current runtime that ends when no command can come any more.
    pub(super) fn spawn<F>(run: impl FnOnce(mpsc::Receiver<C>) -> F) -> Self
    where
        F: Future<Output = Result<(), DatapathError>> + Send + 'static,
    {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        Self { commands, task: Some(tokio::spawn(run(receiver))) }
    }

    /// The answer to a command; `None` when the task is dead.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> C) -> Option<T> {
        let (answer, receiver) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        receiver.await.ok()
    }

    /// Resolves only if the task dies by itself, and only once. Cancel safe.
    pub(super) async fn stopped(&mut self) -> DatapathError {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let end = task.await;
        self.task = None;
        unasked(end)
    }

    /// Ends the task; what it owned is gone afterwards.
    pub(super) async fn stop(self) {
        drop(self.commands);
        if let Some(Err(error)) = async { Some(self.task?.await) }.await {
            tracing::error!(%error, "datapath");
        }
    }
}

/// Why a task ended that was to run for ever.
pub(super) fn unasked(end: Result<Result<(), DatapathError>, JoinError>) -> DatapathError {
    match end {
        Ok(Err(error)) => error,
        Ok(Ok(())) => DatapathError::Panicked("it ended unasked".to_owned()),
        Err(error) => DatapathError::Panicked(error.to_string()),
    }
}
