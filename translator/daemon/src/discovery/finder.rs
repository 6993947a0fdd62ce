//! The task that asks: again and again, at its pace, and at once when there is something new to ask for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use contract::LabelSelector;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Findings;
use super::client::Client;
use super::failure::Failure;
use super::kept::Kept;
use super::pace::{Pace, Went};
use super::server::Server;

/// What was found, by what was asked.
pub(super) type Servers = BTreeMap<LabelSelector, Arc<[Server]>>;

pub(super) struct Finder {
    client: Client,
    pace: Pace,
    kept: Kept,
}

impl Finder {
    pub(super) fn new(client: Client, seed: u64, kept: Kept) -> Self {
        Self { client, pace: Pace::new(seed), kept }
    }

    /// Until nobody wants to know any more.
    pub(super) async fn run(
        mut self,
        mut asked: watch::Receiver<Vec<LabelSelector>>,
        answers: watch::Sender<Findings>,
    ) {
        let mut has_asked = false;
        loop {
            let questions = asked.borrow_and_update().clone();
            if questions.is_empty() {
                // At a start nobody has said yet what to ask for; what was kept is for then.
                if std::mem::take(&mut has_asked) {
                    answers.send_replace(Findings::default());
                    self.kept.remove();
                }
                if asked.changed().await.is_err() {
                    return;
                }
                continue;
            }
            has_asked = true;
            let wait = tokio::select! {
                wait = self.ask(&questions, &answers) => wait,
                // What was being asked is not wanted any more.
                changed = asked.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            tokio::select! {
                () = sleep(wait) => {}
                changed = asked.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks everything once; how long to wait then.
    async fn ask(&mut self, questions: &[LabelSelector], answers: &watch::Sender<Findings>) -> std::time::Duration {
        self.client.begin();
        let outcome = self.find(questions).await;
        let (requests, budget) = (self.client.requests(), self.client.budget());
        let wait = match &outcome {
            Ok(found) if *found != answers.borrow().servers => self.pace.next(Went::Changed, requests, budget),
            Ok(_) => self.pace.next(Went::Unchanged, requests, budget),
            Err(failure) => self.pace.next(Went::Failed(failure), requests, budget),
        };
        answers.send_modify(|findings| {
            findings.interval_secs = wait.as_secs();
            match outcome {
                Ok(found) => {
                    if found != findings.servers {
                        self.kept.save(&found);
                    }
                    findings.servers = found;
                    findings.found_at = Some(Instant::now());
                    findings.problem = None;
                }
                Err(failure) => {
                    let problem = failure.to_string();
                    if findings.problem.as_ref() != Some(&problem) {
                        tracing::warn!("servers are not found by their labels, what was found stays: {problem}");
                    }
                    findings.problem = Some(problem);
                }
            }
        });
        wait
    }

    /// All answers, or none: half of them would look like servers that are gone.
    async fn find(&mut self, questions: &[LabelSelector]) -> Result<Servers, Failure> {
        let mut found = Servers::new();
        for question in questions {
            found.insert(question.clone(), self.client.servers(question).await?.into());
        }
        Ok(found)
    }
}
