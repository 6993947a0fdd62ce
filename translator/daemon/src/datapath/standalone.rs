//! The way of a packet without tunnels: the TUN interface on both sides, the engine between.
//!
//! The interface has a queue for each worker. The task that is spoken to has one of its own, and looks after the others,
//! each of which is a thread.

mod lane;
mod translation;

use std::time::Instant;

use nat64::{Config, Engine};
use tokio::select;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tun::{Queue, Tun};

use super::engine_work::EngineWork;
use super::task::{Task, unasked};
use super::{DatapathError, Traffic};
use lane::Lane;
use translation::Shared;

/// A running datapath without tunnels. Dropping it stops the datapath, but nobody waits for that.
pub(crate) struct Handle {
    task: Task<Command>,
}

enum Command {
    Engine(EngineWork),
    Traffic { answer: oneshot::Sender<Traffic> },
}

/// Starts the datapath as a task. The seed must be unpredictable.
///
/// # Errors
/// [`DatapathError::Register`] of the first queue; the interface is gone then. Of another one [`Handle::stopped`] tells.
// Registering descriptors needs a runtime, which only an async function is sure to be called in.
#[expect(clippy::unused_async, reason = "tells callers that a tokio runtime is needed")]
pub(crate) async fn start(tun: Tun, engine: Engine) -> Result<Handle, DatapathError> {
    let offload = tun.offload();
    let shared = Shared::new(engine);
    let mut queues = tun.into_queues();
    let lane = Lane::new(queues.next().expect("an interface has a queue"), shared.clone())?;
    let (running, stop) = watch::channel(());
    let mut others = JoinSet::new();
    for queue in queues {
        let (shared, stop) = (shared.clone(), stop.clone());
        others.spawn_blocking(|| run_lane(queue, shared, stop));
    }
    let worker = Worker { lane, running, others, shared, offload };
    Ok(Handle { task: Task::spawn(|commands| worker.run(commands)) })
}

/// Moves the packets of a queue until `stop` is closed. Lanes of one runtime would share what waits for their queues, and
/// wake each other up.
fn run_lane(queue: Queue, shared: Shared, stop: watch::Receiver<()>) -> Result<(), DatapathError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DatapathError::Register)?;
    runtime.block_on(async { Lane::new(queue, shared)?.run(stop).await })
}

impl Handle {
    /// Changes the engine's configuration; nothing happens when the datapath is dead, which [`Handle::stopped`] reports.
    pub(crate) async fn reconfigure(&self, config: Config) {
        let _ = self.on_engine(|engine, now| engine.reconfigure(now, config)).await;
    }

    /// What `work` finds or does between two batches of packets; `None` when the datapath is dead.
    pub(crate) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.task.ask(|answer| Command::Engine(EngineWork::new(work, answer))).await
    }

    /// How things are now; `None` when the datapath is dead.
    pub(crate) async fn traffic(&self) -> Option<Traffic> {
        self.task.ask(|answer| Command::Traffic { answer }).await
    }

    /// Resolves only if the datapath dies by itself, and only once. Cancel safe.
    pub(crate) async fn stopped(&mut self) -> DatapathError {
        self.task.stopped().await
    }

    /// Ends the datapath; the interface is gone afterwards, and with it every route into it.
    pub(crate) async fn stop(self) {
        self.task.stop().await;
    }
}

/// What the task owns.
struct Worker {
    lane: Lane,
    /// The other lanes come to an end when this is gone.
    running: watch::Sender<()>,
    others: JoinSet<Result<(), DatapathError>>,
    shared: Shared,
    offload: tun::Offload,
}

enum Event {
    Command(Option<Command>),
    /// Another lane came to an end.
    Ended(DatapathError),
}

impl Worker {
    /// Runs until the last handle is gone, or something breaks.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), DatapathError> {
        let outcome = self.serve(&mut commands).await;
        // Their queues must be gone, too.
        drop(self.running);
        while self.others.join_next().await.is_some() {}
        outcome
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<(), DatapathError> {
        let Self { lane, running: _, others, shared, offload } = self;
        loop {
            let other = async {
                select! {
                    command = commands.recv() => Event::Command(command),
                    Some(ended) = others.join_next() => Event::Ended(unasked(ended)),
                }
            };
            match lane.step(other).await? {
                None => {}
                Some(Event::Command(Some(command))) => {
                    let now = Instant::now();
                    handle_command(shared, now, *offload, command);
                    lane.handle_timeout(now)?;
                }
                Some(Event::Command(None)) => return Ok(()),
                Some(Event::Ended(error)) => return Err(error),
            }
        }
    }
}

fn handle_command(shared: &Shared, now: Instant, offload: tun::Offload, command: Command) {
    let mut state = shared.lock();
    match command {
        Command::Engine(work) => work.run(&mut state.engine, now),
        Command::Traffic { answer } => {
            let _ = answer.send(Traffic::of(&state.engine, state.drops.iter(), offload.as_str().to_owned()));
        }
    }
}
