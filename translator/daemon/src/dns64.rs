//! The DNS64 server: names for the servers at the other ends of the tunnels, or for a LAN.
//!
//! Everything happens on one thread of its own: a flood of questions delays no packet, and no lock is held anywhere.

mod batch;
mod config;
mod core;
mod counters;
mod crypto;
mod gateway;
mod limiter;
mod probe;
mod random;
mod resolver;
mod standalone;
mod tcp;
mod udp;
mod upstream;
mod validator;
mod waiting;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use ::dns64::Healthy;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};

pub(crate) use config::Config;
pub(crate) use counters::Counts;
pub(crate) use gateway::Resolver;
pub(crate) use standalone::{check, run};

use self::core::{Core, Settings};
use counters::Counters;
use probe::Probe;
use random::Random;
use upstream::Pool;

/// A running resolver; dropping it stops it.
pub(crate) struct Server {
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
    thread: Option<thread::JoinHandle<()>>,
}

enum Command {
    Reconfigure(Box<(Config, Sockets)>, oneshot::Sender<Result<(), String>>),
    Stop,
}

/// Bound sockets; an address that is kept keeps the ones it has.
type Sockets = Vec<(SocketAddr, UdpSocket, TcpListener)>;

impl Server {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    /// An address cannot be listened on, or the certificates for upstreams cannot be read.
    pub(crate) async fn start(config: Config) -> Result<Self, String> {
        let sockets = bind(&config.listen)?;
        let counters = Arc::new(Counters::default());
        let (commands, received) = mpsc::channel(4);
        let (ready, started) = oneshot::channel();
        let shared = Arc::clone(&counters);
        let thread = thread::Builder::new()
            .name("dns64".to_owned())
            .spawn(move || main(config, sockets, shared, received, ready))
            .map_err(|error| format!("no thread: {error}"))?;
        let server = Self { commands, counters, thread: Some(thread) };
        started.await.unwrap_or_else(|_| Err("the resolver's thread ended".to_owned()))?;
        Ok(server)
    }

    /// Follows another configuration. Listeners that stay lose no question.
    ///
    /// # Errors
    /// As [`Self::start`]; the old configuration then stays.
    pub(crate) async fn reconfigure(&self, old: &[SocketAddr], config: Config) -> Result<(), String> {
        let new: Vec<SocketAddr> = config.listen.iter().filter(|address| !old.contains(address)).copied().collect();
        let sockets = bind(&new)?;
        let (done, outcome) = oneshot::channel();
        let gone = |_| "the resolver's thread ended".to_owned();
        let command = Command::Reconfigure(Box::new((config, sockets)), done);
        self.commands.send(command).await.map_err(|_| gone(()))?;
        outcome.await.map_err(|_| gone(()))?
    }

    /// Whether its thread runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Returns only if the thread dies.
    pub(crate) async fn died(&self) -> String {
        self.commands.closed().await;
        "the resolver's thread ended".to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A full queue is no reason to go on: without senders the thread ends as well.
        let _ = self.commands.try_send(Command::Stop);
        let (closed, _) = mpsc::channel(1);
        self.commands = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(addresses: &[SocketAddr]) -> Result<Sockets, String> {
    let one = |address: &SocketAddr| {
        let failed = |error: std::io::Error| format!("cannot listen on {address}: {}", crate::error::Reason(&error));
        Ok((*address, udp::bind(*address).map_err(failed)?, tcp::bind(*address).map_err(failed)?))
    };
    addresses.iter().map(one).collect()
}

fn main(
    config: Config,
    sockets: Sockets,
    counters: Arc<Counters>,
    mut commands: mpsc::Receiver<Command>,
    ready: oneshot::Sender<Result<(), String>>,
) {
    let random = Rc::new(Random::new());
    let settings = match settings(config, &counters, &random, None) {
        Ok(settings) => settings,
        Err(why) => return drop(ready.send(Err(why))),
    };
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(format!("no runtime: {error}")))),
    };
    let mut service =
        Service { core: Rc::new(Core::new(settings, counters, random)), listeners: Vec::new(), probes: Vec::new() };
    LocalSet::new().block_on(&runtime, async move {
        service.listen(sockets);
        service.probe(&[]);
        let _ = ready.send(Ok(()));
        while let Some(command) = commands.recv().await {
            match command {
                Command::Stop => break,
                Command::Reconfigure(what, done) => {
                    let (config, sockets) = *what;
                    let _ = done.send(service.follow(config, sockets));
                }
            }
        }
    });
}

/// What `config` means. Connections, and what is known about zones, stay with who is asked in the same way as before.
fn settings(
    config: Config,
    counters: &Arc<Counters>,
    random: &Rc<Random>,
    before: Option<&Settings>,
) -> Result<Settings, String> {
    if let Some(before) = before.filter(|before| before.config.asks_like(&config)) {
        return Ok(Settings { config, pool: Rc::clone(&before.pool), zones: Rc::clone(&before.zones) });
    }
    let pool = Pool::new(
        &config.upstreams,
        config.upstream_timeout,
        config.random_case,
        &config.ca_file,
        Arc::clone(counters),
        Rc::clone(random),
    )?;
    Ok(Settings { config, pool: Rc::new(pool), zones: Rc::default() })
}

/// What runs on the thread.
struct Service {
    core: Rc<Core>,
    listeners: Vec<(SocketAddr, [JoinHandle<()>; 2])>,
    probes: Vec<JoinHandle<()>>,
}

impl Service {
    fn listen(&mut self, sockets: Sockets) {
        for (address, udp, tcp) in sockets {
            let ended = move |outcome: std::io::Result<()>| {
                if let Err(error) = outcome {
                    tracing::error!("dns64 no longer answers on {address}: {}", crate::error::Reason(&error));
                }
            };
            let [first, second] = [Rc::clone(&self.core), Rc::clone(&self.core)];
            let udp = tokio::task::spawn_local(async move { ended(udp::serve(first, udp).await) });
            let tcp = tokio::task::spawn_local(async move { ended(tcp::serve(second, tcp).await) });
            self.listeners.push((address, [udp, tcp]));
        }
    }

    fn follow(&mut self, config: Config, sockets: Sockets) -> Result<(), String> {
        let before = self.core.settings();
        let settings = settings(config, &self.core.counters, &self.core.random, Some(&before))?;
        let probes_alike = before.config.probes == settings.config.probes;
        let wanted = settings.config.listen.clone();
        self.core.replace(settings);
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.listeners).into_iter().partition(|(address, _)| wanted.contains(address));
        gone.iter().flat_map(|(_, tasks)| tasks).for_each(JoinHandle::abort);
        self.listeners = kept;
        self.listen(sockets);
        if !probes_alike {
            self.probe(&before.config.probes);
        }
        Ok(())
    }

    /// Probes the prefixes. What is thought of one stays if it was probed in the same way `before`.
    fn probe(&mut self, before: &[Option<Probe>]) {
        self.probes.drain(..).for_each(|probe| probe.abort());
        let settings = self.core.settings();
        let then = self.core.healthy();
        let mut now = Healthy::ALL;
        let probes = settings.config.probes.iter().enumerate();
        let probes: Vec<_> = probes.filter_map(|(index, probe)| Some((index, probe.as_ref()?))).collect();
        for (index, probe) in &probes {
            let known = before.iter().position(|before| before.as_ref() == Some(probe));
            now = now.with(*index, known.is_none_or(|known| then.contains(known)));
        }
        self.core.set_healthy(now);
        self.probes = probes.into_iter().map(|(index, probe)| probe::start(&self.core, index, probe.clone())).collect();
    }
}
