//! A project: what it holds, and what becomes of it as time passes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::Ipv6Net;
use serde_json::Value;

use crate::actions::Actions;
use crate::error::{ApiError, Outcome};
use crate::firewalls::Firewall;
use crate::primary_ips::{Family, PrimaryIp};
use crate::servers::Server;
use crate::time::Time;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) servers: BTreeMap<u64, Server>,
    pub(crate) primary_ips: BTreeMap<u64, PrimaryIp>,
    pub(crate) firewalls: BTreeMap<u64, Firewall>,
    pub(crate) actions: Actions,
    /// How long an action takes.
    pub(crate) takes: Duration,
    pending: Vec<Pending>,
    next_id: u64,
    networks: Ipv6Net,
    given: BTreeMap<Family, u32>,
}

/// What happens to a server when an action of its ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Status(&'static str),
    Removed,
}

#[derive(Debug)]
struct Pending {
    due: Time,
    server: u64,
    effect: Effect,
}

impl Project {
    pub(crate) fn new(networks: Ipv6Net, takes: Duration) -> Self {
        Self {
            servers: BTreeMap::new(),
            primary_ips: BTreeMap::new(),
            firewalls: BTreeMap::new(),
            actions: Actions::default(),
            takes,
            pending: Vec::new(),
            // Like Hetzner's: large, and no two things have the same.
            next_id: 118_000_000,
            networks,
            given: BTreeMap::new(),
        }
    }

    /// Lets everything happen that is due.
    pub(crate) fn advance(&mut self, now: Time) {
        let (mut due, later): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|pending| pending.due <= now);
        self.pending = later;
        due.sort_by_key(|pending| pending.due);
        for Pending { server, effect, .. } in due {
            match effect {
                Effect::Status(status) => {
                    if let Some(server) = self.servers.get_mut(&server) {
                        status.clone_into(&mut server.status);
                    }
                }
                Effect::Removed => self.forget_server(server),
            }
        }
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Ids go on from here; for tests that need a certain one.
    pub(crate) fn set_next_id(&mut self, next: u64) {
        self.next_id = self.next_id.max(next.saturating_sub(1));
    }

    /// An address, or a /64, that nobody has had before.
    pub(crate) fn address(&mut self, family: Family) -> String {
        let given = self.given.entry(family).or_default();
        *given += 1;
        match family {
            Family::Ipv4 => Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 100, 0)) + *given).to_string(),
            Family::Ipv6 => {
                let network = u128::from(self.networks.network()) + (u128::from(*given) << 64);
                format!("{}/64", Ipv6Addr::from(network))
            }
        }
    }

    /// Starts an action of a server; no other may run. `status` is what it is meanwhile, `effect` what comes of it.
    pub(crate) fn act(
        &mut self,
        server: u64,
        command: &'static str,
        meanwhile: Option<&str>,
        effect: Option<Effect>,
        now: Time,
    ) -> Outcome<Value> {
        let found = self.servers.get_mut(&server).ok_or_else(|| ApiError::not_found("server", server))?;
        if self.pending.iter().any(|pending| pending.server == server) {
            return Err(ApiError::locked("server"));
        }
        if let Some(status) = meanwhile {
            status.clone_into(&mut found.status);
        }
        let (id, ends) = (self.id(), now + self.takes);
        self.actions.start(id, command, &[("server", server)], now, ends);
        if let Some(effect) = effect {
            self.pending.push(Pending { due: ends, server, effect });
        }
        self.actions.get(id, now)
    }

    /// An action that is over as soon as it has begun.
    pub(crate) fn done(
        &mut self,
        command: &'static str,
        resources: &[(&'static str, u64)],
        now: Time,
    ) -> Outcome<Value> {
        let id = self.id();
        self.actions.start(id, command, resources, now, now);
        self.actions.get(id, now)
    }

    /// Takes a server away, with the addresses that go with it.
    fn forget_server(&mut self, id: u64) {
        self.servers.remove(&id);
        self.primary_ips.retain(|_, ip| ip.assignee != Some(id) || !ip.auto_delete);
        self.primary_ips.values_mut().filter(|ip| ip.assignee == Some(id)).for_each(|ip| ip.assignee = None);
        self.firewalls.values_mut().for_each(|firewall| firewall.detach(id));
    }
}
