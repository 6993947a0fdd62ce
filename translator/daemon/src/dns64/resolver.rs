//! Finds out what upstreams say: follows aliases over several answers, validates, keeps the result, and asks only once
//! for what several clients want at the same time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use dns64::{
    Ede, Key, Local, MOST_ALIASES, Message, Name, Outcome, Query, Rcode, Record, RecordType, Reply, Security, Seen,
    Step, Transport, Verdict, decide, follow, local, ptr_reply,
};
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::core::{Core, Flavour, Handled, Settings};
use super::counters::count;
use super::validator::Validator;

/// RFC 6147 §5.1.8: the question for A starts when that for AAAA has not been answered for this long.
const HEAD_START: Duration = Duration::from_millis(200);
/// How much longer than for an upstream a client waits: for the question for A, or for another server.
const MARGIN: Duration = Duration::from_millis(400);
/// Questions to upstreams at one time; more are answered with an error at once.
const MOST_FLIGHTS: usize = 4_096;

/// What an upstream said, and when.
pub(super) struct Answer {
    name: Name,
    outcome: Outcome,
    came_ms: u64,
}

impl Answer {
    pub(super) fn seen(&self, now_ms: u64) -> Seen<'_> {
        let age = now_ms.saturating_sub(self.came_ms) / 1_000;
        Seen::new(&self.outcome, self.name.as_ref(), age as u32)
    }
}

/// An answer that is on its way.
pub(super) type Flight = Shared<LocalBoxFuture<'static, Rc<Answer>>>;
/// Those that are, by name, type and flavour.
pub(super) type Flights = HashMap<(Name, RecordType, Flavour), Flight>;

impl Core {
    /// The answer to a message that [`Core::handle`] left for later, in time for a client to be still there.
    pub(super) async fn answer(self: Rc<Self>, client: IpAddr, transport: Transport, message: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        let Ok(query) = Query::parse(&message) else { return out };
        let settings = self.settings();
        let patience = settings.config.upstream_timeout + MARGIN;
        let found = timeout(patience, self.find_out(&settings, client, transport, &query, &mut out)).await;
        if found.is_err() {
            let _: Handled = self.send(&Reply::failure(Ede::NO_REACHABLE_AUTHORITY), &query, transport, &mut out);
        }
        out
    }

    async fn find_out(
        self: &Rc<Self>,
        settings: &Rc<Settings>,
        client: IpAddr,
        transport: Transport,
        query: &Query<'_>,
        out: &mut Vec<u8>,
    ) {
        let policy = &settings.config.policy;
        let flavour = Flavour::of(policy, query);
        let name = query.name.to_name();
        let view = self.view(policy, client, query);
        if let Local::Reverse(ipv4_name) = local(view, query) {
            let answer = self.lookup(settings, &ipv4_name, RecordType::PTR, flavour).await;
            let reply = ptr_reply(query, ipv4_name.as_ref(), answer.seen(self.now_ms()));
            self.send(&reply, query, transport, out);
            return;
        }
        let mut first = self.lookup(settings, &name, query.rtype, flavour);
        if query.rtype != RecordType::AAAA {
            let answer = first.await;
            self.send(&Reply::raw(query, answer.seen(self.now_ms())), query, transport, out);
            return;
        }
        let makes_addresses = !view.is_empty() && !query.checking_disabled();
        let mut second = None;
        let aaaa = tokio::select! {
            biased;
            aaaa = &mut first => aaaa,
            () = sleep(HEAD_START), if makes_addresses => {
                second = Some(self.lookup(settings, &name, RecordType::A, flavour));
                first.await
            }
        };
        // Prefixes may have become healthy, or not, meanwhile.
        let view = self.view(policy, client, query);
        if let Verdict::Answer(reply) = decide(view, query, aaaa.seen(self.now_ms()), None) {
            self.send(&reply, query, transport, out);
            return;
        }
        let a = second.unwrap_or_else(|| self.lookup(settings, &name, RecordType::A, flavour)).await;
        let now = self.now_ms();
        let view = self.view(policy, client, query);
        if let Verdict::Answer(reply) = decide(view, query, aaaa.seen(now), Some(a.seen(now))) {
            self.send(&reply, query, transport, out);
        }
    }

    /// Starts to find out, unless that is known or somebody does so already.
    pub(super) fn lookup(
        self: &Rc<Self>,
        settings: &Rc<Settings>,
        name: &Name,
        rtype: RecordType,
        flavour: Flavour,
    ) -> Flight {
        if let Some(known) = self.known(name, rtype, flavour) {
            return arrived(known);
        }
        let key = (name.clone(), rtype, flavour);
        if let Some(flight) = self.flights.borrow().get(&key) {
            return flight.clone();
        }
        if self.flights.borrow().len() >= MOST_FLIGHTS {
            count(&self.counters.overloaded);
            return arrived(self.failed(name, Ede::NOT_READY));
        }
        let (done, landed) = oneshot::channel();
        let core = Rc::clone(self);
        let lost = self.failed(name, Ede::OTHER);
        let flight = landed.map(|landed| landed.unwrap_or(lost)).boxed_local().shared();
        self.flights.borrow_mut().insert(key.clone(), flight.clone());
        let settings = Rc::clone(settings);
        tokio::task::spawn_local(async move {
            let answer = core.fly(&settings, &key).await;
            core.flights.borrow_mut().remove(&key);
            // Whoever wanted it may have gone.
            let _ = done.send(answer);
        });
        flight
    }

    fn known(&self, name: &Name, rtype: RecordType, flavour: Flavour) -> Option<Rc<Answer>> {
        let now_ms = self.now_ms();
        let mut cache = self.cache.borrow_mut();
        let slot = cache.find(now_ms, Key { name: name.as_ref(), rtype, flavour: flavour.0 })?;
        let (outcome, came_ms) = cache.kept(slot);
        Some(Rc::new(Answer { name: name.clone(), outcome, came_ms }))
    }

    fn failed(&self, name: &Name, ede: Ede) -> Rc<Answer> {
        Rc::new(Answer { name: name.clone(), outcome: Outcome::failure(ede), came_ms: self.now_ms() })
    }

    async fn fly(
        self: &Rc<Self>,
        settings: &Rc<Settings>,
        (name, rtype, flavour): &(Name, RecordType, Flavour),
    ) -> Rc<Answer> {
        let outcome = self.follow(settings, name, *rtype, *flavour).await;
        if let Security::Bogus(ede) = outcome.security() {
            count(&self.counters.bogus);
            tracing::debug!("{name} {rtype} is bogus: {ede:?}");
        }
        let came_ms = self.now_ms();
        if settings.config.policy.cache {
            let key = Key { name: name.as_ref(), rtype: *rtype, flavour: flavour.0 };
            self.cache.borrow_mut().insert(came_ms, key, &outcome);
        }
        Rc::new(Answer { name: name.clone(), outcome, came_ms })
    }

    /// Asks, and asks again for every alias that an answer leaves open (RFC 6147 §5.1.5).
    async fn follow(
        self: &Rc<Self>,
        settings: &Rc<Settings>,
        name: &Name,
        rtype: RecordType,
        flavour: Flavour,
    ) -> Outcome {
        let mut validator = (flavour == Flavour::CHECKED).then(|| Validator::new(self, settings));
        let mut way: Vec<Record> = Vec::new();
        let mut security = None;
        let mut asked = name.clone();
        for _ in 0..MOST_ALIASES {
            let message = match settings.pool.exchange(&asked, rtype, flavour.dnssec()).await {
                Ok(message) => message,
                Err(ede) => return Outcome::failure(ede),
            };
            let Ok(mut step) = follow(&message, asked.as_ref(), rtype) else {
                return Outcome::failure(Ede::INVALID_DATA);
            };
            // A proof is about one zone: an answer about several need not have that of the last.
            step.is_open =
                step.is_open || validator.is_some() && step.end != asked && is_unproven(&message, rtype, &step);
            if let Some(validator) = &mut validator {
                let found = validator.validate(&message, rtype, &step).await;
                security = Some(worse(security, found));
            }
            let is_open = step.is_open;
            asked = step.end;
            way.extend(step.answers);
            if !is_open {
                return finished(name, message, way, security);
            }
        }
        Outcome::failure(Ede::INVALID_DATA)
    }
}

/// Nothing there, and nothing that says so with a signature.
fn is_unproven(message: &Message, rtype: RecordType, step: &Step) -> bool {
    let is_proof = |record: &Record| matches!(record.rtype, RecordType::NSEC | RecordType::NSEC3);
    !step.answers.iter().any(|record| record.rtype == rtype) && !message.authority.iter().any(is_proof)
}

fn arrived(answer: Rc<Answer>) -> Flight {
    std::future::ready(answer).boxed_local().shared()
}

fn finished(name: &Name, message: Message, way: Vec<Record>, security: Option<Security>) -> Outcome {
    let mut authority = message.authority;
    if security.is_some() {
        // Nobody looked at the others, and the AD bit speaks for the whole section (RFC 4035 §3.2.3).
        authority.retain(|record| record.rtype == RecordType::SOA || record.rtype.is_dnssec());
    }
    let security = security.unwrap_or(Security::Unchecked);
    let is_error = !matches!(message.rcode, Rcode::NO_ERROR | Rcode::NX_DOMAIN);
    let why = message.ede.filter(|_| is_error).map(Ede);
    Outcome::new(name.as_ref(), message.rcode, security, [&way, &authority, &message.additional]).because(why)
}

fn worse(before: Option<Security>, found: Security) -> Security {
    let rank = |security: &Security| match security {
        Security::Secure => 0,
        Security::Insecure => 1,
        Security::Unchecked => 2,
        Security::Bogus(_) => 3,
    };
    before.into_iter().chain([found]).max_by_key(rank).unwrap_or(found)
}
