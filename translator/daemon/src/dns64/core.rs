//! What every listener shares: the policy, the cache, the counters; and the answers that need nobody else.
//!
//! Invariant: all of it lives on one thread; no borrow is held over an await.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use dns64::{
    CLASS_IN, Cache, Dnssec, Ede, Healthy, Key, Local, NameRef, NoQuery, Policy, Query, RecordType, Reply, Transport,
    Verdict, View, decide, local, ptr_reply, write_wrong,
};

use super::config::Config;
use super::counters::{Counters, count};
use super::limiter::Limiter;
use super::random::Random;
use super::resolver::Flights;
use super::upstream::Pool;
use super::validator::Zones;
use super::waiting::Waiting;

/// What one configuration means; replaced as a whole.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) pool: Rc<Pool>,
    pub(super) zones: Rc<Zones>,
}

pub(super) struct Core {
    settings: RefCell<Rc<Settings>>,
    pub(super) cache: RefCell<Cache>,
    limiter: RefCell<Limiter>,
    pub(super) flights: RefCell<Flights>,
    pub(super) waiting: Rc<Waiting>,
    pub(super) counters: Arc<Counters>,
    pub(super) random: Rc<Random>,
    healthy: Cell<Healthy>,
    started: Instant,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// The answer is in the buffer.
    Answered,
    /// Nobody is answered.
    Dropped,
    /// Upstreams have to be asked.
    Later,
}

impl Core {
    pub(super) fn new(settings: Settings, counters: Arc<Counters>, random: Rc<Random>) -> Self {
        let (rate, limits) = (settings.config.rate, settings.config.cache);
        Self {
            settings: RefCell::new(Rc::new(settings)),
            cache: RefCell::new(Cache::new(limits, random.u64())),
            limiter: RefCell::new(Limiter::new(rate)),
            flights: RefCell::default(),
            waiting: Rc::default(),
            counters,
            random,
            healthy: Cell::new(Healthy::ALL),
            started: Instant::now(),
        }
    }

    pub(super) fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Follows another configuration. What upstreams said stays good as long as the same ones are asked in the same way.
    pub(super) fn replace(&self, settings: Settings) {
        let old = self.settings();
        let (before, after) = (&old.config, &settings.config);
        if !before.asks_like(after) || before.cache != after.cache || !after.policy.cache {
            *self.cache.borrow_mut() = Cache::new(after.cache, self.random.u64());
        }
        if before.rate != after.rate {
            *self.limiter.borrow_mut() = Limiter::new(after.rate);
        }
        *self.settings.borrow_mut() = Rc::new(settings);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn healthy(&self) -> Healthy {
        self.healthy.get()
    }

    pub(super) fn set_healthy(&self, healthy: Healthy) {
        self.healthy.set(healthy);
    }

    /// Whether `client` may ask now; if not, in how many milliseconds.
    pub(super) fn admit(&self, client: IpAddr) -> Result<(), u64> {
        self.limiter.borrow_mut().take(client, self.now_ms())
    }

    /// Answers what can be answered at once.
    pub(super) fn handle(
        &self,
        settings: &Settings,
        client: IpAddr,
        transport: Transport,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Handled {
        count(&self.counters.queries);
        let query = match Query::parse(message) {
            Ok(query) => query,
            Err(wrong) => return self.wrong(wrong, out),
        };
        if settings.config.access.matches(client.to_canonical()) == dns64::Matched::No {
            return self.send(&Reply::refused(Ede::PROHIBITED), &query, transport, out);
        }
        if query.class != CLASS_IN || query.rtype.is_no_record() {
            return self.send(&Reply::refused(Ede::OTHER), &query, transport, out);
        }
        let view = self.view(&settings.config.policy, client, &query);
        match local(view, &query) {
            Local::Answer(reply) => self.send(&reply, &query, transport, out),
            Local::Reverse(name) => self.cached_ptr(&settings.config.policy, name.as_ref(), &query, transport, out),
            Local::Ordinary => self.cached(view, &query, transport, out),
        }
    }

    pub(super) fn view<'p>(&self, policy: &'p Policy, client: IpAddr, query: &Query<'_>) -> View<'p> {
        policy.view(client, query.recursion_desired(), self.healthy())
    }

    pub(super) fn send(
        &self,
        reply: &Reply<'_>,
        query: &Query<'_>,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Handled {
        reply.write(query, transport, out);
        self.counters.reply(reply.kind());
        Handled::Answered
    }

    fn wrong(&self, wrong: NoQuery, out: &mut Vec<u8>) -> Handled {
        count(&self.counters.refused);
        if write_wrong(wrong, out) { Handled::Answered } else { Handled::Dropped }
    }

    fn cached(&self, view: View<'_>, query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) -> Handled {
        let now = self.now_ms();
        let flavour = Flavour::of(view.policy(), query).0;
        let mut cache = self.cache.borrow_mut();
        let key = |rtype| Key { name: query.name, rtype, flavour };
        // A look for one entry may move another; so the one that must be there is the last.
        let a = if query.rtype == RecordType::AAAA { cache.find(now, key(RecordType::A)) } else { None };
        let Some(slot) = cache.find(now, key(query.rtype)) else { return Handled::Later };
        let seen = cache.get(now, slot);
        let reply = match query.rtype {
            RecordType::AAAA => match decide(view, query, seen, a.map(|a| cache.get(now, a))) {
                Verdict::AskA => return Handled::Later,
                Verdict::Answer(reply) => reply,
            },
            _ => Reply::raw(query, seen),
        };
        count(&self.counters.cache_hits);
        self.send(&reply, query, transport, out)
    }

    fn cached_ptr(
        &self,
        policy: &Policy,
        name: NameRef<'_>,
        query: &Query<'_>,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Handled {
        let now = self.now_ms();
        let flavour = Flavour::of(policy, query).0;
        let mut cache = self.cache.borrow_mut();
        let found = cache.find(now, Key { name, rtype: RecordType::PTR, flavour });
        let Some(slot) = found else { return Handled::Later };
        count(&self.counters.cache_hits);
        self.send(&ptr_reply(query, name, cache.get(now, slot)), query, transport, out)
    }
}

/// How an upstream is asked for a client; answers to one way of asking are no answers to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Flavour(pub(super) u8);

impl Flavour {
    /// With everything, and what comes is validated.
    pub(super) const CHECKED: Self = Self(4);
    /// With everything, and it is passed on as it is.
    pub(super) const UNCHECKED: Self = Self(3);

    pub(super) fn of(policy: &Policy, query: &Query<'_>) -> Self {
        let unchecked = query.checking_disabled();
        match policy.validate {
            true if unchecked => Self::UNCHECKED,
            true => Self::CHECKED,
            false => Self(u8::from(query.dnssec_ok()) | u8::from(unchecked) << 1),
        }
    }

    /// What the upstream is told. A validator asks with CD, so that it sees what is wrong (RFC 6840 §5.9).
    pub(super) fn dnssec(self) -> Dnssec {
        match self {
            Self::CHECKED => Self::UNCHECKED.dnssec(),
            Self(bits) => Dnssec { records: bits & 1 != 0, unchecked: bits & 2 != 0 },
        }
    }
}
