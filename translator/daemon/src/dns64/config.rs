//! The configuration of a resolver: from the file of `hetznat-translator dns64`, or from a gateway of the document.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use contract::{Gateway, Health, Upstream};
use dns64::{AddressList, Anchor, Family, Limits, Policy};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::limiter::Rate;
use super::probe::Probe;
use crate::tls::CA_FILE;

/// How long an upstream is waited for unless the file says otherwise; what a client waits for is a little more, and less
/// than two seconds.
const UPSTREAM_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What a resolver runs on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// One address each: an answer must come from the address that was asked.
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) upstream_timeout: Duration,
    /// Names are asked for in random upper and lower case, and the answer must repeat it.
    pub(crate) random_case: bool,
    pub(crate) trust_anchors: Vec<Anchor>,
    /// Who may ask; everybody else is refused.
    pub(crate) access: AddressList,
    /// `None`: as much as they like.
    pub(crate) rate: Option<Rate>,
    pub(crate) cache: Limits,
    pub(crate) ca_file: PathBuf,
    pub(crate) policy: Policy,
    /// For each prefix of the policy: how it is probed, if it is.
    pub(crate) probes: Vec<Option<Probe>>,
}

/// The file, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Vec<Endpoint>,
    upstream: Option<Endpoint>,
    #[serde(default)]
    upstreams: Vec<String>,
    trust_anchors: Option<Vec<String>>,
    upstream_timeout_ms: Option<u64>,
    random_case: Option<bool>,
    clients: Option<Vec<String>>,
    rate: Option<RateFile>,
    cache_entries: Option<u32>,
    cache_mib: Option<usize>,
    ca_file: Option<PathBuf>,
    health: Option<Value>,
    dns64: Option<Value>,
}

/// `["127.0.0.1", 53]`, `"127.0.0.1:53"` or `"127.0.0.1"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Endpoint {
    Pair(IpAddr, u16),
    Text(String),
}

impl Endpoint {
    fn socket(&self) -> Result<SocketAddr, String> {
        let socket = match self {
            Self::Pair(address, port) => Ok(SocketAddr::new(*address, *port)),
            Self::Text(text) => text
                .parse()
                .or_else(|_| text.parse().map(|address| SocketAddr::new(address, 53)))
                .map_err(|_| format!("{text:?} is not an address; write it like 192.168.1.10 or [fd00::10]:53")),
        }?;
        if socket.ip().is_unspecified() || socket.ip().is_multicast() || socket.port() == 0 {
            return Err(format!("{socket} is not one address and port; name one that this machine has"));
        }
        Ok(socket)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateFile {
    queries_per_second: u32,
    burst: Option<u32>,
}

impl Config {
    /// Reads the file of the stand-alone mode.
    ///
    /// # Errors
    /// The first value that is wrong, by its key.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let listen: Vec<SocketAddr> = file
            .listen
            .iter()
            .map(Endpoint::socket)
            .collect::<Result<_, _>>()
            .map_err(|why| format!("listen: {why}"))?;
        if listen.is_empty() {
            return Err("listen: is empty; name an address like [\"127.0.0.1\", 53]".to_owned());
        }
        let timeout = file.upstream_timeout_ms.map_or(UPSTREAM_TIMEOUT, Duration::from_millis);
        if !(Duration::from_millis(50)..=Duration::from_secs(10)).contains(&timeout) {
            return Err(format!("upstream_timeout_ms: {} is not from 50 to 10000", timeout.as_millis()));
        }
        let mut policy = file.dns64.clone().unwrap_or_else(|| Value::Object(Default::default()));
        let healths = take_healths(&mut policy);
        let policy = Policy::parse(&policy).map_err(|error| format!("dns64: {error}"))?;
        let defaults = Limits::default();
        Ok(Self {
            access: access(file.clients.as_deref(), &listen)?,
            upstreams: upstreams(&file)?,
            listen,
            upstream_timeout: timeout,
            random_case: file.random_case.unwrap_or(true),
            trust_anchors: anchors(file.trust_anchors.as_deref())?,
            rate: file.rate.as_ref().map_or(Some(Rate::DEFAULT), RateFile::rate),
            cache: Limits {
                entries: file.cache_entries.unwrap_or(defaults.entries),
                bytes: file.cache_mib.map_or(defaults.bytes, |mib| mib.saturating_mul(1 << 20)),
            },
            ca_file: file.ca_file.unwrap_or_else(|| CA_FILE.into()),
            probes: probes(&policy, healths, file.health.as_ref())?,
            policy,
        })
    }

    /// Whether the same upstreams are asked in the same way: what they said then stays good.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        (
            &self.upstreams,
            self.upstream_timeout,
            self.random_case,
            &self.ca_file,
            &self.trust_anchors,
            self.policy.validate,
        ) == (
            &other.upstreams,
            other.upstream_timeout,
            other.random_case,
            &other.ca_file,
            &other.trust_anchors,
            other.policy.validate,
        )
    }

    /// What a gateway of the document asks for; `None` if it asks for none.
    ///
    /// # Errors
    /// The first value of its policy that is wrong, by its key.
    pub(crate) fn of_gateway(gateway: &Gateway) -> Result<Option<Self>, String> {
        let Some(dns64) = &gateway.dns64 else { return Ok(None) };
        let mut listen =
            vec![SocketAddr::new(gateway.address6.into(), 53), SocketAddr::new(gateway.address4().into(), 53)];
        listen.extend(dns64.listen.iter().map(|listen| listen.socket()));
        let peers = gateway.peers.values().filter_map(|peer| peer.prefix.map(IpNet::V6));
        let nets = peers.chain([IpNet::V4(gateway.ipv4_prefix)]).chain(dns64.clients.iter().copied());
        let policy = Policy::parse(&dns64.policy_json(gateway.pool6));
        Ok(Some(Self {
            listen,
            upstreams: dns64.upstreams.clone(),
            upstream_timeout: UPSTREAM_TIMEOUT,
            random_case: true,
            trust_anchors: anchors_of(dns64)?,
            access: AddressList::of(nets),
            rate: Some(Rate::DEFAULT),
            cache: Limits::default(),
            ca_file: CA_FILE.into(),
            policy: policy.map_err(|error| format!("dns64.policy.{error}"))?,
            probes: dns64.policy.prefixes.iter().map(|prefix| probe_of(gateway, prefix)).collect(),
        }))
    }
}

/// The root's, and those that the document adds.
fn anchors_of(dns64: &contract::Dns64) -> Result<Vec<Anchor>, String> {
    let parse = |anchor: &contract::TrustAnchor| {
        let text = anchor.to_string();
        text.parse().map_err(|error| format!("dns64.trust_anchors: {text:?}: {error}"))
    };
    let added: Vec<Anchor> = dns64.trust_anchors.iter().map(parse).collect::<Result<_, String>>()?;
    Ok([Anchor::root(), added].concat())
}

/// A gateway's own prefix begins at its address inside the tunnels; the ways of others are the machine's.
fn probe_of(gateway: &Gateway, prefix: &contract::Dns64Prefix) -> Option<Probe> {
    let from = (prefix.prefix == gateway.pool6).then_some(gateway.address6);
    prefix.health.clone().map(|health| Probe { prefix: prefix.prefix, from, health })
}

/// The health of each prefix of the policy, which itself is about answers alone.
fn take_healths(policy: &mut Value) -> Vec<Option<Value>> {
    let prefixes = policy.get_mut("prefixes").and_then(Value::as_array_mut);
    let take = |prefix: &mut Value| prefix.as_object_mut().and_then(|keys| keys.remove("health"));
    prefixes.into_iter().flatten().map(take).collect()
}

/// How each prefix is probed: as it says itself, or as all are.
fn probes(policy: &Policy, own: Vec<Option<Value>>, all: Option<&Value>) -> Result<Vec<Option<Probe>>, String> {
    let mut own = own.into_iter();
    let probe = |(index, prefix): (usize, &dns64::Prefix)| {
        let (place, health) = match own.next().flatten() {
            Some(health) => (format!("dns64.prefixes[{index}]."), Some(health)),
            None => (String::new(), all.cloned()),
        };
        let Some(health) = health else { return Ok(None) };
        let prefix = prefix.pool6();
        let health = Health::parse(health, prefix).map_err(|wrong| format!("{place}{wrong}"))?;
        Ok(Some(Probe { prefix, from: None, health }))
    };
    policy.prefixes().iter().enumerate().map(probe).collect()
}

impl RateFile {
    fn rate(&self) -> Option<Rate> {
        let burst = self.burst.unwrap_or_else(|| self.queries_per_second.saturating_mul(2));
        (self.queries_per_second > 0).then_some(Rate { per_second: self.queries_per_second, burst: burst.max(1) })
    }
}

fn upstreams(file: &File) -> Result<Vec<Upstream>, String> {
    let mut upstreams = Vec::new();
    if let Some(endpoint) = &file.upstream {
        upstreams.push(Upstream::Udp { address: endpoint.socket().map_err(|why| format!("upstream: {why}"))? });
    }
    for text in &file.upstreams {
        upstreams.push(text.parse().map_err(|error| format!("upstreams: {error}"))?);
    }
    match upstreams.len() {
        0 => Err("upstreams: is empty; name a resolver, like udp://9.9.9.9".to_owned()),
        1..=16 => Ok(upstreams),
        many => Err(format!("upstreams: {many} are more than 16")),
    }
}

/// Loopback, and what is configured: never the whole world.
fn access(clients: Option<&[String]>, listen: &[SocketAddr]) -> Result<AddressList, String> {
    let Some(clients) = clients else {
        return match listen.iter().find(|socket| !socket.ip().is_loopback()) {
            Some(socket) => Err(format!("clients: is missing, so nobody may ask at {socket}; name the LAN's prefixes")),
            None => Ok(loopback([])),
        };
    };
    let mut nets = Vec::new();
    for text in clients {
        // Checked as a list is, so that the messages are the same.
        AddressList::parse([text.as_str()], Family::Both).map_err(|why| format!("clients: {why}"))?;
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) if net.prefix_len() > 0 => nets.push(net),
            Ok(_) | Err(_) => {
                return Err(format!(
                    "clients: {text:?} is everybody, and an open resolver, or no prefix; name the LAN's prefixes"
                ));
            }
        }
    }
    Ok(loopback(nets))
}

fn loopback(nets: impl IntoIterator<Item = IpNet>) -> AddressList {
    let own = ["127.0.0.0/8", "::1/128"].map(|text| text.parse().expect("a prefix"));
    AddressList::of(own.into_iter().chain(nets))
}

fn anchors(texts: Option<&[String]>) -> Result<Vec<Anchor>, String> {
    let Some(texts) = texts else { return Ok(Anchor::root()) };
    texts.iter().map(|text| text.parse().map_err(|error| format!("trust_anchors: {text:?}: {error}"))).collect()
}
