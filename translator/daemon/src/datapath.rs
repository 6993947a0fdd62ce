//! The way of a packet through the daemon: tunnels on one side, the TUN interface on the other, the engine between.
//!
//! One task owns all three and is talked to by messages, so that nothing on the way of a packet takes a lock.

mod drops;
mod engine_work;
mod outlet;
mod path;
mod reconcile;
mod route;
mod snapshot;
pub(crate) mod standalone;
mod steered;
mod task;
mod worker;

use std::io;
use std::time::Instant;

use contract::{Gateway, Name, PrivateKey};
use nat64::Engine;
use tun::Tun;
use tunnel::{BindError, Socket};

use crate::network::Machine;
use engine_work::EngineWork;
use task::Task;
use worker::{Command, Worker};

pub(crate) use snapshot::{PeerSnapshot, Snapshot, Traffic};

/// Why there is no datapath, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatapathError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot wait for the TUN interface: {0}")]
    Register(io::Error),
    #[error("the TUN interface is gone; did somebody delete it?")]
    TunGone,
    #[error("cannot read from the TUN interface: {0}")]
    TunRead(io::Error),
    #[error("cannot read from the UDP socket: {0}")]
    Socket(io::Error),
    #[error("internal error in the datapath: {0}")]
    Panicked(String),
}

impl DatapathError {
    /// Why nobody can wait for the TUN interface.
    fn of_wait(error: io::Error) -> Self {
        if error.raw_os_error() == Some(libc::EBADFD) { Self::TunGone } else { Self::TunRead(error) }
    }
}

/// What a datapath starts with.
pub(crate) struct Start {
    pub(crate) tun: Tun,
    /// A changed key needs a new datapath: every session dies with it anyway.
    pub(crate) private_key: PrivateKey,
    pub(crate) gateway: Gateway,
    /// Whose addresses no peer may reach, and whose uplink may be shared.
    pub(crate) machine: Machine,
    /// Unpredictable; port and identifier choices come from it.
    pub(crate) seed: [u8; 32],
    /// UDP; 0 takes any free one.
    pub(crate) listen_port: u16,
}

/// Which peers a changed document touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) added: Vec<Name>,
    pub(crate) changed: Vec<Name>,
    pub(crate) removed: Vec<Name>,
}

/// A running datapath. Dropping it stops the datapath as [`Handle::stop`] does, but nobody waits for that.
pub(crate) struct Handle {
    task: Task<Command>,
}

/// Starts the datapath as a task and dials every peer that has an endpoint.
///
/// # Errors
/// [`DatapathError::Bind`] or [`DatapathError::Register`]; the interface is gone then.
// Registering descriptors needs a runtime, which only an async function is sure to be called in.
#[expect(clippy::unused_async, reason = "tells callers that a tokio runtime is needed")]
pub(crate) async fn start(start: Start) -> Result<Handle, DatapathError> {
    let socket = Socket::bind(start.listen_port)?;
    let worker = Worker::new(start, socket, Instant::now())?;
    Ok(Handle { task: Task::spawn(|commands| worker.run(commands)) })
}

impl Handle {
    /// Follows a changed document. Peers that did not change keep their sessions; so do those of which only the
    /// endpoint changed. Says that nothing changed when the datapath is dead, which [`Handle::stopped`] reports.
    pub(crate) async fn apply(&self, gateway: Gateway, machine: Machine) -> Applied {
        let gateway = Box::new(gateway);
        self.task.ask(|answer| Command::Apply { gateway, machine, answer }).await.unwrap_or_default()
    }

    /// How things are now. Empty when the datapath is dead.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.task.ask(|answer| Command::Snapshot { answer }).await.unwrap_or_default()
    }

    /// What `work` finds or does between two batches of packets; `None` when the datapath is dead.
    pub(crate) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.task.ask(|answer| Command::Engine(EngineWork::new(work, answer))).await
    }

    /// Resolves only if the datapath dies by itself, and only once. Cancel safe.
    pub(crate) async fn stopped(&mut self) -> DatapathError {
        self.task.stopped().await
    }

    /// Ends the datapath; its interface and its port are free afterwards.
    pub(crate) async fn stop(self) {
        self.task.stop().await;
    }
}
