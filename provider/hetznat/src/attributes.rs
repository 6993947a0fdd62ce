//! The vocabulary of both resources' attributes: each parses once, says what is wrong with it, and keeps its spelling.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::str::FromStr;

use cloud_init::RenderError;
use contract::{EndpointError, GATEWAY_LABEL, Name, Pool6, PublicKey, parse_endpoint};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tfplugin5::{Attr, Diagnostic, Spelled, model};

use crate::entry::full_name;

/// What a server is found by.
pub(crate) type Labels = BTreeMap<String, Attr<String>>;

/// Any values; a change of one draws new keys.
pub(crate) type Rotate = BTreeMap<String, Attr<String>>;

model! {
    /// What a peer has to know of its gateway.
    pub(crate) struct Link {
        /// The gateway.
        id: Spelled<Name>,
        /// What servers know the gateway by.
        public_key: Spelled<PublicKey>,
        /// The prefix that stands for IPv4.
        pool6: Spelled<Pool6>,
        /// The gateway's IPv6 address inside the tunnel.
        address6: Spelled<Ipv6Addr>,
        /// The gateway's IPv4 address inside the tunnel.
        address4: Spelled<Ipv4Addr>,
    }
}

impl Link {
    /// The link of a gateway that is in the document.
    pub(crate) fn of_entry(name: &Name, entry: &contract::Gateway) -> Self {
        Self {
            id: Spelled::from(name.clone()).into(),
            public_key: Spelled::from(entry.public_key).into(),
            pool6: Spelled::from(entry.pool6).into(),
            address6: Spelled::from(entry.address6).into(),
            address4: Spelled::from(entry.address4()).into(),
        }
    }

    /// Id and labels of what hangs on a gateway, the labels its own name under `key` and the gateway's: unknown as long as
    /// one of the names is.
    pub(crate) fn identify(
        gateway: &Attr<Self>,
        name: &Attr<Spelled<Name>>,
        key: &str,
    ) -> (Attr<String>, Attr<Labels>) {
        let gateway = match gateway {
            Attr::Known(link) => link.id.clone(),
            Attr::Unknown | Attr::Null => Attr::Unknown,
        };
        let (Attr::Known(gateway), Attr::Known(name)) = (gateway, name) else {
            return (Attr::Unknown, Attr::Unknown);
        };
        let labels = [(GATEWAY_LABEL, gateway.to_string()), (key, name.to_string())];
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        (full_name(&gateway, name).into(), Attr::Known(labels))
    }

    /// Public resolvers work with one prefix only; better said before anything is made.
    pub(crate) fn resolver_problem(gateway: &Attr<Self>, dns: &Attr<Spelled<Dns>>) -> Option<Diagnostic> {
        let pool6 = **gateway.known()?.pool6.known()?;
        let wrong = **dns.known()? == Dns::Public && pool6 != Pool6::default();
        wrong.then(|| Diagnostic::error(RenderError::PublicDnsNeedsWellKnownPrefix { pool6 }.to_string()).at("dns"))
    }
}

/// Where the gateway dials a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) SocketAddrV6);

impl Endpoint {
    /// The /64 the server is in, which is its identity.
    pub(crate) fn prefix(self) -> Prefix {
        Prefix(Ipv6Net::new_assert(*self.0.ip(), Prefix::LEN).trunc())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse_endpoint(text).map(Self)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server's own /64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) Ipv6Net);

impl Prefix {
    const LEN: u8 = 64;
}

/// The text is no prefix of a server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PrefixError {
    #[error("not an IPv6 prefix; write it like 2001:db8:1:2::/64")]
    Syntax,
    #[error("must be a /64, the one that Hetzner routes to the server (got /{0})")]
    Length(u8),
    #[error("{given} has bits set behind its prefix; did you mean {meant}?")]
    HostBits { given: Ipv6Net, meant: Ipv6Net },
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let net: Ipv6Net = text.parse().map_err(|_| PrefixError::Syntax)?;
        if net.prefix_len() != Self::LEN {
            return Err(PrefixError::Length(net.prefix_len()));
        }
        if net.trunc() != net {
            return Err(PrefixError::HostBits { given: net, meant: net.trunc() });
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An IPv4 prefix, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net4(pub(crate) Ipv4Net);

/// A prefix of either family, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net(pub(crate) IpNet);

/// The text is no prefix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    #[error("not an IPv4 prefix; write it like 192.168.1.0/24")]
    Syntax4,
    #[error("not a prefix; write it like 192.168.1.0/24 or fd00::/64")]
    Syntax,
    #[error("{given} has bits set behind its prefix; did you mean {meant}?")]
    HostBits { given: IpNet, meant: IpNet },
}

impl FromStr for Net {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
        let net = net.map_err(|_| NetError::Syntax)?;
        if net.trunc() == net { Ok(Self(net)) } else { Err(NetError::HostBits { given: net, meant: net.trunc() }) }
    }
}

impl FromStr for Net4 {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        match text.parse() {
            Ok(Net(IpNet::V4(net))) => Ok(Self(net)),
            Ok(Net(IpNet::V6(_))) | Err(NetError::Syntax | NetError::Syntax4) => Err(NetError::Syntax4),
            Err(error @ NetError::HostBits { .. }) => Err(error),
        }
    }
}

impl fmt::Display for Net4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose DNS64 a server asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dns {
    Public,
    Gateway,
}

/// The text names no resolver.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"public\" or \"gateway\"")]
pub(crate) struct DnsError;

impl FromStr for Dns {
    type Err = DnsError;

    fn from_str(text: &str) -> Result<Self, DnsError> {
        match text {
            "public" => Ok(Self::Public),
            "gateway" => Ok(Self::Gateway),
            _ => Err(DnsError),
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Gateway => "gateway",
        })
    }
}

impl From<Dns> for cloud_init::Dns {
    fn from(dns: Dns) -> Self {
        match dns {
            Dns::Public => Self::Public,
            Dns::Gateway => Self::Gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_64_and_says_so() {
        let parse =
            |text: &str| text.parse::<Prefix>().map(|prefix| prefix.to_string()).map_err(|error| error.to_string());

        assert_eq!(parse("2001:db8:1:2::/64").unwrap(), "2001:db8:1:2::/64");
        assert_eq!(
            parse("2001:db8::/48").unwrap_err(),
            "must be a /64, the one that Hetzner routes to the server (got /48)"
        );
        assert_eq!(
            parse("2001:db8::1/64").unwrap_err(),
            "2001:db8::1/64 has bits set behind its prefix; did you mean 2001:db8::/64?"
        );
        assert!(parse("192.0.2.0/24").is_err());
    }

    #[test]
    fn a_net_is_a_prefix_or_an_address() {
        let parse = |text: &str| text.parse::<Net4>().map(|net| net.to_string()).map_err(|error| error.to_string());

        assert_eq!(parse("192.168.1.0/24").unwrap(), "192.168.1.0/24");
        assert_eq!(parse("192.168.1.5").unwrap(), "192.168.1.5/32");
        assert_eq!(
            parse("192.168.1.5/24").unwrap_err(),
            "192.168.1.5/24 has bits set behind its prefix; did you mean 192.168.1.0/24?"
        );
        assert!(parse("fd00::/64").is_err() && parse("lan").is_err());
        assert_eq!("fd00::1".parse::<Net>().unwrap().to_string(), "fd00::1/128");
    }

    #[test]
    fn an_endpoint_lies_in_its_prefix_however_it_is_spelled() {
        for spelling in ["2001:db8:1:2::1", "2001:DB8:1:2::/64", "[2001:db8:1:2::7]:4000"] {
            let endpoint: Endpoint = spelling.parse().ok().unwrap();

            assert_eq!(endpoint.prefix().to_string(), "2001:db8:1:2::/64");
        }
    }
}
