//! The resolvers we ask: which, in what order, for how long, and what counts as an answer.

mod dial;
mod https;
mod stream;
mod udp;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::{Host, Upstream};
use dns64::{Dnssec, Ede, HEADER, Message, Name, Rcode, RecordType, answers, write_question};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::counters::{Counters, count};
use super::random::Random;
use crate::tls::{self, Tls};
use dial::Dial;
use https::Https;
use stream::Stream;

/// Sockets for questions at one time; with the clients' connections below what a process may have open (1 024).
const MOST_SOCKETS: usize = 600;
/// A server that failed so often in a row is asked last, for [`REST`].
const FAILURES: u32 = 3;
const REST: Duration = Duration::from_secs(10);
/// A connection is not given up because one answer is late.
const LEAST_SILENCE: Duration = Duration::from_secs(1);
/// Within the time for an answer a server is asked as often as this.
const TRIES: u32 = 3;

/// The servers of one configuration.
pub(super) struct Pool {
    servers: Vec<Rc<Server>>,
    patience: Duration,
    asker: Rc<Asker>,
}

/// What every question needs.
struct Asker {
    random: Rc<Random>,
    random_case: bool,
    counters: Arc<Counters>,
    sockets: Semaphore,
}

struct Server {
    way: Way,
    failures: Cell<u32>,
    rests_until: Cell<Option<Instant>>,
}

enum Way {
    Udp { address: SocketAddr, tcp: Stream },
    Stream(Stream),
    Https(Https),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// There is no connection, and nobody answers another try at once.
    Unreachable,
    /// The connection ended.
    Ended,
    /// What came is no message.
    Malformed,
}

/// A question on its way.
struct Question {
    /// With an id of its own; connections have theirs.
    bytes: Vec<u8>,
}

impl Pool {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// TLS is asked for, and the certificates of the authorities cannot be read.
    pub(super) fn new(
        upstreams: &[Upstream],
        patience: Duration,
        random_case: bool,
        ca_file: &Path,
        counters: Arc<Counters>,
        random: Rc<Random>,
    ) -> Result<Self, String> {
        let needs_tls = upstreams.iter().any(|upstream| !matches!(upstream, Upstream::Udp { .. }));
        let tls = if needs_tls { Some(Tls::new(ca_file)?) } else { None };
        let servers = upstreams.iter().filter_map(|upstream| {
            let way = way(upstream, tls.as_ref(), (patience * 2).max(LEAST_SILENCE))?;
            Some(Rc::new(Server { way, failures: Cell::new(0), rests_until: Cell::new(None) }))
        });
        let asker = Asker { random, random_case, counters, sockets: Semaphore::new(MOST_SOCKETS) };
        Ok(Self { servers: servers.collect(), patience, asker: Rc::new(asker) })
    }

    /// The best answer that comes in time: from the first server if it has one, else from the next.
    ///
    /// # Errors
    /// Nobody answered.
    pub(super) async fn exchange(&self, name: &Name, rtype: RecordType, dnssec: Dnssec) -> Result<Message, Ede> {
        let begin = Instant::now();
        let deadline = begin + self.patience;
        let order = self.in_order();
        let most = order.len().max(TRIES as usize);
        let mut attempts = FuturesUnordered::new();
        let mut answered = vec![false; order.len()];
        let (mut started, mut fallback) = (0, None);
        loop {
            // The next one starts when the last has had its share of the time, or at once when it failed.
            let next_start = begin + self.patience * (started as u32) / (most as u32);
            let may_start = started < most && !answered[started % order.len()];
            tokio::select! {
                biased;
                Some((index, result)) = attempts.next(), if !attempts.is_empty() => {
                    let server: &Rc<Server> = &order[index];
                    match result {
                        Ok(message) => {
                            server.succeeded();
                            answered[index] = true;
                            let Message { rcode, .. } = message;
                            self.asker.counters.upstream_rcode(rcode);
                            if is_final(&message) {
                                return Ok(message);
                            }
                            fallback.get_or_insert(message);
                        }
                        Err(_) => {
                            server.failed();
                            answered[index] = true;
                        }
                    }
                    match answered.iter().position(|answered| !answered) {
                        Some(other) if attempts.is_empty() => {
                            attempts.push(attempt(&self.asker, &order, other, name, rtype, dnssec));
                            started = started.max(other + 1);
                        }
                        Some(_) => {}
                        None => return fallback.ok_or(Ede::NETWORK_ERROR),
                    }
                }
                () = sleep_until(next_start), if may_start => {
                    attempts.push(attempt(&self.asker, &order, started % order.len(), name, rtype, dnssec));
                    started += 1;
                }
                () = sleep_until(deadline) => {
                    count(&self.asker.counters.upstream_timeouts);
                    let silent = order.iter().zip(&answered).filter(|(_, answered)| !**answered);
                    silent.for_each(|(server, _)| server.failed());
                    return fallback.ok_or(Ede::NO_REACHABLE_AUTHORITY);
                }
            }
        }
    }

    /// As configured, those that rest last.
    fn in_order(&self) -> Vec<Rc<Server>> {
        let now = Instant::now();
        let rests = |server: &&Rc<Server>| server.rests_until.get().is_some_and(|until| until > now);
        let (resting, awake): (Vec<_>, Vec<_>) = self.servers.iter().partition(rests);
        awake.into_iter().chain(resting).cloned().collect()
    }
}

impl Server {
    fn succeeded(&self) {
        self.failures.set(0);
        self.rests_until.set(None);
    }

    fn failed(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
        if self.failures.get() >= FAILURES {
            self.rests_until.set(Some(Instant::now() + REST));
        }
    }
}

fn way(upstream: &Upstream, tls: Option<&Tls>, silence: Duration) -> Option<Way> {
    let server = upstream.to_string();
    Some(match upstream {
        Upstream::Udp { address } => {
            let dial = Dial::new(format!("{server} (over TCP)"), dial::Host::Address(*address), None);
            Way::Udp { address: *address, tcp: Stream::new(dial, silence) }
        }
        Upstream::Tls { address, name } => {
            let name = name.as_ref().map_or_else(|| address.ip().to_string(), ToString::to_string);
            let tls = (tls?.connector(tls::Protocol::Dot), tls::server_name(&name)?);
            Way::Stream(Stream::new(Dial::new(server, dial::Host::Address(*address), Some(tls)), silence))
        }
        Upstream::Https { host, port, path } => {
            let (name, authority) = match host {
                Host::Address(address) => (address.to_string(), SocketAddr::new(*address, *port).to_string()),
                Host::Name(name) => (name.to_string(), format!("{name}:{port}")),
            };
            let uri = http::Uri::builder().scheme("https").authority(authority).path_and_query(path.as_str());
            let tls = (tls?.connector(tls::Protocol::Https), tls::server_name(&name)?);
            let host = match host {
                Host::Address(address) => dial::Host::Address(SocketAddr::new(*address, *port)),
                Host::Name(_) => dial::Host::Name(name, *port),
            };
            Way::Https(Https::new(Dial::new(server, host, Some(tls)), uri.build().ok()?, silence))
        }
    })
}

/// Not for another server to improve.
fn is_final(message: &Message) -> bool {
    matches!(message.rcode, Rcode::NO_ERROR | Rcode::NX_DOMAIN)
}

async fn attempt(
    asker: &Rc<Asker>,
    order: &[Rc<Server>],
    index: usize,
    name: &Name,
    rtype: RecordType,
    dnssec: Dnssec,
) -> (usize, Result<Message, Failure>) {
    (index, ask(asker, &order[index], name, rtype, dnssec).await)
}

async fn ask(
    asker: &Rc<Asker>,
    server: &Server,
    name: &Name,
    rtype: RecordType,
    dnssec: Dnssec,
) -> Result<Message, Failure> {
    count(&asker.counters.upstream_queries);
    let question = asker.question(name, rtype, dnssec);
    let answer = match &server.way {
        Way::Udp { address, tcp } => match udp::ask(asker, *address, &question).await? {
            message if message.is_truncated() => tcp.ask(asker, &question).await?,
            message => return Ok(message),
        },
        Way::Stream(stream) => stream.ask(asker, &question).await?,
        Way::Https(https) => https.ask(asker, &question).await?,
    };
    Message::parse(&answer).map_err(|_| Failure::Malformed)
}

impl Asker {
    fn question(&self, name: &Name, rtype: RecordType, dnssec: Dnssec) -> Question {
        let mut bytes = Vec::with_capacity(HEADER + 64);
        write_question(&mut bytes, self.random.u16(), name.as_ref(), rtype, dnssec);
        if self.random_case {
            self.mix_case(&mut bytes[HEADER..HEADER + name.as_ref().as_bytes().len()]);
        }
        Question { bytes }
    }

    /// Every letter is a bit that a forger has to guess (draft-vixie-dnsext-dns0x20).
    fn mix_case(&self, name: &mut [u8]) {
        for octets in name.chunks_mut(64) {
            let mut bits = self.random.u64();
            for octet in octets.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
                *octet = octet.to_ascii_lowercase() ^ (bits as u8 & 1) << 5;
                bits >>= 1;
            }
        }
    }

    /// Whether `reply` answers `question`; one that does not is counted, and nothing else.
    fn accepts(&self, question: &[u8], reply: &[u8]) -> bool {
        let fits = answers(reply, question);
        if !fits {
            count(&self.counters.upstream_spoofed);
        }
        fits
    }
}
