//! A translator at work: the TUN interface, the kernel's network around it, and the datapath between TUN and tunnels.
//!
//! Invariant: a service runs on one [`Config`]; when it is gone, so is everything that it created.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use contract::Name;
use nat64::Engine;
use tokio::time::timeout;
use tun::Tun;

use crate::datapath::{self, Applied, Handle, Snapshot, Start};
use crate::dns64::Resolver;
use crate::egress::Outside;
use crate::error::Error;
use crate::network::{Machine, Network, Plan};
use crate::source::Config;

/// What comes from the TUN may be this large; the engine, not the kernel, tells senders what fits into a tunnel.
const TUN_MTU: u16 = 1500;
/// The datapath answers between two batches of packets.
const PATIENCE: Duration = Duration::from_secs(2);

/// What does not come from the document.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) tun: String,
    pub(crate) listen_port: u16,
}

// Fields drop in this order: the fence falls after what it fences.
pub(crate) struct Service {
    dns64: Resolver,
    datapath: Handle,
    network: Network,
    options: Options,
    plan: Plan,
    config: Config,
    machine: Machine,
}

impl Service {
    /// Sets up the interface, the network and the datapath.
    ///
    /// # Errors
    /// The first thing that could not be done; what was done before it is undone.
    pub(crate) async fn start(options: Options, config: Config) -> Result<Self, Error> {
        let tun = Tun::open(&options.tun, TUN_MTU, NonZeroUsize::MIN)?;
        let machine = Machine::read(tun.index()).await?;
        let plan = Plan::new(tun.name(), tun.index(), &config.gateway, &machine);
        let network = Network::set_up(&plan).await?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        let start = Start {
            tun,
            private_key: config.private_key.clone(),
            gateway: config.gateway.clone(),
            machine: machine.clone(),
            seed,
            listen_port: options.listen_port,
        };
        let datapath = datapath::start(start).await.map_err(|error| Error::Datapath(error.to_string()))?;
        let mut dns64 = Resolver::default();
        dns64.follow(&config.gateway).await;
        Ok(Self { dns64, datapath, network, options, plan, config, machine })
    }

    /// Takes everything down; what it ran on.
    pub(crate) async fn stop(self) -> (Options, Config) {
        drop(self.dns64);
        // First the packets, then the fence.
        self.datapath.stop().await;
        drop(self.network);
        (self.options, self.config)
    }

    /// Follows a changed configuration. Peers that did not change keep their sessions, unless the gateway itself became
    /// another: then everything starts afresh.
    ///
    /// # Errors
    /// Why the new configuration cannot be applied, with the service that runs on the old one; or, if there is none any
    /// more, why.
    pub(crate) async fn follow(mut self, config: Config) -> Result<(Self, Result<(), Error>), Error> {
        if config == self.config {
            return Ok((self, Ok(())));
        }
        if self.must_restart(&config) {
            return self.restart(config).await;
        }
        let outcome = self.apply(config).await;
        Ok((self, outcome))
    }

    /// Takes every peer's access away: the author removed the gateway.
    pub(crate) async fn withdraw(&mut self) {
        self.config.gateway.peers.clear();
        self.apply_to_datapath().await;
        self.dns64.follow(&self.config.gateway).await;
    }

    /// Notices what others did to this machine's network: puts our rules back, and looks at its addresses.
    pub(crate) async fn look_around(&mut self) {
        if self.dns64.needs_care() {
            self.dns64.follow(&self.config.gateway).await;
        }
        if let Err(error) = self.network.keep() {
            tracing::error!("peers can reach services on this machine: {}", error.line());
        }
        self.look_at_addresses().await;
    }

    /// Refuses this machine's new addresses as destinations, and follows the uplink's if it is shared.
    pub(crate) async fn look_at_addresses(&mut self) {
        let machine = match Machine::read(self.plan.index).await {
            Ok(machine) if machine == self.machine => return,
            Ok(machine) => machine,
            Err(error) => return tracing::warn!("this machine's addresses are unknown: {}", error.line()),
        };
        tracing::info!("this machine's addresses changed; peers can reach none of them");
        let before = std::mem::replace(&mut self.machine, machine);
        match self.follow_plan(&self.plan_for(&self.config)).await {
            Ok(()) => self.apply_to_datapath().await,
            Err(error) => {
                tracing::error!("packets still leave from an old address: {}", error.line());
                // Tried again the next time.
                self.machine = before;
            }
        }
    }

    /// Returns only if the datapath dies.
    pub(crate) async fn died(&mut self) -> Error {
        Error::DatapathDied(self.datapath.stopped().await.to_string())
    }

    /// What flows; `None` if the datapath does not answer in time.
    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        timeout(PATIENCE, self.datapath.snapshot()).await.ok()
    }

    /// What `work` finds or does in the engine; `None` if the datapath does not answer in time.
    pub(crate) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        timeout(PATIENCE, self.datapath.on_engine(work)).await.ok().flatten()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// How translated packets leave now.
    pub(crate) fn outside(&self) -> &Outside {
        &self.plan.outside
    }

    pub(crate) fn dns64(&self) -> &Resolver {
        &self.dns64
    }

    pub(crate) fn interface(&self) -> &str {
        &self.plan.name
    }

    /// Whether peers know the gateway by something that changed; their sessions are lost in any case then.
    fn must_restart(&self, config: &Config) -> bool {
        let (old, new) = (&self.config, config);
        old.private_key != new.private_key
            || old.gateway.address6 != new.gateway.address6
            || old.gateway.ipv4_prefix != new.gateway.ipv4_prefix
    }

    async fn apply(&mut self, config: Config) -> Result<(), Error> {
        self.follow_plan(&self.plan_for(&config)).await?;
        let changed = config.gateway != self.config.gateway;
        self.config = config;
        if changed {
            self.apply_to_datapath().await;
            self.dns64.follow(&self.config.gateway).await;
        }
        Ok(())
    }

    fn plan_for(&self, config: &Config) -> Plan {
        Plan::new(&self.plan.name, self.plan.index, &config.gateway, &self.machine)
    }

    /// Changes the kernel's side; nothing flows by the new plan before the datapath knows of it too.
    async fn follow_plan(&mut self, plan: &Plan) -> Result<(), Error> {
        if *plan == self.plan {
            return Ok(());
        }
        self.network.follow(plan).await?;
        if plan.outside != self.plan.outside {
            tracing::info!("packets leave from {}", plan.outside);
        }
        self.plan = plan.clone();
        Ok(())
    }

    async fn apply_to_datapath(&self) {
        let applied = self.datapath.apply(self.config.gateway.clone(), self.machine.clone()).await;
        let Applied { added, changed, removed } = &applied;
        for (names, what) in [(added, "added"), (changed, "changed"), (removed, "removed")] {
            if !names.is_empty() {
                tracing::info!("peers {what}: {}", join(names));
            }
        }
    }

    async fn restart(self, config: Config) -> Result<(Self, Result<(), Error>), Error> {
        tracing::info!("the gateway's keys or addresses changed; every tunnel starts afresh");
        let (options, old) = self.stop().await;
        match Self::start(options.clone(), config).await {
            Ok(service) => Ok((service, Ok(()))),
            Err(error) => {
                tracing::warn!("back to the last good configuration: {}", error.line());
                Ok((Self::start(options, old).await?, Err(error)))
            }
        }
    }
}

fn join(names: &[Name]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}
