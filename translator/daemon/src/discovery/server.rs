//! A server as Hetzner's API tells of it: the few fields that count here, read leniently where it grows.

use std::collections::BTreeMap;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Text, because there may be more one day than there are now.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) public_net: PublicNet,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicNet {
    pub(crate) ipv6: Option<IpV6>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpV6 {
    /// The network that is routed to the server: `2001:db8::/64`.
    pub(crate) ip: String,
    pub(crate) blocked: bool,
}

impl Server {
    /// Whether it runs, as far as Hetzner knows.
    pub(crate) fn runs(&self) -> bool {
        // A server whose status Hetzner does not know may well run.
        matches!(self.status.as_str(), "running" | "unknown")
    }

    /// Its /64.
    ///
    /// # Errors
    /// Why it cannot be dialled, as a clause that begins with its name.
    pub(crate) fn network(&self) -> Result<Ipv6Net, String> {
        let Self { id, name, status, .. } = self;
        let name = name.escape_debug();
        if !self.runs() {
            return Err(format!("server {name} ({id}) is not running but {}", status.escape_debug()));
        }
        let Some(ipv6) = &self.public_net.ipv6 else {
            return Err(format!("server {name} ({id}) has no public IPv6; give it one (enable_ipv6)"));
        };
        if ipv6.blocked {
            return Err(format!("server {name} ({id}): Hetzner has blocked its IPv6; see the message in its console"));
        }
        let network = ipv6.ip.parse().ok().filter(|net: &Ipv6Net| net.prefix_len() == 64);
        network
            .map(|net| net.trunc())
            .ok_or_else(|| format!("server {name} ({id}) has {}, which is no /64", ipv6.ip.escape_debug()))
    }
}

/// A page of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) servers: Vec<Server>,
    pub(super) meta: Meta,
}

#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    pub(super) pagination: Pagination,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    pub(super) next_page: Option<u64>,
}

/// An error as Hetzner tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error: RefusalError,
}

#[derive(Debug, Deserialize)]
pub(super) struct RefusalError {
    pub(super) code: String,
    pub(super) message: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::discovery) fn server(id: u64, status: &str, ip: &str) -> Server {
        Server { id, ..named(status, ip, false) }
    }

    fn named(status: &str, ip: &str, blocked: bool) -> Server {
        let ipv6 = Some(IpV6 { ip: ip.to_owned(), blocked });
        let public_net = PublicNet { ipv6 };
        Server { id: 42, name: "web".to_owned(), status: status.to_owned(), labels: BTreeMap::new(), public_net }
    }

    #[test]
    fn a_running_server_has_its_64() {
        for ip in ["2001:db8::/64", "2001:db8::1/64"] {
            assert_eq!(named("running", ip, false).network().unwrap().to_string(), "2001:db8::/64");
        }
    }

    #[test]
    fn whoever_cannot_be_dialled_is_named_with_the_reason() {
        let refused = |server: Server| server.network().unwrap_err();
        let mut private = named("running", "", false);
        private.public_net.ipv6 = None;

        assert_eq!(refused(named("off", "2001:db8::/64", false)), "server web (42) is not running but off");
        assert_eq!(
            refused(named("running", "2001:db8::/64", true)),
            "server web (42): Hetzner has blocked its IPv6; see the message in its console"
        );
        assert_eq!(refused(private), "server web (42) has no public IPv6; give it one (enable_ipv6)");
        for ip in ["", "192.0.2.1", "2001:db8::/56", "2001:db8::1"] {
            assert_eq!(refused(named("running", ip, false)), format!("server web (42) has {ip}, which is no /64"));
        }
    }

    #[test]
    fn fields_that_are_not_known_are_left_alone() {
        let text = r#"{ "id": 1, "name": "a", "status": "hibernating", "new": [1], "labels": { "b": "c" },
            "public_net": { "ipv4": null, "ipv6": { "id": 2, "ip": "2001:db8::/64", "blocked": false, "dns_ptr": [] } } }"#;

        let server: Server = serde_json::from_str(text).unwrap();

        assert_eq!((server.id, server.labels["b"].as_str()), (1, "c"));
        assert!(server.network().is_err());
    }
}
