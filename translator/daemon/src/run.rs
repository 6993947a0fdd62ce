//! The main loop: one thing happens at a time, and everything that can happen is in [`Event`].

use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cli::RunArgs;
use crate::control::{Control, Query, Request, Response};
use crate::datapath::Snapshot;
use crate::discovery::{self, Completed, Discovery, Kept, Trials};
use crate::document_status::DocumentStatus;
use crate::error::Error;
use crate::last_good::LastGood;
use crate::network::{Monitor, Needs, check_requirements};
use crate::report::{Dns64Report, GatewayReport, Report};
use crate::service::{Options, Service};
use crate::signals::Signals;
use crate::source::{Config, Source};
use crate::systemd::{self, Watchdog};
use crate::tables;
use crate::watch::Watch;

/// A new address is seen within this time, and rules that somebody flushed are put back; each protects while the other is
/// missing.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(30);

/// What systemd calls the token (`LoadCredential=`).
const TOKEN_CREDENTIAL: &str = "hetzner-token";

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// Why it could not start, or why it stopped by itself. Nothing stays behind in either case.
pub(crate) async fn run(args: RunArgs) -> Result<(), Error> {
    let started = Instant::now();
    let signals = Signals::new()?;
    let watch = Watch::new(&args.state);
    let source = source(&args);
    let (config, refused) = source.load_or_last_good()?;
    check_requirements(Needs::Nftables)?;
    let control = Control::bind(&args.control.socket)?;
    let document = DocumentStatus::new(started, args.state.clone(), config.serial, refused.as_ref());
    // Before the first look at the network: no change may fall between the two.
    let monitor = Monitor::start()?;
    let discovery = Discovery::start(discovery_options(&args))?;
    discovery.follow(&config.gateway);
    let trials = Trials::default();
    let (completed, notes) = complete(&discovery, &config, &trials);
    let options = Options { tun: args.tun, listen_port: args.listen_port };
    let service = Service::start(options, completed).await?;
    source.remember(&config);
    tracing::info!("gateway {} serves, peers: {}", source.gateway, service.config().gateway.peers.len());
    systemd::ready(&document.sentence());

    let translator = Translator { source, document, config, discovery, trials, notes, started };
    translator.serve(service, Events::new(signals, watch, control, monitor)).await
}

fn source(args: &RunArgs) -> Source {
    let in_state_directory = || {
        let directories = env::var("STATE_DIRECTORY").ok()?;
        LastGood::in_state_directory(&directories, &args.gateway)
    };
    Source {
        state: args.state.clone(),
        gateway: args.gateway.clone(),
        private_key: args.private_key.clone(),
        last_good: args.last_good.clone().map(LastGood::at).or_else(in_state_directory),
    }
}

fn discovery_options(args: &RunArgs) -> discovery::Options {
    let credential = || {
        let path = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?).join(TOKEN_CREDENTIAL);
        path.exists().then_some(path)
    };
    let in_state_directory =
        || env::var("STATE_DIRECTORY").map(|directories| Kept::in_state_directory(&directories, &args.gateway));
    discovery::Options {
        kept: args.found.clone().map_or_else(|| in_state_directory().unwrap_or_default(), Kept::at),
        token: args.hetzner_token.clone().or_else(credential),
        endpoint: args.hetzner_api.clone(),
        ca_file: args.ca_file.clone(),
    }
}

/// The configuration with what is known of its servers, and what does not fit together.
fn complete(discovery: &Discovery, config: &Config, trials: &Trials) -> (Config, Vec<String>) {
    let Completed { gateway, notes } = discovery.complete(&config.gateway, trials);
    (Config { gateway, ..config.clone() }, notes)
}

struct Translator {
    source: Source,
    document: DocumentStatus,
    /// As the document has it; the service runs on what discovery makes of it.
    config: Config,
    discovery: Discovery,
    trials: Trials,
    notes: Vec<String>,
    started: Instant,
}

impl Translator {
    async fn serve(mut self, mut service: Service, mut events: Events) -> Result<(), Error> {
        let outcome = loop {
            match events.next(&mut service, &mut self.discovery).await {
                Event::Stop => break Ok(()),
                Event::Died(error) => break Err(error),
                Event::Reload => {
                    service.look_around().await;
                    service = self.reload(service).await?;
                }
                Event::Document => service = self.reload(service).await?,
                Event::Found => service = self.follow_servers(service).await?,
                Event::LookAround => service.look_around().await,
                Event::Network => service.look_at_addresses().await,
                Event::Query(query) => {
                    let response = self.answer(query.request, &service).await;
                    // Who asked may be gone.
                    let _ = query.answer.send(response);
                }
                Event::Watchdog => {
                    if service.snapshot().await.is_some() {
                        systemd::alive();
                    }
                }
            }
        };
        systemd::stopping();
        service.stop().await;
        outcome
    }

    /// Follows the document, or says why not; the service that results.
    async fn reload(&mut self, service: Service) -> Result<Service, Error> {
        let service = self.follow_document(service).await?;
        systemd::status(&self.document.sentence());
        Ok(service)
    }

    async fn follow_document(&mut self, mut service: Service) -> Result<Service, Error> {
        let config = match self.source.load() {
            Ok(config) => config,
            Err(error @ Error::GatewayMissing { .. }) => {
                service.withdraw().await;
                self.config.gateway.peers.clear();
                self.config.gateway.groups.clear();
                self.config.gateway.discovery = None;
                self.discovery.follow(&self.config.gateway);
                self.source.forget();
                self.document.withdrawn(Instant::now(), &error);
                return Ok(service);
            }
            Err(error) => {
                self.document.refused(Instant::now(), &error);
                return Ok(service);
            }
        };
        self.trials.rotate(&self.config.gateway, &config.gateway, service.config().gateway.peers.keys());
        let (completed, notes) = complete(&self.discovery, &config, &self.trials);
        let (service, outcome) = service.follow(completed).await?;
        match outcome {
            Ok(()) => {
                self.discovery.follow(&config.gateway);
                self.source.remember(&config);
                self.document.applied(Instant::now(), config.serial);
                (self.config, self.notes) = (config, notes);
            }
            Err(error) => self.document.refused(Instant::now(), &error),
        }
        Ok(service)
    }

    /// Follows what was found of the servers, on the document that is in force.
    async fn follow_servers(&mut self, service: Service) -> Result<Service, Error> {
        if Trials::are_due(&self.config.gateway)
            && let Some(snapshot) = service.snapshot().await
        {
            self.trials.turn(&self.config.gateway, &snapshot.peers);
        }
        let (completed, notes) = complete(&self.discovery, &self.config, &self.trials);
        for note in notes.iter().filter(|note| !self.notes.contains(note)) {
            tracing::warn!("{note}");
        }
        self.notes = notes;
        let (service, outcome) = service.follow(completed).await?;
        if let Err(error) = outcome {
            tracing::error!("what was found of the servers cannot be applied: {}", error.line());
        }
        Ok(service)
    }

    async fn answer(&self, request: Request, service: &Service) -> Response {
        match request {
            Request::Status {} => service.snapshot().await.map(|snapshot| self.status(service, snapshot)),
            Request::Table { request } => {
                service.on_engine(move |engine, now| tables::answer(request, engine, now)).await
            }
            Request::Set { .. } => {
                Some(Response::Refused("this translator's settings come from Terraform; change them there".to_owned()))
            }
        }
        .unwrap_or_else(|| Response::Error("the datapath does not answer".to_owned()))
    }

    fn status(&self, service: &Service, snapshot: Snapshot) -> Response {
        Response::Status(Box::new(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_secs: self.started.elapsed().as_secs(),
            gateway: self.gateway(service),
            document: self.document.report(Instant::now()),
            datapath: snapshot.into(),
            dns64: dns64(service),
            discovery: self.discovery.report(&self.config.gateway, &self.notes),
        }))
    }

    fn gateway(&self, service: &Service) -> GatewayReport {
        let gateway = &service.config().gateway;
        GatewayReport {
            name: self.source.gateway.clone(),
            public_key: gateway.public_key,
            interface: service.interface().to_owned(),
            pool6: gateway.pool6,
            address6: gateway.address6,
            address4: gateway.address4(),
            pool4: service.outside().to_string(),
            mtu_bytes: gateway.mtu,
        }
    }
}

fn dns64(service: &Service) -> Option<Dns64Report> {
    let (resolver, is_wanted) = (service.dns64(), service.config().gateway.dns64.is_some());
    is_wanted.then(|| Dns64Report {
        problem: resolver.problem().map(str::to_owned),
        answered: resolver.counts().unwrap_or_default(),
    })
}

/// What the main loop reacts to.
enum Event {
    /// SIGTERM or SIGINT.
    Stop,
    /// The datapath ended by itself.
    Died(Error),
    /// SIGHUP.
    Reload,
    /// The document may have changed.
    Document,
    /// Something was found of the servers, or could not be.
    Found,
    /// Time to see what others did to this machine's network.
    LookAround,
    /// Addresses or routes of this machine changed.
    Network,
    /// Somebody asks.
    Query(Query),
    /// systemd wants a sign of life.
    Watchdog,
}

struct Events {
    signals: Signals,
    watch: Watch,
    control: Control,
    monitor: Monitor,
    look_around: Interval,
    watchdog: Watchdog,
}

impl Events {
    fn new(signals: Signals, watch: Watch, control: Control, monitor: Monitor) -> Self {
        let mut look_around = interval(LOOK_AROUND_EVERY);
        look_around.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { signals, watch, control, monitor, look_around, watchdog: Watchdog::new() }
    }

    /// The next event. In order of importance: a busy control socket must not delay the end.
    async fn next(&mut self, service: &mut Service, discovery: &mut Discovery) -> Event {
        tokio::select! {
            biased;
            _ = self.signals.terminate.recv() => Event::Stop,
            _ = self.signals.interrupt.recv() => Event::Stop,
            error = service.died() => Event::Died(error),
            () = self.watchdog.due() => Event::Watchdog,
            _ = self.signals.hang_up.recv() => Event::Reload,
            () = self.watch.changed() => Event::Document,
            () = discovery.changed() => Event::Found,
            _ = self.look_around.tick() => Event::LookAround,
            () = self.monitor.changed() => Event::Network,
            query = self.control.next() => Event::Query(query),
        }
    }
}
