//! What the peers of a gateway may reach, and how much of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde_json::Value;

use crate::egress::number;
use crate::text::{quote, serde_as_text};

/// What peers may reach through a gateway. The default is that of a gateway that has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Exceptions to the refusal of private and special-purpose destinations (RFC 6890).
    pub allow: Vec<Ipv4Net>,
    /// Where nobody may send to, whatever the address.
    pub denied_ports: Vec<DeniedPort>,
    /// The home's public addresses, which the machine itself cannot see: refused, whatever `allow` says.
    pub home_addresses: Vec<Ipv4Addr>,
    /// Flows that one peer may start in a second; `None` is the engine's own bound.
    pub new_flows_per_second: Option<u32>,
    /// Flows that one peer may have at a time; `None` is the engine's own bound.
    pub flows_per_peer: Option<u32>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Policy {
    /// The most elements of each list.
    pub const MOST_ELEMENTS: usize = 256;
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            // Mail to other people's mail servers: a home's address is not to be listed for what a server sends.
            denied_ports: vec![DeniedPort { transport: Transport::Tcp, port: 25 }],
            home_addresses: Vec::new(),
            new_flows_per_second: None,
            flows_per_peer: None,
            other: BTreeMap::new(),
        }
    }
}

/// A port that nobody may send to: `tcp/25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeniedPort {
    /// Of which protocol.
    pub transport: Transport,
    /// Not 0.
    pub port: u16,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// RFC 9293
    Tcp,
    /// RFC 768
    Udp,
}

/// The text is no [`DeniedPort`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no port; write it like tcp/25 or udp/53")]
pub struct DeniedPortError {
    found: String,
}

impl FromStr for DeniedPort {
    type Err = DeniedPortError;

    fn from_str(text: &str) -> Result<Self, DeniedPortError> {
        let refused = || DeniedPortError { found: quote(text) };
        let (transport, port) = text.split_once('/').ok_or_else(refused)?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return Err(refused()),
        };
        let port = number(port).filter(|port| *port != 0).ok_or_else(refused)?;
        Ok(Self { transport, port })
    }
}

impl fmt::Display for DeniedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        write!(f, "{transport}/{}", self.port)
    }
}

serde_as_text!(DeniedPort);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_written() {
        for text in ["tcp/25", "udp/65535"] {
            assert_eq!(text.parse::<DeniedPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["", "25", "tcp", "tcp/", "tcp/0", "tcp/65536", "sctp/25", "TCP/25", "tcp/+25"] {
            assert!(text.parse::<DeniedPort>().is_err(), "{text}");
        }
    }
}
