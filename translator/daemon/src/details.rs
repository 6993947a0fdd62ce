//! What RFCs leave to the operator of the stand-alone mode, and few change.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use nat64::{Config, Lifetimes, OwnErrors, TrafficClass};
use serde::{Deserialize, Serialize};

use crate::settings::{Switch, name_of};

/// The shortest lifetime of a connection that opens or closes (RFC 5382 REQ-5), in seconds.
pub(crate) const SHORTEST_TRANSITORY: u32 = 240;

/// These choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Details {
    /// Traffic class of what goes to IPv6: that of the packet, or a number that replaces all eight bits (RFC 7915 §4.1)
    #[arg(long, value_name = "copy|NUMBER", default_value_t = Class::Copy)]
    pub(crate) traffic_class: Class,
    /// TOS of what goes to IPv4: that of the packet, or a number that replaces all eight bits (RFC 7915 §5.1)
    #[arg(long, value_name = "copy|NUMBER", default_value_t = Class::Copy)]
    pub(crate) tos: Class,
    /// Whether ICMP errors are made here, at a limited rate (RFC 7915 §4.4); without them, path MTU discovery fails here
    #[arg(long, value_name = "SWITCH", default_value = "on")]
    pub(crate) own_errors: Switch,
    /// What becomes of UDP without checksum that goes to IPv6 (RFC 7915 §4.5)
    #[arg(long, value_name = "WHAT", default_value = "compute")]
    pub(crate) udp_without_checksum: WithoutChecksum,
    /// Whether a host gets ports of another pool4 address when its own has none left (RFC 7857 §4)
    #[arg(long, value_name = "HOW", default_value = "paired")]
    pub(crate) pooling: Pooling,
    /// How long a TCP connection that opens is remembered, in seconds (RFC 7857 §2.1)
    #[arg(long, value_name = "SECONDS", default_value_t = SHORTEST_TRANSITORY, value_parser = value_parser!(u32).range(i64::from(SHORTEST_TRANSITORY)..))]
    pub(crate) tcp_opening: u32,
    /// How long a TCP connection that closes is remembered, in seconds (RFC 7857 §2.1)
    #[arg(long, value_name = "SECONDS", default_value_t = SHORTEST_TRANSITORY, value_parser = value_parser!(u32).range(i64::from(SHORTEST_TRANSITORY)..))]
    pub(crate) tcp_closing: u32,
}

/// What becomes of the traffic class of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Class {
    Copy,
    Always(u8),
}

/// What becomes of UDP without checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WithoutChecksum {
    /// It gets one
    Compute,
    /// It is dropped and counted
    Drop,
}

/// Whether a host keeps to one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pooling {
    /// A host keeps to one address: what needs another port is refused
    Paired,
    /// It gets ports of another address then
    Soft,
}

impl Details {
    /// None of them made.
    pub(crate) const DEFAULT: Self = Self {
        traffic_class: Class::Copy,
        tos: Class::Copy,
        own_errors: Switch::On,
        udp_without_checksum: WithoutChecksum::Compute,
        pooling: Pooling::Paired,
        tcp_opening: SHORTEST_TRANSITORY,
        tcp_closing: SHORTEST_TRANSITORY,
    };

    /// A configuration with these choices.
    pub(crate) fn apply(&self, config: Config) -> Config {
        let seconds = |count: u32| Duration::from_secs(u64::from(count));
        Config {
            traffic_class: self.traffic_class.into(),
            tos: self.tos.into(),
            own_errors: match self.own_errors {
                Switch::On => OwnErrors::Limited,
                Switch::Off => OwnErrors::Off,
            },
            udp_without_checksum: match self.udp_without_checksum {
                WithoutChecksum::Compute => nat64::UdpWithoutChecksum::Computed,
                WithoutChecksum::Drop => nat64::UdpWithoutChecksum::Dropped,
            },
            pooling: match self.pooling {
                Pooling::Paired => nat64::Pooling::Paired,
                Pooling::Soft => nat64::Pooling::SoftlyPaired,
            },
            lifetimes: Lifetimes {
                tcp_opening: seconds(self.tcp_opening),
                tcp_closing: seconds(self.tcp_closing),
                ..config.lifetimes
            },
            ..config
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }
}

/// What was changed, as `config set` takes it.
impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |details: &Self| {
            [
                ("traffic-class", details.traffic_class.to_string()),
                ("tos", details.tos.to_string()),
                ("own-errors", name_of(details.own_errors)),
                ("udp-without-checksum", name_of(details.udp_without_checksum)),
                ("pooling", name_of(details.pooling)),
                ("tcp-opening", details.tcp_opening.to_string()),
                ("tcp-closing", details.tcp_closing.to_string()),
            ]
        };
        let changed = words(self).into_iter().zip(words(&Self::DEFAULT)).filter(|(is, was)| is != was);
        let changed: Vec<String> = changed.map(|((key, value), _)| format!("{key} {value}")).collect();
        f.write_str(&changed.join(", "))
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("copy", _) => Ok(Self::Copy),
            (_, Ok(class)) => Ok(Self::Always(class)),
            (_, Err(_)) => Err(format!("{text:?} is neither copy nor a number up to 255")),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy => f.write_str("copy"),
            Self::Always(class) => write!(f, "{class}"),
        }
    }
}

impl TryFrom<String> for Class {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Class> for String {
    fn from(class: Class) -> Self {
        class.to_string()
    }
}

impl From<Class> for TrafficClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Copy => Self::COPIED,
            Class::Always(class) => Self::always(class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_choice_the_engine_keeps_its_defaults() {
        assert_eq!(Details::DEFAULT.apply(Config::default()), Config::default());
        assert!(Details::DEFAULT.is_default());
    }

    #[test]
    fn every_choice_reaches_the_engine_and_is_shown() {
        let details = Details {
            traffic_class: Class::Always(0),
            tos: Class::Always(32),
            own_errors: Switch::Off,
            udp_without_checksum: WithoutChecksum::Drop,
            pooling: Pooling::Soft,
            tcp_opening: 300,
            tcp_closing: 400,
        };

        let config = details.apply(Config::default());

        assert_eq!((config.traffic_class, config.tos), (TrafficClass::always(0), TrafficClass::always(32)));
        assert_eq!((config.own_errors, config.pooling), (OwnErrors::Off, nat64::Pooling::SoftlyPaired));
        assert_eq!(config.udp_without_checksum, nat64::UdpWithoutChecksum::Dropped);
        assert_eq!(config.lifetimes.tcp_opening, Duration::from_secs(300));
        assert_eq!(config.lifetimes.tcp_closing, Duration::from_secs(400));
        assert_eq!(
            details.to_string(),
            "traffic-class 0, tos 32, own-errors off, udp-without-checksum drop, pooling soft, tcp-opening 300, \
             tcp-closing 400"
        );
    }
}
