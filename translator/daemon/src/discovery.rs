//! Servers found by their labels: a task asks Hetzner's API now and then, and what it finds completes the document's peers.
//!
//! Invariant: what was found last stays in force until something else is found, over a restart too. A failed question changes
//! nothing but the status.

mod client;
mod complete;
mod failure;
mod finder;
mod kept;
mod members;
mod pace;
mod server;
mod trials;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use contract::{Gateway, LabelSelector};
use tokio::sync::watch;

use crate::error::Error;
use crate::report::DiscoveryReport;

pub(crate) use client::Endpoint;
pub(crate) use complete::{Completed, complete};
pub(crate) use kept::Kept;
pub(crate) use server::Server;
pub(crate) use trials::Trials;

use client::Client;
use finder::Finder;

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// A file with a token that may read.
    pub(crate) token: Option<PathBuf>,
    pub(crate) endpoint: Endpoint,
    /// Whom to believe, as PEM certificates.
    pub(crate) ca_file: PathBuf,
    /// What was found before this start.
    pub(crate) kept: Kept,
}

/// What is known of the servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    /// By what was asked; `None`: not yet.
    pub(crate) servers: BTreeMap<LabelSelector, Arc<[Server]>>,
    /// When all questions were answered for the last time; `None`: not since the start, and `servers` are of before.
    pub(crate) found_at: Option<Instant>,
    /// Why the last question was not answered.
    pub(crate) problem: Option<String>,
    /// How long after the last question the next one comes.
    pub(crate) interval_secs: u64,
}

/// The task, if there is anything to ask.
pub(crate) struct Discovery {
    questions: watch::Sender<Vec<LabelSelector>>,
    findings: watch::Receiver<Findings>,
    task: tokio::task::JoinHandle<()>,
}

impl Discovery {
    /// Starts the task; it asks nothing before [`Discovery::follow`] says what.
    ///
    /// # Errors
    /// There are no random numbers.
    pub(crate) fn start(options: Options) -> Result<Self, Error> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        let (questions, asked) = watch::channel(Vec::new());
        let kept = options.kept.clone();
        let (answers, findings) = watch::channel(Findings { servers: kept.load(), ..Findings::default() });
        let finder = Finder::new(Client::new(options), u64::from_le_bytes(seed), kept);
        let task = tokio::spawn(finder.run(asked, answers));
        Ok(Self { questions, findings, task })
    }

    /// Asks for what this gateway needs from now on; at once, if that is anything new.
    pub(crate) fn follow(&self, gateway: &Gateway) {
        let wanted = questions(gateway);
        self.questions.send_if_modified(|asked| {
            let changed = *asked != wanted;
            *asked = wanted;
            changed
        });
    }

    /// Returns when something was found, or not found, since the last call. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.findings.changed().await.is_err() {
            // The task ends with us alone; what it found stays.
            std::future::pending::<()>().await;
        }
    }

    /// A document's gateway with what is known of its servers.
    pub(crate) fn complete(&self, gateway: &Gateway, trials: &Trials) -> Completed {
        complete(gateway, &self.findings.borrow(), trials)
    }

    /// For the control socket; `None` if there is nothing to find. `notes` is what does not fit together.
    pub(crate) fn report(&self, gateway: &Gateway, notes: &[String]) -> Option<DiscoveryReport> {
        if questions(gateway).is_empty() {
            return None;
        }
        let findings = self.findings.borrow();
        let mut ids: Vec<u64> = findings.servers.values().flat_map(|found| found.iter().map(|one| one.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        Some(DiscoveryReport {
            servers: ids.len(),
            found_secs_ago: findings.found_at.map(|at| at.elapsed().as_secs()),
            interval_secs: findings.interval_secs,
            problem: findings.problem.clone(),
            notes: notes.to_vec(),
        })
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What has to be asked for a gateway.
fn questions(gateway: &Gateway) -> Vec<LabelSelector> {
    let of_peers = gateway.discovery.iter().map(|discovery| &discovery.label_selector);
    let all: BTreeSet<_> = of_peers.chain(gateway.groups.values().map(|group| &group.label_selector)).collect();
    all.into_iter().cloned().collect()
}
