//! The task that owns a datapath: waits for packets, time and commands, and answers the latter.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use contract::{DeniedPort, Gateway, Name, Peer, PublicKey, Transport};
use nat64::{Engine, Limits, Protocol};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tunnel::{PeerStats, Socket, Tunnels};

use super::engine_work::EngineWork;
use super::path::Path;
use super::reconcile::{Changes, changes};
use super::route::Addresses;
use super::snapshot::offload;
use super::{Applied, DatapathError, PeerSnapshot, Snapshot, Start, Traffic};
use crate::egress::Outside;
use crate::network::Machine;

/// Of the TUN interface and, for all the engine knows, the way beyond it, in bytes.
const OUTSIDE_MTU: u16 = 1500;

/// What the owner of a [`Handle`](super::Handle) may ask for. No answer means that the owner has stopped waiting.
pub(super) enum Command {
    Apply { gateway: Box<Gateway>, machine: Machine, answer: oneshot::Sender<Applied> },
    Snapshot { answer: oneshot::Sender<Snapshot> },
    Engine(EngineWork),
}

/// A datapath before and while it runs.
pub(super) struct Worker {
    path: Path,
    gateway: Gateway,
    engine_config: nat64::Config,
    listen_port: u16,
    offload: tun::Offload,
}

enum Event {
    Command(Option<Command>),
    Frames,
    Datagrams,
    Room,
    Time,
}

impl Worker {
    /// Puts the parts together and dials the peers.
    pub(super) fn new(start: Start, socket: Socket, now: Instant) -> Result<Self, DatapathError> {
        let Start { tun, private_key, gateway, machine, seed, listen_port: _ } = start;
        let listen_port = socket.local_port().map_err(DatapathError::Socket)?;
        let offload = tun.offload();
        let port = tun.into_port().map_err(DatapathError::Register)?;
        let engine_config = engine_config(&gateway, &machine);
        let engine = Engine::new(engine_config.clone(), seed, now);
        let tunnels = Tunnels::new(&private_key, gateway.mtu, now);
        let path = Path::new(port, socket, tunnels, engine, Addresses::of(&gateway, &machine, listen_port));
        let mut worker = Self { path, engine_config, listen_port, offload, gateway };
        let first = changes(None, &worker.gateway);
        worker.follow(now, &first);
        Ok(worker)
    }

    /// Runs until the last handle is gone, or something breaks.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), DatapathError> {
        loop {
            self.path.flush()?;
            let event = self.next_event(&mut commands).await?;
            let now = Instant::now();
            match event {
                Event::Command(Some(command)) => self.handle_command(now, command),
                Event::Command(None) => return Ok(()),
                Event::Frames => self.path.handle_frames(now)?,
                Event::Datagrams => {
                    self.path.handle_datagrams(now)?;
                    self.path.handle_answers(now)?;
                }
                Event::Room | Event::Time => {}
            }
            if now >= self.path.poll_timeout() {
                self.path.handle_timeout(now);
            }
        }
    }

    async fn next_event(&self, commands: &mut mpsc::Receiver<Command>) -> Result<Event, DatapathError> {
        let Path { outlet, socket, .. } = &self.path;
        let blocked = self.path.is_blocked();
        select! {
            command = commands.recv() => Ok(Event::Command(command)),
            ready = outlet.port.readable(), if !blocked => ready.map(|()| Event::Frames).map_err(DatapathError::of_wait),
            ready = socket.readable() => ready.map(|()| Event::Datagrams).map_err(DatapathError::Socket),
            ready = socket.writable(), if blocked => ready.map(|()| Event::Room).map_err(DatapathError::Socket),
            () = sleep_until(self.path.poll_timeout().into()) => Ok(Event::Time),
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Apply { gateway, machine, answer } => {
                let _ = answer.send(self.apply(now, *gateway, &machine));
            }
            Command::Snapshot { answer } => {
                let _ = answer.send(self.snapshot(now));
            }
            Command::Engine(work) => work.run(&mut self.path.engine, now),
        }
    }

    fn apply(&mut self, now: Instant, gateway: Gateway, machine: &Machine) -> Applied {
        let engine_config = engine_config(&gateway, machine);
        if engine_config != self.engine_config {
            self.path.engine.reconfigure(now, engine_config.clone());
            self.engine_config = engine_config;
        }
        self.path.tunnels.set_mtu(gateway.mtu);
        self.path.addresses = Addresses::of(&gateway, machine, self.listen_port);
        let changes = changes(Some(&self.gateway), &gateway);
        self.follow(now, &changes);
        self.gateway = gateway;
        changes.applied
    }

    fn follow(&mut self, now: Instant, changes: &Changes) {
        let wall = SystemTime::now();
        for key in &changes.remove {
            self.path.tunnels.remove_peer(key);
        }
        for prefix in &changes.forget {
            self.path.engine.forget_inside(*prefix);
        }
        for config in &changes.set {
            self.path.tunnels.set_peer(now, wall, config.clone());
        }
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let Path { engine, tunnels, drops, socket, .. } = &self.path;
        let stats: BTreeMap<PublicKey, PeerStats> = tunnels.stats().map(|stats| (stats.public_key, stats)).collect();
        let of_tunnels = tunnels.drops().non_zero().map(|(reason, count)| (reason.as_str(), count));
        Snapshot {
            peers: self.gateway.peers.iter().map(|(name, peer)| peer_snapshot(now, name, peer, &stats)).collect(),
            listen_port: self.listen_port,
            traffic: Traffic::of(
                engine,
                of_tunnels.chain(drops.iter()),
                offload(self.offload.as_str(), socket.offload()),
            ),
        }
    }
}

fn peer_snapshot(now: Instant, name: &Name, peer: &Peer, stats: &BTreeMap<PublicKey, PeerStats>) -> PeerSnapshot {
    let stats = stats.get(&peer.public_key);
    let handshake = stats.and_then(|stats| stats.latest_handshake);
    PeerSnapshot {
        name: name.clone(),
        public_key: peer.public_key,
        prefix: peer.prefix,
        ipv4: peer.ipv4,
        endpoint: stats.and_then(|stats| stats.endpoint).map(SocketAddr::V6),
        latest_handshake_secs_ago: handshake.map(|at| now.saturating_duration_since(at).as_secs()),
        rx_bytes: stats.map_or(0, |stats| stats.rx_bytes),
        tx_bytes: stats.map_or(0, |stats| stats.tx_bytes),
    }
}

fn engine_config(gateway: &Gateway, machine: &Machine) -> nat64::Config {
    let policy = gateway.policy.clone().unwrap_or_default();
    let limits = Limits::default();
    nat64::Config {
        pool6: vec![gateway.pool6],
        pool4: Outside::of(gateway, machine.uplink).pool4(),
        ipv4_peers: gateway.ipv4_prefix,
        address6: gateway.address6,
        address4: gateway.address4(),
        mtu6: gateway.mtu,
        mtu4: OUTSIDE_MTU,
        // The tunnel is the whole way to a peer.
        lowest_ipv6_mtu: gateway.mtu,
        own_addresses: machine.own_addresses.iter().chain(&policy.home_addresses).copied().collect(),
        allow: policy.allow,
        // Servers reach one another over native IPv6, where their firewalls see who comes.
        hairpinning: nat64::Hairpinning::Off,
        denied_ports: policy.denied_ports.iter().map(denied_port).collect(),
        limits: Limits {
            new_flows_per_second: policy.new_flows_per_second.unwrap_or(limits.new_flows_per_second),
            sessions_per_peer: policy.flows_per_peer.unwrap_or(limits.sessions_per_peer),
            ..limits
        },
        ..nat64::Config::default()
    }
}

fn denied_port(denied: &DeniedPort) -> (Protocol, u16) {
    let protocol = match denied.transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    (protocol, denied.port)
}
