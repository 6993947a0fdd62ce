//! Whether packets get through a prefix: something is sent through it, to a host of the IPv4 internet, again and again.

mod way;

use std::net::Ipv6Addr;
use std::rc::Rc;

use contract::{Health, Pool6};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::core::Core;
use way::{Failed, Way};

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) prefix: Pool6,
    /// Where from, if the way through the prefix begins at one of this machine's addresses.
    pub(crate) from: Option<Ipv6Addr>,
    pub(crate) health: Health,
}

/// Hysteresis: one lost packet is no outage, and one answer no recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opinion {
    is_healthy: bool,
    against: u32,
}

impl Opinion {
    fn new(is_healthy: bool) -> Self {
        Self { is_healthy, against: 0 }
    }

    /// Whether the opinion changed.
    fn hear(&mut self, got_through: bool, health: &Health) -> bool {
        if got_through == self.is_healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = if self.is_healthy { health.fall() } else { health.rise() };
        if self.against < enough {
            return false;
        }
        *self = Self::new(got_through);
        true
    }
}

/// Probes the prefix at `index` of the policy until the task is aborted. What is thought of it to begin with is what the
/// core says.
pub(super) fn start(core: &Rc<Core>, index: usize, probe: Probe) -> JoinHandle<()> {
    tokio::task::spawn_local(run(Rc::clone(core), index, probe))
}

async fn run(core: Rc<Core>, index: usize, probe: Probe) {
    let Probe { prefix, from, health } = probe;
    let mut way = Way::new(health.kind(), from, health.destination(prefix), Rc::clone(&core.random));
    let mut opinion = Opinion::new(core.healthy().contains(index));
    let mut problem = None;
    let mut ticks = interval(health.interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let outcome = timeout(health.timeout(), way.reach()).await.unwrap_or(Err(Failed::Silence));
        if let Err(Failed::Here(why)) = &outcome
            && problem.as_ref() != Some(why)
        {
            tracing::warn!("{prefix} cannot be probed: {why}");
            problem = Some(why.clone());
        }
        if opinion.hear(outcome.is_ok(), &health) {
            core.set_healthy(core.healthy().with(index, opinion.is_healthy));
            match opinion.is_healthy {
                true => tracing::info!("packets get through {prefix} again; it is synthesised"),
                false => tracing::warn!("packets do not get through {prefix}; it is not synthesised any more"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_changes_after_some_probes_in_a_row_and_not_before() {
        let health = Health::parse(serde_json::json!({ "target": "1.1.1.1" }), Pool6::default()).unwrap();
        let mut opinion = Opinion::new(true);
        let mut hear =
            |results: &[bool]| results.iter().map(|result| opinion.hear(*result, &health)).collect::<Vec<_>>();

        assert_eq!(hear(&[false, false, true, false, false]), [false; 5]);
        assert_eq!(hear(&[false]), [true]);
        assert_eq!(hear(&[true, false, true]), [false; 3]);
        assert_eq!(hear(&[true]), [true]);
    }
}
