//! How it is found out whether packets get through a prefix.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::place::Invalid;
use crate::text::{quote, serde_as_text};
use crate::{Place, Pool6, Reach, special_purpose};

/// A prefix is probed through the data path, and not synthesised while nothing comes back. `None` leaves it to the
/// resolver, whose defaults the methods tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// A host of the IPv4 internet that may be asked.
    pub target: Target,
    /// How it answers.
    pub kind: Option<ProbeKind>,
    /// Between two probes, in milliseconds.
    pub interval_ms: Option<u32>,
    /// For an answer, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// So many failures in a row make a prefix unhealthy.
    pub fall: Option<u32>,
    /// So many successes in a row make it healthy again.
    pub rise: Option<u32>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Health {
    /// TCP unless it says otherwise.
    pub fn kind(&self) -> ProbeKind {
        self.kind.unwrap_or_default()
    }

    /// One second unless it says otherwise.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.unwrap_or(1_000).into())
    }

    /// One second unless it says otherwise.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(1_000).into())
    }

    /// Three unless it says otherwise.
    pub fn fall(&self) -> u32 {
        self.fall.unwrap_or(3)
    }

    /// Two unless it says otherwise.
    pub fn rise(&self) -> u32 {
        self.rise.unwrap_or(2)
    }

    /// What stands for the target in `prefix`; the port of an echo is 0.
    pub fn destination(&self, prefix: Pool6) -> SocketAddrV6 {
        let port = self.target.port.unwrap_or_else(|| match self.kind() {
            ProbeKind::Tcp => 443,
            ProbeKind::Dns => 53,
            ProbeKind::Icmp => 0,
        });
        SocketAddrV6::new(prefix.embed(self.target.address), port, 0, 0)
    }

    /// Whether `prefix` can be probed so.
    ///
    /// # Errors
    /// What is wrong, at `place`.
    pub(crate) fn check(&self, prefix: Pool6, place: &Place) -> Result<(), Invalid> {
        // A mistake must not become a flood, nor a prefix that is never looked at again.
        let numbers = [
            ("interval_ms", self.interval_ms, 100..=3_600_000),
            ("timeout_ms", self.timeout_ms, 50..=10_000),
            ("fall", self.fall, 1..=100),
            ("rise", self.rise, 1..=100),
        ];
        for (key, number, range) in numbers {
            if let Some(number) = number.filter(|number| !range.contains(number)) {
                let (least, most) = (range.start(), range.end());
                return Err(place.key(key).invalid(format!("must be from {least} to {most}, not {number}")));
            }
        }
        self.check_target(prefix, place)
    }

    fn check_target(&self, prefix: Pool6, place: &Place) -> Result<(), Invalid> {
        let Target { address, port } = self.target;
        let wrong = |problem: String| Err(place.key("target").invalid(problem));
        // RFC 7050 §3.2.1: "MUST NOT be used" for connectivity checks.
        if [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)].contains(&address) {
            return wrong(format!("RFC 7050 forbids to probe {address}; name a host that may be asked"));
        }
        let is_local = special_purpose(address).is_some_and(|block| block.reach != Reach::Global);
        if is_local && prefix == Pool6::default() {
            return wrong(format!(
                "{address} is no address of the IPv4 internet, and {prefix} stands for no other (RFC 6052 §3.1)"
            ));
        }
        if self.kind() == ProbeKind::Icmp && port.is_some() {
            return wrong(format!("an echo has no port; write it like {address}"));
        }
        Ok(())
    }
}

/// A host, and where it listens: `192.0.2.1:443`, or `192.0.2.1` for the usual port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Of a host, not of many.
    pub address: Ipv4Addr,
    /// Not 0.
    pub port: Option<u16>,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let with_port = |socket: SocketAddrV4| Self { address: *socket.ip(), port: Some(socket.port()) };
        let target = text.parse().map(with_port).or_else(|_| text.parse().map(|address| Self { address, port: None }));
        let is_host = |target: &Self| {
            let Self { address, port } = target;
            let is_many = address.is_unspecified() || address.is_multicast() || address.is_broadcast();
            !is_many && *port != Some(0)
        };
        target.ok().filter(is_host).ok_or_else(|| TargetError { found: quote(text) })
    }
}

/// The text is no [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no IPv4 host; write it like 192.0.2.1:443 or 192.0.2.1")]
pub struct TargetError {
    found: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.address),
            None => self.address.fmt(f),
        }
    }
}

serde_as_text!(Target);

/// How the target of a probe answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProbeKind {
    /// It accepts a TCP connection, or refuses it, for that comes from there too.
    #[default]
    Tcp,
    /// It answers a DNS question over UDP.
    Dns,
    /// It answers an echo.
    Icmp,
}

/// The text names no [`ProbeKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no kind of probe; write tcp, dns or icmp")]
pub struct ProbeKindError {
    found: String,
}

impl FromStr for ProbeKind {
    type Err = ProbeKindError;

    fn from_str(text: &str) -> Result<Self, ProbeKindError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "dns" => Ok(Self::Dns),
            "icmp" => Ok(Self::Icmp),
            _ => Err(ProbeKindError { found: quote(text) }),
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Icmp => "icmp",
        })
    }
}

serde_as_text!(ProbeKind);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, json: Value) -> Result<(), String> {
        Health::parse(json, prefix.parse().unwrap()).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_may_not_be_probed_is_refused_with_what_may() {
        let wrong = [
            ("64:ff9b::/96", serde_json::json!({ "target": "192.0.0.170" })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.0.0.171:80" })),
            ("64:ff9b::/96", serde_json::json!({ "target": "192.168.1.1" })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1:80", "kind": "icmp" })),
            ("2001:db8::/96", serde_json::json!({ "target": "224.0.0.1" })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1:0" })),
            ("2001:db8::/96", serde_json::json!({ "target": "host.example" })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "kind": "ping" })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "interval_ms": 99 })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "timeout_ms": 10_001 })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "fall": 0 })),
            ("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "raise": 1 })),
            ("2001:db8::/96", serde_json::json!({})),
        ];

        let report =
            wrong.map(|(prefix, json)| format!("{prefix} {json}\n  {}\n", check(prefix, json.clone()).unwrap_err()));

        insta::assert_snapshot!(report.concat());
    }

    #[test]
    fn the_port_is_the_usual_one_of_the_kind() {
        let destination =
            |json: Value| Health::parse(json, Pool6::default()).unwrap().destination(Pool6::default()).to_string();

        assert_eq!(destination(serde_json::json!({ "target": "1.1.1.1" })), "[64:ff9b::101:101]:443");
        assert_eq!(destination(serde_json::json!({ "target": "1.1.1.1", "kind": "dns" })), "[64:ff9b::101:101]:53");
        assert_eq!(destination(serde_json::json!({ "target": "1.1.1.1", "kind": "icmp" })), "[64:ff9b::101:101]:0");
        assert_eq!(destination(serde_json::json!({ "target": "1.1.1.1:80" })), "[64:ff9b::101:101]:80");
        assert_eq!(check("2001:db8::/96", serde_json::json!({ "target": "192.168.1.1", "kind": "icmp" })), Ok(()));
    }
}
