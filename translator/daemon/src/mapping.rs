//! Mappings and protocols as they are written: on the command line, on the control socket, in tables.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A protocol that has a BIB (RFC 6146 §3.1). ICMP has identifiers where the others have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

/// An endpoint inside and the one that stands for it outside, for good: `udp,192.0.2.2:1000,[2001:db8::5]:1001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    pub(crate) protocol: Protocol,
    pub(crate) outer: SocketAddrV4,
    pub(crate) inner: SocketAddr,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        })
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, outer, inner } = self;
        write!(f, "{protocol} {outer} {inner}")
    }
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let &[protocol, outer, inner] = parts.as_slice() else {
            return Err("a mapping is a protocol and two endpoints: udp,192.0.2.2:1000,[2001:db8::5]:1001".to_owned());
        };
        let protocol =
            Protocol::from_str(protocol, false).map_err(|_| "the protocol is tcp, udp or icmp".to_owned())?;
        Ok(Self { protocol, outer: outer_endpoint(outer)?, inner: inner_endpoint(inner)? })
    }
}

/// An endpoint of pool4.
pub(crate) fn outer_endpoint(text: &str) -> Result<SocketAddrV4, String> {
    let endpoint: SocketAddrV4 =
        text.parse().map_err(|_| format!("{text:?} is no outside endpoint; write one like 192.0.2.2:1000"))?;
    port_is_usable(endpoint.port())?;
    Ok(endpoint)
}

/// An endpoint of a host inside.
pub(crate) fn inner_endpoint(text: &str) -> Result<SocketAddr, String> {
    let endpoint: SocketAddr =
        text.parse().map_err(|_| format!("{text:?} is no inside endpoint; write one like [2001:db8::5]:1001"))?;
    port_is_usable(endpoint.port())?;
    Ok(endpoint)
}

fn port_is_usable(port: u16) -> Result<(), String> {
    if port == 0 { Err("port 0 is reserved (RFC 6335 §6); choose another".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_as_it_is_typed() {
        let mapping: Mapping = "udp,192.0.2.2:1000,[2001:db8::5]:1001".parse().unwrap();

        assert_eq!(mapping.to_string(), "udp 192.0.2.2:1000 [2001:db8::5]:1001");
    }

    #[test]
    fn what_is_no_mapping_is_told_what_one_looks_like() {
        let lines = [
            "udp",
            "udp,192.0.2.2:1000,[2001:db8::5]:1001,more",
            "sctp,192.0.2.2:1000,[2001:db8::5]:1001",
            "tcp,192.0.2.2,[2001:db8::5]:1001",
            "tcp,192.0.2.2:0,[2001:db8::5]:1001",
            "tcp,[2001:db8::5]:1001,192.0.2.2:1000",
            "icmp,192.0.2.2:7,2001:db8::5:7",
            "icmp,192.0.2.2:7,[2001:db8::5]:0",
        ];

        let report: Vec<String> =
            lines.iter().map(|line| format!("{line}\n  {}", line.parse::<Mapping>().unwrap_err())).collect();

        insta::assert_snapshot!(report.join("\n"));
    }
}
