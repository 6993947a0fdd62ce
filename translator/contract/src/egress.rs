//! How translated packets leave the gateway.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::text::{quote, serde_as_text};

/// How translated packets leave the gateway, and so which addresses the engine translates to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Egress {
    /// From a private address behind the kernel's own NAT.
    #[default]
    Masquerade,
    /// From the address of the uplink, and from these of its ports only. No second NAT.
    Shared {
        /// TCP and UDP ports and ICMP identifiers that the machine's own programs leave alone.
        ports: PortRange,
    },
    /// From addresses that others route to the gateway. No second NAT.
    Routed {
        /// All of them; at least one.
        pool4: Vec<Ipv4Net>,
    },
}

impl Egress {
    /// The most addresses that a routed pool4 may have: each costs the engine 24 KiB.
    pub const MOST_ADDRESSES: usize = 256;

    /// The mode's name in the document.
    pub fn mode(&self) -> EgressMode {
        match self {
            Self::Masquerade => EgressMode::Masquerade,
            Self::Shared { .. } => EgressMode::Shared,
            Self::Routed { .. } => EgressMode::Routed,
        }
    }
}

/// [`Egress`] without what belongs to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EgressMode {
    /// [`Egress::Masquerade`]
    #[default]
    Masquerade,
    /// [`Egress::Shared`]
    Shared,
    /// [`Egress::Routed`]
    Routed,
}

/// The text names no [`EgressMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no egress; write masquerade, shared or routed")]
pub struct EgressError {
    found: String,
}

impl FromStr for EgressMode {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        match text {
            "masquerade" => Ok(Self::Masquerade),
            "shared" => Ok(Self::Shared),
            "routed" => Ok(Self::Routed),
            _ => Err(EgressError { found: quote(text) }),
        }
    }
}

impl fmt::Display for EgressMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Masquerade => "masquerade",
            Self::Shared => "shared",
            Self::Routed => "routed",
        })
    }
}

serde_as_text!(EgressMode);

/// Ports from a first to a last one, none of them a system port (RFC 6335 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The lowest port there may be: below it are the services that a machine is reached by.
    pub const LOWEST: u16 = 1024;

    /// The ports.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl Default for PortRange {
    /// The dynamic ports (RFC 6335 §6).
    fn default() -> Self {
        Self { first: 49_152, last: u16::MAX }
    }
}

/// The text is no [`PortRange`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no range of ports from {} to 65535; write it like 49152-65535", PortRange::LOWEST)]
pub struct PortRangeError {
    found: String,
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let ports = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
        match ports {
            Some((first, last)) if (Self::LOWEST..=last).contains(&first) => Ok(Self { first, last }),
            Some(_) | None => Err(PortRangeError { found: quote(text) }),
        }
    }
}

/// Digits only: `+1` is one spelling too many.
pub(crate) fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

serde_as_text!(PortRange);

/// Every address of these prefixes, network and broadcast addresses too: what is routed has neither.
pub fn addresses(prefixes: &[Ipv4Net]) -> impl Iterator<Item = Ipv4Addr> + '_ {
    prefixes.iter().flat_map(|net| (u32::from(net.network())..=u32::from(net.broadcast())).map(Ipv4Addr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for text in ["49152-65535", "1024-1024"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        assert_eq!(PortRange::default().to_string(), "49152-65535");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "-", "5000", "1-2000", "0-65535", "3000-2000", "3000-65536", "+3000-4000", "3000 - 4000"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_routed_prefix_has_all_its_addresses() {
        let prefixes: Vec<Ipv4Net> = ["203.0.113.8/31", "203.0.113.1/32"].map(|text| text.parse().unwrap()).into();

        let texts: Vec<_> = addresses(&prefixes).map(|address| address.to_string()).collect();

        assert_eq!(texts, ["203.0.113.8", "203.0.113.9", "203.0.113.1"]);
    }
}
