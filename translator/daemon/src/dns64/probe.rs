//! Whether packets get through a prefix: a connection, through it, to a host of the IPv4 internet, again and again.
//!
//! Never to Pref64::192.0.0.170 or .171: RFC 7050 §3.2.1 forbids both to serve and to probe these.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use contract::Pool6;
use dns64::{Dnssec, Name, RecordType, answers, write_question};
use serde::Deserialize;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::core::Core;

/// What is tried, and how often. Bounds keep a mistake from becoming a flood.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeConfig {
    /// A host of the IPv4 internet that may be asked.
    target: SocketAddrV4,
    #[serde(default)]
    kind: ProbeKind,
    #[serde(default = "ProbeConfig::default_interval_ms")]
    interval_ms: u64,
    #[serde(default = "ProbeConfig::default_timeout_ms")]
    timeout_ms: u64,
    /// So many failures in a row make a prefix unhealthy.
    #[serde(default = "ProbeConfig::default_fall")]
    fall: u32,
    /// So many successes in a row make it healthy again.
    #[serde(default = "ProbeConfig::default_rise")]
    rise: u32,
}

/// How the target answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProbeKind {
    /// It accepts a TCP connection; it may also refuse it, for that comes from there too.
    #[default]
    Tcp,
    /// It answers a DNS question over UDP.
    Dns,
}

impl ProbeConfig {
    const fn default_interval_ms() -> u64 {
        1_000
    }

    const fn default_timeout_ms() -> u64 {
        1_000
    }

    const fn default_fall() -> u32 {
        3
    }

    const fn default_rise() -> u32 {
        2
    }

    pub(super) fn checked(self) -> Result<Self, String> {
        let forbidden = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
        if forbidden.contains(self.target.ip()) {
            return Err(format!(
                "target: RFC 7050 forbids to probe {}; name a host that may be asked",
                self.target.ip()
            ));
        }
        if self.interval_ms < 100 || self.timeout_ms < 50 || self.timeout_ms > 10_000 {
            return Err("interval_ms is at least 100, timeout_ms from 50 to 10000".to_owned());
        }
        if self.fall == 0 || self.rise == 0 {
            return Err("fall and rise are at least 1".to_owned());
        }
        Ok(self)
    }
}

/// Hysteresis: one lost packet is no outage, and one answer no recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opinion {
    is_healthy: bool,
    against: u32,
}

impl Opinion {
    const NEW: Self = Self { is_healthy: true, against: 0 };

    /// Whether the opinion changed.
    fn hear(&mut self, got_through: bool, config: &ProbeConfig) -> bool {
        if got_through == self.is_healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = if self.is_healthy { config.fall } else { config.rise };
        if self.against < enough {
            return false;
        }
        *self = Self { is_healthy: got_through, against: 0 };
        true
    }
}

/// Probes every prefix of the policy until the task is aborted.
pub(super) fn start(
    core: &Rc<Core>,
    config: &ProbeConfig,
    prefixes: impl Iterator<Item = Pool6>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let probe = |(index, pool6)| tokio::task::spawn_local(run(Rc::clone(core), config.clone(), index, pool6));
    prefixes.enumerate().map(probe).collect()
}

async fn run(core: Rc<Core>, config: ProbeConfig, index: usize, pool6: Pool6) {
    let target = SocketAddr::new(pool6.embed(*config.target.ip()).into(), config.target.port());
    let patience = Duration::from_millis(config.timeout_ms);
    let mut opinion = Opinion::NEW;
    let mut ticks = interval(Duration::from_millis(config.interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let got_through = timeout(patience, reach(&core, config.kind, target)).await.unwrap_or(false);
        if opinion.hear(got_through, &config) {
            core.set_healthy(core.healthy().with(index, opinion.is_healthy));
            match opinion.is_healthy {
                true => tracing::info!("packets get through {pool6} again; it is synthesised"),
                false => tracing::warn!("packets do not get through {pool6}; it is not synthesised any more"),
            }
        }
    }
}

async fn reach(core: &Core, kind: ProbeKind, target: SocketAddr) -> bool {
    match kind {
        ProbeKind::Tcp => match TcpStream::connect(target).await {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        },
        ProbeKind::Dns => resolves(core, target).await.unwrap_or(false),
    }
}

/// Any answer to the question is one: what matters is that it came back.
async fn resolves(core: &Core, target: SocketAddr) -> std::io::Result<bool> {
    let mut question = Vec::new();
    let root: Name = ".".parse().expect("the root is a name");
    let plain = Dnssec { records: false, unchecked: false };
    write_question(&mut question, core.random.u16(), root.as_ref(), RecordType::NS, plain);
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await?;
    socket.connect(target).await?;
    socket.send(&question).await?;
    let mut reply = [0; 1_500];
    loop {
        let length = socket.recv(&mut reply).await?;
        if answers(&reply[..length], &question) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProbeConfig {
        serde_json::from_str(r#"{ "target": "192.0.2.1:53" }"#).unwrap()
    }

    #[test]
    fn an_opinion_changes_after_some_probes_in_a_row_and_not_before() {
        let config = config();
        let mut opinion = Opinion::NEW;
        let mut hear =
            |results: &[bool]| results.iter().map(|result| opinion.hear(*result, &config)).collect::<Vec<_>>();

        assert_eq!(hear(&[false, false, true, false, false]), [false; 5]);
        assert_eq!(hear(&[false]), [true]);
        assert_eq!(hear(&[true, false, true]), [false; 3]);
        assert_eq!(hear(&[true]), [true]);
    }

    #[test]
    fn nobody_probes_what_rfc_7050_forbids() {
        for target in ["192.0.0.170:80", "192.0.0.171:80"] {
            let config = ProbeConfig { target: target.parse().unwrap(), ..config() };
            assert!(config.checked().is_err(), "{target}");
        }
        assert_eq!(config().checked(), Ok(config()));
    }
}
