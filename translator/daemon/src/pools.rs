//! Addresses and ports as they are written: on the command line of the stand-alone mode, and in what it says of itself.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use crate::mapping::Protocol;

/// The port tables of an address take 24 KiB, so these are 6 MiB.
pub(crate) const MOST_ADDRESSES: usize = 256;

/// One address or several that follow each other: `192.0.2.2-192.0.2.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Addresses {
    pub(crate) first: Ipv4Addr,
    pub(crate) last: Ipv4Addr,
}

impl Addresses {
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }

    /// The same addresses, each of them once: in order, and those that follow each other together.
    pub(crate) fn joined(ranges: &[Self]) -> Vec<Self> {
        let mut sorted = ranges.to_vec();
        sorted.sort_unstable();
        let mut joined: Vec<Self> = Vec::new();
        for range in sorted {
            match joined.last_mut() {
                Some(before) if u32::from(range.first) <= u32::from(before.last).saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => joined.push(range),
            }
        }
        joined
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (host_address4(first)?, host_address4(last)?);
        match u32::from(last).checked_sub(u32::from(first)).map(|more| more as usize) {
            Some(0..MOST_ADDRESSES) => Ok(Self { first, last }),
            Some(_) => Err(format!("these are more than {MOST_ADDRESSES} addresses")),
            None => Err(format!("{last} comes before {first}")),
        }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.first == self.last { Ok(()) } else { write!(f, "-{}", self.last) }
    }
}

/// Ports of TCP and UDP and identifiers of ICMP, or those of one of the three: `1024-65535`, `icmp,1-65535`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Ports {
    pub(crate) protocol: Option<Protocol>,
    /// None of them 0.
    pub(crate) range: RangeInclusive<u16>,
}

impl Ports {
    /// Which ports each protocol has: those that name it, or else those that name none, or else all.
    pub(crate) fn of_protocols(all: &[Self]) -> Vec<(Option<Protocol>, RangeInclusive<u16>)> {
        let naming =
            |protocol| all.iter().filter(move |ports| ports.protocol == protocol).map(|ports| ports.range.clone());
        let mut unnamed: Vec<_> = naming(None).collect();
        if unnamed.is_empty() {
            unnamed.push(1..=u16::MAX);
        }
        if all.iter().all(|ports| ports.protocol.is_none()) {
            return unnamed.into_iter().map(|range| (None, range)).collect();
        }
        let of_one = |protocol: &Protocol| {
            let named: Vec<_> = naming(Some(*protocol)).collect();
            let ranges = if named.is_empty() { unnamed.clone() } else { named };
            ranges.into_iter().map(|range| (Some(*protocol), range)).collect::<Vec<_>>()
        };
        Protocol::value_variants().iter().flat_map(of_one).collect()
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (protocol, range) = match text.split_once(',') {
            Some((protocol, range)) => (Some(protocol), range),
            None => (None, text),
        };
        let protocol = protocol.map(|name| Protocol::from_str(name, false)).transpose();
        let protocol = protocol.map_err(|_| "the protocol is tcp, udp or icmp, like tcp,1024-65535".to_owned())?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self { protocol, range: first..=last }),
            _ => Err("ports are 1 to 65535, like 1024-65535".to_owned()),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol},")?;
        }
        write!(f, "{}-{}", self.range.start(), self.range.end())
    }
}

macro_rules! text {
    ($($type:ident)+) => {$(
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )+};
}

text!(Addresses Ports);

/// The address of a host, which no network or group is.
pub(crate) fn host_address4(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) if !matches!(address.octets()[0], 0 | 127 | 224..) => Ok(address),
        Ok(address) => Err(format!("{address} is no address of a host")),
        Err(_) => Err(format!("{text:?} is no IPv4 address")),
    }
}

/// A list as people read it.
pub(crate) fn listed<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> String {
        let ranges: Vec<_> = text.split(' ').map(|range| range.parse().unwrap()).collect();
        listed(&Addresses::joined(&ranges))
    }

    fn ports(text: &str) -> Vec<(Option<Protocol>, RangeInclusive<u16>)> {
        Ports::of_protocols(&text.split(' ').map(|ports| ports.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_are_joined_where_they_overlap_or_touch() {
        assert_eq!(joined("192.0.2.9 192.0.2.1-192.0.2.4 192.0.2.5"), "192.0.2.1-192.0.2.5, 192.0.2.9");
        assert_eq!(joined("192.0.2.1-192.0.2.9 192.0.2.3-192.0.2.4 192.0.2.9"), "192.0.2.1-192.0.2.9");
    }

    #[test]
    fn a_protocol_that_is_named_has_its_own_ports_and_the_others_have_the_rest() {
        assert_eq!(ports("1-10 20-30"), [(None, 1..=10), (None, 20..=30)]);
        let expected = [(Some(Protocol::Tcp), 1..=10), (Some(Protocol::Udp), 5..=9), (Some(Protocol::Icmp), 1..=10)];
        assert_eq!(ports("1-10 udp,5-9"), expected);
        let expected =
            [(Some(Protocol::Tcp), 7..=7), (Some(Protocol::Udp), 1..=65535), (Some(Protocol::Icmp), 1..=65535)];
        assert_eq!(ports("tcp,7"), expected);
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in ["1024-65535", "icmp,1-65535"] {
            assert_eq!(text.parse::<Ports>().unwrap().to_string(), text);
        }
        for text in ["192.0.2.1", "192.0.2.1-192.0.2.4"] {
            assert_eq!(text.parse::<Addresses>().unwrap().to_string(), text);
        }
    }
}
