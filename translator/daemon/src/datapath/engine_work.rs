//! Work for the task that owns the engine, brought to it by a command: tables are looked at and changed between packets.

use std::time::Instant;

use nat64::Engine;
use tokio::sync::oneshot;

/// Something to do with the engine, and where its result goes.
pub(super) struct EngineWork(Box<Work>);

type Work = dyn FnOnce(&mut Engine, Instant) + Send;

impl EngineWork {
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
        answer: oneshot::Sender<T>,
    ) -> Self {
        Self(Box::new(move |engine, now| {
            // Who asked may have stopped waiting.
            let _ = answer.send(work(engine, now));
        }))
    }

    pub(super) fn run(self, engine: &mut Engine, now: Instant) {
        (self.0)(engine, now);
    }
}
