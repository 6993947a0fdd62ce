//! A translator at work without tunnels: interface, routes, engine, and what it follows of the machine it runs on.

use std::time::{Duration, Instant};

use nat64::Engine;
use tokio::time::timeout;
use tun::Tun;

use super::settings::Settings;
use crate::cli::Nat64Args;
use crate::datapath::Traffic;
use crate::datapath::standalone::{self, Handle};
use crate::error::Error;
use crate::network::{Surroundings, accept_own_source, route_pools};
use crate::report::SettingsReport;
use crate::settings::Setting;

/// The kernel's largest: the engine tells senders what is too large, the interface never does.
const TUN_MTU: u16 = u16::MAX;
/// The datapath answers between two batches of packets.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Router {
    datapath: Handle,
    interface: String,
    index: u32,
    settings: Settings,
    surroundings: Surroundings,
}

impl Router {
    /// Sets everything up.
    ///
    /// # Errors
    /// The first thing that could not be done; what was done before it is undone.
    pub(super) async fn start(args: &Nat64Args, settings: Settings) -> Result<Self, Error> {
        // Whatever fails below drops it, and with it all that hangs on it.
        let interface = &args.tun;
        let tun = Tun::open(interface, TUN_MTU, args.workers())?;
        let index = tun.index();
        let surroundings = Surroundings::read(index).await?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        let now = Instant::now();
        let mut engine = Engine::new(settings.engine_config(&surroundings), seed, now);
        for mapping in &args.mappings {
            let added = engine.add_mapping(now, (*mapping).into());
            added.map_err(|error| Error::Usage(format!("--static {mapping}: {error}")))?;
        }
        route_pools(index, &settings.pool6, &settings.pool4).await?;
        if settings.error_sources4().any(|address| surroundings.own_addresses.contains(&address)) {
            accept_own_source(interface);
        }
        let datapath = standalone::start(tun, engine).await.map_err(|error| Error::Nat64(error.to_string()))?;
        warn(&settings.warnings(&surroundings));
        Ok(Self { datapath, interface: interface.clone(), index, settings, surroundings })
    }

    /// Takes everything down.
    pub(super) async fn stop(self) {
        self.datapath.stop().await;
    }

    /// Follows what others did to this machine's network.
    pub(super) async fn look_around(&mut self) {
        match Surroundings::read(self.index).await {
            Ok(surroundings) if surroundings == self.surroundings => {}
            Ok(surroundings) => {
                let known = self.settings.warnings(&self.surroundings);
                let mut news = self.settings.warnings(&surroundings);
                news.retain(|warning| !known.contains(warning));
                warn(&news);
                self.apply(self.settings.clone(), surroundings).await;
            }
            Err(error) => tracing::warn!("this machine's routes and addresses are unknown: {}", error.line()),
        }
    }

    /// Changes a setting.
    pub(super) async fn set(&mut self, setting: Setting) {
        let mut settings = self.settings.clone();
        settings.set(setting);
        self.apply(settings, self.surroundings.clone()).await;
    }

    async fn apply(&mut self, settings: Settings, surroundings: Surroundings) {
        let old = self.settings.engine_config(&self.surroundings);
        let new = settings.engine_config(&surroundings);
        self.settings = settings;
        self.surroundings = surroundings;
        if new != old {
            self.datapath.reconfigure(new).await;
            tracing::info!("{}", self.sentence());
        }
    }

    /// Returns only if the datapath dies.
    pub(super) async fn died(&mut self) -> Error {
        Error::DatapathDied(self.datapath.stopped().await.to_string())
    }

    /// What flows; `None` if the datapath does not answer in time.
    pub(super) async fn traffic(&self) -> Option<Traffic> {
        timeout(PATIENCE, self.datapath.traffic()).await.ok().flatten()
    }

    /// What `work` finds or does in the engine; `None` if the datapath does not answer in time.
    pub(super) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        timeout(PATIENCE, self.datapath.on_engine(work)).await.ok().flatten()
    }

    /// How it translates now.
    pub(super) fn report(&self) -> SettingsReport {
        self.settings.report(&self.interface, &self.surroundings)
    }

    /// The same for the log, for `systemctl status`, and for who changed it.
    pub(super) fn sentence(&self) -> String {
        self.report().to_string()
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}
