//! The stand-alone mode: an engine between the two sides of a TUN interface, on a router that somebody else runs.

mod bench;
mod router;
mod settings;

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::cli::Nat64Args;
use crate::control::{Control, Query, Request, Response};
use crate::error::Error;
use crate::network::{Monitor, Needs, check_requirements};
use crate::report::Nat64Report;
use crate::signals::Signals;
use crate::systemd::{self, Watchdog};
pub use bench::ControlBench;
use router::Router;
use settings::Settings;

/// What the kernel does not announce is seen within this time.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(30);

/// Translates until it is told to stop.
///
/// # Errors
/// Why it could not start, or why it stopped by itself. Nothing stays behind in either case.
pub(crate) async fn run(args: Nat64Args) -> Result<(), Error> {
    let started = Instant::now();
    let settings = Settings::of(&args)?;
    let signals = Signals::new()?;
    check_requirements(Needs::Nothing)?;
    let monitor = Monitor::start()?;
    let router = Router::start(&args, settings).await?;
    // The last thing to be there: who waits for it finds everything else done.
    let control = match Control::bind(&args.control.socket) {
        Ok(control) => control,
        Err(error) => {
            router.stop().await;
            return Err(error);
        }
    };
    let sentence = router.sentence();
    tracing::info!("{sentence}");
    systemd::ready(&sentence);

    let mut look_around = interval(LOOK_AROUND_EVERY);
    look_around.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { signals, monitor, control, look_around, watchdog: Watchdog::new() };
    serve(started, router, events).await
}

async fn serve(started: Instant, mut router: Router, mut events: Events) -> Result<(), Error> {
    let outcome = loop {
        match events.next(&mut router).await {
            Event::Stop => break Ok(()),
            Event::Died(error) => break Err(error),
            Event::LookAround => router.look_around().await,
            Event::Query(query) => {
                let response = answer(started, query.request, &mut router).await;
                // Who asked may be gone.
                let _ = query.answer.send(response);
            }
            Event::Watchdog => {
                if router.traffic().await.is_some() {
                    systemd::alive();
                }
            }
        }
    };
    systemd::stopping();
    router.stop().await;
    outcome
}

async fn answer(started: Instant, request: Request, router: &mut Router) -> Response {
    let response = match request {
        Request::Status {} => router.traffic().await.map(|traffic| {
            Response::Nat64Status(Box::new(Nat64Report {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                uptime_secs: started.elapsed().as_secs(),
                nat64: router.report(),
                datapath: traffic.into(),
            }))
        }),
        Request::Table { request } => {
            router.on_engine(move |engine, now| crate::tables::answer(request, engine, now)).await
        }
        Request::Set { setting } => Some(match setting.check() {
            Ok(()) => {
                router.set(setting).await;
                Response::Done(router.sentence())
            }
            Err(why) => Response::Refused(why),
        }),
    };
    response.unwrap_or_else(|| Response::Error("the datapath does not answer".to_owned()))
}

/// What the main loop reacts to.
enum Event {
    /// SIGTERM or SIGINT.
    Stop,
    /// The datapath ended by itself.
    Died(Error),
    /// The machine's network changed, or may have.
    LookAround,
    /// Somebody asks.
    Query(Query),
    /// systemd wants a sign of life.
    Watchdog,
}

struct Events {
    signals: Signals,
    monitor: Monitor,
    control: Control,
    look_around: Interval,
    watchdog: Watchdog,
}

impl Events {
    /// The next event. In order of importance: a busy control socket must not delay the end.
    async fn next(&mut self, router: &mut Router) -> Event {
        tokio::select! {
            biased;
            _ = self.signals.terminate.recv() => Event::Stop,
            _ = self.signals.interrupt.recv() => Event::Stop,
            error = router.died() => Event::Died(error),
            () = self.watchdog.due() => Event::Watchdog,
            _ = self.signals.hang_up.recv() => Event::LookAround,
            () = self.monitor.changed() => Event::LookAround,
            _ = self.look_around.tick() => Event::LookAround,
            query = self.control.next() => Event::Query(query),
        }
    }
}
